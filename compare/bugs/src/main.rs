//! Schedules and seconds that lisle, shuttle and loom take to find the same bugs, in one run on one machine.
//!
//! lisle and shuttle choose at random: the median of 20 seeds, shuttle's both as a random walk and by PCT of depth 3. loom
//! searches exhaustively, with partial-order reduction, and always finds a bug in the same schedule.

#[macro_use]
mod programs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

mod in_lisle {
    mod prelude {
        pub use lisle::channel::{bounded as sync_channel, unbounded as channel};
        pub use lisle::race::Cell as Variable;
        pub use lisle::sync::atomic::AtomicUsize;
        pub use lisle::sync::{Barrier, Condvar, Mutex, Once, RwLock};
        pub use lisle::{go as spawn, yield_now};
        pub use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

        pub fn join<T>(handle: lisle::JoinHandle<T>) {
            assert!(handle.join().is_ok(), "a goroutine panicked");
        }
    }

    programs!();
    messages!();
    races!();
}

mod in_shuttle {
    mod prelude {
        pub use shuttle::sync::atomic::AtomicUsize;
        pub use shuttle::sync::mpsc::{channel, sync_channel};
        pub use shuttle::sync::{Barrier, Condvar, Mutex, Once, RwLock};
        pub use shuttle::thread::{spawn, yield_now};
        pub use std::sync::atomic::Ordering::SeqCst;

        pub fn join<T>(handle: shuttle::thread::JoinHandle<T>) {
            assert!(handle.join().is_ok(), "a thread panicked");
        }
    }

    programs!();
    messages!();
}

mod in_loom {
    mod prelude {
        pub use loom::sync::atomic::AtomicUsize;
        pub use loom::sync::mpsc::channel;
        pub use loom::sync::{Condvar, Mutex, RwLock};
        pub use loom::thread::{spawn, yield_now};
        pub use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

        pub fn join<T>(handle: loom::thread::JoinHandle<T>) {
            assert!(handle.join().is_ok(), "a thread panicked");
        }

        pub struct Variable(loom::cell::UnsafeCell<usize>);

        // SAFETY: loom runs one thread at a time, and reports uses that nothing orders.
        unsafe impl Sync for Variable {}

        impl Variable {
            pub fn new(value: usize) -> Self {
                Self(loom::cell::UnsafeCell::new(value))
            }

            pub fn get(&self) -> usize {
                // SAFETY: as above.
                self.0.with(|value| unsafe { *value })
            }

            pub fn set(&self, value: usize) {
                // SAFETY: as above.
                self.0.with_mut(|place| unsafe { *place = value });
            }
        }
    }

    programs!();
    races!();
}

const SEEDS: u64 = 20;
const MOST: usize = 10_000;

/// Schedules until the bug was found, and seconds.
type Found = Option<(u64, f64)>;

fn median(mut run: impl FnMut(u64) -> Found) -> Found {
    let mut all = (1..=SEEDS).map(&mut run).collect::<Option<Vec<_>>>()?;
    all.sort_by_key(|found| found.0);
    let schedules = all[all.len() / 2].0;
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    Some((schedules, all[all.len() / 2].1))
}

fn in_lisle(program: fn(), seed: u64) -> Found {
    let start = Instant::now();
    let config = lisle::testing::Config::new().seed(seed).iterations(MOST as u64).shrink(false);
    let failure = config.explore(program).err()?;
    Some((failure.schedules(), start.elapsed().as_secs_f64()))
}

/// Runs what calls its argument for each schedule, until one panics.
fn counted(run: impl FnOnce(&'static AtomicU64)) -> Found {
    static SCHEDULES: AtomicU64 = AtomicU64::new(0);
    SCHEDULES.store(0, Ordering::Relaxed);
    let start = Instant::now();
    let failed = catch_unwind(AssertUnwindSafe(|| run(&SCHEDULES))).is_err();
    failed.then(|| (SCHEDULES.load(Ordering::Relaxed), start.elapsed().as_secs_f64()))
}

fn in_shuttle(program: fn(), scheduler: impl shuttle::scheduler::Scheduler + 'static) -> Found {
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.silence_warnings = true;
    counted(|schedules| {
        shuttle::Runner::new(scheduler, config).run(move || {
            schedules.fetch_add(1, Ordering::Relaxed);
            program();
        });
    })
}

fn in_loom(program: fn()) -> Found {
    let mut builder = loom::model::Builder::new();
    builder.max_permutations = Some(100 * MOST);
    counted(|schedules| {
        builder.check(move || {
            schedules.fetch_add(1, Ordering::Relaxed);
            program();
        });
    })
}

fn text(found: Found) -> String {
    match found {
        Some((schedules, seconds)) => format!("{schedules} ({:.0} µs)", 1e6 * seconds),
        None => String::from("–"),
    }
}

type Programs = &'static [(&'static str, fn())];

fn find(lists: &[Programs], name: &str) -> Option<fn()> {
    lists.iter().copied().flatten().find(|(other, _)| *other == name).map(|(_, program)| *program)
}

/// What the others take, where they can run it.
fn in_others(name: &str) -> [Found; 3] {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    let shuttle = find(&[in_shuttle::ORDER, in_shuttle::MESSAGES], name);
    let random =
        shuttle.and_then(|program| median(|seed| in_shuttle(program, RandomScheduler::new_from_seed(seed, MOST))));
    let pct =
        shuttle.and_then(|program| median(|seed| in_shuttle(program, PctScheduler::new_from_seed(seed, 3, MOST))));
    let loom = find(&[in_loom::ORDER, in_loom::RACES], name);
    [random, pct, loom.and_then(in_loom)]
}

fn main() {
    // Thousands of panics, all expected.
    std::panic::set_hook(Box::new(|_| ()));
    // What is done once in a process is no part of it.
    let _ = (in_lisle(in_lisle::lost_update, 0), in_loom(in_loom::lost_update));
    println!("| bug | lisle | shuttle, random | shuttle, PCT | loom |\n| --- | ---: | ---: | ---: | ---: |");
    let (mut worse, mut slower, mut all) = (Vec::new(), Vec::new(), 0);
    let programs = || [in_lisle::ORDER, in_lisle::MESSAGES, in_lisle::RACES].into_iter().flatten();
    // First, since shuttle leaves a panic hook behind, which writes to stderr for panics of others, too.
    let ours: Vec<Found> = programs().map(|&(_, program)| median(|seed| in_lisle(program, seed))).collect();
    for (&(name, _), ours) in programs().zip(ours) {
        let others = in_others(name);
        let [random, pct, loom] = others.map(text);
        println!("| `{name}` | {} | {random} | {pct} | {loom} |", text(ours));
        all += ours.map_or(MOST as u64, |ours| ours.0);
        let best = others.into_iter().flatten().map(|found| found.0).min();
        if best.is_some_and(|best| ours.is_none_or(|ours| ours.0 > best)) {
            worse.push(name);
        }
        let fastest = others.into_iter().flatten().map(|found| found.1).min_by(f64::total_cmp);
        if fastest.is_some_and(|fastest| ours.is_none_or(|ours| ours.1 > fastest)) {
            slower.push(name);
        }
    }
    println!("\nlisle takes {all} schedules altogether; more than the best of the others for {worse:?}");
    println!("lisle takes longer than the fastest of the others for {slower:?}");
}
