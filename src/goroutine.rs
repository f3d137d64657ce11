//! The goroutine as its users see it: [`Goroutine`], [`current`], [`park`], [`yield_now`], [`exit`].

use crate::park::WaitReason;
use crate::sched::g::{G, GRef};
use crate::sched::worker::Worker;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A handle to a goroutine, in the manner of [`std::thread::Thread`]: who it is, and the means to unpark
/// it. For a plain OS thread there is one, too, so that code works on both.
#[derive(Clone)]
pub struct Goroutine {
    g: GRef,
}

impl Goroutine {
    pub(crate) fn new(g: GRef) -> Self {
        Self { g }
    }

    /// Its number: unique within the process, never used again.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.g.id
    }

    /// The number of the goroutine that created it; 0 if that was not a goroutine.
    #[must_use]
    pub fn creator(&self) -> u64 {
        self.g.creator
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.g.name()
    }

    /// Where it was created: file, line, column. For an OS thread this means nothing.
    #[must_use]
    pub fn created_at(&self) -> &'static Location<'static> {
        self.g.created_at
    }

    /// What it waits for at the moment, as far as can be told from outside.
    #[must_use]
    pub fn wait_reason(&self) -> WaitReason {
        self.g.wait_reason()
    }

    /// Gives it the token for which [`park`] waits: its present `park` ends, or its next one at once.
    /// Tokens do not add up. May be called from any goroutine or thread; never waits.
    ///
    /// Cost: on the goroutine's own worker a push on a queue, from elsewhere two atomic operations, and a
    /// system call if its worker sleeps.
    #[track_caller]
    pub fn unpark(&self) {
        crate::park::unpark_for_user(&self.g);
    }
}

impl fmt::Debug for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goroutine")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("created_at", &format_args!("{}", self.created_at()))
            .finish()
    }
}

/// The running goroutine, or, on a plain OS thread, a handle to that.
///
/// ```
/// let named = lisle::Builder::new().name("loom").go(|| lisle::current().name().map(String::from));
/// assert_eq!(named.unwrap().join().unwrap().unwrap(), "loom");
/// ```
#[must_use]
pub fn current() -> Goroutine {
    Goroutine::new(crate::park::with_current(G::reference))
}

/// Waits until the token comes, and takes it; see [`std::thread::park`]. Check again what you wait for all
/// the same: who gave the token may have meant something else. Other waits (locks, joins) leave the token
/// alone.
///
/// A goroutine lets its neighbours run meanwhile; an OS thread blocks (its std token is not touched).
///
/// ```
/// let parked = lisle::go(|| lisle::park());
/// parked.goroutine().unpark();
/// parked.join().unwrap();
/// ```
#[inline(always)]
#[track_caller]
pub fn park() {
    crate::park::park_for_user(None);
}

/// As [`park`], for at most `timeout`.
#[track_caller]
pub fn park_timeout(timeout: Duration) {
    crate::park::park_for_user(crate::clock::deadline(timeout));
}

/// Lets the other goroutines of this worker run, and those start that are waiting to be started here, and then goes on. (Of
/// very many that were to be started, more than 256, a quarter.) Needed only in loops that compute for
/// long: every wait lets others run anyway. Does nothing where a goroutine must not switch (see
/// [`no_switch`]). On an OS thread it is [`std::thread::yield_now`].
#[inline(always)]
#[track_caller]
pub fn yield_now() {
    crate::park::yield_now();
}

/// Ends the running goroutine, as Go's `runtime.Goexit`: its destructors run, and `join` returns `Err` with
/// [`Exited`].
///
/// It unwinds the stack like a panic, without the panic's message, and poisons std's locks, but not lisle's.
/// `catch_unwind` on the way stops it (after that, panics of this goroutine do not poison lisle's locks).
///
/// # Panics
/// If the caller is not a goroutine: then this is an ordinary panic.
///
/// ```
/// let handle = lisle::go(|| lisle::exit());
/// assert!(handle.join().unwrap_err().is::<lisle::Exited>());
/// ```
pub fn exit() -> ! {
    let id = Worker::with_current(|worker| {
        let worker = worker?;
        let g = worker.running()?;
        g.pinned(worker).exiting.set(true);
        Some(g.id)
    });
    match id {
        Some(id) => std::panic::resume_unwind(Box::new(Exited { id })),
        None => panic!("lisle::exit was called outside a goroutine"),
    }
}

/// What `join` gives for a goroutine that ended by [`exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// The goroutine's number.
    pub id: u64,
}

impl fmt::Display for Exited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {} ended itself by lisle::exit", self.id)
    }
}

impl std::error::Error for Exited {}

/// What `join` gives for a goroutine whose runtime was shut down before it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled {
    /// The goroutine's number.
    pub id: u64,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {} never started: its runtime was shut down before", self.id)
    }
}

impl std::error::Error for Cancelled {}

/// Runs `f` without a switch: a wait inside it keeps the thread, as on a plain thread, and the other
/// goroutines of the worker wait, too. For code whose calls must nest on their thread: PyO3's `attach`,
/// C++ frames that call back, crates that count on thread-locals. See the page
/// [Contract](crate::contract).
///
/// A wait inside it that only a goroutine of the same worker can end never ends. The watchdog tells.
///
/// ```
/// let answer = lisle::no_switch(|| {
///     lisle::yield_now(); // does nothing in here
///     42
/// });
/// assert_eq!(answer, 42);
/// ```
pub fn no_switch<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // Saturating, since a generator can carry the call over to a neighbour.
            change_depth(|depth| depth.saturating_sub(1));
        }
    }
    change_depth(|depth| depth.checked_add(1).expect("more than 65,535 calls of no_switch within each other"));
    let _leave = Leave;
    f()
}

fn change_depth(change: impl FnOnce(u16) -> u16) {
    Worker::with_current(|worker| {
        if let Some((worker, g)) = crate::park::running(worker) {
            let depth = &g.pinned(worker).no_switch;
            depth.set(change(depth.get()));
        }
    });
}
