//! An atomic is changed through a shared reference, in one step that nobody can interrupt.

use std::sync::atomic::{AtomicU64, Ordering};

fn count(goroutines: u64, times: u64) -> u64 {
    let counter = AtomicU64::new(0);
    lisle::scope(|s| {
        for _ in 0..goroutines {
            s.go(|| {
                (0..times).for_each(|_| {
                    counter.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
    });
    counter.into_inner()
}

fn main() {
    println!("{}", count(4, 1000));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn no_addition_is_lost() {
        let (goroutines, times) = (any(2..9), any(10..1000));
        assert_eq!(run(move || count(goroutines, times)), goroutines * times);
    }
}
