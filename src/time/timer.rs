//! [`Timer`] and [`Ticker`]: channels with a clock that can be set.
//!
//! The channel holds no message and nothing runs in the background: a receiver that waits does so until the
//! clock's next time, and makes the message itself (see `channel/core.rs`). So there is nothing to drain when the
//! clock is set anew, which is what made Go's `Timer.Reset` hard to use before Go 1.23.

use crate::channel::{Receiver, by_clock};
use std::fmt;
use std::time::{Duration, Instant};

/// A channel that gets one message at a time that can be changed: Go's `time.Timer`, with the rules of Go 1.23.
///
/// The message is the time at which it was due. After [`stop`](Self::stop) or [`reset`](Self::reset) no message of
/// the time before can be received any more, and receivers that wait go by the new time. Dropping the timer stops
/// it, also if there are clones of its receiver; those never disconnect.
///
/// Cost: one allocation; nothing stands behind it while nobody waits.
///
/// ```
/// use lisle::{channel, select, time::Timer};
/// use std::time::Duration;
///
/// let (sender, lines) = channel::unbounded();
/// sender.send("one line").unwrap();
/// let idle = Timer::new(Duration::from_millis(5));
/// let mut count = 0;
/// loop {
///     select! {
///         recv(lines) -> line => {
///             count += line.unwrap().len();
///             idle.reset(Duration::from_millis(5));
///         }
///         recv(idle.receiver()) -> _ => break, // nothing came for 5 ms
///     }
/// }
/// assert_eq!(count, 8);
/// ```
#[must_use = "dropping it stops the timer"]
pub struct Timer {
    receiver: Receiver<Instant>,
}

impl Timer {
    /// A timer whose message comes after `duration`. One too long for the clock to express means never.
    pub fn new(duration: Duration) -> Self {
        Self { receiver: by_clock(Some(crate::clock::deadline_or_never(duration)), None, false) }
    }

    /// Where the message comes. A clone of it is good as long as the timer lives.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.receiver
    }

    /// Sets the timer, running or not, to `duration` from now. Returns whether it was running: its message had not
    /// been received, nor had it been stopped.
    ///
    /// Never waits.
    pub fn reset(&self, duration: Duration) -> bool {
        self.receiver.core().set_clock(Some(crate::clock::deadline_or_never(duration)), None)
    }

    /// Stops the timer: no message comes until it is [`reset`](Self::reset). Returns whether it was running, as
    /// `reset` does: a message that was due and has not been received counts as running, and is gone.
    ///
    /// Never waits. Who waits for the message waits on.
    pub fn stop(&self) -> bool {
        self.receiver.core().set_clock(None, None)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

/// A channel that gets a message every period: Go's `time.Ticker`.
///
/// The message is the time at which it was due. It holds one message at most: a receiver that is slow misses some,
/// but those that come still come a whole number of periods after the start. ([`channel::tick`](crate::channel::tick)
/// instead waits a whole period after each message that was received.) Dropping the ticker stops it, also if there
/// are clones of its receiver; those never disconnect.
///
/// ```
/// use lisle::time::Ticker;
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// let ticker = Ticker::new(Duration::from_millis(2));
/// for tick in ticker.receiver().iter().take(3) {
///     println!("{:?}", tick - start);
/// }
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// ```
#[must_use = "dropping it stops the ticker"]
pub struct Ticker {
    receiver: Receiver<Instant>,
}

impl Ticker {
    /// A ticker whose first message comes after one period.
    ///
    /// # Panics
    /// "non-positive interval for `Ticker::new`", as Go says: if `period` is zero.
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "non-positive interval for Ticker::new");
        Self { receiver: by_clock(crate::clock::deadline(period), Some(period), true) }
    }

    /// Where the messages come. A clone of it is good as long as the ticker lives.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.receiver
    }

    /// Sets the ticker, running or not, to another period; the next message comes after one of that. A message of
    /// the time before that was due is gone. Never waits.
    ///
    /// # Panics
    /// "non-positive interval for `Ticker::reset`" if `period` is zero.
    #[track_caller]
    pub fn reset(&self, period: Duration) {
        assert!(!period.is_zero(), "non-positive interval for Ticker::reset");
        self.receiver.core().set_clock(crate::clock::deadline(period), Some(period));
    }

    /// Stops the ticker: no message comes until it is [`reset`](Self::reset), not even one that was due. Never waits.
    pub fn stop(&self) {
        self.receiver.core().set_clock(None, None);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
