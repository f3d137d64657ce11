//! [`after_func`]: a call that is made later.

use crate::observe::{self, Op};
use crate::runtime::with_scheduler;
use crate::sched::deferred::DeferredCall;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Calls `f` after `duration`, in a goroutine of its own. Go's `time.AfterFunc`.
///
/// It belongs to the caller's runtime (that of the calling goroutine, or the global one). Until it is due there is no
/// goroutine, and [`num_goroutines`](crate::num_goroutines) does not count it. If the runtime is shut down before, `f`
/// is dropped, never run late. A duration too long for the clock to express means never.
///
/// It starts within some tens of microseconds after it is due if a worker is free. If all workers compute, or block
/// outside lisle, it starts as other fresh work does then: by a replacement worker, some 10 to 60 ms later.
///
/// Cost: one allocation or two and 0.1–0.3 µs; the goroutine comes when it is due. If no other call comes before it, an
/// idle worker is told of it, by a system call.
///
/// # Panics
/// If the runtime cannot start, or is shut down.
///
/// ```
/// use lisle::{channel, time::after_func};
/// use std::time::Duration;
/// let (sender, receiver) = channel::bounded(1);
/// after_func(Duration::from_millis(2), move || sender.send("later").unwrap()).detach();
/// assert_eq!(receiver.recv(), Ok("later"));
/// ```
#[track_caller]
pub fn after_func<F>(duration: Duration, f: F) -> AfterFunc
where
    F: FnOnce() + Send + 'static,
{
    let at = crate::clock::deadline_or_never(duration);
    let created_at = Location::caller();
    match with_scheduler(|scheduler| scheduler.defer(at, created_at, Box::new(f))) {
        Ok(call) => AfterFunc { call: Mutex::new(call), detached: false },
        Err(error) => panic!("cannot set up a call: {error}"),
    }
}

/// A call set up by [`after_func`]. Dropping it takes the call back, if it has not been started.
#[must_use = "dropping it takes the call back; to leave it alone, call `detach`"]
pub struct AfterFunc {
    call: Mutex<DeferredCall>,
    detached: bool,
}

impl AfterFunc {
    fn lock(&self) -> MutexGuard<'_, DeferredCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the call back. True: it has been taken back by this call, and will never run; the closure is dropped.
    /// False: it has been started (perhaps it has not ended: this does not wait for it), or taken back before.
    #[track_caller]
    pub fn stop(&self) -> bool {
        // Dropped at the end, when no lock is held any more.
        observe::touch(Op::AfterFunc, self);
        let call = self.lock().take();
        call.is_some()
    }

    /// Moves the call to `duration` from now. False: it is too late, the call has been started or taken back. (Go
    /// would make it again; a `FnOnce` is made once.)
    #[must_use = "it says whether there was still a call to move"]
    pub fn reset(&self, duration: Duration) -> bool {
        observe::touch(Op::AfterFunc, self);
        let at = crate::clock::deadline_or_never(duration);
        self.lock().move_to(at)
    }

    /// Leaves the call alone: it will be made.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for AfterFunc {
    fn drop(&mut self) {
        if !self.detached {
            self.stop();
        }
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}

impl UnwindSafe for AfterFunc {}
impl RefUnwindSafe for AfterFunc {}
