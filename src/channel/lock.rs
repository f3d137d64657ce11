//! The lock of a channel (and of what the race detector keeps): a spin lock, because what it guards takes nanoseconds, never
//! user code, a wait, or a wake-up.
//!
//! One locked instruction to take it and a plain store to leave it: half of what a lock costs whose waiters
//! sleep. A holder that the kernel has taken off its processor makes others wait; they spin for some
//! hundred nanoseconds, and then give their processor away (as the queues of crossbeam do in the same
//! situation). After a failed attempt the wait begins long enough, and doubles: who has the lock, and its cache
//! line, gets some ten operations done meanwhile, which serves both better than passing the line to and fro for each
//! (buffered messages between two threads: 28 ns each when the first wait is one pause, 18 ns with eight).
//!
//! Rejected: std's Mutex (two locked instructions, 5 ns more an operation, four operations a round trip).
//! A lock that stays with a thread until another wants it (biased locking): without locked instructions
//! an operation would take 2 ns less, but taking it back needs `membarrier`: 13 µs here while the other
//! processor computes.

use crate::atomics::{AtomicBool, Ordering, spin_loop};
use crate::tsan;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

pub(crate) struct Lock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Where the value lies, which is what those who watch know the channel by.
    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        self.value.get().addr()
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let quiet = tsan::quiet();
        // Acquire: pairs with the Release in `Guard::drop`.
        if self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_slowly();
        }
        Guard { lock: self, _quiet: quiet }
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(&self) {
        /// Powers of two, in pauses of the processor.
        const FIRST: u32 = if cfg!(loom) { 0 } else { 3 };
        const SPINS: u32 = if cfg!(loom) { 1 } else { 7 };
        let mut round = FIRST;
        loop {
            for _ in 0..1 << round.min(SPINS) {
                spin_loop();
            }
            if round > SPINS {
                give_processor_away();
            }
            round += 1;
            let free = !self.taken.load(Ordering::Relaxed);
            if free && self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }
}

#[cfg(not(loom))]
use std::thread::yield_now as give_processor_away;

#[cfg(loom)]
use loom::thread::yield_now as give_processor_away;

pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// The lock orders all who use the channel, in fact and not by contract. Dropped when the lock is free.
    _quiet: tsan::Quiet,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: we have the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we have the lock, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.taken.store(false, Ordering::Release);
    }
}
