//! [`Metrics`]: what a runtime is doing, as numbers, and as the line of `schedtrace`.
//!
//! The numbers are there anyway: each worker counts for itself, in plain stores, and whoever asks adds up. While the
//! program runs on, they are approximate with regard to each other.

use crate::runtime::with_scheduler;
use crate::sched::Scheduler;
use crate::sched::worker::WorkerShared;
use crate::threads::service::Service;
use std::fmt;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a runtime is doing; a snapshot. Its text is the line that [`schedtrace`](crate::Config::schedtrace) prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Goroutines that exist.
    pub goroutines: u64,
    /// Those of them that run at this moment.
    pub running: usize,
    /// Those that have started and wait for their turn, at the least.
    pub ready: usize,
    /// Those that have not started.
    pub not_started: usize,
    /// Those that have started: so many stacks are in use.
    pub started: usize,
    /// Goroutines that were ever created.
    pub created: u64,
    /// Slices: how many times a goroutine was resumed.
    pub slices: u64,
    /// How many slices ended in a yield.
    pub yields: u64,
    /// How many slices ended in a wait.
    pub parks: u64,
    /// Times that a worker slept for want of work.
    pub sleeps: u64,
    /// Workers that run, replacements included.
    pub workers: usize,
    /// Workers that were configured.
    pub configured_workers: usize,
    /// Workers that sleep.
    pub sleeping_workers: usize,
    /// Workers that look for work.
    pub searching_workers: usize,
    /// Threads of goroutines that asked for one of their own.
    pub own_threads: usize,
    /// Fresh goroutines that were created outside of workers and wait for one.
    pub injected: usize,
    /// Times that a worker took fresh goroutines from another.
    pub steals: u64,
    /// Slices that were reported as stuck.
    pub stuck: u64,
    /// Parks that kept their thread because a thread-local pointed into a goroutine's stack.
    pub thread_local_hits: u64,
    /// Goroutines that wait for a stack.
    pub waiting_for_stack: usize,
    /// Unused stacks of the process that have their pages.
    pub warm_stacks: usize,
    /// Unused stacks of the process that have given their pages back.
    pub cold_stacks: usize,
    /// Threads of the process for [`blocking`](crate::blocking()) calls.
    pub blocking_threads: usize,
    /// Those of them that have nothing to do.
    pub blocking_idle: usize,
    /// Blocking calls that wait for a thread.
    pub blocking_queued: usize,
    /// Each worker by itself; those with a thread for one goroutine are not among them.
    pub per_worker: Vec<WorkerMetrics>,
}

/// What one worker is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Its number: 0 for the first. Numbers from [`Metrics::configured_workers`] on are replacements.
    pub index: usize,
    /// Whether a goroutine runs there at this moment.
    pub is_running: bool,
    /// Goroutines that started there and have not ended.
    pub started: usize,
    /// Those of them that waited for their turn when the present slice began.
    pub ready: usize,
    /// Fresh goroutines in its queue.
    pub not_started: usize,
    /// How many times a goroutine was resumed there.
    pub slices: u64,
    /// How many times it took others' fresh goroutines.
    pub steals: u64,
    /// How many times it slept for want of work.
    pub sleeps: u64,
    /// Processor time that its thread has used.
    pub cpu_time: Duration,
}

impl WorkerMetrics {
    fn of(index: usize, worker: &WorkerShared) -> Self {
        let counters = &worker.counters;
        let is_running = worker.is_running();
        Self {
            index,
            is_running,
            started: counters.started.load(Relaxed),
            // The count stays after the last slice.
            ready: if is_running { usize::try_from(counters.ready.load(Relaxed)).unwrap_or(usize::MAX) } else { 0 },
            not_started: worker.stealer.len(),
            slices: counters.slices.load(Relaxed),
            steals: counters.steals.load(Relaxed),
            sleeps: counters.sleeps.load(Relaxed),
            cpu_time: worker.thread.cpu_time(),
        }
    }
}

