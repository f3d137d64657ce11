//! The clock seam: every reading of time in lisle goes through here, so that tests can replace it.

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
