//! Starting goroutines: [`go`](crate::go()), [`go_local`], [`Builder`], and the handles to join them.

use crate::debug::labels;
use crate::goroutine::Goroutine;
use crate::report::report;
use crate::runtime::{Runtime, scheduler_of, with_scheduler};
use crate::sched::g::{Extra, G, GRef};
use crate::sched::task::{ResultSlot, new_task, vtable};
use crate::sched::worker::Worker;
use crate::sched::{Scheduler, next_id_outside};
use crate::scope::{Scope, ScopedJoinHandle};
use crate::tsan;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::thread;

/// Starts a goroutine that runs `f`, and returns a handle to its result.
///
/// The goroutine runs concurrently with its creator, on one of the worker threads: whichever starts it
/// keeps it until it ends. `go` itself never waits and never switches. The first `go` starts the runtime.
/// Dropping the handle detaches the goroutine. When `main` returns, the process ends with all goroutines
/// in it, as in Go: wait for those that matter.
///
/// Cost: one allocation and about 50 ns; the stack comes when it starts.
///
/// # Panics
/// If no goroutine can be started: the runtime cannot start, it is shut down, or stacks have run out (the
/// message names the limit). [`Builder::go`] returns an error instead.
///
/// ```
/// let handle = lisle::go(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match start_on_callers_runtime(None, Location::caller(), f) {
        Ok(handle) => handle,
        Err(error) => panic!("cannot start a goroutine: {error}"),
    }
}

/// `go!{ … }` is `go(move || { … })`: Go's keyword, as near as Rust comes to it.
///
/// ```
/// # use lisle::go;
/// let name = String::from("world");
/// let handle = go! { format!("hello, {name}") };
/// assert_eq!(handle.join().unwrap(), "hello, world");
/// ```
#[macro_export]
macro_rules! go {
    ($($body:tt)*) => {
        $crate::go(move || { $($body)* })
    };
}

/// Starts a goroutine on the caller's own worker. Its closure and result need not be `Send`: they never
/// leave the thread.
///
/// # Panics
/// If the caller is not a goroutine; and as [`go`](crate::go()).
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// lisle::run(|| {
///     let sum = Rc::new(Cell::new(0));
///     let handles: Vec<_> = (1..=3)
///         .map(|n| {
///             let sum = Rc::clone(&sum);
///             lisle::go_local(move || sum.set(sum.get() + n))
///         })
///         .collect();
///     for handle in handles {
///         handle.join().unwrap();
///     }
///     assert_eq!(sum.get(), 6);
/// });
/// ```
#[track_caller]
pub fn go_local<F, T>(f: F) -> LocalJoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    match Builder::new().go_local(f) {
        Ok(handle) => handle,
        Err(error) => panic!("cannot start a goroutine: {error}"),
    }
}

