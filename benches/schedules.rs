//! How many schedules a second: two goroutines, ten operations.

use lisle::sync::atomic::{AtomicUsize, Ordering};
use lisle::testing::{Config, Strategy};
use std::time::Instant;

/// Two goroutines that do five operations each.
fn ten_operations() {
    let shared = AtomicUsize::new(0);
    lisle::scope(|s| {
        for _ in 0..2 {
            s.go(|| {
                for _ in 0..5 {
                    shared.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
}

fn ten_messages() {
    let (sender, receiver) = lisle::channel::bounded(1);
    lisle::scope(|s| {
        s.go(move || (0..5).for_each(|i| sender.send(i).unwrap()));
        s.go(move || assert_eq!(receiver.iter().count(), 5));
    });
}

fn ten_locks() {
    let lock = lisle::sync::Mutex::new(0);
    lisle::scope(|s| {
        for _ in 0..2 {
            s.go(|| (0..5).for_each(|_| *lock.lock().unwrap() += 1));
        }
    });
}

fn main() {
    const SCHEDULES: u64 = 200_000;
    for (program, f) in [("atomics", ten_operations as fn()), ("channel", ten_messages), ("mutex", ten_locks)] {
        for strategy in [Strategy::Random, Strategy::Pct { depth: 3 }, Strategy::Exhaustive] {
            let start = Instant::now();
            let report = Config::new().iterations(SCHEDULES).strategy(strategy).explore(f).expect("nothing fails");
            let seconds = start.elapsed().as_secs_f64();
            let rate = report.schedules as f64 / seconds;
            println!(
                "{program:<8} {strategy:?}: {} schedules of {} steps, {rate:.0} a second",
                report.schedules, report.steps
            );
        }
    }
}
