//! What is often tried first, and does not do.
//!
//! It borrows as it should, and loses the last number of an odd count.

use std::sync::Mutex;

/// The goroutines in which `add_up` ran.
static RAN_IN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

fn add_up(numbers: &[u64]) -> u64 {
    RAN_IN.lock().unwrap().push(lisle::current().id());
    numbers.iter().sum()
}

fn sum(numbers: &[u64]) -> u64 {
    let half = numbers.len() / 2;
    let mut parts = numbers.chunks_exact(half);
    let (left, right) = (parts.next().unwrap(), parts.next().unwrap());
    lisle::scope(|s| {
        let left = s.go(|| add_up(left));
        let right = s.go(|| add_up(right));
        left.join().unwrap() + right.join().unwrap()
    })
}

fn main() {
    println!("{}", sum(&[1, 2, 3, 4, 5]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn the_halves_are_added_up_by_two_goroutines() {
        for length in [2, 7, 2 * any(1..100) + 1] {
            let numbers: Vec<_> = (0..length).map(|_| any(1..1000)).collect();
            let expected: u64 = numbers.iter().sum();
            RAN_IN.lock().unwrap().clear();
            let (caller, total) = run(move || (lisle::current().id(), sum(&numbers)));
            assert_eq!(total, expected, "of {length} numbers");
            let ran_in = RAN_IN.lock().unwrap();
            assert!(ran_in.len() == 2 && ran_in[0] != ran_in[1], "two goroutines add up: {ran_in:?}");
            assert!(!ran_in.contains(&caller), "the caller itself only waits");
        }
    }
}
