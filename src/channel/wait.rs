//! One wait on channels: what a waiter leaves in their lists, and how its verdict reaches it.
//!
//! A waiter lives in [`Wait`] on its own stack, and stands with an [`Entry`] in the list of one channel, or,
//! for a select, of several. Whoever pops an entry *claims* its wait; claimed waits are out of the race for
//! good, and get exactly one verdict from their claimer.
//!
//! # Who may touch what, and when
//! - `verdict`: WAITING until claimed. A plain wait stands in one list, so popping its entry under that
//!   channel's lock is the claim. A select stands in several: the claim is the compare-exchange from WAITING
//!   to CLAIMED, and entries of a claimed select that still lie elsewhere are dropped by who finds them, or
//!   by the select itself on its way out. WITHDRAWN is the select's own claim, when it gives up.
//! - `partner`: written by the claimer before it publishes CHOSEN (Release), read by the waiter after (Acquire).
//! - the slot (where the message lies, or where it goes): the waiter's until the entry is in a list, the
//!   claimer's until the verdict, then the waiter's again.
//!
//! # Why the pointers are good
//! A waiter does not leave before its verdict is in, or before it has taken its entries out of all lists under
//! their locks. A suspended stack is never freed, and a parked thread's neither. So a pointer out of a list
//! is good under that list's lock, and a claimed one until the claimer has published the verdict. The wake-up
//! comes after that: for it, `park::WakeHandle` is taken before.

use crate::atomics::{AtomicUsize, Ordering};
use crate::park::{WaitReason, WakeHandle, WakeTarget, park, park_until};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::time::Instant;

/// How a wait ended. The number of the arm stands above it, in the same word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Verdict {
    /// The message has been handed over.
    Done = 2,
    /// The other side is gone.
    Closed = 3,
    /// A select's send has been chosen: it has promised to deliver.
    Chosen = 4,
    /// The operation may be ready (`Select::ready`).
    Ready = 5,
    /// Begin again.
    Retry = 6,
}

const WAITING: usize = 0;
const CLAIMED: usize = 1;
const WITHDRAWN: usize = 7;
const CODE_BITS: u32 = 3;
const CODE: usize = (1 << CODE_BITS) - 1;

pub(super) struct Wait {
    verdict: AtomicUsize,
    target: UnsafeCell<Option<WakeTarget>>,
    partner: Cell<Option<Partner>>,
    /// Whether it stands in several lists.
    is_select: bool,
}

/// A claimed receiver that waits for a promised message, and where the message goes.
#[derive(Clone, Copy)]
pub(super) struct Partner {
    wait: NonNull<Wait>,
    arm: usize,
    slot: NonNull<u8>,
}

impl Partner {
    /// Writes the message and ends the receiver's wait. Consumes the partner, although it is `Copy`.
    ///
    /// # Safety
    /// `T` is the channel's type of message; the partner has been claimed by the caller and not ended yet.
    pub(super) unsafe fn deliver<T>(self, message: T) -> WakeHandle {
        // SAFETY: the slot of a claimed receiver is its claimer's, and is made for a T.
        unsafe { self.slot.cast::<T>().write(message) };
        // SAFETY: as the caller promises.
        unsafe { finish(self.wait, Verdict::Done, self.arm) }
    }

    /// The promise is not kept: the receiver begins again.
    ///
    /// # Safety
    /// As for `deliver`.
    pub(super) unsafe fn abandon(self) -> WakeHandle {
        // SAFETY: as the caller promises.
        unsafe { finish(self.wait, Verdict::Retry, self.arm) }
    }
}

impl Wait {
    pub(super) fn new(is_select: bool) -> Self {
        Self { verdict: AtomicUsize::new(WAITING), target: UnsafeCell::new(None), partner: Cell::new(None), is_select }
    }

    /// To be called by the waiter before others can find it.
    #[inline(always)]
    pub(super) fn arm(&self) {
        // SAFETY: nobody else knows of this wait yet.
        unsafe { *self.target.get() = Some(WakeTarget::current()) };
    }

    /// The receiver whose message this wait has been chosen to deliver; `None`: into the buffer.
    pub(super) fn partner(&self) -> Option<Partner> {
        self.partner.get()
    }

    /// This wait as the partner of a select's send: the waiter claims itself for it.
    pub(super) fn as_partner(&self, slot: NonNull<u8>, arm: usize) -> Partner {
        self.arm();
        self.verdict.store(CLAIMED, Ordering::Relaxed);
        Partner { wait: NonNull::from(self), arm, slot }
    }

