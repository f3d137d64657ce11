//! Starting and stopping: [`Config`], the global runtime, private ones ([`Runtime`]), and [`run`].

use crate::metrics::Metrics;
use crate::report::{discard_payload, report};
use crate::sched::Scheduler;
use crate::sched::watchdog::StuckReport;
use crate::sched::worker::Worker;
use crate::spawn::{Builder, JoinHandle};
use crate::stack::DEFAULT_STACK_SIZE;
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What happens when a goroutine panics and nobody joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The goroutine ends, a line on stderr names it, the program goes on: what std threads do.
    #[default]
    Report,
    /// The process aborts after that line: what Go does.
    Abort,
}

/// What happens when nothing in the process can ever go on: all goroutines wait for each other, or for nothing, and so do
/// the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeadlockPolicy {
    /// The program ends with status 2, after `fatal error: all goroutines are asleep - deadlock!` and a dump of all of
    /// them: what Go does.
    #[default]
    Exit,
    /// Nothing: the program hangs.
    Ignore,
}

pub(crate) type StuckHook = Arc<dyn Fn(&StuckReport) + Send + Sync>;

/// How a runtime is to be. Unset fields come from the environment, then from the defaults.
///
/// | field | environment | default |
/// | --- | --- | --- |
/// | [`workers`](Self::workers) | `LISLE_WORKERS` | the CPU quota of the cgroup, rounded up, at least 2; at most the cores |
/// | [`stack_size`](Self::stack_size) | `LISLE_STACK_SIZE` (bytes, or with `K`, `M`) | [`DEFAULT_STACK_SIZE`] |
/// | [`unjoined_panic`](Self::unjoined_panic) | `LISLE_PANIC=report` or `abort` | report |
/// | [`deadlock`](Self::deadlock) | `LISLE_DEADLOCK=exit` or `ignore` | exit |
/// | [`mprotect_guards`](Self::mprotect_guards) | `LISLE_GUARD=mprotect` or `auto` | auto |
/// | [`dump_on_quit`](Self::dump_on_quit) | `LISLE_SIGQUIT=dump` or `default` | dump |
/// | [`lint_thread_locals`](Self::lint_thread_locals) | `LISLE_DEBUG=threadlocals` | off |
/// | [`lint_lock_order`](Self::lint_lock_order) | `LISLE_DEBUG=lockorder` | off |
/// | [`schedtrace`](Self::schedtrace) | `LISLE_DEBUG=schedtrace=1000` (milliseconds) | off |
///
/// Several settings of `LISLE_DEBUG` are separated by commas.
///
/// ```
/// let runtime = lisle::Config::new().workers(1).start().unwrap();
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) workers: usize,
    pub(crate) stack_size: usize,
    pub(crate) worker_stack_size: usize,
    pub(crate) thread_name: String,
    pub(crate) unjoined_panic: PanicPolicy,
    pub(crate) lint_thread_locals: bool,
    pub(crate) lint_lock_order: bool,
    pub(crate) schedtrace: Option<Duration>,
    pub(crate) stuck_after: Duration,
    pub(crate) on_stuck: Option<StuckHook>,
    pub(crate) deadlock: DeadlockPolicy,
    mprotect_guards: bool,
    dump_on_quit: bool,
    error: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("stack_size", &self.stack_size)
            .field("unjoined_panic", &self.unjoined_panic)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The defaults, with what the environment says. A variable that makes no sense is told by
    /// [`start`](Self::start).
    #[must_use]
    pub fn new() -> Self {
        Self::from_environment(|name| std::env::var(name).ok())
    }

    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut this = Self {
            workers: 0,
            stack_size: DEFAULT_STACK_SIZE,
            worker_stack_size: 2 * 1024 * 1024,
            thread_name: "lisle".into(),
            unjoined_panic: PanicPolicy::Report,
            lint_thread_locals: false,
            lint_lock_order: false,
            schedtrace: None,
            stuck_after: Duration::from_millis(100),
            on_stuck: None,
            deadlock: DeadlockPolicy::Exit,
            mprotect_guards: false,
            dump_on_quit: true,
            error: None,
        };
        for (name, wanted) in VARIABLES {
            if let Some(value) = variable(name)
                && !this.set(name, &value)
            {
                this.error = Some(format!("the environment variable {name} is {value:?}; it must be {wanted}"));
            }
        }
        this
    }

    /// One variable of the environment. Whether it makes sense.
    fn set(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("LISLE_WORKERS", value) => match value.parse() {
                Ok(count) if (1..=4096).contains(&count) => self.workers = count,
                _ => return false,
            },
            ("LISLE_STACK_SIZE", value) => match parse_size(value) {
                Some(size) => self.stack_size = size,
                None => return false,
            },
            ("LISLE_PANIC", "report") => self.unjoined_panic = PanicPolicy::Report,
            ("LISLE_PANIC", "abort") => self.unjoined_panic = PanicPolicy::Abort,
            ("LISLE_DEADLOCK", "exit") => self.deadlock = DeadlockPolicy::Exit,
            ("LISLE_DEADLOCK", "ignore") => self.deadlock = DeadlockPolicy::Ignore,
            ("LISLE_GUARD", "auto") => self.mprotect_guards = false,
            ("LISLE_GUARD", "mprotect") => self.mprotect_guards = true,
            ("LISLE_SIGQUIT", "dump") => self.dump_on_quit = true,
            ("LISLE_SIGQUIT", "default") => self.dump_on_quit = false,
            ("LISLE_DEBUG", settings) => {
                let mut settings = settings.split(',').map(str::trim).filter(|setting| !setting.is_empty());
                return settings.all(|setting| self.set_debug(setting));
            }
            _ => return false,
        }
        true
    }

    /// One setting of `LISLE_DEBUG`. Whether it makes sense.
    fn set_debug(&mut self, setting: &str) -> bool {
        match setting.split_once('=') {
            None if setting == "threadlocals" => self.lint_thread_locals = true,
            None if setting == "lockorder" => self.lint_lock_order = true,
            Some(("schedtrace", millis)) => match millis.parse() {
                Ok(0) => self.schedtrace = None,
                Ok(millis) => self.schedtrace = Some(Duration::from_millis(millis)),
                Err(_) => return false,
            },
            _ => return false,
        }
        true
    }

    /// The number of worker threads, 1 to 4096.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        if (1..=4096).contains(&workers) {
            self.workers = workers;
        } else {
            self.error = Some(format!("Config::workers is {workers}; it must be from 1 to 4096"));
        }
        self
    }

    /// The usable stack of goroutines that do not ask for another, in bytes.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// The stack of the worker threads themselves, in bytes: the scheduler and signal handlers run there,
    /// never a goroutine. Default: 2 MiB.
    #[must_use]
    pub fn worker_stack_size(mut self, bytes: usize) -> Self {
        self.worker_stack_size = bytes;
        self
    }

    /// What the threads' names begin with. Default: `lisle`.
    #[must_use]
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name = prefix.into();
        self
    }

    /// What a panic that nobody joins does.
    #[must_use]
    pub fn unjoined_panic(mut self, policy: PanicPolicy) -> Self {
        self.unjoined_panic = policy;
        self
    }

    /// What happens when nothing in the process can ever go on. Default: the program ends, with a dump of all goroutines.
    /// If one runtime of a process ignores deadlocks, all do.
    ///
    /// It is reported only if it is certain: no timer, no blocking call, no signal that somebody listens for, and each
    /// thread of the process is lisle's, or waits in lisle without a deadline. A thread that does anything else, even
    /// sleep for ever, might wake a goroutine yet. So a program whose `main` is in [`run`], in a `join`, or in another
    /// wait of lisle's is watched whole; one that has threads of other libraries may hang, and then Ctrl-\\ shows where
    /// (see [`debug`](crate::debug)). It is seen some 20 ms after the last one went to sleep; after the end of a foreign
    /// thread it can take as long again as the program has hung already, a minute at most. Costs nothing while anybody
    /// runs.
    #[must_use]
    pub fn deadlock(mut self, policy: DeadlockPolicy) -> Self {
        self.deadlock = policy;
        self
    }

    /// Makes stack guards by `mprotect` although the kernel could do better. For the whole process.
    #[must_use]
    pub fn mprotect_guards(mut self, yes: bool) -> Self {
        self.mprotect_guards = yes;
        self
    }

    /// Tells on stderr which thread-locals goroutines leave changed when they park: those are shared with
    /// their neighbours. For debugging; slow.
    #[must_use]
    pub fn lint_thread_locals(mut self, yes: bool) -> Self {
        self.lint_thread_locals = yes;
        self
    }

    /// Watches in which order goroutines take [`Mutex`](crate::sync::Mutex)es and [`RwLock`](crate::sync::RwLock)s. Two
    /// locks that are taken in different orders by different goroutines are told on stderr, with the stacks of both, also
    /// if nobody had to wait for it this time; and whoever wants a lock that it holds itself panics, instead of waiting for
    /// ever. Locks that OS threads take are not looked at, nor those taken by `try_lock`. For debugging: each locking
    /// takes some microseconds. (Within [`testing::check`](crate::testing::check) it is not
    /// needed: there the deadlock itself is found.)
    #[must_use]
    pub fn lint_lock_order(mut self, yes: bool) -> Self {
        self.lint_lock_order = yes;
        self
    }

    /// Whether SIGQUIT (Ctrl-\\) prints all goroutines to stderr and ends the process with status 2, as in Go; see
    /// [`debug`](crate::debug). Otherwise it does what the system makes of it, unless another runtime of the process
    /// wants the dump. Default: yes. A program that listens for SIGQUIT, ignores it, or has a handler for it before the
    /// runtime starts, is left alone.
    #[must_use]
    pub fn dump_on_quit(mut self, yes: bool) -> Self {
        self.dump_on_quit = yes;
        self
    }

    /// Prints a line of what the scheduler is doing to stderr (a [`Metrics`] as text) each time that so much time has
    /// passed, as Go's `GODEBUG=schedtrace=1000` does. A thread does that, of the runtime's own: it tells also of
    /// workers that are all stuck.
    #[must_use]
    pub fn schedtrace(mut self, every: Duration) -> Self {
        self.schedtrace = (!every.is_zero()).then_some(every);
        self
    }

    /// For how long a goroutine may hold up others on its worker before that counts as stuck. The
    /// watchdog looks every 10 ms. Default: 100 ms.
    #[must_use]
    pub fn stuck_after(mut self, lasting: Duration) -> Self {
        self.stuck_after = lasting;
        self
    }

    /// Calls `hook`, on the watchdog's thread, once for each time that a goroutine holds up others for
    /// longer than [`stuck_after`](Self::stuck_after). Without a hook, only those that *block* their
    /// thread for a second are told, on stderr.
    #[must_use]
    pub fn on_stuck(mut self, hook: impl Fn(&StuckReport) + Send + Sync + 'static) -> Self {
        self.on_stuck = Some(Arc::new(hook));
        self
    }

    /// Starts a private runtime, for tests and for programs that want several.
    ///
    /// # Errors
    /// A field or an environment variable makes no sense (`InvalidInput`); the system refuses threads,
    /// descriptors or address space.
    pub fn start(self) -> io::Result<Runtime> {
        Ok(Runtime { scheduler: self.start_scheduler()? })
    }

    /// Starts the global runtime, on which [`go`](crate::go()) starts goroutines, with this configuration.
    /// It must come before anything else that needs the global runtime.
    ///
    /// # Errors
    /// As [`start`](Self::start); or it runs already (`AlreadyExists`).
    pub fn start_global(self) -> io::Result<()> {
        let mut outcome = Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the global lisle runtime runs already; Config::start_global must come before the first go",
        ));
        let mut config = Some(self);
        // The cell decides who is first; only that one starts anything.
        GLOBAL.get_or_init(|| {
            let started = config.take().expect("called once").start_scheduler();
            outcome = started.as_ref().map(|_| ()).map_err(clone_error);
            started
        });
        outcome
    }

    fn start_scheduler(mut self) -> io::Result<Arc<Scheduler>> {
        crate::observe::forbid(
            "a runtime of its own cannot be started within testing::check or testing::virtual_time: it is made of threads. \
             The goroutines of the test have a runtime; use lisle::go",
        );
        if let Some(error) = self.error {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        if self.workers == 0 {
            self.workers = crate::cpu::default_workers();
        }
        if self.mprotect_guards {
            crate::stack::guard::force_mprotect();
        }
        if self.dump_on_quit {
            // Where the system refuses it, a program does without: SIGQUIT then ends it as it always did.
            let _ = crate::signal::delivery::dump_on_quit();
        }
        Scheduler::start(self)
    }
}

