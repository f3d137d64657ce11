//! The started goroutines of a worker that can run.
//!
//! Who was *woken* goes before who *yielded*: a wait that has ended is somebody's latency, while a goroutine that
//! yields has computed until now and offers others the turn. (Linux's schedulers favour sleepers for the same reason;
//! Go has `runnext` for the last one woken and puts who yields into its global queue.) Both kinds are first in, first
//! out among themselves.
//!
//! So that neighbours who wake each other without end do not starve a third who yields, at most `OVERTAKERS` woken
//! ones run before the next that yielded.
//!
//! Rejected: a slot for the last one woken that runs next, as Go's. A goroutine that is woken from another thread, or
//! second, would wait behind all that compute; and whoever wakes twice would choose the order.

use super::super::g::G;
use super::ring::Ring;
use std::cell::Cell;
use std::ptr::NonNull;

/// How many that were woken may run before one that yielded.
const OVERTAKERS: u32 = 16;

/// Plain pointers: each goroutine is alive by its run reference.
#[derive(Default)]
pub(crate) struct Ready {
    woken: Ring<NonNull<G>>,
    yielded: Ring<NonNull<G>>,
    /// Woken ones that ran while another that yielded waited for its turn, since the last such turn.
    overtakers: Cell<u32>,
}

impl Ready {
    #[inline(always)]
    pub(crate) fn push_woken(&self, g: NonNull<G>) {
        self.woken.push(g);
    }

    #[inline(always)]
    pub(crate) fn push_yielded(&self, g: NonNull<G>) {
        self.yielded.push(g);
    }

    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<NonNull<G>> {
        if !self.yielded.is_empty() {
            let overtakers = self.overtakers.get();
            if self.woken.is_empty() || overtakers >= OVERTAKERS {
                self.overtakers.set(0);
                return pop_and_prefetch(&self.yielded);
            }
            self.overtakers.set(overtakers + 1);
        }
        pop_and_prefetch(&self.woken)
    }

    #[inline(always)]
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.woken.len() + self.yielded.len()
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.yielded.is_empty()
    }

    /// All, for the explorer of schedules, which chooses for itself.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<G>> + '_ {
        self.woken.iter().chain(self.yielded.iter())
    }

    /// Those who were woken, the next to run first.
    pub(crate) fn iter_woken(&self) -> impl Iterator<Item = NonNull<G>> + '_ {
        self.woken.iter()
    }

    /// Takes out the one that the explorer has chosen.
    pub(crate) fn take(&self, g: NonNull<G>) {
        let is_there = [&self.woken, &self.yielded].into_iter().any(|queue| queue.remove(|other| other == g));
        assert!(is_there, "the chosen one is ready");
    }

    pub(crate) fn clear(&self) {
        self.woken.clear();
        self.yielded.clear();
    }
}

/// A long queue has left the processor's caches: each stack is a page of its own.
#[inline(always)]
fn pop_and_prefetch(queue: &Ring<NonNull<G>>) -> Option<NonNull<G>> {
    let next = queue.pop()?;
    if let (Some(later), Some(soon)) = (queue.get(12), queue.get(6)) {
        // SAFETY: goroutines in the ready queue are alive.
        let (later, soon) = unsafe { (later.as_ref(), soon.as_ref()) };
        later.prefetch();
        soon.prefetch_stack();
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never dereferenced, since the queues stay short.
    fn goroutine(n: usize) -> NonNull<G> {
        NonNull::without_provenance(n.try_into().unwrap())
    }

    #[test]
    fn who_was_woken_goes_before_who_yielded() {
        let ready = Ready::default();
        ready.push_yielded(goroutine(1));
        ready.push_woken(goroutine(2));
        ready.push_yielded(goroutine(3));
        ready.push_woken(goroutine(4));
        let order: Vec<_> = std::iter::from_fn(|| ready.pop()).map(|g| g.addr().get()).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn who_yielded_gets_a_turn_among_neighbours_who_wake_each_other_without_end() {
        let ready = Ready::default();
        ready.push_yielded(goroutine(1));
        ready.push_woken(goroutine(2));
        let mut turns = 0;
        while ready.pop() != Some(goroutine(1)) {
            ready.push_woken(goroutine(2));
            turns += 1;
            assert!(turns <= OVERTAKERS);
        }
        assert_eq!(turns, OVERTAKERS);
    }
}
