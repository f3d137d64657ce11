//! `waits` without the feature `pprof`: nothing is ever timed.

use std::time::Duration;

#[inline]
pub(crate) fn are_timed() -> bool {
    false
}

pub(crate) fn latencies_are_wanted() -> bool {
    false
}

pub(crate) fn count_latency(_latency: Duration) {}

/// A wait for a lock, which is not timed.
pub(crate) struct LockWait;

impl LockWait {
    #[inline]
    pub(crate) fn begin() -> Self {
        Self
    }

    #[inline]
    pub(crate) fn end(self) {}
}
