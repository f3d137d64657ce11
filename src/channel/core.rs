//! The channel itself: a buffer, two lists of waiters, and the rules by which messages move.
//!
//! There is one design for all capacities. Go's `src/runtime/chan.go` is the model: a message goes straight
//! from a sender to a waiting receiver, or the other way round, from stack to stack; the buffer is for when
//! nobody waits.
//!
//! # Invariants, under the lock
//! - Waiting receivers that can be served ⇒ the buffer is empty, and no sender waits that can be served.
//! - Waiting senders that can be served ⇒ the buffer is full, room reserved for selects included.
//! - `closed` ⇔ all senders or all receivers are gone, or a signal's time has come (`close_signal`). Then nobody waits, and nobody begins to.
//! - `reserved` counts selects that have been promised room in the buffer and have not delivered yet. If that is all the
//!   room, others meet as at zero capacity: who waits for the message of a select is only who it was promised to.
//!
//! Nothing under the lock runs user code, waits, or wakes: messages are moved, not dropped or cloned; wake-ups
//! and drops come after.
//!
//! # Sends of a select
//! crossbeam's interface, and Go's order of evaluation turned round, gives a select's message only after its
//! send has been chosen. So the send *promises*: who takes it up waits, claimed, until the message is
//! delivered (`SelectedOperation::send`) or the promise is abandoned. So two `try_` operations can wait, for as long as
//! a select takes from being chosen to its message (crossbeam spins in the same place): `try_recv` whose sender waits and
//! has promised, and `try_select`, which may also be called upon in the moment in which it stands in its channels. A
//! promise of a neighbour that cannot run, because the caller must not switch, they do not take up.
//!
//! Rejected: lock-free rings and lists as crossbeam's flavours. One to one they cost as many locked
//! instructions as this lock; and a rendezvous, a select and a close need a lock or its like anyhow.

use super::clock::Clock;
use super::lock::{Guard, Lock};
use super::seat::{Seat, Seated};
use super::wait::{Verdict, Wait, Wish};
use super::waiters::{Claimed, Entry, PlainWait, Waiters};
use super::wakes::Wakes;
use crate::atomics::{AtomicBool, AtomicUsize, Ordering};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Woken, keeps_thread, may_spin, pause};
use std::collections::VecDeque;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::time::Instant;

/// Looks at the channel before a partner of another thread's is waited for, at growing distances: some microseconds.
const HESITATIONS: u32 = if cfg!(loom) { 1 } else { 8 };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Send,
    Receive,
}

impl Side {
    /// In the hint of a channel's lock: nobody, whoever he is, could go ahead on this side. For receivers also: and no time
    /// at which one could is known.
    pub(super) const fn idle(self) -> u8 {
        match self {
            Self::Send => 2,
            Self::Receive => 4,
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Send => Self::Receive,
            Self::Receive => Self::Send,
        }
    }
}

/// How long an operation may wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    Never,
    Until(Option<Instant>),
}

/// In this order: what is written while nobody waits in a list comes first, and shares one cache line with the lock's word
/// and the seat.
#[repr(C)]
pub(super) struct State<T> {
    pub(super) closed: bool,
    /// Whether the last who was woken here was on another thread than its waker: then waiting begins with spinning.
    pub(super) apart: bool,
    pub(super) buffer: VecDeque<T>,
    pub(super) sending: Waiters,
    pub(super) receiving: Waiters,
    pub(super) seated: Seated,
    pub(super) reserved: usize,
    pub(super) clock: Option<Box<Clock<T>>>,
    clocks: observe::ChannelClocks,
}

#[repr(C)]
pub(crate) struct Core<T> {
    pub(super) seat: Seat,
    pub(super) state: Lock<State<T>>,
    /// `usize::MAX`: unbounded.
    pub(super) capacity: usize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// One of the sides has given up its last handle, or there is but one; see `handle.rs`, as for what is below.
    pub(super) abandoned: AtomicBool,
    pub(super) offset: u8,
}

