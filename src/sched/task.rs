//! `Task<F, T>`: a goroutine object with its closure and, later, its result, in one allocation.
//! The end, the handle, and who gets the result: `life.rs`.

use super::g::{DONE, G, GRef, TaskVTable};
use super::task_memory;
use super::watchdog::GoroutineInfo;
use super::worker::Worker;
use crate::observe::{self, Op};
use crate::park::{self, WaitReason};
use crate::report::AbortOnUnwind;
use crate::scope::ScopeData;
use crate::tsan;
use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering, compiler_fence};
use std::thread;

enum Body<F, T> {
    Unstarted(F),
    Empty,
    Finished(thread::Result<T>),
}

#[repr(C)]
struct Task<F, T> {
    g: G,
    /// Right behind `g`: `debug::registry` reads its address there.
    scope: Option<Arc<ScopeData>>,
    /// Never dropped implicitly: freeing the memory must not run user code.
    body: UnsafeCell<ManuallyDrop<Body<F, T>>>,
}

/// Allocates a goroutine for `f`. `g` becomes its header.
///
/// # Safety
/// The types are erased: `g` was made with `vtable::<F, T>()`. The caller sees to it that `f` runs, or is dropped, on a
/// thread and at a time at which that is sound: `F: Send + 'static`, or home thread only, or within a scope that outlives it.
#[inline(always)]
pub(crate) unsafe fn new_task<F, T>(mut g: G, scope: Option<Arc<ScopeData>>, f: F) -> (GRef, ResultSlot<T>)
where
    F: FnOnce() -> T,
{
    // Not to be taken for a goroutine before all of it is there: `debug::unstarted`.
    g.wake = AtomicU8::new(DONE);
    let body = UnsafeCell::new(ManuallyDrop::new(Body::<F, T>::Unstarted(f)));
    let memory;
    {
        // Those who wake it look at it, and have not synchronised with its creator.
        let _quiet = tsan::quiet();
        memory = task_memory::allocate(Layout::new::<Task<F, T>>()).cast::<Task<F, T>>();
        // SAFETY: new memory of the right layout.
        unsafe { memory.write(Task { g, scope, body }) };
        compiler_fence(Ordering::Release);
        // SAFETY: just written; nobody else has it.
        unsafe { (*memory.as_ptr()).g.wake.store(0, Ordering::Relaxed) };
    }
    let pointer = memory.cast::<G>();
    // SAFETY: a new object counts two references: this is the run reference.
    let g = unsafe { GRef::from_raw(pointer) };
    // SAFETY: it counts a second one, for the handle.
    let handle = unsafe { GRef::from_raw(pointer) };
    (g, ResultSlot { g: ManuallyDrop::new(handle), result: PhantomData })
}

#[inline]
pub(crate) fn vtable<F: FnOnce() -> T, T>() -> &'static TaskVTable {
    &TaskVTable {
        run: run::<F, T>,
        cancel: cancel::<F, T>,
        take: take_result_to::<F, T>,
        abandon: abandon::<F, T>,
        deallocate: deallocate::<F, T>,
        closure: std::any::type_name::<F>,
    }
}

/// # Safety
/// `g` is the header of a `Task<F, T>`.
unsafe fn task<F, T>(g: &G) -> &Task<F, T> {
    // SAFETY: `Task` is repr(C) with the header first, and was allocated as a whole.
    unsafe { &*std::ptr::from_ref(g).cast::<Task<F, T>>() }
}

/// The scope that a goroutine was started in.
pub(crate) fn scope_of(g: &G) -> Option<Arc<ScopeData>> {
    /// What all tasks begin with.
    #[repr(C)]
    struct Head {
        g: G,
        scope: Option<Arc<ScopeData>>,
    }
    if g.is_thread() {
        return None;
    }
    // SAFETY: all goroutines but the stand-ins of threads head a `Task`, which is repr(C), and begins with these two.
    unsafe { &(*std::ptr::from_ref(g).cast::<Head>()).scope }.clone()
}

/// # Safety
/// As `TaskVTable::run`: called once, on the goroutine's own stack; `g` heads a `Task<F, T>`.
unsafe fn run<F: FnOnce() -> T, T>(g: &G) {
    // SAFETY: passed on.
    let task = unsafe { task::<F, T>(g) };
    // SAFETY: before FINISHED the body is the goroutine's alone.
    let body = unsafe { &mut *task.body.get() };
    let Body::Unstarted(f) = std::mem::replace(&mut **body, Body::Empty) else {
        unreachable!("a goroutine starts once");
    };
    let result = catch_unwind(AssertUnwindSafe(f));
    crate::local::drop_current(g);
    crate::observe::ending(g, task.scope.as_ref().map_or(0, |scope| Arc::as_ptr(scope).addr()));
    finish(task, result, |count| {
        Worker::with_current(|worker| worker.into_iter().for_each(count));
    });
    crate::observe::ended();
}

