//! How long goroutines wait: the block profile, the mutex profile, and the histogram of wake latencies.
//!
//! All three are off until somebody asks, and cost nothing then: a worker looks every now and then whether it is to take
//! notes (`sched/worker/watch.rs`), and a lock looks when it is let go of and somebody waits for it.
//!
//! # What a profile counts, as in Go
//! - *block*: the time that goroutines waited for others, at the stack of the wait, told when it is over. A wait as long
//!   as the rate or longer is always counted; a shorter one with the probability of its length to the rate, and then for
//!   as many as it stands for.
//! - *mutex*: the time that others waited for a lock, at the stack of the one who held it, as it let go. One of so many
//!   waits is counted, for that many.
//!
//! Waits of plain OS threads are not in the block profile.

use super::profile::{Key, LIMIT, Profile, Shown, Unit};
use super::walk;
use crate::sched::g::G;
use crate::sched::worker::Worker;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const UNITS: &[Unit] = &[("contentions", "count"), ("delay", "nanoseconds")];

/// In nanoseconds; 0: off.
static BLOCK_RATE: AtomicU64 = AtomicU64::new(0);
/// 0: off.
static MUTEX_FRACTION: AtomicU32 = AtomicU32::new(0);
/// Until when latencies are measured, as `clock::as_nanos` has it; 0: they are not.
static LATENCIES_UNTIL: AtomicU64 = AtomicU64::new(0);

/// For how long latencies are measured after somebody has asked for them.
const INTEREST: Duration = Duration::from_secs(60);

/// Turns the block profile on, or off with `None` or a rate of zero: it then has one sample, on average, for each `rate`
/// that a goroutine spends waiting for others (a rate of a nanosecond: each wait). Go's `runtime.SetBlockProfileRate`.
///
/// Off is the default. While it is on, each slice of a goroutine costs some 100 ns more, and each sample about as much
/// again. What was counted before stays.
///
/// ```
/// use lisle::{channel, debug, go};
/// use std::time::Duration;
///
/// debug::set_block_profile_rate(Some(Duration::from_micros(10)));
/// let (sender, receiver) = channel::bounded(0);
/// let waiter = go(move || receiver.recv());
/// lisle::time::sleep(Duration::from_millis(20));
/// sender.send(1).unwrap();
/// waiter.join().unwrap().unwrap();
/// # let mut file = Vec::new();
/// debug::write_profile(debug::ProfileKind::Block, &mut file).unwrap();
/// debug::set_block_profile_rate(None);
/// ```
pub fn set_block_profile_rate(rate: Option<Duration>) {
    let nanos = rate.map_or(0, |rate| u64::try_from(rate.as_nanos()).unwrap_or(u64::MAX));
    super::unwind::refresh();
    BLOCK_RATE.store(nanos, Relaxed);
}

/// Turns the mutex profile on: one of so many waits for a [`Mutex`](crate::sync::Mutex) or an
/// [`RwLock`](crate::sync::RwLock) is counted, at the stack of the holder that let go of it. 0, the default, turns it off.
/// Returns what was set before. Go's `runtime.SetMutexProfileFraction`.
///
/// While it is on, a wait for a lock costs some 50 ns more, and each sample some microseconds, both of them beside the
/// lock and not under it. What was counted before stays.
pub fn set_mutex_profile_fraction(fraction: u32) -> u32 {
    super::unwind::refresh();
    MUTEX_FRACTION.swap(fraction, Relaxed)
}

// ---- who watches ----

pub(crate) fn block_profile_is_on() -> bool {
    BLOCK_RATE.load(Relaxed) != 0
}

/// Whether workers may have something to time.
#[inline]
pub(crate) fn are_timed() -> bool {
    block_profile_is_on() || LATENCIES_UNTIL.load(Relaxed) != 0
}

/// Somebody asks for wake latencies: they are measured for a while.
pub(crate) fn want_latencies() {
    LATENCIES_UNTIL.store(crate::clock::as_nanos(Instant::now() + INTEREST), Relaxed);
}

pub(crate) fn latencies_are_wanted() -> bool {
    let until = LATENCIES_UNTIL.load(Relaxed);
    if until == 0 {
        return false;
    }
    let wanted = crate::clock::as_nanos(Instant::now()) < until;
    if !wanted {
        let _ = LATENCIES_UNTIL.compare_exchange(until, 0, Relaxed, Relaxed);
    }
    wanted
}

// ---- wake latencies ----

/// Upper bounds of the histogram's buckets, in nanoseconds; a last one has no bound.
pub(crate) const BOUNDS: [u64; 16] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    1_000_000_000,
];

static LATENCIES: [AtomicU64; BOUNDS.len() + 1] = [const { AtomicU64::new(0) }; BOUNDS.len() + 1];
static LATENCY_SUM: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count_latency(latency: Duration) {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    let bucket = BOUNDS.iter().position(|&bound| nanos <= bound).unwrap_or(BOUNDS.len());
    LATENCIES[bucket].fetch_add(1, Relaxed);
    LATENCY_SUM.fetch_add(nanos, Relaxed);
}

