//! The seat: where a waiter that is awake can wait in the channel's own cache line.
//!
//! Between two threads that are both awake a message costs what it takes to pass cache lines to and fro: 50 to 250 ns each
//! way there and back. In a list a waiter takes part with two lines, the channel's and its own, and looks at the latter,
//! which takes it away from whoever is about to serve it. In the seat it takes part with the former alone, and looks at it
//! now and then. (There and back, without a buffer: 10 times as long as a line takes for it without either of the two, 4
//! times with lines of their own, 1.7 times with the seat.)
//!
//! Each look takes the line away from whoever is about to serve it. So the channel learns how long its partners take: who was
//! served before the first look looks earlier the next time, who was not looks later, up to eight pauses of the processor,
//! and those that follow each other by one. (With looks at equal distances the best distance differs by what a pause
//! takes: there and back, on a processor with pauses of 19 ns, 141 ns with one between two looks and 199 with five; on
//! another 590 and 370.)
//!
//! It is for one waiter at a time, in a plain send or receive (no select) at zero capacity, if the message fits into a
//! word, and nobody waits before it. It spins there; if nobody comes in time it goes to the head of its list, and parks.
//!
//! # Who may touch what, and when
//! | state | who ends it |
//! | --- | --- |
//! | EMPTY | who takes the seat, under the lock |
//! | RECEIVER, SENDER: somebody waits there | who serves it (SERVED), who moves it to its list (MOVED), or itself, when it gives up (EMPTY): all under the lock |
//! | SERVED, MOVED | who sat there (EMPTY), without the lock; until then nobody else sits down |
//!
//! So each state has one author of its end, or the lock decides between them. The message is a sender's from before it sits
//! down until it is served, and the channel's (under the lock) from when a receiver sits down until that one is served, and
//! then the receiver's. What was written before the end of a state is seen by those who see the end: Release and Acquire,
//! or the lock.
//!
//! Who is in the seat was there before all in its list, and is served before them. Whoever has more in mind than to serve
//! it at once (selects, a close) moves it to its list first ([`Core::lock`]), where it is as others are. It has armed its
//! wait for that: no wake-up can be lost, as it looks at its verdict before it parks.
//!
//! Rejected: the message in the waiter's line, which is written without having been read (as fast as with lines of their
//! own: the waiter's looks still take it away); a word that is both lock and seat (the exchange that takes the lock would
//! take the waiter along; the same again); serving it without the lock, by a claim of the seat alone, with whatever looks (up to
//! a quarter slower, in pairs: who is quicker finds its partner not yet seated); a sender that lets its receiver sit down
//! first, by a pause before it does so itself (13 pairs: +6 %).

use super::core::{Core, Side, State};
use super::lock::Guard;
use super::waiters::{PlainWait, is_small};
use crate::atomics::{AtomicU8, Ordering};
use crate::observe;
use crate::park::{pause, spin_until};
use crate::tsan;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

const EMPTY: u8 = 0;
const RECEIVER: u8 = 1;
const SENDER: u8 = 2;
const SERVED: u8 = 3;
const MOVED: u8 = 4;

/// What a wait teaches the next one of the time of its first look, in eighths of a pause of the processor.
const LESSON: u8 = 8;
const TOO_EARLY: u8 = 4;
const TOO_LATE: u8 = 1;
const LATEST: u8 = 8 * LESSON;

impl Side {
    const fn seated(self) -> u8 {
        match self {
            Self::Send => SENDER,
            Self::Receive => RECEIVER,
        }
    }
}

#[repr(C)]
pub(super) struct Seat {
    state: AtomicU8,
    /// How long who sits there waits before its first look. It alone writes it.
    first_look: AtomicU8,
    message: Message,
}

/// loom sees whether two get at it at the same time.
#[cfg(loom)]
type Message = loom::cell::UnsafeCell<MaybeUninit<u64>>;
#[cfg(not(loom))]
type Message = std::cell::UnsafeCell<MaybeUninit<u64>>;

