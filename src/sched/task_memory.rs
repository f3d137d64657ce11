//! Memory for goroutine objects: blocks of a few sizes, kept for reuse.
//!
//! Goroutine objects come and go by the million, are often made on one thread and freed on another, and a
//! burst of them must not cost a system call each page. glibc's allocator does just that in threads other
//! than the first (`mprotect` for every 4 KiB, each waiting for the lock on the address space that stack
//! preparation holds: 2.4 s of a million starts, measured). So blocks are carved from chunks that double
//! in size, each worker keeps a list of free ones, and what it has too many of goes to a shared list, in
//! batches.
//!
//! A block that holds no goroutine says so (`debug::unstarted` looks): its wake word is DONE, as an ended goroutine leaves
//! it.
//!
//! Chunks are never given back, only their blocks reused: what a burst needed stays for the next one. (Go
//! keeps its `g` structures likewise.) Objects with large closures use the global allocator directly, and
//! so do all of them under a sanitizer, which could not see a use after free otherwise.

use super::g::{DONE, G};
use super::worker::Worker;
use crate::stack::guard;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

const SIZES: [usize; 3] = [128, 192, 320];
const ALIGN: usize = 16;
/// Blocks that change hands at a time.
const BATCH: usize = 1024;
const SMALLEST_CHUNK: usize = 16 * 1024;
/// A huge page: one page fault, and one place in the processor's table of pages, for thousands of blocks.
const LARGEST_CHUNK: usize = 2 * 1024 * 1024;

struct Block(NonNull<u8>);

// SAFETY: a free block is nobody's; who holds the value may use it, on any thread.
unsafe impl Send for Block {}

/// One worker's free blocks.
pub(crate) struct TaskMemory {
    free: [RefCell<Vec<Block>>; SIZES.len()],
    chunk: Cell<usize>,
}

/// Batches of free blocks that no worker holds.
static SHARED: [Mutex<Vec<Vec<Block>>>; SIZES.len()] = [const { Mutex::new(Vec::new()) }; SIZES.len()];

/// All chunks, with the size of their blocks.
static CHUNKS: Mutex<Vec<(Range<usize>, usize)>> = Mutex::new(Vec::new());

pub(crate) fn chunks() -> Vec<(Range<usize>, usize)> {
    CHUNKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A constant, where the layout is one.
#[inline(always)]
const fn class_of(layout: Layout) -> Option<usize> {
    if cfg!(feature = "sanitizer") || crate::tsan::IS_ON || layout.align() > ALIGN {
        return None;
    }
    let mut class = 0;
    while class < SIZES.len() {
        if layout.size() <= SIZES[class] {
            return Some(class);
        }
        class += 1;
    }
    None
}

/// Memory for a goroutine object of this layout.
#[inline(always)]
pub(crate) fn allocate(layout: Layout) -> NonNull<u8> {
    let Some(class) = class_of(layout) else { return from_global(layout) };
    Worker::with_current(|worker| match worker {
        Some(worker) => worker.task_memory.allocate(class),
        None => allocate_outside(class),
    })
}

/// Takes back what `allocate` gave for the same layout.
///
/// # Safety
/// Nobody uses the memory any more.
#[inline(always)]
pub(crate) unsafe fn free(memory: NonNull<u8>, layout: Layout) {
    let Some(class) = class_of(layout) else {
        // SAFETY: came from `from_global` with this layout, and is in nobody's use.
        return unsafe { dealloc(memory.as_ptr(), layout) };
    };
    Worker::with_current(|worker| match worker {
        Some(worker) => worker.task_memory.free(class, Block(memory)),
        None => free_outside(class, Block(memory)),
    });
}

fn from_global(layout: Layout) -> NonNull<u8> {
    // SAFETY: no object has size zero: each holds a `G`.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn shared(class: usize) -> std::sync::MutexGuard<'static, Vec<Vec<Block>>> {
    SHARED[class].lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn allocate_outside(class: usize) -> NonNull<u8> {
    let mut shared = shared(class);
    if let Some(block) = shared.last_mut().and_then(Vec::pop) {
        return block.0;
    }
    shared.retain(|batch| !batch.is_empty());
    if let Some(block) = shared.last_mut().and_then(Vec::pop) {
        return block.0;
    }
    let mut blocks = carve(class, SMALLEST_CHUNK);
    let block = blocks.pop().expect("a chunk holds many blocks");
    shared.push(blocks);
    block.0
}

#[cold]
fn free_outside(class: usize, block: Block) {
    let mut shared = shared(class);
    match shared.last_mut() {
        Some(batch) if batch.len() < BATCH => batch.push(block),
        _ => shared.push(vec![block]),
    }
}

impl TaskMemory {
    pub(crate) fn new() -> Self {
        Self { free: Default::default(), chunk: Cell::new(SMALLEST_CHUNK) }
    }

    #[inline(always)]
    fn allocate(&self, class: usize) -> NonNull<u8> {
        let mut free = self.free[class].borrow_mut();
        match free.pop() {
            Some(block) => block.0,
            None => self.refill(class, &mut free),
        }
    }

    #[cold]
    fn refill(&self, class: usize, free: &mut Vec<Block>) -> NonNull<u8> {
        let batch = shared(class).pop();
        *free = match batch {
            Some(batch) if !batch.is_empty() => batch,
            _ => {
                let chunk = self.chunk.get();
                self.chunk.set((chunk * 2).min(LARGEST_CHUNK));
                carve(class, chunk)
            }
        };
        free.pop().expect("neither a batch nor a chunk is empty").0
    }

    #[inline(always)]
    fn free(&self, class: usize, block: Block) {
        let mut free = self.free[class].borrow_mut();
        free.push(block);
        if free.len() >= 2 * BATCH {
            Self::share(class, &mut free);
        }
    }

    #[cold]
    fn share(class: usize, free: &mut Vec<Block>) {
        let keep = free.len() - BATCH;
        let spare = free.split_off(keep);
        shared(class).push(spare);
    }
}

impl Drop for TaskMemory {
    fn drop(&mut self) {
        for (class, free) in self.free.iter().enumerate() {
            let blocks = free.take();
            if !blocks.is_empty() {
                shared(class).push(blocks);
            }
        }
    }
}

/// The blocks of a new chunk, which lives for ever.
fn carve(class: usize, chunk: usize) -> Vec<Block> {
    let is_huge = chunk == LARGEST_CHUNK;
    let align = if is_huge { LARGEST_CHUNK } else { crate::stack::PAGE };
    let layout = Layout::from_size_align(chunk, align).expect("a valid layout");
    let start = from_global(layout);
    let address = start.as_ptr().expose_provenance();
    if is_huge {
        guard::use_huge_pages(address, chunk, true);
    }
    guard::populate(&[address], |start| (start, chunk));
    let size = SIZES[class];
    let block = |index: usize| {
        // SAFETY: the offset lies within the chunk.
        let block = unsafe { start.add(index * size) };
        // SAFETY: within the block, which is as large as a goroutine object at the least. It says that this is none.
        unsafe { block.add(offset_of!(G, wake)).write(DONE) };
        Block(block)
    };
    let blocks = (0..chunk / size).rev().map(block).collect();
    CHUNKS.lock().unwrap_or_else(PoisonError::into_inner).push((address..address + chunk, size));
    blocks
}
