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
use std::collections::VecDeque;
use std::ptr::NonNull;

/// How many that were woken may run before one that yielded.
const OVERTAKERS: u32 = 16;

/// Plain pointers: each goroutine is alive by its run reference.
#[derive(Default)]
pub(crate) struct Ready {
    woken: VecDeque<NonNull<G>>,
    yielded: VecDeque<NonNull<G>>,
    /// Woken ones that ran while another that yielded waited for its turn, since the last such turn.
    overtakers: u32,
}

impl Ready {
    #[inline(always)]
    pub(crate) fn push_woken(&mut self, g: NonNull<G>) {
        self.woken.push_back(g);
    }

    #[inline(always)]
    pub(crate) fn push_yielded(&mut self, g: NonNull<G>) {
        self.yielded.push_back(g);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<NonNull<G>> {
        if !self.yielded.is_empty() {
            if self.woken.is_empty() || self.overtakers >= OVERTAKERS {
                self.overtakers = 0;
                return pop_and_prefetch(&mut self.yielded);
            }
            self.overtakers += 1;
        }
        pop_and_prefetch(&mut self.woken)
    }

    #[inline(always)]
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.woken.len() + self.yielded.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.yielded.is_empty()
    }

    /// All, for the explorer of schedules, which chooses for itself.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<G>> + '_ {
        self.woken.iter().chain(&self.yielded).copied()
    }

    /// Those who were woken, the next to run first.
    pub(crate) fn iter_woken(&self) -> impl Iterator<Item = NonNull<G>> + '_ {
        self.woken.iter().copied()
    }

    /// Takes out the one that the explorer has chosen.
    pub(crate) fn take(&mut self, g: NonNull<G>) {
        let queues = [&mut self.woken, &mut self.yielded];
        let found = queues.into_iter().find_map(|queue| {
            let place = queue.iter().position(|&other| other == g)?;
            queue.remove(place)
        });
        found.expect("the chosen one is ready");
    }

    pub(crate) fn clear(&mut self) {
        self.woken.clear();
        self.yielded.clear();
    }
}

/// A long queue has left the processor's caches: each stack is a page of its own.
#[inline]
fn pop_and_prefetch(queue: &mut VecDeque<NonNull<G>>) -> Option<NonNull<G>> {
    let next = queue.pop_front()?;
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
        let mut ready = Ready::default();
        ready.push_yielded(goroutine(1));
        ready.push_woken(goroutine(2));
        ready.push_yielded(goroutine(3));
        ready.push_woken(goroutine(4));
        let order: Vec<_> = std::iter::from_fn(|| ready.pop()).map(|g| g.addr().get()).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn who_yielded_gets_a_turn_among_neighbours_who_wake_each_other_without_end() {
        let mut ready = Ready::default();
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
