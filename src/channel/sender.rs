//! [`Sender`].

use super::core::{Core, Patience, Side};
use super::error::{SendError, SendTimeoutError, TrySendError};
use super::handle::Handle;
use super::wait::Verdict;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// The sending end of a channel. Clones send into the same channel; when all are dropped, it is disconnected.
///
/// ```
/// use lisle::channel;
/// let (sender, receiver) = channel::bounded(1);
/// sender.send("message").unwrap();
/// assert!(sender.try_send("no room").unwrap_err().is_full());
/// drop(receiver);
/// assert_eq!(sender.send("nobody listens").unwrap_err().into_inner(), "nobody listens");
/// ```
pub struct Sender<T> {
    core: Handle<T>,
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    pub(super) fn new(core: Handle<T>) -> Self {
        Self { core }
    }

    pub(super) fn core(&self) -> &Core<T> {
        &self.core
    }

    /// Sends, waiting for room, or, at zero capacity, for a receiver.
    ///
    /// # Errors
    /// If there is no receiver any more; the message comes back.
    #[inline(always)]
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.core.send(message, Patience::Until(None)).map_err(|(message, _)| SendError(message))
    }

    /// Sends if there is room, or, at zero capacity, if a receiver waits. Never waits.
    ///
    /// # Errors
    /// If there is not, or no receiver any more; the message comes back.
    #[inline]
    #[track_caller]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.core.send(message, Patience::Never).map_err(|(message, verdict)| match verdict {
            Verdict::Closed => TrySendError::Disconnected(message),
            _ => TrySendError::Full(message),
        })
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    /// If the time is up, or if there is no receiver any more; the message comes back.
    #[inline(always)]
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, crate::clock::deadline(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at the latest.
    ///
    /// # Errors
    /// If the time is up, or if there is no receiver any more; the message comes back.
    #[inline(always)]
    #[track_caller]
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Some(deadline))
    }

    #[inline(always)]
    #[track_caller]
    fn send_until(&self, message: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        self.core.send(message, Patience::Until(deadline)).map_err(|(message, verdict)| match verdict {
            Verdict::Closed => SendTimeoutError::Disconnected(message),
            _ => SendTimeoutError::Timeout(message),
        })
    }

    /// Whether there is no message in the channel. Always true at zero capacity.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.core.len() == 0
    }

    /// Whether there is no room in the channel. Always true at zero capacity.
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.core.is_full()
    }

    /// How many messages are in the channel.
    #[track_caller]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// How many messages the channel can hold; `None`: any number.
    pub fn capacity(&self) -> Option<usize> {
        self.core.capacity()
    }

    /// Whether all receivers have gone: no send can succeed any more.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.core.is_closed()
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.core.is_of_same_channel(&other.core)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // SAFETY: a sender's, and its last use.
        unsafe { self.core.leave(Side::Send) };
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(self.core.another(Side::Send))
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
