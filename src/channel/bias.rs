//! [`Bias`]: a lock that stays with a thread, which then takes and leaves it without locked instructions.
//!
//! Goroutines that talk to each other mostly do so on one worker, and do not leave it. What they share is locked again and
//! again by one thread, and a locked instruction is then all that the lock costs: 2 to 8 ns, by processor, beside the 3 of
//! the rest of a buffered message. So a lock that one thread takes many thousand times, and nobody else, becomes *its own*:
//! the thread says with a plain store that it is in, looks whether the lock is still its own, and says with a plain store
//! that it is out. Whoever else wants the lock takes it back (*revokes*), with a fence on all threads (`membarrier.rs`), and
//! it is an ordinary lock again. (Where a locked instruction takes 8 ns: buffered messages 23 → 7 ns, a rendezvous there and
//! back 85 → 73.)
//!
//! # Why two are never in
//! The lock's word is free, TAKEN, or OWNED, for which all but the owner exchange it for TAKEN.
//! 1. The owner is in when it has stored `held` = TAKEN and *then* read that `owner` is itself.
//! 2. Who finds OWNED in the word has wiped it out, and is the only one who revokes. It stores that `owner` is nobody, calls
//!    the fence, and then waits until it reads that `held` is not TAKEN.
//! 3. By the fence, either the owner reads nobody in (1), and turns away, or the revoker reads TAKEN in (2), and waits for
//!    the store with which the owner leaves (Release; read with Acquire: it sees all that was done inside).
//! 4. A lock is given to a thread by the thread itself, inside, while the word is TAKEN: it stores `held` and `owner`, and
//!    then OWNED into the word (Release). Whoever revokes that has read OWNED (Acquire), and so both.
//! 5. The owner sees what those before it did, since it was inside when it got the lock, and nobody else has been since.
//! 6. A lock is only ever given to one thread, and numbers of threads are not used again: so `held` has one writer. (A thread
//!    may rest for long between reading that it is the owner and storing TAKEN, and then turn away with a 0. With two writers
//!    that 0 would go over the TAKEN of the next owner, who is in.)
//!
//! # What it costs others
//! A fence takes some microseconds (13 here, while the other processor computes), and interrupts each processor on which the
//! program runs: as much as one or two thousand locked instructions. So a lock is given away only after [`FIRST_SAMPLES`] of
//! its turns, of which each 251st is a sample, were the same thread's (16,000 turns, 100 µs and more), and after a
//! revocation after [`NEXT_SAMPLES`] more (63,000): revocations take some per cent of a program's time if it provokes them,
//! and a tenth or so of what it does with a channel that it gives up just then. A thread counts its own turns, and does not
//! touch the lock for it, nor to see that a lock is not its own: that is where another processor's cache line would have to
//! come twice (to be read, and to be exchanged: messages between two workers took a fifth longer).
//!
//! Known from Java's monitors (Russell and Detlefs, *Eliminating synchronization-related atomic operations with biased
//! locking and bulk rebiasing*, OOPSLA 2006), where it was given up: a revocation stopped threads at safepoints, and most
//! locks were new ones. Here it stops nobody, and new ones are not given away.
//!
//! Rejected: giving a lock away from its first use on (a channel for each request would pay a fence for each); leaving hints
//! in the word while the lock is owned (others would read them, without an order between those looks and the owner's turns);
//! counting turns in the lock (4 % a message between two workers, and branches that nobody can predict).

use super::lock::TAKEN;
use crate::atomics::{AtomicU8, AtomicU16, Ordering};
use crate::membarrier as fence;

/// One turn in so many of a thread is a sample. (A prime number: threads take several locks in turn.)
const TURNS: u8 = 251;
/// As many samples in a row of the same thread, and the lock is given away; and if it was revoked before.
const FIRST_SAMPLES: u8 = if cfg!(loom) { 1 } else { 64 };
const NEXT_SAMPLES: u8 = if cfg!(loom) { 1 } else { 251 };

/// In `owner`: nobody, and nobody has been.
const NOBODY: u16 = 0;
/// In `owner`, beside the number of a thread: it has been, and may be again.
const REVOKED: u16 = 1 << 15;

