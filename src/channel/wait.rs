//! One wait on channels: how its verdict reaches a waiter, and who decides it.
//!
//! A waiter lives in a [`Wait`] on its own stack, and stands with an [`Entry`](super::waiters::Entry) in the list of
//! one channel, or, for a select, of several. Whoever takes an entry out of a list *claims* its wait; claimed waits
//! are out of the race for good, and get exactly one verdict from their claimer.
//!
//! # Who may touch what, and when
//! - `verdict`: WAITING until claimed. A plain wait stands in one list, so taking its entry out under that
//!   channel's lock is the claim, and leaves the word as it is. A select stands in several: the claim is the
//!   compare-exchange from WAITING to CLAIMED, and entries of a claimed select that still lie elsewhere are dropped by
//!   who finds them, or by the select itself on its way out. WITHDRAWN is the select's own claim, when it gives up.
//! - SPINNING, a bit beside WAITING or CLAIMED: the waiter is awake, and looks at the word; its verdict needs no
//!   wake-up. Only the waiter sets it, while the wait is free (before it is in a list, or by a compare-exchange from
//!   WAITING), and takes it off again before it parks, once, claimed or not. A claim keeps it; a withdrawal, and the
//!   verdict, end it.
//! - the slot (where the message lies, or where it goes): the waiter's until the entry is in a list, the
//!   claimer's until the verdict, then the waiter's again. What an entry says of its slot is changed by the claimer of a
//!   promise, before it publishes CHOSEN (Release), and read by the waiter after (Acquire).
//!
//! # Cache lines
//! What a plain wait consists of is one line ([`PlainWait`](super::waiters::PlainWait)), and so is what changes in a channel
//! without a buffer: whoever serves a waiter fetches those two, and the waiter, who looks at its verdict, has the message
//! with it. For one who waits alone, and is awake, `seat.rs` does with the channel's.
//!
//! # Why no wake-up is lost, and none is doubled
//! While the bit is set, every change of the word is a compare-exchange from a word with the bit. So its end has one
//! author. If that is the verdict, the waiter has not begun to park, and sees the verdict before it would: its own
//! compare-exchange fails. If it is the waiter, who has not parked yet, then whoever ends the wait finds the bit gone,
//! either at first or by failing, and wakes; the verdict is in the word before the wake-up, which a waiter that is about
//! to park does not lose (`park`). Without the bit the word of a claimed wait is its claimer's alone, so that a plain
//! store publishes. All ways to park go by `spin_out`, which takes the bit off.
//!
//! A claim may find the bit gone, or new, since it looked: it tries again, and each happens at most once in a wait.
//!
//! # Why the pointers are good
//! A waiter does not leave before its verdict is in, or before its entries are out of all lists. A suspended stack is
//! never freed, and a parked thread's neither. So a pointer out of a list is good under that list's lock, and a
//! claimed one until the claimer has published the verdict. Whoever is to be woken is told by
//! `park::WakeTarget::end_wait`, which sees to it that it can be named after the verdict.

use crate::atomics::{AtomicU32, Ordering};
use crate::observe;
use crate::park::{Home, WaitReason, WakeTarget, Woken, may_spin, park, park_until, spin_until};
use std::ptr::NonNull;
use std::time::Instant;

/// How a wait ended. The number of the arm stands above it, in the same word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
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

const WAITING: u32 = 0;
const CLAIMED: u32 = 1;
const WITHDRAWN: u32 = 7;
/// Beside WAITING or CLAIMED: nobody needs to wake the waiter.
const SPINNING: u32 = 1 << CODE_BITS;
const CODE_BITS: u32 = 3;
const CODE: u32 = (1 << CODE_BITS) - 1;

/// Whether the bit is set; in a verdict it is part of the number of the arm.
#[inline(always)]
fn is_spinning(word: u32) -> bool {
    const { assert!(WAITING == 0 && CLAIMED == 1) };
    word & !CLAIMED == SPINNING
}