/// What became of a receive. The lock is free, but for `Empty`.
pub(super) enum Taken<'a, T> {
    Done,
    Closed,
    /// The sender is a select, which is to be called upon.
    Promised(Claimed),
    Empty(Guard<'a, State<T>>),
}

/// Calls upon the send of a select for a message into the slot, and waits for the verdict. `None`: the select could not
/// run before we return, since without `may_wait` we must not switch; it has been sent back to begin again.
#[cold]
#[inline(never)]
pub(super) fn call_upon(sender: Claimed, slot: NonNull<u8>, may_wait: bool, reason: WaitReason) -> Option<Verdict> {
    let apart = !sender.is_neighbour();
    if !may_wait && !apart && keeps_thread() {
        sender.dismiss(Verdict::Retry).wake();
        return None;
    }
    let plain = PlainWait::new();
    let entry = plain.entry(slot);
    sender.choose(Some(entry.claim_itself(apart))).wake();
    // Until then the entry, its wait and its slot stay in place.
    Some(entry.wait().park_for_verdict(reason).0)
}

impl<T> State<T> {
    pub(super) fn has_room(&self, capacity: usize) -> bool {
        self.buffer.len() + self.reserved < capacity
    }

    /// Gives a message to a waiting receiver.
    ///
    /// # Safety
    /// It waits here, and the caller gives up the message.
    #[inline(always)]
    pub(super) unsafe fn hand_over(&mut self, message: NonNull<T>, receiver: Claimed, capacity: usize) -> Woken {
        if observe::is_on() {
            observe::handed(self.watched(capacity), None, Some(receiver.waiter()));
        }
        // SAFETY: a claimed receiver's slot is ours, and made for a T. The caller gives up the message.
        unsafe { receiver.slot().cast::<T>().copy_from_nonoverlapping(message, 1) };
        // SAFETY: just copied.
        self.served(unsafe { receiver.done() })
    }

    /// What those who watch know the channel by.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// For those who watch how messages pass.
    #[inline(always)]
    pub(super) fn watched(&mut self, capacity: usize) -> observe::Channel<'_> {
        observe::Channel { address: self.address(), capacity, length: self.buffer.len(), clocks: &mut self.clocks }
    }

    /// The caller is going to drop messages that nobody has received, which comes after they were sent.
    fn tell_dropped(&mut self, messages: &VecDeque<T>, capacity: usize) {
        if observe::is_on() {
            for length in (0..messages.len()).rev() {
                observe::unbuffered(observe::Channel { length, ..self.watched(capacity) });
            }
        }
    }

    /// Notes who was served.
    #[inline(always)]
    fn served(&mut self, woken: Woken) -> Woken {
        match woken {
            Woken::Neighbour => self.apart = false,
            Woken::Spinner => {}
            Woken::Elsewhere(_) => self.apart = true,
        }
        woken
    }

    /// Notes one who is going to be served when the lock is free.
    #[inline(always)]
    pub(super) fn note_claimed(&mut self, waiter: &Claimed) {
        self.apart = !waiter.is_neighbour();
    }

    /// There is room: waiting senders get it.
    pub(super) fn admit(&mut self, capacity: usize, wakes: &mut Wakes) {
        while self.has_room(capacity) && !self.closed && !self.sending.is_empty() {
            let Some(sender) = self.sending.claim_partner() else {
                return self.tell_watchers(Side::Send, wakes);
            };
            if sender.wish() == Wish::Promise {
                self.reserved += 1;
                wakes.add(self.served(sender.choose(None)));
            } else {
                if observe::is_on() {
                    observe::buffered(self.watched(capacity), Some(sender.waiter()));
                }
                // SAFETY: a claimed sender's slot is ours, and holds a message that it gives up.
                self.buffer.push_back(unsafe { sender.slot().cast::<T>().read() });
                // SAFETY: just taken.
                wakes.add(self.served(unsafe { sender.done() }));
            }
        }
    }

    /// Those who only watch a side learn that an operation there may be ready.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_watchers(&mut self, side: Side, wakes: &mut Wakes) {
        self.list(side).claim_watchers(|watcher| wakes.add(watcher.dismiss(Verdict::Ready)));
    }

    /// Takes a message, if there is one to be had at once, from the buffer or the clock.
    #[inline(always)]
    fn take_buffered(&mut self, capacity: usize) -> Option<T> {
        match self.buffer.pop_front() {
            None => self.take_from_clock(),
            message => {
                observe::unbuffered(self.watched(capacity));
                message
            }
        }
    }

    /// Whether an operation could go ahead now, for anybody but `own`.
    pub(super) fn is_ready(&self, side: Side, capacity: usize, own: &Wait) -> bool {
        let is_partner =
            |entry: &Entry| entry.wish() != Wish::Watch && !std::ptr::eq(entry.wait(), own) && entry.wait().is_free();
        let partner = |list: &Waiters| list.iter().any(is_partner);
        self.closed
            || match side {
                Side::Send => self.has_room(capacity) || partner(&self.receiving),
                Side::Receive => !self.buffer.is_empty() || self.clock_is_due() || partner(&self.sending),
            }
    }

    pub(super) fn list(&mut self, side: Side) -> &mut Waiters {
        match side {
            Side::Send => &mut self.sending,
            Side::Receive => &mut self.receiving,
        }
    }
}

