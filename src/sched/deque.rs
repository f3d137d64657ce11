//! [`Deque`]: a worker's fresh goroutines. Its owner puts them in and takes them out at one end, last in, first out; thieves
//! take the oldest from the other end.
//!
//! Chase and Lev, *Dynamic circular work-stealing deque* (SPAA 2005), with the orderings of Lê, Pop, Cohen and Zappa Nardelli,
//! *Correct and efficient work-stealing for weak memory models* (PPoPP 2013).
//!
//! # The protocol
//! `top` counts what was ever taken from the thieves' end, `bottom` the owner's end; what lies there has the numbers from the
//! one to the other, and each number its place in the ring of slots. Only the owner writes `bottom` and slots. `top` only
//! grows, by a compare-exchange: whoever makes it from n to n + 1 has the item with number n.
//!
//! # Why nothing is taken twice
//! - Two thieves, or a thief and the owner who takes the last one: the compare-exchange decides.
//! - The owner takes n without it if it then finds `top` below n. It has written n to `bottom` before, and the thief that comes
//!   for n has read `top` = n before it reads `bottom`; both have a fence between the two, one of which is first. If it is
//!   the owner's, the thief reads a `bottom` of n, and turns away (or a later one: then a new item has n). If it is the
//!   thief's, the owner reads what the thief has read, a `top` of n at least, and takes the other way.
//!
//! # Why what is read is right
//! A thief reads the slot before its compare-exchange, and uses what it has read only if that succeeds: `top` was n all the
//! while. Until it is n + 1 the owner does not write to the slot of n in this ring: that would be for the number n + length,
//! for which it looks at `top` first (Acquire: it comes after the reads of all who have taken something). What the owner wrote
//! comes with `bottom` (Release, Acquire), a larger ring included; in the smaller one that a thief may still look at, nothing
//! changes any more.
//!
//! # Memory
//! A ring that is full is followed by one of twice its length. The smaller ones stay, for thieves that still look there, as
//! long as the deque, all of them as large as the present one; and that does not shrink: 16 to 32 bytes for each goroutine that
//! ever waited here at once, where its own object is kept as well (`task_memory`) and takes 128 at least. What is left in slots
//! must not keep anything alive in the eyes of the search for leaks, which passes over the rings ([`Stealer::rings`]).
//!
//! Rejected: crossbeam's deque, which was here before. It gives a ring back as it empties: each burst of a million paid again
//! for page faults and copies, an eighth of what it takes to start and end them.

use crate::atomics::{AtomicPtr, AtomicUsize, Ordering, fence, spin_loop};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

/// What lies in a deque: a value that is an address.
///
/// # Safety
/// What `into_raw` gives is good for one `from_raw`, on any thread to which the value may go.
pub(crate) unsafe trait Word {
    type Target;

    fn into_raw(self) -> NonNull<Self::Target>;

    /// # Safety
    /// `raw` comes from `into_raw`, and this is the one time that it is used.
    unsafe fn from_raw(raw: NonNull<Self::Target>) -> Self;
}

const SHORTEST: usize = if cfg!(loom) { 2 } else { 256 };

struct Ring<T> {
    /// A power of two.
    slots: Box<[AtomicPtr<T>]>,
    /// The one before, at which thieves may still look; or null.
    smaller: *mut Self,
}

impl<T> Ring<T> {
    fn new(length: usize, smaller: *mut Self) -> Self {
        Self { slots: (0..length).map(|_| AtomicPtr::new(null_mut())).collect(), smaller }
    }

    #[inline(always)]
    fn slot(&self, number: usize) -> &AtomicPtr<T> {
        &self.slots[number & (self.slots.len() - 1)]
    }
}

struct Shared<W: Word> {
    top: CachePadded<AtomicUsize>,
    bottom: CachePadded<AtomicUsize>,
    ring: AtomicPtr<Ring<W::Target>>,
    items: PhantomData<W>,
}

impl<W: Word> Shared<W> {
    #[inline(always)]
    fn ring(&self) -> &Ring<W::Target> {
        // SAFETY: a ring of this deque's, all of which live as long as that. Acquire: it comes with its slots.
        unsafe { &*self.ring.load(Ordering::Acquire) }
    }

    /// How many there are, about.
    #[inline(always)]
    fn len(&self) -> usize {
        let top = self.top.load(Ordering::Acquire);
        let length = self.bottom.load(Ordering::Acquire).wrapping_sub(top);
        // For a moment the owner's end may be below the other.
        if length.cast_signed() > 0 { length } else { 0 }
    }
}

