//! What is often tried first, and does not do.
//!
//! It compiles, since the closure borrows nothing any more; nor does it use what it was given.

use lisle::JoinHandle;

fn shout(_text: String) -> JoinHandle<String> {
    lisle::go(|| "HELLO".to_owned())
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
