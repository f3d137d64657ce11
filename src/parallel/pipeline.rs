//! Pipelines: [`source`], [`stage`] and [`merge`], joined by channels.
//!
//! Each part starts its goroutines, gives them the only sender of a channel, and returns the receiver. So an end travels
//! both ways: downstream when the senders are gone, upstream when a receiver is (the next send fails, the goroutine
//! ends, and drops the receiver that it reads from). The context ends also those who wait for a message that does not
//! come. (The Go blog's "Pipelines and cancellation", 2014, is the model; its `done` channel is the context.)
//!
//! Rejected: a builder that knows the whole pipeline. Channels are all that the parts need to know of each other, and
//! other goroutines fit in anywhere. And workers that live as long as their stage: see `pool`.

use super::offer_successor;
use crate::channel::{Receiver, Sender, bounded, limited};
use crate::context::{self, Cancel, Context};
use crate::spawn::Builder;
use crate::sync::Semaphore;
use std::panic::Location;
use std::sync::Arc;

/// The beginning of a pipeline: a goroutine that sends the items, one by one, as they are received.
///
/// It ends when there are no more items, when the receiver is dropped, or when the context is done; in the last two
/// cases once the iterator has given its next item. If the iterator panics, that is reported as the panic of a
/// goroutine that nobody joins, and the pipeline ends there.
///
/// # Panics
/// If no goroutine can be started.
///
/// ```
/// use lisle::{context::background, parallel::source};
/// let numbers = source(&background(), 1..);
/// assert_eq!(numbers.iter().take(3).collect::<Vec<_>>(), [1, 2, 3]);
/// ```
#[track_caller]
pub fn source<I>(ctx: &Context, items: I) -> Receiver<I::Item>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
{
    let (ctx, items) = (ctx.clone(), items.into_iter());
    let (output, receiver) = bounded(1);
    start("source", Location::caller(), move || {
        for item in items {
            if ctx.send(&output, item).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A stage of a pipeline: calls `f` with each message of `input`, and sends what it returns; up to `workers` calls at the
/// same time, each in a goroutine of its own. The order is kept only with one worker; see [`ordered`](super::ordered())
/// for more of them.
///
/// To fan out to different stages, clone the receiver: each message goes to one of them. To fan in, see [`merge`].
///
/// It ends when `input` has ended; when the receiver is dropped, as soon as there is a result to send; and when the
/// context is done, as soon as the calls under way have returned. Messages that were not sent are dropped.
///
/// If `f` panics, or calls [`exit`](crate::exit), its message has no result, and the stage goes on. Panics are reported
/// as those of goroutines that nobody joins: let `f` return a `Result` for what may go wrong.
///
/// # Panics
/// If there are to be 0 workers: nothing would ever come out; if no goroutine can be started.
///
/// ```
/// use lisle::{context::background, parallel::{source, stage}};
/// let ctx = background();
/// let words = source(&ctx, ["warp", "weft"]);
/// let lengths = stage(&ctx, words, 4, |word| word.len());
/// assert_eq!(lengths.iter().sum::<usize>(), 8);
/// ```
#[track_caller]
pub fn stage<A, B, F>(ctx: &Context, input: Receiver<A>, workers: usize, f: F) -> Receiver<B>
where
    A: Send + 'static,
    B: Send + 'static,
    F: Fn(A) -> B + Send + Sync + 'static,
{
    assert!(workers > 0, "a stage with 0 workers would never send anything");
    let created_at = Location::caller();
    let (output, receiver) = limited(workers);
    // Ends also when nobody takes the results.
    let (ctx, cancel) = context::with_cancel(ctx);
    let stage = Arc::new(Stage { ctx, cancel, places: Arc::new(Semaphore::new(workers)), output, f, created_at });
    start("stage", created_at, move || stage.work(input));
    receiver
}

/// What the calls of a stage share.
struct Stage<B, F> {
    ctx: Context,
    cancel: Cancel,
    places: Arc<Semaphore>,
    output: Sender<B>,
    f: F,
    created_at: &'static Location<'static>,
}

impl<B: Send + 'static, F> Stage<B, F> {
    /// What each goroutine does: it takes a message, starts its successor, and makes its call.
    fn work<A>(self: Arc<Self>, input: Receiver<A>)
    where
        A: Send + 'static,
        F: Fn(A) -> B + Send + Sync + 'static,
    {
        let Ok(_permit) = self.ctx.acquire_owned(&self.places, 1) else { return };
        let Ok(message) = self.ctx.recv(&input) else { return };
        let next = Arc::clone(&self);
        start("stage", self.created_at, move || next.work(input));
        offer_successor(&self.places);
        if self.ctx.send(&self.output, (self.f)(message)).is_err() {
            self.cancel.cancel();
        }
    }
}

/// Joins channels into one: all that is received from `inputs`, as it comes. The messages of one input stay in order.
///
/// It ends when all inputs have ended, when the receiver is dropped (each input as soon as it has a message), or when
/// the context is done.
///
/// # Panics
/// If no goroutine can be started.
///
/// ```
/// use lisle::{context::background, parallel::{merge, source}};
/// let ctx = background();
/// let mut all: Vec<_> = merge(&ctx, [source(&ctx, 0..3), source(&ctx, 10..12)]).iter().collect();
/// all.sort();
/// assert_eq!(all, [0, 1, 2, 10, 11]);
/// ```
#[track_caller]
pub fn merge<T: Send + 'static>(ctx: &Context, inputs: impl IntoIterator<Item = Receiver<T>>) -> Receiver<T> {
    let created_at = Location::caller();
    let (output, receiver) = bounded(1);
    for input in inputs {
        let (ctx, output) = (ctx.clone(), output.clone());
        start("merge", created_at, move || {
            for message in ctx.iter(&input) {
                if ctx.send(&output, message).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

fn start(name: &str, created_at: &'static Location<'static>, f: impl FnOnce() + Send + 'static) {
    if let Err(error) = Builder::new().name(name).go_at(created_at, f) {
        panic!("cannot start a goroutine: {error}");
    }
}
