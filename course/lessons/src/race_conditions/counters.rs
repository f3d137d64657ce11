//! One number that several goroutines count up.

use crate::lesson::{Options, Outcome};
use lisle::channel::bounded;
use lisle::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

const GOROUTINES: u64 = 4;
const TIMES: u64 = 50_000;

/// Runs four of these at once and waits for them.
fn four_times(count: impl Fn() + Sync) {
    lisle::scope(|s| {
        for _ in 0..GOROUTINES {
            s.go(&count);
        }
    });
}

pub(super) fn lost_update(_: &Options) -> Outcome {
    // ANCHOR: lost_update
    let lossy = AtomicU64::new(0);
    four_times(|| {
        for _ in 0..TIMES {
            let seen = lossy.load(Relaxed);
            lisle::yield_now(); // others come in between
            lossy.store(seen + 1, Relaxed);
        }
    });
    let exact = AtomicU64::new(0);
    four_times(|| {
        for _ in 0..TIMES {
            exact.fetch_add(1, Relaxed);
        }
    });
    // ANCHOR_END: lost_update
    let expected = GOROUTINES * TIMES;
    for (way, counted) in [("load, then store", lossy.into_inner()), ("fetch_add", exact.into_inner())] {
        println!("{way:<18} counted {counted:>7} of {expected}; lost: {}", expected - counted);
    }
    Ok(())
}

const ADDITIONS: u64 = 100_000;

pub(super) fn mutex_or_channel(_: &Options) -> Outcome {
    for (name, way) in WAYS {
        let start = Instant::now();
        let total = way();
        let each = start.elapsed().as_nanos() as f64 / (GOROUTINES * ADDITIONS) as f64;
        assert_eq!(total, GOROUTINES * ADDITIONS, "{name} must not lose anything");
        println!("{name:<34} {each:>8.1} ns for each addition; total {total}");
    }
    Ok(())
}

type Way = fn() -> u64;

const WAYS: [(&str, Way); 4] = [
    ("a mutex", by_mutex),
    ("an atomic", by_atomic),
    ("a channel to an owner", by_channel),
    ("each its own, added at the end", by_parts),
];

// ANCHOR: mutex_or_channel
fn by_mutex() -> u64 {
    let total = Mutex::new(0);
    four_times(|| (0..ADDITIONS).for_each(|_| *total.lock().unwrap() += 1));
    total.into_inner().unwrap()
}

fn by_atomic() -> u64 {
    let total = AtomicU64::new(0);
    four_times(|| {
        (0..ADDITIONS).for_each(|_| {
            total.fetch_add(1, Relaxed);
        })
    });
    total.into_inner()
}

fn by_channel() -> u64 {
    let (add, additions) = bounded::<u64>(64);
    let owner = lisle::go(move || additions.iter().sum::<u64>()); // nobody else can touch the sum
    four_times(|| (0..ADDITIONS).for_each(|_| add.send(1).unwrap()));
    drop(add); // ends the owner's loop
    owner.join().unwrap()
}

fn by_parts() -> u64 {
    let parts = Mutex::new(Vec::new());
    four_times(|| {
        let own = (0..ADDITIONS).fold(0, |sum, _| std::hint::black_box(sum + 1));
        parts.lock().unwrap().push(own);
    });
    parts.into_inner().unwrap().into_iter().sum()
}
// ANCHOR_END: mutex_or_channel
