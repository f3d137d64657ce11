//! What is often tried first, and does not do.
//!
//! Sorted is not in order: the numbers themselves were not sorted.

use lisle::channel::unbounded;
use std::collections::BTreeSet;
use std::sync::Mutex;
use support::think;

/// The goroutines that have worked.
static WORKED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Some numbers take longer.
fn square(n: u64) -> u64 {
    WORKED.lock().unwrap().insert(lisle::current().id());
    (0..n % 5).for_each(|_| think());
    n * n
}

fn squares(numbers: Vec<u64>, workers: usize) -> Vec<u64> {
    let (hand_out, jobs) = unbounded();
    let (report, results) = unbounded();
    for _ in 0..workers {
        let (jobs, report) = (jobs.clone(), report.clone());
        lisle::go(move || jobs.iter().for_each(|n| report.send(square(n)).unwrap()));
    }
    drop(report);
    numbers.into_iter().for_each(|n| hand_out.send(n).unwrap());
    drop(hand_out);
    let mut results: Vec<_> = results.iter().collect();
    results.sort_unstable();
    results
}

fn main() {
    println!("{:?}", squares(vec![4, 1, 3, 2, 0], 2));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn results_are_in_order_and_the_workers_few() {
        let workers = any(2..5) as usize;
        let mut numbers = vec![4, 100, 3, 0, 9, 5];
        numbers.extend((0..20).map(|_| any(0..100)));
        let expected: Vec<_> = numbers.iter().map(|n| n * n).collect();
        WORKED.lock().unwrap().clear();
        assert_eq!(run(move || squares(numbers, workers)), expected);
        let worked = WORKED.lock().unwrap().len();
        assert_eq!(worked, workers, "goroutines that have worked");
    }
}
