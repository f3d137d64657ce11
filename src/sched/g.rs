//! `G`: the goroutine object, and the one allocation that a goroutine costs.
//!
//! # Who may touch which field, and when
//! | field | written by | read by |
//! | --- | --- | --- |
//! | `id`, `created_at`, `creator`, `extra`, `vtable` | the creator, before publication | anyone |
//! | `life`, `joiner` | see `life.rs` | the same |
//! | `wake` | wakers (PENDING), the home worker (the rest) | anyone |
//! | `link` | whoever set PENDING, then the drainer of the inbox | the same |
//! | `home` | the home worker: set before STARTED, cleared after DONE | anyone who saw STARTED (may find it cleared); the home worker compares it at any time |
//! | `pinned` | the home worker's thread only (`G::pinned` checks that) | the same |
//! | `Task::body` | see `life.rs` | the same |
//!
//! # Ownership
//! The memory is counted by `life`. It holds a `Task<F, T>`: this header, then the closure, later the
//! result. A waker's `GRef` keeps the *memory* alive, never a value of the user's: the closure leaves at
//! the start, and the result is dropped by the goroutine itself or by its `JoinHandle`. So the last
//! reference may go away on any thread and runs no user code. A started goroutine owns one reference to
//! itself from start to end (the *run reference*); the scheduler's queues of started goroutines hold plain
//! pointers under its protection.
//!
//! # The wake word
//! | bits | meaning | who moves on |
//! | --- | --- | --- |
//! | 0 | fresh | start → STARTED; waker → PENDING |
//! | PENDING | fresh, a token waits | start → STARTED, token taken over |
//! | STARTED | started; no message under way | waker → +PENDING and pushes into the inbox |
//! | STARTED+PENDING | in an inbox, or about to be | drainer → STARTED |
//! | +USER | (with PENDING) the wake-up, or one of several, is the user's `unpark` | goes with PENDING |
//! | DONE | ended | nobody; wakers do nothing |
//!
//! A wake-up from the home thread touches none of this: it changes `pinned.state`, which no other thread
//! may see. That is what pinning buys: park and unpark without an atomic operation.

use super::deque::Word;
use super::inbox::Linked;
use super::life::Life;
use super::worker::{Worker, WorkerShared};
use crate::debug::Text;
use crate::debug::unwind::Registers;
use crate::local::Locals;
use crate::park::WaitReason;
use crate::scope::ScopeData;
use crate::stack::Stack;
use crate::tsan;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering, compiler_fence};

pub(crate) const STARTED: u8 = 1;
pub(crate) const PENDING: u8 = 2;
pub(crate) const DONE: u8 = 4;
/// Goes with PENDING: the wake-up is the user's `unpark`.
pub(crate) const USER: u8 = 8;

/// What a goroutine hands over as it gives up its thread is its worker; `Worker::work` says why.
pub(crate) type Coroutine = corosensei::Coroutine<(), NonNull<Worker>, (), Stack>;
pub(crate) type Yielder = corosensei::Yielder<(), NonNull<Worker>>;

/// What `G` needs of the typed `Task` around it.
pub(crate) struct TaskVTable {
    /// Runs the closure to its end on the goroutine's own stack. Never unwinds.
    pub(crate) run: unsafe fn(&G),
    /// Drops the closure of a goroutine that will never start, and tells its joiner.
    pub(crate) cancel: unsafe fn(&G),
    /// Moves the result to where the pointer points. Once at most, for whom it belongs to; see `life.rs`.
    pub(crate) take: unsafe fn(&G, NonNull<u8>),
    /// Drops the result that nobody wants, in the place of `take`.
    pub(crate) abandon: unsafe fn(&G),
    /// Frees the memory and nothing else.
    pub(crate) deallocate: unsafe fn(NonNull<G>),
    /// The name of the closure's type, for dumps.
    pub(crate) closure: fn() -> &'static str,
}

/// What only some goroutines have, so that the others stay small.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Text,
    /// The labels that it begins with.
    pub(crate) labels: Text,
    pub(crate) stack_size: Option<usize>,
    pub(crate) own_thread: bool,
    /// Set for the stand-in of a plain OS thread.
    pub(crate) thread: Option<ThreadWake>,
}

