//! Tests of concurrent programs that do not depend on luck: schedules that are chosen, tried by the thousand, and run
//! again; and time that passes when the test wants it to.
//!
//! - [`check`] runs a closure again and again, each time with another interleaving of its goroutines, and finds
//!   deadlocks, lost wake-ups, goroutines that are left over, panics and failed assertions, and data races. A failure
//!   prints a line that runs the same interleaving again.
//! - [`assert_no_leaks`] runs a closure once, as usual, and expects that it leaves no goroutine behind.
//! - [`virtual_time`] runs a closure once, with a clock that stands still while anybody can run: a test of an hour's
//!   retries takes microseconds.
//!
//! ```
//! use lisle::sync::Mutex;
//! use std::sync::Arc;
//!
//! lisle::testing::check(|| {
//!     let counter = Arc::new(Mutex::new(0));
//!     let other = lisle::go({
//!         let counter = Arc::clone(&counter);
//!         move || *counter.lock().unwrap() += 1
//!     });
//!     *counter.lock().unwrap() += 1;
//!     other.join().unwrap();
//!     assert_eq!(*counter.lock().unwrap(), 2);
//! });
//! ```
//!
//! # What runs there
//! Everything of lisle's, unchanged: goroutines on their own stacks, scopes, channels, `select!`, locks, timers, contexts,
//! groups, pools. All of them run on the thread that called (for a goroutine's check, on another), and the check is their
//! scheduler: at each operation of lisle's it may let another goroutine go first, at a `try_…`, an unlock, a drop of a
//! sender, too. Between two operations a goroutine is not interrupted: so what goroutines share otherwise should be in
//! lisle's locks, in [`sync::atomic`](crate::sync::atomic), in a [`cell::UnsafeCell`](crate::cell) or a
//! [`race::Cell`](crate::race::Cell).
//!
//! The closure is called for each schedule, so what the goroutines share is to be made within it. What it returns to
//! should be as it was: `static`s and thread-locals keep their values from one schedule to the next. A schedule that fails
//! ends where it stands: its goroutines never go on, and what they hold remains held, such as a `static` lock, or a
//! borrowed thread-local of the calling thread.
//!
//! | | within |
//! | --- | --- |
//! | [`blocking`](crate::blocking()) | calls its closure at once, on the goroutine's own stack |
//! | [`Builder::own_thread`](crate::Builder::own_thread) | has no effect |
//! | [`runtime::Config::start`](crate::Config::start), [`signal`](crate::signal) | panic: they are made of threads |
//! | `std::thread` | its threads are not under control. One that wakes a goroutine of the test makes it fail; one that would is not waited for, and a deadlock is told |
//! | `std::sync::Mutex` and others of std's | block the one thread; held across an operation of lisle's, perhaps for ever (after two seconds it is told) |
//! | sockets, files, processes, `std::thread::sleep` | keep the one thread, so another goroutine of the test cannot answer meanwhile (after two seconds it is told, with the system call): put channels in their place |
//! | a wait inside [`no_switch`](crate::no_switch()), or while unwinding | makes the test fail, if somebody else has to run for it to end. (In the second case that goroutine stays where it is, and `std::thread::panicking()` remains true on the thread of the test) |
//!
//! # Time
//! `lisle::time` has a virtual clock within [`check`] and [`virtual_time`]: [`time::now`](crate::time::now) is what it
//! shows (`std::time::Instant::now` is the wall clock). It stands still while any goroutine can run. **When all goroutines
//! wait durably, it goes on to the next timer at once.** A goroutine waits *durably* when only another goroutine of the same
//! test, or the clock, can wake it: in each of lisle's waits, that is, on locks, too (in Go's `testing/synctest`, the model,
//! waits on locks do not count, since locks there may belong to others). `std`'s waits and blocking calls keep the thread:
//! nobody runs meanwhile, nor does time pass.
//!
//! When no timer is left and all wait, that is a deadlock. When the closure has returned, time does not go on any more:
//! what is ready runs, calls that were to come later ([`after_func`](crate::time::after_func())) are dropped, and who still
//! waits then is *left over*, a failure.
//!
//! # Data races
//! The [race detector](crate::race) is always on here.
//!
//! # Nondeterminism
//! Some schedules are run twice. If the test does not do the same both times, a failure could not be repeated, and it is
//! told where it differed: the order of a `HashMap`, addresses, the wall clock, statics.
//!
//! # What it costs
//! A schedule of a small test takes some microseconds in a release build, and ten times as long in a debug build: of a program
//! of two goroutines and ten operations 200,000 to 450,000 schedules in a second (`cargo bench --bench schedules`).
//! Outside of tests nothing is paid: see `observe.rs` in the sources.
//!
//! What it finds, and in how many schedules, stands on the page [bugs].
//!
//! # After loom and shuttle
//! The crates `loom` and `shuttle` have shown in Rust what schedules under control are good for; both put their own types
//! in place of std's. Here the program itself runs. `loom` also models weak memory, which is not done here: atomics have
//! the values of a sequentially consistent machine, while what their orderings publish is known to the race detector.

mod config;
pub(crate) mod driver;
pub(crate) mod explorer;
mod failure;
mod host;
mod leaks;
pub(crate) mod op;
mod pulse;
mod quiet;
mod run;
pub(crate) mod schedule;
pub(crate) mod search;
mod session;
mod shrink;
mod time;
mod trace;

#[doc = include_str!("bugs.md")]
pub mod bugs {}

pub use config::{Config, Report, Strategy};
pub use failure::{Failure, FailureKind};
pub use leaks::{LeakCheck, assert_no_leaks};
pub use time::{virtual_time, wait};

/// Runs `f` with many interleavings of its goroutines: 2,000, chosen by [`Strategy::Mixed`], always the same. For more, or
/// others, see [`Config`].
///
/// With the environment variable `LISLE_SEED` set to a schedule that a failure has printed, runs that one alone.
///
/// # Panics
/// If a schedule fails, with the text of the [`Failure`]. Or if it is called within a check, or the system refuses a
/// thread.
///
/// ```should_panic
/// use lisle::sync::Mutex;
/// // Two locks, taken in either order: some schedules end in a deadlock.
/// lisle::testing::check(|| {
///     let (a, b) = (Mutex::new(()), Mutex::new(()));
///     lisle::scope(|s| {
///         s.go(|| { let _a = a.lock(); let _b = b.lock(); });
///         s.go(|| { let _b = b.lock(); let _a = a.lock(); });
///     });
/// });
/// ```
#[track_caller]
pub fn check<F: Fn() + Send>(f: F) {
    Config::new().check(f);
}

/// Runs `f` with one interleaving: that which a failure of [`check`] has printed.
///
/// # Panics
/// If it fails, as `check` does; or if `schedule` is none.
///
/// ```
/// lisle::testing::replay("plain", || {
///     let other = lisle::go(|| 7);
///     assert_eq!(other.join().unwrap(), 7);
/// });
/// ```
#[track_caller]
pub fn replay<F: Fn() + Send>(schedule: &str, f: F) {
    if let Err(failure) = session::replay(&session::parse(schedule), f) {
        panic!("{failure}");
    }
}
