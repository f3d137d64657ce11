//! [`WaitGroup`]: waiting for a number of goroutines to be done. The model, down to the words of its
//! panics, is Go's `src/sync/waitgroup.go`.

use super::wait_list::{WaitList, wait_until_taken};
use crate::atomics::{self, AtomicU64, Ordering, lock};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, unpark_all};
use std::fmt;
use std::sync::Arc;

/// A counter of work under way, and a place to wait until it is zero: Go's `sync.WaitGroup`.
///
/// A `WaitGroup` is a handle: clones share the counter, so that one can be moved into each goroutine.
///
/// There are three ways to count, from the one that is hardest to get wrong:
/// - [`go`](Self::go) starts a goroutine and counts it.
/// - [`guard`](Self::guard) counts until the guard is dropped, also by a panic.
/// - [`add`](Self::add) and [`done`](Self::done), as in Go.
///
/// ```
/// use lisle::sync::WaitGroup;
/// let group = WaitGroup::new();
/// for i in 0..3 {
///     group.go(move || println!("{i}"));
/// }
/// let guard = group.guard();
/// lisle::go(move || {
///     let _guard = guard; // done when this goroutine ends, however it ends
/// });
/// group.wait();
/// ```
#[derive(Clone)]
pub struct WaitGroup {
    inner: Arc<Inner>,
}

/// In this order, so that the counter shares a cache line, mostly, with the `Arc`'s count before it: who adds clones next, and
/// who is done drops.
#[repr(C)]
struct Inner {
    /// The counter in the upper half, the number of waiters in the lower.
    state: AtomicU64,
    waiters: atomics::Mutex<WaitList<Waiter>>,
}

fn counter(state: u64) -> i32 {
    (state >> 32) as u32 as i32
}

fn waiters(state: u64) -> u32 {
    state as u32
}

impl WaitGroup {
    /// A group with nothing to wait for.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { state: AtomicU64::new(0), waiters: atomics::Mutex::new(WaitList::new()) };
        Self { inner: Arc::new(inner) }
    }

    /// Adds `delta`, which may be negative, to the counter. At zero, all who wait go on. Never waits.
    ///
    /// Add before the goroutine starts, not within it: else `wait` may come first.
    ///
    /// # Panics
    /// With Go's words: "sync: negative `WaitGroup` counter"; "sync: `WaitGroup` misuse: Add called
    /// concurrently with Wait" if the counter leaves zero while somebody waits.
    #[inline]
    #[track_caller]
    pub fn add(&self, delta: i32) {
        self.inner.add(delta);
    }

    /// One is done: `add(-1)`.
    ///
    /// # Panics
    /// "sync: negative `WaitGroup` counter" if there were more calls of `done` than were added.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        self.inner.add(-1);
    }

    /// Waits until the counter is zero.
    ///
    /// # Panics
    /// "sync: `WaitGroup` is reused before previous Wait has returned", if somebody adds again while those
    /// who waited are not all on their way.
    #[track_caller]
    pub fn wait(&self) {
        self.inner.wait();
    }

    /// Counts one until the guard is dropped.
    #[must_use = "the count ends when the guard is dropped"]
    #[track_caller]
    pub fn guard(&self) -> WaitGuard {
        self.add(1);
        WaitGuard { inner: Arc::clone(&self.inner) }
    }

    /// Starts a goroutine and counts it until it has ended, also by a panic (Go's `WaitGroup.Go`).
    ///
    /// # Panics
    /// As [`go`](crate::go()).
    #[cfg(not(loom))]
    #[track_caller]
    pub fn go<F>(&self, f: F)
    where
        F: FnOnce() + Send + 'static,
    {
        let guard = self.guard();
        crate::go(move || {
            let _guard = guard;
            f();
        });
    }
}

impl Inner {
    #[inline]
    #[track_caller]
    fn add(&self, delta: i32) {
        if observe::is_on() {
            self.tell(delta);
        }
        let change = u64::from(delta.cast_unsigned()) << 32;
        // AcqRel: what was done before each `done` happens before what follows `wait`.
        let state = self.state.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        if counter(state) < 0 || waiters(state) > 0 && (delta > 0 || counter(state) == 0) {
            self.look_closely(delta, state);
        }
    }

    #[cold]
    #[track_caller]
    fn tell(&self, delta: i32) {
        let op = if delta < 0 { Op::WaitGroupDone } else { Op::WaitGroupAdd };
        if observe::touch(op, self) && delta < 0 {
            observe::release(self);
        }
    }

    /// Whoever waits is to be told, or something is wrong.
    #[cold]
    #[track_caller]
    fn look_closely(&self, delta: i32, state: u64) {
        let (now, waiting) = (counter(state), waiters(state));
        assert!(now >= 0, "sync: negative WaitGroup counter");
        assert!(
            waiting == 0 || delta <= 0 || now != delta,
            "sync: WaitGroup misuse: Add called concurrently with Wait"
        );
        if now == 0 && waiting > 0 {
            self.release(state);
        }
    }

    /// The counter is zero, and there are waiters, who cannot become more now.
    #[cold]
    fn release(&self, state: u64) {
        let mut list = lock(&self.waiters);
        let unchanged = self.state.compare_exchange(state, 0, Ordering::AcqRel, Ordering::Acquire);
        let all = list.take_all();
        drop(list);
        unpark_all(all);
        assert!(unchanged.is_ok(), "sync: WaitGroup misuse: Add called concurrently with Wait");
    }

    #[track_caller]
    fn wait(&self) {
        observe::enter(Op::WaitGroupWait, self);
        self.wait_for_all();
        observe::acquire(self);
    }

    fn wait_for_all(&self) {
        if counter(self.state.load(Ordering::Acquire)) == 0 {
            return;
        }
        let mut list = lock(&self.waiters);
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if counter(state) == 0 {
                return;
            }
            // Under the list's lock, so that who sees the waiter counted also finds it in the list.
            match self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let ticket = list.push_back(current());
        drop(list);
        wait_until_taken(&self.waiters, ticket, WaitReason::WaitGroup, None);
        assert!(self.state.load(Ordering::Acquire) == 0, "sync: WaitGroup is reused before previous Wait has returned");
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.load(Ordering::Relaxed);
        f.debug_struct("WaitGroup").field("counter", &counter(state)).field("waiters", &waiters(state)).finish()
    }
}

/// One count of a [`WaitGroup`]; dropping it is `done`.
pub struct WaitGuard {
    inner: Arc<Inner>,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.inner.add(-1);
    }
}

impl fmt::Debug for WaitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGuard").finish_non_exhaustive()
    }
}
