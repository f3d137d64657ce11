//! Walks for profiles of waits, and for what checks, the race detector and the watch of lock orders tell: of a goroutine
//! that is switched out, and of the caller.
//!
//! A walk needs more stack than a small goroutine has. The first kind is done by the worker, on its own stack; the second
//! on a stack that is kept for that. A few can be under way at a time. Who asks often remembers his walks: `known_walks`.

use super::known_walks::{self, Notes};
use super::unwind::{Cache, End, Outcome, Registers, StackMemory, here, refresh, unwind};
use crate::of_thread::of_thread;
#[cfg(feature = "pprof")]
use crate::sched::g::G;
use crate::sched::worker::Worker;
use crate::stack::cache::StackCache;
use crate::stack::{Stack, own_threads};
use std::ops::Range;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Deeper stacks are cut at the outer end.
pub(super) const MAX_FRAMES: usize = 128;
/// So many walks can be under way.
const AT_ONCE: usize = 4;
/// What a walk may need, and more.
const STACK: usize = 64 * 1024;

/// The addresses of a stack's calls, the innermost first, to be kept.
pub(crate) type Addresses = Arc<[usize]>;

/// The addresses of a stack's calls, the innermost first.
pub(super) struct Walked {
    addresses: [usize; MAX_FRAMES],
    frames: usize,
    end: End,
}

impl Walked {
    pub(super) fn addresses(&self) -> &[usize] {
        &self.addresses[..self.frames]
    }
}

/// What walks need.
struct Tools {
    cache: Cache,
    /// The start and the size of the slot of a stack.
    stack: Option<(usize, usize)>,
}

fn tools() -> MutexGuard<'static, Option<Tools>> {
    static TOOLS: [Mutex<Option<Tools>>; AT_ONCE] = [const { Mutex::new(None) }; AT_ONCE];
    let free = TOOLS.iter().find_map(|tools| match tools.try_lock() {
        Ok(tools) => Some(tools),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    });
    let mut tools = free.unwrap_or_else(|| TOOLS[0].lock().unwrap_or_else(PoisonError::into_inner));
    tools.get_or_insert_with(|| {
        let stack = StackCache::new(STACK).take(None).ok();
        Tools { cache: Cache::new(), stack: stack.map(|stack| (stack.start(), stack.slot())) }
    });
    tools
}

/// # Safety
/// All of `stack` is mapped and readable.
unsafe fn walk(cache: &mut Cache, from: Registers, stack: Range<usize>) -> Walked {
    let mut addresses = [0; MAX_FRAMES];
    // SAFETY: as the caller promises.
    let outcome = unsafe { unwind(cache, from, &StackMemory::in_place(stack), &mut addresses) };
    Walked { addresses, frames: outcome.frames, end: outcome.end }
}

/// The stack of `g`, which is switched out. For its worker, on the worker's own stack.
#[cfg(feature = "pprof")]
pub(super) fn of_parked(worker: &Worker, g: &G) -> Walked {
    let (low, high) = g.pinned(worker).stack_bounds.get();
    let from = g.pinned(worker).registers.get();
    let mut tools = tools();
    // SAFETY: the stack of a goroutine that has started; its worker, which could run or end it, is here.
    unsafe { walk(&mut tools.as_mut().expect("filled in").cache, from, low.max(from.sp)..high) }
}

/// The caller's stack. Empty if the caller is a thread of which nobody knows where its stack lies.
#[inline(never)]
pub(super) fn of_caller() -> Walked {
    let from = here();
    // SAFETY: the caller's own stack, from where it is in use to its end. It stands still: we are its top.
    let walked = on_a_stack(from, |cache, bounds| unsafe { walk(cache, from, bounds) });
    walked.unwrap_or(Walked { addresses: [0; MAX_FRAMES], frames: 0, end: End::Complete })
}

