//! The watchdog: one thread of each runtime that notices stuck workers, and does the housekeeping.
//!
//! A worker is *stuck* when one slice lasts while other work waits for it. What the watchdog does:
//! - It tells computing from blocked, by the thread's CPU clock, and reports the goroutine, its creation
//!   site, and who waits behind: to the hook of `Config::on_stuck`, to a counter, and, when a worker has
//!   been *blocked* for a second (a likely deadlock on a lock that is not lisle's), to stderr.
//! - When no worker makes progress and fresh work waits, it starts a replacement worker. Deferred calls that are
//!   overdue it makes fresh work.
//! - When all sleep, it looks whether anything can ever wake them (`deadlock`).
//! - About once a second: it lets idle stacks give their pages back, looks for newly loaded libraries, and
//!   lets goroutines that wait for a stack try again.
//!
//! It looks every 10 ms while a worker is busy, and sleeps while all sleep.
//!
//! # Reading the running goroutine
//! A goroutine may end and be freed at any moment, and the worker should not pay for being watched. So the
//! worker uses plain loads and stores, and the watchdog makes its own store visible to all threads, and
//! theirs to itself, by `membarrier` (Linux 4.14; without it, reports lack the goroutine's name). The
//! pairing is stated at `WorkerShared::inspect_running`. Rejected: a lock, or a reference count, on every
//! slice.

use super::g::G;
use super::scan::{self, Hit};
use super::worker::{Worker, WorkerShared};
use super::{Scheduler, deadlock, lock};
use crate::report::{discard_payload, report};
use crate::threads::service::{self, Service};
use crate::{membarrier, threads, tsan};
use crossbeam_utils::sync::{Parker, Unparker};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

pub(super) const TICK: Duration = Duration::from_millis(10);
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Ticks without progress of any worker after which a replacement starts.
const PATIENCE: u32 = 5;
/// A worker that was blocked for so long, with work behind it, is told on stderr.
const TELL_BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// What keeps a worker from its other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StuckKind {
    /// The goroutine computes and does not yield (or would, on a machine that has no processor for it).
    Computing,
    /// The thread uses no processor time: it waits in something that is not lisle's, such as
    /// `std::sync::Mutex::lock` or a system call.
    Blocked,
    /// The goroutine waits in lisle but had to keep its thread; the text says why.
    KeepsThread(&'static str),
}

/// A goroutine in a report: who it is and where it was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GoroutineInfo {
    /// Its number.
    pub id: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it was created.
    pub created_at: &'static Location<'static>,
}

impl GoroutineInfo {
    pub(crate) fn of(g: &G) -> Self {
        Self { id: g.id, name: g.name().map(Into::into), created_at: g.created_at }
    }
}

impl fmt::Display for GoroutineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " (\"{name}\")")?;
        }
        write!(f, " created at {}", self.created_at)
    }
}

/// A worker that does not get to the goroutines that wait for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StuckReport {
    /// What it does instead.
    pub kind: StuckKind,
    /// The goroutine that holds it up, if that could be read.
    pub goroutine: Option<GoroutineInfo>,
    /// For how long, at the least.
    pub lasting: Duration,
    /// How many goroutines that no other worker can run (started here, or local) wait behind it, at the least.
    pub waiting: usize,
    /// Some of those.
    pub examples: Vec<GoroutineInfo>,
}

impl fmt::Display for StuckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.goroutine {
            Some(goroutine) => write!(f, "{goroutine}")?,
            None => f.write_str("a goroutine")?,
        }
        match self.kind {
            StuckKind::Computing => write!(f, " has computed for {:?} without yielding", self.lasting)?,
            StuckKind::Blocked => write!(f, " has blocked its thread for {:?} outside lisle", self.lasting)?,
            StuckKind::KeepsThread(why) => write!(f, " waits and keeps its thread since {:?}: {why}", self.lasting)?,
        }
        write!(f, "; {} goroutine(s) that no other worker can run wait behind it", self.waiting)?;
        for example in &self.examples {
            write!(f, "\n  waiting: {example}")?;
        }
        f.write_str(match self.kind {
            StuckKind::Computing => "\n  help: call lisle::yield_now() in the loop, or Builder::own_thread(true)",
            StuckKind::Blocked => {
                "\n  help: use lisle::sync instead of std::sync, lisle::blocking for calls that block"
            }
            StuckKind::KeepsThread(_) => "\n  help: start it with Builder::own_thread(true)",
        })
    }
}

/// The scheduler's side of the watchdog.
pub(crate) struct Watchdog {
    unparker: OnceLock<Unparker>,
    asleep: AtomicBool,
    /// Slices that were reported as stuck.
    pub(crate) stuck: AtomicU64,
    /// Parks that kept their thread because of a thread-local.
    pub(crate) hits: AtomicU64,
    told: Mutex<HashSet<String>>,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        Self {
            unparker: OnceLock::new(),
            asleep: AtomicBool::new(false),
            stuck: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    /// A worker has slept and is up again.
    pub(crate) fn note_awake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(unparker) = self.unparker.get() {
            unparker.unpark();
        }
    }

