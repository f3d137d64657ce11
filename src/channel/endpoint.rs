//! A channel as one arm of a select: begin, join the waiters, withdraw, deliver.

use super::core::{Core, Side, Taken, Wakes, claim_next};
use super::wait::{Verdict, Wait, Wish};
use super::waiters::{Claimed, Entry};
use crate::observe;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Instant;

/// What became of an arm.
pub(super) enum Begun {
    NotReady,
    Closed,
    /// The message lies in the slot.
    Received,
    /// Another select's send has been called upon; the verdict comes.
    Promised,
    /// A receiver waits for the message.
    Partner(Claimed),
    /// There is room for the message.
    Reserved,
}

/// The operation could go ahead: there is nothing to wait for.
pub(super) struct IsReady;

/// A channel, whatever its messages are.
pub(super) trait Endpoint {
    /// Begins an operation, if it is ready.
    ///
    /// # Safety
    /// To receive, the entry's slot is for a message. With `Promised` the caller keeps the entry, its wait and its slot
    /// in place until the verdict. With `Partner` and `Reserved` it delivers or abandons, once.
    unsafe fn begin(&self, side: Side, entry: &Entry) -> Begun;

    /// Joins the waiters, unless the operation is ready. Returns when the clock has a message.
    ///
    /// # Safety
    /// The entry's wait is armed, and its slot is for a message. The caller keeps all three in place until it has
    /// withdrawn the entry, and if the wait was claimed, until the verdict.
    unsafe fn join(&self, side: Side, entry: &Entry) -> Result<Option<Instant>, IsReady>;

    /// Takes the entry out of its list, if it is still there.
    ///
    /// # Safety
    /// If it is in a list, it is in this one.
    unsafe fn withdraw(&self, side: Side, entry: &Entry);

    /// Whether an operation could go ahead for anybody but `own`.
    fn is_ready(&self, side: Side, own: &Wait) -> bool;

    /// What `Reserved` has set aside is not needed after all.
    fn give_room_back(&self);
}

impl<T> Endpoint for Core<T> {
    unsafe fn begin(&self, side: Side, entry: &Entry) -> Begun {
        if side == Side::Send {
            return self.begin_send();
        }
        // SAFETY: as the caller promises; it joins no list.
        match unsafe { self.take(self.state.lock(), entry, false) } {
            Taken::Done => Begun::Received,
            Taken::Closed => Begun::Closed,
            Taken::Promised => Begun::Promised,
            Taken::Empty | Taken::Waits(_) => Begun::NotReady,
        }
    }

    unsafe fn join(&self, side: Side, entry: &Entry) -> Result<Option<Instant>, IsReady> {
        let mut state = self.state.lock();
        if state.is_ready(side, self.capacity, entry.wait()) {
            return Err(IsReady);
        }
        let mut wakes = Wakes::default();
        if entry.wish() != Wish::Watch {
            // Somebody has come whom they watch for.
            let other = if side == Side::Send { Side::Receive } else { Side::Send };
            state.list(other).claim_watchers(|watcher| wakes.add(watcher.dismiss(Verdict::Ready)));
        }
        // SAFETY: as the caller promises.
        unsafe { state.list(side).push_back(entry) };
        let clock = if side == Side::Receive { state.next_time() } else { None };
        drop(state);
        wakes.wake();
        Ok(clock)
    }

    unsafe fn withdraw(&self, side: Side, entry: &Entry) {
        // SAFETY: passed on.
        unsafe { Self::withdraw(self, side, entry) };
    }

    fn is_ready(&self, side: Side, own: &Wait) -> bool {
        self.state.lock().is_ready(side, self.capacity, own)
    }

    fn give_room_back(&self) {
        let mut state = self.state.lock();
        state.reserved -= 1;
        let mut wakes = Wakes::default();
        state.admit(self.capacity, &mut wakes);
        drop(state);
        wakes.wake();
    }
}

impl<T> Core<T> {
    fn begin_send(&self) -> Begun {
        let mut state = self.state.lock();
        if state.closed {
            return Begun::Closed;
        }
        let mut wakes = Wakes::default();
        let begun = match claim_next(&mut state.receiving, &mut wakes) {
            Some(receiver) => Begun::Partner(receiver),
            None if state.has_room(self.capacity) => {
                state.reserved += 1;
                Begun::Reserved
            }
            None => Begun::NotReady,
        };
        drop(state);
        wakes.wake();
        begun
    }

    /// Delivers into the room that `Reserved` has set aside. The message comes back if all receivers have gone.
    pub(super) fn deliver_reserved(&self, message: T) -> Result<(), T> {
        let mut state = self.state.lock();
        state.reserved -= 1;
        if state.closed {
            drop(state);
            observe::acquire_at(self.address());
            return Err(message);
        }
        let mut message = ManuallyDrop::new(message);
        let mut wakes = Wakes::default();
        let slot = NonNull::from(&mut *message);
        // A receiver that takes it leaves room, which nobody waits for: where receivers wait, no sender does.
        if !state.hand_over(slot, self.capacity, &mut wakes) {
            observe::buffered(state.watched(self.capacity), None);
            // SAFETY: not given up above, and not used again.
            state.buffer.push_back(unsafe { slot.read() });
        }
        drop(state);
        wakes.wake();
        Ok(())
    }
}
