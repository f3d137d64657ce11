//! [`BackOff`]: a wait for a lock that may be free in a moment, before its waiter goes into the list.
//!
//! Each look at a lock takes its cache line away from the holder, whose every operation then costs a transfer between
//! processors (65 ns and more) instead of some nanoseconds. So the pauses between looks begin long and double. And where
//! locks are fought over, found taken again and again within microseconds, they are long from the first: two workers that
//! want one lock all the time take turns of some ten to hundred operations. Measured with eight goroutines on two workers,
//! on a processor whose locked instruction takes 2 ns: 29 ns an operation with single pauses, 5 to 10 with those that double
//! (Go 1.27: 8 to 17); on one where it takes 8 ns: 84 with those that double, 41 with long ones (Go: 80; one worker alone:
//! 21). Long ones everywhere would make a rare collision cost a microsecond.
//!
//! Such a wait is in vain if the holder does not run: it has parked with the lock, perhaps on the very worker that looks.
//! Then the next waiters go into the list at once, and twice as many each time that it happens again.

use crate::atomics::{AtomicU8, Ordering, const_fn};
use crate::observe;
use crate::park::{finds_locks_taken, pause};
use std::time::Duration;

/// Pauses before each look, 6 µs in all: about what it takes to sleep and be woken by another worker, so that a wait in
/// vain costs at most twice what it had to. (Go's `sync_runtime_doSpin` makes 120, in equal parts. Measured with 120 in
/// four looks: 14 ns an operation; with 504 in six: 5, but a worker is then held up for 13 µs.)
const PAUSES: &[u32] = &[8, 16, 32, 64, 128];
/// The same where locks are fought over.
const FOUGHT_OVER: &[u32] = &[64, 64, 64, 64];
/// They are where a worker finds one taken twice within this time: some turns with either pauses.
const RECENTLY: Duration = Duration::from_micros(10);
/// Pauses of whoever finds that another processor is at the same word.
const COLLISION_PAUSES: u32 = 32;
/// Waiters that do not try after one that tried in vain: at first, and at most.
const SKIPS: u8 = 4;
const MOST_SKIPS: u8 = 128;

/// Belongs to one lock.
pub(super) struct BackOff {
    /// How many waiters will not try. Hints: a lost update does no harm.
    skips: AtomicU8,
    /// How many will not after the next that tries in vain.
    next_skips: AtomicU8,
}

impl BackOff {
    const_fn! {
        pub(super) const fn new() -> Self {
            Self { skips: AtomicU8::new(0), next_skips: AtomicU8::new(SKIPS) }
        }
    }

    /// Looks with `try_take` some times, with pauses before. Returns whether one succeeded.
    #[cold]
    pub(super) fn succeeds(&self, try_take: impl Fn() -> bool) -> bool {
        if cfg!(loom) || observe::is_explored() {
            return false;
        }
        let skips = self.skips.load(Ordering::Relaxed);
        if skips > 0 {
            self.skips.store(skips - 1, Ordering::Relaxed);
            return false;
        }
        for &pauses in if finds_locks_taken(RECENTLY) { FOUGHT_OVER } else { PAUSES } {
            pause(pauses);
            if try_take() {
                self.next_skips.store(SKIPS, Ordering::Relaxed);
                return true;
            }
        }
        let skips = self.next_skips.load(Ordering::Relaxed);
        self.skips.store(skips, Ordering::Relaxed);
        self.next_skips.store(skips.saturating_mul(2).min(MOST_SKIPS), Ordering::Relaxed);
        false
    }

    /// Whether waits in vain have made it as rare as it gets.
    #[cfg(all(test, not(loom)))]
    pub(super) fn has_learnt(&self) -> bool {
        self.next_skips.load(Ordering::Relaxed) == MOST_SKIPS
    }
}

/// After an attempt that failed because another processor changed the word at the same time.
#[cold]
pub(super) fn after_collision() {
    if !cfg!(loom) {
        pause(COLLISION_PAUSES);
    }
}
