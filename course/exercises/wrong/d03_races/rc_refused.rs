//! What is often tried first, and does not do.
//!
//! A clone of the list is another list: each goroutine fills its own.

fn capitals(words: Vec<String>) -> Vec<String> {
    let found: Vec<String> = Vec::new();
    let handles: Vec<_> = words
        .into_iter()
        .map(|word| {
            let mut found = found.clone();
            lisle::go(move || found.push(word.to_uppercase()))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    found
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
