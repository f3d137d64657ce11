//! A worker: an OS thread that runs goroutines, with its queues, timers, stacks and poller.
//!
//! In what order it takes goroutines: `order`.
//!
//! # What belongs to whom
//! `Worker` is the thread's own and never leaves it; `WorkerShared` is what others may touch. The latter
//! is never freed, only reused by later workers: a waker that is late may still deliver to it. Such a late
//! delivery finds the goroutine ended and does nothing.

mod explored;
mod order;
mod placement;
mod ready;
mod ring;
mod search;
mod watch;

use super::Scheduler;
use super::deque::{Deque, Stealer};
use super::g::{DONE, G, GRef, PENDING, Pinned, RunState, USER, Yielder};
use super::idle::Sleeper;
use super::inbox::Inbox;
use super::keep_thread::KeepThread;
use super::scan::Scanner;
use super::slice_log::SliceLog;
use super::task_memory::TaskMemory;
use crate::membarrier;
use crate::report::AbortOnUnwind;
use crate::stack::cache::StackCache;
use crate::stack::overflow::{SignalStack, SignalStackMemory};
use crate::stack::slab;
use crate::timer::{TimerKey, Timers};
use crate::tsan;
use crossbeam_utils::CachePadded;
use ready::Ready;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Numbers that the home worker writes and others read. All are only ever written by the home worker.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) spawned: AtomicU64,
    pub(crate) finished: AtomicU64,
    /// Goroutines that started here and have not ended.
    pub(crate) started: AtomicUsize,
    /// How many times a goroutine was resumed: the watchdog sees progress by it.
    pub(crate) slices: AtomicU64,
    /// How many slices ended in a yield.
    pub(crate) yields: AtomicU64,
    pub(crate) steals: AtomicU64,
    /// How many times the worker slept for want of work.
    pub(crate) sleeps: AtomicU64,
    /// Length of the ready queue at the start of the present slice.
    pub(crate) ready: AtomicU64,
    /// Fresh goroutines that only this worker can start.
    pub(crate) local_fresh: AtomicU64,
    /// When the first timer is due, as `clock::as_nanos` has it; 0 without timers.
    pub(crate) next_timer: AtomicU64,
}

