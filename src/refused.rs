//! [`Refused`]: work that was not taken comes back, with the reason. One type for all who take work.

use crate::context;
use std::error::Error;
use std::fmt;

/// Work that was not taken, by a [`Pool`](crate::pool::Pool), a [`Group`](crate::errgroup::Group) or a
/// [`Tracker`](crate::shutdown::Tracker): it comes back, with the reason. The text says who refused it.
///
/// ```
/// use lisle::{Refusal, pool::Pool};
/// let pool = Pool::builder().workers(1).build();
/// pool.close();
/// let refused = pool.submit(|| 6 * 7).unwrap_err();
/// assert_eq!((refused.reason(), refused.to_string()), (Refusal::Closed, "the pool is closed".into()));
/// let work = refused.into_inner();
/// assert_eq!(work(), 42); // here and now
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused<F> {
    work: F,
    reason: Refusal,
    text: &'static str,
}

/// Why work was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no place for it at the moment. (From `try_` calls only: others wait for one.)
    Full,
    /// Nothing new is taken any more.
    Closed,
    /// The context that those who take work obey is done.
    Done(context::Error),
}

impl<F> Refused<F> {
    pub(crate) fn new(work: F, reason: Refusal, text: &'static str) -> Self {
        Self { work, reason, text }
    }

    /// What was not taken.
    pub fn into_inner(self) -> F {
        self.work
    }

    /// Why it was not taken.
    pub fn reason(&self) -> Refusal {
        self.reason
    }
}

// The work need not be Debug.
impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).field("text", &self.text).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Refusal::Done(error) => write!(f, "{}: {error}", self.text),
            Refusal::Full | Refusal::Closed => f.pad(self.text),
        }
    }
}

impl<F> Error for Refused<F> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Refusal::Done(error) => Some(error),
            Refusal::Full | Refusal::Closed => None,
        }
    }
}
