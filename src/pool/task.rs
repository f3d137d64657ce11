//! A task of a pool: closure, then result, in one allocation that the queue and the handle share.
//!
//! # States
//! | body | whose it is |
//! | --- | --- |
//! | `Waiting` | the queue's: [`Job`] runs it, or cancels it when it is dropped |
//! | `Running` | that of the worker with this number |
//! | `Ended` | the handle's, which takes the result, or drops it when it is dropped itself |
//! | `Gone` | nobody's |
//!
//! Each step is made under the task's short lock; closure and result are called and dropped outside. If the handle is
//! dropped first, the worker drops the result, and a panic that nobody will see is reported.
//!
//! (Rejected: a boxed closure, and a slot for the result beside it. That is two allocations, and a closure in a box
//! cannot be given back to who handed it in.)

use super::{Counters, WorkerCounters};
use crate::atomics::{Mutex, lock};
use crate::park::{WaitReason, Waiter, current, park, unpark, with_current};
use crate::unwind::{Unwound, catch};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

pub(super) struct Task<F, T> {
    state: Mutex<State<F, T>>,
    submitted_at: &'static Location<'static>,
    counters: Arc<Counters>,
}

struct State<F, T> {
    body: Body<F, T>,
    /// Who waits in `join`.
    joiner: Option<Waiter>,
    /// The handle was dropped.
    is_detached: bool,
}

enum Body<F, T> {
    Waiting(F),
    Running(u64),
    Ended(thread::Result<T>),
    Gone,
}

impl<F: FnOnce() -> T, T> Task<F, T> {
    pub(super) fn new(f: F, submitted_at: &'static Location<'static>, counters: Arc<Counters>) -> Arc<Self> {
        let state = State { body: Body::Waiting(f), joiner: None, is_detached: false };
        Arc::new(Self { state: Mutex::new(state), submitted_at, counters })
    }

    /// The closure of a task that was not accepted.
    pub(super) fn take_back(&self) -> F {
        match self.replace(Body::Gone) {
            Body::Waiting(f) => f,
            _ => unreachable!("nobody has the task but who handed it in"),
        }
    }

    fn replace(&self, body: Body<F, T>) -> Body<F, T> {
        std::mem::replace(&mut lock(&self.state).body, body)
    }

    /// The result goes to the joiner, or nowhere.
    fn end(&self, result: thread::Result<T>) {
        let mut state = lock(&self.state);
        if state.is_detached {
            state.body = Body::Gone;
            drop(state);
            return self.abandon(result);
        }
        state.body = Body::Ended(result);
        let joiner = state.joiner.take();
        drop(state);
        joiner.iter().for_each(|joiner| unpark(joiner));
    }

    /// Drops a result that nobody wants; a panic is told.
    fn abandon(&self, result: thread::Result<T>) {
        let panic = match result {
            Ok(value) => catch(move || drop(value)).map_err(payload_of).err(),
            Err(payload) => Some(payload),
        };
        if let Some(payload) = panic.filter(|payload| !payload.is::<crate::Exited>() && !payload.is::<Cancelled>()) {
            let who = format_args!("a task that was submitted to a pool at {}", self.submitted_at).to_string();
            crate::runtime::unjoined_panic(who, payload);
        }
    }
}

/// What `join` gives for a closure that ended so.
fn payload_of(unwound: Unwound) -> Box<dyn Any + Send> {
    match unwound {
        Unwound::Exited => Box::new(crate::Exited { id: with_current(|g| g.id) }),
        Unwound::Panicked(payload) => payload,
    }
}

/// A task as the queue sees it.
trait Run: Send + Sync {
    fn run(&self, worker: &WorkerCounters);
    fn cancel(&self);
}

impl<F: FnOnce() -> T + Send, T: Send> Run for Task<F, T> {
    fn run(&self, worker: &WorkerCounters) {
        let Body::Waiting(f) = self.replace(Body::Running(with_current(|g| g.id))) else {
            unreachable!("a task is in the queue once");
        };
        worker.started.fetch_add(1, Relaxed);
        let result = catch(f);
        if matches!(result, Err(Unwound::Panicked(_))) {
            worker.panicked.fetch_add(1, Relaxed);
        }
        // Before a joiner hears of it.
        worker.completed.fetch_add(1, Relaxed);
        self.end(result.map_err(payload_of));
    }

