//! `move` copies the number into each closure when the closure is made.

use lisle::JoinHandle;
use lisle::sync::WaitGroup;

fn start_all(count: usize, gate: &WaitGroup) -> Vec<JoinHandle<usize>> {
    (0..count)
        .map(|number| {
            let gate = gate.clone();
            lisle::go(move || {
                gate.wait();
                number
            })
        })
        .collect()
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
