//! A task of a pool: closure, then result, in one allocation that the queue and the handle share.
//!
//! # States
//! | body | whose it is |
//! | --- | --- |
//! | `Waiting` | its [`Job`]'s, which runs it, or cancels it when it is dropped |
//! | `Running` | that of the goroutine with this number |
//! | `Ended` | the handle's, which takes the result, or drops it when it is dropped itself |
//! | `Gone` | nobody's |
//!
//! Each step is made under the task's short lock; closure and result are called and dropped outside. If the handle is
//! dropped first, the task drops the result, and a panic that nobody will see is reported.
//!
//! (Rejected: the `JoinHandle` of the task's goroutine. There is a handle before there is a goroutine. And a boxed
//! closure, with a slot for the result beside it: that is two allocations.)

use super::{Inner, Place};
use crate::atomics::{Mutex, lock};
use crate::debug::labels;
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, park, unpark, with_current};
use crate::sync::{OwnedPermit, WaitGuard};
use crate::unwind::{Unwound, catch};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::thread;

pub(super) struct Task<F, T> {
    state: Mutex<State<F, T>>,
    submitted_at: &'static Location<'static>,
    /// Those of who handed it in, whoever starts it.
    labels: Option<Arc<str>>,
    pool: Arc<Inner>,
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
    pub(super) fn new(f: F, submitted_at: &'static Location<'static>, pool: Arc<Inner>) -> Arc<Self> {
        let state = State { body: Body::Waiting(f), joiner: None, is_detached: false };
        let this = Arc::new(Self { state: Mutex::new(state), submitted_at, labels: labels::current(), pool });
        observe::release(&*this);
        this
    }

    /// The closure, for the one who asks first.
    fn take_closure(&self) -> Option<F> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.body, Body::Running(with_current(|g| g.id))) {
            Body::Waiting(f) => Some(f),
            other => {
                state.body = other;
                None
            }
        }
    }

    /// The result goes to the joiner, or nowhere.
    fn end(&self, result: thread::Result<T>) {
        if observe::touch(Op::Pool, self) {
            observe::release(self);
        }
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
            Ok(value) => catch_unwind(AssertUnwindSafe(move || drop(value))).err(),
            Err(payload) => Some(payload),
        };
        if let Some(payload) = panic.filter(|payload| !payload.is::<crate::Exited>() && !payload.is::<Cancelled>()) {
            let who = format_args!("a task that was submitted to a pool at {}", self.submitted_at).to_string();
            crate::runtime::unjoined_panic(who, payload);
        }
    }
}

/// A task as the queue sees it.
trait Run: Send + Sync {
    fn submitted_at(&self) -> &'static Location<'static>;
    fn labels(&self) -> Option<Arc<str>>;
    /// Runs it. The place is given back, and `permit` dropped, before a joiner hears of the end.
    fn run(&self, place: Place, permit: Option<OwnedPermit>);
    /// Does nothing if it has run.
    fn cancel(&self);
}

impl<F: FnOnce() -> T + Send, T: Send> Run for Task<F, T> {
    fn submitted_at(&self) -> &'static Location<'static> {
        self.submitted_at
    }

    fn labels(&self) -> Option<Arc<str>> {
        self.labels.clone()
    }

    fn run(&self, place: Place, permit: Option<OwnedPermit>) {
        let f = self.take_closure().expect("a task runs once");
        observe::acquire(self);
        let result = catch(f);
        place.leave(matches!(result, Err(Unwound::Panicked(_))));
        drop(permit);
        self.end(result.map_err(|unwound| -> Box<dyn Any + Send> {
            match unwound {
                Unwound::Exited => Box::new(crate::Exited { id: with_current(|g| g.id) }),
                Unwound::Panicked(payload) => payload,
            }
        }));
    }

    fn cancel(&self) {
        let Some(closure) = self.take_closure() else { return };
        self.pool.count_cancelled();
        let dropped = catch_unwind(AssertUnwindSafe(move || drop(closure)));
        self.end(Err(dropped.err().unwrap_or_else(|| Box::new(Cancelled))));
    }
}

/// A task that was accepted. It is run, or else cancelled.
pub(super) struct Job {
    task: Arc<dyn Run>,
    permit: Option<OwnedPermit>,
    _under_way: WaitGuard,
}

impl Job {
    pub(super) fn new<F, T>(task: Arc<Task<F, T>>, permit: OwnedPermit, under_way: WaitGuard) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Self { task, permit: Some(permit), _under_way: under_way }
    }

    pub(super) fn submitted_at(&self) -> &'static Location<'static> {
        self.task.submitted_at()
    }

    pub(super) fn labels(&self) -> Option<Arc<str>> {
        self.task.labels()
    }

    pub(super) fn run(mut self, place: Place) {
        self.task.run(place, self.permit.take());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
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
                Body::Ended(result) => {
                    observe::acquire(self);
                    return Some(result);
                }
                _ => unreachable!("it was looked at under the same lock"),
            }
        }
        if let Body::Running(runner) = state.body
            && runner == with_current(|g| g.id)
        {
            drop(state);
            panic!("a pool's task tried to join itself: it would wait for its own end for ever");
        }
        state.joiner = Some(current());
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
    /// A task that joins another of the same pool keeps its place meanwhile: if all do so, all wait for ever.
    ///
    /// # Errors
    /// The payload of its panic; [`Exited`](crate::Exited) if it called [`exit`](crate::exit); [`Cancelled`] if the
    /// pool's context was done, or its runtime shut down, before it started.
    ///
    /// # Panics
    /// If a task joins itself.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        observe::touch(Op::Pool, &self);
        loop {
            if let Some(result) = self.task.take_or_enlist() {
                return result;
            }
            park(WaitReason::Join);
        }
    }

    /// Whether the task has ended: then `join` does not wait.
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        observe::touch(Op::Pool, self);
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