/// How to wake an OS thread.
pub(crate) struct ThreadWake {
    pub(crate) parker: std::sync::Arc<crate::threads::parker::ThreadParker>,
    /// The user's token.
    pub(crate) user_token: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum RunState {
    Running,
    /// In its worker's ready queue.
    Ready,
    Parked,
    /// Waits without giving up its thread; see `park::keep_thread`.
    ParkedInPlace,
}

/// The part that only the home worker's thread touches: plain cells, no atomics. It lies at the high end
/// of the goroutine's stack, from start to end: a goroutine that has not started need not have one, and the
/// page is touched anyway.
///
/// Dumps read it from other threads, by way of the kernel: `debug::registry` says what the order of the writes to
/// `g`, `slice`, `registers` and `state` has to be.
#[repr(C)]
pub(crate) struct Pinned {
    pub(crate) state: Cell<RunState>,
    /// Ends the present wait, or the next: it says "look again" and nothing more.
    pub(crate) token: Cell<bool>,
    /// The token of the user's `park` and `unpark`, which lisle's own waits must not eat up.
    pub(crate) user_token: Cell<bool>,
    /// It has called `exit`.
    pub(crate) exiting: Cell<bool>,
    /// Its wait has a deadline.
    pub(crate) timed: Cell<bool>,
    /// The slice in which it has ended and woken a joiner of this worker, or 0; see `Life::release_to_neighbour`.
    pub(crate) joined_by_neighbour: Cell<u64>,
    /// How many `no_switch` calls are open.
    pub(crate) no_switch: Cell<u16>,
    pub(crate) yielder: Cell<*const Yielder>,
    /// The usable stack: lowest address, highest address.
    pub(crate) stack_bounds: Cell<(usize, usize)>,
    coroutine: UnsafeCell<ManuallyDrop<Coroutine>>,
    /// Its worker's number of the slice in which it runs, or ran last; 0 before the first.
    pub(crate) slice: AtomicU64,
    /// Where it left its thread; all zero before it has run.
    pub(crate) registers: Cell<Registers>,
    /// Whose stack this is; null when it is nobody's.
    pub(crate) g: AtomicPtr<G>,
    pub(crate) locals: Locals,
    pub(crate) labels: RefCell<Text>,
    /// The innermost scope that it has opened.
    pub(crate) scope: Cell<Option<Arc<ScopeData>>>,
}

impl Pinned {
    /// Notes the place where this is called, for a walk that begins there. Four instructions.
    #[inline(always)]
    pub(crate) fn record_registers(&self) {
        use std::mem::offset_of;
        // SAFETY: writes the three words of `registers`, a cell of the calling thread's, into which nobody has a
        // reference; `Registers` is made of words.
        unsafe {
            std::arch::asm!(
                "lea {pc}, [rip]",
                "mov [{pinned} + {pc_at}], {pc}",
                "mov [{pinned} + {sp_at}], rsp",
                "mov [{pinned} + {bp_at}], rbp",
                pinned = in(reg) std::ptr::from_ref(self),
                pc = out(reg) _,
                pc_at = const offset_of!(Self, registers) + offset_of!(Registers, pc),
                sp_at = const offset_of!(Self, registers) + offset_of!(Registers, sp),
                bp_at = const offset_of!(Self, registers) + offset_of!(Registers, bp),
                options(nostack, preserves_flags),
            );
        }
    }
}

const _: () = assert!(size_of::<Pinned>() <= crate::stack::RESERVED);

#[repr(C)]
pub(crate) struct G {
    pub(crate) life: Life,
    pub(crate) vtable: &'static TaskVTable,
    pub(crate) wake: AtomicU8,
    pub(crate) wait_reason: AtomicU8,
    /// Its closure is not `Send`: it must start, or be dropped, on the thread that created it.
    pub(crate) is_local: bool,
    link: AtomicPtr<G>,
    pub(crate) home: AtomicPtr<WorkerShared>,
    /// Where `Pinned` lies while the goroutine is started. Read and written at home only.
    pinned: Cell<*const Pinned>,
    pub(crate) id: u64,
    pub(crate) creator: u64,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) extra: Option<Box<Extra>>,
    /// As `park::marked` has it.
    pub(crate) joiner: UnsafeCell<NonNull<u8>>,
    /// What ThreadSanitizer knows it as; without it, nothing.
    pub(crate) fiber: tsan::Fiber,
    /// What the race detector knows of it; without its feature, nothing.
    pub(crate) strand: crate::race::strand::Place,
}