/// # Safety
/// As `TaskVTable::cancel`: the goroutine never started and never will; `g` heads a `Task<F, T>`.
unsafe fn cancel<F: FnOnce() -> T, T>(g: &G) {
    // SAFETY: passed on.
    let task = unsafe { task::<F, T>(g) };
    let _loud = tsan::loud();
    g.fiber.cancel();
    // SAFETY: nobody will run it, so the body is ours until FINISHED.
    let body = unsafe { &mut *task.body.get() };
    let closure = std::mem::replace(&mut **body, Body::Empty);
    let dropped = catch_unwind(AssertUnwindSafe(move || drop(closure)));
    // What wakes it from now on need do nothing, and its memory is told from that of one that waits to be started.
    g.wake.store(DONE, Ordering::Release);
    let reason: Box<dyn Any + Send> = dropped.err().unwrap_or_else(|| Box::new(crate::Cancelled { id: g.id }));
    finish(task, Err(reason), |_| ());
}

/// Publishes the result, wakes who waits for it, and leaves the scope.
///
/// The end is counted before a joiner hears of it (who has joined a goroutine does not find it counted any
/// more), but after the result was dropped if nobody wants it (a shutdown waits for that destructor).
fn finish<F, T>(task: &Task<F, T>, result: thread::Result<T>, on_worker: impl Fn(fn(&Worker))) {
    let g = &task.g;
    // To drop it does nothing.
    let is_plain = !std::mem::needs_drop::<T>() && result.is_ok();
    // SAFETY: before FINISHED the body is the goroutine's alone.
    unsafe { **task.body.get() = Body::Finished(result) };
    let mut seen = g.life.look();
    let counted = !seen.is_detached();
    if counted {
        on_worker(Worker::count_end);
    }
    while !seen.is_detached() {
        // After FINISHED the joiner may go its way and be gone: so it is borrowed for its wake-up before.
        let joiner = seen.has_joiner().then(|| Joiner::borrow(g));
        let neighbour = matches!(joiner, Some(Joiner::Neighbour(_)));
        match g.life.finish(seen, neighbour) {
            Err(now) => seen = now,
            Ok(()) => {
                // From here to `Worker::end` there is no switch, no point of an explorer's, and no code of the user's.
                if neighbour {
                    g.note_joined_by_neighbour();
                }
                joiner.into_iter().for_each(Joiner::wake);
                break;
            }
        }
    }
    if seen.is_detached() {
        if counted {
            on_worker(Worker::uncount_end);
        }
        if !is_plain {
            // SAFETY: the handle is gone, and did not see FINISHED: the result is ours.
            unsafe { abandon::<F, T>(g) };
        }
        on_worker(Worker::count_end);
    }
    if let Some(scope) = &task.scope {
        scope.leave();
    }
}

/// Who waits in `join`, in the hands of the goroutine that it waits for.
enum Joiner {
    /// Of the same worker: it cannot run before we have switched away.
    Neighbour(NonNull<G>),
    Elsewhere(GRef),
}

impl Joiner {
    /// JOINER is set, FINISHED is not: the joiner is waiting.
    fn borrow(g: &G) -> Self {
        // SAFETY: `joiner` was written before JOINER was set. Its goroutine (or thread's stand-in) is
        // alive, since its wait ends at FINISHED only.
        let joiner = park::unmarked(unsafe { *g.joiner.get() });
        // SAFETY: as above.
        let waiting = unsafe { joiner.as_ref() };
        if Worker::with_current(|worker| worker.is_some_and(|worker| waiting.is_home(worker))) {
            Self::Neighbour(joiner)
        } else {
            Self::Elsewhere(waiting.reference())
        }
    }

    fn wake(self) {
        match self {
            // SAFETY: alive, as the variant says.
            Self::Neighbour(g) => crate::park::unpark(unsafe { g.as_ref() }),
            Self::Elsewhere(g) => crate::park::unpark(&g),
        }
    }
}

