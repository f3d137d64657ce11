//! [`Select`]: waiting for several channel operations at once.
//!
//! # How
//! First each operation is tried, in random order; one that looks idle without the lock (`Side::idle`) is passed over,
//! once. If none is ready, the select joins the waiters of all its channels, one after the other, with one [`Wait`] for
//! all: who claims that has chosen the operation. A channel that turns out to be ready while the select joins makes it
//! withdraw and begin again (unless it has been claimed meanwhile). In the end it withdraws from all lists; entries that
//! others find before that are dropped as claimed. No two channels are locked at once.
//!
//! Two selects that wait for each other cannot miss each other: both join the same channel under its lock, so
//! the later one finds the earlier one free, or claimed, which is also an end of its wait.
//!
//! Rejected: locking all channels of a select in the order of their addresses, as Go does. It needs no claims,
//! but makes each select pay for the locks of all its arms twice, and hold them together.

use super::core::{Side, call_upon};
use super::endpoint::{Begun, Endpoint, IsReady};
use super::error::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};
use super::selected::{Operation, SelectedOperation};
use super::wait::{Verdict, Wait, Wish};
use super::waiters::{Claimed, Entry};
use super::{Receiver, Sender};
use crate::observe::{self, Op};
use crate::park::WaitReason;
use smallvec::SmallVec;
use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::mem::transmute;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// One operation of a list.
#[derive(Clone, Copy)]
struct Arm {
    /// Borrowed for as long as its [`Select`] says: see there.
    endpoint: NonNull<dyn Endpoint>,
    side: Side,
    index: usize,
}

/// Waits for one of several channel operations, in crossbeam-channel's manner; [`select!`](crate::select) is
/// the short form for a fixed list.
///
/// Operations are added with [`send`](Self::send) and [`recv`](Self::recv). Then
/// - [`select`](Self::select) and its kin choose an operation that can go ahead, at random if there are several, and
///   *begin* it: it must be completed;
/// - [`ready`](Self::ready) and its kin only say which one may go ahead.
///
/// An operation on a channel whose other side is gone can go ahead: it completes with an error.
///
/// The same channel may be added several times, also for both directions; a select does not exchange messages with
/// itself.
///
/// ```
/// use lisle::channel::{Receiver, RecvError, Select, unbounded};
///
/// fn receive_from_any<T>(receivers: &[Receiver<T>]) -> Result<T, RecvError> {
///     let mut select = Select::new();
///     for receiver in receivers {
///         select.recv(receiver);
///     }
///     let operation = select.select();
///     let index = operation.index();
///     operation.recv(&receivers[index])
/// }
///
/// let (sender, receiver) = unbounded();
/// let (_idle, other) = unbounded();
/// sender.send(7).unwrap();
/// assert_eq!(receive_from_any(&[other, receiver]), Ok(7));
/// ```
pub struct Select<'a> {
    /// Without the lifetime: a `SmallVec` of what has one is invariant in it, and a select is to be covariant.
    arms: SmallVec<[Arm; 4]>,
    /// The senders and receivers.
    borrows: PhantomData<&'a ()>,
    next_index: usize,
    biased: bool,
    /// Large enough for whichever message the arms may bring.
    message: Layout,
}

// SAFETY: the arms are references to channels, which are Sync themselves if their messages are Send. If they are
// not, a select may wait on another thread, but no message leaves it there: completing an operation takes a
// reference to the sender or receiver, which that thread cannot have; and what is not completed is leaked, not
// dropped.
unsafe impl Send for Select<'_> {}
// SAFETY: all that a shared reference allows is Clone and Debug, which touch no channel.
unsafe impl Sync for Select<'_> {}

/// How long a selection may take.
#[derive(Clone, Copy)]
enum Limit {
    Now,
    Until(Option<Instant>),
}

impl Limit {
    fn is_past(self) -> bool {
        match self {
            Self::Now => true,
            Self::Until(deadline) => deadline.is_some_and(|deadline| deadline <= crate::clock::now()),
        }
    }
}

/// Why nothing was chosen.
enum Missed {
    /// An arm was ready: try again.
    Ready,
    /// At the end of the limit, or when a clock had its message, none was.
    Time,
}

