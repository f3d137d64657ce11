//! A pool: runs the tasks handed to it, at most so many at once.
//!
//! Goroutines are cheap enough to start one for each task, and that is what a pool does. It adds what that leaves
//! open: *bounded parallelism* (no more queries at once than the database likes), *back-pressure* (who hands in tasks
//! waits while the queue is full), and a *graceful end* (what was accepted is done, nothing new is taken).
//!
//! ```
//! use lisle::pool::Pool;
//!
//! let pool = Pool::builder().workers(3).queue(10).build();
//! let squares: Vec<_> = (1..=5).map(|n| pool.submit(move || n * n).unwrap()).collect();
//! let sum: i32 = squares.into_iter().map(|handle| handle.join().unwrap()).sum();
//! assert_eq!(sum, 55);
//! pool.close_and_wait();
//! assert!(pool.submit(|| 36).is_err());
//! ```
//!
//! # How it works
//! A semaphore has a permit for each task that may be accepted: as many as there are *places* (for tasks that run) and
//! room in the queue. Who has a permit hands its task in, and keeps the permit to the task's end, so the queue's
//! length looks after itself. A task that finds a place is started in a goroutine of its own; one that ends gives its
//! place to the first in the queue. The lock around places and queue is short, and a task is one allocation, in which
//! closure and later result lie (`task.rs`).
//!
//! # Invariants
//! - There is a queue only while all places are taken.
//! - A task that was accepted runs, or is cancelled: by the context, or with its runtime. (`Place` sees to the queue
//!   also if its goroutine never starts, `Job` to the task.)
//! - No task starts after the context was seen to be done, and none stays in the queue: the context's end empties it,
//!   and who hands in a task beside that looks again.
//!
//! # Rejected
//! - *Workers that live as long as the pool* and take their tasks from a channel. Started goroutines do not migrate:
//!   workers that were started together sit on one thread together, for good, and the tasks of one after the other
//!   would compute there while other processors have nothing to do.
//! - *Pools for tasks with errors, with contexts, with results, in groups* (conc and pond have a type for each): a
//!   task's result may be a `Result`, and it may capture a context.
//! - *A drop that waits*: nothing that lisle drops ever waits, and the last handle may go away in a task of the pool.

mod task;

pub use task::{Cancelled, Handle};

use crate::atomics::{Mutex, lock};
use crate::context::{self, AfterFunc, Context};
use crate::debug::labels;
use crate::observe;
use crate::park::with_current;
use crate::refused::{Refusal, Refused};
use crate::runtime::with_scheduler;
use crate::sched::Scheduler;
use crate::spawn::start_accepted;
use crate::sync::{OwnedPermit, Semaphore, WaitGroup};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use task::{Job, Task};

/// Runs the tasks handed to it, each in a goroutine, at most so many at once.
///
/// To share it, put it in an [`Arc`], or borrow it in a [`scope`](crate::scope()).
///
/// Dropping it closes it: what was accepted still runs, and nobody waits for that. To wait, call
/// [`close_and_wait`](Self::close_and_wait).
///
/// Cost of a task, from `submit` to the return of `join`, between goroutines of one thread: 0.3 to 0.4 µs. A thread that
/// hands in one task and joins it waits for the kernel: some microseconds.
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    places: usize,
    name: Option<String>,
    context: Context,
    /// Where the tasks run.
    scheduler: Arc<Scheduler>,
    /// A permit for each task that may run or wait.
    room: Arc<Semaphore>,
    /// Counts the submissions under way and the tasks.
    under_way: WaitGroup,
    state: Mutex<State>,
    /// Empties the queue when the context is done.
    emptying: OnceLock<AfterFunc>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Places that are taken: by tasks that run or are about to.
    taken: usize,
    queue: VecDeque<Job>,
    /// The goroutines of tasks that run.
    running: HashSet<u64>,
    submitted: u64,
    completed: u64,
    panicked: u64,
    cancelled: u64,
}

/// What a pool has done so far, and is doing; a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that were accepted.
    pub submitted: u64,
    /// Of these: tasks that have not begun.
    pub waiting: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that have ended, however they did, those that panicked included.
    pub completed: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that were accepted and will never run.
    pub cancelled: u64,
}

