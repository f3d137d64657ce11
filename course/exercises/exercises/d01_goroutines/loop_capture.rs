//! A loop variable that all goroutines share.
//!
//! Each goroutine is to return the number of its turn, 0, 1, 2 …, whenever it may run. All of them look at one shared
//! variable.

use lisle::JoinHandle;
use lisle::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn start_all(count: usize, gate: &WaitGroup) -> Vec<JoinHandle<usize>> {
    let number = Arc::new(AtomicUsize::new(0));
    let mut handles = Vec::new();
    // TODO: each goroutine should have a number of its own.
    while number.load(Ordering::Relaxed) < count {
        let (shared, gate) = (Arc::clone(&number), gate.clone());
        handles.push(lisle::go(move || {
            gate.wait();
            shared.load(Ordering::Relaxed)
        }));
        number.fetch_add(1, Ordering::Relaxed);
    }
    handles
}

fn main() {
    let gate = WaitGroup::new();
    let handles = start_all(3, &gate);
    println!("{:?}", handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn each_has_the_number_of_its_turn() {
        let count = any(3..9) as usize;
        let numbers = run(move || {
            let gate = WaitGroup::new();
            gate.add(1);
            let handles = start_all(count, &gate);
            gate.done();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    }
}