impl Counters {
    /// Adds one without a locked instruction: there is one writer.
    #[inline]
    fn bump(counter: &AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Adds what was counted to `total`, and begins anew: the worker has ended.
    pub(super) fn retire_to(&self, total: &Self) {
        let counts: [fn(&Self) -> &AtomicU64; 6] =
            [|c| &c.spawned, |c| &c.finished, |c| &c.slices, |c| &c.yields, |c| &c.steals, |c| &c.sleeps];
        for count in counts {
            count(total).fetch_add(count(self).swap(0, Ordering::AcqRel), Ordering::AcqRel);
        }
    }
}

/// The part of a worker that other threads may touch.
pub(crate) struct WorkerShared {
    inbox: CachePadded<Inbox<G>>,
    sleeper: CachePadded<Sleeper>,
    poller: crate::poll::Poller,
    pub(crate) stealer: Stealer<GRef>,
    /// The other end of `stealer`, while no thread serves this worker.
    deque: Mutex<Option<Deque<GRef>>>,
    pub(crate) counters: CachePadded<Counters>,
    /// The running goroutine; see `watchdog` for how it may be read.
    running: AtomicPtr<G>,
    /// How many are looking at it.
    inspected: AtomicUsize,
    /// A thief has taken something since the home worker last looked.
    robbed: AtomicBool,
    /// The worker waits for thieves to take some of its fresh work; see `placement`.
    lends: AtomicBool,
    /// A lone fresh goroutine here is no reason to stay awake.
    keeps_lone: AtomicBool,
    /// 0, or why the running goroutine keeps its thread.
    keeps: AtomicU8,
    /// While wake latencies are measured: when the first of those came that are in the inbox, or 0.
    delivered_at: AtomicU64,
    pub(crate) thread: crate::cpu::ObservedThread,
    /// Below here its thread's stack is the runtime's; 0 before there is one.
    stack_end: AtomicUsize,
    /// When its slices ended.
    pub(crate) slices: SliceLog,
}

/// Those of runtimes that are gone: nobody lists them as victims any more.
static SPARE: Mutex<Vec<&'static WorkerShared>> = Mutex::new(Vec::new());

impl WorkerShared {
    /// A new one, or one that a worker of a runtime that is gone left behind.
    pub(crate) fn acquire() -> io::Result<&'static Self> {
        // It goes from runtime to runtime by the hands of those who are quiet.
        let _quiet = tsan::quiet();
        if let Some(spare) = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(spare);
        }
        let deque = Deque::new();
        Ok(Box::leak(Box::new(Self {
            inbox: CachePadded::new(Inbox::new()),
            sleeper: CachePadded::new(Sleeper::new()),
            poller: crate::poll::Poller::new()?,
            stealer: deque.stealer(),
            deque: Mutex::new(Some(deque)),
            counters: CachePadded::new(Counters::default()),
            running: AtomicPtr::new(std::ptr::null_mut()),
            inspected: AtomicUsize::new(0),
            robbed: AtomicBool::new(false),
            lends: AtomicBool::new(false),
            keeps_lone: AtomicBool::new(false),
            keeps: AtomicU8::new(0),
            delivered_at: AtomicU64::new(0),
            thread: crate::cpu::ObservedThread::default(),
            stack_end: AtomicUsize::new(0),
            slices: SliceLog::default(),
        })))
    }

    /// Gives one back that no thread serves and no thief knows.
    pub(crate) fn release(&'static self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// Hands over a goroutine whose PENDING bit the caller has set, with a reference.
    pub(crate) fn deliver(&self, g: GRef) {
        if crate::debug::waits::are_timed() {
            self.note_delivery();
        }
        // SAFETY: the reference keeps it alive until the drainer takes it over; PENDING makes us the only
        // one to push it.
        unsafe { self.inbox.push(g.into_raw()) };
        if self.sleeper.must_wake() {
            self.poller.wake();
        }
    }

    #[cold]
    fn note_delivery(&self) {
        let now = crate::clock::as_nanos(Instant::now());
        let _ = self.delivered_at.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn wake(&self) {
        self.poller.wake();
    }

    /// Whether there is fresh work for thieves.
    pub(crate) fn has_fresh(&self) -> bool {
        match self.stealer.len() {
            0 => false,
            1 => !self.keeps_lone.load(Ordering::Relaxed),
            _ => true,
        }
    }

    /// The part of its thread's stack that is the runtime's: no goroutine runs there, and no thread-local lies there.
    pub(crate) fn own_stack(&self) -> Option<std::ops::Range<usize>> {
        let end = self.stack_end.load(Ordering::Relaxed);
        let stack = crate::stack::own_threads::stack_of(self.thread.id())?;
        stack.contains(&end).then_some(stack.start..end)
    }

    /// Whether the worker's thread sleeps, or is about to, and nobody has woken it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.sleeper.is_asleep()
    }

    pub(crate) fn has_deliveries(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Looks at what lies in the inbox, from any thread: takes everything and puts it back.
    pub(crate) fn peek_deliveries(&self, mut look: impl FnMut(&G)) {
        let _quiet = tsan::quiet();
        for g in self.inbox.take() {
            // SAFETY: the reference that `deliver` handed over is ours until we push it again. Nobody else
            // pushes it meanwhile, since its PENDING bit stays set.
            unsafe {
                look(g.as_ref());
                self.inbox.push(g);
            }
        }
        if self.sleeper.must_wake() {
            self.poller.wake();
        }
    }

    pub(crate) fn begin_keep(&self, why: KeepThread) {
        self.keeps.store(why.code(), Ordering::Relaxed);
    }

    pub(crate) fn end_keep(&self) {
        self.keeps.store(0, Ordering::Relaxed);
    }

    /// Why the running goroutine keeps its thread in a wait, if it does.
    pub(crate) fn keeps(&self) -> Option<&'static str> {
        KeepThread::describe(self.keeps.load(Ordering::Relaxed))
    }

    /// Calls `look` with the running goroutine, which cannot go away meanwhile.
    ///
    /// The worker publishes `running` and reads `inspected` with plain accesses only; the barrier that
    /// orders them is forced upon it by `membarrier`. Either our load sees that nothing runs, or the
    /// worker, before it lets go of the goroutine, sees `inspected` and waits.
    pub(crate) fn inspect_running(&self, look: impl FnOnce(&G)) {
        if !membarrier::is_available() {
            return;
        }
        let _quiet = tsan::quiet();
        self.inspected.fetch_add(1, Ordering::SeqCst);
        membarrier::everywhere();
        // SAFETY: non-null means that the goroutine had not ended when the barrier passed, and its worker
        // keeps it alive until `inspected` is zero again.
        if let Some(g) = unsafe { self.running.load(Ordering::Acquire).as_ref() } {
            look(g);
        }
        self.inspected.fetch_sub(1, Ordering::Release);
    }

    /// Whether a goroutine runs here at the moment.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.load(Ordering::Relaxed).is_null()
    }

    /// Takes down how far it is, for `slices`. Called now and then by the watchdog.
    pub(crate) fn note_slices(&self, now: Instant) {
        let slice = self.counters.slices.load(Ordering::Acquire);
        // One that keeps its thread to wait has done what it does in its slice.
        let has_ended = !self.is_running() || self.keeps().is_some();
        self.slices.note(if has_ended { slice } else { slice.saturating_sub(1) }, now);
    }

    #[inline]
    fn end_of_running(&self) {
        self.running.store(std::ptr::null_mut(), Ordering::Relaxed);
        // Pairs with the fence in `inspect_running`.
        membarrier::here();
        if self.inspected.load(Ordering::Relaxed) > 0 {
            self.wait_for_inspection();
        }
    }

    #[cold]
    fn wait_for_inspection(&self) {
        while self.inspected.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
    }
}

