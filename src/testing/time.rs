//! [`virtual_time`] and [`wait`]: tests in which time passes when nobody has anything to do.

use super::explorer::Plan;
use super::host::with_explorer;
use crate::observe::{self, Op};
use crate::park::{WaitReason, park};
use crate::race::detector::Edge;
use std::panic::Location;

/// Steps after which it is a livelock: some seconds.
const MOST_STEPS: u64 = 50_000_000;

/// Runs `f`, and the goroutines that it starts, with a clock that stands still while any of them can run, and goes on to
/// the next timer when all wait. Go's `testing/synctest.Test`.
///
/// Goroutines take turns where they wait, on one thread: the same each time. For other interleavings call [`check`], whose
/// clock is the same; within a check this simply calls `f`. What waits durably, and what can be done here at all, stands
/// in the [module](super).
///
/// # Panics
/// If `f` panics, with its payload. If all wait and no timer will wake one, or goroutines are left over that wait for
/// ever when `f` has returned, or a goroutine has panicked and nobody joined it: with a text that says who. If the system
/// refuses a thread.
///
/// [`check`]: super::check()
///
/// ```
/// use lisle::{context, testing::virtual_time, time};
/// use std::time::Duration;
///
/// const HOUR: Duration = Duration::from_secs(3600);
/// virtual_time(|| {
///     let start = time::now();
///     let (ctx, _cancel) = context::with_timeout(&context::background(), HOUR);
///     let mut attempts = 0;
///     while ctx.sleep(Duration::from_secs(60)).is_ok() {
///         attempts += 1; // and every one fails
///     }
///     assert_eq!(attempts, 59);
///     assert_eq!(time::now() - start, HOUR);
/// });
/// ```
#[track_caller]
pub fn virtual_time<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if observe::is_explored() {
        return f();
    }
    let created_at = Location::caller();
    let (result, problem) = with_explorer(move |explorer, worker| {
        let mut result = None;
        let plan = Plan { most_steps: MOST_STEPS, prints_panics: true, ..Plan::nothing() };
        let main = || result = Some(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
        let outcome = explorer.explore(worker, plan, created_at, main);
        (result, outcome.problem.map(|problem| problem.to_string()))
    });
    match (result, problem) {
        (Some(Err(payload)), _) => std::panic::resume_unwind(payload),
        (_, Some(problem)) => panic!("{problem}"),
        (Some(Ok(value)), None) => value,
        (None, None) => unreachable!("what does not end has a problem"),
    }
}

/// Waits until all other goroutines of the test have ended or wait durably. Go's `testing/synctest.Wait`. Time does not
/// go on meanwhile.
///
/// What the others have done happens before what follows.
///
/// # Panics
/// Outside of [`virtual_time`] and [`check`](super::check()): nobody would know there when all wait.
///
/// ```
/// use lisle::testing::{virtual_time, wait};
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
/// virtual_time(|| {
///     let (ctx, cancel) = lisle::context::with_cancel(&lisle::context::background());
///     let called = Arc::new(AtomicBool::new(false));
///     let flag = Arc::clone(&called);
///     lisle::context::after_func(&ctx, move || flag.store(true, Ordering::Relaxed)).detach();
///     wait();
///     assert!(!called.load(Ordering::Relaxed));
///     cancel.cancel();
///     wait(); // for the call, which runs in a goroutine of its own
///     assert!(called.load(Ordering::Relaxed));
/// });
/// ```
#[track_caller]
pub fn wait() {
    assert!(
        observe::is_explored(),
        "testing::wait was called outside of testing::virtual_time and testing::check: nobody knows there when all wait"
    );
    observe::touch(Op::Wait, &());
    let id = crate::park::with_current(|g| g.id);
    observe::with_explorer(|explorer| explorer.settle(id));
    while observe::with_explorer(|explorer| explorer.is_settling(id)) == Some(true) {
        park(WaitReason::Park);
    }
    observe::tell(Edge::AcquireAll);
}
