//! What the feature `race` costs: run it with and without, and compare.
//!
//! ```sh
//! cargo bench --bench race && cargo bench --bench race --features race
//! ```
//!
//! With a word of their names after `--`, only some of it. Several rounds, of which each runs every work once; told are the
//! processor's time, which is nearly the same on a machine that has other work, and the time that passed: the medians.

use lisle::race::Cell;
use lisle::sync::{Mutex, WaitGroup};
use lisle::{channel, go, scope};
use std::sync::Arc;
use std::time::Instant;

const UNBOUNDED: usize = usize::MAX;

/// How often each uses a variable of its own that is looked at. Once is enough for clocks to pass along with all messages.
#[derive(Clone, Copy, PartialEq)]
enum Uses {
    Never,
    Once,
    Always,
}

/// `senders` send to as many receivers.
fn messages(capacity: usize, senders: usize, uses: Uses, count: usize) {
    let (sender, receiver) = if capacity == UNBOUNDED { channel::unbounded() } else { channel::bounded(capacity) };
    scope(|s| {
        for _ in 0..senders {
            let (sender, mine) = (sender.clone(), Cell::new(0));
            s.go(move || {
                for i in 0..count / senders {
                    if uses == Uses::Always || uses == Uses::Once && i == 0 {
                        mine.set(i);
                    }
                    sender.send(i).unwrap();
                }
            });
            let (receiver, mine) = (receiver.clone(), Cell::new(0));
            s.go(move || {
                for (k, i) in receiver.iter().enumerate() {
                    if uses == Uses::Always || uses == Uses::Once && k == 0 {
                        mine.set(i);
                    }
                }
            });
        }
        drop((sender, receiver));
    });
}

fn contended_locks(goroutines: usize, count: usize) {
    let lock = Mutex::new(0);
    scope(|s| {
        for _ in 0..goroutines {
            // As above: once used, a variable has clocks pass along.
            Cell::new(0).set(1);
            s.go(|| (0..count / goroutines).for_each(|_| *lock.lock().unwrap() += 1));
        }
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

/// Seconds that all threads have run so far.
fn processor_time() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("the threads");
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e9
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Its name, how often it does it, and how.
type Work = (&'static str, usize, fn(usize));

fn main() {
    const ROUNDS: usize = 7;
    use Uses::{Always, Never, Once};
    let works: [Work; 15] = [
        ("message, no buffer, 1 to 1", 200_000, |count| messages(0, 1, Once, count)),
        ("message, no buffer, 4 to 4", 200_000, |count| messages(0, 4, Once, count)),
        ("message, buffer, 1 to 1", 1_000_000, |count| messages(100, 1, Once, count)),
        ("message, buffer, 4 to 4", 1_000_000, |count| messages(100, 4, Once, count)),
        ("message, unbounded, 4 to 4", 1_000_000, |count| messages(UNBOUNDED, 4, Once, count)),
        ("no variables, no buffer, 4 to 4", 200_000, |count| messages(0, 4, Never, count)),
        ("no variables, buffer, 4 to 4", 1_000_000, |count| messages(100, 4, Never, count)),
        ("use and message, no buffer, 4 to 4", 50_000, |count| messages(0, 4, Always, count)),
        ("use and message, buffer, 4 to 4", 100_000, |count| messages(100, 4, Always, count)),
        ("lock, uncontended", 1_000_000, locks),
        ("lock, 2 goroutines", 1_000_000, |count| contended_locks(2, count)),
        ("lock, 8 goroutines", 1_000_000, |count| contended_locks(8, count)),
        ("lock, read, write, unlock", 100_000, guarded_uses),
        ("start and join", 100_000, joins),
        ("start many, wait for all", 100_000, many_at_once),
    ];
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let works: Vec<Work> = works.into_iter().filter(|(name, ..)| name.contains(&wanted)).collect();
    println!("feature race: {}", if cfg!(feature = "race") { "on" } else { "off" });
    let mut times = vec![(Vec::new(), Vec::new()); works.len()];
    for round in 0..=ROUNDS {
        for ((_, count, work), (ran, passed)) in works.iter().zip(&mut times) {
            let (start, ran_before) = (Instant::now(), processor_time());
            work(*count);
            // The first warms up.
            if round > 0 {
                ran.push((processor_time() - ran_before) * 1e9 / *count as f64);
                passed.push(start.elapsed().as_secs_f64() * 1e9 / *count as f64);
            }
        }
    }
    for ((name, ..), (ran, passed)) in works.iter().zip(times) {
        println!("{name:<36} {:>9.1} ns of processor time, {:>9.1} ns", median(ran), median(passed));
    }
}
