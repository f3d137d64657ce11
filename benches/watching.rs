//! What a program pays while it is watched: `cargo bench --bench watching`.
//!
//! The CPU profile, in pairs of runs of the same work, one with the profile and one without, by turns: the processor time of the
//! whole process, which includes the signals and the thread that collects. The profiles of waits and of locks: the time of one
//! operation with the profile off, with one sample in 10 µs of waiting, and with every wait.
//!
//! What they cost when they are off is told by `ci/budget`: it counts the instructions of the same operations.

use lisle::debug::{CpuProfile, set_block_profile_rate, set_mutex_profile_fraction};
use lisle::sync::Mutex;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAIRS: usize = 10;
const ROUNDS: usize = 5;

/// Processor time of the process.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A fixed amount of work for all workers, about a second of it: computing, and talking.
fn work() {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<_> = (0..workers)
        .map(|_| {
            lisle::go(|| {
                let (sender, receiver) = lisle::channel::bounded::<u64>(0);
                let sum = lisle::go_local(move || receiver.iter().fold(0, u64::wrapping_add));
                for turn in 0..1_000_u64 {
                    let value = (0..300_000_u64).fold(turn, |x, y| black_box(x.wrapping_mul(31) ^ y));
                    sender.send(value).unwrap();
                }
                drop(sender);
                black_box(sum.join().unwrap());
            })
        })
        .collect();
    all.into_iter().for_each(|one| one.join().unwrap());
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn time_of_work(is_profiled: bool) -> f64 {
    let profile = is_profiled.then(|| CpuProfile::start().unwrap());
    let start = used();
    work();
    let took = used() - start;
    if let Some(profile) = profile {
        profile.stop(std::io::sink()).unwrap();
    }
    took.as_secs_f64()
}

fn cpu_profile() {
    work();
    let pair = |index: usize| {
        // By turns, lest whatever drifts counts for one of them.
        let is_first = index.is_multiple_of(2);
        let (first, second) = (time_of_work(is_first), time_of_work(!is_first));
        let (with, without) = if is_first { (first, second) } else { (second, first) };
        (with / without - 1.0) * 100.0
    };
    let mut all: Vec<f64> = (0..PAIRS).map(pair).collect();
    all.sort_by(f64::total_cmp);
    println!(
        "CPU profile, 100 samples a second: {:+.2} % processor time, median of {PAIRS} pairs ({:+.2} to {:+.2})",
        median(all.clone()),
        all[0],
        all[PAIRS - 1]
    );
}

/// Nanoseconds of a message between two goroutines of one worker, both of whom wait each time.
fn handover() -> f64 {
    const COUNT: u32 = 200_000;
    let handle = lisle::go(|| {
        let (sender, receiver) = lisle::channel::bounded::<u32>(0);
        let other = lisle::go_local(move || receiver.iter().map(u64::from).sum::<u64>());
        let start = Instant::now();
        (0..COUNT).for_each(|number| sender.send(number).unwrap());
        let took = start.elapsed();
        drop(sender);
        black_box(other.join().unwrap());
        took.as_nanos() as f64 / f64::from(COUNT)
    });
    handle.join().unwrap()
}

/// Nanoseconds of a turn of a lock for which another goroutine of the same worker waits each time.
fn contended() -> f64 {
    const COUNT: u32 = 50_000;
    let turns = |lock: &Mutex<u64>| {
        for _ in 0..COUNT {
            let mut guard = lock.lock().unwrap();
            *guard += 1;
            lisle::yield_now();
        }
    };
    let handle = lisle::go(move || {
        let lock = Arc::new(Mutex::new(0));
        let start = Instant::now();
        let other = lisle::go_local({
            let lock = Arc::clone(&lock);
            move || turns(&lock)
        });
        turns(&lock);
        other.join().unwrap();
        start.elapsed().as_nanos() as f64 / f64::from(2 * COUNT)
    });
    handle.join().unwrap()
}

fn rounds(one: fn() -> f64) -> f64 {
    one();
    median((0..ROUNDS).map(|_| one()).collect())
}

fn waits() {
    let set_block = |rate| {
        set_block_profile_rate(Some(rate));
        rounds(handover)
    };
    let all = [Duration::ZERO, Duration::from_micros(10), Duration::from_nanos(1)].map(set_block);
    set_block_profile_rate(None);
    println!(
        "block profile: a handover takes {:.0} ns off, {:.0} at 10 µs, {:.0} with every wait",
        all[0], all[1], all[2]
    );
    let set_mutex = |fraction| {
        set_mutex_profile_fraction(fraction);
        rounds(contended)
    };
    let all = [0, 100, 1].map(set_mutex);
    set_mutex_profile_fraction(0);
    println!(
        "mutex profile: a turn of a contended lock takes {:.0} ns off, {:.0} at 1 in 100, {:.0} with every one",
        all[0], all[1], all[2]
    );
}

fn main() {
    // `cargo test` runs benches, too: with nothing to measure.
    if std::env::args().any(|argument| argument == "--bench") {
        cpu_profile();
        waits();
    }
}
