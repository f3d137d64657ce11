//! The scheduler.
//!
//! # The design in short
//! - A goroutine that has not started is a closure that may run anywhere. It lies in its spawner's deque
//!   (`deque.rs`), in the injector if it comes from outside, and any worker may steal it.
//! - A goroutine that has started is pinned to its worker until it ends: the compiler may keep a
//!   thread-local's address across a switch, and a stack may hold what is not `Send`.
//! - Each worker has its own ready queue, timers, stacks and poller, and touches them without atomics.
//! - There is one way to wait (`park`), and one way in from other threads: the worker's inbox.
//!
//! # Files
//! | file | what |
//! | --- | --- |
//! | `g` | the goroutine object: who may touch which field |
//! | `task`, `task_memory` | its closure and its result, and where they lie |
//! | `worker` | the loop that runs goroutines; order of work, fairness, stealing |
//! | `inbox`, `idle` | how others hand over work, and how nobody sleeps through it (proof sketch there) |
//! | `deferred` | calls to be made at a point in time, each in a goroutine of its own |
//! | `keep_thread`, `scan`, `lint` | when a goroutine must not switch |
//! | `slice_log` | since when a goroutine has waited, without a look at the clock at each park |
//! | `deadlock` | when nothing can ever go on: how that is known, and what is not taken for it |
//! | `watchdog` | stuck workers, replacements, housekeeping |
//! | this file | what the workers of one runtime share |
//!
//! # Rejected
//! - Work stealing of started goroutines (Go, may): unsound in Rust, see DESIGN.md.
//! - Preemption by signals (Go): it would re-enter thread-locals and the allocator.
//! - A switch inside `go`: it is not a wait, and a caller that holds a std lock would not expect one.
//! - A count of live goroutines in one atomic: every start and end would bounce its cache line. The
//!   workers count for themselves, and whoever asks adds up.

pub(crate) mod deadlock;
pub(crate) mod deferred;
pub(crate) mod deque;
pub(crate) mod g;
pub(crate) mod idle;
pub(crate) mod inbox;
pub(crate) mod keep_thread;
pub(crate) mod life;
mod lint;
pub(crate) mod scan;
pub(crate) mod slice_log;
pub(crate) mod task;
pub(crate) mod task_memory;
pub(crate) mod watchdog;
pub(crate) mod worker;

use crate::runtime::Config;
use crate::stack::overflow::SignalStackMemory;
use crate::stack::{StackError, slab};
use crate::threads::creation;
use crossbeam_deque::Injector;
use g::{G, GRef};
use scan::{Hit, Offenders};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use watchdog::Watchdog;
use worker::{Counters, Kind, Worker, WorkerShared};

/// Identities that a worker takes at a time.
pub(crate) const ID_BLOCK: u64 = 16;
/// Replacement workers that may exist beside the configured ones.
const MAX_REPLACEMENTS: usize = 256;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Takes `count` identities and returns the first.
pub(crate) fn take_ids(count: u64) -> u64 {
    NEXT_ID.fetch_add(count, Ordering::Relaxed)
}

/// An identity for a goroutine that is made outside the workers.
pub(crate) fn next_id_outside() -> u64 {
    take_ids(1)
}

/// Locks what no user code runs under: a panic of ours cannot leave it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shut_down() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "this lisle runtime is shut down")
}

/// The runtimes of the process.
static ALL: Mutex<Vec<Weak<Scheduler>>> = Mutex::new(Vec::new());

/// The runtimes that are at work, the oldest first. Those of explorers are not among them.
pub(crate) fn all() -> Vec<Arc<Scheduler>> {
    lock(&ALL).iter().filter_map(Weak::upgrade).filter(|scheduler| !scheduler.is_stopped()).collect()
}

/// Those too that are shut down and still there: goroutines of theirs may wait.
pub(crate) fn all_with_stopped() -> Vec<Arc<Scheduler>> {
    lock(&ALL).iter().filter_map(Weak::upgrade).collect()
}