    fn cancel(&self) {
        let mut state = lock(&self.state);
        if !matches!(state.body, Body::Waiting(_)) {
            return;
        }
        let closure = std::mem::replace(&mut state.body, Body::Gone);
        drop(state);
        self.counters.cancelled.fetch_add(1, Relaxed);
        let dropped = catch(move || drop(closure));
        self.end(Err(dropped.map_or_else(payload_of, |()| Box::new(Cancelled))));
    }
}

/// A task in the queue. It is run, or else cancelled.
pub(super) struct Job {
    task: Arc<dyn Run>,
}

impl Job {
    pub(super) fn new<F, T>(task: Arc<Task<F, T>>) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Self { task }
    }

    pub(super) fn run(self, worker: &WorkerCounters) {
        self.task.run(worker);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Does nothing if it has run, or was taken back.
        self.task.cancel();
    }
}

/// A task as its handle sees it.
trait Await<T>: Send + Sync {
    /// Leaves the caller's address, if there is no result yet. Panics if the caller is the task itself.
    fn take_or_enlist(&self) -> Option<thread::Result<T>>;
    fn is_finished(&self) -> bool;
    fn detach(&self);
}

impl<F: FnOnce() -> T + Send, T: Send> Await<T> for Task<F, T> {
    fn take_or_enlist(&self) -> Option<thread::Result<T>> {
        let mut state = lock(&self.state);
        if let Body::Ended(_) = state.body {
            match std::mem::replace(&mut state.body, Body::Gone) {
                Body::Ended(result) => return Some(result),
                _ => unreachable!("it was looked at under the same lock"),
            }
        }
        let is_own = matches!(state.body, Body::Running(worker) if worker == with_current(|g| g.id));
        if !is_own {
            state.joiner = Some(current());
        }
        drop(state);
        assert!(!is_own, "a task of a pool tried to join itself: it would wait for its own end for ever");
        None
    }

    fn is_finished(&self) -> bool {
        matches!(lock(&self.state).body, Body::Ended(_))
    }

    fn detach(&self) {
        let mut state = lock(&self.state);
        state.is_detached = true;
        if let Body::Ended(_) = state.body {
            let body = std::mem::replace(&mut state.body, Body::Gone);
            drop(state);
            if let Body::Ended(result) = body {
                self.abandon(result);
            }
        }
    }
}

/// The right to the result of a task in a [`Pool`](super::Pool). Dropping it detaches the task, which runs all the same;
/// if it panics then, that is reported as with a goroutine that nobody joins.
#[must_use = "dropping the handle gives the result away; `let _ =` says that this is meant"]
pub struct Handle<T> {
    task: Arc<dyn Await<T>>,
}

impl<T> Handle<T> {
    pub(super) fn new<F>(task: Arc<Task<F, T>>) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Self { task }
    }

    /// Waits for the task to end and returns what it returned.
    ///
    /// A task that joins another of the same pool holds its worker meanwhile: if all workers do so, all wait for ever.
    ///
    /// # Errors
    /// The payload of its panic; [`Exited`](crate::Exited) if it called [`exit`](crate::exit); [`Cancelled`] if the
    /// pool's context was cancelled before it started.
    ///
    /// # Panics
    /// If a task joins itself.
    pub fn join(self) -> thread::Result<T> {
        loop {
            if let Some(result) = self.task.take_or_enlist() {
                return result;
            }
            park(WaitReason::Join);
        }
    }

    /// Whether the task has ended: then `join` does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.task.detach();
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// What [`Handle::join`] gives for a task that was accepted but never started: the pool's context was cancelled, or its
/// runtime was shut down, before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task never started: its pool was cancelled before")
    }
}

impl Error for Cancelled {}
