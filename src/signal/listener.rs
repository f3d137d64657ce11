//! Who listens for signals: a channel, or a context.

use super::{Received, Signal};
use crate::channel::{Sender, TryRecvError, TrySendError};
use crate::context::{CancelCause, Context};

pub(super) struct Listener {
    signals: Vec<Signal>,
    target: Target,
}

enum Target {
    Channel(Sender<Signal>),
    Context(Context, CancelCause),
}

/// What became of the attempt to tell a listener.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It does not listen for that signal, and was not told.
    Unconcerned,
    /// It has heard, and listens on.
    Stays,
    /// It has heard, and that was enough for it.
    Leaves,
    /// It was not there any more.
    HasGone,
}

impl Listener {
    pub(super) fn channel(signals: &[Signal], sender: Sender<Signal>) -> Self {
        Self { signals: signals.to_vec(), target: Target::Channel(sender) }
    }

    pub(super) fn context(signals: &[Signal], context: Context, cancel: CancelCause) -> Self {
        Self { signals: signals.to_vec(), target: Target::Context(context, cancel) }
    }

    pub(super) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Asked under a lock, so it must not end a context whose deadline has just passed, as `err` would.
    pub(super) fn has_gone(&self) -> bool {
        match &self.target {
            Target::Channel(sender) => sender.is_disconnected(),
            Target::Context(context, _) => context.done().try_recv() == Err(TryRecvError::Disconnected),
        }
    }

    pub(super) fn tell(&self, signal: Signal) -> Told {
        if !self.signals.contains(&signal) {
            return Told::Unconcerned;
        }
        match &self.target {
            Target::Channel(sender) => match sender.try_send(signal) {
                Ok(()) | Err(TrySendError::Full(_)) => Told::Stays,
                Err(TrySendError::Disconnected(_)) => Told::HasGone,
            },
            Target::Context(context, cancel) => {
                if context.err().is_some() {
                    return Told::HasGone;
                }
                cancel.cancel(Received { signal });
                Told::Leaves
            }
        }
    }
}
