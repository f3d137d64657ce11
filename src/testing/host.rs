//! Makes a thread an explorer's for as long as a check runs.
//!
//! That is the thread that called for the check. What goroutines print is captured as the test's own, a panic is told in the
//! test's name, and to begin costs no thread. Rejected: a thread for each check (with its heap it took 100 µs, more than most
//! failing checks need), and one that is kept (what a thread prints is captured for the test that started it).
//!
//! Some callers cannot lend theirs, and another is started. A goroutine's thread serves others (it waits in `blocking`
//! meanwhile), and so do those of the pool for blocking calls: what a failed check leaves behind would be theirs, such as
//! thread-locals that are borrowed for ever. On a thread that unwinds, goroutines would all have to keep it
//! (`sched::keep_thread`). A check that had to break off an unwinding leaves its thread as one that unwinds.

use super::explorer::Explorer;
use super::pulse::{Pulse, Watched};
use super::quiet;
use crate::observe::Exploring;
use crate::sched::Scheduler;
use crate::sched::scan;
use crate::sched::worker::{Kind, Worker, WorkerShared};
use crate::stack::overflow::{SignalStack, SignalStackMemory};
use crate::stack::own_threads;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Runs `work` on a thread that is an explorer's meanwhile, and waits for it.
///
/// # Panics
/// As `work` does; or if it is called on such a thread, or the system refuses what is needed.
pub(super) fn with_explorer<R: Send>(work: impl FnOnce(&Explorer, &Worker) -> R + Send) -> R {
    assert!(!crate::observe::is_explored(), "a check was begun within a check: there is one schedule at a time");
    quiet::install_hook();
    let result = crate::blocking(move || {
        let is_ours = Worker::with_current(|worker| worker.is_some()) || own_threads::has_current();
        if !is_ours && !thread::panicking() {
            return become_explorer(work);
        }
        // Panics there are told in its name.
        let name = thread::current().name().unwrap_or("lisle-check").to_owned();
        crate::threads::beside(&name, || become_explorer(work))?.unwrap_or_else(|payload| Ok(Err(payload)))
    });
    let result = result.unwrap_or_else(|error| panic!("a check could not begin: {error}"));
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// The inner result is that of `work`, or its panic.
fn become_explorer<R>(work: impl FnOnce(&Explorer, &Worker) -> R) -> io::Result<thread::Result<R>> {
    thread_local! {
        static KEPT: Cell<Option<Box<Host>>> = const { Cell::new(None) };
    }
    let kept = KEPT.try_with(Cell::take).ok().flatten();
    let host = kept.map_or_else(Host::new, Ok)?;
    let result = host.run(work);
    match result {
        // At the end of the thread, if it has not begun.
        Ok(_) => drop(KEPT.try_with(|kept| kept.set(Some(host)))),
        // A panic of ours may have left anything in it: goroutines among those that are ready, which must never run again.
        Err(_) => std::mem::forget(host),
    }
    Ok(result)
}

/// What a thread keeps between its checks: stacks, above all. It is made in 50 µs.
struct Host {
    /// Until it is dropped.
    worker: Option<Worker>,
    explorer: Explorer,
    signal_stack: SignalStackMemory,
}

impl Host {
    fn new() -> io::Result<Box<Self>> {
        let scheduler = Scheduler::without_workers(crate::runtime::Config::new())?;
        let signal_stack = SignalStackMemory::reserve()?;
        let shared = WorkerShared::acquire_for_explorer()?;
        scheduler.enlist_explorer(shared);
        let explorer = Explorer::new(Arc::new(Pulse::of_current()));
        Ok(Box::new(Self { worker: Some(Worker::new(shared, scheduler, Kind::Explorer)), explorer, signal_stack }))
    }

    fn run<R>(&self, work: impl FnOnce(&Explorer, &Worker) -> R) -> thread::Result<R> {
        // Since the last check libraries may have gone, whose thread-locals the scanner knows; a watchdog there is none.
        scan::check_loaded();
        let _watched = Watched::begin(self.explorer.pulse());
        let _signal_stack = SignalStack::install(&self.signal_stack);
        let mut result = None;
        self.worker.as_ref().expect("it is there").on_this_thread(|worker| {
            let _exploring = Exploring::begin(&self.explorer);
            result = Some(catch_unwind(AssertUnwindSafe(|| work(&self.explorer, worker))));
        });
        result.expect("the work was done")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.worker.take().into_iter().for_each(Worker::leave);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;
    use std::panic::Location;

    #[test]
    fn what_a_panic_of_the_explorer_leaves_disturbs_no_later_check() {
        let panicked = catch_unwind(|| {
            with_explorer(|_, worker| {
                worker.begin_schedule();
                std::mem::forget(crate::spawn::start_explored(worker, Location::caller(), || ()));
                panic!("as if the explorer did");
            });
        });
        assert_eq!(panicked.expect_err("it panics").downcast_ref(), Some(&"as if the explorer did"));
        check(|| assert_eq!(crate::go(|| 1).join().unwrap(), 1));
    }
}
