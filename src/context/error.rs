//! Why a context is done, and how waits that it can end fail.

use std::fmt;

/// Why a context is done: Go's `context.Canceled` and `context.DeadlineExceeded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// It was cancelled.
    Cancelled,
    /// Its deadline has passed.
    DeadlineExceeded,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancelled => "context cancelled",
            Self::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl std::error::Error for Error {}

/// Why [`Context::recv`](super::Context::recv) has no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The channel is empty and has no sender any more.
    Disconnected,
    /// The context is done.
    Done(Error),
}

impl From<Error> for RecvError {
    fn from(error: Error) -> Self {
        Self::Done(error)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => crate::channel::RecvError.fmt(f),
            Self::Done(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disconnected => None,
            Self::Done(error) => Some(error),
        }
    }
}

/// Why [`Context::send`](super::Context::send) has not sent; the message is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// The channel has no receiver any more.
    Disconnected(T),
    /// The context is done.
    Done(T, Error),
}

impl<T> SendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Disconnected(message) | Self::Done(message, _) => message,
        }
    }
}

// The message need not be Debug.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.pad("Disconnected(..)"),
            Self::Done(_, error) => write!(f, "Done(.., {error:?})"),
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => crate::channel::SendError(()).fmt(f),
            Self::Done(_, error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for SendError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disconnected(_) => None,
            Self::Done(_, error) => Some(error),
        }
    }
}