/// The environment's variables, and what they may hold.
const VARIABLES: [(&str, &str); 7] = [
    ("LISLE_WORKERS", "a number from 1 to 4096"),
    ("LISLE_STACK_SIZE", "bytes, or a number with K or M behind it"),
    ("LISLE_PANIC", "report or abort"),
    ("LISLE_DEADLOCK", "exit or ignore"),
    ("LISLE_GUARD", "auto or mprotect"),
    ("LISLE_SIGQUIT", "dump or default"),
    ("LISLE_DEBUG", "a list of threadlocals, lockorder and schedtrace=MILLISECONDS, separated by commas, or empty"),
];

fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn clone_error(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

static GLOBAL: OnceLock<io::Result<Arc<Scheduler>>> = OnceLock::new();

/// Calls `f` with the scheduler of the calling goroutine, or with the global one, which starts if need be.
#[inline(always)]
pub(crate) fn with_scheduler<R>(f: impl FnOnce(&Arc<Scheduler>) -> io::Result<R>) -> io::Result<R> {
    Worker::with_current(|worker| f(scheduler_of(worker, &mut None)?))
}

/// The scheduler of the calling thread's worker; of a thread that is none, the global one, which starts if need be and is kept
/// in `outside`.
#[inline(always)]
pub(crate) fn scheduler_of<'a>(
    worker: Option<&'a Worker>,
    outside: &'a mut Option<Arc<Scheduler>>,
) -> io::Result<&'a Arc<Scheduler>> {
    Ok(match worker {
        Some(worker) => &worker.scheduler,
        None => outside.insert(global()?),
    })
}

