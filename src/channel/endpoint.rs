//! A channel as one arm of a select: begin, join the waiters, withdraw, deliver.

use super::core::{Core, Side, Taken};
use super::wait::{Wait, Wish};
use super::waiters::{Claimed, Entry};
use super::wakes::Wakes;
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
    /// The partner is another select, which is to be called upon.
    Promised(Claimed),
    /// A receiver waits for the message.
    Partner(Claimed),
    /// There is room for the message.
    Reserved,
}

/// The operation could go ahead: there is nothing to wait for.
pub(super) struct IsReady;

/// A channel, whatever its messages are.
pub(super) trait Endpoint {
    /// Begins an operation, if it is ready. With `hints` not if it looks idle without the lock.
    ///
    /// # Safety
    /// To receive, the slot is for a message. With `Partner` and `Reserved` the caller delivers or abandons, once.
    unsafe fn begin(&self, side: Side, slot: NonNull<u8>, hints: bool) -> Begun;

    /// Joins the waiters, unless the operation is ready. Returns when the clock has a message. With `patient`, the wait
    /// begins with spinning if the partner seems to be on another thread.
    ///
    /// # Safety
    /// The entry's wait is armed, and its slot is for a message. The caller keeps all three in place until it has
    /// withdrawn the entry, and if the wait was claimed, until the verdict.
    unsafe fn join(&self, side: Side, entry: &Entry, patient: bool) -> Result<Option<Instant>, IsReady>;

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
    unsafe fn begin(&self, side: Side, slot: NonNull<u8>, hints: bool) -> Begun {
        if hints && self.state.hint() & side.idle() != 0 {
            return Begun::NotReady;
        }
        if side == Side::Send {
            return self.begin_send();
        }
        // SAFETY: as the caller promises.
        match unsafe { self.take(self.state.lock(), slot.cast(), true) } {
            Taken::Done => Begun::Received,
            Taken::Closed => Begun::Closed,
            Taken::Promised(sender) => Begun::Promised(sender),
            Taken::Empty(state) => {
                Self::leave_empty(state);
                Begun::NotReady
            }
        }
    }

    unsafe fn join(&self, side: Side, entry: &Entry, patient: bool) -> Result<Option<Instant>, IsReady> {
        let (mut state, hint) = self.state.lock_hinted();
        let (mut idle, mut clock) = (hint & side.idle(), None);
        if idle == 0 {
            self.clear_seat(&mut state);
            if state.is_ready(side, self.capacity, entry.wait()) {
                return Err(IsReady);
            }
            if side == Side::Receive {
                clock = state.next_time();
            }
            // One that stands there may be our own, and somebody else's partner.
            if state.list(side.other()).is_empty() && clock.is_none() {
                idle = side.idle();
            }
        }
        if patient {
            entry.wait().prepare_to_spin(state.apart && state.list(side).is_empty());
        }
        // SAFETY: as the caller promises.
        unsafe { state.list(side).push_back(entry) };
        // The other side has us now.
        state.leave_behind(idle);
        if entry.wish() != Wish::Watch {
            Self::leave_changed(state, side);
        }
        Ok(clock)
    }

    unsafe fn withdraw(&self, side: Side, entry: &Entry) {
        // SAFETY: passed on.
        unsafe { Self::withdraw(self, side, entry) };
    }

    fn is_ready(&self, side: Side, own: &Wait) -> bool {
        self.lock().is_ready(side, self.capacity, own)
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
        let mut state = self.lock();
        if state.closed {
            return Begun::Closed;
        }
        match state.receiving.claim_partner() {
            Some(receiver) => {
                state.note_claimed(&receiver);
                Begun::Partner(receiver)
            }
            None if state.has_room(self.capacity) => {
                state.reserved += 1;
                Begun::Reserved
            }
            None => {
                // Those who only watch are to be told if the caller joins.
                if state.receiving.is_empty() {
                    state.leave_behind(Side::Send.idle());
                }
                Begun::NotReady
            }
        }
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
        let slot = NonNull::from(&mut *message);
        // A receiver that takes it leaves room, which nobody waits for: where receivers wait, no sender does.
        if let Some(receiver) = state.receiving.claim_partner() {
            // SAFETY: the message is given up, and not used again.
            let woken = unsafe { state.hand_over(slot, receiver, self.capacity) };
            drop(state);
            woken.wake();
        } else {
            observe::buffered(state.watched(self.capacity), None);
            // SAFETY: as above.
            state.buffer.push_back(unsafe { slot.read() });
            Self::leave_changed(state, Side::Send);
        }
        Ok(())
    }
}
