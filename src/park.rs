//! Park and unpark: the one way to wait, and the one way to end a wait.
//!
//! Everything in lisle that blocks — joins, locks, wait groups, sleep, `blocking` — ends up in [`park`].
//! The interface is `std::thread`'s: each goroutine has one token; `unpark` leaves it, `park` waits for it
//! and takes it. Callers loop on a condition of their own, since a stray token may end any wait. The public
//! `park` and `unpark` are such callers: their condition is a token of their own.
//!
//! # Who waits
//! - *A goroutine* gives its worker to a neighbour: a switch of stacks, 3 ns, no atomic operation.
//! - *A goroutine that must not switch* keeps its thread (`KeepThread` says why): the thread sleeps, and
//!   its started neighbours wait with it, while a replacement worker takes the fresh work.
//! - *A plain OS thread* blocks. It is represented by a `G` of its own, made at its first wait. std's
//!   `thread::park` token is never used: it belongs to the user. A thread whose thread-locals are gone
//!   already gets a stand-in that is leaked: a wait in a late destructor still works.
//!
//! # Why a wake-up cannot get lost
//! From the home thread: `token` and `state` are plain cells of that thread, and parking is not
//! interrupted, so `unpark` sees either a parked goroutine and makes it ready, or a running one and leaves
//! the token. From elsewhere: `unpark` sets PENDING in `G::wake` and hands the goroutine to its home's
//! inbox, whether it is parked or not; the home worker drains the inbox and *then* does the local unpark.
//! A second waker that finds PENDING set may go away, because the drainer clears PENDING with a
//! read-modify-write before it delivers: it synchronises with every waker whose bit it clears.
//!
//! # Why so much is `inline(always)`
//! After a switch the processor's stack of return addresses is another goroutine's, so each `ret` between
//! the switch and the code that goes on is mispredicted, and so is one on the worker's side: 17 ns for each
//! level of calls, six times the switch itself (measured: 2.9 ns with none, 19.7 with one, 36.2 with two).
//! So the way from the public function to the switch is inlined into the caller, and the worker's loop has
//! its one `resume` inlined, too. Calls that return before the switch cost nothing of this.
//!
//! Rejected: a parked/notified state machine in one atomic word, as std and tokio have. It costs two locked
//! instructions for each park, and what it serialises cannot happen to a goroutine that never migrates.

use crate::observe::{self, Op};
use crate::of_thread::of_thread;
use crate::random::splitmix64;
use crate::sched::g::{DONE, Extra, G, GRef, PENDING, Pinned, RunState, STARTED, TaskVTable, ThreadWake, USER};
use crate::sched::keep_thread;
use crate::sched::worker::{Worker, WorkerShared};
use crate::threads::parker::ThreadParker;
use crate::tsan;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};
use std::time::{Duration, Instant};

/// What a goroutine waits for, as reports show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitReason {
    /// It does not wait.
    None,
    /// In [`park`](crate::park()).
    Park,
    /// In `JoinHandle::join`.
    Join,
    /// At the end of a [`scope`](crate::scope()).
    Scope,
    /// In [`time::sleep`](crate::time::sleep).
    Sleep,
    /// In [`blocking`](crate::blocking()).
    Blocking,
    /// For a [`Mutex`](crate::sync::Mutex).
    Mutex,
    /// For a shared lock of an [`RwLock`](crate::sync::RwLock).
    RwLockRead,
    /// For the exclusive lock of an [`RwLock`](crate::sync::RwLock).
    RwLockWrite,
    /// On a [`Condvar`](crate::sync::Condvar).
    Condvar,
    /// For a [`Once`](crate::sync::Once), [`OnceLock`](crate::sync::OnceLock) or
    /// [`LazyLock`](crate::sync::LazyLock) that another is running.
    Once,
    /// At a [`Barrier`](crate::sync::Barrier).
    Barrier,
    /// In [`WaitGroup::wait`](crate::sync::WaitGroup::wait).
    WaitGroup,
    /// For a [`Semaphore`](crate::sync::Semaphore).
    Semaphore,
    /// To send on a [`channel`](crate::channel).
    ChannelSend,
    /// To receive from a [`channel`](crate::channel).
    ChannelReceive,
    /// In a [`select!`](crate::select).
    Select,
}