/// Settings of a goroutine before it starts, in the manner of [`std::thread::Builder`].
///
/// ```
/// let handle = lisle::Builder::new()
///     .name("deep")
///     .stack_size(1 << 20)
///     .go(|| lisle::current().name().map(str::to_owned))
///     .unwrap();
/// assert_eq!(handle.join().unwrap().as_deref(), Some("deep"));
/// ```
#[derive(Debug, Default)]
#[must_use = "a Builder does nothing until its `go` is called"]
pub struct Builder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
    own_thread: bool,
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the goroutine, for reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// The usable stack in bytes, at least 16 KiB and at most 1 GiB; other values are brought into that
    /// range. Default: that of the runtime, 192 KiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Gives the goroutine an OS thread that no other shares (Go's `LockOSThread`): for code that computes
    /// or blocks for long, or that keeps frame-scoped thread-locals. Its `go_local` children, and nobody
    /// else, run there, too. Cost: a thread. Parks and wake-ups become the kernel's.
    pub fn own_thread(mut self, yes: bool) -> Self {
        self.own_thread = yes;
        self
    }

    /// Starts the goroutine; see [`go`](crate::go()).
    ///
    /// # Errors
    /// - The runtime could not start, or its thread (with `own_thread`) could not.
    /// - Stacks have run out (`OutOfMemory`): the message names the limit and how to raise it. All that
    ///   runs goes on, and once stacks are free again, so does `go`.
    /// - The runtime is shut down (`BrokenPipe`).
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.go_at(Location::caller(), f)
    }

    /// As [`go`](Self::go), for the parts of lisle that start goroutines in the user's name: those count as created
    /// where the user asked for them.
    pub(crate) fn go_at<F, T>(self, created_at: &'static Location<'static>, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        start_on_callers_runtime(self.extra(), created_at, f)
    }

    /// Starts the goroutine on a private runtime.
    ///
    /// # Errors
    /// As [`go`](Self::go).
    #[track_caller]
    pub fn go_on<F, T>(self, runtime: &Runtime, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crate::observe::forbid(
            "a goroutine of another runtime cannot be started within testing::check or testing::virtual_time: it would run \
             on another thread. Use lisle::go",
        );
        runtime.scheduler().admit()?;
        let (scheduler, created_at) = (runtime.scheduler(), Location::caller());
        let result = Worker::with_current(|worker| {
            // SAFETY: as in `go`.
            unsafe { start(worker, scheduler, self.extra(), None, created_at, f) }
        })?;
        Ok(JoinHandle { result })
    }

    /// Starts the goroutine on the caller's worker; see [`go_local`].
    ///
    /// # Errors
    /// As [`go`](Self::go); also `InvalidInput` with `own_thread`, since another thread is another worker.
    ///
    /// # Panics
    /// If the caller is not a goroutine.
    #[track_caller]
    pub fn go_local<F, T>(self, f: F) -> io::Result<LocalJoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        if self.own_thread {
            let text = "go_local runs on the caller's thread, so it cannot have a thread of its own";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let created_at = Location::caller();
        Worker::with_current(|worker| {
            let Some((worker, creator)) = crate::park::running(worker) else {
                panic!("go_local needs a goroutine to share the worker of; start with lisle::run or lisle::go")
            };
            worker.scheduler.admit()?;
            let extra = with_labels(self.extra(), labels::of(worker, creator));
            let g = G::new(vtable::<F, T>(), worker.take_id(), creator.id, created_at, true, extra);
            // SAFETY: `push_local_fresh` runs or drops it on this very thread, and the handle is neither
            // Send nor Sync.
            let (g, result) = unsafe { new_task(g, None, f) };
            crate::observe::spawned(&g);
            creator.fiber.share_thread();
            g.fiber.share_thread();
            worker.count_spawn();
            worker.push_local_fresh(g);
            Ok(LocalJoinHandle { result, _not_send: PhantomData })
        })
    }

    /// Starts a goroutine that may borrow what outlives `scope`.
    ///
    /// # Errors
    /// As [`go`](Self::go).
    #[track_caller]
    pub fn go_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.go_scoped_at(scope, Location::caller(), f)
    }

    /// What [`go_at`](Self::go_at) is to [`go`](Self::go).
    pub(crate) fn go_scoped_at<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        created_at: &'static Location<'static>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        with_scheduler(|scheduler| self.start_scoped(scheduler, scope, created_at, f))
    }

    /// As `go_scoped_at`, on another runtime than the caller's.
    pub(crate) fn go_scoped_on<'scope, 'env, F, T>(
        self,
        scheduler: &Arc<Scheduler>,
        scope: &'scope Scope<'scope, 'env>,
        created_at: &'static Location<'static>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.start_scoped(scheduler, scope, created_at, f)
    }

    fn start_scoped<'scope, 'env, F, T>(
        self,
        scheduler: &Arc<Scheduler>,
        scope: &'scope Scope<'scope, 'env>,
        created_at: &'static Location<'static>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        scheduler.admit()?;
        // SAFETY: used within this function only.
        let worker = unsafe { Worker::current() };
        // SAFETY: the scope does not end before `f` and, unless the handle is forgotten, its result are
        // gone: `ScopeData` counts it from before it is queued until after its last use of either.
        let result = unsafe { start(worker, scheduler, self.extra(), Some(scope), created_at, f) }?;
        Ok(ScopedJoinHandle::new(result))
    }

    /// What it has beside the others; nothing, usually.
    fn extra(self) -> Option<Box<Extra>> {
        let Self { name, stack_size, own_thread } = self;
        let plain = name.is_none() && stack_size.is_none() && !own_thread;
        (!plain).then(|| Box::new(Extra { name: name.into(), stack_size, own_thread, ..Extra::default() }))
    }
}

/// Passes on the creator's labels.
#[inline(always)]
fn with_labels(extra: Option<Box<Extra>>, labels: Option<Arc<str>>) -> Option<Box<Extra>> {
    #[cold]
    fn add(extra: Option<Box<Extra>>, labels: Arc<str>) -> Box<Extra> {
        let mut extra = extra.unwrap_or_default();
        extra.labels = Some(labels).into();
        extra
    }
    match labels {
        None => extra,
        Some(labels) => Some(add(extra, labels)),
    }
}

// The way of a goroutine from `go` to the queue. It is written such that nothing is put together in memory and then moved:
// to load in wide words what was just stored in narrow ones stalls the processor, each time for as long as a switch takes.

#[inline]
fn start_on_callers_runtime<F, T>(
    extra: Option<Box<Extra>>,
    created_at: &'static Location<'static>,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let _quiet = tsan::quiet();
    // No closure: it would not be inlined.
    // SAFETY: used within this function only.
    let worker = unsafe { Worker::current() };
    let mut outside = None;
    let scheduler = scheduler_of(worker, &mut outside)?;
    scheduler.admit()?;
    // SAFETY: the bounds on F and T are those that running and dropping it on any thread, at any
    // time, asks for.
    let result = unsafe { start(worker, scheduler, extra, None, created_at, f) }?;
    Ok(JoinHandle { result })
}

