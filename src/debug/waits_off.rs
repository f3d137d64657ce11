//! `waits` without the feature `pprof`: nothing is ever timed.

use crate::sched::g::G;
use crate::sched::worker::Worker;
use std::time::Duration;

pub(crate) fn block_profile_is_on() -> bool {
    false
}

#[inline]
pub(crate) fn are_timed() -> bool {
    false
}

pub(crate) fn latencies_are_wanted() -> bool {
    false
}

pub(crate) fn count_latency(_latency: Duration) {}

pub(crate) fn count_blocked(_worker: &Worker, _g: &G, _waited: Duration) {}

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
