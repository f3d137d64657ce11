//! Ending in good order: no new work, time for what is under way, and a list of what did not end in time.
//!
//! ```
//! use lisle::{context, shutdown::Tracker};
//! use std::time::Duration;
//!
//! let tracker = Tracker::new(&context::background()); // in a program: the context of `signal::notify_context`
//! for job in 0..3 {
//!     let context = tracker.context().clone();
//!     tracker.go(move || println!("{job}: {:?}", context.sleep(Duration::from_millis(5)))).unwrap();
//! }
//! // Waits for the three.
//! tracker.shutdown(Duration::from_secs(10)).unwrap();
//! assert!(tracker.go(|| ()).is_err());
//! ```
//!
//! # The phases
//! | phase | begins with | [`begun`](Tracker::begun) | [`context`](Tracker::context) | [`go`](Tracker::go) |
//! | --- | --- | --- | --- | --- |
//! | work | [`Tracker::new`] | open | open | starts goroutines |
//! | drain | [`begin`](Tracker::begin), [`shutdown`](Tracker::shutdown), or the end of the context given to `new` | done | open | gives the closure back |
//! | abandon | the end of the first `shutdown`: all have ended, or its patience has | done | done | gives the closure back |
//!
//! Whoever brings in new work (accepts connections, takes jobs from a queue) selects on `begun` and stops; it is best
//! tracked itself, and is prepared for a shutdown that begins between a job's arrival and its `go`. Whoever does the
//! work looks at `context`, and stops when there is no time left. Two contexts, since one would either tell
//! requests under way to give up as soon as Ctrl-C is pressed, or never tell them.
//!
//! A goroutine cannot be ended from outside. One that ignores `context` is reported by [`StillRunning`], with the
//! place where it waits; whether the program then ends all the same is up to `main`, as in Go. To give those that do
//! look at `context` a last grace, call `shutdown` again:
//!
//! ```
//! # use std::time::Duration;
//! # let tracker = lisle::shutdown::Tracker::new(&lisle::context::background());
//! if let Err(late) = tracker.shutdown(Duration::from_secs(30)) {
//!     eprintln!("{late}");
//!     if let Err(lost) = tracker.shutdown(Duration::from_secs(2)) {
//!         eprintln!("given up: {lost}");
//!     }
//! }
//! ```
//!
//! The idea is that of Go's `http.Server.Shutdown`, and of `TaskTracker` with `CancellationToken` in Rust's tokio-util.
//!
//! # Invariants
//! - Once `closed`, `tracked` only shrinks. When both hold, `closed` and empty, `alive` is taken and dropped, and all
//!   who wait on `drained` go on: the channel is the gate, and it stays open.
//! - Nothing is dropped, started or woken under the lock.
//!
//! Rejected: a `WaitGroup` inside, which knows how many are left and not which, and has no wait with an end;
//! and letting tracked goroutines go on to start others while the tracker drains, as tokio-util does: a busy server
//! would never end. Who must split its work then does it itself: the closure comes back.

use crate::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use crate::context::{Cancel, Context, with_cancel, without_cancel};
use crate::goroutine::{Goroutine, current};
use crate::park::WaitReason;
use crate::refused::{Refusal, Refused};
use crate::spawn::{Builder, JoinHandle};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps track of goroutines, and waits for them at the end. A handle: clones track the same. See the
/// [module](self) for the phases.
///
/// When the last handle and the last tracked goroutine are gone, both contexts are done.
#[derive(Clone)]
pub struct Tracker {
    inner: Arc<Inner>,
}

struct Inner {
    begun: Context,
    begin: Cancel,
    context: Context,
    abandon: Cancel,
    state: Mutex<State>,
    /// Disconnected when all is done.
    drained: Receiver<Infallible>,
}

struct State {
    closed: bool,
    next: u64,
    /// In order of their start.
    tracked: BTreeMap<u64, Tracked>,
    alive: Option<Sender<Infallible>>,
}

struct Tracked {
    name: Option<String>,
    created_at: &'static Location<'static>,
    /// `None` for a guard.
    goroutine: Option<Goroutine>,
}

