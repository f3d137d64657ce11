//! How the detector tells variables apart.
//!
//! By their addresses, if it must: but a variable that is moved leaves its address to others, of which then things are
//! said that are not true of them. So where there is room for it a variable has a number, given at its first use, which
//! goes with it. `race::Cell` always has; `cell::UnsafeCell`, which is to be no larger than std's, has one with the feature
//! `race`, and goes by its address in `testing::check` without it: there an address is forgotten when the cell is dropped,
//! and those of a stack when another goroutine gets it. (What remains: a cell that was used, was moved within the heap
//! without a drop, as `Vec` does when it grows, and whose old place another goroutine gets in the same schedule.)

use super::variable::Access;
#[cfg(feature = "race")]
use super::variable::History;
use crate::observe;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A number that is given at the first use; and what is known of the uses, where each variable has a number.
pub(crate) struct Number {
    number: AtomicUsize,
    #[cfg(feature = "race")]
    history: History,
}

impl Number {
    pub(crate) const fn new() -> Self {
        Self {
            number: AtomicUsize::new(0),
            #[cfg(feature = "race")]
            history: History::none(),
        }
    }

    /// A use of the variable, which lies at this address.
    #[inline]
    pub(crate) fn access(&self, address: usize, writes: bool, location: &'static Location<'static>) -> Access<'_> {
        Access {
            variable: self.get(),
            address,
            writes,
            location,
            #[cfg(feature = "race")]
            history: &self.history,
            #[cfg(not(feature = "race"))]
            history: std::marker::PhantomData,
        }
    }

    /// Never an address: those of users have no highest bit.
    #[inline]
    fn get(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1 << (usize::BITS - 1));
        // It lies where the variable lies, whose uses are told apart from this.
        let _quiet = crate::tsan::quiet();
        match self.number.load(Relaxed) {
            0 => {
                let new = NEXT.fetch_add(1, Relaxed);
                self.number.compare_exchange(0, new, Relaxed, Relaxed).map_or_else(|first| first, |_| new)
            }
            number => number,
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let number = *self.number.get_mut();
        if number != 0 {
            observe::forget(number);
        }
    }
}

/// The address, until the drop.
#[cfg(not(feature = "race"))]
pub(crate) struct Place;

#[cfg(not(feature = "race"))]
impl Place {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn access(&self, address: usize, writes: bool, location: &'static Location<'static>) -> Access<'_> {
        Access { variable: observe::address(self), address, writes, location, history: std::marker::PhantomData }
    }
}

#[cfg(not(feature = "race"))]
impl Drop for Place {
    fn drop(&mut self) {
        observe::forget(observe::address(self));
    }
}

#[cfg(feature = "race")]
pub(crate) use Number as Place;
