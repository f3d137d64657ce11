//! Walks for profiles of waits and for the watch of lock orders: of a goroutine that is switched out, and of the caller.
//!
//! A walk needs more stack than a small goroutine has. The first kind is done by the worker, on its own stack; the second
//! on a stack that is kept for that, one at a time.

use super::unwind::{Cache, Registers, StackMemory, here, unwind};
use crate::sched::g::G;
use crate::sched::worker::Worker;
use crate::stack::cache::StackCache;
use crate::stack::{Stack, own_threads};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Deeper stacks are cut at the outer end.
const MAX_FRAMES: usize = 128;
/// What a walk may need, and more.
const STACK: usize = 64 * 1024;

/// The addresses of a stack's calls, the innermost first.
pub(super) struct Walked {
    addresses: [usize; MAX_FRAMES],
    frames: usize,
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
    static TOOLS: Mutex<Option<Tools>> = Mutex::new(None);
    let mut tools = TOOLS.lock().unwrap_or_else(PoisonError::into_inner);
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
    let frames = unsafe { unwind(cache, from, &StackMemory::in_place(stack), &mut addresses) }.frames;
    Walked { addresses, frames }
}

/// The stack of `g`, which is switched out. For its worker, on the worker's own stack.
#[cfg_attr(not(feature = "pprof"), allow(dead_code))]
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
        return Walked { addresses: [0; MAX_FRAMES], frames: 0 };
    };
    // SAFETY: from the cache, and ours alone, as long as we hold the lock. (Dropping it does nothing.)
    let stack = unsafe { Stack::from_slot(start, slot) };
    // SAFETY: the caller's own stack, from where it is in use to its end. It stands still: we are its top.
    corosensei::on_stack(stack, || unsafe { walk(cache, from, from.sp..bounds.end) })
}

fn bounds_of_caller() -> Option<Range<usize>> {
    let of_goroutine = Worker::with_current(|worker| {
        crate::park::running(worker).map(|(worker, g)| g.pinned(worker).stack_bounds.get())
    });
    of_goroutine.map(|(low, high)| low..high).or_else(|| own_threads::stack_of(own_threads::current()))
}
