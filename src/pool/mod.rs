//! A pool of workers: a fixed number of goroutines that run the tasks handed to them.
//!
//! Goroutines are cheap enough to start one for each task. A pool is for what that leaves open: *bounded
//! parallelism* (no more queries at once than the database likes), *back-pressure* (who hands in tasks waits while the
//! queue is full), and a *graceful end* (what was accepted is done, nothing new is taken).
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
//! The queue is a channel of the given capacity; its messages are tasks, one allocation each, in which closure and
//! later result lie (`task.rs`). Closing the pool takes its sender away: workers get what is left, and then the
//! end. A submission that waits for room at that moment has a sender of its own, so it still comes in.
//!
//! A worker catches what a task unwinds with, and goes on.
//!
//! # Rejected
//! - *Pools for tasks with errors, with contexts, with results, in groups* (conc and pond have a type for each): a
//!   task's result may be a `Result`, and it may capture a context.
//! - *Workers that come and go with the load*: a goroutine that waits costs a page of memory, and nothing else.
//! - *A drop that waits*: nothing that lisle drops ever waits, and the last handle may go away in a task of the pool.

mod error;
mod task;

pub use error::{Refusal, SubmitError};
pub use task::{Cancelled, Handle};

use crate::atomics::{Mutex, lock};
use crate::channel::{Sender, bounded};
use crate::context::{self, Context};
use crate::park::with_current;
use crate::spawn::Builder as GoroutineBuilder;
use crate::sync::WaitGroup;
use crossbeam_utils::CachePadded;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use task::{Job, Task};

/// A fixed number of goroutines that run the tasks handed to them.
///
/// To share it, put it in an [`Arc`], or borrow it in a [`scope`](crate::scope()).
///
/// Dropping it closes it: what was accepted still runs, and nobody waits for that. To wait, call
/// [`close_and_wait`](Self::close_and_wait).
///
/// All tasks of one worker share its goroutine: its number, its name, and its
/// [`goroutine_local!`](crate::goroutine_local)s.
///
/// Cost of a task, from `submit` to the return of `join`, between goroutines of one thread: about 0.2 µs, and 0.35 µs
/// if the pool has a context. A thread that hands in one task and joins it waits for the kernel: some microseconds.
pub struct Pool {
    context: Context,
    /// `None`: it is closed.
    sender: Mutex<Option<Sender<Job>>>,
    /// The numbers of the workers' goroutines.
    workers: Vec<u64>,
    working: WaitGroup,
    counters: Arc<Counters>,
}

/// What the tasks count. What a worker counts is its own, so that counting does not carry a cache line from one
/// processor to the other.
struct Counters {
    submitted: CachePadded<AtomicU64>,
    cancelled: AtomicU64,
    workers: Box<[CachePadded<WorkerCounters>]>,
}

#[derive(Default)]
struct WorkerCounters {
    started: AtomicU64,
    completed: AtomicU64,
    panicked: AtomicU64,
}

/// What a pool has done so far, and is doing; a snapshot. While tasks come and go, the numbers need not fit together
/// exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that were accepted.
    pub submitted: u64,
    /// Of these: tasks in the queue.
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
    name: String,
}

impl Builder {
    /// How many tasks run at the same time. Default: as many as lisle has worker threads by default, which suits tasks
    /// that compute; tasks that wait can be far more.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many tasks may wait in the queue. Default: as many as there are workers. With 0, a task is accepted when a
    /// worker takes it. A large number is fine: memory is taken as it is needed.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.queue = Some(tasks);
        self
    }

    /// Ends the pool with this context: when it is done, tasks that have not started are dropped (joining them gives
    /// [`Cancelled`]), nothing new is taken, and the workers end. Tasks that run are not interrupted; they may have a
    /// clone of the context, and look at it.
    pub fn context(mut self, ctx: &Context) -> Self {
        self.context = ctx.clone();
        self
    }

    /// Names the workers, for reports: `name/1`, `name/2` and so on. Default: `pool`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Starts the workers, on the caller's runtime.
    ///
    /// # Panics
    /// If there are to be 0 workers: no task would ever run; if a goroutine cannot be started.
    #[track_caller]
    pub fn build(self) -> Pool {
        assert!(self.workers > 0, "a pool with 0 workers would never run a task");
        let created_at = Location::caller();
        let (sender, jobs) = bounded::<Job>(self.queue.unwrap_or(self.workers));
        let counters = Arc::new(Counters::new(self.workers));
        let working = WaitGroup::new();
        // At once when the context is done, although all workers may be busy for long.
        let queue = jobs.clone();
        let emptying = Arc::new(context::after_func(&self.context, move || queue.try_iter().for_each(drop)));
        let start = |index: usize| {
            let (jobs, counters, ctx) = (jobs.clone(), Arc::clone(&counters), self.context.clone());
            // The last worker to end takes the call back, and with it the last receiver away.
            let keep = (Arc::clone(&emptying), working.guard());
            let builder = GoroutineBuilder::new().name(format!("{}/{}", self.name, index + 1));
            let worker = builder.go_at(created_at, move || {
                for job in ctx.iter(&jobs) {
                    job.run(&counters.workers[index]);
                }
                drop(jobs);
                drop(keep);
            });
            worker.unwrap_or_else(|error| panic!("cannot start a worker of a pool: {error}")).goroutine().id()
        };
        let workers = (0..self.workers).map(start).collect();
        Pool { context: self.context, sender: Mutex::new(Some(sender)), workers, working, counters }
    }
}