    /// Prints a text once.
    pub(crate) fn tell_once(&self, text: &str) {
        if lock(&self.told).insert(text.to_owned()) {
            report(format_args!("{text}"));
        }
    }

    /// Tells, once for each variable and creation site, that a thread-local keeps a goroutine's thread.
    pub(crate) fn tell_hit(&self, worker: &Worker, g: &G, hit: Hit) {
        let key = format!("{:?} {}", hit.place(), g.created_at);
        if !lock(&self.told).insert(key) {
            return;
        }
        let info = GoroutineInfo::of(g);
        let variable = worker.scanner.variable(hit);
        let waiting = worker.waiting_behind();
        let reason = g.wait_reason();
        let tell = || {
            let variable = variable.describe();
            report(format_args!(
                "lisle: {info} waits ({reason}) while {variable} points into a goroutine's stack. Such a \
                 thread-local belongs to the frames of one thread, so the goroutine keeps its thread until it \
                 wakes; {waiting} goroutine(s) that no other worker can run wait behind it. If it waits often, start \
                 it with Builder::own_thread(true)."
            ));
        };
        // Reading a symbol table takes more stack than a small goroutine may have.
        let _ = threads::beside("lisle-report", tell);
    }
}

/// Starts the watchdog's thread. It ends with the scheduler.
pub(crate) fn start(scheduler: &Arc<Scheduler>) -> io::Result<()> {
    let parker = Parker::new();
    let _ = scheduler.watchdog.unparker.set(parker.unparker().clone());
    membarrier::register();
    let weak = Arc::downgrade(scheduler);
    let name = format!("{}-watchdog", scheduler.config.thread_name);
    // As in `Scheduler::start_thread`.
    let _loud = tsan::loud();
    std::thread::Builder::new().name(name).spawn(move || {
        let _quiet = tsan::quiet();
        let (weak, parker) = (weak, parker);
        watch(&weak, &parker);
    })?;
    Ok(())
}

/// What was seen of one worker.
struct Seen {
    worker: &'static WorkerShared,
    slice: u64,
    since: Instant,
    cpu: Duration,
    reported: bool,
    told: bool,
}

struct Watch {
    seen: Vec<Seen>,
    idle_ticks: u32,
    kept_house: Instant,
    deadlock: deadlock::Search,
    /// When to look for a deadlock again.
    look_again: Option<Duration>,
}

fn watch(scheduler: &Weak<Scheduler>, parker: &Parker) {
    let _service = Service::begin();
    let now = crate::clock::now();
    let mut watch =
        Watch { seen: Vec::new(), idle_ticks: 0, kept_house: now, deadlock: deadlock::Search::new(), look_again: None };
    loop {
        let Some(scheduler) = scheduler.upgrade() else { return };
        if scheduler.is_stopped() {
            return;
        }
        watch.tick(&scheduler);
        let nap = watch.nap(&scheduler);
        drop(scheduler);
        parker.park_timeout(nap);
    }
}

impl Watch {
    fn tick(&mut self, scheduler: &Arc<Scheduler>) {
        let now = crate::clock::now();
        let mut progress = false;
        let mut able = 0;
        let mut seen = Vec::new();
        let dedicated = lock(&scheduler.dedicated).clone();
        let workers = scheduler.workers();
        let regular = workers.iter().map(|worker| (worker, true));
        for (worker, is_regular) in regular.chain(dedicated.into_iter().map(|worker| (worker, false))) {
            let before = self.seen.iter().find(|seen| std::ptr::eq(seen.worker, worker));
            worker.note_slices(now);
            let (now_seen, kind) = look(worker, before, now);
            match kind {
                // A dedicated worker takes no fresh work, whatever it does.
                None => progress |= is_regular,
                Some(StuckKind::Computing) => able += usize::from(is_regular),
                Some(_) => {}
            }
            seen.push((now_seen, kind));
        }
        for (seen, kind) in &mut seen {
            if let Some(kind) = kind {
                seen.report(scheduler, *kind, now);
            }
        }
        self.seen = seen.into_iter().map(|(seen, _)| seen).collect();
        self.replace(scheduler, progress, able);
        if now - self.kept_house >= HOUSEKEEPING {
            self.kept_house = now;
            keep_house(scheduler);
        }
        self.look_again = self.deadlock.look(scheduler, now);
    }

