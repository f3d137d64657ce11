//! `move` makes the closure own `text`, so that it lives as long as the goroutine needs it.

use lisle::JoinHandle;

fn shout(text: String) -> JoinHandle<String> {
    lisle::go(move || text.to_uppercase())
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
