//! Walks for profiles of waits, and for what checks and the watch of lock orders tell: of a goroutine that is switched out, and of the caller.
//!
//! A walk needs more stack than a small goroutine has. The first kind is done by the worker, on its own stack; the second
//! on a stack that is kept for that. A few can be under way at a time.

use super::unwind::{Cache, End, Registers, StackMemory, here, refresh, unwind};
#[cfg(feature = "pprof")]
use crate::sched::g::G;
use crate::sched::worker::Worker;
use crate::stack::cache::StackCache;
use crate::stack::{Stack, own_threads};
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Deeper stacks are cut at the outer end.
const MAX_FRAMES: usize = 128;
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
    let bounds = bounds_of_caller().filter(|bounds| bounds.contains(&from.sp));
    let mut tools = tools();
    let Tools { cache, stack } = tools.as_mut().expect("filled in");
    let (Some(bounds), Some((start, slot))) = (bounds, *stack) else {
        return Walked { addresses: [0; MAX_FRAMES], frames: 0, end: End::Complete };
    };
    // SAFETY: from the cache, and ours alone, as long as we hold the lock. (Dropping it does nothing.)
    let stack = unsafe { Stack::from_slot(start, slot) };
    // SAFETY: the caller's own stack, from where it is in use to its end. It stands still: we are its top.
    corosensei::on_stack(stack, || unsafe { walk(cache, from, from.sp..bounds.end) })
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

fn bounds_of_caller() -> Option<Range<usize>> {
    let of_goroutine = Worker::with_current(|worker| {
        crate::park::running(worker).map(|(worker, g)| g.pinned(worker).stack_bounds.get())
    });
    of_goroutine.map(|(low, high)| low..high).or_else(bounds_of_thread)
}

/// To ask the system takes long, above all for the main thread.
fn bounds_of_thread() -> Option<Range<usize>> {
    thread_local! {
        static BOUNDS: OnceCell<Option<Range<usize>>> = const { OnceCell::new() };
    }
    BOUNDS.try_with(|bounds| bounds.get_or_init(own_threads::bounds_of_current).clone()).ok().flatten()
}