const RUNNING: u8 = 0;
const STOPPED: u8 = 1;

/// Goroutines that could not start for want of a stack.
#[derive(Default)]
struct Starved {
    queue: VecDeque<GRef>,
    why: Option<StackError>,
}

/// What the workers of one runtime share.
pub(crate) struct Scheduler {
    pub(crate) config: Config,
    pub(crate) injector: Injector<GRef>,
    pub(crate) idle: idle::Idle,
    deferred: deferred::Deferred,
    table: Box<[AtomicPtr<WorkerShared>]>,
    /// No place of the table beyond this was ever used.
    high: AtomicUsize,
    regular: AtomicUsize,
    dedicated: Mutex<Vec<&'static WorkerShared>>,
    /// Left by workers of ours that ended.
    spare: Mutex<Vec<&'static WorkerShared>>,
    /// Threads that have not ended.
    threads: AtomicUsize,
    /// What was counted outside of workers (goroutines created there), and by workers that have ended.
    elsewhere: Counters,
    state: AtomicU8,
    /// Someone waits for goroutines or threads to end.
    awaited: AtomicBool,
    ended: (Mutex<()>, Condvar),
    starved: Mutex<Starved>,
    has_starved: AtomicBool,
    offenders: Mutex<Offenders>,
    has_offenders: AtomicBool,
    pub(crate) watchdog: Watchdog,
}

impl Scheduler {
    /// Starts the workers.
    ///
    /// # Errors
    /// No address space for stacks, no file descriptor, or a thread that would not start.
    pub(crate) fn start(config: Config) -> io::Result<Arc<Self>> {
        let workers = config.workers;
        let this = Self::without_workers(config)?;
        for index in 0..workers {
            if let Err(error) = this.start_regular(index) {
                this.stop();
                let text = format!("worker thread {} of {workers} did not start: {error}", index + 1);
                return Err(io::Error::new(error.kind(), text));
            }
        }
        if let Err(error) = watchdog::start(&this) {
            this.stop();
            return Err(io::Error::new(error.kind(), format!("the watchdog thread did not start: {error}")));
        }
        if let Some(every) = this.config.schedtrace
            && let Err(error) = crate::metrics::start_trace(&this, every)
        {
            this.stop();
            return Err(io::Error::new(error.kind(), format!("the schedtrace thread did not start: {error}")));
        }
        this.list();
        Ok(this)
    }

    fn list(self: &Arc<Self>) {
        // Those that are gone went quietly, and so does their memory.
        let _quiet = crate::tsan::quiet();
        let mut all = lock(&ALL);
        all.retain(|scheduler| scheduler.strong_count() > 0);
        all.push(Arc::downgrade(self));
    }

    /// All but the threads.
    ///
    /// # Errors
    /// No address space for stacks.
    pub(crate) fn without_workers(config: Config) -> io::Result<Arc<Self>> {
        slab::range()?;
        crate::stack::overflow::install();
        let places = config.workers + MAX_REPLACEMENTS;
        Ok(Arc::new(Self {
            config,
            injector: Injector::new(),
            idle: idle::Idle::new(),
            deferred: deferred::Deferred::new(),
            table: (0..places).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect(),
            high: AtomicUsize::new(0),
            regular: AtomicUsize::new(0),
            dedicated: Mutex::default(),
            spare: Mutex::default(),
            threads: AtomicUsize::new(0),
            elsewhere: Counters::default(),
            state: AtomicU8::new(RUNNING),
            awaited: AtomicBool::new(false),
            ended: (Mutex::default(), Condvar::new()),
            starved: Mutex::default(),
            has_starved: AtomicBool::new(false),
            offenders: Mutex::default(),
            has_offenders: AtomicBool::new(false),
            watchdog: Watchdog::new(),
        }))
    }

    /// The explorer's worker is the only one.
    pub(crate) fn enlist_explorer(&self, shared: &'static WorkerShared) {
        self.table[0].store(std::ptr::from_ref(shared).cast_mut(), Ordering::Release);
        self.high.store(1, Ordering::Release);
    }