impl<W: Word> Drop for Shared<W> {
    fn drop(&mut self) {
        let (top, bottom) = (self.top.load(Ordering::Relaxed), self.bottom.load(Ordering::Relaxed));
        for number in 0..bottom.wrapping_sub(top) {
            if let Some(left) = NonNull::new(self.ring().slot(top.wrapping_add(number)).load(Ordering::Relaxed)) {
                // SAFETY: it was put in and never taken.
                drop(unsafe { W::from_raw(left) });
            }
        }
        let mut ring = self.ring.load(Ordering::Relaxed);
        while !ring.is_null() {
            // SAFETY: from `Box::into_raw`, and nobody looks at it any more.
            ring = unsafe { Box::from_raw(ring) }.smaller;
        }
    }
}

/// The owner's end.
pub(crate) struct Deque<W: Word> {
    shared: Arc<Shared<W>>,
    /// One thread at a time is the owner.
    not_sync: PhantomData<Cell<()>>,
}

/// The thieves' end.
pub(crate) struct Stealer<W: Word> {
    shared: Arc<Shared<W>>,
}

impl<W: Word> Deque<W> {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            top: CachePadded::new(AtomicUsize::new(0)),
            bottom: CachePadded::new(AtomicUsize::new(0)),
            ring: AtomicPtr::new(Box::into_raw(Box::new(Ring::new(SHORTEST, null_mut())))),
            items: PhantomData,
        };
        Self { shared: Arc::new(shared), not_sync: PhantomData }
    }

    pub(crate) fn stealer(&self) -> Stealer<W> {
        Stealer { shared: Arc::clone(&self.shared) }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    pub(crate) fn push(&self, item: W) {
        let mut item = item;
        while let Err(back) = self.try_push(item) {
            self.grow();
            item = back;
        }
    }

    /// Says whether there was none. It comes back if there is no room before `grow`: a caller that does nothing afterwards
    /// but to begin again saves no registers for it.
    #[inline(always)]
    pub(crate) fn try_push(&self, item: W) -> Result<bool, W> {
        let shared = &*self.shared;
        let bottom = shared.bottom.load(Ordering::Relaxed);
        let length = bottom.wrapping_sub(shared.top.load(Ordering::Acquire));
        let ring = shared.ring();
        if length >= ring.slots.len() {
            return Err(item);
        }
        ring.slot(bottom).store(item.into_raw().as_ptr(), Ordering::Relaxed);
        shared.bottom.store(bottom.wrapping_add(1), Ordering::Release);
        Ok(length == 0)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&self) {
        let shared = &*self.shared;
        let length = 2 * shared.ring().slots.len();
        let mut larger = Box::new(Ring::new(length, null_mut()));
        // The allocator may be the program's own, and have been here meanwhile.
        let present = shared.ring();
        if present.slots.len() >= length {
            return;
        }
        let (top, bottom) = (shared.top.load(Ordering::Acquire), shared.bottom.load(Ordering::Relaxed));
        for number in 0..bottom.wrapping_sub(top) {
            let number = top.wrapping_add(number);
            larger.slot(number).store(present.slot(number).load(Ordering::Relaxed), Ordering::Relaxed);
        }
        larger.smaller = shared.ring.load(Ordering::Relaxed);
        shared.ring.store(Box::into_raw(larger), Ordering::Release);
    }

    /// Takes the newest.
    #[inline(never)]
    pub(crate) fn pop(&self) -> Option<W> {
        let shared = &*self.shared;
        if self.is_empty() {
            return None;
        }
        let newest = shared.bottom.load(Ordering::Relaxed).wrapping_sub(1);
        // Before the fence, which what follows waits for: nobody else writes there.
        let item =
            NonNull::new(shared.ring().slot(newest).load(Ordering::Relaxed)).expect("the owner has put it there");
        shared.bottom.store(newest, Ordering::Release);
        fence(Ordering::SeqCst);
        let top = shared.top.load(Ordering::Relaxed);
        let is_ours = newest.wrapping_sub(top).cast_signed() > 0 || self.take_last(newest, top);
        // SAFETY: it was put in, and has been taken now.
        is_ours.then(|| unsafe { W::from_raw(item) })
    }

    /// The newest is the last, or a thief has it. Whether it is the owner's.
    #[cold]
    #[inline(never)]
    fn take_last(&self, newest: usize, top: usize) -> bool {
        let shared = &*self.shared;
        let next = newest.wrapping_add(1);
        let is_ours =
            top == newest && shared.top.compare_exchange(top, next, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        shared.bottom.store(next, Ordering::Release);
        is_ours
    }
}

impl<W: Word> Stealer<W> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    /// Takes the oldest.
    pub(crate) fn steal(&self) -> Option<W> {
        let shared = &*self.shared;
        loop {
            let top = shared.top.load(Ordering::Acquire);
            fence(Ordering::SeqCst);
            if shared.bottom.load(Ordering::Acquire).wrapping_sub(top).cast_signed() <= 0 {
                return None;
            }
            let oldest = shared.ring().slot(top).load(Ordering::Relaxed);
            let next = top.wrapping_add(1);
            if shared.top.compare_exchange(top, next, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                let oldest = NonNull::new(oldest).expect("the owner has put it there");
                // SAFETY: it was put in, and has been taken now.
                return Some(unsafe { W::from_raw(oldest) });
            }
            // Another has it.
            spin_loop();
        }
    }

    /// Takes so many of the oldest, but no more than about a half of what is there now, of which the newest is returned, and
    /// the others go to the caller's own deque: as if all had, and it had then taken one.
    pub(crate) fn steal_several(&self, most: usize, to: &Deque<W>) -> Option<W> {
        let mut newest = self.steal()?;
        for _ in 1..most.min(1 + self.len().div_ceil(2)) {
            let Some(next) = self.steal() else { break };
            to.push(std::mem::replace(&mut newest, next));
        }
        Some(newest)
    }

    /// Where the slots lie, the present ones and those before them.
    #[cfg(not(loom))]
    pub(crate) fn rings(&self) -> Vec<std::ops::Range<usize>> {
        let present = self.shared.ring.load(Ordering::Acquire);
        // SAFETY: all rings live as long as the deque, and what is before one is written before that is there for others.
        let rings = std::iter::successors(NonNull::new(present), |ring| NonNull::new(unsafe { ring.as_ref() }.smaller));
        rings
            .map(|ring| {
                // SAFETY: as above.
                let slots = unsafe { ring.as_ref() }.slots.as_ptr_range();
                slots.start.addr()..slots.end.addr()
            })
            .collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    // SAFETY: a box is an address, whose it is.
    unsafe impl Word for Box<u32> {
        type Target = u32;

        fn into_raw(self) -> NonNull<u32> {
            NonNull::from(Self::leak(self))
        }

        unsafe fn from_raw(raw: NonNull<u32>) -> Self {
            // SAFETY: from `into_raw`, once.
            unsafe { Self::from_raw(raw.as_ptr()) }
        }
    }

    fn filled(count: u32) -> Deque<Box<u32>> {
        let deque = Deque::new();
        (0..count).for_each(|number| deque.push(Box::new(number)));
        deque
    }

    #[test]
    fn the_owner_takes_the_newest_and_thieves_the_oldest_however_it_grows() {
        let deque = filled(3000);
        assert_eq!((deque.len(), deque.pop()), (3000, Some(Box::new(2999))));
        assert_eq!(deque.stealer().steal(), Some(Box::new(0)));
        let rest: Vec<_> = std::iter::from_fn(|| deque.pop()).map(|item| *item).collect();
        assert_eq!(rest, (1..2999).rev().collect::<Vec<_>>());
        assert!(deque.is_empty() && deque.stealer().is_empty() && deque.stealer().steal().is_none());
    }

    #[test]
    fn a_thief_takes_several_as_if_it_had_put_them_into_its_own_and_taken_one() {
        let (deque, own) = (filled(10), Deque::new());
        assert_eq!(deque.stealer().steal_several(4, &own), Some(Box::new(3)));
        assert_eq!(
            [own.pop(), own.pop(), own.pop(), own.pop()].map(|item| item.map(|n| *n)),
            [Some(2), Some(1), Some(0), None]
        );
        assert_eq!(deque.stealer().steal_several(100, &own), Some(Box::new(7)), "a half at most");
        assert_eq!(deque.stealer().steal_several(2, &own), Some(Box::new(9)), "but both of two");
        assert_eq!((own.len(), deque.len()), (4, 0));
    }

    #[test]
    fn what_is_left_goes_with_the_deque() {
        // A leak checker, or a double free, would tell.
        drop(filled(1000));
        let deque = filled(1000);
        drop((deque.pop(), deque.stealer().steal()));
    }

    #[test]
    fn an_owner_and_two_thieves_take_each_once() {
        const ALL: u32 = if cfg!(miri) { 500 } else { 200_000 };
        let (deque, done) = (Deque::new(), AtomicBool::new(false));
        let thief = |stealer: Stealer<Box<u32>>| {
            let mut taken = Vec::new();
            while !done.load(Ordering::Acquire) || !stealer.is_empty() {
                taken.extend(stealer.steal());
            }
            taken
        };
        let mut taken = std::thread::scope(|scope| {
            let stealers = [deque.stealer(), deque.stealer()];
            let thieves = stealers.map(|stealer| scope.spawn(|| thief(stealer)));
            let mut taken = Vec::new();
            for number in 0..ALL {
                deque.push(Box::new(number));
                // Mostly it is near its end, where they meet; now and then it grows.
                if number % 3 == 0 || deque.len() > 600 {
                    taken.extend(deque.pop());
                    taken.extend(deque.pop());
                }
            }
            done.store(true, Ordering::Release);
            thieves.into_iter().for_each(|thief| taken.extend(thief.join().unwrap()));
            taken
        });
        taken.sort_unstable();
        assert!(taken.iter().map(|item| **item).eq(0..ALL));
    }
}