impl Pool {
    /// The defaults, to be changed and built.
    pub fn builder() -> Builder {
        Builder {
            workers: crate::cpu::default_workers(),
            queue: None,
            context: context::background(),
            name: String::from("pool"),
        }
    }

    /// Hands in a task. Waits while the queue is full. A task of this very pool that does so may wait for its own
    /// worker: it should use [`try_submit`](Self::try_submit).
    ///
    /// # Errors
    /// The closure, if the pool is closed or its context done.
    ///
    /// ```
    /// let pool = lisle::pool::Pool::builder().workers(2).build();
    /// let handle = pool.submit(|| "done").unwrap();
    /// assert_eq!(handle.join().unwrap(), "done");
    /// let handle = pool.submit(|| panic!("the worker goes on")).unwrap();
    /// assert!(handle.join().is_err());
    /// ```
    #[track_caller]
    pub fn submit<F, T>(&self, f: F) -> Result<Handle<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller(), |sender, job| {
            self.context.send(sender, job).map_err(|error| (error.into_inner(), false))
        })
    }

    /// Hands in a task if there is room in the queue, or, if the queue has no room at all, if a worker is free. Never
    /// waits.
    ///
    /// # Errors
    /// The closure, if there is none, or if the pool is closed or its context done.
    #[track_caller]
    pub fn try_submit<F, T>(&self, f: F) -> Result<Handle<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller(), |sender, job| {
            sender.try_send(job).map_err(|error| {
                let is_full = error.is_full();
                (error.into_inner(), is_full)
            })
        })
    }

    /// `send` gives back what it cannot send, and whether that is because the queue is full.
    fn hand_in<F, T>(
        &self,
        f: F,
        submitted_at: &'static Location<'static>,
        send: impl FnOnce(&Sender<Job>, Job) -> Result<(), (Job, bool)>,
    ) -> Result<Handle<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // Its own sender: it is used without the lock.
        let Some(sender) = lock(&self.sender).clone() else {
            return Err(SubmitError::new(f, Refusal::Closed));
        };
        if let Err(error) = self.context.check() {
            return Err(SubmitError::new(f, Refusal::Cancelled(error)));
        }
        let task = Task::new(f, submitted_at, Arc::clone(&self.counters));
        match send(&sender, Job::new(Arc::clone(&task))) {
            Ok(()) => {
                self.counters.submitted.fetch_add(1, Relaxed);
                Ok(Handle::new(task))
            }
            Err((job, is_full)) => {
                // First, since a job that is dropped cancels its task.
                let f = task.take_back();
                drop(job);
                let over = self.context.err().map_or(Refusal::Closed, Refusal::Cancelled);
                Err(SubmitError::new(f, if is_full { Refusal::Full } else { over }))
            }
        }
    }

    /// Closes the pool: from now on it takes no tasks. Those that it has accepted will run. Never waits; closing it
    /// again does nothing.
    pub fn close(&self) {
        let sender = lock(&self.sender).take();
        drop(sender);
    }

    /// Closes the pool and waits until the tasks that it has accepted have run, and its workers are done. May be called
    /// by several, and again.
    ///
    /// # Panics
    /// If a task of this pool calls it: it would wait for its own end.
    #[track_caller]
    pub fn close_and_wait(&self) {
        let caller = with_current(|g| g.id);
        assert!(!self.workers.contains(&caller), "a task of a pool waits for all tasks of the pool: for its own end");
        self.close();
        self.working.wait();
    }

    /// What the pool has done and is doing.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.snapshot()
    }
}

impl Counters {
    fn new(workers: usize) -> Self {
        let workers = std::iter::repeat_with(Default::default).take(workers).collect();
        Self { submitted: CachePadded::default(), cancelled: AtomicU64::new(0), workers }
    }

    fn snapshot(&self) -> Metrics {
        let sum = |count: fn(&WorkerCounters) -> &AtomicU64| -> u64 {
            self.workers.iter().map(|worker| count(worker).load(Relaxed)).sum()
        };
        let completed = sum(|worker| &worker.completed);
        let started = sum(|worker| &worker.started);
        let (submitted, cancelled) = (self.submitted.load(Relaxed), self.cancelled.load(Relaxed));
        Metrics {
            submitted,
            waiting: submitted.saturating_sub(started + cancelled),
            running: started.saturating_sub(completed),
            completed,
            panicked: sum(|worker| &worker.panicked),
            cancelled,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers.len()).field("metrics", &self.metrics()).finish()
    }
}