/// Settings of a [`Pool`]; see [`Pool::builder`].
#[derive(Clone, Debug)]
#[must_use = "a Builder does nothing until its `build` is called"]
pub struct Builder {
    workers: usize,
    queue: Option<usize>,
    context: Context,
    name: Option<String>,
}

impl Builder {
    /// How many tasks run at the same time. Default: as many as lisle has worker threads by default, which suits tasks
    /// that compute; tasks that wait can be far more.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many tasks may wait in the queue. Default: as many as there are workers. With 0, a task is accepted when it
    /// can run. A large number is fine: memory is taken as it is needed.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.queue = Some(tasks);
        self
    }

    /// Ends the pool with this context: when it is done, tasks that have not started are dropped (joining them gives
    /// [`Cancelled`]), and nothing new is taken. Tasks that run are not interrupted; they may have a clone of the
    /// context, and look at it.
    pub fn context(mut self, ctx: &Context) -> Self {
        self.context = ctx.clone();
        self
    }

    /// Names the goroutines in which the tasks run, for reports. Default: they have no name. (A name costs an
    /// allocation for each task.)
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A pool whose tasks run on the caller's runtime.
    ///
    /// # Panics
    /// If there are to be 0 workers: no task would ever run; if the runtime cannot start.
    #[track_caller]
    pub fn build(self) -> Pool {
        assert!(self.workers > 0, "a pool with 0 workers would never run a task");
        let scheduler = match with_scheduler(|scheduler| Ok(Arc::clone(scheduler))) {
            Ok(scheduler) => scheduler,
            Err(error) => panic!("cannot set up a pool: {error}"),
        };
        let inner = Arc::new(Inner {
            places: self.workers,
            name: self.name,
            context: self.context,
            scheduler,
            room: Arc::new(Semaphore::new(self.workers.saturating_add(self.queue.unwrap_or(self.workers)))),
            under_way: WaitGroup::new(),
            state: Mutex::default(),
            emptying: OnceLock::new(),
        });
        let pool = Arc::downgrade(&inner);
        let emptying = context::after_func(&inner.context, move || {
            if let Some(pool) = pool.upgrade() {
                pool.empty();
            }
        });
        let _ = inner.emptying.set(emptying);
        Pool { inner }
    }
}

impl Pool {
    /// The defaults, to be changed and built.
    pub fn builder() -> Builder {
        Builder { workers: crate::cpu::default_workers(), queue: None, context: context::background(), name: None }
    }

    /// Hands in a task. Waits while the queue is full. A task of this very pool that does so keeps its place meanwhile:
    /// if all do, all wait for ever. It should use [`try_submit`](Self::try_submit).
    ///
    /// # Errors
    /// [`Refused`], with the closure: the pool is closed, or its context done.
    ///
    /// ```
    /// let pool = lisle::pool::Pool::builder().workers(2).build();
    /// let handle = pool.submit(|| "done").unwrap();
    /// assert_eq!(handle.join().unwrap(), "done");
    /// let handle = pool.submit(|| panic!("the pool goes on")).unwrap();
    /// assert!(handle.join().is_err());
    /// ```
    #[track_caller]
    pub fn submit<F, T>(&self, f: F) -> Result<Handle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller(), |pool| pool.context.acquire_owned(&pool.room, 1).map_err(Refusal::Done))
    }

    /// Hands in a task if it can run at once, or there is room in the queue. Never waits.
    ///
    /// # Errors
    /// [`Refused`], with the closure: there is no place, or the pool is closed, or its context done.
    #[track_caller]
    pub fn try_submit<F, T>(&self, f: F) -> Result<Handle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller(), |pool| {
            pool.context.check().map_err(Refusal::Done)?;
            pool.room.try_acquire_owned(1).ok_or(Refusal::Full)
        })
    }

    #[track_caller]
    fn hand_in<F, T>(
        &self,
        f: F,
        submitted_at: &'static Location<'static>,
        enter: impl FnOnce(&Inner) -> Result<OwnedPermit, Refusal>,
    ) -> Result<Handle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pool = &self.inner;
        let under_way = {
            let state = lock(&pool.state);
            if state.is_closed || pool.scheduler.is_stopped() {
                drop(state);
                return Err(refused(f, Refusal::Closed));
            }
            // Under the lock: who closes the pool after us waits for us.
            pool.under_way.guard()
        };
        match enter(pool) {
            Ok(permit) => {
                let task = Task::new(f, submitted_at, Arc::clone(pool));
                pool.accept(Job::new(Arc::clone(&task), permit, under_way));
                Ok(Handle::new(task))
            }
            Err(refusal) => Err(refused(f, refusal)),
        }
    }

    /// Closes the pool: from now on it takes no tasks. Those that it has accepted will run, those of submissions that
    /// wait for room included. Never waits; closing it again does nothing.
    pub fn close(&self) {
        lock(&self.inner.state).is_closed = true;
    }

    /// Closes the pool and waits until the tasks that it has accepted have run. May be called by several, and again.
    ///
    /// # Panics
    /// If a task of this pool calls it: it would wait for its own end.
    #[track_caller]
    pub fn close_and_wait(&self) {
        let is_own = lock(&self.inner.state).running.contains(&with_current(|g| g.id));
        assert!(!is_own, "a task of a pool waits for all tasks of the pool: for its own end");
        self.close();
        self.inner.under_way.wait();
    }

    /// What the pool has done and is doing.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let state = lock(&self.inner.state);
        let running = state.running.len() as u64;
        Metrics {
            submitted: state.submitted,
            waiting: state.submitted - running - state.completed - state.cancelled,
            running,
            completed: state.completed,
            panicked: state.panicked,
            cancelled: state.cancelled,
        }
    }
}

