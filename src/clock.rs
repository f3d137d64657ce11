//! The clock seam: every reading of time in lisle goes through here, so that tests can replace it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The present: the system's, or on an explorer's thread that of its world.
#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(not(loom))]
    if let Some(now) = crate::observe::with_explorer(crate::testing::explorer::Explorer::now) {
        return now;
    }
    Instant::now()
}

/// A point in time of the system's from which a world of its own can begin: `as_nanos` can express all that follows.
#[cfg(not(loom))]
pub(crate) fn base() -> Instant {
    start();
    Instant::now()
}

/// The point in time `after` from now; `None` if it is too far away to be told, which means never.
pub(crate) fn deadline(after: Duration) -> Option<Instant> {
    now().checked_add(after)
}

/// As `deadline`, for those who need a point in time in any case: a century from now is as good as never.
pub(crate) fn deadline_or_never(after: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    let now = now();
    now.checked_add(after.min(CENTURY)).unwrap_or(now)
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    // The system's time even within a world of its own, or other worlds' times could not be expressed.
    *START.get_or_init(Instant::now)
}

/// A point in time as a number, for atomics: nanoseconds since the first call, never 0.
pub(crate) fn as_nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(start()).as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// The point in time that `as_nanos` has made a number of.
pub(crate) fn from_nanos(nanos: u64) -> Instant {
    start() + Duration::from_nanos(nanos)
}
