//! Goroutine stacks: where they come from, how they are guarded, and what happens when one overflows.
//!
//! All stacks of the process lie in one reserved, size-aligned address range ([`slab`]), so that "does this
//! word point into a stack?" is a shift and a compare (the thread-local scan depends on it). Stacks are
//! carved from slabs; the lowest 64 KiB of each are its guard ([`guard`]); freed ones are kept warm by each
//! worker, and their pages go back to the system when nobody needs them ([`cache`]). A hit on a guard is
//! reported by a signal handler ([`overflow`]).
//!
//! ```text
//!  slot start (256 KiB aligned)                                        slot end = Stack::base
//!  | guard, 64 KiB: any touch is a fault | usable, 192 KiB ... <- grows down | reserved, 256 B |
//! ```
//!
//! Rejected:
//! - A memory map for each stack: a process ends at 32,000 of them (`vm.max_map_count`).
//! - Growing stacks by copying, as Go does: Rust code holds addresses into its stack.
//! - A smaller guard: C code compiled without stack probes can jump over one page.

pub(crate) mod cache;
pub(crate) mod guard;
pub(crate) mod overflow;
pub(crate) mod own_threads;
pub(crate) mod slab;

use std::fmt;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

pub(crate) const PAGE: usize = 4096;
/// Bytes at the high end of each slot that belong to the scheduler, not to the stack.
pub(crate) const RESERVED: usize = 256;
/// Address space below each stack that faults when touched.
pub(crate) const GUARD: usize = 64 * 1024;
/// Address space of a stack of the default class, guard included.
pub(crate) const DEFAULT_SLOT: usize = 256 * 1024;

/// The default usable stack of a goroutine in bytes: 192 KiB. With its guard of 64 KiB it takes 256 KiB
/// of address space; of memory it takes what is touched, one page of 4 KiB at the start.
pub const DEFAULT_STACK_SIZE: usize = DEFAULT_SLOT - GUARD;

/// The largest stack that can be asked for: 1 GiB.
pub const MAX_STACK_SIZE: usize = 1 << 30;

/// The smallest stack that is made: 16 KiB. Smaller wishes get this.
pub const MIN_STACK_SIZE: usize = 16 * 1024;

/// The slot that a stack of `size` usable bytes needs.
pub(crate) fn slot_for(size: usize) -> usize {
    size.clamp(MIN_STACK_SIZE, MAX_STACK_SIZE).next_multiple_of(PAGE) + GUARD
}

/// One stack: guarded, and owned by whoever holds this value. Dropping it leaks it; it goes back through
/// a cache.
#[derive(Debug)]
pub(crate) struct Stack {
    base: NonZeroUsize,
    slot: usize,
}

impl Stack {
    /// # Safety
    /// The slot `[start, start + slot)` is mapped, guarded, and the caller's alone.
    pub(crate) unsafe fn from_slot(start: usize, slot: usize) -> Self {
        Self { base: NonZeroUsize::new(start + slot - RESERVED).expect("no slot lies at address zero"), slot }
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// The start of the slot, which is the start of the guard.
    pub(crate) fn start(&self) -> usize {
        self.base.get() + RESERVED - self.slot
    }

    /// `RESERVED` bytes above the stack, writable, 16-byte aligned, the owner's to use.
    pub(crate) fn reserved(&self) -> NonNull<u8> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(self.base.get())).expect("not null")
    }

    /// Lowest and highest usable address.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.start() + GUARD, self.base.get())
    }
}

// SAFETY: `from_slot` promises a mapped region with a guard at its low end, aligned to pages, and of at
// least MIN_STACK_SIZE usable bytes.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> NonZeroUsize {
        self.base
    }

    fn limit(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.start()).expect("no slot starts at address zero")
    }
}

/// Why no stack could be had. Everything that runs already is unharmed.
#[derive(Clone, Debug)]
pub(crate) enum StackError {
    /// The reserved address range is used up.
    Range { reserved: usize },
    /// No address range could be reserved at all.
    Reserve { errno: i32 },
    /// The kernel refused memory for a slab.
    Memory { errno: i32 },
    /// Guards take memory maps on this system, and there are no more.
    Maps { errno: i32 },
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = |errno: i32| std::io::Error::from_raw_os_error(errno);
        match *self {
            Self::Range { reserved } => write!(
                f,
                "no address space left for goroutine stacks: all {} GiB that lisle could reserve are in use. \
                 Ask for smaller stacks (Builder::stack_size), run fewer goroutines at once, or, if it is \
                 set, raise the limit on address space (ulimit -v)",
                reserved >> 30
            ),
            Self::Reserve { errno } => write!(
                f,
                "cannot reserve address space for goroutine stacks: {}. Raise the limit on address space \
                 (ulimit -v) or, under mlockall, on locked memory (ulimit -l)",
                system(errno)
            ),
            Self::Memory { errno } => write!(
                f,
                "the kernel refuses memory for goroutine stacks: {}. Raise the limits on data or address \
                 space (ulimit -d, ulimit -v), or check vm.overcommit_memory and the memory limit of the \
                 container",
                system(errno)
            ),
            Self::Maps { errno } => write!(
                f,
                "no memory map left for the guard of a goroutine's stack: {}. This kernel has no guard \
                 advice (Linux 6.13) or refuses it, so each stack takes two maps; the limit is \
                 vm.max_map_count = {}. Raise it: sysctl -w vm.max_map_count=N",
                system(errno),
                slab::max_map_count()
            ),
        }
    }
}

impl std::error::Error for StackError {}

impl From<StackError> for std::io::Error {
    fn from(error: StackError) -> Self {
        std::io::Error::new(std::io::ErrorKind::OutOfMemory, error)
    }
}
