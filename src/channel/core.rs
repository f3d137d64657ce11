//! The channel itself: a buffer, two lists of waiters, and the rules by which messages move.
//!
//! There is one design for all capacities. Go's `src/runtime/chan.go` is the model: a message goes straight
//! from a sender to a waiting receiver, or the other way round, from stack to stack; the buffer is for when
//! nobody waits.
//!
//! # Invariants, under the lock
//! - Waiting receivers that can be served ⇒ the buffer is empty.
//! - Waiting senders that can be served ⇒ the buffer is full, room reserved for selects included.
//! - `closed` ⇔ all senders or all receivers are gone. Then nobody waits, and nobody begins to.
//! - `reserved` counts selects that have been promised room in the buffer and have not delivered yet.
//!
//! Nothing under the lock runs user code, waits, or wakes: messages are moved, not dropped or cloned; wake-ups
//! and drops come after.
//!
//! # Sends of a select
//! crossbeam's interface, and Go's order of evaluation turned round, gives a select's message only after its
//! send has been chosen. So the send *promises*: who takes it up waits, claimed, until the message is
//! delivered (`SelectedOperation::send`) or the promise is abandoned. The one `try_` operation that can wait is
//! `try_recv` at zero capacity when the only sender there has promised: it waits for as long as that select
//! takes from being chosen to its message (crossbeam spins in the same place).
//!
//! # Time
//! `after`, `at`, `tick` and timers are channels with a clock in place of senders. No goroutine and no
//! timer stands behind them: a receiver that waits does so until the clock's next time, and reads it then.
//!
//! Rejected: lock-free rings and lists as crossbeam's flavours. One to one they cost as many locked
//! instructions as this lock; and a rendezvous, a select and a close need a lock or its like anyhow.

use super::lock::{Guard, Lock};
use super::wait::{Entry, Verdict, Wait, Wish};
use crate::atomics::{AtomicUsize, Ordering};
use crate::park::{WaitReason, WakeHandle, spend_budget};
use crate::sync::wait_list::{Ticket, WaitList};
use std::collections::VecDeque;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Send,
    Receive,
}

/// How long an operation may wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    Never,
    Until(Option<Instant>),
}

/// The times at which a channel without senders has a message.
pub(crate) struct Clock<T> {
    pub(crate) next: Option<Instant>,
    pub(crate) period: Option<Duration>,
    pub(crate) message: fn(Instant) -> T,
}

impl<T> Clock<T> {
    fn take(&mut self, now: Instant) -> Option<T> {
        let due = self.next.filter(|&next| next <= now)?;
        // From now, not from when it was due: a slow receiver does not get a burst of old ticks.
        self.next = self.period.and_then(|period| now.checked_add(period));
        Some((self.message)(due))
    }
}

pub(super) struct State<T> {
    pub(super) buffer: VecDeque<T>,
    pub(super) reserved: usize,
    pub(super) sending: WaitList<Entry>,
    pub(super) receiving: WaitList<Entry>,
    pub(super) closed: bool,
    clock: Option<Box<Clock<T>>>,
}

pub(crate) struct Core<T> {
    pub(super) state: Lock<State<T>>,
    /// `usize::MAX`: unbounded.
    pub(super) capacity: usize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// What became of a send.
pub(super) enum Offered {
    Done,
    Closed,
    Full,
    Waits(Ticket),
}

/// What became of a receive.
pub(super) enum Taken {
    Done,
    Closed,
    Empty,
    /// A select's send has been called upon; the verdict comes.
    Promised,
    /// Until the verdict, or until the channel's clock has a message.
    Waits(Ticket, Option<Instant>),
}

/// Wake-ups to do when the lock is free: nearly always one.
#[derive(Default)]
pub(super) struct Wakes {
    first: Option<WakeHandle>,
    more: Vec<WakeHandle>,
}

impl Wakes {
    pub(super) fn add(&mut self, handle: WakeHandle) {
        match self.first {
            None => self.first = Some(handle),
            Some(_) => self.more.push(handle),
        }
    }

