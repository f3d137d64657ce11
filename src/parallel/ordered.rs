//! [`ordered()`]: results of parallel work as a stream, in the order of the items.
//!
//! A goroutine, the *feeder*, takes the items, hands each to a [`Pool`] without a queue, and sends the handles through
//! a bounded channel: its order is the items' order, and its capacity bounds how far the work runs ahead. The reader
//! joins one handle after the other. When the reader goes away, the feeder's next send fails, it drops the pool, and
//! all end.
//!
//! (Rejected: results with numbers, put in order by the reader. The reader would have to keep any number of them while
//! it waits for a slow one.)

use crate::channel::{Receiver, Sender, bounded};
use crate::pool::{Cancelled, Handle, Pool};
use crate::spawn::Builder;
use crate::unwind::{Unwound, catch};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Calls `f` with each item, with up to `limit` calls at the same time, and gives the results one by one, in the order
/// of the items, while later calls still run.
///
/// The work begins at once, and runs ahead of the reader by at most `limit` items and two more: a slow reader holds it
/// up. When the reader drops the iterator, calls under way run to their end, and no others start. (If the items come
/// from an iterator that waits, it is dropped after its next item only.)
///
/// As with [`map`](super::map()), there are at most `limit` goroutines that make calls; one more takes the items.
///
/// The idea is that of sourcegraph/conc's `stream`.
///
/// Cost: about 0.2 µs for each item, if the reader is a goroutine.
///
/// # Panics
/// If `limit` is 0; if no goroutine can be started.
///
/// When `f`, or the iterator of the items, panics, [`Ordered::next`](Iterator::next) does, with the payload, in the
/// place of the result. [`exit`](crate::exit) in them ends the reader in the same way.
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
    let pool = Pool::builder().workers(limit).queue(0).name("ordered").build();
    let (results, receiver) = bounded(limit);
    let items = items.into_iter();
    let feeder = Builder::new().name("ordered").go_at(created_at, move || feed(items, f, &pool, &results));
    feeder.map(drop).unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"));
    Ordered { results: receiver }
}

/// Stands for one item: its result to come, or how the iterator failed.
type Place<T> = Result<Handle<T>, Unwound>;

fn feed<I, T, F>(mut items: I, f: F, pool: &Pool, results: &Sender<Place<T>>)
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    let f = Arc::new(f);
    loop {
        let place = match catch(|| items.next()) {
            Ok(None) => return,
            Ok(Some(item)) => {
                let f = Arc::clone(&f);
                let Ok(handle) = pool.submit(move || f(item)) else { return };
                Ok(handle)
            }
            Err(unwound) => Err(unwound),
        };
        let is_last = place.is_err();
        if results.send(place).is_err() || is_last {
            return;
        }
    }
}

/// Results in the order of their items; see [`ordered()`].
#[must_use = "the work stops soon if nobody takes the results"]
pub struct Ordered<T> {
    results: Receiver<Place<T>>,
}

impl<T> Iterator for Ordered<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let place = self.results.recv().ok()?;
        match place.and_then(|handle| handle.join().map_err(Unwound::from)) {
            Ok(result) => Some(result),
            Err(Unwound::Panicked(payload)) if payload.is::<Cancelled>() => {
                panic!("an item of a parallel stream never ran: its runtime was shut down before")
            }
            Err(unwound) => unwound.resume(),
        }
    }
}

impl<T> fmt::Debug for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Ordered { .. }")
    }
}