impl<'a> Select<'a> {
    /// An empty list; operations that are ready are chosen at random.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self { arms: SmallVec::new(), borrows: PhantomData, next_index: 0, biased: false, message: Layout::new::<()>() }
    }

    /// An empty list; of the operations that are ready the first is chosen.
    #[must_use]
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    /// Adds a send, and returns its index: 0 for the first operation added, and so on.
    #[inline]
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(sender.core(), Side::Send)
    }

    /// Adds a receive, and returns its index.
    #[inline]
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        let (size, align) = (self.message.size().max(size_of::<T>()), self.message.align().max(align_of::<T>()));
        self.message = Layout::from_size_align(size, align).expect("messages of this size and alignment exist");
        self.add(receiver.core(), Side::Receive)
    }

    #[inline]
    fn add(&mut self, endpoint: &'a dyn Endpoint, side: Side) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        let endpoint = NonNull::from(endpoint);
        // SAFETY: a pointer's lifetime promises nothing; `endpoint`, the only reader, gives it back its own.
        let endpoint = unsafe { transmute::<NonNull<dyn Endpoint + 'a>, NonNull<dyn Endpoint>>(endpoint) };
        self.arms.push(Arm { endpoint, side, index });
        index
    }

    #[inline(always)]
    fn endpoint(&self, arm: &Arm) -> &'a dyn Endpoint {
        // SAFETY: `add` got it as a reference for this select's lifetime, or, before that was shortened, for a longer one.
        // Arms go into no other select but clones, whose lifetime is the same.
        unsafe { arm.endpoint.as_ref() }
    }

    /// Takes an operation out; the others keep their indices.
    ///
    /// # Panics
    /// If there is no operation of this index.
    pub fn remove(&mut self, index: usize) {
        assert!(index < self.next_index, "index out of bounds; {index} >= {}", self.next_index);
        let position = self.arms.iter().position(|arm| arm.index == index);
        self.arms.remove(position.expect("no operation with this index"));
    }

    /// Begins an operation that can go ahead at once.
    ///
    /// # Errors
    /// If there is none, also if the list is empty.
    #[track_caller]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        let mut operation = Operation::default();
        self.try_select_into(&mut operation)?;
        Ok(SelectedOperation(operation))
    }

    /// Waits until an operation can go ahead, and begins it.
    ///
    /// # Panics
    /// If the list is empty: the wait would never end.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        let mut operation = Operation::default();
        self.select_into(&mut operation);
        SelectedOperation(operation)
    }

    /// As [`select`](Self::select), for at most `timeout`.
    ///
    /// # Errors
    /// If the time is up. An empty list waits until then.
    #[track_caller]
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let mut operation = Operation::default();
        self.select_timeout_into(timeout, &mut operation)?;
        Ok(SelectedOperation(operation))
    }

    /// As [`select`](Self::select), until `deadline` at the latest.
    ///
    /// # Errors
    /// If the time is up. An empty list waits until then.
    #[track_caller]
    pub fn select_deadline(&mut self, deadline: Instant) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let mut operation = Operation::default();
        if !self.run(Limit::Until(Some(deadline)), &mut operation) {
            return Err(SelectTimeoutError);
        }
        Ok(SelectedOperation(operation))
    }

    /// For `select!`, as the two below.
    #[doc(hidden)]
    #[inline]
    #[track_caller]
    pub fn select_into(&mut self, operation: &mut Operation<'a>) {
        assert!(!self.arms.is_empty(), "no operations have been added to `Select`");
        assert!(self.run(Limit::Until(None), operation), "it waits for ever");
    }

    #[doc(hidden)]
    #[inline]
    #[track_caller]
    pub fn try_select_into(&mut self, operation: &mut Operation<'a>) -> Result<(), TrySelectError> {
        if self.run(Limit::Now, operation) { Ok(()) } else { Err(TrySelectError) }
    }

    #[doc(hidden)]
    #[inline]
    #[track_caller]
    pub fn select_timeout_into(
        &mut self,
        timeout: Duration,
        operation: &mut Operation<'a>,
    ) -> Result<(), SelectTimeoutError> {
        let limit = Limit::Until(crate::clock::deadline(timeout));
        if self.run(limit, operation) { Ok(()) } else { Err(SelectTimeoutError) }
    }

    /// The index of an operation that is ready. Another may be faster: try it, and be prepared to fail.
    ///
    /// # Errors
    /// If there is none, also if the list is empty.
    #[track_caller]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.watch(Limit::Now).ok_or(TryReadyError)
    }

    /// Waits until an operation is ready, and returns its index. Another may be faster: try it, and be
    /// prepared to fail.
    ///
    /// # Panics
    /// If the list is empty: the wait would never end.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        assert!(!self.arms.is_empty(), "no operations have been added to `Select`");
        self.watch(Limit::Until(None)).expect("it waits for ever")
    }

    /// As [`ready`](Self::ready), for at most `timeout`.
    ///
    /// # Errors
    /// If the time is up. An empty list waits until then.
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.watch(Limit::Until(crate::clock::deadline(timeout))).ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), until `deadline` at the latest.
    ///
    /// # Errors
    /// If the time is up. An empty list waits until then.
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.watch(Limit::Until(Some(deadline))).ok_or(ReadyTimeoutError)
    }

    /// The positions of the arms: numbers, since arms are large to move. Those of a few are written in one piece, since
    /// what was just stored in narrow words is slow to load in wide ones.
    #[inline(always)]
    fn positions(&self) -> Order {
        let count = self.arms.len();
        if count <= FEW.len() { Order::from_buf_and_len(FEW, count) } else { (0..count as u32).collect() }
    }

    /// Before each pass over the arms. In a check one of those that are ready goes first: which, the explorer chooses.
    #[inline(always)]
    fn prepare<'o>(&self, order: &'o mut Order) -> Draws<'o> {
        let is_explored = observe::is_explored();
        if is_explored {
            *order = self.explored_order();
        }
        Draws { order, random: (!self.biased && !is_explored).then_some(0) }
    }

    #[cold]
    #[inline(never)]
    fn explored_order(&self) -> Order {
        let mut order: Order = (0..self.arms.len() as u32).collect();
        if self.biased {
            return order;
        }
        let own = Wait::new();
        let arm = |position: u32| &self.arms[position as usize];
        let is_ready = |&position: &u32| self.endpoint(arm(position)).is_ready(arm(position).side, &own);
        let ready: Order = order.iter().copied().filter(is_ready).collect();
        if let Some(&first) = observe::choose(|| ready.len()).and_then(|chosen| ready.get(chosen)) {
            order.retain(|position| *position != first);
            order.insert(0, first);
        }
        order
    }

    /// Whether an operation has begun.
    #[inline(never)]
    #[track_caller]
    fn run(&mut self, limit: Limit, operation: &mut Operation<'a>) -> bool {
        let slot = operation.slot_for(self.message);
        self.enter(limit);
        let mut order = self.positions();
        let mut hints = true;
        let (position, begun) = loop {
            if let Some(begun) = self.begin(slot, self.prepare(&mut order), hints) {
                break begun;
            }
            if self.is_decided(limit) {
                return false;
            }
            match self.wait(slot, limit, &order) {
                Ok(Some(begun)) => break begun,
                Err(Missed::Time) if limit.is_past() => match self.begin(slot, self.prepare(&mut order), false) {
                    Some(begun) => break begun,
                    None => return false,
                },
                _ => {}
            }
            hints = false;
        };
        let arm = &self.arms[position];
        operation.set(arm.index, arm.side, self.endpoint(arm), begun);
        true
    }

    /// The operation begins, for those who watch.
    #[inline(always)]
    #[track_caller]
    fn enter(&self, limit: Limit) {
        match limit {
            Limit::Until(_) => observe::enter(Op::Select, self),
            Limit::Now => observe::touch(Op::Select, self),
        };
    }

    /// Whether a look at each arm was all, if none was ready. For several it is not: while they are looked at one after
    /// the other, a message may move from one that comes later to one that came before, and "none is ready" be true of
    /// no moment. So a select joins them all, if only to leave them again at once.
    fn is_decided(&self, limit: Limit) -> bool {
        matches!(limit, Limit::Now) && self.arms.len() < 2
    }

    /// Tries each operation; with `hints` not those that look idle. Says which one has begun, by its position.
    #[inline(always)]
    fn begin(&self, slot: NonNull<u8>, mut draws: Draws<'_>, hints: bool) -> Option<(usize, Begun)> {
        let arms = self.arms.as_slice();
        for turn in 0..arms.len() {
            let position = draws.draw(turn);
            let arm = &arms[position];
            // SAFETY: the slot is made for the largest message. What has begun goes into an `Operation`, which
            // delivers or abandons.
            match unsafe { self.endpoint(arm).begin(arm.side, slot, hints) } {
                Begun::NotReady => {}
                Begun::Promised(sender) => {
                    if call_upon(sender, slot, false, WaitReason::Select) == Some(Verdict::Done) {
                        return Some((position, Begun::Received));
                    }
                }
                begun => return Some((position, begun)),
            }
        }
        None
    }

    /// Waits for an operation to be chosen. `None`: begin again.
    #[inline(always)]
    fn wait(&self, slot: NonNull<u8>, limit: Limit, order: &Order) -> Result<Option<(usize, Begun)>, Missed> {
        let wait = Wait::new();
        let wish = |side| if side == Side::Send { Wish::Promise } else { Wish::Exchange };
        let (verdict, position, partner) = self.wait_as(&wait, slot, wish, limit, order)?;
        let begun = match verdict {
            Verdict::Done => Begun::Received,
            Verdict::Closed => Begun::Closed,
            Verdict::Chosen => partner.map_or(Begun::Reserved, Begun::Partner),
            Verdict::Ready | Verdict::Retry => return Ok(None),
        };
        Ok(Some((position, begun)))
    }

    /// Joins the waiters of all arms, waits for the verdict (which names the arm by its position, and for one that is to
    /// deliver, the partner), and leaves them all.
    #[inline(always)]
    fn wait_as(
        &self,
        wait: &Wait,
        slot: NonNull<u8>,
        wish: impl Fn(Side) -> Wish,
        limit: Limit,
        order: &Order,
    ) -> Result<(Verdict, usize, Option<Claimed>), Missed> {
        wait.arm();
        let entry = |(position, arm): (u32, &Arm)| Entry::of_select(wait, position, slot, wish(arm.side));
        let arms = self.arms.as_slice();
        let mut entries = Entries::new();
        entries.extend((0..).zip(arms).map(entry));
        let entries = entries.as_slice();
        let verdict = match (self.join(entries, limit, order), limit) {
            (Err(IsReady), _) => Err(Missed::Ready),
            (Ok(_), Limit::Now) => Err(Missed::Time),
            (Ok(clock), Limit::Until(deadline)) => {
                wait.park(WaitReason::Select, earlier(deadline, clock)).ok_or(Missed::Time)
            }
        };
        let verdict = match verdict {
            Err(missed) if wait.withdraw() => Err(missed),
            Err(_) => Ok(wait.park_for_verdict(WaitReason::Select)),
            verdict => verdict,
        };
        for (arm, entry) in arms.iter().zip(entries) {
            if entry.is_listed() {
                // SAFETY: it was put into this list.
                unsafe { self.endpoint(arm).withdraw(arm.side, entry) };
            }
        }
        let (verdict, arm) = verdict?;
        let position = arm as usize;
        let partner = if verdict == Verdict::Chosen { entries[position].take_partner() } else { None };
        Ok((verdict, position, partner))
    }

    /// Returns the first time at which a clock has a message. In random order, since of two arms on one channel the one
    /// that joined first is served.
    #[inline(always)]
    fn join(&self, entries: &[Entry], limit: Limit, order: &Order) -> Result<Option<Instant>, IsReady> {
        let (arms, patient) = (self.arms.as_slice(), matches!(limit, Limit::Until(_)));
        let mut first: Option<Instant> = None;
        for &position in order.as_slice() {
            let (arm, entry) = (&arms[position as usize], &entries[position as usize]);
            // SAFETY: `wait_as` does not return before it has left all lists, and has the verdict if there is one.
            let clock = unsafe { self.endpoint(arm).join(arm.side, entry, patient) }?;
            first = earlier(first, clock);
        }
        Ok(first)
    }

    /// The index of an operation that may go ahead.
    #[track_caller]
    fn watch(&mut self, limit: Limit) -> Option<usize> {
        self.enter(limit);
        let mut order = self.positions();
        loop {
            let wait = Wait::new();
            if let Some(position) = self.find_ready(&wait, self.prepare(&mut order)) {
                return Some(self.arms[position].index);
            }
            if self.is_decided(limit) {
                return None;
            }
            match self.wait_as(&wait, NonNull::dangling(), |_| Wish::Watch, limit, &order) {
                Ok((Verdict::Ready, position, _)) => return Some(self.arms[position].index),
                Err(Missed::Time) if limit.is_past() => {
                    let position = self.find_ready(&wait, self.prepare(&mut order))?;
                    return Some(self.arms[position].index);
                }
                _ => {}
            }
        }
    }

    fn find_ready(&self, own: &Wait, mut draws: Draws<'_>) -> Option<usize> {
        let mut positions = (0..self.arms.len()).map(|turn| draws.draw(turn));
        positions.find(|&position| {
            let arm = &self.arms[position];
            self.endpoint(arm).is_ready(arm.side, own)
        })
    }
}