    #[inline(always)]
    pub(super) fn wake(self) {
        if let Some(first) = self.first {
            first.wake();
            self.more.into_iter().for_each(WakeHandle::wake);
        }
    }
}

/// Takes the first waiter out of a list that can still be served. Those who only watch are told on the way.
#[inline]
pub(super) fn claim_first(list: &mut WaitList<Entry>, wakes: &mut Wakes) -> Option<Entry> {
    while let Some(entry) = list.pop_front() {
        if !entry.claim() {
            continue;
        }
        if entry.wish() != Wish::Watch {
            return Some(entry);
        }
        // SAFETY: just claimed.
        wakes.add(unsafe { entry.finish(Verdict::Ready) });
    }
    None
}

impl<T> State<T> {
    pub(super) fn has_room(&self, capacity: usize) -> bool {
        self.buffer.len() + self.reserved < capacity
    }

    /// Gives a message to a waiting receiver, or says that there is none.
    pub(super) fn hand_over(&mut self, message: NonNull<T>, wakes: &mut Wakes) -> bool {
        let Some(receiver) = claim_first(&mut self.receiving, wakes) else { return false };
        // SAFETY: a claimed receiver's slot is ours, and made for a T. The caller gives up the message.
        unsafe { receiver.slot().cast::<T>().copy_from_nonoverlapping(message, 1) };
        // SAFETY: claimed above.
        wakes.add(unsafe { receiver.finish(Verdict::Done) });
        true
    }

    /// There is room: waiting senders get it.
    pub(super) fn admit(&mut self, capacity: usize, wakes: &mut Wakes) {
        while self.has_room(capacity) && !self.closed {
            let Some(sender) = claim_first(&mut self.sending, wakes) else { return };
            if sender.wish() == Wish::Promise {
                self.reserved += 1;
                // SAFETY: claimed above.
                wakes.add(unsafe { sender.choose(None) });
            } else {
                // SAFETY: a claimed sender's slot is ours, and holds a message that it gives up.
                self.buffer.push_back(unsafe { sender.slot().cast::<T>().read() });
                // SAFETY: claimed above.
                wakes.add(unsafe { sender.finish(Verdict::Done) });
            }
        }
    }

    /// Takes a message, if there is one to be had at once, from the buffer or the clock.
    #[inline]
    fn take_buffered(&mut self) -> Option<T> {
        match self.buffer.pop_front() {
            None => self.take_from_clock(),
            message => message,
        }
    }

    #[inline]
    fn take_from_clock(&mut self) -> Option<T> {
        let clock = self.clock.as_mut()?;
        clock.take(crate::clock::now())
    }

    /// Whether an operation could go ahead now, for anybody but `own`.
    pub(super) fn is_ready(&self, side: Side, capacity: usize, own: &Wait) -> bool {
        let partner =
            |list: &WaitList<Entry>| list.iter().any(|entry| entry.wish() != Wish::Watch && entry.is_free(own));
        self.closed
            || match side {
                Side::Send => self.has_room(capacity) || partner(&self.receiving),
                Side::Receive => {
                    !self.buffer.is_empty() || self.clock_is_due() || capacity == 0 && partner(&self.sending)
                }
            }
    }

    fn clock_is_due(&self) -> bool {
        self.next_time().is_some_and(|next| next <= crate::clock::now())
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        self.clock.as_ref()?.next
    }

    pub(super) fn list(&mut self, side: Side) -> &mut WaitList<Entry> {
        match side {
            Side::Send => &mut self.sending,
            Side::Receive => &mut self.receiving,
        }
    }
}

impl<T> Core<T> {
    /// Room that is set aside at once; more comes as it is used.
    const PREPARED: usize = 512;
    /// An empty buffer that has grown beyond this gives its memory back.
    const KEPT: usize = 4096;

