//! [`Receiver`] and its iterators.

use super::core::{Core, Patience, Side};
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::handle::Handle;
use super::wait::Verdict;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// The receiving end of a channel. Clones receive from the same channel: each message goes to one of them. When
/// all are dropped, the channel is disconnected, and the messages in it are dropped.
///
/// ```
/// use lisle::channel::{self, TryRecvError};
/// let (sender, receiver) = channel::unbounded();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send(1).unwrap();
/// drop(sender);
/// assert_eq!(receiver.recv(), Ok(1));
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
/// ```
pub struct Receiver<T> {
    core: Handle<T>,
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(core: Handle<T>) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Core<T> {
        &self.core
    }

    /// Receives, waiting for a message.
    ///
    /// # Errors
    /// If the channel is empty and there is no sender any more.
    #[inline(always)]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.core.receive(Patience::Until(None)) {
            Ok(message) => Ok(message),
            Err(_) => Err(RecvError),
        }
    }

    /// Receives if there is a message, or, at zero capacity, if a sender waits.
    ///
    /// It does not wait, with one exception: if it finds a sender that waits in a select, which has its message only once
    /// it is chosen, it waits for that. (At zero capacity, or while all room is set aside for other selects.)
    ///
    /// # Errors
    /// If there is not, or no sender any more.
    #[inline]
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.core.receive(Patience::Never).map_err(|verdict| match verdict {
            Verdict::Closed => TryRecvError::Disconnected,
            _ => TryRecvError::Empty,
        })
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// If the time is up, or if the channel is empty and there is no sender any more.
    #[inline(always)]
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receive_until(crate::clock::deadline(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest.
    ///
    /// # Errors
    /// If the time is up, or if the channel is empty and there is no sender any more.
    #[inline(always)]
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.receive_until(Some(deadline))
    }

    #[inline(always)]
    #[track_caller]
    fn receive_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        match self.core.receive(Patience::Until(deadline)) {
            Ok(message) => Ok(message),
            Err(Verdict::Closed) => Err(RecvTimeoutError::Disconnected),
            Err(_) => Err(RecvTimeoutError::Timeout),
        }
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

    /// Receives, message by message, waiting for each, until the channel is empty and has no sender any more.
    ///
    /// ```
    /// let (sender, receiver) = lisle::channel::bounded(1);
    /// lisle::go(move || (1..=3).for_each(|i| sender.send(i).unwrap()));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// Receives what is there, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.core.is_of_same_channel(&other.core) || self.core.is_never() && other.core.is_never()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // SAFETY: a receiver's, and its last use.
        unsafe { self.core.leave(Side::Receive) };
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.core.another(Side::Receive))
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter { receiver: self }
    }
}

/// See [`Receiver::iter`].
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// See [`Receiver::try_iter`].
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// As [`Iter`], with the receiver inside: `for message in receiver`.
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline(always)]
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline(always)]
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}
