//! What a select has chosen, until it is completed, and the place where its message lies.
//!
//! An [`Operation`] stays where it is made until it has been completed: what was just stored in narrow words is slow to load
//! in the wide ones in which a value is moved. So `select!` makes it in the frame of its caller, where `run` fills it in; only
//! [`SelectedOperation`], the form of it in crossbeam's interface, is moved before. (Three arms: 10 ns less.) It has to end
//! before the body of the arm, which may change and drop what the arms name, and so is moved then (3 ns).

use super::core::Side;
use super::endpoint::{Begun, Endpoint};
use super::error::{RecvError, SendError};
use super::wait::Verdict;
use super::{Receiver, Sender};
use crate::observe;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Room for a received message of whatever type: in place if it is small.
struct Slot {
    small: MaybeUninit<Small>,
    large: Option<Memory>,
}

type Small = [usize; 4];

impl Slot {
    /// Makes room for messages of this layout, or less.
    #[inline(always)]
    fn prepare(&mut self, layout: Layout) {
        let is_small = layout.size() <= size_of::<Small>() && layout.align() <= align_of::<Small>();
        // What another select needed is gone: it may be less than the place for small ones.
        self.large = (!is_small).then(|| Memory::new(layout));
    }

    #[inline(always)]
    fn pointer(&mut self) -> NonNull<u8> {
        match &self.large {
            Some(memory) => memory.0,
            None => NonNull::from(&mut self.small).cast(),
        }
    }

    /// Takes the message out. Nobody is to find it there any more who looks through memory for what is still in use
    /// (`debug::leaked`).
    ///
    /// # Safety
    /// There is one, and it is a T.
    #[inline(always)]
    unsafe fn take<T>(&mut self) -> T {
        let place = self.pointer().cast::<MaybeUninit<T>>();
        // SAFETY: as the caller says.
        let message = unsafe { place.cast::<T>().read() };
        if self.large.is_some() {
            self.large = None;
        } else {
            // SAFETY: the place is as large as before, and good for any bytes.
            unsafe { place.write(MaybeUninit::zeroed()) };
        }
        message
    }
}

struct Memory(NonNull<u8>, Layout);

impl Memory {
    #[cold]
    fn new(layout: Layout) -> Self {
        // A message may have no size and a large alignment.
        let layout = Layout::from_size_align(layout.size().max(1), layout.align()).expect("such messages exist");
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        Self(NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout)), layout)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: from `alloc` with this layout.
        unsafe { dealloc(self.0.as_ptr(), self.1) };
    }
}

/// What `select!` makes of an operation; for the macro alone.
pub struct Operation<'a> {
    index: usize,
    side: Side,
    /// `None`: none has begun, or it has been completed, or abandoned.
    begun: Option<Begun>,
    endpoint: Option<&'a dyn Endpoint>,
    slot: Slot,
    /// Partners' pointers and messages are of this thread's.
    not_send: PhantomData<*const ()>,
}

impl Default for Operation<'_> {
    #[inline(always)]
    fn default() -> Self {
        let slot = Slot { small: MaybeUninit::uninit(), large: None };
        Self { index: 0, side: Side::Send, begun: None, endpoint: None, slot, not_send: PhantomData }
    }
}

impl<'a> Operation<'a> {
    /// Where a message goes that is not larger than this.
    #[inline(always)]
    pub(super) fn slot_for(&mut self, message: Layout) -> NonNull<u8> {
        assert!(self.begun.is_none(), "an operation has begun, and has not been completed");
        self.endpoint = None;
        self.slot.prepare(message);
        self.slot.pointer()
    }

    /// It has begun: with `Received` the message lies in the slot.
    #[inline(always)]
    pub(super) fn set(&mut self, index: usize, side: Side, endpoint: &'a dyn Endpoint, begun: Begun) {
        self.index = index;
        self.side = side;
        self.endpoint = Some(endpoint);
        self.begun = Some(begun);
    }

    /// The index of the operation.
    #[must_use]
    #[inline(always)]
    pub fn index(&self) -> usize {
        self.index
    }

    /// As [`SelectedOperation::send`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn send<T>(&mut self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        self.check(Side::Send, std::ptr::from_ref(sender.core()).cast(), "passed a sender that wasn't selected");
        match self.begun.take() {
            Some(Begun::Partner(partner)) => {
                if observe::is_on() {
                    sender.core().tell_handed(&partner);
                }
                // SAFETY: a receiver of this channel.
                unsafe { partner.deliver(message) }.wake();
                Ok(())
            }
            Some(Begun::Reserved) => sender.core().deliver_reserved(message).map_err(SendError),
            _ => {
                observe::acquire_at(sender.core().address());
                Err(SendError(message))
            }
        }
    }

    /// As [`SelectedOperation::recv`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn recv<T>(&mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        self.check(Side::Receive, std::ptr::from_ref(receiver.core()).cast(), "passed a receiver that wasn't selected");
        match self.begun.take() {
            // SAFETY: the message of this channel lies in the slot, and is taken once.
            Some(Begun::Received) => Ok(unsafe { self.slot.take() }),
            _ => {
                observe::acquire_at(receiver.core().address());
                Err(RecvError)
            }
        }
    }

    #[inline]
    #[track_caller]
    fn check(&self, side: Side, address: *const (), otherwise: &str) {
        let is_own = self.endpoint.is_some_and(|own| std::ptr::eq(std::ptr::from_ref(own).cast(), address));
        assert!(self.side == side && is_own, "{otherwise}");
        assert!(self.begun.is_some(), "the operation has been completed");
    }

    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        match (self.begun.take(), self.endpoint) {
            // It begins again.
            (Some(Begun::Partner(partner)), _) => partner.dismiss(Verdict::Retry).wake(),
            (Some(Begun::Reserved), Some(endpoint)) => endpoint.give_room_back(),
            _ => {}
        }
        assert!(std::thread::panicking(), "dropped `SelectedOperation` without completing the operation");
    }
}

impl Drop for Operation<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.begun.is_some() {
            self.abandon();
        }
    }
}

/// An operation that has begun and must be completed, with [`send`](Self::send) or [`recv`](Self::recv).
///
/// # Panics
/// If it is dropped without that: what it had begun is abandoned (a receiver that was promised a message waits
/// on; a message that it had received is lost). While a panic unwinds it abandons without another.
#[must_use = "a selected operation must be completed"]
pub struct SelectedOperation<'a>(pub(super) Operation<'a>);

impl SelectedOperation<'_> {
    /// The index of the operation.
    #[must_use]
    #[inline]
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// Completes a send.
    ///
    /// # Errors
    /// If there is no receiver any more; the message comes back.
    ///
    /// # Panics
    /// If the operation is not a send of this sender's channel.
    #[inline]
    pub fn send<T>(mut self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        self.0.send(sender, message)
    }

    /// Completes a receive.
    ///
    /// # Errors
    /// If the channel is empty and there is no sender any more.
    ///
    /// # Panics
    /// If the operation is not a receive of this receiver's channel.
    #[inline]
    pub fn recv<T>(mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        self.0.recv(receiver)
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.0.index).finish_non_exhaustive()
    }
}
