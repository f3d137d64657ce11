//! The chapters of the book, so that the code in them is compiled and run: `cargo test -p week7-book`. What they include
//! from the lessons is tested there, what they include from `go/` by `go/test`.

/// Makes a module of each chapter.
macro_rules! chapters {
    ($($name:ident)*) => { $(#[doc = include_str!(concat!("chapters/", stringify!($name), ".md"))] pub mod $name {})* };
}

chapters! {
    goroutine_basics
    goroutine_patterns
    goroutine_practice
    go_and_rust
    introduction
    pitfalls_and_tools
    race_conditions
    waitgroups
    whats_next
    when_not
}