// SAFETY: every field is immutable after publication, atomic, or guarded by the rules in the table above;
// `pinned` is written once, by `start`, and followed by `G::pinned` only, which checks that the caller is the home worker.
// (`prefetch_stack` reads the address: of goroutines that wait in a list, which have started before they got there.)
unsafe impl Send for G {}
// SAFETY: as above.
unsafe impl Sync for G {}

// SAFETY: `link` is a field, and only the holder of PENDING uses it.
unsafe impl Linked for G {
    fn link(&self) -> &AtomicPtr<G> {
        &self.link
    }
}

impl G {
    #[inline(always)]
    pub(crate) fn new(
        vtable: &'static TaskVTable,
        id: u64,
        creator: u64,
        created_at: &'static Location<'static>,
        is_local: bool,
        extra: Option<Box<Extra>>,
    ) -> Self {
        Self {
            // With the run reference and the join handle's.
            life: Life::new(),
            vtable,
            wake: AtomicU8::new(0),
            wait_reason: AtomicU8::new(WaitReason::None as u8),
            is_local,
            link: AtomicPtr::new(std::ptr::null_mut()),
            home: AtomicPtr::new(std::ptr::null_mut()),
            id,
            creator,
            created_at,
            extra,
            joiner: UnsafeCell::new(NonNull::dangling()),
            pinned: Cell::new(std::ptr::null()),
            fiber: tsan::Fiber::none(),
            strand: crate::race::strand::Place::none(),
        }
    }

    /// A counted reference to this object.
    pub(crate) fn reference(&self) -> GRef {
        self.life.add_reference();
        GRef(NonNull::from(self))
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.extra.as_ref()?.name.as_str()
    }