/// What a worker is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs whatever there is; the index is its place in the runtime's table.
    Regular { index: usize },
    /// Runs one goroutine that asked for a thread of its own, and that one's `go_local` children.
    Dedicated,
    /// Runs what an explorer of schedules tells it to; see `testing::explorer`.
    Explorer,
}

/// What there is to do when nobody who has started can run.
enum Next {
    /// A fresh goroutine, which has started now.
    Started(NonNull<G>),
    /// It could not start.
    TryAgain,
    Nothing,
}

pub(crate) struct Worker {
    pub(crate) shared: &'static WorkerShared,
    pub(crate) scheduler: Arc<Scheduler>,
    kind: Kind,
    deque: Deque<GRef>,
    pub(crate) ready: Ready,
    /// Fresh goroutines whose closures are not `Send`.
    local_fresh: RefCell<VecDeque<GRef>>,
    /// Those that must start here and found no stack.
    local_starved: RefCell<VecDeque<GRef>>,
    timers: RefCell<Timers>,
    stacks: RefCell<StackCache>,
    pub(crate) task_memory: TaskMemory,
    pub(crate) scanner: Scanner,
    running: Cell<Option<NonNull<G>>>,
    tick: Cell<u32>,
    /// Lone fresh goroutines started here since the last theft.
    own_lone: Cell<u32>,
    /// The fresh goroutines came several at once, and are shared out.
    shares_out: Cell<bool>,
    /// No waiting for thieves before this.
    lend_again: Cell<Option<Instant>>,
    /// The slice that goes on although fresh goroutines wait, and since when they are offered to thieves.
    offered: Cell<Option<(u64, Instant)>>,
    /// How many fresh goroutines go before all others.
    fresh_due: Cell<usize>,
    /// The fresh goroutines are starved until they are so many; 0: they are not.
    starved_until: Cell<usize>,
    /// How many go before those who have yielded.
    fresh_first: Cell<usize>,
    /// One of the three above may not be 0.
    fresh_presses: Cell<bool>,
    fresh_seen: Cell<order::FreshSeen>,
    searching: Cell<bool>,
    /// The last theft, until it is judged.
    haul: Cell<Option<search::Haul>>,
    /// No stealing before this.
    steal_again: Cell<Option<Instant>>,
    /// How long that lasts the next time.
    steal_pause: Cell<Duration>,
    /// The next identity and the end of the block that this worker has taken.
    ids: Cell<(u64, u64)>,
    random: Cell<u32>,
    /// See `park::spend_budget`.
    pub(crate) budget: Cell<u32>,
    full_budget: u32,
    /// When a goroutine here last found a lock taken; see `sync::back_off`.
    pub(crate) lock_was_taken: Cell<Option<Instant>>,
    lint: Option<super::lint::Lint>,
    /// Whether the ends of slices are told to `watch`.
    watched: Cell<bool>,
    watch: RefCell<watch::Watch>,
}

thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(std::ptr::null()) };
}

impl Worker {
    /// The calling thread's worker, where a closure would get in the way of inlining (see `park`).
    ///
    /// # Safety
    /// The reference must not outlive the call of the function that asks: the lifetime is a lie.
    #[inline(always)]
    pub(crate) unsafe fn current<'a>() -> Option<&'a Self> {
        // SAFETY: null, or set by `on_this_thread` to a worker that lives until it is nulled again, and no goroutine
        // runs on this thread after that.
        unsafe { WORKER.get().as_ref() }
    }

    /// Calls `f`, which is none of the user's, with the calling thread's worker.
    #[inline(always)]
    pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Self>) -> R) -> R {
        let _quiet = tsan::quiet();
        // SAFETY: `f` cannot keep it.
        f(unsafe { Self::current() })
    }

    /// The body of a worker thread.
    ///
    /// Not inlined: what lies above this on the stack is not the runtime's (`WorkerShared::own_stack`).
    #[inline(never)]
    pub(crate) fn main(
        shared: &'static WorkerShared,
        scheduler: Arc<Scheduler>,
        kind: Kind,
        signal_stack: SignalStackMemory,
        first: Option<GRef>,
    ) {
        let mark = 0_u8;
        shared.stack_end.store((&raw const mark).addr(), Ordering::Relaxed);
        let _signal_stack = SignalStack::install(signal_stack);
        Self::run(shared, scheduler, kind, first);
    }

    #[inline(never)]
    fn run(shared: &'static WorkerShared, scheduler: Arc<Scheduler>, kind: Kind, first: Option<GRef>) {
        let worker = Self::new(shared, scheduler, kind);
        worker.on_this_thread(|worker| {
            if let Some(g) = first.and_then(|g| worker.start(g)) {
                worker.ready.push_woken(g);
            }
            if worker.scheduler.config.lint_lock_order {
                crate::observe::watch_lock_order();
            }
            let guard = AbortOnUnwind("a worker's loop");
            worker.work();
            std::mem::forget(guard);
        });
        worker.leave();
    }

    /// A worker that no thread serves yet.
    pub(crate) fn new(shared: &'static WorkerShared, scheduler: Arc<Scheduler>, kind: Kind) -> Self {
        let _quiet = tsan::quiet();
        let deque = shared.deque.lock().unwrap_or_else(PoisonError::into_inner).take();
        let range = slab::range().expect("the runtime has reserved the stacks' range");
        let stacks = RefCell::new(StackCache::new(scheduler.config.stack_size));
        let lint = scheduler.config.lint_thread_locals.then(super::lint::Lint::default);
        let watches_locks = scheduler.config.lint_lock_order;
        Self {
            shared,
            scheduler,
            kind,
            deque: deque.expect("one thread serves a worker"),
            ready: Ready::default(),
            local_fresh: RefCell::default(),
            local_starved: RefCell::default(),
            timers: RefCell::default(),
            stacks,
            task_memory: TaskMemory::new(),
            scanner: Scanner::new(range),
            running: Cell::new(None),
            tick: Cell::new(0),
            own_lone: Cell::new(0),
            shares_out: Cell::new(false),
            lend_again: Cell::new(None),
            offered: Cell::new(None),
            fresh_due: Cell::new(0),
            starved_until: Cell::new(0),
            fresh_first: Cell::new(0),
            fresh_presses: Cell::new(false),
            fresh_seen: Cell::default(),
            searching: Cell::new(false),
            haul: Cell::new(None),
            steal_again: Cell::new(None),
            steal_pause: Cell::new(search::STEAL_PAUSE),
            ids: Cell::new((0, 0)),
            random: Cell::new(std::process::id() ^ (std::ptr::from_ref(shared).addr() >> 6) as u32 | 1),
            budget: Cell::new(crate::park::BUDGET),
            lock_was_taken: Cell::new(None),
            full_budget: if kind == Kind::Explorer || watches_locks { 0 } else { crate::park::BUDGET },
            watched: Cell::new(lint.is_some()),
            lint,
            watch: RefCell::default(),
        }
    }

    /// The calling thread, which serves no other, does so as long as `body` runs.
    pub(crate) fn on_this_thread(&self, body: impl FnOnce(&Self)) {
        struct Serving<'a>(&'a Worker);
        impl Drop for Serving<'_> {
            fn drop(&mut self) {
                WORKER.set(std::ptr::null());
                self.0.shared.stack_end.store(0, Ordering::Relaxed);
            }
        }
        tsan::begin_thread();
        let _quiet = tsan::quiet();
        self.shared.thread.become_current();
        let serving = Serving(self);
        WORKER.set(self);
        body(self);
        drop(serving);
        if self.kind == Kind::Explorer {
            tsan::end_explored();
        }
    }

    /// The loop. The one place where goroutines are resumed is inlined here; `park` says why.
    ///
    /// After a switch the loop goes on with the worker as the goroutine has handed it over, in a register. What lies on the
    /// thread's stack is known to the processor only when the stack pointer is, which comes out of memory at the end of a
    /// chain of addresses; whom to run next it can find out meanwhile. (A rendezvous there and back 8 % less, a park 15 %.)
    fn work(&self) {
        let mut this = self;
        loop {
            this = this.forgotten();
            let ready = match this.next_ready() {
                Some(g) => g,
                None => match this.next_fresh() {
                    Next::Started(g) => g,
                    Next::TryAgain => continue,
                    Next::Nothing if this.may_end() || !this.sleep() => return,
                    Next::Nothing => continue,
                },
            };
            // A producer may have chosen us for fresh work while other work arrived, too.
            if this.searching.get() {
                this.stop_searching();
            }
            if let Some(worker) = this.resume(ready) {
                this = worker;
            }
        }
    }

    /// The worker itself, of which the compiler knows nothing more: else it would find out the addresses of its fields ahead,
    /// and keep them on the stack.
    #[inline(always)]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written there")]
    fn forgotten(&self) -> &Self {
        let mut this: *const Self = self;
        // SAFETY: no instruction at all; the address is still that of `self`.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) this, options(nomem, nostack, preserves_flags));
            &*this
        }
    }

    /// The thread ends; what others may still reach is passed on.
    pub(crate) fn leave(self) {
        let _quiet = tsan::quiet();
        let is_clean = self.started() == 0;
        let Self { shared, scheduler, deque, kind, .. } = self;
        // Only ours to see: a dedicated worker's deque is always empty, and a regular one ends empty or
        // after a shutdown that has emptied it.
        while let Some(g) = deque.pop() {
            scheduler.inject(g);
        }
        *shared.deque.lock().unwrap_or_else(PoisonError::into_inner) = Some(deque);
        if kind != Kind::Explorer {
            scheduler.worker_ended(shared, kind);
        } else if is_clean {
            shared.release();
        } else {
            shared.release_to_explorers();
        }
    }

    #[inline(always)]
    pub(crate) fn running(&self) -> Option<&G> {
        // SAFETY: the running goroutine holds its run reference at least until `resume` has cleared the
        // cell; the borrow is of `self`, whose thread it runs on.
        self.running.get().map(|g| unsafe { &*g.as_ptr() })
    }

    pub(crate) fn is_dedicated(&self) -> bool {
        self.kind == Kind::Dedicated
    }

    pub(crate) fn take_id(&self) -> u64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = super::take_ids(super::ID_BLOCK);
            end = next + super::ID_BLOCK;
        }
        self.ids.set((next + 1, end));
        next
    }

    // ---- queues ----

    pub(crate) fn count_spawn(&self) {
        Counters::bump(&self.shared.counters.spawned);
    }

    /// A goroutine that started here is about to be no more. (Who finds it counted as finished finds it counted as started no
    /// more: else `Scheduler::unstarted` would say less than there are.)
    pub(crate) fn count_end(&self) {
        let Counters { started, finished, .. } = &*self.shared.counters;
        started.store(started.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        Counters::bump(finished);
    }

    /// Takes back a `count_end` that was too early.
    pub(crate) fn uncount_end(&self) {
        let Counters { started, finished, .. } = &*self.shared.counters;
        finished.store(finished.load(Ordering::Relaxed) - 1, Ordering::Release);
        started.store(started.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Started goroutines that would run next.
    pub(crate) fn waiting_behind(&self) -> usize {
        self.ready.len()
    }

    /// Wakes a goroutine whose home this is.
    #[inline]
    pub(crate) fn unpark_local(&self, g: &G) {
        self.unpark_pinned(g, g.pinned(self));
    }

    /// As `unpark_local`, where `pinned` is what `g` has for this worker.
    #[inline(always)]
    pub(crate) fn unpark_pinned(&self, g: &G, pinned: &Pinned) {
        match pinned.state.get() {
            RunState::Parked => {
                pinned.state.set(RunState::Ready);
                self.ready.push_woken(NonNull::from(g));
            }
            _ => pinned.token.set(true),
        }
    }

    fn drain_inbox(&self) {
        if self.watched.get() {
            self.inbox_is_emptied();
        }
        for g in self.shared.inbox.take() {
            // SAFETY: `deliver` handed the reference over.
            let g = unsafe { GRef::from_raw(g) };
            // Clears PENDING before the wake-up takes effect: whoever wakes later pushes again, whoever
            // found it set before is synchronised with by this read-modify-write.
            let before = g.wake.fetch_and(!(PENDING | USER), Ordering::AcqRel);
            if before & DONE == 0 && g.is_home(self) {
                if before & USER != 0 {
                    g.pinned(self).user_token.set(true);
                }
                self.unpark_local(&g);
            }
        }
    }

    fn fire_timers(&self) {
        if self.timers.borrow().next_deadline().is_none() {
            return;
        }
        let now = crate::clock::now();
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            for g in due {
                let Some(g) = g else { return self.publish_next_timer() };
                self.unpark_local(&g);
            }
        }
    }

    /// Turns the runtime's deferred calls that are due into fresh work of this worker. Says whether there were any.
    fn start_due_calls(&self) -> bool {
        !self.is_dedicated() && self.scheduler.start_due_calls()
    }

    pub(crate) fn add_timer(&self, deadline: Instant, g: &G) -> TimerKey {
        let key = self.timers.borrow_mut().insert(deadline, g);
        self.publish_next_timer();
        key
    }

    pub(crate) fn remove_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().remove(key);
        self.publish_next_timer();
    }

    /// For the watchdog, which tells of goroutines whose time has come but not their turn.
    fn publish_next_timer(&self) {
        let next = self.timers.borrow().next_deadline().map_or(0, crate::clock::as_nanos);
        self.shared.counters.next_timer.store(next, Ordering::Relaxed);
    }

    /// Takes in what arrived, without running anybody: for a goroutine that waits in place.
    pub(crate) fn poll_others(&self) {
        self.drain_inbox();
        self.fire_timers();
    }

    /// A stack may have become free.
    #[cold]
    fn retry_local_starved(&self) {
        let starved = self.local_starved.take();
        self.change_local_fresh(|queue| queue.extend(starved));
    }

    // ---- running goroutines ----

    /// Starts one, its turn come. (That nobody waits behind it `pop_ready` has told.)
    #[inline(always)]
    fn begin(&self, g: GRef) -> Next {
        // Others may look for more, while this makes a stack.
        if self.searching.get() {
            self.stop_searching();
        }
        self.start(g).map_or(Next::TryAgain, Next::Started)
    }

    /// As `begin`, before those that are ready, who come first after all if there is no stack.
    #[inline(never)]
    fn begin_before_others(&self, g: GRef) -> Option<NonNull<G>> {
        self.tell_how_many_wait();
        match self.begin(g) {
            Next::Started(g) => Some(g),
            _ => None,
        }
    }

    /// Makes a fresh goroutine ready to run: from now on it is pinned to this worker. `None` if there is no
    /// stack for it: then it waits.
    #[inline(always)]
    fn start(&self, g: GRef) -> Option<NonNull<G>> {
        let size = g.extra.as_ref().and_then(|extra| extra.stack_size);
        let taken = self.stacks.borrow_mut().take(size);
        let stack = match taken {
            Ok(stack) => stack,
            Err(error) => {
                if g.is_local || self.is_dedicated() {
                    // Nobody else may have it.
                    self.local_starved.borrow_mut().push_back(g);
                } else {
                    self.scheduler.starve(g, error);
                }
                return None;
            }
        };
        let (low, high) = stack.bounds();
        tsan::begin_stack(low, high + crate::stack::RESERVED);
        g.start(self, stack, enter);
        let started = &self.shared.counters.started;
        started.store(started.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        // The run reference: `end` takes it back.
        Some(g.into_raw())
    }

    /// Runs the goroutine until it gives up its thread, and returns the worker itself, as it has handed it over; or until it has
    /// ended.
    #[inline(always)]
    fn resume(&self, pointer: NonNull<G>) -> Option<&Self> {
        // SAFETY: a goroutine in a queue of started ones holds its run reference.
        let g = unsafe { &*pointer.as_ptr() };
        let pinned = g.pinned(self);
        pinned.state.set(RunState::Running);
        self.running.set(Some(pointer));
        self.shared.running.store(pointer.as_ptr(), Ordering::Release);
        let counters = &self.shared.counters;
        let slice = counters.slices.load(Ordering::Relaxed) + 1;
        counters.slices.store(slice, Ordering::Release);
        // Before anything on its stack changes.
        pinned.slice.store(slice, Ordering::Relaxed);
        self.budget.set(self.full_budget);
        if self.watched.get() {
            self.slice_begins(g);
        }
        match g.resume(pinned) {
            Some(worker) => {
                debug_assert_eq!(worker, NonNull::from(self));
                // SAFETY: it is this one: those that have started do not change their worker.
                let this = unsafe { worker.as_ref() };
                this.slice_is_over(g);
                Some(this)
            }
            None => {
                self.slice_is_over(g);
                self.end(pointer);
                None
            }
        }
    }

    #[inline(always)]
    fn slice_is_over(&self, g: &G) {
        if self.watched.get() {
            self.slice_ended(g);
        }
        self.running.set(None);
        self.shared.end_of_running();
    }

    /// A goroutine has returned.
    #[inline(always)]
    fn end(&self, pointer: NonNull<G>) {
        // SAFETY: the run reference, given up by `start`, ends here.
        let g = unsafe { GRef::from_raw(pointer) };
        let pinned = g.pinned(self);
        // In this very slice: then the joiner has not run since.
        let joined_by_neighbour = pinned.joined_by_neighbour.get() == pinned.slice.load(Ordering::Relaxed);
        let stack = g.retire(self);
        if self.scanner.retire(stack.bounds()) {
            // Some thread-local still points into it: leaked, see `scan`.
            let _leaked = stack;
        } else {
            self.stacks.borrow_mut().give(stack);
        }
        g.release_at_home(joined_by_neighbour);
        if !self.local_starved.borrow().is_empty() {
            self.retry_local_starved();
        }
        self.scheduler.goroutine_ended(self);
    }
}

/// The first function on every goroutine's stack.
fn enter(g: NonNull<G>, yielder: &Yielder) {
    // SAFETY: the run reference keeps it alive until the coroutine has returned.
    let g = unsafe { g.as_ref() };
    Worker::with_current(|worker| {
        let worker = worker.expect("goroutines run on workers");
        g.pinned(worker).yielder.set(yielder);
    });
    let _loud = tsan::loud();
    // SAFETY: the first and only call, on the goroutine's own stack.
    unsafe { (g.vtable.run)(g) };
}
