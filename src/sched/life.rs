//! `Life`: how many know a goroutine, and how far its end and its handle are, in one word.
//!
//! # The word
//! | bits | meaning |
//! | --- | --- |
//! | JOINER | `G::joiner` is written, the handle's owner waits |
//! | FINISHED | the result is written; the goroutine touches it no more |
//! | DETACHED | the handle is gone, and its reference; nobody will take the result |
//! | the rest | the count of references to the object |
//!
//! # Who owns the result
//! The goroutine sets FINISHED ([`Life::finish`]), the handle sets JOINER ([`Life::announce_joiner`]) or DETACHED
//! ([`Life::detach`]), each once. FINISHED and DETACHED are compare-exchanges that fail if the other is set already (or
//! FINISHED is a store, while the handle's owner waits in `join`, who cannot detach), so one of the two comes first in the
//! word's order, and whoever comes second owns the result: the handle after FINISHED, the goroutine after DETACHED (then it
//! does not set FINISHED: nobody is left who would look for it). So it is taken or dropped exactly once, on the thread of one
//! of the two, and never by a waker's last reference. The first's Release and the second's Acquire order what they did with
//! the object.
//!
//! # Where a locked instruction is saved
//! One costs as much as a switch on some machines, and a goroutine that nobody joins would need six of them.
//! - *The only reference* ([`Life::is_unshared`]): references are made by who has one, by the goroutine as it runs, or, while it
//!   waits, by who is going to end its wait, before they do; and they end it by a Release that the waiter acquires, so that
//!   it sees the reference. So while it is fresh, ends or has ended, nobody overtakes who has the only one. It is given up by
//!   a load, and the fresh goroutine is started by a store (`G::start`). The load is an Acquire, and all who gave theirs up
//!   did so by a Release: what they did has happened before.
//! - *Two references, of which the other's owner cannot run*: a goroutine whose joiner waits on the same worker ends by plain
//!   stores, from FINISHED to the end of its own reference ([`Life::release_to_neighbour`]). The joiner's goroutine cannot
//!   run before its worker has switched away from this one and has let go of it: there is no switch in between, and the slice
//!   is compared to make sure.
//! - *Detaching* takes the mark and the reference in one step. The count stays above zero: one that has not finished has a
//!   reference to itself, or the queue has in which it lies.
//!
//! (Lin et al. would call it a one-shot exchange; async-task and tokio's `task/state.rs` keep the same information together
//! with their run states. Here the run states are the home worker's alone.) The loom models are `life_*`.

use crate::atomics::{AtomicUsize, Ordering, fence};

pub(crate) const JOINER: usize = 1;
const FINISHED: usize = 2;
const DETACHED: usize = 4;
const REFERENCE: usize = 8;
/// Waited for, and known to nobody but itself and its joiner.
const JOINED: usize = (2 * REFERENCE) | JOINER;

// (Dumps read the word of a copied object.)
#[repr(transparent)]
pub(crate) struct Life(AtomicUsize);

/// The word as it was.
#[derive(Clone, Copy)]
pub(crate) struct Seen(usize);

impl Seen {
    #[inline]
    pub(crate) fn has_joiner(self) -> bool {
        self.0 & JOINER != 0
    }

    #[inline]
    pub(crate) fn is_detached(self) -> bool {
        self.0 & DETACHED != 0
    }
}

impl Life {
    /// With two references: the goroutine's own, which is its queue's at first, and the handle's.
    #[inline]
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(2 * REFERENCE))
    }

    /// Adds a reference. For who has one.
    #[inline]
    pub(crate) fn add_reference(&self) {
        // As for Arc: nothing needs ordering here, and an overflow would need 2^60 leaked handles.
        if self.0.fetch_add(REFERENCE, Ordering::Relaxed) > isize::MAX as usize {
            std::process::abort();
        }
    }

    /// Whether the caller's reference is the only one.
    #[inline(always)]
    pub(crate) fn is_unshared(&self) -> bool {
        self.0.load(Ordering::Acquire) / REFERENCE == 1
    }

    /// Gives up a reference. True for the last: then the object is the caller's to free.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        let is_last = self.is_unshared() || self.0.fetch_sub(REFERENCE, Ordering::Release) / REFERENCE == 1;
        if is_last {
            fence(Ordering::Acquire);
        }
        is_last
    }

    #[inline]
    pub(crate) fn look(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) & FINISHED != 0
    }

    /// For the handle's owner, who has written `G::joiner`.
    #[inline]
    pub(crate) fn announce_joiner(&self) {
        self.0.fetch_or(JOINER, Ordering::AcqRel);
    }

    /// The handle is dropped. True: its reference is given up, too. False: the goroutine has finished, and its result and the
    /// reference are still the handle's.
    #[inline]
    #[must_use]
    pub(crate) fn detach(&self) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        while seen & FINISHED == 0 {
            debug_assert!(seen / REFERENCE > 1, "one that has not finished has a reference to itself");
            let detached = (seen | DETACHED) - REFERENCE;
            match self.0.compare_exchange_weak(seen, detached, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// The goroutine has written its result; it is not detached in what was `seen`. Fails if that has changed.
    ///
    /// `neighbour` says that the joiner waits on the calling worker, and does not run before that has seen this goroutine off.
    #[inline]
    pub(crate) fn finish(&self, seen: Seen, neighbour: bool) -> Result<(), Seen> {
        let Seen(seen) = seen;
        if neighbour && seen == JOINED {
            self.0.store(JOINED | FINISHED, Ordering::Release);
            return Ok(());
        }
        let changed = self.0.compare_exchange_weak(seen, seen | FINISHED, Ordering::AcqRel, Ordering::Acquire);
        changed.map(drop).map_err(Seen)
    }

    /// As `release`, where the joiner may still be a neighbour who has not run since the end. False: it is not, and nothing has
    /// been done.
    #[inline]
    #[must_use]
    pub(crate) fn release_to_neighbour(&self) -> bool {
        let is_neighbours = self.0.load(Ordering::Acquire) == JOINED | FINISHED;
        if is_neighbours {
            self.0.store((JOINED | FINISHED) - REFERENCE, Ordering::Release);
        }
        is_neighbours
    }
}