/// The earlier one of two times; `None` is never.
#[inline(always)]
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    if other.is_none() { one } else { one.into_iter().chain(other).min() }
}

type Entries = SmallVec<[Entry; 4]>;
type Order = SmallVec<[u32; FEW.len()]>;

/// The positions of a few arms.
const FEW: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// The order of a pass over the arms, which is drawn as far as the pass comes: mostly the first one is ready.
struct Draws<'o> {
    order: &'o mut [u32],
    /// What is left of a random number; `None`: the order is as it should be.
    random: Option<u32>,
}

impl Draws<'_> {
    /// Who has this turn. To be called for one turn after the other, from 0 on.
    #[inline(always)]
    fn draw(&mut self, turn: usize) -> usize {
        if let Some(random) = &mut self.random {
            // Fisher and Yates. The bits that choose one are left over for the next, which is enough for a few.
            if turn == 0 || self.order.len() > FEW.len() {
                *random = crate::park::random();
            }
            let scaled = u64::from(*random) * (self.order.len() - turn) as u64;
            *random = scaled as u32;
            self.order.swap(turn, turn + (scaled >> 32) as usize);
        }
        self.order[turn] as usize
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        Self { arms: self.arms.clone(), ..*self }
    }
}

impl Default for Select<'_> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("operations", &self.arms.len()).finish_non_exhaustive()
    }
}
