//! What is often tried first, and does not do.
//!
//! A sleep guesses how long they take. On a slow day it guesses wrong, and on all others it waits too long.

use lisle::time::sleep;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn add_slowly(total: &AtomicU64, part: u64) {
    sleep(Duration::from_millis(40));
    total.fetch_add(part, Ordering::Relaxed);
}

fn add_all(parts: Vec<u64>) -> u64 {
    let total = Arc::new(AtomicU64::new(0));
    for part in parts {
        let total = Arc::clone(&total);
        lisle::go(move || add_slowly(&total, part));
    }
    sleep(Duration::from_millis(10)); // they should be through by then
    total.load(Ordering::Relaxed)
}

fn main() {
    println!("{}", add_all(vec![1, 2, 3]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn all_parts_are_in_the_total() {
        let parts: Vec<_> = (0..any(3..9)).map(|_| any(1..100)).collect();
        let expected: u64 = parts.iter().sum();
        assert_eq!(run(move || add_all(parts)), expected);
    }
}