#[cold]
#[inline(never)]
fn global() -> io::Result<Arc<Scheduler>> {
    let global = GLOBAL.get_or_init(|| Config::new().start_scheduler());
    global
        .as_ref()
        .map(Arc::clone)
        .map_err(|error| io::Error::new(error.kind(), format!("lisle's runtime could not start: {error}")))
}

/// A runtime of its own: workers, watchdog, goroutines. Most programs do without: [`go`](crate::go())
/// starts the global one. Goroutines started on a private runtime start their children there, too.
///
/// Dropping it is [`shutdown`](Self::shutdown) with a patience of one second.
pub struct Runtime {
    scheduler: Arc<Scheduler>,
}

impl Runtime {
    /// Starts a goroutine on this runtime, as [`go`](crate::go()) does on the caller's.
    ///
    /// # Panics
    /// If it cannot start; see [`Builder::go_on`].
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match Builder::new().go_on(self, f) {
            Ok(handle) => handle,
            Err(error) => panic!("cannot start a goroutine: {error}"),
        }
    }

    /// Runs `f` as a goroutine of this runtime and waits for it; see [`run`].
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        run_on(&self.scheduler, f)
    }

    /// What the runtime is doing.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.scheduler)
    }

    /// Waits up to `patience` for all goroutines to end, then stops taking work: goroutines that have not
    /// started are dropped (joining them gives [`Cancelled`](crate::Cancelled)). Those that have started
    /// and still wait are *leaked*, with their worker threads: others may borrow from their stacks, so
    /// these are never freed or unwound from outside. Should such a goroutine be woken later, it goes on,
    /// and its worker ends after it. Returns how many were leaked.
    ///
    /// # Panics
    /// If called by a goroutine of this very runtime: it would wait for itself.
    pub fn shutdown(self, patience: Duration) -> usize {
        shut_down(&self.scheduler, patience)
    }

    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if runs_on(&self.scheduler) {
            // The last clone of a shared runtime went away within one of its own goroutines, which cannot
            // wait for itself.
            self.scheduler.stop();
        } else if !self.scheduler.is_stopped() {
            shut_down(&self.scheduler, Duration::from_secs(1));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("metrics", &self.metrics()).finish()
    }
}