    fn start_regular(self: &Arc<Self>, index: usize) -> io::Result<()> {
        let shared = self.shared_for_worker()?;
        self.table[index].store(std::ptr::from_ref(shared).cast_mut(), Ordering::Release);
        self.high.fetch_max(index + 1, Ordering::AcqRel);
        self.regular.fetch_add(1, Ordering::AcqRel);
        let name = format!("{}-{index}", self.config.thread_name);
        let started = self.start_thread(name, shared, Kind::Regular { index }, None);
        if started.is_err() {
            self.table[index].store(std::ptr::null_mut(), Ordering::Release);
            self.regular.fetch_sub(1, Ordering::AcqRel);
            lock(&self.spare).push(shared);
        }
        started
    }

    /// What a worker's others may touch: one that an earlier worker of ours left, or another. Ours are not
    /// given away while the runtime lives: a thief that is late may still look at them.
    fn shared_for_worker(&self) -> io::Result<&'static WorkerShared> {
        let spare = lock(&self.spare).pop();
        spare.map_or_else(WorkerShared::acquire, Ok)
    }

    fn start_thread(
        self: &Arc<Self>,
        name: String,
        shared: &'static WorkerShared,
        kind: Kind,
        first: Option<GRef>,
    ) -> io::Result<()> {
        let scheduler = Arc::clone(self);
        let signal_stack = SignalStackMemory::reserve()?;
        self.threads.fetch_add(1, Ordering::AcqRel);
        let body = creation::noting(move || Worker::main(shared, scheduler, kind, signal_stack, first));
        // A thread comes after its creator, however its creator came to it.
        let _loud = crate::tsan::loud();
        let started = std::thread::Builder::new().name(name).stack_size(self.config.worker_stack_size).spawn(body);
        if started.is_err() {
            self.threads.fetch_sub(1, Ordering::AcqRel);
        }
        started.map(drop)
    }

    /// Called by a worker's thread as its last deed.
    pub(crate) fn worker_ended(&self, shared: &'static WorkerShared, kind: Kind) {
        // Under the lock, since `live` must not look while the counts are in nobody's hands.
        let mut dedicated = lock(&self.dedicated);
        match kind {
            Kind::Regular { index } => {
                self.table[index].store(std::ptr::null_mut(), Ordering::Release);
                self.regular.fetch_sub(1, Ordering::AcqRel);
                self.pass_on_deferred();
            }
            Kind::Dedicated => dedicated.retain(|other| !std::ptr::eq(*other, shared)),
            Kind::Explorer => {}
        }
        shared.counters.retire_to(&self.elsewhere);
        shared.slices.clear();
        drop(dedicated);
        lock(&self.spare).push(shared);
        self.threads.fetch_sub(1, Ordering::AcqRel);
        self.notify_ended();
    }

    // ---- who is there ----

    pub(crate) fn workers(&self) -> Workers<'_> {
        Workers { table: &self.table[..self.high.load(Ordering::Acquire)] }
    }

    /// Regular workers that do not sleep.
    pub(crate) fn busy_workers(&self) -> usize {
        self.regular.load(Ordering::Relaxed).saturating_sub(self.idle.sleeping())
    }

    pub(crate) fn is_replacement(&self, index: usize) -> bool {
        index >= self.config.workers
    }

    /// Goroutines that exist. Never zero while one is alive: `finished` is read before `spawned`.
    pub(crate) fn live(&self) -> u64 {
        let dedicated = lock(&self.dedicated);
        let finished = self.sum(&dedicated, |counters| &counters.finished);
        let spawned = self.sum(&dedicated, |counters| &counters.spawned);
        spawned.saturating_sub(finished)
    }

    /// Goroutines that exist and have not started, about.
    pub(crate) fn unstarted(&self) -> u64 {
        let live = self.live();
        let started = |worker: &WorkerShared| worker.counters.started.load(Ordering::Relaxed) as u64;
        let dedicated: u64 = lock(&self.dedicated).iter().map(|worker| started(worker)).sum();
        live.saturating_sub(dedicated + self.workers().iter().map(started).sum::<u64>())
    }

    /// What all workers of this runtime have counted, those that have ended included.
    pub(crate) fn total(&self, of: fn(&Counters) -> &AtomicU64) -> u64 {
        self.sum(&lock(&self.dedicated), of)
    }

    fn sum(&self, dedicated: &[&'static WorkerShared], of: fn(&Counters) -> &AtomicU64) -> u64 {
        let workers = self.workers();
        let all = dedicated.iter().copied().chain(workers.iter());
        let counted: u64 = all.map(|worker| of(&worker.counters).load(Ordering::Acquire)).sum();
        of(&self.elsewhere).load(Ordering::Acquire) + counted
    }

    /// Those that run one goroutine that asked for a thread of its own.
    pub(crate) fn dedicated_workers(&self) -> Vec<&'static WorkerShared> {
        lock(&self.dedicated).clone()
    }

    /// The stacks of the workers, where these are the runtime's.
    pub(crate) fn own_stacks(&self) -> Vec<Range<usize>> {
        self.workers().iter().chain(self.dedicated_workers()).filter_map(WorkerShared::own_stack).collect()
    }

    /// Where the workers' queues keep fresh goroutines, and what is left there of others.
    pub(crate) fn rings(&self) -> Vec<Range<usize>> {
        self.workers().iter().chain(self.dedicated_workers()).flat_map(|worker| worker.stealer.rings()).collect()
    }

    // ---- fresh work ----

    /// Whether new goroutines are taken: not after a shutdown, and not while others wait for stacks.
    #[inline(always)]
    pub(crate) fn admit(&self) -> io::Result<()> {
        if self.is_stopped() || self.has_starved.load(Ordering::Relaxed) {
            self.refuse()?;
        }
        crate::tsan::admit()
    }

    #[cold]
    fn refuse(&self) -> io::Result<()> {
        if self.is_stopped() {
            return Err(shut_down());
        }
        match lock(&self.starved).why.clone() {
            Some(why) => Err(why.into()),
            None => Ok(()),
        }
    }

    /// Queues a fresh goroutine: with its spawner if that is one of our regular workers, else for all.
    /// `worker` is the calling thread's.
    #[inline(always)]
    pub(crate) fn spawn(self: &Arc<Self>, worker: Option<&Worker>, g: GRef) -> io::Result<()> {
        if g.extra.is_some() || self.has_offenders.load(Ordering::Relaxed) {
            return self.spawn_special(worker, g);
        }
        self.spawn_plain(worker, g);
        Ok(())
    }

    /// One that may want a thread of its own.
    #[cold]
    #[inline(never)]
    fn spawn_special(self: &Arc<Self>, worker: Option<&Worker>, g: GRef) -> io::Result<()> {
        let wants_thread =
            g.is_own_thread() || self.has_offenders.load(Ordering::Relaxed) && self.is_offender(g.created_at);
        // Under the explorer there are no other threads.
        if wants_thread && !crate::observe::is_explored() {
            return self.start_dedicated(g);
        }
        self.spawn_plain(worker, g);
        Ok(())
    }

    #[inline(never)]
    fn spawn_plain(self: &Arc<Self>, worker: Option<&Worker>, g: GRef) {
        match worker {
            Some(worker) if Arc::ptr_eq(&worker.scheduler, self) && !worker.is_dedicated() => {
                worker.count_spawn();
                worker.push_fresh(g);
                self.cancel_if_stopped();
            }
            _ => self.spawn_from_outside(g),
        }
    }

    #[cold]
    #[inline(never)]
    fn spawn_from_outside(&self, g: GRef) {
        self.elsewhere.spawned.fetch_add(1, Ordering::AcqRel);
        self.inject(g);
    }

    pub(crate) fn inject(&self, g: GRef) {
        self.injector.push(g);
        self.wake_for_fresh();
        self.cancel_if_stopped();
    }

    /// After fresh work was published: a stop that came in between has not seen it.
    #[inline]
    fn cancel_if_stopped(&self) {
        if self.is_stopped() {
            self.cancel_unstarted();
        }
    }

    fn start_dedicated(self: &Arc<Self>, g: GRef) -> io::Result<()> {
        let spare = g.clone();
        self.elsewhere.spawned.fetch_add(1, Ordering::AcqRel);
        let started = self.start_dedicated_thread(g);
        if started.is_err() {
            self.elsewhere.finished.fetch_add(1, Ordering::AcqRel);
            // SAFETY: its thread never existed, so it never starts, and we are still where it was created.
            unsafe { (spare.vtable.cancel)(&spare) };
        }
        started
    }

    fn start_dedicated_thread(self: &Arc<Self>, g: GRef) -> io::Result<()> {
        let shared = self.shared_for_worker()?;
        lock(&self.dedicated).push(shared);
        let name = match g.name() {
            // The system's thread names are C strings.
            Some(name) => name.replace('\0', ""),
            None => format!("{}-own-{}", self.config.thread_name, g.id),
        };
        let started = self.start_thread(name, shared, Kind::Dedicated, Some(g));
        if started.is_err() {
            lock(&self.dedicated).retain(|other| !std::ptr::eq(*other, shared));
            lock(&self.spare).push(shared);
        }
        self.watchdog.note_awake();
        started
    }

    /// After fresh work was published: wakes a worker if none is looking for it.
    #[inline]
    pub(crate) fn wake_for_fresh(&self) {
        if let Some(index) = self.idle.worker_to_wake()
            && let Some(worker) = self.workers().get(index)
        {
            worker.wake();
        }
    }

    /// Whether fresh work lies anywhere that is not left to its spawner.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.injector.is_empty() || self.workers().iter().any(WorkerShared::has_fresh)
    }

    /// Whether fresh work lies anywhere.
    pub(crate) fn has_any_fresh(&self) -> bool {
        !self.injector.is_empty() || self.workers().iter().any(|worker| !worker.stealer.is_empty())
    }

    /// A goroutine keeps its thread: sees to it that as many workers as configured can take fresh work.
    pub(crate) fn provide_runner(self: &Arc<Self>) {
        let able = self.workers().iter().filter(|worker| worker.keeps().is_none()).count();
        if able < self.config.workers {
            self.add_replacement();
        }
    }

    /// Starts a worker beside the others. Without one the program goes on, only slower.
    pub(crate) fn add_replacement(self: &Arc<Self>) {
        if self.is_stopped() {
            return;
        }
        // One at a time: the place in the table is taken under this lock.
        let _one_at_a_time = lock(&self.dedicated);
        let free =
            (self.config.workers..self.table.len()).find(|&index| self.table[index].load(Ordering::Acquire).is_null());
        let Some(index) = free else { return };
        if let Err(error) = self.start_regular(index) {
            self.watchdog.tell_once(&format!("lisle: a replacement worker did not start: {error}"));
        }
    }

    // ---- want of stacks ----

    /// No stack for `g`: it waits until one is free, and no new goroutines are admitted meanwhile.
    pub(crate) fn starve(&self, g: GRef, why: StackError) {
        let mut starved = lock(&self.starved);
        starved.queue.push_back(g);
        starved.why = Some(why);
        self.has_starved.store(true, Ordering::Relaxed);
        drop(starved);
        self.cancel_if_stopped();
    }

    /// The goroutine that has waited longest for a stack, to try again.
    pub(crate) fn take_starved(&self) -> Option<GRef> {
        if !self.has_starved.load(Ordering::Relaxed) {
            return None;
        }
        let mut starved = lock(&self.starved);
        let next = starved.queue.pop_front();
        if starved.queue.is_empty() {
            starved.why = None;
            self.has_starved.store(false, Ordering::Relaxed);
        }
        next
    }

    pub(crate) fn starved(&self) -> usize {
        if self.has_starved.load(Ordering::Relaxed) { lock(&self.starved).queue.len() } else { 0 }
    }

    // ---- ends ----

    /// Called by `worker` after each goroutine that ended there.
    #[inline(always)]
    pub(crate) fn goroutine_ended(&self, worker: &Worker) {
        if self.has_starved.load(Ordering::Relaxed) || self.awaited.load(Ordering::Relaxed) {
            self.tell_ended(worker);
        }
    }

    #[cold]
    fn tell_ended(&self, worker: &Worker) {
        if !worker.is_dedicated()
            && let Some(g) = self.take_starved()
        {
            worker.push_fresh(g);
        }
        if self.awaited.load(Ordering::Relaxed) {
            self.notify_ended();
        }
    }

    fn notify_ended(&self) {
        drop(lock(&self.ended.0));
        self.ended.1.notify_all();
    }

    /// Waits until `done`, looked at after each end of a goroutine or thread, or until the deadline.
    pub(crate) fn wait_for_ends(&self, deadline: Option<Instant>, done: impl Fn(&Self) -> bool) -> bool {
        self.awaited.store(true, Ordering::SeqCst);
        let mut guard = lock(&self.ended.0);
        while !done(self) {
            let now = crate::clock::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            // A worker that read `awaited` just before it was set does not notify: look again soon.
            let soon = std::time::Duration::from_millis(10);
            let pause = deadline.map_or(soon, |deadline| soon.min(deadline - now));
            guard = self.ended.1.wait_timeout(guard, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::Acquire) == STOPPED
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    /// Takes no more work: unstarted goroutines are cancelled and deferred calls dropped, here and now; workers
    /// end with their started ones.
    pub(crate) fn stop(&self) {
        self.state.store(STOPPED, Ordering::SeqCst);
        for worker in self.workers().iter() {
            worker.wake();
        }
        self.watchdog.wake();
        self.deferred.close();
        self.cancel_unstarted();
    }

    /// Drops the closures of goroutines that will never start; their joiners learn it.
    pub(crate) fn cancel_unstarted(&self) {
        loop {
            let from_deques = || self.workers().iter().find_map(|worker| worker.stealer.steal());
            let take_starved = || lock(&self.starved).queue.pop_front();
            let Some(g) = self.injector.steal().success().or_else(from_deques).or_else(take_starved) else {
                if !self.has_any_fresh() {
                    return;
                }
                continue;
            };
            self.elsewhere.finished.fetch_add(1, Ordering::AcqRel);
            // SAFETY: taken out of the queues, so nobody starts it. Its closure is Send: those that are
            // not lie in no queue that others can reach.
            unsafe { (g.vtable.cancel)(&g) };
        }
    }

    // ---- thread-locals that keep threads ----

    /// `g` keeps its thread because of `hit`.
    #[cold]
    pub(crate) fn count_hit(&self, worker: &Worker, g: &G, hit: Hit) {
        self.watchdog.hits.fetch_add(1, Ordering::Relaxed);
        if lock(&self.offenders).count(g.created_at) {
            self.has_offenders.store(true, Ordering::Relaxed);
        }
        self.watchdog.tell_hit(worker, g, hit);
    }

    fn is_offender(&self, site: &'static Location<'static>) -> bool {
        lock(&self.offenders).is_over(site)
    }

    pub(crate) fn note_awake(&self) {
        self.watchdog.note_awake();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        crate::observe::acquire(self);
        // No worker, hence no thief, is left.
        lock(&self.spare).drain(..).for_each(WorkerShared::release);
    }
}

/// The regular workers' table.
pub(crate) struct Workers<'a> {
    table: &'a [AtomicPtr<WorkerShared>],
}

impl Workers<'_> {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The worker at `index`, unless it has ended.
    pub(crate) fn get(&self, index: usize) -> Option<&'static WorkerShared> {
        // SAFETY: null, or a `&'static` stored by `start_regular`; these are never freed.
        unsafe { self.table.get(index)?.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static WorkerShared> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
