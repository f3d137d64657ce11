//! The first rule: wait on lisle's locks.
//!
//! One worker runs all these goroutines. The first one waits with the lock held; the second one stops the worker itself,
//! and with it the first.

use std::sync::Arc;
use support::think;
// TODO: this one blocks the thread.
use std::sync::Mutex;

fn add_all(parts: Vec<u64>) -> u64 {
    let total = Arc::new(Mutex::new(0));
    let add = |part| {
        let total = Arc::clone(&total);
        lisle::go(move || {
            let mut total = total.lock().unwrap();
            think();
            *total += part;
        })
    };
    let handles: Vec<_> = parts.into_iter().map(add).collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    *total.lock().unwrap()
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
