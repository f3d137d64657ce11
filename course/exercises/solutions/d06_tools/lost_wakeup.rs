//! The flag is set under the lock, so nobody can be between the look and the wait when it is set.

use lisle::sync::{Condvar, Mutex};

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Waits until it is open.
    fn pass(&self) {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
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