const REASONS: [WaitReason; 17] = [
    WaitReason::None,
    WaitReason::Park,
    WaitReason::Join,
    WaitReason::Scope,
    WaitReason::Sleep,
    WaitReason::Blocking,
    WaitReason::Mutex,
    WaitReason::RwLockRead,
    WaitReason::RwLockWrite,
    WaitReason::Condvar,
    WaitReason::Once,
    WaitReason::Barrier,
    WaitReason::WaitGroup,
    WaitReason::Semaphore,
    WaitReason::ChannelSend,
    WaitReason::ChannelReceive,
    WaitReason::Select,
];

impl WaitReason {
    /// `None`: it is the byte of no reason.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        REASONS.get(usize::from(byte)).copied()
    }

    /// Whether it is others in the program who are waited for: not the time, the system, or an `unpark`.
    pub(crate) fn is_for_others(self) -> bool {
        !matches!(self, Self::None | Self::Park | Self::Sleep | Self::Blocking)
    }
}

impl std::fmt::Display for WaitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "running",
            Self::Park => "park",
            Self::Join => "join",
            Self::Scope => "scope",
            Self::Sleep => "sleep",
            Self::Blocking => "blocking call",
            Self::Mutex => "Mutex::lock",
            Self::RwLockRead => "RwLock::read",
            Self::RwLockWrite => "RwLock::write",
            Self::Condvar => "Condvar::wait",
            Self::Once => "Once",
            Self::Barrier => "Barrier::wait",
            Self::WaitGroup => "WaitGroup::wait",
            Self::Semaphore => "Semaphore::acquire",
            Self::ChannelSend => "chan send",
            Self::ChannelReceive => "chan receive",
            Self::Select => "select",
        })
    }
}

/// Who waits, as the primitives keep it in their lists.
///
/// What is kept is not the goroutine's address, but the one behind it: so the search for leaks can tell who may wake a
/// goroutine from who merely knows it, such as a join handle, or a slot of a queue that it has left (`debug::leaked`).
pub(crate) struct Waiter(NonNull<u8>);

// SAFETY: a `GRef` in another form.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl From<GRef> for Waiter {
    #[inline(always)]
    fn from(g: GRef) -> Self {
        Self(marked(g.into_raw()))
    }
}

impl Clone for Waiter {
    fn clone(&self) -> Self {
        self.reference().into()
    }
}

impl Drop for Waiter {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `from` has taken a counted reference over.
        drop(unsafe { GRef::from_raw(unmarked(self.0)) });
    }
}

impl std::ops::Deref for Waiter {
    type Target = G;

    #[inline(always)]
    fn deref(&self) -> &G {
        // SAFETY: the reference that we count keeps it alive.
        unsafe { unmarked(self.0).as_ref() }
    }
}

/// By how much a marked address differs.
pub(crate) const MARK: usize = 1;

/// The form in which whoever will wake a goroutine keeps its address; see [`Waiter`].
#[inline(always)]
pub(crate) fn marked(g: NonNull<G>) -> NonNull<u8> {
    // SAFETY: within the object.
    unsafe { g.cast::<u8>().add(MARK) }
}

#[inline(always)]
pub(crate) fn unmarked(marked: NonNull<u8>) -> NonNull<G> {
    // SAFETY: within the object, if it comes from `marked`.
    unsafe { marked.sub(MARK) }.cast()
}

/// The caller as it describes itself to those who will wake it. Not counted: counting costs two locked
/// instructions a wait, and a waiter lives as long as it waits.
#[derive(Clone)]
pub(crate) struct WakeTarget(NonNull<G>);

impl WakeTarget {
    /// The caller, and where it runs.
    #[inline(always)]
    pub(crate) fn current() -> (Home, Self) {
        Worker::with_current(|worker| {
            let g = match worker.and_then(Worker::running) {
                Some(g) => NonNull::from(g),
                None => NonNull::from(&*thread_self().g),
            };
            (Home::of(worker), Self(g))
        })
    }