impl Tracker {
    /// A tracker of nothing yet. The end of `parent` begins the shutdown; it does not end the work under way.
    ///
    /// ```
    /// use lisle::{context, shutdown::Tracker};
    /// let (context, stop) = context::with_cancel(&context::background());
    /// let tracker = Tracker::new(&context);
    /// stop.cancel();
    /// assert!(tracker.begun().err().is_some() && tracker.context().err().is_none());
    /// ```
    #[must_use]
    pub fn new(parent: &Context) -> Self {
        let (begun, begin) = with_cancel(parent);
        let (context, abandon) = with_cancel(&without_cancel(parent));
        let (alive, drained) = bounded(0);
        let state = State { closed: false, next: 0, tracked: BTreeMap::new(), alive: Some(alive) };
        Self { inner: Arc::new(Inner { begun, begin, context, abandon, state: Mutex::new(state), drained }) }
    }

    /// Starts a goroutine and tracks it until it has ended, also by a panic or [`exit`](crate::exit).
    ///
    /// Cost, beyond that of [`go`](crate::go()): a lock of the tracker's four times, for some ten nanoseconds each.
    ///
    /// # Errors
    /// [`Refused`], with the closure: the shutdown has begun.
    ///
    /// # Panics
    /// As [`go`](crate::go()).
    ///
    /// ```
    /// # let tracker = lisle::shutdown::Tracker::new(&lisle::context::background());
    /// tracker.begin();
    /// let answer = match tracker.go(|| 6 * 7) {
    ///     Ok(handle) => handle.join().unwrap(),
    ///     Err(refused) => (refused.into_inner())(), // here and now
    /// };
    /// assert_eq!(answer, 42);
    /// ```
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> Result<JoinHandle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.start(Builder::new(), None, f)
    }

    /// As [`go`](Self::go), with a name for reports.
    ///
    /// # Errors
    /// As [`go`](Self::go).
    ///
    /// # Panics
    /// As [`go`](Self::go).
    #[track_caller]
    pub fn go_named<F, T>(&self, name: impl Into<String>, f: F) -> Result<JoinHandle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let name = name.into();
        self.start(Builder::new().name(name.clone()), Some(name), f)
    }

    #[track_caller]
    fn start<F, T>(&self, builder: Builder, name: Option<String>, f: F) -> Result<JoinHandle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Some(guard) = self.track(name, Location::caller()) else {
            return Err(refused(f));
        };
        let key = guard.key;
        let started = builder.go(move || {
            // It may run, and even ask for the shutdown, before we come back from its start.
            guard.inner.identify(guard.key, current());
            let _tracked = guard;
            f()
        });
        match started {
            Ok(handle) => {
                // It may wait for its turn for long.
                self.inner.identify(key, handle.goroutine());
                Ok(handle)
            }
            Err(error) => panic!("cannot start a goroutine: {error}"),
        }
    }

    /// Tracks what is not started through [`go`](Self::go) — a thread, a goroutine of another kind, a connection
    /// that is not yet served — until the guard is dropped. `name` stands in the report.
    ///
    /// # Errors
    /// [`Refused`]: the shutdown has begun.
    ///
    /// ```
    /// # let tracker = lisle::shutdown::Tracker::new(&lisle::context::background());
    /// let guard = tracker.guard("upload").unwrap();
    /// let upload = std::thread::spawn(move || {
    ///     let _guard = guard;
    ///     // …
    /// });
    /// tracker.shutdown(std::time::Duration::from_secs(10)).unwrap(); // waits for the thread
    /// # upload.join().unwrap();
    /// ```
    #[track_caller]
    pub fn guard(&self, name: impl Into<String>) -> Result<Guard, Refused<()>> {
        self.track(Some(name.into()), Location::caller()).ok_or_else(|| refused(()))
    }

    fn track(&self, name: Option<String>, created_at: &'static Location<'static>) -> Option<Guard> {
        if self.inner.begun.err().is_some() {
            return None;
        }
        let mut state = self.inner.state();
        if state.closed {
            return None;
        }
        let key = state.next;
        state.next += 1;
        state.tracked.insert(key, Tracked { name, created_at, goroutine: None });
        drop(state);
        Some(Guard { inner: Arc::clone(&self.inner), key })
    }

    /// Done as soon as the shutdown begins: for those who take in new work. A child of the context given to
    /// [`new`](Self::new).
    #[must_use]
    pub fn begun(&self) -> &Context {
        &self.inner.begun
    }

    /// Done when the shutdown is over: for the work itself, which should then stop with what it does. It has the
    /// values of the context given to [`new`](Self::new), and not its end.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// Begins the shutdown, without waiting: from now on nothing is tracked any more that is not yet. To do it
    /// again changes nothing.
    pub fn begin(&self) {
        let mut state = self.inner.state();
        state.closed = true;
        let alive = state.take_alive_if_drained();
        drop(state);
        drop(alive);
        self.inner.begin.cancel();
    }

    /// Begins the shutdown and waits, for at most `patience`, until all that is tracked has ended. After that,
    /// either way, [`context`](Self::context) is done. It can be called again, to wait for longer.
    ///
    /// # Errors
    /// Some have not ended: the list of them.
    ///
    /// # Panics
    /// If a goroutine calls it that this tracker has started: it would wait for its own end.
    pub fn shutdown(&self, patience: Duration) -> Result<(), StillRunning> {
        self.begin();
        self.inner.assert_not_tracked(current().id());
        let timed_out = self.inner.drained.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        let running = if timed_out { self.running() } else { Vec::new() };
        self.inner.abandon.cancel();
        if running.is_empty() { Ok(()) } else { Err(StillRunning { patience, running }) }
    }

    /// What is tracked at the moment, oldest first, for reports. It takes the time of a copy, during which nothing
    /// can be started or end.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        self.inner.state().tracked.values().map(Running::of).collect()
    }
}

