//! `Arc` shares the ownership, and the lock lets one at a time in.

use lisle::sync::Mutex;
use std::sync::Arc;

fn capitals(words: Vec<String>) -> Vec<String> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let handles: Vec<_> = words
        .into_iter()
        .map(|word| {
            let found = Arc::clone(&found);
            lisle::go(move || found.lock().unwrap().push(word.to_uppercase()))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    std::mem::take(&mut *found.lock().unwrap())
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
