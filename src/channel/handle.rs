//! How the ends of a channel share it: who counts, where it lies in memory, and who gives the memory back.
//!
//! Each side counts its handles (`Core::senders`, `Core::receivers`). The last handle of a side closes the channel and
//! then marks it as *abandoned by one side*; who finds that mark there already is the last of all, and frees it. (The
//! scheme of crossbeam-channel's `counter.rs`.) A channel without senders bears the mark from the beginning.
//!
//! # Why nobody touches what is freed
//! All that is done with a channel is done by somebody who has a handle, until it returns. A handle's last act is the
//! decrement (AcqRel), or, if that was its side's last, the exchange of the mark (AcqRel). Decrements of one side form a
//! chain that ends in the one who sees 1; his exchange comes after all of them. So whoever frees acquires everything
//! that both sides have done.
//!
//! # Where it lies
//! At the beginning of a cache line: what changes when a message passes from hand to hand is to be one line (`wait.rs`).
//!
//! Rejected: `Arc`, which counts all handles once more (two locked instructions for each clone and its end, 16 ns here),
//! and an alignment that the allocator sees to: glibc keeps no such blocks at hand (a tree of goroutines with a channel
//! for ten of them: 14 % slower).

use super::core::{Core, Side};
use crate::atomics::{Ordering, alloc, dealloc};
use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

const CACHE_LINE: usize = 64;
/// What allocators grant anyhow.
const GRAIN: usize = 16;

/// One of a side's handles. It is given up by [`leave`](Handle::leave), since only its owner knows the side.
pub(super) struct Handle<T> {
    core: NonNull<Core<T>>,
    owns: PhantomData<Core<T>>,
}

// SAFETY: it shares the core, and may be the one that drops it, as an `Arc` would.
unsafe impl<T> Send for Handle<T> where Core<T>: Send + Sync {}
// SAFETY: as above.
unsafe impl<T> Sync for Handle<T> where Core<T>: Send + Sync {}

impl<T> Handle<T> {
    /// The first handles of both sides.
    pub(super) fn pair(core: Core<T>) -> (Self, Self) {
        let core = allocate(core);
        (Self::at(core), Self::at(core))
    }

    /// The first handle of the receivers, of a channel that has no senders.
    pub(super) fn of_receivers(core: Core<T>) -> Self {
        core.abandoned.store(true, Ordering::Relaxed);
        Self::at(allocate(core))
    }

    fn at(core: NonNull<Core<T>>) -> Self {
        Self { core, owns: PhantomData }
    }

    /// One more of this side, which must be this handle's.
    pub(super) fn another(&self, side: Side) -> Self {
        self.add(side);
        Self::at(self.core)
    }

    pub(super) fn is_of_same_channel(&self, other: &Self) -> bool {
        self.core == other.core
    }

    /// Gives the handle up.
    ///
    /// # Safety
    /// It is of this side, and is not used any more.
    pub(super) unsafe fn leave(&self, side: Side) {
        self.tell_leaving(side);
        // Not in a method of the core's: once this count is down, others may free it, and a reference that is an argument must
        // be good until the function returns. (The count itself is no such thing: all of it may change.)
        if self.handles(side).fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // They are dropped at the very end: that may panic.
        let _messages = self.lose(side);
        if self.abandoned.swap(true, Ordering::AcqRel) {
            // SAFETY: both sides are gone, see the top.
            unsafe { free(self.core) };
        }
    }
}

impl<T> Deref for Handle<T> {
    type Target = Core<T>;

    #[inline(always)]
    fn deref(&self) -> &Core<T> {
        // SAFETY: it is there as long as a handle is.
        unsafe { self.core.as_ref() }
    }
}

/// Room to move a core to the beginning of a cache line.
const fn layout<T>() -> Layout {
    const { assert!(align_of::<Core<T>>() <= GRAIN) };
    let size = size_of::<Core<T>>() + CACHE_LINE - GRAIN;
    match Layout::from_size_align(size, GRAIN) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

fn allocate<T>(mut core: Core<T>) -> NonNull<Core<T>> {
    let layout = layout::<T>();
    // SAFETY: its size is not zero.
    let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
    let offset = block.as_ptr().addr().wrapping_neg() % CACHE_LINE;
    core.offset = offset as u8;
    // SAFETY: the block begins at a multiple of GRAIN, so that this leaves room for a core, which is aligned.
    unsafe {
        let place = block.add(offset).cast();
        place.write(core);
        place
    }
}

/// # Safety
/// It came from `allocate`, and nobody uses it any more.
unsafe fn free<T>(core: NonNull<Core<T>>) {
    // SAFETY: as the caller says; where the block begins was written down when it was made.
    unsafe {
        let block = core.cast::<u8>().sub(usize::from(core.as_ref().offset));
        core.drop_in_place();
        dealloc(block.as_ptr(), layout::<T>());
    }
}