impl<T> Core<T> {
    /// Room that is set aside at once; more comes as it is used.
    const PREPARED: usize = 512;
    /// An empty buffer that has grown beyond this gives its memory back. Messages without size have none to give.
    const KEPT: usize = if size_of::<T>() == 0 { usize::MAX } else { 4096 };

    /// More messages could not exist in memory.
    pub(super) const MOST: usize = isize::MAX as usize / if size_of::<T>() == 0 { 1 } else { size_of::<T>() };

    pub(super) fn new(capacity: usize, clock: Option<Clock<T>>) -> Self {
        let prepared = if capacity == usize::MAX { 0 } else { capacity.min(Self::PREPARED) };
        let state = State {
            closed: false,
            apart: false,
            buffer: VecDeque::with_capacity(prepared),
            sending: Waiters::new(),
            receiving: Waiters::new(),
            seated: Seated::nobody(),
            reserved: 0,
            clock: clock.map(Box::new),
            clocks: observe::ChannelClocks::none(),
        };
        Self {
            seat: Seat::new(),
            state: Lock::new(state),
            capacity,
            // A clock's channel never closes for want of senders.
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            abandoned: AtomicBool::new(false),
            offset: 0,
        }
    }

    // ---- sending ----

    /// The message comes back, with the verdict `Closed`, or `Retry` if the time was up.
    #[inline(always)]
    #[track_caller]
    pub(super) fn send(&self, message: T, patience: Patience) -> Result<(), (T, Verdict)> {
        let is_watched = match patience {
            Patience::Until(_) => observe::enter(Op::Send, &self.state),
            Patience::Never => observe::touch(Op::TrySend, &self.state),
        };
        if is_watched {
            return self.send_watched(message, patience);
        }
        let mut state = self.state.lock();
        if state.receiving.is_empty() && state.has_room(self.capacity) && !state.closed {
            state.buffer.push_back(message);
            return Ok(());
        }
        self.send_or_wait(state, message, patience)
    }

    /// The way on which all that happens is told.
    #[cold]
    #[inline(never)]
    fn send_watched(&self, message: T, patience: Patience) -> Result<(), (T, Verdict)> {
        let result = self.send_or_wait(self.state.lock(), message, patience);
        if let Err((_, Verdict::Closed)) = result {
            observe::acquire_at(self.address());
        }
        result
    }