/// The counts of the buckets, and the sum of all latencies in nanoseconds.
pub(crate) fn latencies() -> ([u64; BOUNDS.len() + 1], u64) {
    (std::array::from_fn(|bucket| LATENCIES[bucket].load(Relaxed)), LATENCY_SUM.load(Relaxed))
}

// ---- profiles ----

/// By stack: how many waits, and how many nanoseconds. None before the first.
type Counts = Option<HashMap<Box<[usize]>, [f64; 2]>>;
type Table = Mutex<Counts>;

static BLOCKED: Table = Mutex::new(None);
static CONTENDED: Table = Mutex::new(None);

fn lock(table: &Table) -> MutexGuard<'_, Counts> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts `count` waits that took so many nanoseconds together.
fn add(table: &Table, stack: &[usize], count: f64, nanos: f64) {
    let mut table = lock(table);
    let table = table.get_or_insert_default();
    // What is beyond the limit counts without a stack.
    let stack = if table.len() < LIMIT || table.contains_key(stack) { stack } else { &[] };
    let numbers = match table.get_mut(stack) {
        Some(numbers) => numbers,
        None => table.entry(stack.into()).or_default(),
    };
    *numbers = [numbers[0] + count, numbers[1] + nanos];
}

fn profile(name: &'static str, table: &Table, off: bool, how: &str) -> Profile {
    let mut profile = Profile::new(name, UNITS, Shown::CallsOfTheUser);
    for (stack, [count, nanos]) in lock(table).iter().flatten() {
        let mark = stack.is_empty().then(|| "[stack not known]".to_owned());
        profile.add(Key { stack: stack.clone(), mark, ..Key::default() }, [count.round() as i64, nanos.round() as i64]);
    }
    if off {
        profile.comments.push(format!("nothing is being counted; turn it on with {how}"));
    }
    profile
}

pub(crate) fn block_profile() -> Profile {
    profile("block", &BLOCKED, !block_profile_is_on(), "debug::set_block_profile_rate")
}

pub(crate) fn mutex_profile() -> Profile {
    profile("mutex", &CONTENDED, MUTEX_FRACTION.load(Relaxed) == 0, "debug::set_mutex_profile_fraction")
}

/// Whether a wait that is shorter than the rate is counted, by a random number.
fn is_chosen(nanos: u64, rate: u64, random: u32) -> bool {
    const NUMBERS: f64 = (1_u64 << u32::BITS) as f64;
    f64::from(random) / NUMBERS < nanos as f64 / rate as f64
}

/// `g`, which is about to go on, has waited for others. On its worker's own stack.
pub(crate) fn count_blocked(worker: &Worker, g: &G, waited: Duration) {
    let rate = BLOCK_RATE.load(Relaxed);
    let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX).max(1);
    if rate == 0 || nanos < rate && !is_chosen(nanos, rate, crate::park::random()) {
        return;
    }
    let (count, nanos) = if nanos < rate { (rate as f64 / nanos as f64, rate as f64) } else { (1.0, nanos as f64) };
    add(&BLOCKED, walk::of_parked(worker, g).addresses(), count, nanos);
}

/// A wait for a lock, for the mutex profile: when it began, if such waits are counted.
pub(crate) struct LockWait(Option<Instant>);

impl LockWait {
    #[inline]
    pub(crate) fn begin() -> Self {
        Self((MUTEX_FRACTION.load(Relaxed) != 0).then(Instant::now))
    }

    /// The caller has let go of the lock, and woken who waited. It holds no lock of ours.
    #[inline]
    pub(crate) fn end(self) {
        if let Some(since) = self.0 {
            count_contended(since.elapsed());
        }
    }
}

#[cold]
fn count_contended(waited: Duration) {
    let fraction = MUTEX_FRACTION.load(Relaxed);
    if fraction == 0 || !crate::park::random().is_multiple_of(fraction) {
        return;
    }
    let (count, nanos) = (f64::from(fraction), f64::from(fraction) * waited.as_nanos() as f64);
    add(&CONTENDED, walk::of_caller().addresses(), count, nanos);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_counted_with_the_probability_of_its_length_to_the_rate() {
        let minute = 60_000_000_000;
        for (nanos, rate) in [(1, 4), (1_000, 10_000), (4_000_000_000, 5_000_000_000), (minute / 10, minute)] {
            let mut state = 7;
            let mut random = || (crate::random::splitmix64(&mut state) >> 32) as u32;
            let chosen = (0..100_000).filter(|_| is_chosen(nanos, rate, random())).count();
            let expected = 100_000.0 * nanos as f64 / rate as f64;
            assert!((chosen as f64 - expected).abs() < 1_000.0, "{chosen}, not {expected}: {nanos} of {rate}");
        }
    }
}