/// Drops a result that nobody wants. A panic is told to the scope, or else reported.
///
/// # Safety
/// As `take_result`.
unsafe fn abandon<F, T>(g: &G) {
    // SAFETY: passed on.
    let payload = match unsafe { take_result::<F, T>(g) } {
        Ok(value) => catch_unwind(AssertUnwindSafe(move || drop(value))).err(),
        Err(payload) => Some(payload),
    };
    let Some(payload) = payload else { return };
    if payload.is::<crate::Exited>() || payload.is::<crate::Cancelled>() {
        return;
    }
    // SAFETY: passed on.
    match &unsafe { task::<F, T>(g) }.scope {
        Some(scope) => scope.panicked(payload),
        None => crate::runtime::unjoined_panic(GoroutineInfo::of(g), payload),
    }
}

/// # Safety
/// The caller owns the result by the rules of `life.rs`, and `g` heads a `Task<F, T>`.
unsafe fn take_result<F, T>(g: &G) -> thread::Result<T> {
    // SAFETY: passed on.
    let task = unsafe { task::<F, T>(g) };
    // SAFETY: the caller owns the body.
    let body = unsafe { &mut *task.body.get() };
    match std::mem::replace(&mut **body, Body::Empty) {
        Body::Finished(result) => result,
        _ => unreachable!("FINISHED promises a result"),
    }
}

/// As `TaskVTable::take`.
///
/// # Safety
/// As `take_result`, and `to` is for a `thread::Result<T>`.
unsafe fn take_result_to<F, T>(g: &G, to: NonNull<u8>) {
    // SAFETY: passed on.
    unsafe { to.cast().write(take_result::<F, T>(g)) };
}

/// # Safety
/// The last reference is gone; `g` heads a `Task<F, T>`.
unsafe fn deallocate<F, T>(g: NonNull<G>) {
    let task = g.cast::<Task<F, T>>();
    // SAFETY: it was made by `new_task`, and nobody can reach it any more. `body` is in ManuallyDrop; the
    // header and the scope's Arc hold nothing of the user's.
    unsafe {
        task.drop_in_place();
        task_memory::free(task.cast(), Layout::new::<Task<F, T>>());
    }
}

/// The receiving end of a goroutine's result: what every join handle holds.
pub(crate) struct ResultSlot<T> {
    /// Given up by `join` or `drop`.
    g: ManuallyDrop<GRef>,
    /// A handle can be moved whatever its result is, as std's.
    result: PhantomData<fn() -> T>,
}

impl<T> ResultSlot<T> {
    pub(crate) fn g(&self) -> &GRef {
        &self.g
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.g.life.is_finished()
    }

    /// As `is_finished`, as a user asks: what was done there happens before, if it is.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn poll(&self) -> bool {
        let is_watched = observe::touch(Op::IsFinished, &**self.g);
        let is_finished = self.is_finished();
        if is_watched && is_finished {
            observe::acquire(&**self.g);
        }
        is_finished
    }

    /// Waits for the end and takes the result.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn join(self) -> thread::Result<T> {
        let is_watched = observe::touch(Op::Join, &**self.g);
        if !self.is_finished() {
            self.wait();
        }
        if is_watched {
            observe::acquire(&**self.g);
        }
        let mut this = ManuallyDrop::new(self);
        // SAFETY: FINISHED is set and DETACHED never will be, so the result is ours; `this` is used no
        // more, and its reference is given up exactly once.
        unsafe {
            let mut result = MaybeUninit::<thread::Result<T>>::uninit();
            (this.g.vtable.take)(&this.g, NonNull::from(&mut result).cast());
            ManuallyDrop::drop(&mut this.g);
            result.assume_init()
        }
    }

    /// Others may borrow what this goroutine gives back, so the wait cannot be cancelled: it ends at
    /// FINISHED, whatever stray tokens come.
    #[inline(always)]
    fn wait(&self) {
        crate::park::with_current(|current| {
            assert!(
                !std::ptr::eq(current, &raw const **self.g),
                "goroutine {} tried to join itself: it would wait for its own end for ever",
                self.g.id
            );
            // SAFETY: before JOINER is set the field is the handle's alone.
            unsafe { *self.g.joiner.get() = park::marked(NonNull::from(current)) };
        });
        self.g.life.announce_joiner();
        let guard = AbortOnUnwind("the wait for a goroutine's end");
        while !self.is_finished() {
            crate::park::park(WaitReason::Join);
        }
        std::mem::forget(guard);
    }
}

impl<T> Drop for ResultSlot<T> {
    fn drop(&mut self) {
        if self.g.life.detach() {
            return;
        }
        // SAFETY: the goroutine has finished and saw no DETACHED, so the result is ours.
        unsafe { (self.g.vtable.abandon)(&self.g) };
        // SAFETY: the reference is given up here or above, and not used again.
        unsafe { ManuallyDrop::drop(&mut self.g) };
    }
}
