//! `blocking` runs the call on a thread made for it.

use std::time::Duration;

/// From a library that knows nothing of goroutines.
fn slow_call() -> u64 {
    std::thread::sleep(Duration::from_millis(200));
    42
}

fn fetch() -> u64 {
    lisle::blocking(slow_call)
}

fn main() {
    println!("{}", fetch());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use support::run;

    #[test]
    fn the_neighbour_goes_on_meanwhile() {
        let (answer, ticks) = run(|| {
            let ticks = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&ticks);
            lisle::go(move || {
                for _ in 0..100 {
                    counted.fetch_add(1, Relaxed);
                    lisle::time::sleep(Duration::from_millis(10));
                }
            });
            while ticks.load(Relaxed) == 0 {
                lisle::yield_now(); // until the neighbour has begun
            }
            (fetch(), ticks.load(Relaxed))
        });
        assert_eq!(answer, 42);
        assert!(ticks >= 5, "the neighbour had its turn {ticks} times in 200 ms");
    }
}