fn is_free(word: u32) -> bool {
    matches!(word, WAITING | SPINNING)
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

pub(super) struct Wait {
    verdict: AtomicU32,
    /// The thread on which it waits.
    pub(super) home: Home,
    target: WakeTarget,
}

impl Wait {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let (home, target) = WakeTarget::current();
        Self { verdict: AtomicU32::new(WAITING), home, target }
    }

    /// As `arm`, for a plain wait, which spins before it parks or does not.
    #[inline(always)]
    pub(super) fn arm_plain(&self, spins: bool) {
        self.arm();
        if spins {
            self.verdict.store(SPINNING, Ordering::Relaxed);
        }
    }

    /// To be called by the waiter before others can find it.
    #[inline(always)]
    pub(super) fn arm(&self) {
        observe::introduce();
    }

    /// Who waits. For its claimer.
    pub(super) fn waiter(&self) -> &observe::Partner {
        self.target.goroutine()
    }

    /// The verdict and the arm that it is about.
    #[inline(always)]
    pub(super) fn verdict(&self) -> Option<(Verdict, u32)> {
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

    /// Whether it may still be claimed.
    pub(super) fn is_free(&self) -> bool {
        is_free(self.verdict.load(Ordering::Relaxed))
    }

    /// For whoever takes an entry out of a list, under the channel's lock. A select's stands in several.
    #[inline(always)]
    pub(super) fn claim(&self, is_select: bool) -> bool {
        // Relaxed, here and below: what the waiter wrote before came with the lock, what it reads after comes with the
        // verdict. Who finds an entry of a select that has been claimed sees so without a locked instruction.
        let claim = |word: u32| is_free(word).then_some(word | CLAIMED);
        !is_select || self.verdict.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
    }

    /// The waiter claims itself for a partner that it is about to call upon, and that is on another thread if `apart`.
    pub(super) fn claim_unlisted(&self, apart: bool) {
        self.arm();
        let spinning = if may_spin(apart) { SPINNING } else { 0 };
        self.verdict.store(CLAIMED | spinning, Ordering::Relaxed);
    }

    /// A select gives up waiting. False: somebody has claimed it before, and the verdict comes.
    pub(super) fn withdraw(&self) -> bool {
        let withdraw = |word| is_free(word).then_some(WITHDRAWN);
        self.verdict.fetch_update(Ordering::Relaxed, Ordering::Relaxed, withdraw).is_ok()
    }

    /// A select that is about to join one more list, where its partner is on another thread if `apart`, is going to
    /// spin. If it has been claimed by now, it is woken.
    #[inline(always)]
    pub(super) fn prepare_to_spin(&self, apart: bool) {
        if self.verdict.load(Ordering::Relaxed) == WAITING && may_spin(apart) {
            let _ = self.verdict.compare_exchange(WAITING, SPINNING, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Spins for a little, if it was armed for that. Before each wait. Returns the verdict if it has come.
    #[inline(always)]
    fn spin(&self) -> Option<(Verdict, u32)> {
        match self.verdict.load(Ordering::Relaxed) {
            // Whatever becomes of it brings a wake-up from now on.
            WAITING | CLAIMED => None,
            _ => self.spin_out(),
        }
    }

    /// Not if somebody has become able to use the thread since it was armed.
    #[cold]
    fn spin_out(&self) -> Option<(Verdict, u32)> {
        if !may_spin(true) || !spin_until(|| self.verdict().is_some()) {
            // From now on the verdict brings a wake-up; or it has come in this moment.
            let stop = |word| is_spinning(word).then_some(word & !SPINNING);
            let _ = self.verdict.fetch_update(Ordering::Relaxed, Ordering::Relaxed, stop);
        }
        self.verdict()
    }

    /// Parks until the verdict, or until the deadline has passed: then `None`.
    #[inline(always)]
    pub(super) fn park(&self, reason: WaitReason, deadline: Option<Instant>) -> Option<(Verdict, u32)> {
        let mut verdict = self.spin();
        while verdict.is_none() {
            park_until(reason, deadline);
            verdict = self.verdict();
            if deadline.is_some_and(|deadline| deadline <= crate::clock::now()) {
                break;
            }
        }
        verdict.inspect(|_| observe::served())
    }

    /// The wait has been claimed: the verdict comes, however long it takes.
    #[inline(always)]
    pub(super) fn park_for_verdict(&self, reason: WaitReason) -> (Verdict, u32) {
        let mut verdict = self.spin();
        loop {
            if let Some(verdict) = verdict {
                observe::served();
                return verdict;
            }
            park(reason);
            verdict = self.verdict();
        }
    }

    /// Publishes the verdict; see `WakeTarget::end_wait`.
    ///
    /// # Safety
    /// The caller has claimed the wait, and this is the one time that it ends it. (No `&self`: the wait may be gone
    /// when this returns.)
    #[inline(always)]
    pub(super) unsafe fn finish(wait: NonNull<Self>, verdict: Verdict, arm: u32) -> Woken {
        // SAFETY: a claimed wait is in place until its verdict.
        let wait = unsafe { wait.as_ref() };
        let target = wait.target.clone();
        let word = verdict as u32 | (arm << CODE_BITS);
        let published = &wait.verdict;
        // Release, here and below: the message, and `partner`.
        let found = published.load(Ordering::Relaxed);
        if is_spinning(found) && published.compare_exchange(found, word, Ordering::Release, Ordering::Relaxed).is_ok() {
            return Woken::Spinner;
        }
        // SAFETY: the waiter is in its wait, which this verdict ends.
        unsafe { target.end_wait(|| published.store(word, Ordering::Release)) }
    }
}
