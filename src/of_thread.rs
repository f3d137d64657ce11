//! What lisle keeps for each thread, in one place.
//!
//! Each word of a thread-local is looked at in each switch of goroutines (`sched::scan`). So what is not needed on the way to
//! a switch is not a thread-local of its own, but here, behind a pointer: of 13 words 5 are left, and a yield takes a
//! fifteenth less. It lies on the heap also because it has addresses of stacks in it, which thread-locals must not.
//!
//! It is freed with the thread's other thread-locals. Who comes later (a destructor of the user's that runs after that) gets
//! another, which is leaked: nothing would free it.
//!
//! Not here: goroutine-locals of plain threads. Their destructors are the user's, and run when those of thread-locals would
//! (`local.rs`); they are no words for programs that have none.

use crate::debug::known_walks::Walks;
use crate::park::ThreadSelf;
use crate::scope::ScopeData;
use std::cell::{Cell, OnceCell};
use std::ptr::null;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct OfThread {
    /// The innermost scope that a thread which runs no goroutine has opened.
    pub(crate) scope: Cell<Option<Arc<ScopeData>>>,
    /// The labels of such a thread.
    pub(crate) labels: Cell<Option<Arc<str>>>,
    pub(crate) walks: Walks,
    /// The state of its random numbers; 0: not begun.
    pub(crate) random: Cell<u64>,
    /// What waits in place of a goroutine, once it has.
    pub(crate) stand_in: OnceCell<ThreadSelf>,
}

struct Free;

thread_local! {
    static OF_THREAD: Cell<*const OfThread> = const { Cell::new(null()) };
    static FREE: Free = const { Free };
}

impl Drop for Free {
    fn drop(&mut self) {
        let mine = OF_THREAD.replace(null()).cast_mut();
        // SAFETY: it came from `Box::leak`, on this thread, and nobody there is using it: who does runs no destructors of
        // thread-locals.
        drop(unsafe { Box::from_raw(mine) });
    }
}

/// What is the calling thread's, until its thread-locals are gone: to be used up within one call.
#[inline(always)]
pub(crate) fn of_thread() -> &'static OfThread {
    let existing = OF_THREAD.get();
    let mine = if existing.is_null() { prepare() } else { existing };
    // SAFETY: freed only by `Free::drop`, which sets the pointer to null first. The 'static is a lie that no caller keeps.
    unsafe { &*mine }
}

#[cold]
#[inline(never)]
fn prepare() -> *const OfThread {
    let new = Box::<OfThread>::default();
    // The allocator may be watched, and have been here meanwhile.
    if OF_THREAD.get().is_null() {
        OF_THREAD.set(Box::leak(new));
        let _ = FREE.try_with(|_| ());
    }
    OF_THREAD.get()
}
