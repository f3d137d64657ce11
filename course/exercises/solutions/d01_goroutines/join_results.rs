//! All are started before any is joined: the `collect` in between sees to it.

use lisle::sync::Barrier;
use std::sync::Arc;

/// Waits until all are there.
fn visit(place: &Barrier, n: u64) -> u64 {
    place.wait();
    n * n
}

fn visit_all(numbers: Vec<u64>) -> Vec<u64> {
    let place = Arc::new(Barrier::new(numbers.len()));
    let handles: Vec<_> = numbers
        .into_iter()
        .map(|n| {
            let place = Arc::clone(&place);
            lisle::go(move || visit(&place, n))
        })
        .collect();
    handles.into_iter().map(|handle| handle.join().unwrap()).collect()
}

fn main() {
    println!("{:?}", support::run(|| visit_all(vec![1, 2, 3])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any_numbers, run};

    #[test]
    fn all_are_there_at_once_and_results_are_in_order() {
        let numbers = any_numbers(2..9);
        let squares: Vec<_> = numbers.iter().map(|n| n * n).collect();
        assert_eq!(run(move || visit_all(numbers)), squares);
    }
}
