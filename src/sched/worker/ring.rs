//! [`Ring`]: a queue that belongs to one thread.
//!
//! Rejected: a `VecDeque` in a `RefCell`. A goroutine that yields is put into the queue and taken out of it, and of the
//! stores that this takes, which bound a switch more than its instructions do, half were of the borrow's flag.
//!
//! # Why no flag is needed
//! The ring is not `Sync`, and while a method has a reference to the slots it calls nobody. The one call that may lead back
//! here is the allocator's, which may be the program's own and use lisle: `grow` makes it while nothing is borrowed and the
//! ring is whole, and looks again afterwards.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;

/// A queue of plain values, first in, first out.
pub(super) struct Ring<T> {
    /// None, or a power of two.
    slots: UnsafeCell<Box<[MaybeUninit<T>]>>,
    /// How many were ever taken, and how many ever put in. The slots of those between are initialised.
    taken: Cell<usize>,
    put: Cell<usize>,
}

const SMALLEST: usize = 16;

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { slots: UnsafeCell::default(), taken: Cell::new(0), put: Cell::new(0) }
    }
}

impl<T: Copy> Ring<T> {
    #[inline(always)]
    pub(super) fn push(&self, value: T) {
        let put = self.put.get();
        // SAFETY: no other reference to the slots is there, as the top of the file argues.
        let slots = unsafe { &mut *self.slots.get() };
        if put.wrapping_sub(self.taken.get()) == slots.len() {
            self.grow();
            return self.push(value);
        }
        let place = put & (slots.len() - 1);
        slots[place] = MaybeUninit::new(value);
        self.put.set(put.wrapping_add(1));
    }

    #[inline(always)]
    pub(super) fn pop(&self) -> Option<T> {
        let value = self.get(0)?;
        self.taken.set(self.taken.get().wrapping_add(1));
        Some(value)
    }

    /// The one that has so many before it.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: as in `push`.
        let slots = unsafe { &*self.slots.get() };
        let slot = slots[self.taken.get().wrapping_add(index) & (slots.len() - 1)];
        // SAFETY: it is one of those between `taken` and `put`.
        Some(unsafe { slot.assume_init() })
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.put.get().wrapping_sub(self.taken.get())
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.put.get() == self.taken.get()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }

    pub(super) fn clear(&self) {
        self.taken.set(self.put.get());
    }

    /// Takes out the first for which this holds, from wherever it is. Says whether there was one.
    pub(super) fn remove(&self, mut is_it: impl FnMut(T) -> bool) -> bool {
        let mut was_there = false;
        for _ in 0..self.len() {
            let Some(value) = self.pop() else { break };
            if !was_there && is_it(value) {
                was_there = true;
            } else {
                self.push(value);
            }
        }
        was_there
    }

    #[cold]
    #[inline(never)]
    fn grow(&self) {
        let mut larger = Box::new_uninit_slice((2 * self.capacity()).max(SMALLEST));
        // Whoever came back here meanwhile may have made it as large.
        if larger.len() <= self.capacity() {
            return;
        }
        let (taken, mask) = (self.taken.get(), larger.len() - 1);
        for (index, value) in self.iter().enumerate() {
            larger[taken.wrapping_add(index) & mask] = MaybeUninit::new(value);
        }
        // SAFETY: as in `push`; the iterator is gone.
        let smaller = std::mem::replace(unsafe { &mut *self.slots.get() }, larger);
        // Calls the allocator, but with a box that is the ring's no more.
        drop(smaller);
    }

    fn capacity(&self) -> usize {
        // SAFETY: as in `push`.
        unsafe { &*self.slots.get() }.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_in_the_same_order_however_it_grows_and_wraps() {
        let ring = Ring::default();
        // Just before the counters wrap around.
        ring.taken.set(usize::MAX - 5);
        ring.put.set(usize::MAX - 5);
        let (mut put, mut taken) = (0, 0);
        for round in 1..80 {
            for _ in 0..round {
                ring.push(put);
                put += 1;
            }
            assert_eq!(ring.iter().collect::<Vec<_>>(), (taken..put).collect::<Vec<_>>());
            for _ in 0..round / 2 {
                assert_eq!(ring.pop(), Some(taken));
                taken += 1;
            }
            assert_eq!((ring.len(), ring.is_empty()), (put - taken, put == taken));
        }
        assert_eq!((ring.get(0), ring.get(put - taken)), (Some(taken), None));
        ring.clear();
        assert_eq!((ring.pop(), ring.is_empty()), (None, true));
    }

    #[test]
    fn one_is_taken_from_among_the_others() {
        let ring = Ring::default();
        (0..20).for_each(|n| ring.push(n));
        assert!(ring.remove(|n| n % 7 == 6));
        assert!(!ring.remove(|n| n == 6));
        assert_eq!(ring.iter().collect::<Vec<_>>(), (0..20).filter(|&n| n != 6).collect::<Vec<_>>());
    }
}
