//! The parallel loop: [`map`], [`for_each`], and their fallible siblings.
//!
//! # How it works
//! Up to `limit` goroutines of a [`scope`](crate::scope()) take item after item from the iterator, under a lock of
//! lisle's (the iterator may wait for something). One goroutine starts with the call; whoever gets its first item
//! starts the next, so that no more are started than there are items. Each keeps its results with their indices,
//! and the caller puts them in order at the end: there is no lock around results.
//!
//! # The outcome is that of the plain loop
//! Items are started in order. When one fails (an `Err`, a panic, `exit`), none behind it is started any more,
//! while those before it run to their end, and may fail in turn: what counts is the failure of the lowest index.
//! So what the call gives is what a plain loop would have given, if the bodies do not depend on each other.
//!
//! # Rejected
//! - *A goroutine for each item*: 150 ns and more for each, and 160 bytes, before any work is done.
//! - *Batches of items*, which would save the lock's cost, 20 ns, when items take nanoseconds only. A goroutine
//!   would hold items that others, who have nothing to do, could have started: an iterator over a channel would
//!   keep a message back until the next one comes, and items that wait for each other would wait for ever. Who has
//!   such small items gives slices of them: `items.chunks(1000)`.

use crate::atomics::{self, lock};
use crate::scope::Scope;
use crate::spawn::Builder;
use crate::sync;
use crate::unwind::{Unwound, catch};
use crossbeam_utils::CachePadded;
use std::convert::Infallible;
use std::panic::Location;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `f` with each item, with up to `limit` calls at the same time, and returns the results in the order of the
/// items.
///
/// Both `f` and the iterator may borrow from the caller, who waits for all calls to end. The iterator is asked for
/// an item only when there is a goroutine for it, so it may be endless as far as memory is concerned, and it may
/// wait, for a channel's next message for example. The calls are made by at most `limit` goroutines, each of which
/// makes one after the other.
///
/// A failure (a panic here, an error in [`try_map`]) does not interrupt an iterator that waits for its next item: the call
/// returns when that item, or the end, has come. For items that come from a channel give the loop a context that ends it,
/// with [`Context::iter`](crate::context::Context::iter):
///
/// ```
/// use lisle::{channel, context, parallel::try_for_each};
/// let (sender, receiver) = channel::unbounded();
/// sender.send("1").unwrap();
/// sender.send("two").unwrap();
/// let (ctx, cancel) = context::with_cancel(&context::background());
/// // The sender is not dropped: `&receiver` in place of `ctx.iter(&receiver)` would be waited for after the error.
/// let result = try_for_each(2, ctx.iter(&receiver), |text| text.parse::<i32>().map(drop).inspect_err(|_| cancel.cancel()));
/// assert!(result.is_err());
/// ```
///
/// Cost: a few goroutines, and 20 to 50 ns for each item. Where that is much, give slices (`chunks`).
///
/// The idea is that of sourcegraph/conc's `iter.Map`, and of rayon's `par_iter`, whose threads must not wait.
///
/// # Panics
/// - If `limit` is 0: nothing would ever run.
/// - With the payload of the first call, in the order of the items, that panicked; the iterator's panics are passed
///   on in the same way. No further call starts after a panic; those under way are waited for.
/// - If no goroutine can be started. (If not all of `limit` can be, it makes do with those it got.)
///
/// [`exit`](crate::exit) in `f` ends the caller, as in a plain loop, once the calls under way have ended.
///
/// ```
/// let words = ["warp", "weft", "selvedge"];
/// let lengths = lisle::parallel::map(2, &words, |word| word.len());
/// assert_eq!(lengths, [4, 4, 8]);
/// ```
#[track_caller]
pub fn map<I, T, F>(limit: usize, items: I, f: F) -> Vec<T>
where
    I: IntoIterator<Item: Send, IntoIter: Send>,
    F: Fn(I::Item) -> T + Sync,
    T: Send,
{
    let results = try_map(limit, items, |item| Ok::<T, Infallible>(f(item)));
    results.unwrap_or_else(|never| match never {})
}

/// As [`map`], with calls that may fail.
///
/// # Errors
/// The first error in the order of the items, as a plain loop would give it. After an error no further item is
/// taken; calls under way are waited for, and an iterator that waits for its next item: see [`map`].
///
/// # Panics
/// As [`map`].
///
/// ```
/// let parse = |texts: &[&str]| lisle::parallel::try_map(4, texts, |text| text.parse::<i32>());
/// assert_eq!(parse(&["1", "2", "3"]), Ok(vec![1, 2, 3]));
/// assert!(parse(&["1", "two", "3"]).is_err());
/// ```
#[track_caller]
pub fn try_map<I, T, E, F>(limit: usize, items: I, f: F) -> Result<Vec<T>, E>
where
    I: IntoIterator<Item: Send, IntoIter: Send>,
    F: Fn(I::Item) -> Result<T, E> + Sync,
    T: Send,
    E: Send,
{
    let parts = run(limit, items.into_iter(), Location::caller(), |part: &mut Vec<_>, index, item| {
        part.push((index, f(item)?));
        Ok(())
    })?;
    Ok(in_order(parts))
}

/// Calls `f` with each item, with up to `limit` calls at the same time. As [`map`] in all else.
///
/// # Panics
/// As [`map`].
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// let sum = AtomicU64::new(0);
/// lisle::parallel::for_each(3, 1..=100, |n| {
///     sum.fetch_add(n, Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 5050);
/// ```
#[track_caller]
pub fn for_each<I, F>(limit: usize, items: I, f: F)
where
    I: IntoIterator<Item: Send, IntoIter: Send>,
    F: Fn(I::Item) + Sync,
{
    let result = try_for_each(limit, items, |item| {
        f(item);
        Ok::<(), Infallible>(())
    });
    result.unwrap_or_else(|never| match never {});
}