fn refused<F>(task: F, reason: Refusal) -> Refused<F> {
    let text = match reason {
        Refusal::Full => "the pool's queue is full",
        Refusal::Closed | Refusal::Done(_) => "the pool is closed",
    };
    Refused::new(task, reason, text)
}

impl Inner {
    /// Starts a task, or puts it into the queue.
    fn accept(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.state);
        state.submitted += 1;
        let has_place = state.taken < self.places;
        let start = if has_place {
            state.taken += 1;
            Some(job)
        } else {
            state.queue.push_back(job);
            None
        };
        drop(state);
        match start {
            Some(job) => self.start(job),
            // The context may have ended, and the queue been emptied, just before.
            None if self.context.err().is_some() => self.empty(),
            None => {}
        }
    }

    /// Starts a task that has been given a place.
    fn start(self: &Arc<Self>, job: Job) {
        // What the one did whose place it is.
        observe::acquire(&**self);
        let place = Place { pool: Arc::clone(self), task: None, has_panicked: false };
        let builder = crate::spawn::Builder::new();
        let builder = match &self.name {
            Some(name) => builder.name(name),
            None => builder,
        };
        // Who gives the place up need not be of the same family as who handed the task in.
        labels::within(job.labels(), || {
            start_accepted(builder, &self.scheduler, job.submitted_at(), move || place.run(job));
        });
    }

    /// Cancels what waits.
    fn empty(&self) {
        let queue = std::mem::take(&mut lock(&self.state).queue);
        drop(queue);
    }

    fn count_cancelled(&self) {
        lock(&self.state).cancelled += 1;
    }
}

/// One of the pool's places, taken. When it is dropped, its task has ended, and the next gets it.
struct Place {
    pool: Arc<Inner>,
    /// The goroutine, when its task has begun.
    task: Option<u64>,
    has_panicked: bool,
}

impl Place {
    fn run(mut self, job: Job) {
        let id = with_current(|g| g.id);
        self.task = Some(id);
        lock(&self.pool.state).running.insert(id);
        job.run(self);
    }

    fn leave(mut self, has_panicked: bool) {
        self.has_panicked = has_panicked;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // If the task has not begun, no goroutine could be started: nor could one for the next.
        observe::release(&*self.pool);
        let goes_on = self.task.is_some() && self.pool.context.err().is_none();
        let mut state = lock(&self.pool.state);
        if let Some(id) = self.task {
            state.running.remove(&id);
            state.completed += 1;
            state.panicked += u64::from(self.has_panicked);
        }
        let next = if goes_on { state.queue.pop_front() } else { None };
        let dropped = if goes_on { VecDeque::new() } else { std::mem::take(&mut state.queue) };
        if next.is_none() {
            state.taken -= 1;
        }
        drop(state);
        if let Some(job) = next {
            self.pool.start(job);
        }
        drop(dropped);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.inner.places).field("metrics", &self.metrics()).finish()
    }
}
