//! A lost update.
//!
//! All of this is safe code, and every step of it is atomic. Additions are lost all the same.

use std::sync::atomic::{AtomicU64, Ordering};
use support::think;

#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add_one(&self) {
        // TODO: nobody should come in between.
        let seen = self.0.load(Ordering::SeqCst);
        think();
        self.0.store(seen + 1, Ordering::SeqCst);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn main() {
    let counter = Counter::default();
    lisle::scope(|s| (0..10).for_each(|_| drop(s.go(|| counter.add_one()))));
    println!("{} of 10", counter.value());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn no_addition_is_lost() {
        let goroutines = any(2..20);
        let counted = run(move || {
            let counter = Counter::default();
            lisle::scope(|s| {
                for _ in 0..goroutines {
                    s.go(|| counter.add_one());
                }
            });
            counter.value()
        });
        assert_eq!(counted, goroutines);
    }
}
