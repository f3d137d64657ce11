//! A wake-up that is lost.
//!
//! A gate: some wait until another one opens it. Run a hundred times it works a hundred times; the explorer knows better.
//! Its table shows what happens in which order.

use lisle::sync::atomic::{AtomicBool, Ordering};
use lisle::sync::{Condvar, Mutex};

#[derive(Default)]
struct Gate {
    open: AtomicBool,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.opened.notify_all();
    }

    /// Waits until it is open.
    fn pass(&self) {
        // TODO: what if it is opened between these two lines?
        let guard = self.lock.lock().unwrap();
        if !self.open.load(Ordering::SeqCst) {
            drop(self.opened.wait(guard).unwrap());
        }
    }
}

fn main() {
    let gate = Gate::default();
    lisle::scope(|s| {
        s.go(|| gate.pass());
        s.go(|| gate.open());
    });
    println!("it worked, this time");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn whoever_waits_comes_through_in_every_schedule() {
        lisle::testing::check(|| {
            let gate = Arc::new(Gate::default());
            let waiting = [(); 2].map(|()| {
                let gate = Arc::clone(&gate);
                lisle::go(move || gate.pass())
            });
            gate.open();
            waiting.into_iter().for_each(|handle| handle.join().unwrap());
        });
    }

    #[test]
    fn nobody_comes_through_before() {
        lisle::testing::check(|| {
            let (gate, is_open) = (Arc::new(Gate::default()), Arc::new(lisle::sync::atomic::AtomicBool::new(false)));
            let waiting = lisle::go({
                let (gate, is_open) = (Arc::clone(&gate), Arc::clone(&is_open));
                move || {
                    gate.pass();
                    assert!(is_open.load(std::sync::atomic::Ordering::SeqCst), "it came through a closed gate");
                }
            });
            is_open.store(true, std::sync::atomic::Ordering::SeqCst);
            gate.open();
            waiting.join().unwrap();
        });
    }
}