    pub(super) fn new(capacity: usize, clock: Option<Clock<T>>) -> Self {
        let size = size_of::<T>().max(1);
        assert!(
            capacity == usize::MAX || capacity <= isize::MAX as usize / size,
            "capacity overflow: a channel for {capacity} messages of {size} bytes"
        );
        let prepared = if capacity == usize::MAX { 0 } else { capacity.min(Self::PREPARED) };
        let state = State {
            buffer: VecDeque::with_capacity(prepared),
            reserved: 0,
            sending: WaitList::new(),
            receiving: WaitList::new(),
            closed: false,
            clock: clock.map(Box::new),
        };
        Self {
            state: Lock::new(state),
            capacity,
            // A clock's channel never closes for want of senders.
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
        }
    }

    // ---- sending ----

    /// Sends, or, with `wait`, joins the waiting senders. The message behind `message` is given up if and only
    /// if this returns `Done`, or the wait's verdict is.
    ///
    /// # Safety
    /// `message` holds a message. If this returns `Waits`, the caller keeps `wait` and `message` in place until
    /// the verdict is in or the entry withdrawn.
    #[inline]
    unsafe fn offer(&self, message: NonNull<T>, wait: Option<&Wait>) -> Offered {
        let mut state = self.state.lock();
        if state.closed {
            return Offered::Closed;
        }
        if !state.receiving.is_empty() {
            return self.offer_to_receivers(state, message, wait);
        }
        if state.has_room(self.capacity) {
            // SAFETY: the caller gives it up.
            state.buffer.push_back(unsafe { message.read() });
            return Offered::Done;
        }
        self.wait_to_send(&mut state, message, wait)
    }

    #[inline]
    fn offer_to_receivers(&self, mut state: Guard<'_, State<T>>, message: NonNull<T>, wait: Option<&Wait>) -> Offered {
        let mut wakes = Wakes::default();
        let offered = if state.hand_over(message, &mut wakes) {
            Offered::Done
        } else if state.has_room(self.capacity) {
            // SAFETY: the caller of `offer` gives it up.
            state.buffer.push_back(unsafe { message.read() });
            Offered::Done
        } else {
            self.wait_to_send(&mut state, message, wait)
        };
        drop(state);
        wakes.wake();
        offered
    }

    #[inline]
    fn wait_to_send(&self, state: &mut State<T>, message: NonNull<T>, wait: Option<&Wait>) -> Offered {
        let Some(wait) = wait else { return Offered::Full };
        wait.arm();
        Offered::Waits(state.sending.push_back(Entry::new(wait, 0, message.cast(), Wish::Exchange)))
    }

    /// The message comes back, with the verdict `Closed`, or `Retry` if the time was up.
    #[inline(always)]
    pub(super) fn send(&self, message: T, patience: Patience) -> Result<(), (T, Verdict)> {
        let mut message = ManuallyDrop::new(message);
        let slot = NonNull::from(&mut *message);
        let wait = Wait::new(false);
        let verdict = match patience {
            Patience::Never => {
                // SAFETY: it does not wait.
                match unsafe { self.offer(slot, None) } {
                    Offered::Done => Verdict::Done,
                    Offered::Closed => Verdict::Closed,
                    Offered::Full | Offered::Waits(_) => Verdict::Retry,
                }
            }
            Patience::Until(deadline) => {
                spend_budget();
                // SAFETY: `park` returns with the verdict, or after the withdrawal.
                match unsafe { self.offer(slot, Some(&wait)) } {
                    Offered::Done => Verdict::Done,
                    Offered::Closed => Verdict::Closed,
                    Offered::Full => Verdict::Retry,
                    Offered::Waits(ticket) => self.park(&wait, Side::Send, ticket, deadline).unwrap_or(Verdict::Retry),
                }
            }
        };
        if verdict == Verdict::Done { Ok(()) } else { Err((ManuallyDrop::into_inner(message), verdict)) }
    }

