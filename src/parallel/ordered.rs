//! [`ordered()`]: results of parallel work as a stream, in the order of the items.
//!
//! Each goroutine takes an item, starts its successor, which will take the next, sends that one's handle to the reader,
//! and makes its call. So the handles come in the order of the items, and the reader joins one after the other; and who
//! takes the next item has not been started until a thread has time for it, which a goroutine that took them all would
//! not wait for: it would be pinned to a thread on which, perhaps, a call computes. When the reader goes away it cancels
//! the stream's context, and all end.
//!
//! # Invariants
//! - Who has the feed is the only one that takes items, and lets it go when its successor's handle is sent.
//! - The handle of who will take the next item is on its way to the reader, or with it, before the call for the last one
//!   is made. So where one joins well and gives a result, there is a next; where there is none, the iterator has failed.
//! - Nobody waits between taking an item and its call.
//!
//! (Rejected: results with numbers, put in order by the reader. The reader would have to keep any number of them while
//! it waits for a slow one. And goroutines that live as long as the stream: see `pool`.)

use super::offer_successor;
use crate::channel::{Receiver, Sender, unbounded};
use crate::context::{self, Cancel, Context};
use crate::spawn::{Builder, JoinHandle};
use crate::sync::{Mutex, MutexGuard, OwnedPermit, Semaphore};
use crate::unwind::Unwound;
use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::panic::Location;
use std::sync::{Arc, PoisonError};

/// Calls `f` with each item, with up to `limit` calls at the same time, and gives the results one by one, in the order
/// of the items, while later calls still run.
///
/// The work begins at once, and runs ahead of the reader by at most `limit` items and two more: a slow reader holds it
/// up. When the reader drops the iterator, calls under way run to their end, and no others start. (If the items come
/// from an iterator that waits, it is dropped after its next item only.)
///
/// Each call is made in a goroutine of its own, at most `limit` at the same time; one more takes the items.
///
/// The idea is that of sourcegraph/conc's `stream`.
///
/// Cost: about 0.3 µs for each item, if the reader is a goroutine on one thread with the calls.
///
/// # Panics
/// If `limit` is 0; if no goroutine can be started.
///
/// When `f`, or the iterator of the items, panics, [`Ordered::next`](Iterator::next) does, with the payload, in the
/// place of the result. [`exit`](crate::exit) in them ends the reader in the same way. A panic to which the reader never
/// comes is reported, as that of a goroutine which nobody joins. If the runtime is shut down before all items have been
/// worked on, `next` panics.
///
/// ```
/// let lines = ["3 4", "10 20", "7"];
/// let sums = lisle::parallel::ordered(2, lines, |line| {
///     line.split(' ').map(|n| n.parse::<i32>().unwrap()).sum::<i32>()
/// });
/// assert!(sums.eq([7, 30, 7]));
/// ```
#[track_caller]
pub fn ordered<I, T, F>(limit: usize, items: I, f: F) -> Ordered<T>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    assert!(limit > 0, "a parallel stream with a limit of 0 goroutines would never run anything");
    let created_at = Location::caller();
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, results) = unbounded();
    let stream = Arc::new(Stream {
        ctx,
        places: Arc::new(Semaphore::new(limit)),
        // One more, for whoever will take the next item.
        ahead: Arc::new(Semaphore::new(limit.saturating_add(1))),
        created_at,
        feed: Mutex::new(Feed { items: items.into_iter(), results: sender }),
        f,
    });
    let ahead = stream.ahead.acquire_owned(1);
    let feed = stream.lock_feed();
    let first = stream.start().unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"));
    feed.pass_on(Ok(first), ahead);
    drop(feed);
    Ordered { results, is_over: false, created_at, _cancel: cancel }
}

/// Stands for one item: its result to come, if there is one.
struct Place<T> {
    handle: io::Result<JoinHandle<Option<T>>>,
    _ahead: OwnedPermit,
}

struct Stream<I, F, T> {
    /// Done when the reader has gone away.
    ctx: Context,
    /// For calls.
    places: Arc<Semaphore>,
    /// For places to which the reader has not come yet.
    ahead: Arc<Semaphore>,
    created_at: &'static Location<'static>,
    feed: Mutex<Feed<I, T>>,
    f: F,
}

struct Feed<I, T> {
    items: I,
    results: Sender<Place<T>>,
}

impl<I, T> Feed<I, T> {
    /// Tells the reader who takes the next item. If it has just gone away, the handle goes, too.
    fn pass_on(&self, handle: io::Result<JoinHandle<Option<T>>>, ahead: OwnedPermit) {
        let _ = self.results.send(Place { handle, _ahead: ahead });
    }
}

impl<I, F, T> Stream<I, F, T>
where
    I: Iterator<Item: Send + 'static> + Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    fn start(self: &Arc<Self>) -> io::Result<JoinHandle<Option<T>>> {
        let this = Arc::clone(self);
        Builder::new().go_at(self.created_at, move || this.work())
    }

    fn lock_feed(&self) -> MutexGuard<'_, Feed<I, T>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each goroutine does. `None`: there was no item any more, or nobody waits for its result.
    fn work(self: Arc<Self>) -> Option<T> {
        let _place = self.ctx.acquire_owned(&self.places, 1).ok()?;
        let ahead = self.ctx.acquire_owned(&self.ahead, 1).ok()?;
        let mut feed = self.lock_feed();
        let item = feed.items.next()?;
        self.ctx.check().ok()?;
        feed.pass_on(self.start(), ahead);
        drop(feed);
        offer_successor(&self.places);
        Some((self.f)(item))
    }
}

/// Results in the order of their items; see [`ordered()`].
#[must_use = "the work stops soon if nobody takes the results"]
pub struct Ordered<T> {
    results: Receiver<Place<T>>,
    is_over: bool,
    created_at: &'static Location<'static>,
    _cancel: Cancel,
}

impl<T> Iterator for Ordered<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.is_over {
            return None;
        }
        // Set back if there is a result, or a call failed.
        self.is_over = true;
        let handle =
            self.results.recv().ok()?.handle.unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"));
        match handle.join() {
            Ok(result) => {
                self.is_over = result.is_none();
                result
            }
            Err(payload) if payload.is::<crate::Cancelled>() => {
                panic!("the parallel stream created at {} was cut short: its runtime was shut down", self.created_at)
            }
            Err(payload) => {
                self.is_over = false;
                Unwound::from(payload).resume()
            }
        }
    }
}

impl<T> FusedIterator for Ordered<T> {}

impl<T> fmt::Debug for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Ordered { .. }")
    }
}