fn refused<F>(work: F) -> Refused<F> {
    Refused::new(work, Refusal::Closed, "the shutdown has begun: nothing new is started")
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which goroutine it is, if it has not ended already.
    fn identify(&self, key: u64, goroutine: Goroutine) {
        if let Some(tracked) = self.state().tracked.get_mut(&key) {
            tracked.goroutine = Some(goroutine);
        }
    }

    fn assert_not_tracked(&self, id: u64) {
        let is_tracked =
            self.state().tracked.values().any(|tracked| tracked.goroutine.as_ref().is_some_and(|g| g.id() == id));
        assert!(
            !is_tracked,
            "Tracker::shutdown was called by a goroutine that it tracks: it would wait for its own end"
        );
    }
}

impl State {
    /// What to drop, outside the lock, to let those go on who wait for the end.
    fn take_alive_if_drained(&mut self) -> Option<Sender<Infallible>> {
        if self.closed && self.tracked.is_empty() { self.alive.take() } else { None }
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracked = self.inner.state().tracked.len();
        f.debug_struct("Tracker")
            .field("tracked", &tracked)
            .field("begun", &self.inner.begun.err().is_some())
            .finish_non_exhaustive()
    }
}

/// Counts as work under way until it is dropped: see [`Tracker::guard`].
#[must_use = "the work counts as done when the guard is dropped"]
pub struct Guard {
    inner: Arc<Inner>,
    key: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        let tracked = state.tracked.remove(&self.key);
        let alive = state.take_alive_if_drained();
        drop(state);
        drop((tracked, alive));
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// One that a [`Tracker`] tracks, as it was when it was looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Running {
    /// The goroutine's number; `None` for a [`Guard`], which may have gone anywhere.
    pub id: Option<u64>,
    /// The name of the goroutine, or of the guard.
    pub name: Option<String>,
    /// Where it was started, or the guard was taken.
    pub created_at: &'static Location<'static>,
    /// What the goroutine waited for; `WaitReason::None` if it ran, or waited for its turn; `None` for a guard.
    pub wait_reason: Option<WaitReason>,
}

impl Running {
    fn of(tracked: &Tracked) -> Self {
        let Tracked { name, created_at, goroutine } = tracked;
        Self {
            id: goroutine.as_ref().map(Goroutine::id),
            name: name.clone(),
            created_at,
            wait_reason: goroutine.as_ref().map(Goroutine::wait_reason),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "goroutine {id}")?,
            None => f.write_str("guard")?,
        }
        if let Some(name) = &self.name {
            write!(f, " (\"{name}\")")?;
        }
        write!(f, " created at {}", self.created_at)?;
        match self.wait_reason {
            Some(WaitReason::None) => f.write_str(" runs"),
            Some(reason) => write!(f, " waits in {reason}"),
            None => Ok(()),
        }
    }
}

/// The patience of a [`shutdown`](Tracker::shutdown) has ended before all that was tracked. Its text has a line for
/// each that is left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StillRunning {
    /// How long it was waited for.
    pub patience: Duration,
    /// Who is left, oldest first.
    pub running: Vec<Running>,
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} still running after a wait of {:?}:", self.running.len(), self.patience)?;
        self.running.iter().try_for_each(|running| write!(f, "\n  {running}"))
    }
}

impl std::error::Error for StillRunning {}
