//! Does not compile, on purpose: the lesson race_conditions shows what the compiler says.

fn main() {
    // ANCHOR: refused_borrow
    let counter = 1;
    let handle = lisle::go(|| println!("{counter}"));
    handle.join().unwrap();
    // ANCHOR_END: refused_borrow
}
