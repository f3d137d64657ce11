//! Signals of the operating system, as messages: Go's `os/signal`.
//!
//! - [`notify`] gives a receiver, to be waited on in a [`select!`](crate::select) like any other.
//! - [`notify_context`] gives a [`Context`] that the first signal cancels: how most programs end on Ctrl-C.
//!
//! ```no_run
//! use lisle::{context, signal};
//!
//! let (context, _stop) = signal::notify_context(&context::background(), &[signal::SIGINT, signal::SIGTERM])?;
//! while context.sleep(std::time::Duration::from_secs(1)).is_ok() {
//!     println!("at work");
//! }
//! println!("ending, because: {}", context.cause().expect("it is done"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What happens to a signal
//! A signal for which somebody listens loses its default action. All who listen for it are told, by a thread that
//! exists for this alone (it starts with the first call): it works while all workers are stuck.
//!
//! A signal that comes when all who listened have gone — receivers dropped, contexts done — gets back what it did
//! before the first of them: SIGINT ends the process, SIGTSTP stops it, and one that was ignored (as `nohup` does
//! with SIGHUP) is ignored. So a second Ctrl-C ends a program that gave up listening after the first.
//!
//! Handlers that others installed before are called as well, each time. Of those who come later lisle does not know:
//! if another library (tokio, say) listens for the same signal, and nobody does through lisle any more, the signal has
//! its default action all the same.
//!
//! The kernel does not count signals: those of one number that come faster than they are taken are one. Real-time
//! signals are not supported; nor are those that report a fault ([`Signal`] says which there are).
//!
//! A handler runs on the stack of some thread that the kernel picks, often that of `main`, sometimes that of a
//! goroutine; it needs some KiB there.

pub(crate) mod delivery;
mod listener;
mod number;

pub use number::*;

use crate::channel::{Receiver, bounded};
use crate::context::{Cancel, Context, with_cancel, with_cancel_cause};
use listener::Listener;
use std::fmt;
use std::io;

/// What a receiver holds. More than there are signals, so that a burst of different ones loses none.
const BUFFER: usize = 64;

/// A receiver of the signals listed, from now on, until it and its clones are dropped. (Go's `signal.Notify`.)
///
/// Each receiver that was made by a call of its own gets each signal; clones of one receiver share what it gets. It
/// holds 64 signals that nobody has taken yet; what comes on top of that is lost to this receiver, as in Go. It is
/// never disconnected.
///
/// # Errors
/// The list is empty (`InvalidInput`): nobody could ever be told anything; or the system refuses the thread, the
/// pipe or the handler.
///
/// ```
/// use lisle::{select, signal};
/// use std::time::Duration;
///
/// let reload = signal::notify(&[signal::SIGHUP])?;
/// select! {
///     recv(reload) -> signal => println!("{}: reading the configuration again", signal.unwrap()),
///     default(Duration::from_millis(1)) => println!("no signal"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn notify(signals: &[Signal]) -> io::Result<Receiver<Signal>> {
    check(signals)?;
    let (sender, receiver) = bounded(BUFFER);
    delivery::listen(Listener::channel(signals, sender))?;
    Ok(receiver)
}

/// A child of `parent` that is cancelled by the first of the signals listed, with [`Received`] as its cause. (Go's
/// `signal.NotifyContext`.)
///
/// With that first signal, and with any other end of the context, the listening ends: a second Ctrl-C ends the
/// process. That is meant for users whose program does not end soon enough for them; a program that wants to see the
/// second one, too, calls [`notify`].
///
/// Cancel or drop what is returned beside the context to stop listening before a signal comes.
///
/// # Errors
/// As [`notify`].
pub fn notify_context(parent: &Context, signals: &[Signal]) -> io::Result<(Context, Cancel)> {
    check(signals)?;
    // Two contexts, since each of the two who may cancel holds the right to do so: the caller the outer one's, the
    // delivery the inner one's.
    let (outer, stop) = with_cancel(parent);
    let (context, cancel) = with_cancel_cause(&outer);
    delivery::listen(Listener::context(signals, context.clone(), cancel))?;
    Ok((context, stop))
}

fn check(signals: &[Signal]) -> io::Result<()> {
    crate::observe::forbid(
        "signals of the system do not come within testing::check or testing::virtual_time; send on a channel of the test's \
         instead",
    );
    if signals.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no signal to listen for: the list is empty"));
    }
    Ok(())
}

/// The cause of a context that was cancelled by a signal: see [`notify_context`].
///
/// ```
/// use lisle::signal::{Received, SIGTERM};
/// use std::{error::Error, sync::Arc};
///
/// /// The exit status that shells expect of a program that a signal has ended.
/// fn exit_status(cause: Arc<dyn Error + Send + Sync>) -> i32 {
///     cause.downcast_ref::<Received>().map_or(1, |received| 128 + received.signal.number())
/// }
/// # let _ = (exit_status, SIGTERM);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Received {
    /// Which.
    pub signal: Signal,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {}", self.signal)
    }
}

impl std::error::Error for Received {}