    #[inline(always)]
    fn send_or_wait<'a>(
        &'a self,
        state: Guard<'a, State<T>>,
        message: T,
        patience: Patience,
    ) -> Result<(), (T, Verdict)> {
        let mut message = ManuallyDrop::new(message);
        let slot = NonNull::from(&mut *message);
        // SAFETY: the message is there, and stays in place; with `Done` it is given up, and not used again.
        let verdict = unsafe { self.send_slowly(state, slot, patience) };
        if verdict == Verdict::Done { Ok(()) } else { Err((ManuallyDrop::into_inner(message), verdict)) }
    }

    /// # Safety
    /// `message` holds a message, which the caller keeps in place. It is given up if and only if the verdict is `Done`.
    #[inline(always)]
    unsafe fn send_slowly<'a>(
        &'a self,
        mut state: Guard<'a, State<T>>,
        message: NonNull<T>,
        patience: Patience,
    ) -> Verdict {
        if let Patience::Until(_) = patience {
            state = self.hesitate(state, |state| state.has_room(self.capacity) || !state.receiving.is_empty());
        }
        // SAFETY: the caller gives it up.
        if unsafe { self.serve_seated(&mut state, Side::Receive, message) } {
            return Verdict::Done;
        }
        if let Some(receiver) = state.receiving.claim_partner() {
            // SAFETY: the caller gives it up.
            let woken = unsafe { state.hand_over(message, receiver, self.capacity) };
            drop(state);
            woken.wake();
            return Verdict::Done;
        }
        if state.closed {
            return Verdict::Closed;
        }
        if state.has_room(self.capacity) {
            observe::buffered(state.watched(self.capacity), None);
            // SAFETY: the caller gives it up.
            state.buffer.push_back(unsafe { message.read() });
            Self::leave_changed(state, Side::Send);
            return Verdict::Done;
        }
        let Patience::Until(deadline) = patience else { return Verdict::Retry };
        let plain = PlainWait::new();
        let slot = plain.slot_for(message);
        // SAFETY: whoever takes it there takes the caller's. They may be the same.
        unsafe { slot.copy_from(message, 1) };
        // SAFETY: just copied.
        unsafe { self.wait(state, Side::Send, &plain, slot, deadline) }.unwrap_or(Verdict::Retry)
    }

    /// Waits, in the seat or in the list. `None`: the time is up. With `Done` the message has been given up, or is in the slot.
    ///
    /// # Safety
    /// The slot is what `plain` has for messages. It holds a sender's.
    #[inline(always)]
    unsafe fn wait(
        &self,
        mut state: Guard<'_, State<T>>,
        side: Side,
        plain: &PlainWait,
        slot: NonNull<T>,
        deadline: Option<Instant>,
    ) -> Option<Verdict> {
        let entry = plain.entry(slot.cast());
        let apart = state.apart && state.list(side).is_empty();
        let spins = may_spin(apart);
        let is_served = if spins && self.may_sit(&state) {
            // SAFETY: as below.
            unsafe { self.wait_in_seat(state, side, plain, slot) }
        } else {
            entry.wait().arm_plain(spins);
            state.set_hasty(false);
            // SAFETY: `park` returns with the verdict, or after the withdrawal.
            unsafe { state.list(side).push_back(entry) };
            Self::leave_changed(state, side);
            false
        };
        // One way to `park`, so that it is inlined (`park.rs` says why).
        if is_served { Some(Verdict::Done) } else { self.park(entry, side, deadline) }
    }

    /// Somebody has come on this side, or a message. Nobody waits on the other one who could do something with it at once, but
    /// perhaps some who only watch.
    #[inline(always)]
    pub(super) fn leave_changed(mut state: Guard<'_, State<T>>, side: Side) {
        if !state.list(side.other()).is_empty() {
            Self::leave_to_watchers(state, side.other());
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_to_watchers(mut state: Guard<'_, State<T>>, side: Side) {
        let mut wakes = Wakes::default();
        state.tell_watchers(side, &mut wakes);
        drop(state);
        wakes.wake();
    }

    /// With a buffer between partners on two threads it pays to let the other one run ahead before one waits: each
    /// then does many operations while it has the channel's cache lines. Nobody else can be waiting for us meanwhile,
    /// since we stand in no list.
    #[inline(always)]
    fn hesitate<'a>(&'a self, state: Guard<'a, State<T>>, ready: impl Fn(&State<T>) -> bool) -> Guard<'a, State<T>> {
        if self.capacity == 0 || state.closed || ready(&state) || !may_spin(state.apart) {
            return state;
        }
        self.hesitate_slowly(state, ready)
    }

    #[cold]
    #[inline(never)]
    fn hesitate_slowly<'a>(
        &'a self,
        mut state: Guard<'a, State<T>>,
        ready: impl Fn(&State<T>) -> bool,
    ) -> Guard<'a, State<T>> {
        for round in 0..HESITATIONS {
            drop(state);
            pause(1 << round);
            state = self.state.lock();
            if state.closed || ready(&state) {
                break;
            }
        }
        state
    }

    /// Waits as a plain waiter. `None`: the time is up, and the entry withdrawn.
    #[inline(always)]
    fn park(&self, entry: &Entry, side: Side, deadline: Option<Instant>) -> Option<Verdict> {
        let reason = match side {
            Side::Send => WaitReason::ChannelSend,
            Side::Receive => WaitReason::ChannelReceive,
        };
        if let Some((verdict, _)) = entry.wait().park(reason, deadline) {
            return Some(verdict);
        }
        // SAFETY: it was put into this list.
        if unsafe { self.withdraw(side, entry) } {
            return None;
        }
        // Claimed in the last moment.
        Some(entry.wait().park_for_verdict(reason).0)
    }

    /// Takes an entry out of its list; false if another has taken it.
    ///
    /// # Safety
    /// If the entry is in a list, it is in this one.
    pub(super) unsafe fn withdraw(&self, side: Side, entry: &Entry) -> bool {
        if !entry.is_listed() {
            return false;
        }
        let (mut state, hint) = self.state.lock_hinted();
        // SAFETY: as the caller promises.
        let removed = unsafe { state.list(side).remove(entry) };
        // Who could not go ahead while one more waited cannot now.
        state.leave_behind(hint);
        removed
    }

    // ---- receiving ----

    /// Receives into the slot, if that is possible at once. With `leaves_hint` it says to those who come next whether there is
    /// more: selects come again and again, and look at all their arms.
    ///
    /// # Safety
    /// The slot is for a message.
    #[inline(always)]
    pub(super) unsafe fn take<'a>(
        &'a self,
        mut state: Guard<'a, State<T>>,
        slot: NonNull<T>,
        leaves_hint: bool,
    ) -> Taken<'a, T> {
        if let Some(message) = state.take_buffered(self.capacity) {
            // SAFETY: the slot is the caller's.
            unsafe { slot.write(message) };
            self.leave_room(state, leaves_hint);
            return Taken::Done;
        }
        // SAFETY: the slot is the caller's.
        if unsafe { self.serve_seated(&mut state, Side::Send, slot) } {
            Self::leave_taken(state, leaves_hint);
            return Taken::Done;
        }
        match state.sending.claim_partner() {
            Some(sender) if sender.wish() == Wish::Promise => {
                state.note_claimed(&sender);
                Self::leave_taken(state, leaves_hint);
                Taken::Promised(sender)
            }
            Some(sender) => {
                if observe::is_on() {
                    observe::handed(state.watched(self.capacity), Some(sender.waiter()), None);
                }
                // SAFETY: a claimed sender's slot is ours and holds a message that it gives up.
                unsafe { slot.copy_from_nonoverlapping(sender.slot().cast(), 1) };
                // SAFETY: just copied.
                let woken = state.served(unsafe { sender.done() });
                Self::leave_taken(state, leaves_hint);
                woken.wake();
                Taken::Done
            }
            None if state.closed => Taken::Closed,
            None => Taken::Empty(state),
        }
    }

    /// A message has been taken, and nobody sits there who has another.
    #[inline(always)]
    fn leave_taken(mut state: Guard<'_, State<T>>, leaves_hint: bool) {
        if leaves_hint
            && state.sending.is_empty()
            && state.buffer.is_empty()
            && !state.closed
            && state.next_time().is_none()
        {
            state.leave_behind(Side::Receive.idle());
        }
    }

    /// A message has been taken out of the buffer.
    #[inline(always)]
    fn leave_room(&self, mut state: Guard<'_, State<T>>, leaves_hint: bool) {
        let (mut wakes, mut memory) = (Wakes::default(), VecDeque::new());
        if state.buffer.is_empty() && state.buffer.capacity() > Self::KEPT {
            memory = std::mem::take(&mut state.buffer);
        }
        state.admit(self.capacity, &mut wakes);
        Self::leave_taken(state, leaves_hint);
        drop(memory);
        wakes.wake();
    }

    /// After `Empty`: the caller does not wait.
    #[inline(always)]
    pub(super) fn leave_empty(mut state: Guard<'_, State<T>>) {
        // Nobody waits to send: `take` has found none. But those who only watch are to be told if the caller joins.
        if state.sending.is_empty() && state.next_time().is_none() {
            state.leave_behind(Side::Receive.idle());
        }
    }

    /// The message, or the verdict `Closed`, or `Retry` if the time was up.
    #[inline(always)]
    #[track_caller]
    pub(super) fn receive(&self, patience: Patience) -> Result<T, Verdict> {
        let is_watched = match patience {
            Patience::Until(_) => observe::enter(Op::Receive, &self.state),
            Patience::Never => observe::touch(Op::TryReceive, &self.state),
        };
        if is_watched { self.receive_watched(patience) } else { self.receive_as::<false>(patience) }
    }

    /// The way on which all that happens is told.
    #[cold]
    #[inline(never)]
    fn receive_watched(&self, patience: Patience) -> Result<T, Verdict> {
        let result = self.receive_as::<true>(patience);
        if let Err(Verdict::Closed) = result {
            observe::acquire_at(self.address());
        }
        result
    }

    #[inline(always)]
    fn receive_as<const WATCHED: bool>(&self, patience: Patience) -> Result<T, Verdict> {
        let (may_wait, deadline) = match patience {
            Patience::Never => (false, None),
            Patience::Until(deadline) => (true, deadline),
        };
        loop {
            let mut state = self.state.lock();
            if !WATCHED
                && state.sending.is_empty()
                && state.buffer.capacity() <= Self::KEPT
                && let Some(message) = state.buffer.pop_front()
            {
                return Ok(message);
            }
            if may_wait {
                state = self.hesitate(state, |state| !state.buffer.is_empty() || !state.sending.is_empty());
            }
            let mut message = MaybeUninit::<T>::uninit();
            let slot = NonNull::from(&mut message).cast::<T>();
            // SAFETY: the slot is ours.
            let verdict = match unsafe { self.take(state, slot, false) } {
                Taken::Done => Verdict::Done,
                Taken::Closed => return Err(Verdict::Closed),
                Taken::Promised(sender) => {
                    let verdict = call_upon(sender, slot.cast(), may_wait, WaitReason::ChannelReceive);
                    verdict.ok_or(Verdict::Retry)?
                }
                Taken::Empty(state) if !may_wait => {
                    Self::leave_empty(state);
                    return Err(Verdict::Retry);
                }
                Taken::Empty(state) => {
                    let clock = state.next_time();
                    let until = deadline.into_iter().chain(clock).min();
                    let plain = PlainWait::new();
                    let slot = plain.slot_for(slot);
                    // SAFETY: the slot is for a message.
                    match unsafe { self.wait(state, Side::Receive, &plain, slot, until) } {
                        // SAFETY: `Done` means that the message is in the slot.
                        Some(Verdict::Done) => return Ok(unsafe { slot.read() }),
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

    /// A message goes from the caller to a receiver that it has claimed, past the lock.
    #[cold]
    pub(super) fn tell_handed(&self, receiver: &Claimed) {
        observe::handed(self.state.lock().watched(self.capacity), None, Some(receiver.waiter()));
    }

    // ---- ends ----

    pub(super) fn add(&self, side: Side) {
        // Relaxed, as for Arc: the new handle comes from one that keeps the side open.
        let before = self.handles(side).fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            std::process::abort();
        }
    }

    /// A handle is about to be dropped.
    pub(super) fn tell_leaving(&self, side: Side) {
        if observe::is_on() && self.handles(side).load(Ordering::Relaxed) == 1 {
            let op = if side == Side::Send { Op::CloseSenders } else { Op::CloseReceivers };
            observe::touch(op, &self.state);
        }
    }

    /// The last handle of a side has been dropped. Returns the messages that nobody will receive.
    pub(super) fn lose(&self, side: Side) -> Messages<T> {
        let (wakes, rest) = self.close(side);
        wakes.wake();
        Messages(rest)
    }

    /// Closes a channel that never has a message nor a sender, under a lock of the caller's perhaps: the wake-ups are
    /// left to the caller, which does them before it switches.
    pub(crate) fn close_signal(&self) -> Wakes {
        self.close(Side::Send).0
    }

    pub(super) fn handles(&self, side: Side) -> &AtomicUsize {
        match side {
            Side::Send => &self.senders,
            Side::Receive => &self.receivers,
        }
    }

    /// Everybody who waits is to be told. Without receivers the messages are to be dropped, now.
    fn close(&self, side: Side) -> (Wakes, VecDeque<T>) {
        observe::release_at(self.address());
        let mut state = self.lock();
        state.closed = true;
        let rest = if side == Side::Receive { std::mem::take(&mut state.buffer) } else { VecDeque::new() };
        state.tell_dropped(&rest, self.capacity);
        let mut wakes = Wakes::default();
        while let Some(waiter) = state.sending.claim_first().or_else(|| state.receiving.claim_first()) {
            let verdict = if waiter.wish() == Wish::Watch { Verdict::Ready } else { Verdict::Closed };
            wakes.add(waiter.dismiss(verdict));
        }
        (wakes, rest)
    }

    // ---- state ----

    /// What those who watch know the channel by.
    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        self.state.address()
    }

    #[track_caller]
    pub(super) fn len(&self) -> usize {
        observe::touch(Op::ChannelState, &self.state);
        let state = self.state.lock();
        state.buffer.len() + usize::from(state.clock_is_due())
    }

    #[track_caller]
    pub(super) fn is_closed(&self) -> bool {
        observe::touch(Op::ChannelState, &self.state);
        self.state.lock().closed
    }

    #[track_caller]
    pub(super) fn is_full(&self) -> bool {
        observe::touch(Op::ChannelState, &self.state);
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

/// Messages that are dropped one by one. If a destructor panics, those behind it are leaked: a second panic would end the
/// process.
pub(super) struct Messages<T>(VecDeque<T>);

impl<T> Drop for Messages<T> {
    fn drop(&mut self) {
        let mut messages = ManuallyDrop::new(std::mem::take(&mut self.0));
        while let Some(message) = messages.pop_front() {
            drop(message);
        }
        drop(ManuallyDrop::into_inner(messages));
    }
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        let (capacity, state) = (self.capacity, self.state.get_mut());
        let rest = std::mem::take(&mut state.buffer);
        state.tell_dropped(&rest, capacity);
        observe::forget(self.address());
        drop(Messages(rest));
    }
}