/// For whom the scheduler admits (`Scheduler::admit`), or has promised to take. `worker` is the calling thread's.
///
/// # Safety
/// As `new_task`, for any thread.
#[inline(always)]
unsafe fn start<F, T>(
    worker: Option<&Worker>,
    scheduler: &Arc<Scheduler>,
    extra: Option<Box<Extra>>,
    scope: Option<&Scope<'_, '_>>,
    created_at: &'static Location<'static>,
    f: F,
) -> io::Result<ResultSlot<T>>
where
    F: FnOnce() -> T,
{
    let _quiet = tsan::quiet();
    let (id, creator, labels) = match worker {
        Some(worker) => {
            let (creator, labels) = match worker.running() {
                Some(g) => (g.id, labels::of(worker, g)),
                None => (0, None),
            };
            (worker.take_id(), creator, labels)
        }
        None => (next_id_outside(), 0, labels::of_thread()),
    };
    let extra = with_labels(extra, labels);
    let g = G::new(vtable::<F, T>(), id, creator, created_at, false, extra);
    // SAFETY: passed on.
    let (g, result) = unsafe { new_task(g, scope.map(Scope::enter), f) };
    crate::observe::spawned(&g);
    scheduler.spawn(worker, g)?;
    Ok(result)
}

/// Starts the main goroutine of a schedule.
///
/// `main` may borrow: it is run by `worker`, which the caller has, before this returns to the caller's caller; or it is
/// never run again, and leaked.
pub(crate) fn start_explored(
    worker: &Worker,
    created_at: &'static Location<'static>,
    main: impl FnOnce(),
) -> ResultSlot<()> {
    // SAFETY: the goroutine runs on this thread, between here and the end of its schedule (`Explorer::explore`), within
    // which all that `main` borrows is alive. What is left of it then is leaked, and never resumed or dropped.
    let started = unsafe { start(Some(worker), &worker.scheduler, None, None, created_at, main) };
    started.expect("the explorer's runtime takes goroutines")
}

/// Starts a goroutine for a call that was accepted earlier: also while others wait for stacks, when new ones
/// are refused. Nobody joins it. After a shutdown the call is dropped.
pub(crate) fn start_accepted(
    builder: Builder,
    scheduler: &Arc<Scheduler>,
    created_at: &'static Location<'static>,
    call: impl FnOnce() + Send + 'static,
) {
    let started = Worker::with_current(|worker| {
        // SAFETY: as in `Builder::go`.
        unsafe { start(worker, scheduler, builder.extra(), None, created_at, call) }
    });
    if let Err(error) = started {
        report(format_args!("lisle: the call that was set up at {created_at} was dropped: {error}"));
    }
}

/// The right to a goroutine's result. Dropping it detaches the goroutine.
pub struct JoinHandle<T> {
    result: ResultSlot<T>,
}

// SAFETY: the slot gives `T` away, on whatever thread joins; `go` asks for `T: Send`. `&JoinHandle` gives
// no access to `T`.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Waits for the goroutine to end and returns what it returned. A goroutine that waits lets its
    /// neighbours run; an OS thread blocks. Once begun, the wait ends with the goroutine only.
    ///
    /// # Errors
    /// The payload of its panic; [`Exited`](crate::Exited) if it called [`exit`](crate::exit);
    /// [`Cancelled`](crate::Cancelled) if its runtime was shut down before it started.
    ///
    /// # Panics
    /// If a goroutine joins itself.
    #[inline]
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.result.join()
    }

    /// Whether the goroutine has ended: then `join` does not wait.
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.result.poll()
    }

    /// The goroutine itself: to unpark it, or to ask for its number and name.
    #[must_use]
    pub fn goroutine(&self) -> Goroutine {
        Goroutine::new(GRef::clone(self.result.g()))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("goroutine", &self.goroutine()).finish_non_exhaustive()
    }
}

/// The right to the result of a goroutine started by [`go_local`]. It stays on its thread.
pub struct LocalJoinHandle<T> {
    result: ResultSlot<T>,
    _not_send: PhantomData<*const ()>,
}

impl<T> LocalJoinHandle<T> {
    /// As [`JoinHandle::join`].
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    ///
    /// # Panics
    /// If a goroutine joins itself.
    #[inline]
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.result.join()
    }

    /// As [`JoinHandle::is_finished`].
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.result.poll()
    }

    /// As [`JoinHandle::goroutine`].
    #[must_use]
    pub fn goroutine(&self) -> Goroutine {
        Goroutine::new(GRef::clone(self.result.g()))
    }
}

impl<T> fmt::Debug for LocalJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalJoinHandle").field("goroutine", &self.goroutine()).finish_non_exhaustive()
    }
}