/// In the bytes between a lock's word and its value.
#[repr(C)]
pub(super) struct Bias {
    /// Whether the owner is in; otherwise the hint that it has left behind.
    held: AtomicU8,
    /// How many samples in a row were of the same thread. This and `last` are written inside.
    samples: AtomicU8,
    owner: AtomicU16,
    /// The tag of the thread of the last sample.
    last: AtomicU16,
}

impl Bias {
    pub(super) fn new() -> Self {
        Self {
            held: AtomicU8::new(0),
            samples: AtomicU8::new(0),
            owner: AtomicU16::new(NOBODY),
            last: AtomicU16::new(NOBODY),
        }
    }

    /// Takes the lock if it is known to be the caller's own. Returns the hint that was left behind.
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<u8> {
        if !thread::may_own(self.address()) {
            return None;
        }
        let thread = thread::number();
        if self.owner.load(Ordering::Relaxed) != thread {
            return None;
        }
        let hint = self.held.load(Ordering::Relaxed);
        // Something has interrupted this thread inside: a signal handler, which must not use channels, and waits for ever.
        if hint & TAKEN != 0 {
            return None;
        }
        self.held.store(TAKEN, Ordering::Relaxed);
        // Pairs with the fence in `take_back`.
        fence::here();
        if self.owner.load(Ordering::Relaxed) == thread {
            return Some(hint);
        }
        self.held.store(0, Ordering::Release);
        None
    }

    /// Where the owner says that it is out.
    pub(super) fn held(&self) -> &AtomicU8 {
        &self.held
    }

    /// What is known without the lock, if it is the caller's own. (Nobody else believes it, and the owner's turns are in order
    /// with its looks anyhow. Whoever takes the lock comes after a fence on all threads, and so after all of those turns.)
    #[inline]
    pub(super) fn hint(&self) -> u8 {
        let is_own = self.owner.load(Ordering::Relaxed) == thread::number();
        if is_own { self.held.load(Ordering::Relaxed) & !TAKEN } else { 0 }
    }

    /// The caller has taken the lock by its word. Returns whether it is its own from now on: then the caller is in as the
    /// owner, and has to say OWNED in the word.
    #[inline(always)]
    pub(super) fn count_turn(&self) -> bool {
        thread::take_turn() && self.sample()
    }

    #[cold]
    #[inline(never)]
    fn sample(&self) -> bool {
        thread::begin_sample();
        let tag = thread::tag();
        let is_same = self.last.load(Ordering::Relaxed) == tag;
        let samples = if is_same { self.samples.load(Ordering::Relaxed).saturating_add(1) } else { 1 };
        self.samples.store(samples, Ordering::Relaxed);
        self.last.store(tag, Ordering::Relaxed);
        let owner = self.owner.load(Ordering::Relaxed);
        let is_due = match owner {
            NOBODY => samples >= FIRST_SAMPLES,
            _ => owner == thread::number() | REVOKED && samples >= NEXT_SAMPLES,
        };
        if !is_due || !fence::is_available() {
            return false;
        }
        let Some(thread) = thread::numbered() else { return false };
        // Each time is paid for by turns of its own.
        self.samples.store(0, Ordering::Relaxed);
        self.enter_as(thread);
        true
    }

    /// The caller has wiped OWNED out of the word. If the lock is its own, which it had forgotten, it is in as the owner, as
    /// after `count_turn`; returns the hint that was left behind. Otherwise the owner is out, and stays out.
    #[cold]
    #[inline(never)]
    pub(super) fn take_back(&self, wait: impl Fn()) -> Option<u8> {
        let owner = self.owner.load(Ordering::Relaxed);
        let hint = self.held.load(Ordering::Relaxed);
        if owner == thread::number() && hint & TAKEN == 0 {
            self.enter_as(owner);
            return Some(hint);
        }
        self.owner.store(owner | REVOKED, Ordering::Relaxed);
        fence::everywhere();
        while self.held.load(Ordering::Acquire) & TAKEN != 0 {
            wait();
        }
        None
    }

    /// The caller is inside by the word.
    fn enter_as(&self, thread: u16) {
        self.held.store(TAKEN, Ordering::Relaxed);
        self.owner.store(thread, Ordering::Relaxed);
        thread::note_own(self.address());
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn was_revoked(&self) -> bool {
        self.owner.load(Ordering::Relaxed) & REVOKED != 0
    }
}

/// What a thread knows of itself.
#[cfg(not(loom))]
mod thread {
    use super::{REVOKED, TURNS};
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU16, Ordering};

