//! The lock of a channel (and of what the race detector keeps): a spin lock, because what it guards takes nanoseconds, never
//! user code, a wait, or a wake-up.
//!
//! One locked instruction to take it and a plain store to leave it: half of what a lock costs whose waiters
//! sleep. A holder that the kernel has taken off its processor makes others wait; they spin for some
//! hundred nanoseconds, and then give their processor away (as the queues of crossbeam do in the same
//! situation). After a failed attempt the wait begins long enough, and doubles: who has the lock, and its cache line, gets
//! some ten operations done meanwhile, which serves both better than passing the line to and fro for each (buffered messages
//! between two threads: 28 ns each when the first wait is one pause, 18 ns with eight; four senders and four receivers
//! without a buffer: a third more with one). Where two do nothing but wait for each other, in the seat (`seat.rs`), there is
//! nothing to get done, and it begins short (there and back: a fifth less).
//!
//! # What can be known without it
//! Who leaves the lock may leave a hint in its word ([`Guard::leave_behind`]): bits that say something of the value as it is
//! then. Whoever takes the lock next wipes them out as he takes it, and so they are true as long as they are there: the
//! value changes only under the lock. Reading one ([`Lock::hint`]) is as good as taking the lock, looking, and leaving it:
//! both are SeqCst, so that all see such looks and the locks' turns in one order. (Of a lock that is a thread's own only the
//! owner knows anything without taking it.) It costs those nothing who neither leave hints nor read them.
//!
//! # Threads of their own
//! A lock that only one thread uses becomes that thread's, and costs it no locked instruction any more: `bias.rs`.
//!
//! Rejected: std's Mutex (two locked instructions, 5 ns more an operation, four operations a round trip).

use super::bias::Bias;
use crate::atomics::{AtomicU8, Ordering, spin_loop};
use crate::tsan;
use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};

/// In the word of a lock; the other bits are a hint, and are only there while it is free.
pub(super) const TAKEN: u8 = 1;
/// In the word of a lock: it is some thread's own. Then there is no hint.
const OWNED: u8 = 1 << 7;

/// Powers of two, in pauses: how long the first wait for the lock takes.
const LONG: u8 = if cfg!(loom) { 0 } else { 3 };
const SHORT: u8 = 0;

/// In this order: what the value begins with shares a cache line with the word.
#[repr(C)]
pub(crate) struct Lock<T> {
    word: AtomicU8,
    /// How long a wait begins: so many pauses of the processor, as a power of two. A hint.
    first_wait: AtomicU8,
    bias: Bias,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    #[cfg(not(loom))]
    pub(super) const OFFSET_OF_VALUE: usize = std::mem::offset_of!(Self, value);

    pub(crate) fn new(value: T) -> Self {
        let first_wait = AtomicU8::new(LONG);
        Self { word: AtomicU8::new(0), first_wait, bias: Bias::new(), value: UnsafeCell::new(value) }
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
        self.lock_hinted().0
    }

    /// Also says what was known of the value when the lock was taken, which is still true then.
    #[inline(always)]
    pub(super) fn lock_hinted(&self) -> (Guard<'_, T>, u8) {
        let quiet = tsan::quiet();
        if let Some(hint) = self.bias.enter() {
            return (Guard { lock: self, left_at: self.bias.held(), hint: 0, _quiet: quiet }, hint);
        }
        let mut hint = self.swap_taken();
        let mut is_own = false;
        if hint & (TAKEN | OWNED) != 0 {
            let found = self.lock_slowly(hint);
            is_own = found.is_some();
            hint = found.unwrap_or(0);
        }
        let mut left_at = &self.word;
        if is_own || self.bias.count_turn() {
            // Release: whoever reads it sees who the owner is, and that it is in.
            self.word.store(OWNED, Ordering::Release);
            left_at = self.bias.held();
        }
        (Guard { lock: self, left_at, hint: 0, _quiet: quiet }, hint)
    }

    /// Writes TAKEN, and says what was there. Then the lock is the caller's; but if that was TAKEN, too, it has to wait, and if
    /// it was OWNED, to take it back from the owner.
    #[cfg(not(loom))]
    #[inline(always)]
    fn swap_taken(&self) -> u8 {
        // Acquire: pairs with the Release of who has left it. SeqCst: see the top.
        self.word.swap(TAKEN, Ordering::SeqCst)
    }

    /// The same, but without the store over TAKEN: loom does not see that the holder's store comes after that one, and
    /// would let the loser read what it has written itself for ever.
    #[cfg(loom)]
    fn swap_taken(&self) -> u8 {
        let mut expected = 0;
        loop {
            match self.word.compare_exchange(expected, TAKEN, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(found) => return found,
                Err(found) if found & TAKEN != 0 => return found,
                Err(found) => expected = found,
            }
        }
    }

    /// What is known of the value now. No bits: nothing.
    #[inline(always)]
    pub(super) fn hint(&self) -> u8 {
        let _quiet = tsan::quiet();
        let word = self.word.load(Ordering::SeqCst);
        if word == OWNED { self.bias.hint() } else { word & !TAKEN }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn is_owned(&self) -> bool {
        self.word.load(Ordering::Relaxed) == OWNED
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn was_revoked(&self) -> bool {
        self.bias.was_revoked()
    }

    /// After an exchange that found the lock taken, or owned. If it is the caller's own, it is in as the owner, and gets the
    /// hint that it has left behind.
    #[cold]
    #[inline(never)]
    fn lock_slowly(&self, mut found: u8) -> Option<u8> {
        const SPINS: u32 = if cfg!(loom) { 1 } else { 7 };
        let round = Cell::new(u32::from(self.first_wait.load(Ordering::Relaxed)));
        let wait = || {
            for _ in 0..1 << round.get().min(SPINS) {
                spin_loop();
            }
            if round.get() > SPINS {
                give_processor_away();
            }
            round.set(round.get() + 1);
        };
        while found & TAKEN != 0 {
            wait();
            if self.word.load(Ordering::Relaxed) & TAKEN == 0 {
                found = self.swap_taken();
            }
        }
        if found == OWNED { self.bias.take_back(wait) } else { None }
    }
}

#[cfg(not(loom))]
use std::thread::yield_now as give_processor_away;

#[cfg(loom)]
use loom::thread::yield_now as give_processor_away;

pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// The word, or where the owner says that it is out.
    left_at: &'a AtomicU8,
    /// A word, though a byte would do: guards are moved about, and one with padding in pieces that stall.
    hint: usize,
    /// The lock orders all who use the channel, in fact and not by contract. Dropped when the lock is free.
    _quiet: tsan::Quiet,
}

impl<T> Guard<'_, T> {
    /// Whether there is little that its holders get done without each other, so that who waits for it looks soon.
    #[inline(always)]
    pub(super) fn set_hasty(&mut self, is_hasty: bool) {
        let first_wait = if is_hasty { SHORT } else { LONG };
        if self.lock.first_wait.load(Ordering::Relaxed) != first_wait {
            self.lock.first_wait.store(first_wait, Ordering::Relaxed);
        }
    }

    /// Leaves a hint with the lock: it is to be true of the value as it is when the guard is dropped.
    #[inline(always)]
    pub(super) fn leave_behind(&mut self, hint: u8) {
        debug_assert!(hint & (TAKEN | OWNED) == 0);
        self.hint = usize::from(hint);
    }
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
        self.left_at.store(self.hint as u8, Ordering::Release);
    }
}
