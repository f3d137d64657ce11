//! [`Condvar`]: waiting for a condition that a [`Mutex`](super::Mutex) guards.

use super::mutex::MutexGuard;
use super::wait_list::{Outcome, WaitList, wait_until_taken};
use crate::atomics::{self, const_fn, lock};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, unpark, unpark_all};
use std::fmt;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

/// A place to wait until another changes what a [`Mutex`](super::Mutex) guards, as [`std::sync::Condvar`].
///
/// Waiters are woken in the order in which they came. Spurious wake-ups are allowed: wait in a loop, or use
/// the `…_while` methods.
///
/// ```
/// use lisle::sync::{Condvar, Mutex};
/// let (ready, changed) = (Mutex::new(false), Condvar::new());
/// lisle::scope(|s| {
///     s.go(|| {
///         *ready.lock().unwrap() = true;
///         changed.notify_one();
///     });
///     let _ready = changed.wait_while(ready.lock().unwrap(), |ready| !*ready).unwrap();
/// });
/// ```
pub struct Condvar {
    waiters: atomics::Mutex<WaitList<Waiter>>,
}

/// Whether a wait ended because its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    const_fn! {
        /// A condition variable without waiters.
        #[must_use]
        pub const fn new() -> Self {
            Self { waiters: atomics::Mutex::new(WaitList::new()) }
        }
    }

    /// Lets go of the lock, waits to be notified, and takes the lock again.
    ///
    /// # Errors
    /// The guard all the same, if the lock is poisoned.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, None).0
    }

    /// Waits until `condition` is false. It is called with the lock held.
    ///
    /// # Errors
    /// The guard all the same, if the lock is poisoned.
    #[track_caller]
    pub fn wait_while<'a, T, F>(&self, mut guard: MutexGuard<'a, T>, mut condition: F) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), for at most `timeout`.
    ///
    /// # Errors
    /// The guard all the same, if the lock is poisoned.
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        // No deadline at all if it is too far away to be told.
        let (guard, outcome) = self.wait_until(guard, crate::clock::deadline(timeout));
        let result = WaitTimeoutResult(outcome == Outcome::TimedOut);
        match guard {
            Ok(guard) => Ok((guard, result)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
        }
    }

    /// As [`wait_while`](Self::wait_while), for at most `timeout`. The result says whether the condition
    /// still held when the time was up.
    ///
    /// # Errors
    /// The guard all the same, if the lock is poisoned.
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let deadline = crate::clock::deadline(timeout);
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if deadline.is_some_and(|deadline| deadline <= crate::clock::now()) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = match self.wait_until(guard, deadline) {
                (Ok(guard), _) => guard,
                (Err(poisoned), outcome) => {
                    let result = WaitTimeoutResult(outcome == Outcome::TimedOut);
                    return Err(PoisonError::new((poisoned.into_inner(), result)));
                }
            };
        }
    }

    /// Enters the list before the lock is let go, so that no notification in between is missed.
    #[track_caller]
    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (LockResult<MutexGuard<'a, T>>, Outcome) {
        let mutex = guard.mutex();
        observe::touch_both(Op::CondvarWait, self, &mutex.raw);
        let ticket = lock(&self.waiters).push_back(current());
        guard.unlock_to_wait();
        let outcome = wait_until_taken(&self.waiters, ticket, WaitReason::Condvar, deadline);
        if outcome == Outcome::Taken {
            observe::acquire(self);
        }
        (mutex.lock(), outcome)
    }

    /// Wakes the waiter that has waited longest, if there is one. Never waits.
    #[track_caller]
    pub fn notify_one(&self) {
        let is_watched = observe::touch(Op::CondvarNotify, self);
        let first = lock(&self.waiters).pop_front();
        if is_watched {
            observe::notified(self, first.is_some());
        }
        if let Some(waiter) = first {
            unpark(&waiter);
        }
    }

    /// Wakes all who wait now. Never waits.
    #[track_caller]
    pub fn notify_all(&self) {
        let is_watched = observe::touch(Op::CondvarNotify, self);
        let all = lock(&self.waiters).take_all();
        if is_watched {
            observe::notified(self, !all.is_empty());
        }
        unpark_all(all);
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