    /// The verdict and the arm that it is about.
    #[inline(always)]
    pub(super) fn verdict(&self) -> Option<(Verdict, usize)> {
        let word = self.verdict.load(Ordering::Acquire);
        let verdict = match word & CODE {
            2 => Verdict::Done,
            3 => Verdict::Closed,
            4 => Verdict::Chosen,
            5 => Verdict::Ready,
            6 => Verdict::Retry,
            _ => return None,
        };
        Some((verdict, word >> CODE_BITS))
    }

    /// A select gives up waiting. False: somebody has claimed it before, and the verdict comes.
    pub(super) fn withdraw(&self) -> bool {
        debug_assert!(self.is_select);
        self.verdict.compare_exchange(WAITING, WITHDRAWN, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Parks until the verdict, or until the deadline has passed: then `None`.
    #[inline(always)]
    pub(super) fn park(&self, reason: WaitReason, deadline: Option<Instant>) -> Option<(Verdict, usize)> {
        loop {
            if let Some(verdict) = self.verdict() {
                return Some(verdict);
            }
            park_until(reason, deadline);
            if deadline.is_some_and(|deadline| deadline <= crate::clock::now()) {
                return self.verdict();
            }
        }
    }

    /// The wait has been claimed: the verdict comes, however long it takes.
    #[inline(always)]
    pub(super) fn park_for_verdict(&self, reason: WaitReason) -> (Verdict, usize) {
        loop {
            if let Some(verdict) = self.verdict() {
                return verdict;
            }
            park(reason);
        }
    }
}

/// # Safety
/// The caller has claimed the wait, and this is the one time that it ends it. The caller must use the handle
/// before it switches.
pub(super) unsafe fn finish(wait: NonNull<Wait>, verdict: Verdict, arm: usize) -> WakeHandle {
    // SAFETY: a claimed wait lives until its verdict.
    let wait = unsafe { wait.as_ref() };
    // SAFETY: written before others could find the wait, and not since.
    let target = unsafe { (*wait.target.get()).as_ref() }.expect("a wait that others can find is armed");
    // SAFETY: the waiter is in its wait.
    let handle = unsafe { target.handle() };
    // Release: the message, and `partner`. From here on the wait may be gone.
    wait.verdict.store(verdict as usize | (arm << CODE_BITS), Ordering::Release);
    handle
}

/// What an entry asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The slot holds the message, or takes it.
    Exchange,
    /// A select's send: the message comes when it has been chosen.
    Promise,
    /// To know that the operation may be ready.
    Watch,
}

/// A waiter in a channel's list.
pub(super) struct Entry {
    wait: NonNull<Wait>,
    arm: usize,
    slot: NonNull<u8>,
    wish: Wish,
}

// SAFETY: entries are read under the channel's lock, by whoever has it; the essay above says why the pointers
// are good there, and who may use what they point to.
unsafe impl Send for Entry {}

impl Entry {
    pub(super) fn new(wait: &Wait, arm: usize, slot: NonNull<u8>, wish: Wish) -> Self {
        Self { wait: NonNull::from(wait), arm, slot, wish }
    }

    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    pub(super) fn slot(&self) -> NonNull<u8> {
        self.slot
    }

    /// Whether it is still free to be claimed, and not `own`.
    pub(super) fn is_free(&self, own: &Wait) -> bool {
        // SAFETY: entries in a list are good under its lock, which whoever has the entry holds.
        let wait = unsafe { self.wait.as_ref() };
        !std::ptr::eq(wait, own) && wait.verdict.load(Ordering::Relaxed) == WAITING
    }

    /// For an entry that was just popped, under the channel's lock.
    #[inline(always)]
    pub(super) fn claim(&self) -> bool {
        // SAFETY: as in `is_free`.
        let wait = unsafe { self.wait.as_ref() };
        // Relaxed: what the waiter wrote before came with the lock, what it reads after comes with the verdict.
        !wait.is_select || wait.verdict.compare_exchange(WAITING, CLAIMED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// # Safety
    /// The entry was claimed, and is ended once.
    #[inline(always)]
    pub(super) unsafe fn finish(self, verdict: Verdict) -> WakeHandle {
        // SAFETY: as the caller promises.
        unsafe { finish(self.wait, verdict, self.arm) }
    }

    /// The claimed entry as the receiver of a promised message.
    pub(super) fn into_partner(self) -> Partner {
        Partner { wait: self.wait, arm: self.arm, slot: self.slot }
    }

    /// A claimed promise is called in.
    ///
    /// # Safety
    /// As for `finish`.
    pub(super) unsafe fn choose(self, partner: Option<Partner>) -> WakeHandle {
        // SAFETY: a claimed wait lives until its verdict, and its partner is its claimer's to write.
        unsafe { self.wait.as_ref() }.partner.set(partner);
        // SAFETY: as the caller promises.
        unsafe { self.finish(Verdict::Chosen) }
    }
}