    /// Whether it stands for a plain OS thread.
    pub(crate) fn is_thread(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.thread.is_some())
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.own_thread)
    }

    #[inline]
    pub(crate) fn set_wait_reason(&self, reason: WaitReason) {
        self.wait_reason.store(reason as u8, Ordering::Relaxed);
    }

    pub(crate) fn wait_reason(&self) -> WaitReason {
        WaitReason::from_byte(self.wait_reason.load(Ordering::Relaxed)).expect("the byte of a reason")
    }

    /// Whether `worker`, hence the calling thread, is where this goroutine runs.
    #[inline(always)]
    pub(crate) fn is_home(&self, worker: &Worker) -> bool {
        std::ptr::eq(self.home.load(Ordering::Relaxed), worker.shared)
    }

    /// The home worker. Only meaningful after STARTED was seen with acquire ordering.
    pub(crate) fn home(&self) -> Option<&'static WorkerShared> {
        // SAFETY: null, or a `&'static` stored by `adopt`.
        unsafe { self.home.load(Ordering::Acquire).as_ref() }
    }

    /// The home worker's private part.
    ///
    /// # Panics
    /// If `worker` is not the home: a bug in lisle, caught before it becomes a data race.
    #[inline(always)]
    pub(crate) fn pinned(&self, worker: &Worker) -> &Pinned {
        match self.pinned_at(worker) {
            Some(pinned) => pinned,
            None => panic!("goroutine {} touched away from home", self.id),
        }
    }

    /// The home worker's private part, if that is `worker`.
    #[inline(always)]
    pub(crate) fn pinned_at(&self, worker: &Worker) -> Option<&Pinned> {
        if !self.is_home(worker) {
            return None;
        }
        // SAFETY: a `&Worker` exists on its own thread only (it is neither Send nor Sync), and `home` is
        // this worker from `start` to `retire` only, between which `pinned` points to the living `Pinned`
        // on the goroutine's stack. So all references to it live on one thread; its content is cells. (The home of
        // those that a failed check has left behind goes to another thread by a lock.) The callers are that
        // goroutine and the scheduler between its slices: none keeps the reference beyond `retire`.
        Some(unsafe { &*self.pinned.get() })
    }

    /// Asks the processor for this object's cache lines, ahead of a wake-up or a resume.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(std::ptr::from_ref(self));
        prefetch(std::ptr::from_ref(&self.pinned));
    }

    /// Asks for the lines at the top of the stack, where a parked goroutine goes on. It has started, and the caller was told
    /// of it afterwards: it reads where that stack lies, not what lies there.
    #[inline]
    pub(crate) fn prefetch_stack(&self) {
        let pinned = self.pinned.get();
        for line in 0..8 {
            prefetch(pinned.cast::<u8>().wrapping_add(64).wrapping_sub(64 * line));
        }
    }

    /// Makes `worker` the home, for good, and prepares the goroutine to run `body` on `stack`.
    pub(crate) fn start<F: Fn(NonNull<G>, &Yielder) + 'static>(&self, worker: &Worker, stack: Stack, body: F) {
        // A function without a value of its own: what the coroutine begins with is then one word, and not two, which would be
        // loaded in one piece right after they were stored in two, and that takes 3 ns.
        const { assert!(size_of::<F>() == 0) };
        debug_assert!(self.home.load(Ordering::Relaxed).is_null());
        let place = stack.reserved().cast::<Pinned>();
        let stack_bounds = Cell::new(stack.bounds());
        let g = NonNull::from(self);
        let coroutine = Coroutine::with_stack(stack, move |yielder, ()| body(g, yielder));
        let pinned = Pinned {
            state: Cell::new(RunState::Ready),
            token: Cell::new(false),
            user_token: Cell::new(false),
            no_switch: Cell::new(0),
            yielder: Cell::new(std::ptr::null()),
            stack_bounds,
            exiting: Cell::new(false),
            locals: Locals::new(),
            coroutine: UnsafeCell::new(ManuallyDrop::new(coroutine)),
            slice: AtomicU64::new(0),
            registers: Cell::default(),
            g: AtomicPtr::new(std::ptr::null_mut()),
            labels: RefCell::new(match &self.extra {
                Some(extra) => extra.labels.clone(),
                None => Text::none(),
            }),
            timed: Cell::new(false),
            joined_by_neighbour: Cell::new(0),
            scope: Cell::new(None),
        };
        // SAFETY: `reserved` is aligned, writable memory of at least this size (asserted above), which
        // the stack leaves alone.
        unsafe { place.write(pinned) };
        self.pinned.set(place.as_ptr());
        self.home.store(std::ptr::from_ref(worker.shared).cast_mut(), Ordering::Release);
        let before = self.set_started();
        let pinned = self.pinned(worker);
        pinned.token.set(before & PENDING != 0);
        pinned.user_token.set(before & USER != 0);
        // The last: who finds it finds the rest.
        pinned.g.store(g.as_ptr(), Ordering::Release);
    }

    /// For itself, as it ends. Does nothing for one that has never started.
    pub(crate) fn note_joined_by_neighbour(&self) {
        Worker::with_current(|worker| match worker {
            Some(worker) if self.is_home(worker) => {
                let pinned = self.pinned(worker);
                pinned.joined_by_neighbour.set(pinned.slice.load(Ordering::Relaxed));
            }
            _ => {}
        });
    }

    /// Returns the wake word of the fresh goroutine.
    #[inline(always)]
    fn set_started(&self) -> u8 {
        if !self.life.is_unshared() {
            return self.wake.swap(STARTED, Ordering::AcqRel);
        }
        // Nobody is there who could wake it between the two.
        let before = self.wake.load(Ordering::Relaxed);
        self.wake.store(STARTED, Ordering::Release);
        before
    }

    /// Switches to the goroutine's stack until it parks or yields, and returns the worker, which is the caller's, as the
    /// goroutine hands it over; or until it ends. With its own `pinned`.
    #[inline(always)]
    pub(crate) fn resume(&self, pinned: &Pinned) -> Option<NonNull<Worker>> {
        let slot = pinned.coroutine.get();
        // SAFETY: home thread, since `pinned` comes from `G::pinned`. Only `start`, `resume` and `retire` touch the slot, and
        // none is re-entered for the same goroutine, since a running goroutine is in no queue.
        let coroutine = unsafe { &mut *slot };
        let back = self.fiber.enter();
        forget_registers();
        let worker = coroutine.resume(()).as_yield();
        self.fiber.leave(back, worker.is_none());
        worker
    }

    /// The goroutine has returned: it is nobody's from now on. Returns its stack.
    pub(crate) fn retire(&self, worker: &Worker) -> Stack {
        self.pinned(worker).g.store(std::ptr::null_mut(), Ordering::Relaxed);
        // Before anything of it is given up: who still finds `g` afterwards has found all of it alive.
        compiler_fence(Ordering::SeqCst);
        let pinned = std::ptr::from_ref(self.pinned(worker)).cast_mut();
        // A waker that set PENDING meanwhile has pushed or will push; the drainer ignores it then.
        self.wake.store(DONE, Ordering::Release);
        // From here on `pinned` panics, and wakers find DONE.
        self.home.store(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: home thread (checked above), and no reference into it is left.
        let labels = unsafe { (*pinned).labels.get_mut() };
        if !labels.is_empty() {
            *labels = Text::none();
        }
        // SAFETY: as above, and it is read once: the next goroutine on this stack writes a new one. The
        // coroutine has returned, so `into_stack` unwinds nothing; the locals were cleared by the goroutine
        // itself, and the other fields need no drop.
        let coroutine = unsafe { (&raw const (*pinned).coroutine).read() };
        self.fiber.retire(self.id, self.name());
        ManuallyDrop::into_inner(coroutine.into_inner()).into_stack()
    }
}

