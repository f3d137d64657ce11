//! Waiting for time to pass, and doing something later. Go's package `time`, as far as `std::time` is not it already.
//!
//! - [`sleep`], [`sleep_until`]: wait. [`now`]: the present.
//! - [`Timer`], [`Ticker`]: channels that get a message at a time, or every so often, and can be set anew. (For one
//!   that is not set anew there are [`channel::after`](crate::channel::after), `at` and `tick`.)
//! - [`after_func()`]: a call that is made later.
//! - A limit for a whole piece of work: [`context::with_timeout`](crate::context::with_timeout).
//!
//! There is no timer thread: each worker keeps the timers of its own goroutines, the workers of a runtime keep its
//! later calls together, and an idle worker sleeps until the first is due.

mod after_func;
mod timer;

pub use after_func::{AfterFunc, after_func};
pub use timer::{Ticker, Timer};

use crate::observe::{self, Op};
use crate::park::{WaitReason, park_until};
use std::time::{Duration, Instant};

/// The present, by the clock that all of this module goes by: [`Instant::now`], or, within
/// [`testing::virtual_time`](crate::testing::virtual_time) and [`testing::check`](crate::testing::check), the test's.
///
/// ```
/// use std::time::Duration;
/// lisle::testing::virtual_time(|| {
///     let start = lisle::time::now();
///     lisle::time::sleep(Duration::from_secs(3600));
///     assert_eq!(lisle::time::now() - start, Duration::from_secs(3600));
/// });
/// ```
#[must_use]
pub fn now() -> Instant {
    crate::clock::now()
}

/// Waits for at least `duration`. A goroutine lets others run meanwhile; an OS thread blocks.
///
/// It wakes as soon after that as its worker gets to it: within some tens of microseconds if the worker is
/// free. A duration too long for the clock to express means for ever.
///
/// Cost: about 0.5 µs, and no memory beyond a timer of 40 bytes.
///
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// lisle::go(|| lisle::time::sleep(Duration::from_millis(5))).join().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    match crate::clock::deadline(duration) {
        Some(deadline) => sleep_until(deadline),
        None => loop {
            park_until(WaitReason::Sleep, None);
        },
    }
}

/// Waits until `deadline`. If that has passed already, it only lets others run.
///
/// ```
/// use std::time::{Duration, Instant};
/// let tea_time = Instant::now() + Duration::from_millis(2);
/// lisle::run(|| lisle::time::sleep_until(tea_time));
/// assert!(Instant::now() >= tea_time);
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    observe::touch(Op::Sleep, &());
    if deadline <= crate::clock::now() {
        return crate::park::yield_now();
    }
    // Stray tokens only make it look at the clock again.
    while crate::clock::now() < deadline {
        park_until(WaitReason::Sleep, Some(deadline));
    }
}
