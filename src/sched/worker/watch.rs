//! What a worker does at the two ends of a slice while somebody watches.
//!
//! Two may: the lint of thread-locals, and the histogram of wake latencies. Both come here by
//! one flag, [`Worker::watched`], which the worker itself sets every now and then (`look_who_watches`): so the loop has
//! one compare and branch at either end of a slice, as it had for the lint alone, and `park` and `unpark` have nothing.
//!
//! # Wake latency
//! From the moment when a goroutine can run again to the moment when it does. A wake-up by a neighbour is dated to the
//! end of the slice in which it happened, one by another thread to its arrival in the inbox: so the first may be told
//! too short by a part of a slice. What is measured is a sample: the turns after each sleep of the worker, and one window
//! of 61 turns in [`WINDOWS`].

use super::super::g::G;
use super::{FAIR_TICK, Worker};
use crate::debug::waits;
use crate::park::WaitReason;
use std::collections::VecDeque;
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
}

impl Worker {
    /// Takes note of whether somebody watches. `slept`: the worker has just slept.
    #[cold]
    pub(super) fn look_who_watches(&self, slept: bool) {
        let window = (self.tick.get() / FAIR_TICK).is_multiple_of(WINDOWS);
        let is_timed = waits::latencies_are_wanted() && (slept || window);
        let watched = self.lint.is_some() || is_timed;
        if watched != self.watched.replace(watched) {
            self.watch.take();
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
        let mut watch = self.watch.borrow_mut();
        let delivered = self.take_delivered_at();
        // Who comes straight from the inbox was in no queue when one was looked at.
        let was_parked = g.wait_reason() != WaitReason::None;
        if let Some(since) = watch.woken_at(g).or(delivered.filter(|_| was_parked)) {
            waits::count_latency(now.saturating_duration_since(since));
        }
        watch.note_woken(self, delivered.unwrap_or(now));
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
        self.watch.borrow_mut().note_woken(self, Instant::now());
    }

    /// When the first of those came that were in the inbox.
    fn take_delivered_at(&self) -> Option<Instant> {
        let nanos = self.shared.delivered_at.swap(0, Ordering::Relaxed);
        (nanos != 0).then(|| crate::clock::from_nanos(nanos))
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
        let ready = worker.ready.borrow();
        if self.woken.front().map(|&(g, _)| g) != ready.iter_woken().next() && !self.woken.is_empty() {
            // Something was missed, between two windows for instance.
            self.woken.clear();
        }
        let known = self.woken.len();
        self.woken.extend(ready.iter_woken().skip(known).map(|g| (g, since)));
    }
}
