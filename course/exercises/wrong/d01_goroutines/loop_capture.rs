//! What is often tried first, and does not do.
//!
//! Looking before the gate is too late as well: a goroutine begins when a worker gets to it, which here is after the loop.

use lisle::JoinHandle;
use lisle::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn start_all(count: usize, gate: &WaitGroup) -> Vec<JoinHandle<usize>> {
    let number = Arc::new(AtomicUsize::new(0));
    let mut handles = Vec::new();
    while number.load(Ordering::Relaxed) < count {
        let (shared, gate) = (Arc::clone(&number), gate.clone());
        handles.push(lisle::go(move || {
            let own = shared.load(Ordering::Relaxed);
            gate.wait();
            own
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
