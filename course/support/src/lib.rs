//! What the tests of the exercises share. Nothing here has to be changed.

mod inside;

pub use inside::{Stack, cpu_profile, dump_if_late, goroutine_profile, profile_if_late};

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// For how long an exercise may run.
const LIMIT: Duration = Duration::from_secs(3);

/// Runs `f` as a goroutine of a runtime of its own with one worker, so that luck plays no part, and gives back its result.
///
/// # Panics
/// If `f` does, with its message; or if it has not ended after 3 seconds.
#[track_caller]
pub fn run<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    run_alone(f, Duration::ZERO).0
}

/// Runs `f` as [`run`] does, and says how many goroutines are left over half a second after its end.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn leaked<T, F>(f: F) -> usize
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The result may hold what the goroutines wait for: it is kept until they have been counted.
    run_alone(f, Duration::from_millis(500)).1
}

#[track_caller]
fn run_alone<T, F>(f: F, patience: Duration) -> (T, usize)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    within_limit(move || {
        let runtime = lisle::Config::new().workers(1).start().expect("a runtime");
        let value = runtime.run(f);
        (value, runtime.shutdown(patience))
    })
}

/// Calls `f` on a thread of its own, and gives back its result.
///
/// # Panics
/// If `f` does, with its message; or if it has not ended after 3 seconds.
#[track_caller]
pub fn within_limit<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    within(LIMIT, f)
}

/// As [`within_limit`], with another limit.
///
/// # Panics
/// As there.
#[track_caller]
pub fn within<T, F>(limit: Duration, f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    within_or(later_than(limit), f, || {
        panic!("after {limit:?} it still waits, and would for ever. Who waits for whom, and who should have come?")
    })
}

/// Whether so much time has passed since this call.
fn later_than(limit: Duration) -> impl Fn() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= limit
}

/// As [`within`], but when it is late, and what there is to say then, is told by the other two.
#[track_caller]
fn within_or<T, F>(is_late: impl Fn() -> bool, f: F, too_late: impl FnOnce() -> T) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (outcome, outcomes) = channel();
    thread::spawn(move || outcome.send(catch_unwind(AssertUnwindSafe(f))));
    loop {
        match outcomes.recv_timeout(Duration::from_millis(20)) {
            Ok(Ok(value)) => return value,
            Ok(Err(payload)) => resume_unwind(payload), // its message has been printed
            Err(RecvTimeoutError::Timeout) if is_late() => return too_late(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without a result"),
        }
    }
}

/// What a panic said.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// A number that nobody can know beforehand.
pub fn any(range: Range<u64>) -> u64 {
    range.start + RandomState::new().hash_one(0) % (range.end - range.start)
}

/// Some of them.
pub fn any_numbers(how_many: Range<u64>) -> Vec<u64> {
    (0..any(how_many)).map(|_| any(0..1000)).collect()
}

/// Takes its time: others run meanwhile.
pub fn think() {
    for _ in 0..3 {
        lisle::yield_now();
    }
}
