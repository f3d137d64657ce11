//! A worker in the hands of an explorer: it starts goroutines at once, and runs them when it is told to.

use super::super::g::{G, GRef};
use super::{Kind, Worker, WorkerShared};
use crate::tsan;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Those that are the home of goroutines which a failed check has left behind: nobody must find these in the inbox of a
/// regular worker. An explorer lets them lie.
static SPARE_OF_EXPLORERS: Mutex<Vec<&'static WorkerShared>> = Mutex::new(Vec::new());

impl WorkerShared {
    /// For an explorer, which can have one that another explorer left behind.
    pub(crate) fn acquire_for_explorer() -> io::Result<&'static Self> {
        let _quiet = tsan::quiet();
        let spare = SPARE_OF_EXPLORERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.map_or_else(Self::acquire, Ok)
    }

    pub(super) fn release_to_explorers(&'static self) {
        SPARE_OF_EXPLORERS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

impl Worker {
    #[inline(always)]
    pub(crate) fn is_explored(&self) -> bool {
        self.kind == Kind::Explorer
    }

    /// What the budget is at the start of a slice: under the explorer nothing, so that each operation tells of itself.
    pub(crate) fn full_budget(&self) -> u32 {
        self.full_budget
    }

    /// To be started, and to be in the ready queue, shows in nothing that a goroutine could see.
    #[cold]
    pub(super) fn start_at_once(&self, g: GRef) {
        let started = self.start(g).expect("the explorer found no stack for a goroutine");
        self.ready.push_woken(started);
        // SAFETY: just started.
        let bounds = unsafe { started.as_ref() }.pinned(self).stack_bounds.get();
        crate::observe::with_explorer(|explorer| {
            explorer.with_detector(|detector, _| detector.forget_stack(bounds));
        });
    }

    /// Everything that goroutines can see is as it was before the first schedule.
    pub(crate) fn begin_schedule(&self) {
        self.ids.set((1, u64::MAX));
        let counters = &self.shared.counters;
        counters.spawned.store(0, Ordering::Relaxed);
        counters.finished.store(0, Ordering::Relaxed);
    }

    /// Forgets what the schedule has left. After a failure that is leaked.
    pub(crate) fn end_schedule(&self, failed: bool) {
        if failed {
            self.scheduler.leak_deferred();
        }
        self.ready.clear();
        self.timers.take();
    }

    /// Takes out of the inbox whom others have woken. They stay where they are for ever.
    pub(crate) fn drop_deliveries(&self, mut look: impl FnMut(&G)) {
        for g in self.shared.inbox.take() {
            // SAFETY: it comes with a reference, which is given up with it.
            look(unsafe { g.as_ref() });
        }
    }

    /// Runs the goroutine until it gives its thread back. Whether it has ended.
    #[inline(never)]
    pub(crate) fn resume_explored(&self, g: NonNull<G>) -> bool {
        self.resume(g).is_none()
    }

    /// When something is due.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        let timer = self.timers.borrow().next_deadline();
        timer.into_iter().chain(self.scheduler.first_deferred()).min()
    }

    /// Lets what is due happen.
    pub(crate) fn fire_explored(&self) {
        self.fire_timers();
        self.start_due_calls();
    }
}
