//! A pointer that is not made for sharing.
//!
//! This does not compile yet: neither `Rc` nor `RefCell` may go where several threads use them.

use std::cell::RefCell;
use std::rc::Rc;

fn capitals(words: Vec<String>) -> Vec<String> {
    // TODO: a shared list, for goroutines that may run anywhere.
    let found = Rc::new(RefCell::new(Vec::new()));
    let handles: Vec<_> = words
        .into_iter()
        .map(|word| {
            let found = Rc::clone(&found);
            lisle::go(move || found.borrow_mut().push(word.to_uppercase()))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    found.take()
}

fn main() {
    println!("{:?}", capitals(vec!["warp".to_owned(), "weft".to_owned()]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn all_words_are_in_the_list() {
        let words: Vec<_> = (0..any(2..9)).map(|n| format!("word {n}")).collect();
        let mut expected: Vec<_> = words.iter().map(|word| word.to_uppercase()).collect();
        let mut found = run(move || capitals(words));
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