fn runs_on(scheduler: &Scheduler) -> bool {
    Worker::with_current(|worker| worker.is_some_and(|w| std::ptr::eq(&*w.scheduler, scheduler)))
}

fn shut_down(scheduler: &Scheduler, patience: Duration) -> usize {
    assert!(
        !runs_on(scheduler),
        "a goroutine tried to shut down the runtime that it runs on: it would wait for its own end"
    );
    let deadline = crate::clock::deadline(patience);
    // The blocking wait of an OS thread: if a goroutine of another runtime shuts this one down, it should
    // do so within `blocking`.
    scheduler.wait_for_ends(deadline, |scheduler| scheduler.live() == 0);
    scheduler.stop();
    let leaked = scheduler.live();
    if leaked == 0 {
        scheduler.wait_for_ends(deadline, |scheduler| scheduler.threads() == 0);
    }
    // What a worker queued while it was being stopped.
    scheduler.cancel_unstarted();
    usize::try_from(scheduler.live()).unwrap_or(usize::MAX)
}

/// Runs `f` as the main goroutine and returns what it returns. `f` may borrow from the caller. The global
/// runtime starts if it does not run yet. As with Go's `main`, other goroutines are not waited for.
///
/// Inside a goroutine it simply calls `f`.
///
/// # Panics
/// If `f` panics, with its payload; if it calls [`exit`](crate::exit), since there is nothing to return then; or if the
/// runtime cannot start.
///
/// ```
/// let words = vec!["wind", "twist"];
/// let total = lisle::run(|| words.iter().map(|word| word.len()).sum::<usize>());
/// assert_eq!(total, 9);
/// ```
#[track_caller]
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if Worker::with_current(|worker| worker.and_then(Worker::running).is_some()) {
        return f();
    }
    match global() {
        Ok(scheduler) => run_on(&scheduler, f),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn run_on<F, T>(scheduler: &Arc<Scheduler>, f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let builder = Builder::new().name("main");
    // Here, since closures have no callers.
    let created_at = Location::caller();
    // A scope with one child: its wait is what makes the borrow sound.
    crate::scope::scope(|scope| match builder.go_scoped_on(scheduler, scope, created_at, f) {
        Ok(handle) => match handle.join() {
            Ok(value) => value,
            Err(payload) if payload.is::<crate::Exited>() => {
                panic!("the main goroutine has called lisle::exit: there is no value that lisle::run could return")
            }
            Err(payload) => std::panic::resume_unwind(payload),
        },
        Err(error) => panic!("cannot start the main goroutine: {error}"),
    })
}

/// The number of goroutines that exist on the calling goroutine's runtime, or on the global one if called
/// from elsewhere: running, waiting, or not started yet. (Go's `runtime.NumGoroutine`.) It adds up the
/// workers' counts; while goroutines come and go it is approximate.
#[must_use]
pub fn num_goroutines() -> usize {
    let live = match Worker::with_current(|worker| worker.map(|worker| worker.scheduler.live())) {
        Some(live) => live,
        None => GLOBAL.get().and_then(|global| global.as_ref().ok()).map_or(0, |scheduler| scheduler.live()),
    };
    usize::try_from(live).unwrap_or(usize::MAX)
}

/// `who` panicked, and its result was dropped without a look.
pub(crate) fn unjoined_panic(who: impl fmt::Display, payload: Box<dyn Any + Send>) {
    unheard_panic(format_args!("{who} panicked, and nobody joined it"));
    discard_payload(payload);
}

/// Something panicked, as the text says, and the program will not hear of it.
pub(crate) fn unheard_panic(text: fmt::Arguments<'_>) {
    if crate::observe::with_explorer(|explorer| explorer.unheard_panic(text.to_string())).is_some() {
        return;
    }
    let policy = Worker::with_current(|worker| worker.map(|worker| worker.scheduler.config.unjoined_panic))
        .or_else(|| Some(GLOBAL.get()?.as_ref().ok()?.config.unjoined_panic))
        .unwrap_or_default();
    report(format_args!("lisle: {text}"));
    if policy == PanicPolicy::Abort {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Config {
        Config::from_environment(move |asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn environment_sets_what_is_not_set_in_code() {
        assert_eq!(with("LISLE_WORKERS", "3").workers, 3);
        assert_eq!(with("LISLE_WORKERS", "3").workers(5).workers, 5);
        assert_eq!(with("LISLE_STACK_SIZE", "512K").stack_size, 512 * 1024);
        assert_eq!(with("LISLE_STACK_SIZE", "2M").stack_size, 2 * 1024 * 1024);
        assert_eq!(with("LISLE_PANIC", "abort").unjoined_panic, PanicPolicy::Abort);
        assert!(with("LISLE_DEBUG", "threadlocals").lint_thread_locals);
        assert!(with("LISLE_DEBUG", "lockorder").lint_lock_order);
        let both = with("LISLE_DEBUG", "schedtrace=250, threadlocals");
        assert!(both.lint_thread_locals && both.schedtrace == Some(Duration::from_millis(250)));
        assert_eq!(with("LISLE_DEBUG", "schedtrace=0").schedtrace, None);
    }

    #[test]
    fn nonsense_in_the_environment_is_named() {
        for (name, value) in [
            ("LISLE_WORKERS", "0"),
            ("LISLE_WORKERS", "many"),
            ("LISLE_STACK_SIZE", "big"),
            ("LISLE_PANIC", "shrug"),
            ("LISLE_GUARD", "dog"),
            ("LISLE_DEADLOCK", "perhaps"),
            ("LISLE_SIGQUIT", "never"),
            ("LISLE_DEBUG", "everything"),
            ("LISLE_DEBUG", "schedtrace"),
            ("LISLE_DEBUG", "schedtrace=often"),
        ] {
            let error = with(name, value).start().expect_err("it makes no sense").to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