    /// Starts a replacement when fresh work waits and nobody gets to it: soon if the workers are blocked,
    /// after some patience if they compute.
    fn replace(&mut self, scheduler: &Arc<Scheduler>, progress: bool, able: usize) {
        // The workers that are up have not come to them.
        if scheduler.has_due_call() {
            // Between the table and the queue a call is nowhere to be seen, so this thread must be.
            service::call_user(|| scheduler.start_due_calls());
        }
        if !scheduler.has_any_fresh() {
            self.idle_ticks = 0;
            return;
        }
        // A lone goroutine that its spawner kept for itself, and does not come to.
        scheduler.wake_for_fresh();
        if progress {
            self.idle_ticks = 0;
            return;
        }
        self.idle_ticks += 1;
        if able < scheduler.config.workers || self.idle_ticks >= PATIENCE {
            self.idle_ticks = 0;
            scheduler.add_replacement();
        }
    }

    /// How long to sleep until the next look.
    fn nap(&self, scheduler: &Scheduler) -> Duration {
        let all_asleep = || scheduler.busy_workers() == 0 && lock(&scheduler.dedicated).is_empty();
        if !all_asleep() {
            return TICK;
        }
        scheduler.watchdog.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !all_asleep() || self.deadlock.is_outdated(scheduler) {
            return TICK;
        }
        // For a long time nothing will be taken down.
        let now = crate::clock::now();
        scheduler.workers().iter().for_each(|worker| worker.note_slices(now));
        let (warm, _) = crate::stack::cache::pooled();
        let nap = if warm > 0 || scheduler.starved() > 0 { HOUSEKEEPING } else { Duration::from_secs(60) };
        self.look_again.map_or(nap, |again| again.min(nap))
    }
}

/// Compares a worker with what was seen of it. `None`: it makes progress, or has nothing to do.
fn look(worker: &'static WorkerShared, before: Option<&Seen>, now: Instant) -> (Seen, Option<StuckKind>) {
    let slice = worker.counters.slices.load(Ordering::Relaxed);
    let cpu = worker.thread.cpu_time();
    let fresh = Seen { worker, slice, since: now, cpu, reported: false, told: false };
    let Some(before) = before.filter(|before| before.slice == slice && worker.is_running()) else {
        return (fresh, None);
    };
    let kind = if let Some(why) = worker.keeps() {
        StuckKind::KeepsThread(why)
    } else if cpu.saturating_sub(before.cpu) > TICK / 10 || worker.thread.is_runnable() {
        // The latter on a busy machine: it would compute, if the kernel let it.
        StuckKind::Computing
    } else {
        StuckKind::Blocked
    };
    (Seen { since: before.since, reported: before.reported, told: before.told, ..fresh }, Some(kind))
}

impl Seen {
    /// Reports once a slice to the hook and the counter, and a blocked worker later once to stderr.
    fn report(&mut self, scheduler: &Scheduler, kind: StuckKind, now: Instant) {
        let lasting = now - self.since;
        let hook = !self.reported && lasting >= scheduler.config.stuck_after;
        let tell = !self.told && lasting >= TELL_BLOCKED_AFTER && kind != StuckKind::Computing;
        if !hook && !tell {
            return;
        }
        let Some(report) = make_report(self.worker, kind, lasting) else { return };
        if hook {
            self.reported = true;
            scheduler.watchdog.stuck.fetch_add(1, Ordering::Relaxed);
            if let Some(on_stuck) = &scheduler.config.on_stuck {
                // A hook that panics has told so itself; the watchdog goes on.
                let _loud = tsan::loud();
                let call = || service::call_user(|| on_stuck(&report));
                let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
                called.err().into_iter().for_each(discard_payload);
                // It is dropped with the runtime.
                crate::observe::release(scheduler);
            }
        }
        if tell {
            self.told = true;
            if scheduler.config.on_stuck.is_none() {
                crate::report::report(format_args!("lisle: {report}"));
            }
        }
    }
}

/// `None` if nobody waits behind it.
fn make_report(worker: &WorkerShared, kind: StuckKind, lasting: Duration) -> Option<StuckReport> {
    let ready = usize::try_from(worker.counters.ready.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let mut examples = Vec::new();
    let mut delivered = 0;
    worker.peek_deliveries(|g| {
        delivered += 1;
        if examples.len() < 8 {
            examples.push(GoroutineInfo::of(g));
        }
    });
    let timer = worker.counters.next_timer.load(Ordering::Relaxed);
    let due = timer != 0 && timer <= crate::clock::as_nanos(crate::clock::now());
    let fresh = usize::try_from(worker.counters.local_fresh.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let waiting = ready + delivered + fresh + usize::from(due);
    if waiting == 0 {
        return None;
    }
    let mut goroutine = None;
    worker.inspect_running(|g| goroutine = Some(GoroutineInfo::of(g)));
    Some(StuckReport { kind, goroutine, lasting, waiting, examples })
}

fn keep_house(scheduler: &Arc<Scheduler>) {
    crate::stack::cache::sweep();
    scan::check_loaded();
    if let Some(g) = scheduler.take_starved() {
        scheduler.inject(g);
    }
}