/// As [`for_each`], with calls that may fail.
///
/// # Errors
/// As [`try_map`].
///
/// # Panics
/// As [`map`].
///
/// ```
/// let result = lisle::parallel::try_for_each(2, 0.., |n| if n < 100 { Ok(()) } else { Err(n) });
/// assert_eq!(result, Err(100)); // although the numbers never end, and calls run side by side
/// ```
#[track_caller]
pub fn try_for_each<I, E, F>(limit: usize, items: I, f: F) -> Result<(), E>
where
    I: IntoIterator<Item: Send, IntoIter: Send>,
    F: Fn(I::Item) -> Result<(), E> + Sync,
    E: Send,
{
    run(limit, items.into_iter(), Location::caller(), |(): &mut (), _, item| f(item)).map(drop)
}

/// What the goroutines of one loop share.
struct Loop<I, S, E, F> {
    limit: usize,
    created_at: &'static Location<'static>,
    /// On a cache line of its own: each goroutine comes here for each item.
    feed: CachePadded<sync::Mutex<Feed<I>>>,
    body: F,
    /// Items from this index on are not started.
    stop_at: AtomicUsize,
    /// The failure of the lowest index so far.
    failure: atomics::Mutex<Option<(usize, Failure<E>)>>,
    /// What the goroutines that have ended leave behind.
    states: atomics::Mutex<Vec<S>>,
}

struct Feed<I> {
    items: I,
    /// The index of the next item.
    next: usize,
    exhausted: bool,
}

enum Failure<E> {
    Error(E),
    Unwound(Unwound),
}

/// Runs the loop. `body` gets a state that is its goroutine's own; all those states are returned.
fn run<I, S, E, F>(limit: usize, items: I, created_at: &'static Location<'static>, body: F) -> Result<Vec<S>, E>
where
    I: Iterator<Item: Send> + Send,
    S: Default + Send,
    E: Send,
    F: Fn(&mut S, usize, I::Item) -> Result<(), E> + Sync,
{
    assert!(limit > 0, "a parallel loop with a limit of 0 goroutines would never run anything");
    let this = Loop {
        limit,
        created_at,
        feed: CachePadded::new(sync::Mutex::new(Feed { items, next: 0, exhausted: false })),
        body,
        stop_at: AtomicUsize::new(usize::MAX),
        failure: atomics::Mutex::new(None),
        states: atomics::Mutex::new(Vec::new()),
    };
    crate::scope(|scope| {
        let started = Builder::new().go_scoped_at(scope, created_at, || this.work(scope, 1));
        started.map(drop).unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"));
    });
    this.outcome()
}

impl<I, S, E, F> Loop<I, S, E, F>
where
    I: Iterator<Item: Send> + Send,
    S: Default + Send,
    E: Send,
    F: Fn(&mut S, usize, I::Item) -> Result<(), E> + Sync,
{
    /// What each goroutine does; this is the one of that number, counted from 1.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, number: usize) {
        let mut state = S::default();
        let mut next = self.take();
        if next.is_some() && number < self.limit {
            // Without it the others do the work.
            let _ = Builder::new().go_scoped_at(scope, self.created_at, move || self.work(scope, number + 1));
            super::offer_fresh();
        }
        while let Some((index, item)) = next {
            match catch(|| (self.body)(&mut state, index, item)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.fail(index, Failure::Error(error)),
                Err(unwound) => self.fail(index, Failure::Unwound(unwound)),
            }
            next = self.take();
        }
        lock(&self.states).push(state);
    }

    fn take(&self) -> Option<(usize, I::Item)> {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        let index = feed.next;
        // Relaxed: a failure that is seen a little later costs an item that is run in vain.
        if feed.exhausted || index >= self.stop_at.load(Ordering::Relaxed) {
            return None;
        }
        match catch(|| feed.items.next()) {
            Ok(Some(item)) => {
                feed.next += 1;
                return Some((index, item));
            }
            Ok(None) => feed.exhausted = true,
            Err(unwound) => self.fail(index, Failure::Unwound(unwound)),
        }
        None
    }

    fn fail(&self, index: usize, failure: Failure<E>) {
        self.stop_at.fetch_min(index, Ordering::Relaxed);
        let mut first = lock(&self.failure);
        let is_first = first.as_ref().is_none_or(|&(first, _)| index < first);
        let later = if is_first { first.replace((index, failure)) } else { Some((index, failure)) };
        drop(first);
        // Outside the lock: its destructor may do anything.
        drop(later);
    }

    fn outcome(self) -> Result<Vec<S>, E> {
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, Failure::Error(error))) => return Err(error),
            Some((_, Failure::Unwound(unwound))) => unwound.resume(),
            None => {}
        }
        let feed = self.feed.into_inner().into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(feed.exhausted, "a parallel loop did not run: its runtime was shut down");
        Ok(self.states.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Puts results in the order of their indices, which are 0, 1, 2 and so on. Each part is in order: so all that is to be
/// found out is whose turn it is.
fn in_order<T>(parts: Vec<Vec<(usize, T)>>) -> Vec<T> {
    let count = parts.iter().map(Vec::len).sum();
    let mut turns = vec![0_usize; count];
    for (part, results) in parts.iter().enumerate() {
        for &(index, _) in results {
            turns[index] = part;
        }
    }
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    turns.into_iter().map(|part| parts[part].next().expect("it is this part's turn").1).collect()
}
