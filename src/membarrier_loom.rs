//! `membarrier` for the models: between two real fences there is the same order as between its two sides.

use crate::atomics::{Ordering, fence};
use std::cell::Cell;

std::thread_local! {
    /// A model and all its threads run on one thread.
    static IS_THERE: Cell<bool> = const { Cell::new(true) };
}

pub(crate) fn is_available() -> bool {
    IS_THERE.get()
}

pub(crate) fn here() {
    if is_available() {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn everywhere() {
    assert!(is_available(), "nobody makes use of what is not there");
    fence(Ordering::SeqCst);
}

/// Runs a model of a system that has no such call.
pub(crate) fn without(body: impl FnOnce()) {
    IS_THERE.set(false);
    body();
    IS_THERE.set(true);
}
