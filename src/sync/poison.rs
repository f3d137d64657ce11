//! Poisoning, as std's locks have it: a guard that is dropped by a panic marks what it guards.
//!
//! A goroutine that ends itself by `exit` unwinds, too, but leaves nothing half done against its will, so
//! that does not poison.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError};

pub(crate) struct Flag {
    failed: AtomicBool,
}

/// Whether the thread was unwinding already when the lock was taken.
#[derive(Clone, Copy)]
pub(crate) struct Witness {
    panicking: bool,
}

impl Flag {
    pub(crate) const fn new() -> Self {
        Self { failed: AtomicBool::new(false) }
    }

    /// To be called when the lock was taken.
    #[inline]
    pub(crate) fn enter(&self) -> Witness {
        Witness { panicking: std::thread::panicking() }
    }

    /// To be called before the lock is let go.
    #[inline]
    pub(crate) fn leave(&self, witness: Witness) {
        if !witness.panicking && std::thread::panicking() && !crate::park::is_exiting() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.failed.store(false, Ordering::Relaxed);
    }

    /// Wraps what a lock gives.
    #[inline]
    pub(crate) fn wrap<T>(&self, value: T) -> LockResult<T> {
        if self.get() { Err(PoisonError::new(value)) } else { Ok(value) }
    }
}