    /// The number of all threads that have not owned a lock.
    const UNNUMBERED: u16 = REVOKED - 1;

    /// One word, since each wait looks at all thread-locals for addresses on its stack (`sched::scan`). This one it cannot take
    /// for an address: the upper half is at least 0x10000, as turns are left.
    #[repr(C, align(8))]
    struct OfThread {
        /// A bit for each lock that is this thread's own, by its address: others may have the same, and those that it has
        /// forgotten it finds again by their words. It forgets them all at each sample, so that bits are of locks in use.
        own: Cell<u32>,
        number: Cell<u16>,
        turns_left: Cell<u8>,
    }

    const _: () = assert!(size_of::<OfThread>() == 8 && std::mem::offset_of!(OfThread, turns_left) == 6);

    thread_local! {
        static OF_THREAD: OfThread =
            const { OfThread { own: Cell::new(0), number: Cell::new(UNNUMBERED), turns_left: Cell::new(TURNS) } };
    }

    /// What tells threads apart well enough for samples.
    pub(super) fn tag() -> u16 {
        let address = OF_THREAD.with(|thread| std::ptr::from_ref(thread).addr() as u64);
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
    }

    #[inline(always)]
    pub(super) fn number() -> u16 {
        OF_THREAD.with(|thread| thread.number.get())
    }

    /// The caller's number, now if not before. `None`: all 32,766 have been given out, and no more threads own locks.
    pub(super) fn numbered() -> Option<u16> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        if number() == UNNUMBERED {
            let one_more = |next| (next < UNNUMBERED).then_some(next + 1);
            let number = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
            OF_THREAD.with(|thread| thread.number.set(number));
        }
        Some(number())
    }

    /// Whether this turn is a sample. If so, `begin_sample` comes next.
    #[inline(always)]
    pub(super) fn take_turn() -> bool {
        OF_THREAD.with(|thread| {
            let left = thread.turns_left.get() - 1;
            thread.turns_left.set(left);
            left == 0
        })
    }

    pub(super) fn begin_sample() {
        OF_THREAD.with(|thread| {
            thread.turns_left.set(TURNS);
            thread.own.set(0);
        });
    }

    /// Channels begin with a cache line of 64 bytes.
    #[inline(always)]
    fn bit(address: usize) -> u32 {
        1 << (address / 64 % 32)
    }

    #[inline(always)]
    pub(super) fn may_own(address: usize) -> bool {
        OF_THREAD.with(|thread| thread.own.get() & bit(address) != 0)
    }

    pub(super) fn note_own(address: usize) {
        OF_THREAD.with(|thread| thread.own.set(thread.own.get() | bit(address)));
    }
}

/// In a model those threads take part that have been given a number; for others each look would be a step more.
#[cfg(loom)]
pub(crate) mod thread {
    use std::cell::Cell;

    const UNNUMBERED: u16 = super::REVOKED - 1;

    loom::thread_local! {
        static NUMBER: Cell<u16> = Cell::new(UNNUMBERED);
        static FORGETS: Cell<bool> = Cell::new(false);
    }

    pub(super) fn number() -> u16 {
        NUMBER.with(Cell::get)
    }

    pub(super) use number as tag;

    pub(super) fn numbered() -> Option<u16> {
        (number() != UNNUMBERED).then(number)
    }

    pub(crate) fn set_number(number: u16) {
        NUMBER.with(|cell| cell.set(number));
    }

    pub(super) fn take_turn() -> bool {
        number() != UNNUMBERED
    }

    pub(super) fn begin_sample() {}

    /// The caller does not know its own locks at its next turn.
    pub(crate) fn forget() {
        FORGETS.with(|cell| cell.set(true));
    }

    pub(super) fn may_own(_: usize) -> bool {
        number() != UNNUMBERED && !FORGETS.with(|cell| cell.replace(false))
    }

    pub(super) fn note_own(_: usize) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::channel::lock::Lock;
    use std::cell::Cell;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    /// Enough for a lock to become the caller's own.
    const MANY: u32 = (FIRST_SAMPLES as u32 + 1) * TURNS as u32;