    /// Waits as a plain waiter. `None`: the time is up, and the entry withdrawn.
    #[inline(always)]
    fn park(&self, wait: &Wait, side: Side, ticket: Ticket, deadline: Option<Instant>) -> Option<Verdict> {
        let reason = match side {
            Side::Send => WaitReason::ChannelSend,
            Side::Receive => WaitReason::ChannelReceive,
        };
        if let Some((verdict, _)) = wait.park(reason, deadline) {
            return Some(verdict);
        }
        if self.withdraw(side, ticket) {
            return None;
        }
        // Claimed in the last moment.
        Some(wait.park_for_verdict(reason).0)
    }

    /// Takes an entry out of its list; false if another has taken it.
    pub(super) fn withdraw(&self, side: Side, ticket: Ticket) -> bool {
        self.state.lock().list(side).remove(ticket).is_some()
    }

    // ---- receiving ----

    /// Receives into `slot`, or, with `may_wait`, joins the waiting receivers.
    ///
    /// # Safety
    /// `slot` is for a message. If this returns `Waits` or `Promised`, the caller keeps `wait` and `slot` in place
    /// until the verdict is in or, for `Waits`, the entry withdrawn.
    #[inline]
    pub(super) unsafe fn take(&self, slot: NonNull<T>, wait: &Wait, may_wait: bool) -> Taken {
        let mut state = self.state.lock();
        if let Some(message) = state.take_buffered() {
            // SAFETY: the slot is the caller's.
            unsafe { slot.write(message) };
            if state.buffer.is_empty() && state.buffer.capacity() > Self::KEPT {
                let emptied = std::mem::take(&mut state.buffer);
                drop(state);
                drop(emptied);
                state = self.state.lock();
            }
            if !state.sending.is_empty() {
                let mut wakes = Wakes::default();
                state.admit(self.capacity, &mut wakes);
                drop(state);
                wakes.wake();
            }
            return Taken::Done;
        }
        if !state.sending.is_empty() {
            // SAFETY: as the caller promises.
            return unsafe { self.take_from_senders(state, slot, wait, may_wait) };
        }
        self.wait_to_receive(&mut state, slot, wait, may_wait)
    }

    /// # Safety
    /// As for `take`.
    #[inline]
    unsafe fn take_from_senders(
        &self,
        mut state: Guard<'_, State<T>>,
        slot: NonNull<T>,
        wait: &Wait,
        may_wait: bool,
    ) -> Taken {
        let mut wakes = Wakes::default();
        // With a buffer, who waits here waits for room that is reserved, and only watchers can be served.
        let sender = if self.capacity == 0 { claim_first(&mut state.sending, &mut wakes) } else { None };
        let taken = match sender {
            Some(sender) if sender.wish() == Wish::Promise => {
                // SAFETY: claimed; the caller keeps `wait` and `slot` in place.
                wakes.add(unsafe { sender.choose(Some(wait.as_partner(slot.cast(), 0))) });
                Taken::Promised
            }
            Some(sender) => {
                // SAFETY: a claimed sender's slot is ours and holds a message that it gives up.
                unsafe { slot.copy_from_nonoverlapping(sender.slot().cast(), 1) };
                // SAFETY: claimed.
                wakes.add(unsafe { sender.finish(Verdict::Done) });
                Taken::Done
            }
            None => self.wait_to_receive(&mut state, slot, wait, may_wait),
        };
        drop(state);
        wakes.wake();
        taken
    }

    #[inline]
    fn wait_to_receive(&self, state: &mut State<T>, slot: NonNull<T>, wait: &Wait, may_wait: bool) -> Taken {
        if state.closed {
            return Taken::Closed;
        }
        if !may_wait {
            return Taken::Empty;
        }
        wait.arm();
        let ticket = state.receiving.push_back(Entry::new(wait, 0, slot.cast(), Wish::Exchange));
        Taken::Waits(ticket, state.next_time())
    }

