//! What lisle keeps for each thread, in one place.
//!
//! Each word of a thread-local is looked at in each switch of goroutines (`sched::scan`). So what is not needed on the way to
//! a switch is not a thread-local of its own, but here, behind one: 13 words became 6, which is a fifteenth of a yield. It lies
//! on the heap also because it has addresses of stacks in it, which thread-locals must not.

use crate::debug::known_walks::Walks;
use crate::local::Locals;
use crate::park::FreeThreadSelf;
use crate::scope::ScopeData;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// Dropped from the top: destructors of the user's first, which may wait, at last what waits need.
#[derive(Default)]
pub(crate) struct OfThread {
    /// The goroutine-locals of a thread that runs no goroutine.
    pub(crate) locals: Locals,
    /// The innermost scope that it has opened, as such a thread.
    pub(crate) scope: Cell<Option<Arc<ScopeData>>>,
    /// Its labels, as such a thread.
    pub(crate) labels: Cell<Option<Arc<str>>>,
    pub(crate) walks: Walks,
    /// The state of its random numbers; 0: not begun.
    pub(crate) random: Cell<u64>,
    _stand_in: FreeThreadSelf,
}

/// Calls `f` with what is the calling thread's, unless the thread is done.
#[inline(always)]
pub(crate) fn of_thread<R>(f: impl FnOnce(&OfThread) -> R) -> Option<R> {
    thread_local! {
        static OF_THREAD: OnceCell<Box<OfThread>> = const { OnceCell::new() };
    }
    let f = |cell: &OnceCell<Box<OfThread>>| {
        if cell.get().is_none() {
            // Not `get_or_init`: the allocator may be watched, and be here meanwhile.
            let _ = cell.set(Box::default());
        }
        cell.get().map(|mine| f(mine))
    };
    OF_THREAD.try_with(f).ok().flatten()
}
