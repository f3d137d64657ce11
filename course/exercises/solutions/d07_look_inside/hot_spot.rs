//! Nearly all of the time went into the search through the words known so far, for each word once more. A set finds it in one
//! step. To make the others faster would have changed nothing.

use std::collections::HashSet;

/// In small letters, without what is no letter and no digit.
#[inline(never)]
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether everybody uses it.
#[inline(never)]
fn is_common(word: &str) -> bool {
    ["a", "an", "and", "be", "by", "for", "in", "is", "it", "not", "of", "on", "or", "so", "the", "to"].contains(&word)
}

/// The different words of a page, in the order in which they come first.
fn vocabulary(page: &str) -> Vec<String> {
    let (mut words, mut known) = (Vec::new(), HashSet::new());
    for word in page.split_whitespace() {
        let word = plain(word);
        if !is_common(&word) && known.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}

fn main() {
    println!("{:?}", vocabulary("The cat, the dog and the Cat."));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, profile_if_late};

    #[test]
    fn a_long_page_is_read_in_no_time() {
        let first = any(1..1000);
        let page: String = (first..first + 50_000).map(|n| format!("The Word{n}, ")).collect();
        let words = profile_if_late(move || vocabulary(&page));
        assert!(
            words.iter().map(String::as_str).eq((first..first + 50_000).map(|n| format!("word{n}"))),
            "other words"
        );
    }

    #[test]
    fn each_word_is_told_once_and_in_its_order() {
        assert_eq!(vocabulary("The cat, the dog and the Cat. It is a DOG!"), ["cat", "dog"]);
        assert_eq!(vocabulary(""), [""; 0]);
    }
}
