//! A closure that owns what it uses.
//!
//! This does not compile yet. Read what the compiler says, down to its last line.

use lisle::JoinHandle;

fn shout(text: String) -> JoinHandle<String> {
    // TODO: the closure borrows `text`. It should own it.
    lisle::go(|| text.to_uppercase())
}

fn main() {
    println!("{:?}", shout("hello".to_owned()).join());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn the_text_comes_back_in_capitals() {
        let text = format!("hello {}", any(0..1000));
        let expected = text.to_uppercase();
        assert_eq!(run(move || shout(text).join().unwrap()), expected);
    }
}
