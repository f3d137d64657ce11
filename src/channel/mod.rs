//! Channels: how goroutines, and threads, hand messages to each other.
//!
//! The interface is that of the crate crossbeam-channel (0.5), signatures, errors and semantics included: code
//! moves over by its imports. The wait is lisle's: a goroutine that waits lets its neighbours run, an OS thread
//! blocks, and each end may be either.
//!
//! - [`bounded(n)`](bounded) holds at most `n` messages. With `bounded(0)` a send waits until a receiver takes the
//!   message: a *rendezvous*, Go's unbuffered channel.
//! - [`unbounded()`] holds any number; a send never waits.
//! - [`after`], [`at`], [`tick`] and [`never`](never()) give receivers whose messages come by the clock, or not at all.
//!   (A clock that can be set anew: `time::Timer` and `time::Ticker`.)
//! - [`select!`](crate::select) and [`Select`] wait for several operations at once.
//!
//! Both ends can be cloned and shared. When all senders are gone, receivers get what is left, and then an error;
//! when all receivers are gone, what is left is dropped, and senders get their message back in the error.
//!
//! ```
//! use lisle::{channel, go};
//! let (sender, receiver) = channel::bounded(16);
//! for worker in 0..3 {
//!     let sender = sender.clone();
//!     go(move || {
//!         for i in 0..4 {
//!             sender.send(10 * worker + i).unwrap();
//!         }
//!     });
//! }
//! drop(sender); // or the loop would wait for more
//! assert_eq!(receiver.iter().sum::<i32>(), 6 + 46 + 86);
//! ```
//!
//! Cost, between goroutines of one worker: about 10 ns for a message through a buffer, about 60 ns for a
//! rendezvous, switches included.
//!
//! | Go | here |
//! | --- | --- |
//! | `make(chan T)`, `make(chan T, n)` | `bounded(0)`, `bounded(n)` |
//! | `c <- v`, `v, ok := <-c` | `sender.send(v)`, `receiver.recv()` |
//! | `close(c)` | `drop(sender)`, of the last one |
//! | `for v := range c` | `for v in receiver` |
//! | `select { … default: }` | `select! { …, default => … }` |

pub(crate) mod bias;
mod clock;
mod core;
mod endpoint;
mod error;
mod handle;
pub(crate) mod lock;
mod receiver;
mod seat;
mod select;
mod select_macro;
mod selected;
mod sender;
mod wait;
mod waiters;
mod wakes;

#[doc(inline)]
pub use crate::{select, select_biased};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use receiver::{IntoIter, Iter, Receiver, TryIter};
pub use select::Select;
#[doc(hidden)]
pub use selected::Operation;
pub use selected::SelectedOperation;
pub use sender::Sender;

use clock::Clock;
use core::Core;
use handle::Handle;
use std::convert::Infallible;
use std::time::{Duration, Instant};
pub(crate) use wakes::Wakes;

/// A channel that holds at most `capacity` messages; with 0, a send waits until a receiver takes the message.
///
/// Memory for the first 512 messages is allocated at once, for more as they come.
///
/// # Panics
/// If that many messages could not exist in memory.
///
/// ```
/// let (sender, receiver) = lisle::channel::bounded(0);
/// lisle::go(move || sender.send("from hand to hand"));
/// assert_eq!(receiver.recv(), Ok("from hand to hand"));
/// ```
#[must_use]
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let size = size_of::<T>();
    assert!(capacity <= Core::<T>::MOST, "capacity overflow: a channel for {capacity} messages of {size} bytes");
    pair(Core::new(capacity, None))
}

/// A channel that holds at most `limit` messages, or any number if so many could not exist anyhow.
pub(crate) fn limited<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    if limit <= Core::<T>::MOST { bounded(limit) } else { unbounded() }
}

/// A channel that holds any number of messages. A send never waits: if receivers are slower than senders, memory
/// is what gives way. Prefer [`bounded`] where that can happen.
///
/// ```
/// let (sender, receiver) = lisle::channel::unbounded();
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// drop(sender);
/// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
/// ```
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Core::new(usize::MAX, None))
}

fn pair<T>(core: Core<T>) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = Handle::pair(core);
    (Sender::new(sender), Receiver::new(receiver))
}

/// A receiver that gets one message after `duration`: the time at which it was due. It never disconnects; after
/// the message it waits for ever. A duration too long for the clock to express means for ever.
///
/// It costs one allocation, and nothing while nobody waits: no timer stands behind it.
///
/// ```
/// use lisle::{channel, select};
/// use std::time::Duration;
/// let (_sender, receiver) = channel::unbounded::<i32>();
/// select! {
///     recv(receiver) -> message => println!("{message:?}"),
///     recv(channel::after(Duration::from_millis(5))) -> _ => println!("nothing came"),
/// }
/// ```
#[must_use]
pub fn after(duration: Duration) -> Receiver<Instant> {
    by_clock(crate::clock::deadline(duration), None, false)
}

/// A receiver that gets one message at `when`, which is also the message. As [`after`] in all else.
///
/// ```
/// use std::time::{Duration, Instant};
/// let when = Instant::now() + Duration::from_millis(2);
/// assert_eq!(lisle::channel::at(when).recv(), Ok(when));
/// ```
#[must_use]
pub fn at(when: Instant) -> Receiver<Instant> {
    by_clock(Some(when), None, false)
}

/// A receiver that gets a message every `duration`: the time at which it was due. It holds one message at most: a
/// slow receiver misses ticks, and the next one comes `duration` after it took the last. With a duration of zero
/// there is always a message.
///
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// let ticks = lisle::channel::tick(Duration::from_millis(2));
/// ticks.recv().unwrap();
/// ticks.recv().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(4));
/// ```
#[must_use]
pub fn tick(duration: Duration) -> Receiver<Instant> {
    by_clock(crate::clock::deadline(duration), Some(duration), false)
}

/// A receiver that never gets a message, and never disconnects: an arm of a select that is switched off.
///
/// It costs one allocation, and so is no `const fn` (crossbeam-channel's is, from 0.5.16 on): for a `static`, put it
/// into a [`LazyLock`](crate::sync::LazyLock).
///
/// ```
/// use lisle::{channel, select};
/// let (sender, receiver) = channel::unbounded();
/// sender.send(1).unwrap();
/// let (wanted, never) = (false, channel::never());
/// select! {
///     recv(if wanted { &receiver } else { &never }) -> _ => unreachable!(),
///     default => println!("not wanted"),
/// }
/// ```
#[must_use]
pub fn never<T>() -> Receiver<T> {
    let message = |_| unreachable!("it never has a message");
    let clock = Clock { next: None, period: None, keeps_phase: false, message };
    Receiver::new(Handle::of_receivers(Core::new(0, Some(clock))))
}

/// A channel without messages and senders. Its one event is that it is closed, by `Core::close_signal`.
pub(crate) fn signal() -> Receiver<Infallible> {
    Receiver::new(Handle::of_receivers(Core::new(0, None)))
}

pub(crate) fn by_clock(next: Option<Instant>, period: Option<Duration>, keeps_phase: bool) -> Receiver<Instant> {
    let clock = Clock { next, period, keeps_phase, message: |when| when };
    Receiver::new(Handle::of_receivers(Core::new(1, Some(clock))))
}