    /// Who it is. While it is in its wait.
    pub(crate) fn goroutine(&self) -> &G {
        let _quiet = tsan::quiet();
        // SAFETY: who waits is alive, and those who ask hold it in its wait.
        unsafe { self.0.as_ref() }
    }

    /// Ends its wait: `publish` lets it know. A neighbour of the caller's is woken at once, which means a place in the
    /// worker's ready queue; who waits elsewhere is returned, for the caller to wake when it holds no lock.
    ///
    /// # Safety
    /// The target is in its wait, and does not leave it before `publish`, a Release that it acquires: it is to see the
    /// reference that is taken before (`life.rs`).
    #[inline(always)]
    pub(crate) unsafe fn end_wait(self, publish: impl FnOnce()) -> Woken {
        let _quiet = tsan::quiet();
        // SAFETY: as the caller promises, it is waiting.
        let g = unsafe { self.0.as_ref() };
        // SAFETY: used within this function only.
        let here = unsafe { Worker::current() }.and_then(|worker| Some((worker, g.pinned_at(worker)?)));
        match here {
            Some((worker, pinned)) => {
                publish();
                // It cannot run, hence not end, before the caller switches.
                worker.unpark_pinned(g, pinned);
                Woken::Neighbour
            }
            None => {
                let waiter = g.reference().into();
                publish();
                Woken::Elsewhere(waiter)
            }
        }
    }
}

/// Where somebody runs: neighbours have the same. (What is not a neighbour could only have the same if it were half a
/// terabyte away, and would be taken for one: a poor choice, no error.)
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home(u32);

impl Home {
    /// A worker, or no worker: OS threads count as neighbours, which is as good as any other order among them.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        Worker::with_current(Self::of)
    }

    #[inline(always)]
    fn of(worker: Option<&Worker>) -> Self {
        const ALIGNMENT: u32 = align_of::<WorkerShared>().ilog2();
        Self(worker.map_or(0, |worker| (std::ptr::from_ref(worker.shared).addr() >> ALIGNMENT) as u32))
    }
}

/// What became of a waiter whose wait was ended.
#[must_use]
pub(crate) enum Woken {
    /// It is on the caller's worker, and in its ready queue.
    Neighbour,
    /// It is on another thread, and awake.
    Spinner,
    /// It is on another thread, and must be woken.
    Elsewhere(Waiter),
}

impl Woken {
    /// For callers that hold no lock.
    #[inline(always)]
    pub(crate) fn wake(self) {
        if let Self::Elsewhere(waiter) = self {
            unpark(&waiter);
        }
    }
}

/// Some number, for choices that must not follow a pattern.
#[inline]
pub(crate) fn random() -> u32 {
    Worker::with_current(|worker| match worker {
        Some(worker) => worker.next_random(),
        None => random_of_thread(),
    })
}

fn random_of_thread() -> u32 {
    let mine = of_thread();
    let mut state = mine.random.get();
    if state == 0 {
        state = std::ptr::from_ref(mine).addr() as u64 ^ (u64::from(std::process::id()) << 32);
    }
    let number = splitmix64(&mut state);
    mine.random.set(state);
    (number >> 32) as u32
}

/// Whether the running goroutine is unwinding because of `exit`.
pub(crate) fn is_exiting() -> bool {
    Worker::with_current(|worker| running(worker).is_some_and(|(worker, g)| g.pinned(worker).exiting.get()))
}

/// The unwinding of `exit` was stopped, and the goroutine goes on.
pub(crate) fn stay() {
    Worker::with_current(|worker| {
        if let Some((worker, g)) = running(worker) {
            g.pinned(worker).exiting.set(false);
        }
    });
}

/// The caller: the running goroutine, or the stand-in of the OS thread.
pub(crate) fn current() -> Waiter {
    with_current(G::reference).into()
}

/// Calls `f` with the caller's goroutine, or with the stand-in of the OS thread.
#[inline(always)]
pub(crate) fn with_current<R>(f: impl FnOnce(&G) -> R) -> R {
    Worker::with_current(|worker| match worker.and_then(Worker::running) {
        Some(g) => f(g),
        None => f(&thread_self().g),
    })
}