// SAFETY: who may touch the message is told at the top. It is of a type that its channel sends between threads.
unsafe impl Sync for Seat {}

impl Seat {
    pub(super) fn new() -> Self {
        let (state, first_look) = (AtomicU8::new(EMPTY), AtomicU8::new(0));
        Self { state, first_look, message: Message::new(MaybeUninit::uninit()) }
    }

    /// Who sits there waits for a while until that has ended. Returns whether it has.
    #[inline(always)]
    fn watch(&self) -> bool {
        let is_over = || matches!(self.state.load(Ordering::Acquire), SERVED | MOVED);
        let first_look = self.first_look.load(Ordering::Relaxed);
        pause(u32::from(first_look / LESSON));
        if is_over() {
            self.first_look.store(first_look.saturating_sub(TOO_LATE), Ordering::Relaxed);
            return true;
        }
        let is_over = spin_until(is_over);
        if is_over {
            self.first_look.store((first_look + TOO_EARLY).min(LATEST), Ordering::Relaxed);
        }
        is_over
    }

    /// # Safety
    /// `slot` holds a message, and the seat's is the caller's to write.
    #[inline(always)]
    unsafe fn put<T>(&self, slot: NonNull<T>) {
        // SAFETY: as the caller says; only small ones come here.
        self.with_message(|message| unsafe { message.cast::<T>().copy_from_nonoverlapping(slot.as_ptr(), 1) });
    }

    /// # Safety
    /// `slot` is for a message, and the seat has one that is the caller's.
    #[inline(always)]
    unsafe fn get<T>(&self, slot: NonNull<T>) {
        // SAFETY: as above.
        self.with_message(|message| unsafe { slot.as_ptr().copy_from_nonoverlapping(message.cast::<T>(), 1) });
    }

    /// Nobody is to find the message there who looks through memory for what is still in use (`debug::leaked`).
    ///
    /// # Safety
    /// The message is the caller's to write.
    #[inline(always)]
    unsafe fn wipe(&self) {
        // SAFETY: as the caller says.
        self.with_message(|message| unsafe { message.write(MaybeUninit::new(0)) });
    }

    #[inline(always)]
    fn with_message(&self, f: impl FnOnce(*mut MaybeUninit<u64>)) {
        #[cfg(loom)]
        self.message.with_mut(f);
        #[cfg(not(loom))]
        f(self.message.get());
    }
}

/// Who is in the seat, or was last: the address turned round, so that it keeps nobody alive in the eyes of who looks through
/// memory for what is still in use (`debug::leaked`).
pub(super) struct Seated(usize);

impl Seated {
    pub(super) const fn nobody() -> Self {
        Self(0)
    }

    fn set(&mut self, plain: &PlainWait) {
        // Exposed each time: the same address may be another's.
        let turned = !std::ptr::from_ref(plain).expose_provenance();
        // It is nearly always the same, and the line is not the seat's.
        if self.0 != turned {
            self.0 = turned;
        }
    }

    /// Good while somebody is in the seat, for whoever has the lock.
    fn get(&self) -> NonNull<PlainWait> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(!self.0)).expect("somebody is in the seat")
    }
}

