//! The jobs of `compare scale`: their argument is a size; they repeat until there were enough operations.

use compare::work::{Values, per};
use lisle::channel::bounded;
use lisle::go;
use lisle::sync::{Mutex, WaitGroup};
use std::hint::black_box;
use std::time::Instant;

/// Goroutines that only report, in groups of `size`.
pub fn started(size: usize) -> Values {
    let groups = (1_000_000 / size).max(1);
    let start = Instant::now();
    for _ in 0..groups {
        let group = WaitGroup::new();
        group.add(size as i32);
        for _ in 0..size {
            let group = group.clone();
            go(move || group.done());
        }
        group.wait();
    }
    per(start, groups * size)
}

/// So many goroutines wait for messages on one channel.
pub fn waiters_channel(size: usize) -> Values {
    let messages = 1_000_000;
    let (sender, receiver) = bounded(0);
    let waiting: Vec<_> = (0..size)
        .map(|_| {
            let receiver = receiver.clone();
            go(move || {
                receiver.iter().for_each(|i: usize| {
                    black_box(i);
                })
            })
        })
        .collect();
    lisle::yield_now();
    let start = Instant::now();
    (0..messages).for_each(|i| sender.send(i).unwrap());
    let values = per(start, messages);
    drop(sender);
    for one in waiting {
        one.join().unwrap();
    }
    values
}

/// So many goroutines want one lock; its holder yields with it, so that they do wait.
pub fn waiters_mutex(size: usize) -> Values {
    let turns = (200_000 / size).max(1);
    let lock = Mutex::new(0_usize);
    let start = Instant::now();
    lisle::scope(|s| {
        for _ in 0..size {
            s.go(|| {
                for _ in 0..turns {
                    let mut guard = lock.lock().unwrap();
                    lisle::yield_now();
                    *guard += 1;
                }
            });
        }
    });
    let values = per(start, turns * size);
    assert_eq!(lock.into_inner().unwrap(), turns * size);
    values
}
