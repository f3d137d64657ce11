//! What a worker does at the two ends of a slice while somebody watches.
//!
//! Three may: the lint of thread-locals, the block profile, and the histogram of wake latencies. All of them come here by
//! one flag, [`Worker::watched`], which the worker itself sets every now and then (`look_who_watches`): so the loop has
//! one compare and branch at either end of a slice, as it had for the lint alone, and `park` and `unpark` have nothing.
//!
//! # Wake latency
//! From the moment when a goroutine can run again to the moment when it does. A wake-up by a neighbour is dated to the
//! end of the slice in which it happened, one by another thread to its arrival in the inbox: so the first may be told
//! too short by a part of a slice. What is measured is a sample: the turns after each sleep of the worker, and one window
//! of 61 turns in [`WINDOWS`].
//!
//! # Blocked goroutines
//! When a goroutine is resumed, its stack is still as it was while it waited: the worker walks it then, on its own stack,
//! which has room for that.

use super::super::g::{G, RunState};
use super::Worker;
use super::order::FAIR_TICK;
use crate::debug::waits;
use crate::park::WaitReason;
use std::collections::{HashMap, VecDeque};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// One window of turns in so many is timed.
const WINDOWS: u32 = 16;

/// A worker's notes while it is watched.
#[derive(Default)]
pub(super) struct Watch {
    /// When those in the ready queue who were woken could run: the same goroutines in the same order.
    woken: VecDeque<(NonNull<G>, Instant)>,
    /// When the first of those came that were taken out of the inbox since the last slice.
    delivered: Option<Instant>,
    /// Since when goroutines wait for others.
    waiting: HashMap<NonNull<G>, Instant>,
}

impl Worker {
    /// Takes note of whether somebody watches. `slept`: the worker has just slept.
    #[cold]
    pub(super) fn look_who_watches(&self, slept: bool) {
        let window = (self.tick.get() / FAIR_TICK).is_multiple_of(WINDOWS);
        let is_timed = waits::latencies_are_wanted() && (slept || window);
        let watched = self.lint.is_some() || waits::block_profile_is_on() || is_timed;
        if watched != self.watched.replace(watched) {
            self.watch.take();
            self.shared.delivered_at.store(0, Ordering::Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn slice_begins(&self, g: &G) {
        if let Some(lint) = &self.lint {
            lint.begin(self);
        }
        if !waits::are_timed() {
            return;
        }
        let now = Instant::now();
        let waited = {
            let mut watch = self.watch.borrow_mut();
            let delivered = watch.delivered.take();
            // Who comes straight from the inbox was in no queue when one was looked at.
            let was_parked = g.wait_reason() != WaitReason::None;
            if let Some(since) = watch.woken_at(g).or(delivered.filter(|_| was_parked)) {
                waits::count_latency(now.saturating_duration_since(since));
            }
            watch.note_woken(self, delivered.unwrap_or(now));
            watch.waiting.remove(&NonNull::from(g)).map(|since| now.saturating_duration_since(since))
        };
        if let Some(waited) = waited.filter(|_| waits::block_profile_is_on()) {
            waits::count_blocked(self, g, waited);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn slice_ended(&self, g: &G) {
        if let Some(lint) = &self.lint {
            lint.end(self, g);
        }
        if !waits::are_timed() {
            return;
        }
        let now = Instant::now();
        let mut watch = self.watch.borrow_mut();
        watch.note_woken(self, now);
        // One that has returned is still in the state that it ran in.
        if g.pinned(self).state.get() == RunState::Parked && g.wait_reason().is_for_others() {
            watch.waiting.insert(NonNull::from(g), now);
        }
    }

    /// What lies in the inbox is about to be taken out.
    #[cold]
    pub(super) fn inbox_is_emptied(&self) {
        let nanos = self.shared.delivered_at.swap(0, Ordering::Relaxed);
        if nanos != 0 {
            self.watch.borrow_mut().delivered = Some(crate::clock::from_nanos(nanos));
        }
    }
}

impl Watch {
    /// Since when `g`, which was taken out of the ready queue, could run: if it was woken and that was seen.
    fn woken_at(&mut self, g: &G) -> Option<Instant> {
        match self.woken.front() {
            Some(&(first, since)) if first == NonNull::from(g) => {
                self.woken.pop_front();
                Some(since)
            }
            _ => None,
        }
    }

    /// Dates those who were woken since the last time.
    fn note_woken(&mut self, worker: &Worker, since: Instant) {
        let ready = &worker.ready;
        if self.woken.front().map(|&(g, _)| g) != ready.iter_woken().next() && !self.woken.is_empty() {
            // Something was missed, between two windows for instance.
            self.woken.clear();
        }
        let known = self.woken.len();
        self.woken.extend(ready.iter_woken().skip(known).map(|g| (g, since)));
    }
}
