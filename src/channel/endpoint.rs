//! A channel as one arm of a select: begin, join the waiters, withdraw, deliver.

use super::core::{Core, Side, State, Taken, Wakes, claim_first};
use super::wait::{Entry, Partner, Verdict, Wait, Wish};
use crate::sync::wait_list::{Ticket, WaitList};
use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Instant;

/// What became of an arm.
#[derive(Clone, Copy)]
pub(super) enum Begun {
    NotReady,
    Closed,
    /// The message lies in the slot.
    Received,
    /// Another select's send has been called upon; the verdict comes.
    Promised,
    /// A receiver waits for the message.
    Partner(Partner),
    /// There is room for the message.
    Reserved,
}

/// The operation could go ahead: there is nothing to wait for.
pub(super) struct IsReady;

/// A channel, whatever its messages are.
///
/// # Safety
/// `message_layout` is that of the messages.
pub(super) unsafe trait Endpoint {
    fn message_layout(&self) -> Layout;

    /// Begins an operation, if it is ready.
    ///
    /// # Safety
    /// To receive, `slot` is for a message. With `Promised` the caller keeps `wait` and `slot` in place until the
    /// verdict. With `Partner` and `Reserved` it delivers or abandons, once.
    unsafe fn begin(&self, side: Side, wait: &Wait, slot: NonNull<u8>) -> Begun;

    /// Joins the waiters, unless the operation is ready. Also returns when the clock has a message.
    ///
    /// # Safety
    /// The caller keeps `wait` and the entry's slot in place until it has withdrawn, and has called `wait.arm()`.
    unsafe fn join(&self, side: Side, entry: Entry, wait: &Wait) -> Result<(Ticket, Option<Instant>), IsReady>;

    /// Takes the entry out of its list, if it is still there.
    fn withdraw(&self, side: Side, ticket: Ticket);

    /// Whether an operation could go ahead for anybody but `own`.
    fn is_ready(&self, side: Side, own: &Wait) -> bool;

    /// What `Reserved` has set aside is not needed after all.
    fn give_room_back(&self);
}

// SAFETY: the layout is T's.
unsafe impl<T> Endpoint for Core<T> {
    fn message_layout(&self) -> Layout {
        Layout::new::<T>()
    }

    unsafe fn begin(&self, side: Side, wait: &Wait, slot: NonNull<u8>) -> Begun {
        if side == Side::Send {
            return self.begin_send();
        }
        // SAFETY: as the caller promises; it joins no list.
        match unsafe { self.take(slot.cast(), wait, false) } {
            Taken::Done => Begun::Received,
            Taken::Closed => Begun::Closed,
            Taken::Promised => Begun::Promised,
            Taken::Empty | Taken::Waits(..) => Begun::NotReady,
        }
    }

    unsafe fn join(&self, side: Side, entry: Entry, wait: &Wait) -> Result<(Ticket, Option<Instant>), IsReady> {
        let mut state = self.state.lock();
        if state.is_ready(side, self.capacity, wait) {
            return Err(IsReady);
        }
        let mut wakes = Wakes::default();
        if entry.wish() != Wish::Watch {
            let other = if side == Side::Send { Side::Receive } else { Side::Send };
            tell_watchers(state.list(other), &mut wakes);
        }
        let ticket = state.list(side).push_back(entry);
        let clock = if side == Side::Receive { state.next_time() } else { None };
        drop(state);
        wakes.wake();
        Ok((ticket, clock))
    }

    fn withdraw(&self, side: Side, ticket: Ticket) {
        Self::withdraw(self, side, ticket);
    }

    fn is_ready(&self, side: Side, own: &Wait) -> bool {
        self.state.lock().is_ready(side, self.capacity, own)
    }

    fn give_room_back(&self) {
        let mut state = self.state.lock();
        state.reserved -= 1;
        let mut wakes = Wakes::default();
        state.settle(self.capacity, &mut wakes);
        drop(state);
        wakes.wake();
    }
}

/// Somebody has come whom they watch for.
fn tell_watchers(list: &mut WaitList<Entry>, wakes: &mut Wakes) {
    if list.is_empty() {
        return;
    }
    for watcher in list.remove_all(|entry| entry.wish() == Wish::Watch) {
        if watcher.claim() {
            // SAFETY: just claimed.
            wakes.add(unsafe { watcher.finish(Verdict::Ready) });
        }
    }
}

impl<T> State<T> {
    /// Room has become free while both senders and receivers may be waiting.
    fn settle(&mut self, capacity: usize, wakes: &mut Wakes) {
        loop {
            self.admit(capacity, wakes);
            if self.buffer.is_empty() || self.receiving.is_empty() {
                return;
            }
            let Some(receiver) = claim_first(&mut self.receiving, wakes) else { return };
            if let Some(message) = self.buffer.pop_front() {
                // SAFETY: claimed once.
                wakes.add(unsafe { receiver.into_partner().deliver(message) });
            }
        }
    }
}

impl<T> Core<T> {
    fn begin_send(&self) -> Begun {
        let mut state = self.state.lock();
        if state.closed {
            return Begun::Closed;
        }
        let mut wakes = Wakes::default();
        let begun = match claim_first(&mut state.receiving, &mut wakes) {
            Some(receiver) => Begun::Partner(receiver.into_partner()),
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
            return Err(message);
        }
        let mut message = ManuallyDrop::new(message);
        let mut wakes = Wakes::default();
        let slot = NonNull::from(&mut *message);
        if !state.hand_over(slot, &mut wakes) {
            // SAFETY: not given up above, and not used again.
            state.buffer.push_back(unsafe { slot.read() });
        }
        state.settle(self.capacity, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }
}
