//! The queue in which every primitive keeps its waiters: first in, first out, removal anywhere in O(1).
//!
//! A doubly linked list over a vector's slots, with a free list: no allocation per wait once it has grown,
//! no unsafe code. A ticket names a slot and a number that is never given again, so an old ticket never names a later waiter.
//!
//! The lists live under a short std lock inside the primitive. That lock is never held across a park, a
//! wake-up of another thread, or user code.

use crate::atomics::{Mutex, lock};
use crate::park::{WaitReason, park_until};
use std::time::Instant;

/// Names one waiter of one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: usize,
    generation: u64,
}

const NONE: usize = usize::MAX;

struct Slot<T> {
    value: Option<T>,
    generation: u64,
    previous: usize,
    next: usize,
}

pub(crate) struct WaitList<T> {
    slots: Vec<Slot<T>>,
    head: usize,
    tail: usize,
    free: usize,
    /// Tickets given out so far: no two have the same number.
    tickets: u64,
}

impl<T> WaitList<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), head: NONE, tail: NONE, free: NONE, tickets: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    fn take_slot(&mut self, value: T) -> usize {
        let new = Slot { value: Some(value), generation: self.tickets, previous: NONE, next: NONE };
        self.tickets += 1;
        if self.free == NONE {
            self.slots.push(new);
            return self.slots.len() - 1;
        }
        let slot = self.free;
        self.free = self.slots[slot].next;
        self.slots[slot] = new;
        slot
    }

    pub(crate) fn push_back(&mut self, value: T) -> Ticket {
        let slot = self.take_slot(value);
        self.slots[slot].previous = self.tail;
        self.slots[slot].next = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => self.slots[tail].next = slot,
        }
        self.tail = slot;
        Ticket { slot, generation: self.slots[slot].generation }
    }

    pub(crate) fn push_front(&mut self, value: T) -> Ticket {
        let slot = self.take_slot(value);
        self.slots[slot].previous = NONE;
        self.slots[slot].next = self.head;
        match self.head {
            NONE => self.tail = slot,
            head => self.slots[head].previous = slot,
        }
        self.head = slot;
        Ticket { slot, generation: self.slots[slot].generation }
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.slots.get(self.head)?.value.as_ref()
    }

    /// The ticket of the first waiter.
    pub(crate) fn front_ticket(&self) -> Option<Ticket> {
        let slot = self.slots.get(self.head)?;
        Some(Ticket { slot: self.head, generation: slot.generation })
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.front_ticket().and_then(|ticket| self.remove(ticket))
    }

    /// Takes all waiters out, in order.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut slots = std::mem::take(&mut self.slots);
        let mut next = self.head;
        (self.head, self.tail, self.free) = (NONE, NONE, NONE);
        let in_order = std::iter::from_fn(|| {
            let slot = slots.get_mut(next)?;
            next = slot.next;
            slot.value.take()
        });
        in_order.collect()
    }

    /// Whether the waiter is still in the list.
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        let slot = self.slots.get(ticket.slot);
        slot.is_some_and(|slot| slot.generation == ticket.generation && slot.value.is_some())
    }

    /// Takes a waiter out, if it is still in.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        if !self.contains(ticket) {
            return None;
        }
        let slot = &mut self.slots[ticket.slot];
        let value = slot.value.take();
        let (previous, next) = (slot.previous, slot.next);
        slot.next = self.free;
        self.free = ticket.slot;
        match previous {
            NONE => self.head = next,
            previous => self.slots[previous].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.slots[next].previous = previous,
        }
        value
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another took the waiter out of the list: what it waited for has come.
    Taken,
    /// The deadline has passed, or the waiter has given up, and took itself out.
    TimedOut,
}

/// Parks until another takes the waiter out of the list, or the deadline passes. Stray tokens do no harm.
pub(crate) fn wait_until_taken<T>(
    list: &Mutex<impl AsWaitList<T>>,
    ticket: Ticket,
    reason: WaitReason,
    deadline: Option<Instant>,
) -> Outcome {
    wait_unless(list, ticket, reason, deadline, || false)
}

/// As `wait_until_taken`, until the waiter has given up: it is asked after each unpark, without the lock.
pub(crate) fn wait_unless<T>(
    list: &Mutex<impl AsWaitList<T>>,
    ticket: Ticket,
    reason: WaitReason,
    deadline: Option<Instant>,
    given_up: impl Fn() -> bool,
) -> Outcome {
    loop {
        park_until(reason, deadline);
        let has_given_up = given_up();
        let mut guard = lock(list);
        let list = guard.as_wait_list();
        if !list.contains(ticket) {
            return Outcome::Taken;
        }
        if has_given_up || deadline.is_some_and(|deadline| deadline <= crate::clock::now()) {
            list.remove(ticket);
            return Outcome::TimedOut;
        }
    }
}

/// What a primitive keeps under its short lock: a list, alone or among other things.
pub(crate) trait AsWaitList<T> {
    fn as_wait_list(&mut self) -> &mut WaitList<T>;
}

impl<T> AsWaitList<T> for WaitList<T> {
    fn as_wait_list(&mut self) -> &mut WaitList<T> {
        self
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waiters_leave_in_order_and_from_the_middle() {
        let mut list = WaitList::new();
        let [_, b, _] = ["a", "b", "c"].map(|name| list.push_back(name));
        list.push_front("first");
        assert_eq!(list.remove(b), Some("b"));
        assert!(!list.contains(b));
        assert_eq!([list.pop_front(), list.pop_front(), list.pop_front()], [Some("first"), Some("a"), Some("c")]);
        assert!(list.is_empty() && list.pop_front().is_none());
    }

    #[test]
    fn an_old_ticket_does_not_name_a_later_waiter() {
        let mut list = WaitList::new();
        let old = list.push_back(1);
        list.pop_front();
        list.push_back(2);
        assert_eq!(list.remove(old), None);
        assert_eq!(list.pop_front(), Some(2));
    }
}
