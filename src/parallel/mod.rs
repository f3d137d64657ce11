//! Bounded parallelism: loops whose bodies run at the same time, at most so many at once.
//!
//! | to … | use |
//! | --- | --- |
//! | run a loop in parallel, and wait for it | [`map()`], [`for_each`], [`try_map`], [`try_for_each`] |
//! | read results in order while later ones are worked on | [`ordered()`] |
//! | send work from stage to stage | [`source`], [`stage`], [`merge`] |
//!
//! All of these take their items one by one, from any iterator, and only when there is a goroutine, or room in a
//! channel, for the next. A loop that fails has the outcome that a plain loop would have had: see [`map()`].
//!
//! For tasks that come from here and there, see [`pool`](crate::pool); for a few different ones,
//! [`errgroup`](crate::errgroup).

mod map;
mod ordered;
mod pipeline;

use crate::sched::worker::Worker;
use crate::sync::Semaphore;

/// The caller is about to make a call of the user's, which may take long: the successor that it has started should
/// not wait for it if another worker is idle, and there is a place for it.
fn offer_successor(places: &Semaphore) {
    if places.available() > 0 {
        offer_fresh();
    }
}

/// The same, where there is always a place.
fn offer_fresh() {
    // SAFETY: used within this expression only, in which nothing switches.
    if let Some(worker) = unsafe { Worker::current() } {
        worker.offer_fresh();
    }
}

pub use map::{for_each, map, try_for_each, try_map};
pub use ordered::{Ordered, ordered};
pub use pipeline::{merge, source, stage};