    /// Not an atomic: turns are lost if two are inside.
    fn count(lock: &Lock<Cell<u32>>, turns: u32) {
        for _ in 0..turns {
            let value = lock.lock();
            value.set(value.get() + 1);
        }
    }

    #[test]
    fn a_lock_that_one_thread_uses_becomes_its_own_until_another_comes() {
        crate::membarrier::register();
        let lock = Lock::new(Cell::new(0));
        count(&lock, u32::from(TURNS));
        assert!(!lock.is_owned(), "after a few turns");
        count(&lock, MANY);
        assert_eq!(lock.is_owned(), crate::membarrier::is_available());
        std::thread::scope(|scope| scope.spawn(|| count(&lock, 1)).join()).unwrap();
        assert!(!lock.is_owned(), "after another's turn");
        assert_eq!(lock.lock().get(), TURNS as u32 + MANY + 1);
    }

    #[test]
    fn a_lock_that_two_threads_use_belongs_to_neither() {
        crate::membarrier::register();
        let lock = Lock::new(Cell::new(0));
        let mut others = 0;
        let (to_other, turns) = std::sync::mpsc::channel();
        let (done, from_other) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let lock = &lock;
            scope.spawn(move || {
                for turns in turns {
                    count(lock, turns);
                    done.send(()).unwrap();
                }
            });
            while others < 2 * MANY {
                count(lock, u32::from(TURNS));
                to_other.send(u32::from(TURNS)).unwrap();
                from_other.recv().unwrap();
                others += u32::from(TURNS);
            }
            drop(to_other);
        });
        assert!(!lock.is_owned() && !lock.was_revoked());
    }

    /// Another that comes now and then, and of whom there is never a sample.
    #[test]
    fn each_time_that_a_lock_is_given_away_is_paid_for_by_many_turns() {
        crate::membarrier::register();
        let lock = Lock::new(Cell::new(0));
        let (mut turns, mut given) = (0, 0);
        while turns < 10 * MANY {
            count(&lock, 500);
            turns += 500;
            given += u32::from(lock.is_owned());
            std::thread::scope(|scope| scope.spawn(|| count(&lock, 1)).join()).unwrap();
        }
        assert!(given <= 1 + turns / (u32::from(NEXT_SAMPLES) * u32::from(TURNS)), "{given} times in {turns} turns");
    }

    #[test]
    fn a_thread_finds_its_own_locks_again_when_it_has_more_than_it_can_remember() {
        crate::membarrier::register();
        let locks: Vec<_> = (0..100).map(|_| Lock::new(Cell::new(0))).collect();
        locks.iter().for_each(|lock| count(lock, MANY));
        for _ in 0..3 {
            locks.iter().for_each(|lock| count(lock, 1));
        }
        assert!(
            locks
                .iter()
                .all(|lock| lock.is_owned() == crate::membarrier::is_available() && lock.lock().get() == MANY + 3)
        );
    }

    /// The other comes at whatever moment: before, while, and after the lock is given away, and while its owner is in.
    #[test]
    fn no_turn_is_lost_when_locks_are_taken_from_threads_that_use_them() {
        crate::membarrier::register();
        let locks: Vec<_> = (0..if cfg!(miri) { 3 } else { 300 }).map(|_| Lock::new(Cell::new(0))).collect();
        let (begin, done) = (Barrier::new(2), AtomicUsize::new(0));
        let use_often = |(number, lock)| {
            begin.wait();
            let mut turns = 0;
            while done.load(Ordering::Relaxed) <= number {
                count(lock, 1);
                turns += 1;
            }
            turns
        };
        let turns: Vec<u32> = std::thread::scope(|scope| {
            let often = scope.spawn(|| locks.iter().enumerate().map(use_often).collect());
            for lock in &locks {
                begin.wait();
                // Mostly about as long as it takes until the lock is given away.
                for _ in 0..crate::park::random() % (4 * MANY) {
                    std::hint::spin_loop();
                }
                count(lock, 10);
                done.fetch_add(1, Ordering::Relaxed);
            }
            often.join().unwrap()
        });
        assert!(locks.iter().zip(turns).all(|(lock, turns)| lock.lock().get() == turns + 10));
        let revoked = locks.iter().filter(|lock| lock.was_revoked()).count();
        assert!(revoked > 0 || !crate::membarrier::is_available(), "no lock had an owner when the other came");
    }
}
