//! [`Wakes`]: wake-ups that wait for the channel's lock to be free.

use crate::park::{Waiter, Woken, unpark, unpark_all};

/// Whom to wake when the lock is free: nearly always nobody (neighbours are woken at once) or one.
///
/// Two words, which are moved in registers: with a vector in place they are moved in memory, in pieces that stall (a tenth
/// of a rendezvous).
#[derive(Default)]
pub(crate) struct Wakes {
    first: Option<Waiter>,
    more: Option<Box<MoreWakes>>,
}

#[derive(Default)]
struct MoreWakes(Vec<Waiter>);

impl Wakes {
    #[inline(always)]
    pub(super) fn add(&mut self, woken: Woken) {
        if let Woken::Elsewhere(waiter) = woken {
            self.add_one(waiter);
        }
    }

    #[inline]
    fn add_one(&mut self, waiter: Waiter) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.more.get_or_insert_default().0.push(waiter),
        }
    }

    #[inline(always)]
    pub(crate) fn wake(self) {
        if let Some(first) = self.first {
            wake_all(first, self.more);
        }
    }
}

#[inline(never)]
fn wake_all(first: Waiter, more: Option<Box<MoreWakes>>) {
    unpark(&first);
    if let Some(more) = more {
        unpark_all(more.0);
    }
}
