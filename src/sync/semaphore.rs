//! [`Semaphore`]: a number of permits, handed out in order. (Go's `golang.org/x/sync/semaphore`.)

use super::wait_list::{AsWaitList, Outcome, WaitList, wait_unless};
use crate::atomics::{self, const_fn, lock};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, unpark};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Entry {
    wanted: usize,
    waiter: Waiter,
}

struct State {
    free: usize,
    waiters: WaitList<Entry>,
}

impl AsWaitList<Entry> for State {
    fn as_wait_list(&mut self) -> &mut WaitList<Entry> {
        &mut self.waiters
    }
}

/// A weighted semaphore: waiters are served strictly in the order in which they came, so that one who wants
/// much is not passed by for ever by those who want little.
///
/// ```
/// use lisle::sync::Semaphore;
/// use std::sync::Arc;
/// let at_most_two = Arc::new(Semaphore::new(2));
/// let handles: Vec<_> = (0..6)
///     .map(|_| {
///         let at_most_two = Arc::clone(&at_most_two);
///         lisle::go(move || {
///             let _permit = at_most_two.acquire(1);
///             // two at a time get here
///         })
///     })
///     .collect();
/// for handle in handles {
///     handle.join().unwrap();
/// }
/// assert_eq!(at_most_two.available(), 2);
/// ```
pub struct Semaphore {
    permits: usize,
    state: atomics::Mutex<State>,
}

impl Semaphore {
    const_fn! {
        /// A semaphore with so many permits.
        #[must_use]
        pub const fn new(permits: usize) -> Self {
            Self { permits, state: atomics::Mutex::new(State { free: permits, waiters: WaitList::new() }) }
        }
    }

    /// Waits for `wanted` permits, which come back when the result is dropped. Zero is given at once.
    ///
    /// # Panics
    /// If more are wanted than there are: the wait would never end.
    #[track_caller]
    pub fn acquire(&self, wanted: usize) -> Permit<'_> {
        self.take(wanted, None, || false);
        Permit { semaphore: self, count: wanted }
    }

    /// As [`acquire`](Self::acquire), for a permit that may go anywhere, into a goroutine for example.
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_owned(self: &Arc<Self>, wanted: usize) -> OwnedPermit {
        self.take(wanted, None, || false);
        OwnedPermit { semaphore: Arc::clone(self), count: wanted }
    }

    /// As [`acquire`](Self::acquire), for at most `timeout`.
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_timeout(&self, wanted: usize, timeout: Duration) -> Option<Permit<'_>> {
        let in_time = self.take(wanted, crate::clock::deadline(timeout), || false);
        in_time.then(|| Permit { semaphore: self, count: wanted })
    }

    /// As [`acquire`](Self::acquire), until `given_up`, which is asked whenever the caller is unparked.
    #[track_caller]
    pub(crate) fn acquire_unless(&self, wanted: usize, given_up: impl Fn() -> bool) -> Option<Permit<'_>> {
        self.take(wanted, None, given_up).then(|| Permit { semaphore: self, count: wanted })
    }

    /// As `acquire_unless`, for a permit that may go anywhere.
    #[track_caller]
    pub(crate) fn acquire_owned_unless(
        self: &Arc<Self>,
        wanted: usize,
        given_up: impl Fn() -> bool,
    ) -> Option<OwnedPermit> {
        self.take(wanted, None, given_up).then(|| OwnedPermit { semaphore: Arc::clone(self), count: wanted })
    }

    /// `wanted` permits if they are free and nobody waits. Never waits.
    #[track_caller]
    pub fn try_acquire(&self, wanted: usize) -> Option<Permit<'_>> {
        self.try_take_told(wanted).then(|| Permit { semaphore: self, count: wanted })
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that may go anywhere.
    #[track_caller]
    pub fn try_acquire_owned(self: &Arc<Self>, wanted: usize) -> Option<OwnedPermit> {
        self.try_take_told(wanted).then(|| OwnedPermit { semaphore: Arc::clone(self), count: wanted })
    }

    /// Permits that are free now.
    #[track_caller]
    pub fn available(&self) -> usize {
        observe::touch(Op::Available, self);
        lock(&self.state).free
    }

    #[track_caller]
    fn try_take_told(&self, wanted: usize) -> bool {
        let is_watched = observe::touch(Op::TryAcquire, self);
        let is_taken = self.try_take(wanted);
        if is_watched && is_taken {
            observe::acquire(self);
        }
        is_taken
    }

    fn try_take(&self, wanted: usize) -> bool {
        let mut state = lock(&self.state);
        let free = wanted == 0 || state.free >= wanted && state.waiters.is_empty();
        if free {
            state.free -= wanted;
        }
        free
    }

    /// Whether the permits came before the deadline, and before the caller has given up.
    #[track_caller]
    fn take(&self, wanted: usize, deadline: Option<Instant>, given_up: impl Fn() -> bool) -> bool {
        assert!(
            wanted <= self.permits,
            "{wanted} permits are wanted of a semaphore that has {}: the wait would never end",
            self.permits
        );
        observe::enter(Op::Acquire, self);
        let is_taken = self.try_take(wanted) || self.wait_for_permits(wanted, deadline, given_up);
        if is_taken {
            observe::acquire(self);
        }
        is_taken
    }

    fn wait_for_permits(&self, wanted: usize, deadline: Option<Instant>, given_up: impl Fn() -> bool) -> bool {
        let mut state = lock(&self.state);
        let ticket = state.waiters.push_back(Entry { wanted, waiter: current() });
        // Permits may have come back in between.
        let served = state.serve();
        drop(state);
        wake(&served);
        let outcome = wait_unless(&self.state, ticket, WaitReason::Semaphore, deadline, given_up);
        if outcome == Outcome::TimedOut {
            // Those behind may want less than we did.
            self.give_back(0);
        }
        outcome == Outcome::Taken
    }

    fn release(&self, count: usize) {
        if observe::touch(Op::Release, self) {
            observe::release(self);
        }
        self.give_back(count);
    }

    fn give_back(&self, count: usize) {
        let mut state = lock(&self.state);
        state.free += count;
        let served = state.serve();
        drop(state);
        wake(&served);
    }
}

impl State {
    /// Gives what is free to those who are first.
    fn serve(&mut self) -> Vec<Entry> {
        let mut served = Vec::new();
        while self.waiters.front().is_some_and(|first| first.wanted <= self.free) {
            let Some(first) = self.waiters.pop_front() else {
                break;
            };
            self.free -= first.wanted;
            served.push(first);
        }
        served
    }
}

fn wake(served: &[Entry]) {
    served.iter().for_each(|entry| unpark(&entry.waiter));
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.permits)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`]; they come back when this is dropped.
#[must_use = "the permits come back when this is dropped"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}

/// As [`Permit`], of a shared [`Semaphore`].
#[must_use = "the permits come back when this is dropped"]
#[derive(Debug)]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}
