//! [`blocking`]: calls that block a thread, made on a pool of threads that may be blocked.
//!
//! The pool is the process's: up to `MAX_THREADS` threads, started on demand, which end when they had
//! nothing to do for ten seconds. Beyond that, calls queue up. The caller waits, and nothing can end the
//! wait but the end of the call; therefore the closure may borrow from the caller's stack, and the job can
//! live there without an allocation (rayon's `StackJob` is the model).

use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter};
use crate::report::AbortOnUnwind;
use crate::sched::worker::Worker;
use crate::stack::overflow::{SignalStack, SignalStackMemory};
use crate::threads::creation;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// As tokio's default for the same purpose.
const MAX_THREADS: usize = 512;
const LINGER: Duration = Duration::from_secs(10);

/// Runs `f` on a thread that may be blocked, while only the calling goroutine waits. For file I/O, DNS,
/// foreign code, anything that would hold up the worker's other goroutines.
///
/// Within [`testing::check`](crate::testing::check()) and [`testing::virtual_time`](crate::testing::virtual_time), `f` is
/// called at once, on the goroutine's own stack.
///
/// The wait cannot be cancelled. On a plain OS thread, `f` is simply called. At most 512 such calls run at
/// a time in a process; more wait for their turn.
///
/// Cost: some microseconds, two thread switches.
///
/// # Panics
/// If `f` panics, with its payload.
///
/// ```
/// let mut buffer = Vec::new();
/// let size = lisle::run(|| {
///     lisle::blocking(|| {
///         buffer.extend(std::fs::read("/proc/self/comm").unwrap()); // borrows from outside
///         buffer.len()
///     })
/// });
/// assert_eq!(size, buffer.len());
/// ```
#[track_caller]
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if Worker::with_current(|worker| worker.and_then(Worker::running).is_none()) {
        return f();
    }
    if observe::is_explored() {
        // There is one thread. Others may go before and after.
        observe::touch(Op::Blocking, &());
        return f();
    }
    let job = StackJob {
        f: UnsafeCell::new(Some(f)),
        result: UnsafeCell::new(None),
        done: AtomicBool::new(false),
        waiter: crate::park::current(),
    };
    let guard = AbortOnUnwind("the wait for a blocking call");
    // SAFETY: from here to the end of the loop there is no way out: no return, no panic (`submit` and
    // `park` have none), and the loop ends only after the pool's last access to the job.
    unsafe { submit(JobRef { job: (&raw const job).cast(), execute: StackJob::<F, T>::execute }) };
    while !job.done.load(Ordering::Acquire) {
        crate::park::park(WaitReason::Blocking);
    }
    std::mem::forget(guard);
    match job.result.into_inner().expect("a job that is done has a result") {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

/// A call that lives on the waiting goroutine's stack.
struct StackJob<F, T> {
    f: UnsafeCell<Option<F>>,
    result: UnsafeCell<Option<thread::Result<T>>>,
    done: AtomicBool,
    waiter: Waiter,
}

impl<F: FnOnce() -> T, T> StackJob<F, T> {
    /// # Safety
    /// `job` points to a live `StackJob<F, T>`, and this is the only call.
    unsafe fn execute(job: *const ()) {
        // SAFETY: alive until `done` is set.
        let this = unsafe { &*job.cast::<Self>() };
        // SAFETY: until `done` is set, both cells are ours alone.
        let f = unsafe { (*this.f.get()).take() }.expect("a job runs once");
        let result = catch_unwind(AssertUnwindSafe(f));
        // SAFETY: as above.
        unsafe { *this.result.get() = Some(result) };
        // After `done` the job may be gone at any moment: the waiter is taken along.
        let waiter = this.waiter.clone();
        this.done.store(true, Ordering::Release);
        crate::park::unpark(&waiter);
    }
}

struct JobRef {
    job: *const (),
    execute: unsafe fn(*const ()),
}

// SAFETY: `F` and `T` are Send, and the job is shared by its atomics and the rules of `execute`.
unsafe impl Send for JobRef {}

struct Pool {
    queue: VecDeque<JobRef>,
    threads: usize,
    /// Those that have nothing to do, by their numbers.
    idle: Vec<libc::pid_t>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { queue: VecDeque::new(), threads: 0, idle: Vec::new() });
static WORK: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a job; never panics or fails.
///
/// # Safety
/// The job stays alive until it has run.
unsafe fn submit(job: JobRef) {
    let mut pool = pool();
    if pool.idle.len() > pool.queue.len() || pool.threads == MAX_THREADS {
        pool.queue.push_back(job);
        drop(pool);
        WORK.notify_one();
        return;
    }
    pool.threads += 1;
    pool.queue.push_back(job);
    if start_thread().is_ok() {
        return;
    }
    // No thread to be had. The others will get to it; if there are none, the caller's own thread has to
    // do, and its worker is blocked for that long.
    pool.threads -= 1;
    if pool.threads > 0 {
        return;
    }
    let job = pool.queue.pop_back();
    drop(pool);
    if let Some(job) = job {
        // SAFETY: as the caller promises; it is out of the queue, so this is the only call.
        unsafe { (job.execute)(job.job) };
    }
}

/// The pool's threads, those of them that have nothing to do, and the calls that wait for one.
pub(crate) fn counts() -> (usize, usize, usize) {
    let pool = pool();
    (pool.threads, pool.idle.len(), pool.queue.len())
}

/// The threads that have nothing to do, by their numbers. `None`: a call is on its way to one of them. (If there are none,
/// calls that are queued wait for the calls under way.)
pub(crate) fn idle_threads() -> Option<Vec<libc::pid_t>> {
    let pool = pool();
    (pool.queue.is_empty() || pool.idle.is_empty()).then(|| pool.idle.clone())
}

fn start_thread() -> io::Result<()> {
    let signal_stack = SignalStackMemory::reserve()?;
    let body = creation::noting(move || {
        let _signal_stack = SignalStack::install(signal_stack);
        serve();
    });
    thread::Builder::new().name("lisle-blocking".into()).spawn(body).map(drop)
}

fn serve() {
    let thread = crate::stack::own_threads::current();
    let mut pool = pool();
    loop {
        if let Some(job) = pool.queue.pop_front() {
            drop(pool);
            // SAFETY: the waiter keeps the job alive until it has run, and it was queued once.
            unsafe { (job.execute)(job.job) };
            pool = self::pool();
            continue;
        }
        pool.idle.push(thread);
        let (guard, waited) = WORK.wait_timeout(pool, LINGER).unwrap_or_else(PoisonError::into_inner);
        pool = guard;
        pool.idle.retain(|&other| other != thread);
        if waited.timed_out() && pool.queue.is_empty() {
            pool.threads -= 1;
            return;
        }
    }
}
