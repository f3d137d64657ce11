//! What the feature `race` costs: run it with and without, and compare.
//!
//! ```sh
//! cargo bench --bench race && cargo bench --bench race --features race
//! ```

use lisle::race::Cell;
use lisle::sync::{Mutex, WaitGroup};
use lisle::{channel, go, scope};
use std::sync::Arc;
use std::time::Instant;

fn messages(capacity: usize, senders: usize, count: usize) {
    let (sender, receiver) = channel::bounded(capacity);
    scope(|s| {
        for _ in 0..senders {
            let sender = sender.clone();
            s.go(move || (0..count / senders).for_each(|i| sender.send(i).unwrap()));
        }
        drop(sender);
        s.go(move || assert_eq!(receiver.iter().count(), count));
    });
}

fn locks(count: usize) {
    let lock = Arc::new(Mutex::new(0));
    go(move || (0..count).for_each(|_| *lock.lock().unwrap() += 1)).join().unwrap();
}

/// Each time unlocked, so that each use is one that is noted.
fn guarded_uses(count: usize) {
    let (lock, cell) = (Mutex::new(()), Cell::new(0));
    let work = || {
        for _ in 0..count / 2 {
            let _guard = lock.lock().unwrap();
            cell.set(cell.get() + 1);
        }
    };
    scope(|s| {
        s.go(work);
        s.go(work);
    });
    assert_eq!(cell.get(), count / 2 * 2);
}

fn joins(count: usize) {
    go(move || (0..count).for_each(|_| go(|| ()).join().unwrap())).join().unwrap();
}

fn many_at_once(count: usize) {
    let group = WaitGroup::new();
    (0..count).for_each(|_| group.go(|| ()));
    group.wait();
}

/// Its name, how often it does it, and how.
type Work = (&'static str, usize, fn(usize));

fn main() {
    let works: [Work; 7] = [
        ("message, no buffer", 500_000, |count| messages(0, 1, count)),
        ("message, buffer of 100", 1_000_000, |count| messages(100, 1, count)),
        ("message, 4 senders", 1_000_000, |count| messages(100, 4, count)),
        ("lock, uncontended", 1_000_000, locks),
        ("lock, read, write, unlock", 100_000, guarded_uses),
        ("start and join", 100_000, joins),
        ("start many, wait for all", 100_000, many_at_once),
    ];
    println!("feature race: {}", if cfg!(feature = "race") { "on" } else { "off" });
    for (name, count, work) in works {
        work(count / 10);
        let mut times = [(); 5].map(|()| {
            let start = Instant::now();
            work(count);
            start.elapsed().as_secs_f64()
        });
        times.sort_by(f64::total_cmp);
        println!("{name:<28} {:>10.1} ns", times[2] * 1e9 / count as f64);
    }
}