/// Waits for the token. May end without one; callers check their condition again.
#[inline(always)]
pub(crate) fn park(reason: WaitReason) {
    let _quiet = tsan::quiet();
    // SAFETY: used within this function only.
    match running(unsafe { Worker::current() }) {
        Some((worker, g)) => park_goroutine(worker, g, reason),
        None => thread_self().parker.park(reason, None),
    }
}

/// Waits for the token until `deadline` at the latest; `None` is for ever.
#[inline(always)]
pub(crate) fn park_until(reason: WaitReason, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return park(reason) };
    let _quiet = tsan::quiet();
    // SAFETY: used within this function only.
    match running(unsafe { Worker::current() }) {
        Some((worker, g)) => {
            let timer = worker.add_timer(deadline, g);
            let timed = &g.pinned(worker).timed;
            timed.set(true);
            park_goroutine(worker, g, reason);
            timed.set(false);
            worker.remove_timer(timer);
        }
        None => thread_self().parker.park(reason, Some(deadline)),
    }
}

/// Leaves the token, which ends the wait of `g` now or its next one at once. From any thread.
#[inline]
pub(crate) fn unpark(g: &G) {
    let _quiet = tsan::quiet();
    let local = Worker::with_current(|worker| match worker {
        Some(worker) if g.is_home(worker) => {
            worker.unpark_local(g);
            true
        }
        _ => false,
    });
    if !local {
        unpark_remote(g, PENDING);
    }
}

/// The user's `park`: waits for the user's token, whatever wakes it before, or for the deadline. That token
/// is kept apart, as std keeps it: else a wait in between, for a lock say, would use it up.
#[inline(always)]
#[track_caller]
pub(crate) fn park_for_user(deadline: Option<Instant>) {
    if observe::is_on() {
        // Here, since closures have no callers.
        let location = Location::caller();
        with_current(|g| observe::touch_at(Op::Park, observe::address(g), location));
    }
    wait_for_users_token(deadline);
    if observe::is_on() {
        with_current(|g| observe::acquire_at(token_of(g)));
    }
}

#[inline(always)]
fn wait_for_users_token(deadline: Option<Instant>) {
    let _quiet = tsan::quiet();
    // SAFETY: used within this function only.
    if let Some((worker, g)) = running(unsafe { Worker::current() }) {
        let token = &g.pinned(worker).user_token;
        while !token.replace(false) && !is_past(deadline) {
            park_until(WaitReason::Park, deadline);
        }
    } else {
        park_thread_for_user(deadline);
    }
}

/// What stands for the user's token in the eyes of the race detector: not the goroutine, whose end is another matter.
pub(crate) fn token_of(g: &G) -> usize {
    observe::address(&g.wake)
}

fn park_thread_for_user(deadline: Option<Instant>) {
    let thread = thread_self().g.extra.as_ref().and_then(|extra| extra.thread.as_ref());
    let token = &thread.expect("a stand-in has this").user_token;
    while !token.swap(false, Ordering::Acquire) && !is_past(deadline) {
        park_until(WaitReason::Park, deadline);
    }
}

#[inline]
fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= crate::clock::now())
}

/// The user's `unpark`.
#[inline]
#[track_caller]
pub(crate) fn unpark_for_user(g: &G) {
    if observe::touch(Op::Unpark, g) {
        observe::release_at(token_of(g));
    }
    let _quiet = tsan::quiet();
    let local = Worker::with_current(|worker| match worker {
        Some(worker) if g.is_home(worker) => {
            g.pinned(worker).user_token.set(true);
            worker.unpark_local(g);
            true
        }
        _ => false,
    });
    if !local {
        unpark_remote(g, PENDING | USER);
    }
}

/// Unparks many. Those of a large crowd have left the processor's caches, so they are asked for ahead.
/// Each reference is given up at once, while its cache line is there.
pub(crate) fn unpark_all(crowd: Vec<Waiter>) {
    const AHEAD: usize = 8;
    let mut crowd = crowd.into_iter();
    while let Some(g) = crowd.next() {
        let rest = crowd.as_slice();
        if let Some(later) = rest.get(2 * AHEAD) {
            later.prefetch();
        }
        if let Some(soon) = rest.get(AHEAD) {
            soon.prefetch_stack();
        }
        unpark(&g);
    }
}