/// Calls `f` on a stack that has room for walks, with the bounds of the one that the caller is on, at `from`, if they are known.
fn on_a_stack<R>(from: Registers, f: impl FnOnce(&mut Cache, Range<usize>) -> R) -> Option<R> {
    let bounds = bounds_of_caller().filter(|bounds| bounds.contains(&from.sp))?;
    let mut tools = tools();
    let Tools { cache, stack } = tools.as_mut().expect("filled in");
    let (start, slot) = (*stack)?;
    // SAFETY: from the cache, and ours alone, as long as we hold the lock. (Dropping it does nothing.)
    let stack = unsafe { Stack::from_slot(start, slot) };
    Some(corosensei::on_stack(stack, || f(cache, from.sp..bounds.end)))
}

/// The caller's stack, as [`of_caller`] finds it, once more if a library has been loaded meanwhile.
#[inline(never)]
pub(crate) fn addresses_of_caller() -> Addresses {
    let mut walked = of_caller();
    if walked.end == End::Lost {
        refresh();
        walked = of_caller();
    }
    walked.addresses().into()
}

/// A place on the caller's stack, from which there will be a walk before the caller returns.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    from: Registers,
    /// Any number that tells apart the user's places from which this is reached.
    place: usize,
}

impl Here {
    #[inline(always)]
    pub(crate) fn for_calls_from(place: &'static Location<'static>) -> Self {
        Self { from: here(), place: std::ptr::from_ref(place).addr() }
    }

    /// Calls `f` with the calls under way there, if this thread has walked them before. Some 20 ns.
    ///
    /// # Safety
    /// Whoever made it has not returned.
    #[inline(always)]
    pub(crate) unsafe fn with_known<R>(&self, f: impl FnOnce(&Addresses) -> R) -> Option<R> {
        // What a thread has walked is shared by its goroutines.
        let _quiet = crate::tsan::quiet();
        let bounds = bounds_of_caller().filter(|bounds| bounds.contains(&self.from.sp))?;
        // SAFETY: as the caller promises, these frames are in use.
        unsafe { known_walks::with_known(&self.from, bounds.end, self.place, f) }
    }

    /// The calls under way there, which are then known.
    ///
    /// # Safety
    /// Whoever made it has not returned.
    pub(crate) unsafe fn addresses(&self) -> Addresses {
        let _quiet = crate::tsan::quiet();
        // SAFETY: as the caller promises.
        let walk = |notes: &mut Notes| unsafe { self.walk(notes) };
        let mut notes = Notes::new(self.from);
        let mut outcome = walk(&mut notes);
        if outcome.end == End::Lost {
            refresh();
            notes = Notes::new(self.from);
            outcome = walk(&mut notes);
        }
        let addresses: Addresses = notes.addresses(outcome).into();
        if let Some(bounds) = bounds_of_caller() {
            known_walks::remember(&notes, bounds.end, self.place, Arc::clone(&addresses));
        }
        addresses
    }

    /// # Safety
    /// Whoever made it has not returned.
    unsafe fn walk(&self, notes: &mut Notes) -> Outcome {
        // SAFETY: the caller's own stack, from where it is in use to its end. It stands still: we are its top.
        let outcome =
            on_a_stack(self.from, |cache, bounds| unsafe { notes.walk(cache, &StackMemory::in_place(bounds)) });
        outcome.unwrap_or(Outcome { frames: 0, end: End::Complete })
    }
}

fn bounds_of_caller() -> Option<Range<usize>> {
    let of_goroutine = Worker::with_current(|worker| {
        crate::park::running(worker).map(|(worker, g)| g.pinned(worker).stack_bounds.get())
    });
    of_goroutine.map(|(low, high)| low..high).or_else(bounds_of_thread)
}

/// Where the calling thread's stack lies. To ask the system takes long, above all for the main thread: it is asked once.
pub(crate) fn bounds_of_thread() -> Option<Range<usize>> {
    of_thread().walks.bounds.get_or_init(own_threads::bounds_of_current).clone()
}
