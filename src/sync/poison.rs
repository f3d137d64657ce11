//! Poisoning, as std's locks have it: a guard that is dropped by a panic marks what it guards.
//!
//! A goroutine that ends itself by `exit` unwinds, too, but leaves nothing half done against its will, so
//! that does not poison.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError};

pub(crate) struct Flag {
    failed: AtomicBool,
}

/// What was so when the lock was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Witness {
    Plain,
    /// The thread was unwinding already.
    Panicking,
    /// Somebody watches: so letting go is told, too. (Kept here, where unlocking has to look anyhow.)
    Watched,
    WatchedPanicking,
}

impl Witness {
    /// The lock was just taken.
    #[inline]
    pub(crate) fn new() -> Self {
        if std::thread::panicking() { Self::Panicking } else { Self::Plain }
    }

    /// As `new`, when somebody watches.
    pub(crate) fn watched() -> Self {
        if std::thread::panicking() { Self::WatchedPanicking } else { Self::Watched }
    }

    pub(crate) fn is_watched(self) -> bool {
        matches!(self, Self::Watched | Self::WatchedPanicking)
    }
}

impl Flag {
    pub(crate) const fn new() -> Self {
        Self { failed: AtomicBool::new(false) }
    }

    /// To be called before the lock is let go.
    #[inline]
    pub(crate) fn leave(&self, witness: Witness) {
        if matches!(witness, Witness::Plain | Witness::Watched)
            && std::thread::panicking()
            && !crate::park::is_exiting()
        {
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