/// With `bits` PENDING, and USER if the user's token is meant.
#[cold]
fn unpark_remote(g: &G, bits: u8) {
    if let Some(thread) = g.extra.as_ref().and_then(|extra| extra.thread.as_ref()) {
        if bits & USER != 0 {
            thread.user_token.store(true, Ordering::Release);
        }
        thread.parker.unpark();
        return;
    }
    let before = g.wake.fetch_or(bits, Ordering::AcqRel);
    if before & STARTED == 0 || before & (PENDING | DONE) != 0 {
        return;
    }
    // None: it has ended meanwhile.
    if let Some(home) = g.home() {
        home.deliver(g.reference());
    }
}

/// The running goroutine, with its worker.
#[inline(always)]
pub(crate) fn running(worker: Option<&Worker>) -> Option<(&Worker, &G)> {
    let worker = worker?;
    Some((worker, worker.running()?))
}

#[inline(always)]
fn park_goroutine(worker: &Worker, g: &G, reason: WaitReason) {
    let pinned = g.pinned(worker);
    if pinned.token.replace(false) {
        return;
    }
    g.set_wait_reason(reason);
    match keep_thread::reason_to(worker, g, pinned) {
        None => switch_out(worker, pinned, RunState::Parked),
        Some(why) => keep_thread::park_in_place(worker, g, pinned, why),
    }
    g.set_wait_reason(WaitReason::None);
}

/// Notes where the goroutine is, for dumps, and that it is in this state from now on.
#[inline(always)]
pub(crate) fn leave_traces(pinned: &Pinned, state: RunState) {
    pinned.record_registers();
    // Who sees the state sees the registers.
    compiler_fence(Ordering::SeqCst);
    pinned.state.set(state);
}

#[inline(always)]
pub(crate) fn switch_out(worker: &Worker, pinned: &Pinned, state: RunState) {
    tsan::suspending();
    leave_traces(pinned, state);
    // SAFETY: the yielder lives on this goroutine's stack from its entry to its end, and we run on that
    // stack now (`keep_thread::reason_to` has compared the stack pointer with its bounds).
    unsafe { (*pinned.yielder.get()).suspend(NonNull::from(worker)) };
    tsan::resumed();
}

/// Lets others run, if the goroutine may switch at all. On an OS thread: the kernel's yield.
#[inline(always)]
#[track_caller]
pub(crate) fn yield_now() {
    let _quiet = tsan::quiet();
    // SAFETY: used within this function only.
    match running(unsafe { Worker::current() }) {
        Some(_) if observe::is_explored() => {
            observe::touch(Op::Yield, &());
        }
        Some((worker, g)) => yield_goroutine(worker, g, true),
        None => std::thread::yield_now(),
    }
}

#[inline(always)]
fn yield_goroutine(worker: &Worker, g: &G, wants_to: bool) {
    let pinned = g.pinned(worker);
    if keep_thread::reason_to(worker, g, pinned).is_some() {
        return;
    }
    worker.push_yielded(g, wants_to);
    switch_out(worker, pinned, RunState::Ready);
}

/// Lisle operations that a goroutine may do before it lets its neighbours run.
pub(crate) const BUDGET: u32 = 256;

/// Every operation that can wait calls this first, so that a loop of operations that never have to wait
/// does not starve the neighbours (tokio's cooperative budget is the model). Never called from `try_*`
/// operations, drops, unlocks or wake-ups: those must not switch.
///
/// The count is kept in the worker, not in a thread-local of its own: the scan reads the thread-local block
/// in wide words right after, and a processor cannot forward a narrow store to a wide load.
///
/// True: somebody watches. There the budget is always used up.
#[inline(always)]
pub(crate) fn spend_budget() -> bool {
    Worker::with_current(|worker| {
        if let Some(worker) = worker {
            let left = worker.budget.get();
            worker.budget.set(left.wrapping_sub(1));
            if left == 0 {
                return budget_is_spent(worker);
            }
        }
        false
    })
}