impl Metrics {
    pub(crate) fn of(scheduler: &Scheduler) -> Self {
        let workers = scheduler.workers();
        let each = (0..workers.len()).filter_map(|index| Some(WorkerMetrics::of(index, workers.get(index)?)));
        let per_worker: Vec<_> = each.collect();
        let dedicated = scheduler.dedicated_workers();
        let dedicated: Vec<_> = dedicated.iter().map(|worker| WorkerMetrics::of(usize::MAX, worker)).collect();
        let all = || per_worker.iter().chain(&dedicated);
        let (warm_stacks, cold_stacks) = crate::stack::cache::pooled();
        let (blocking_threads, blocking_idle, blocking_queued) = crate::blocking::counts();
        let finished = scheduler.total(|counters| &counters.finished);
        let yields = scheduler.total(|counters| &counters.yields);
        let slices = scheduler.total(|counters| &counters.slices);
        let running = all().filter(|worker| worker.is_running).count();
        let injected = scheduler.injector.len();
        let waiting_for_stack = scheduler.starved();
        Self {
            goroutines: scheduler.live(),
            running,
            ready: all().map(|worker| worker.ready).sum(),
            not_started: all().map(|worker| worker.not_started).sum::<usize>() + injected + waiting_for_stack,
            started: all().map(|worker| worker.started).sum(),
            created: scheduler.total(|counters| &counters.spawned),
            slices,
            yields,
            parks: slices.saturating_sub(yields + finished + running as u64),
            sleeps: scheduler.total(|counters| &counters.sleeps),
            workers: per_worker.len(),
            configured_workers: scheduler.config.workers,
            sleeping_workers: scheduler.idle.sleeping(),
            searching_workers: scheduler.idle.searching(),
            own_threads: dedicated.len(),
            injected,
            steals: scheduler.total(|counters| &counters.steals),
            stuck: scheduler.watchdog.stuck.load(Relaxed),
            thread_local_hits: scheduler.watchdog.hits.load(Relaxed),
            waiting_for_stack,
            warm_stacks,
            cold_stacks,
            blocking_threads,
            blocking_idle,
            blocking_queued,
            per_worker,
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replacements = self.per_worker.iter().filter(|worker| worker.index >= self.configured_workers).count();
        write!(
            f,
            "workers={} sleeping={} searching={} replacements={replacements} ownthreads={} blocking={} goroutines={} \
             created={} running={} parks={} steals={} stuck={} injected={} queues=[",
            self.configured_workers,
            self.sleeping_workers,
            self.searching_workers,
            self.own_threads,
            self.blocking_threads - self.blocking_idle.min(self.blocking_threads),
            self.goroutines,
            self.created,
            self.running,
            self.parks,
            self.steals,
            self.stuck,
            self.injected,
        )?;
        for (place, worker) in self.per_worker.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}+{}", worker.ready, worker.not_started)?;
        }
        f.write_str("]")
    }
}

/// What the caller's runtime is doing: that of the calling goroutine, or the global one, which starts if
/// need be.
///
/// Cost: some microseconds, more with many workers. Nothing is held up by it.
///
/// # Panics
/// If the runtime cannot start.
///
/// ```
/// let metrics = lisle::metrics();
/// assert_eq!(metrics.workers, metrics.per_worker.len());
/// println!("{metrics}"); // workers=2 sleeping=1 … queues=[0+3 0+0]
/// ```
#[must_use]
pub fn metrics() -> Metrics {
    match with_scheduler(|scheduler| Ok(Metrics::of(scheduler))) {
        Ok(metrics) => metrics,
        Err(error) => panic!("{error}"),
    }
}

/// Prints a line about the runtime at once, and one in each such time, until it is gone.
pub(crate) fn start_trace(scheduler: &Arc<Scheduler>, every: Duration) -> io::Result<()> {
    let scheduler = Arc::downgrade(scheduler);
    let thread = std::thread::Builder::new().name("lisle-schedtrace".into());
    // As in `Scheduler::start_thread`.
    let _loud = crate::tsan::loud();
    thread.spawn(move || trace(scheduler, every)).map(drop)
}

fn trace(scheduler: Weak<Scheduler>, every: Duration) {
    let _quiet = crate::tsan::quiet();
    // Dropped before the guard.
    let scheduler = scheduler;
    let _service = Service::begin();
    let start = crate::clock::now();
    for turn in 0.. {
        let Some(scheduler) = scheduler.upgrade().filter(|scheduler| !scheduler.is_stopped()) else { return };
        let line = Metrics::of(&scheduler);
        drop(scheduler);
        crate::report::report(format_args!("SCHED {}ms: {line}", start.elapsed().as_millis()));
        // By the clock, so that the lines do not fall behind.
        let next = start + every.saturating_mul(turn + 1);
        std::thread::sleep(next.saturating_duration_since(crate::clock::now()));
    }
}
