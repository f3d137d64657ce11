//! A lint for debugging: which thread-locals does a goroutine leave changed when it parks?
//!
//! Such a thread-local may be a frame-scoped one in disguise (a count, an index, a pointer to the heap),
//! which the scan cannot see and which passes to the neighbour. Off unless asked for by
//! `Config::lint_thread_locals` or `LISLE_DEBUG=threadlocals`: two copies of the thread-local block for
//! each slice. Each variable is told once for each worker. lisle's own and std's are left out.

use super::g::{G, RunState};
use super::worker::Worker;
use std::cell::RefCell;
use std::collections::HashSet;

#[derive(Default)]
pub(crate) struct Lint {
    at_start: RefCell<Vec<usize>>,
    told: RefCell<HashSet<String>>,
}

impl Lint {
    /// A slice begins.
    pub(crate) fn begin(&self, worker: &Worker) {
        *self.at_start.borrow_mut() = worker.scanner.snapshot();
    }

    /// The slice has ended in a park, a yield, or the end of `g`.
    pub(crate) fn end(&self, worker: &Worker, g: &G) {
        if g.pinned(worker).state.get() == RunState::Running {
            // It returned: what it changed, it left for good, as on any thread.
            return;
        }
        let scanner = &worker.scanner;
        for hit in scanner.changed_since(&self.at_start.borrow()) {
            let name = scanner.variable(hit).describe();
            let own = ["`lisle::", "`std::", "`core::", "`<lisle::", "`<std::"];
            if own.iter().any(|prefix| name.starts_with(prefix)) || !self.told.borrow_mut().insert(name.clone()) {
                continue;
            }
            crate::report::report(format_args!(
                "lisle: goroutine {} (created at {}) parked ({}) with {name} changed: its neighbours see the \
                 new value. If calls of this crate must nest, wrap them in lisle::no_switch.",
                g.id,
                g.created_at,
                g.wait_reason()
            ));
        }
    }
}
