//! `group.go` adds before it starts the goroutine, and takes away when that has ended, in whatever way.

use lisle::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn add_all(parts: Vec<u64>) -> u64 {
    let (group, total) = (WaitGroup::new(), Arc::new(AtomicU64::new(0)));
    for part in parts {
        let total = Arc::clone(&total);
        group.go(move || {
            total.fetch_add(part, Ordering::Relaxed);
        });
    }
    group.wait();
    total.load(Ordering::Relaxed)
}

fn main() {
    println!("{}", add_all(vec![1, 2, 3, 4, 5]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn all_parts_are_in_the_total() {
        for count in [5, any(6..20)] {
            let parts: Vec<_> = (0..count).map(|_| any(1..100)).collect();
            let expected: u64 = parts.iter().sum();
            assert_eq!(run(move || add_all(parts)), expected);
        }
    }

    #[test]
    fn nothing_to_add_is_no_reason_to_wait() {
        assert_eq!(run(|| add_all(Vec::new())), 0);
    }
}
