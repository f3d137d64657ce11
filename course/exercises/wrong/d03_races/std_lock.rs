//! What is often tried first, and does not do.
//!
//! Every lock of std's blocks the thread. (After a second lisle's watchdog says so on stderr.)

use std::sync::Arc;
use std::sync::RwLock;
use support::think;

fn add_all(parts: Vec<u64>) -> u64 {
    let total = Arc::new(RwLock::new(0));
    let add = |part| {
        let total = Arc::clone(&total);
        lisle::go(move || {
            let mut total = total.write().unwrap();
            think();
            *total += part;
        })
    };
    let handles: Vec<_> = parts.into_iter().map(add).collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    *total.read().unwrap()
}

fn main() {
    println!("{}", support::run(|| add_all(vec![1, 2, 3])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any_numbers, run};

    #[test]
    fn all_parts_are_in_the_total() {
        let parts = any_numbers(2..9);
        let expected: u64 = parts.iter().sum();
        assert_eq!(run(move || add_all(parts)), expected);
    }
}