impl<T> Core<T> {
    /// Locks the state; whoever had the seat stands in its list.
    #[inline(always)]
    pub(super) fn lock(&self) -> Guard<'_, State<T>> {
        let mut state = self.state.lock();
        self.clear_seat(&mut state);
        state
    }

    /// See `lock`.
    #[inline(always)]
    pub(super) fn clear_seat(&self, state: &mut Guard<'_, State<T>>) {
        if is_small::<T>() {
            let side = match self.seat.state.load(Ordering::Relaxed) {
                RECEIVER => Side::Receive,
                SENDER => Side::Send,
                _ => return,
            };
            self.move_to_list(state, side);
            // Who sat there sees that it stands in the list.
            self.seat.state.store(MOVED, Ordering::Release);
        }
    }

    #[cold]
    fn move_to_list(&self, state: &mut State<T>, side: Side) {
        let plain = state.seated.get();
        // SAFETY: it stays in place while it is in the seat, and is armed; then it does as `push_front` asks.
        unsafe { state.list(side).push_front(plain) };
    }

    /// Serves who waits in the seat: gives it the message, or takes its.
    ///
    /// # Safety
    /// `slot` holds a message if it is a receiver, which the caller gives up then; else it is for one.
    #[inline(always)]
    pub(super) unsafe fn serve_seated(&self, state: &mut Guard<'_, State<T>>, side: Side, slot: NonNull<T>) -> bool {
        if !is_small::<T>() || self.seat.state.load(Ordering::Relaxed) != side.seated() {
            return false;
        }
        if observe::is_on() {
            // Who watches wants to know who it is.
            self.clear_seat(state);
            return false;
        }
        // SAFETY: we have the lock; so the message of who sits there is ours. The caller's as well.
        unsafe {
            match side {
                Side::Receive => self.seat.put(slot),
                Side::Send => self.seat.get(slot),
            }
        }
        self.seat.state.store(SERVED, Ordering::Release);
        true
    }

    /// Whether one who spins may do so in the seat.
    #[inline(always)]
    pub(super) fn may_sit(&self, state: &State<T>) -> bool {
        is_small::<T>()
            && self.capacity == 0
            && state.sending.is_empty()
            && state.receiving.is_empty()
            && state.next_time().is_none()
            // Acquire: who sat there last has taken its message.
            && self.seat.state.load(Ordering::Acquire) == EMPTY
            && !observe::is_on()
    }

    /// Waits in the seat for a while. False: it stands in its list now, armed but not spinning.
    ///
    /// # Safety
    /// `may_sit`. The entry of `plain` has the slot, which holds a message of a sender's, to be given up, or is for a
    /// receiver's. If it then stands in the list, the caller does as `Waiters::push_back` asks.
    #[inline(never)]
    pub(super) unsafe fn wait_in_seat(
        &self,
        mut state: Guard<'_, State<T>>,
        side: Side,
        plain: &PlainWait,
        slot: NonNull<T>,
    ) -> bool {
        let _quiet = tsan::quiet();
        plain.wait().arm();
        if side == Side::Send {
            // SAFETY: the seat is empty, so that we may write; the slot holds a message.
            unsafe { self.seat.put(slot) };
        }
        state.seated.set(plain);
        state.set_hasty(true);
        self.seat.state.store(side.seated(), Ordering::Relaxed);
        drop(state);
        if !self.seat.watch() && self.give_up_seat(side, plain) {
            return false;
        }
        let is_served = self.seat.state.load(Ordering::Acquire) == SERVED;
        if is_served && side == Side::Receive {
            // SAFETY: it is ours now.
            unsafe { self.seat.get(slot) };
        }
        // SAFETY: until the seat is empty the message is ours.
        unsafe { self.seat.wipe() };
        self.seat.state.store(EMPTY, Ordering::Release);
        is_served
    }

    /// False: it has been served, or moved, in the last moment.
    #[cold]
    fn give_up_seat(&self, side: Side, plain: &PlainWait) -> bool {
        let mut state = self.state.lock();
        let gives_up = self.seat.state.load(Ordering::Relaxed) == side.seated();
        if gives_up {
            // SAFETY: as in `move_to_list`.
            unsafe { state.list(side).push_front(NonNull::from(plain)) };
            // SAFETY: we have the lock, and sit there.
            unsafe { self.seat.wipe() };
            self.seat.state.store(EMPTY, Ordering::Release);
        }
        gives_up
    }
}

/// What changes while messages pass by the seat, or the buffer, is one cache line.
#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    let state = offset_of!(Core<u64>, state) + super::lock::Lock::<State<u64>>::OFFSET_OF_VALUE;
    assert!(offset_of!(Core<u64>, seat) == 0 && state + offset_of!(State<u64>, sending) == 64);
};