#[cold]
fn budget_is_spent(worker: &Worker) -> bool {
    worker.budget.set(worker.full_budget());
    if worker.is_explored() {
        return true;
    }
    // Where locks are watched each operation comes here, and yields as rarely as it otherwise would.
    let is_watched = observe::is_on();
    if let Some(g) = worker.running()
        && (!is_watched || worker.next_random().is_multiple_of(BUDGET))
        && worker.must_let_go()
    {
        yield_goroutine(worker, g, false);
    }
    is_watched
}

/// Whether the caller is a goroutine that must not switch now: its neighbours would wait with it.
pub(crate) fn keeps_thread() -> bool {
    Worker::with_current(|worker| {
        running(worker).is_some_and(|(worker, g)| keep_thread::reason_to(worker, g, g.pinned(worker)).is_some())
    })
}

/// Pauses of the processor for which a waiter spins: some microseconds, about what to sleep and be woken costs.
const SPINS: u32 = 128;

/// Whether it may pay to spin before a wait: the partner is `apart`, on another thread, and nobody else could use ours.
#[inline]
pub(crate) fn may_spin(apart: bool) -> bool {
    Worker::with_current(|worker| match worker {
        Some(worker) => apart && crate::cpu::is_parallel() && !worker.someone_waits(),
        None => crate::cpu::is_parallel(),
    })
}

/// A lock is found taken: whether that has happened to a goroutine of this worker within `recently`. Not known of OS
/// threads.
pub(crate) fn finds_locks_taken(recently: Duration) -> bool {
    Worker::with_current(|worker| {
        let Some(worker) = worker else { return false };
        let now = Instant::now();
        worker.lock_was_taken.replace(Some(now)).is_some_and(|last| now.saturating_duration_since(last) < recently)
    })
}

/// Spins for so many of the processor's pauses.
pub(crate) fn pause(pauses: u32) {
    (0..pauses).for_each(|_| std::hint::spin_loop());
}

/// Spins until `done`, for a little while. Returns whether it is.
/// Those whom others wake meanwhile are not kept waiting.
pub(crate) fn spin_until(done: impl Fn() -> bool) -> bool {
    Worker::with_current(|worker| {
        for _ in 0..SPINS {
            if done() {
                return true;
            }
            if worker.is_some_and(|worker| worker.shared.has_deliveries()) {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    })
}

/// An OS thread's stand-in.
pub(crate) struct ThreadSelf {
    g: GRef,
    parker: Arc<ThreadParker>,
}

impl Drop for ThreadSelf {
    fn drop(&mut self) {
        self.parker.strike_off();
    }
}

/// To be used up within one call, as what `of_thread` gives.
#[inline]
fn thread_self() -> &'static ThreadSelf {
    let place = &of_thread().stand_in;
    place.get().unwrap_or_else(|| {
        // Not `get_or_init`: the allocator may be watched, and be here meanwhile. Then this one is too much, and goes.
        let _ = place.set(new_thread_self());
        place.get().expect("it has just been set")
    })
}

#[cold]
fn new_thread_self() -> ThreadSelf {
    static VTABLE: TaskVTable = TaskVTable {
        run: |_| (),
        cancel: |_| (),
        take: |_, _| unreachable!("nobody joins the stand-in of a thread"),
        abandon: |_| (),
        deallocate: deallocate_thread,
        closure: || "a thread",
    };
    let name: Option<Arc<str>> = std::thread::current().name().map(Into::into);
    let parker = ThreadParker::of_current(name.clone());
    let wake = ThreadWake { parker: Arc::clone(&parker), user_token: AtomicBool::new(false) };
    let extra = Extra { name: crate::debug::Text::from(name), thread: Some(wake), ..Extra::default() };
    let id = crate::sched::next_id_outside();
    let g = Box::new(G::new(&VTABLE, id, 0, Location::caller(), false, Some(Box::new(extra))));
    let pointer = NonNull::from(Box::leak(g));
    // SAFETY: a new object counts two references; the second is given back at once.
    let (g, spare) = unsafe { (GRef::from_raw(pointer), GRef::from_raw(pointer)) };
    drop(spare);
    ThreadSelf { g, parker }
}

/// # Safety
/// The last reference to a stand-in is gone.
unsafe fn deallocate_thread(g: NonNull<G>) {
    // SAFETY: allocated as `Box<G>` above.
    drop(unsafe { Box::from_raw(g.as_ptr()) });
}
