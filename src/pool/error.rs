//! What a pool says to a task that it does not take.

use crate::context;
use std::error::Error;
use std::fmt;

/// The task was not taken; the closure comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SubmitError<F> {
    closure: F,
    reason: Refusal,
}

/// Why a task was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The queue is full. (From `try_submit` only: `submit` waits.)
    Full,
    /// The pool is closed, or its runtime was shut down.
    Closed,
    /// The pool's context is done.
    Cancelled(context::Error),
}

impl<F> SubmitError<F> {
    pub(super) fn new(closure: F, reason: Refusal) -> Self {
        Self { closure, reason }
    }

    /// The closure.
    pub fn into_inner(self) -> F {
        self.closure
    }

    /// Why it was not taken.
    pub fn reason(&self) -> Refusal {
        self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.pad("the pool's queue is full"),
            Self::Closed => f.pad("the pool is closed"),
            Self::Cancelled(error) => write!(f, "the pool is closed: {error}"),
        }
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<F> Error for SubmitError<F> {}
