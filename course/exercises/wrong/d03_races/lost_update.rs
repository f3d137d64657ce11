//! What is often tried first, and does not do.
//!
//! A lock that is released between the look and the write protects each of them, and not the two together.

use lisle::sync::Mutex;
use support::think;

#[derive(Default)]
struct Counter(Mutex<u64>);

impl Counter {
    fn add_one(&self) {
        let seen = *self.0.lock().unwrap();
        think();
        *self.0.lock().unwrap() = seen + 1;
    }

    fn value(&self) -> u64 {
        *self.0.lock().unwrap()
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
