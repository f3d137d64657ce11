//! Waits that end with a context.

use super::node::{Canceller, Reaction};
use super::{Context, Error, RecvError, SendError};
use crate::channel::{Receiver, RecvTimeoutError, Sender};
use crate::observe::{self, Op};
use crate::park::current;
use crate::select_biased;
use crate::sync::{OwnedPermit, Permit, Semaphore};
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

impl Context {
    /// Waits until the context is done. For one that can never be done that is for ever.
    #[track_caller]
    pub fn wait(&self) -> Error {
        // It has no message; what ends the wait is that it disconnects.
        let _ = self.done().recv();
        self.reason()
    }

    /// Waits for `duration`, or until the context is done.
    ///
    /// # Errors
    /// If the context is done, or becomes so before the time is up.
    ///
    /// ```
    /// use lisle::context;
    /// use std::time::Duration;
    /// let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_millis(2));
    /// assert_eq!(ctx.sleep(Duration::from_secs(3600)), Err(context::Error::DeadlineExceeded));
    /// ```
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> Result<(), Error> {
        self.check()?;
        match self.done().recv_timeout(duration) {
            // Its deadline may have passed before, although nobody has come to it.
            Err(RecvTimeoutError::Timeout) => self.check(),
            _ => Err(self.reason()),
        }
    }

    /// Receives, waiting for a message until the context is done. If it is done at the start, nothing is received,
    /// even if there is a message. None is ever lost.
    ///
    /// # Errors
    /// If the context is done, or the channel is empty and has no sender any more.
    ///
    /// ```
    /// use lisle::{channel, context};
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// let (sender, receiver) = channel::bounded(1);
    /// sender.send(7).unwrap();
    /// assert_eq!(ctx.recv(&receiver), Ok(7));
    /// cancel.cancel();
    /// assert_eq!(ctx.recv(&receiver), Err(context::RecvError::Done(context::Error::Cancelled)));
    /// ```
    #[track_caller]
    pub fn recv<T>(&self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        if self.canceller().is_none() {
            // It never ends: no need for a select.
            return receiver.recv().map_err(|_| RecvError::Disconnected);
        }
        self.check()?;
        select_biased! {
            recv(self.done()) -> _ => Err(RecvError::Done(self.reason())),
            recv(receiver) -> message => message.map_err(|_| RecvError::Disconnected),
        }
    }

    /// Sends, waiting for room, or for a receiver, until the context is done. If it is done at the start, nothing is
    /// sent.
    ///
    /// # Errors
    /// If the context is done, or the channel has no receiver any more; the message comes back.
    #[track_caller]
    pub fn send<T>(&self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        if self.canceller().is_none() {
            return sender.send(message).map_err(|error| SendError::Disconnected(error.into_inner()));
        }
        if let Some(error) = self.err() {
            return Err(SendError::Done(message, error));
        }
        select_biased! {
            recv(self.done()) -> _ => Err(SendError::Done(message, self.reason())),
            send(sender, message) -> sent => sent.map_err(|error| SendError::Disconnected(error.into_inner())),
        }
    }

    /// Receives, message by message, as [`recv`](Self::recv) does: until the channel is empty and has no sender any
    /// more, or the context is done.
    ///
    /// ```
    /// use lisle::{channel, context};
    /// let (sender, receiver) = channel::bounded(1);
    /// lisle::go(move || (1..=3).for_each(|i| sender.send(i).unwrap()));
    /// assert_eq!(context::background().iter(&receiver).sum::<i32>(), 6);
    /// ```
    pub fn iter<'a, T>(&'a self, receiver: &'a Receiver<T>) -> Iter<'a, T> {
        Iter { context: self, receiver }
    }

    /// Acquires `wanted` permits, waiting for them until the context is done. If it is done at the start, none are
    /// taken, even if they are free. Who gives up leaves the queue and takes nothing; those behind are served. (Go's
    /// `semaphore.Weighted.Acquire`.) If the permits come at the moment at which the context ends, either may count.
    ///
    /// # Errors
    /// If the context is done.
    ///
    /// # Panics
    /// If more are wanted than there are.
    ///
    /// ```
    /// use lisle::{context, sync::Semaphore};
    /// use std::time::Duration;
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.acquire(1);
    /// let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_millis(2));
    /// assert_eq!(ctx.acquire(&semaphore, 1).unwrap_err(), context::Error::DeadlineExceeded);
    /// ```
    #[track_caller]
    pub fn acquire<'a>(&self, semaphore: &'a Semaphore, wanted: usize) -> Result<Permit<'a>, Error> {
        let _interrupt = Interrupt::new(self)?;
        semaphore.acquire_unless(wanted, || self.err().is_some()).ok_or_else(|| self.reason())
    }

    /// As [`acquire`](Self::acquire), for a permit that may go anywhere, into a goroutine for example.
    ///
    /// # Errors
    /// If the context is done.
    ///
    /// # Panics
    /// If more are wanted than there are.
    #[track_caller]
    pub fn acquire_owned(&self, semaphore: &Arc<Semaphore>, wanted: usize) -> Result<OwnedPermit, Error> {
        let _interrupt = Interrupt::new(self)?;
        semaphore.acquire_owned_unless(wanted, || self.err().is_some()).ok_or_else(|| self.reason())
    }

    /// Calls `f` again and again until the context is done. A call under way is not interrupted. Calls that do not wait
    /// let others run now and then.
    #[track_caller]
    pub fn run_until_done(&self, mut f: impl FnMut()) -> Error {
        loop {
            if let Some(error) = self.err() {
                return error;
            }
            f();
            observe::enter(Op::ContextError, self);
        }
    }

    /// To be called when it is done.
    fn reason(&self) -> Error {
        self.err().expect("the outcome is set before `done` disconnects")
    }
}

/// Unparks its creator when the context ends.
struct Interrupt<'a> {
    registered: Option<(&'a Canceller, u64)>,
}

impl<'a> Interrupt<'a> {
    fn new(context: &'a Context) -> Result<Self, Error> {
        context.check()?;
        let Some(canceller) = context.canceller() else { return Ok(Self { registered: None }) };
        match canceller.add_reaction(Reaction::Wake(current())) {
            Ok(id) => Ok(Self { registered: Some((canceller, id)) }),
            Err(_) => Err(context.reason()),
        }
    }
}

impl Drop for Interrupt<'_> {
    fn drop(&mut self) {
        if let Some((canceller, id)) = self.registered {
            drop(canceller.remove_reaction(id));
        }
    }
}

/// See [`Context::iter`].
pub struct Iter<'a, T> {
    context: &'a Context,
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.context.recv(self.receiver).ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}