    /// The message, or the verdict `Closed`, or `Retry` if the time was up.
    #[inline(always)]
    pub(super) fn receive(&self, patience: Patience) -> Result<T, Verdict> {
        let (may_wait, deadline) = match patience {
            Patience::Never => (false, None),
            Patience::Until(deadline) => (true, deadline),
        };
        if may_wait {
            spend_budget();
        }
        let mut message = MaybeUninit::<T>::uninit();
        loop {
            let slot = NonNull::from(&mut message).cast::<T>();
            let wait = Wait::new(false);
            // SAFETY: `park` and `park_for_verdict` return with the verdict, or after the withdrawal.
            let verdict = match unsafe { self.take(slot, &wait, may_wait) } {
                Taken::Done => Verdict::Done,
                Taken::Closed => return Err(Verdict::Closed),
                Taken::Empty => return Err(Verdict::Retry),
                Taken::Promised => wait.park_for_verdict(WaitReason::ChannelReceive).0,
                Taken::Waits(ticket, clock) => {
                    let until = deadline.into_iter().chain(clock).min();
                    match self.park(&wait, Side::Receive, ticket, until) {
                        Some(verdict) => verdict,
                        None if clock != until => return Err(Verdict::Retry),
                        None => Verdict::Retry,
                    }
                }
            };
            match verdict {
                // SAFETY: `Done` means that the message is in the slot.
                Verdict::Done => return Ok(unsafe { message.assume_init() }),
                Verdict::Closed => return Err(Verdict::Closed),
                _ => {}
            }
        }
    }

    // ---- ends ----

    pub(super) fn add(&self, side: Side) {
        // Relaxed, as for Arc: the new handle comes from one that keeps the side open.
        let before = self.handles(side).fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            std::process::abort();
        }
    }

    /// A handle is dropped; with the last one of a side the channel closes.
    pub(super) fn remove(&self, side: Side) {
        if self.handles(side).fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close(side);
        }
    }

    fn handles(&self, side: Side) -> &AtomicUsize {
        match side {
            Side::Send => &self.senders,
            Side::Receive => &self.receivers,
        }
    }

    /// Everybody who waits is told. Without receivers the messages are dropped, now.
    fn close(&self, side: Side) {
        let mut state = self.state.lock();
        state.closed = true;
        let mut waiting = state.sending.take_all();
        waiting.append(&mut state.receiving.take_all());
        let rest = if side == Side::Receive { std::mem::take(&mut state.buffer) } else { VecDeque::new() };
        let mut wakes = Wakes::default();
        for entry in waiting.into_iter().filter(Entry::claim) {
            let verdict = if entry.wish() == Wish::Watch { Verdict::Ready } else { Verdict::Closed };
            // SAFETY: just claimed.
            wakes.add(unsafe { entry.finish(verdict) });
        }
        drop(state);
        wakes.wake();
        drop_one_by_one(rest);
    }

    // ---- state ----

    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        state.buffer.len() + usize::from(state.clock_is_due())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        if state.clock.is_some() && self.capacity > 0 { state.clock_is_due() } else { !state.has_room(self.capacity) }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    /// Whether it is what `never` makes.
    pub(super) fn is_never(&self) -> bool {
        self.capacity == 0 && self.state.lock().clock.is_some()
    }
}

/// If a destructor panics, the messages behind it are leaked: a second panic would end the process.
fn drop_one_by_one<T>(messages: VecDeque<T>) {
    let mut messages = ManuallyDrop::new(messages);
    while let Some(message) = messages.pop_front() {
        drop(message);
    }
    drop(ManuallyDrop::into_inner(messages));
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        drop_one_by_one(std::mem::take(&mut self.state.get_mut().buffer));
    }
}
