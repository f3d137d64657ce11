//! The clock seam: every reading of time in lisle goes through here, so that tests can replace it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The present.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The point in time `after` from now; `None` if it is too far away to be told, which means never.
pub(crate) fn deadline(after: Duration) -> Option<Instant> {
    now().checked_add(after)
}

/// A point in time as a number, for atomics: nanoseconds since the first call, never 0.
pub(crate) fn as_nanos(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(now);
    u64::try_from(at.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX).max(1)
}