/// A hint; any address will do.
#[inline]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch of whatever address neither faults nor changes anything.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A counted reference to a goroutine object.
pub(crate) struct GRef(NonNull<G>);

// SAFETY: the count is atomic, `G` is Send and Sync, and the last drop frees memory only.
unsafe impl Send for GRef {}
// SAFETY: as above.
unsafe impl Sync for GRef {}

// SAFETY: the address carries one counted reference, which is whoever's has it.
unsafe impl Word for GRef {
    type Target = G;

    fn into_raw(self) -> NonNull<G> {
        Self::into_raw(self)
    }

    unsafe fn from_raw(raw: NonNull<G>) -> Self {
        Self(raw)
    }
}

impl GRef {
    /// # Safety
    /// The caller hands over one counted reference.
    pub(crate) unsafe fn from_raw(g: NonNull<G>) -> Self {
        Self(g)
    }

    /// Gives up the handle but not the count.
    pub(crate) fn into_raw(self) -> NonNull<G> {
        ManuallyDrop::new(self).0
    }
}

impl std::ops::Deref for GRef {
    type Target = G;

    #[inline]
    fn deref(&self) -> &G {
        // SAFETY: the reference that we count keeps it alive.
        unsafe { self.0.as_ref() }
    }
}

impl GRef {
    /// As a drop, for the home worker of one that has ended.
    #[inline]
    pub(crate) fn release_at_home(self, joined_by_neighbour: bool) {
        if joined_by_neighbour && self.life.release_to_neighbour() {
            std::mem::forget(self);
        }
    }
}

impl Clone for GRef {
    #[inline]
    fn clone(&self) -> Self {
        self.reference()
    }
}

impl Drop for GRef {
    #[inline]
    fn drop(&mut self) {
        let _quiet = tsan::quiet();
        if self.life.release() {
            let deallocate = self.vtable.deallocate;
            // SAFETY: the count is zero, so nobody else can reach it.
            unsafe { deallocate(self.0) };
        }
    }
}

/// What the worker had in registers would be saved at the beginning of a fresh goroutine's stack, and stay there: addresses
/// of others' stacks, by which the search for leaks (`debug::leaked`) took each for a friend of the one before.
#[inline(always)]
fn forget_registers() {
    // SAFETY: clears registers that it says it changes. (No others survive a call: rbx and rbp are the compiler's.)
    unsafe {
        core::arch::asm!(
            "xor r12d, r12d", "xor r13d, r13d", "xor r14d, r14d", "xor r15d, r15d",
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            options(nomem, nostack)
        );
    }
}
