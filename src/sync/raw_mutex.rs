//! [`RawMutex`]: the lock of a [`Mutex`](super::Mutex), without the value.
//!
//! # The state
//! `locked` says whether somebody holds it. `flags`:
//!
//! | bits | meaning |
//! | --- | --- |
//! | WAITERS | the list of waiters is not empty (changed under the list's lock only) |
//! | WOKEN | a waiter was woken and has not yet come: no need to wake another |
//! | FENCED | who unlocks puts a fence between its store to `locked` and its look at the flags |
//!
//! Taking a free lock is one compare-exchange. A waiter that is woken competes with newcomers, who usually win, since they
//! run already: that is what makes a contended lock fast. So that nobody starves, a waiter that lost `PATIENCE` times is
//! handed the lock directly. (The two modes of Go's `sync/mutex.go` are the model, counted in attempts rather than in time.)
//!
//! # Why no wake-up gets lost
//! Under the list's lock a waiter sets WAITERS (and takes off the WOKEN that it was woken with), and *then* reads `locked`; if
//! that is free it does not wait. Who unlocks stores `locked`, and *then* reads the flags. With a fence on both sides between
//! the two, the waiter sees the lock free, or the other sees WAITERS without WOKEN, and wakes. If it sees WOKEN, some woken
//! waiter is on its way, which takes the lock, or comes to the list anew and does as all do there. The loom models `mutex_*`
//! check it.
//!
//! # Unlocking without a locked instruction
//! That fence is as dear as the locked instruction which took the lock: 2 ns of 4.5 where such a one takes 2, 8 of 18 where it
//! takes 8. And it is in vain as long as nobody waits. So a lock that has been taken [`MANY`] times in a row without that
//! anybody waited for it is FENCED no more: its unlocks are plain stores and loads. The next waiter finds that FENCED is not
//! set; it sets it, with WAITERS, and makes the fence on all threads itself (`membarrier.rs`: some microseconds, after the six
//! for which it has looked at the lock already) before it reads `locked`. Other waiters come after that, since it holds the
//! list's lock. FENCED is taken off again only while WAITERS is not set, so that each waiter either finds it, and every unlock
//! that it could miss has a fence, or sets it, and makes one.
//!
//! A fence on all threads takes as long as some thousand locked instructions, so it is provoked once in `MANY` turns at most.
//! (Nobody owns such a lock: threads may take turns with it. It is waiting for it, parked, that costs.)
//!
//! Rejected: the lock as a thread's own, as those of channels (`channel/bias.rs`). It would spare the other locked
//! instruction, too; but goroutines hold a `Mutex` across waits, so that whoever takes it back cannot wait until it is free.
//! And one word for all (as before): it cannot be stored to without the bits of others.

use super::back_off::BackOff;
use super::poison::Witness;
use super::wait_list::{AsWaitList, Ticket, WaitList, wait_until_taken};
use crate::atomics::{self, AtomicBool, AtomicU8, AtomicU16, Ordering, const_fn, fence, lock};
use crate::membarrier;
use crate::observe::{self, LockClock, LockWait};
use crate::park::{WaitReason, Waiter, current, unpark};

const WAITERS: u8 = 1;
const WOKEN: u8 = 2;
const FENCED: u8 = 4;

/// A waiter that lost so often is handed the lock.
const PATIENCE: u32 = if cfg!(loom) { 1 } else { 4 };

/// After so many turns for which nobody waited, unlocks are fenced no more.
const MANY: u16 = if cfg!(loom) { 1 } else { 1 << 15 };

struct Entry {
    waiter: Waiter,
    lost: u32,
    wait: LockWait,
}

struct Queue {
    list: WaitList<Entry>,
    /// Who was handed the lock and has not noticed yet.
    handed_to: Option<Ticket>,
}

impl AsWaitList<Entry> for Queue {
    fn as_wait_list(&mut self) -> &mut WaitList<Entry> {
        &mut self.list
    }
}

pub(crate) struct RawMutex {
    locked: AtomicBool,
    flags: AtomicU8,
    /// After so many turns more, if nobody waits, unlocks are fenced no more. A hint: a lost update does no harm.
    quiet_turns_left: AtomicU16,
    pub(super) back_off: BackOff,
    queue: atomics::Mutex<Queue>,
    pub(super) clock: LockClock,
}

impl Drop for RawMutex {
    fn drop(&mut self) {
        observe::lock_dropped(self);
    }
}

impl RawMutex {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                locked: AtomicBool::new(false),
                flags: AtomicU8::new(FENCED),
                quiet_turns_left: AtomicU16::new(MANY),
                back_off: BackOff::new(),
                queue: atomics::Mutex::new(Queue { list: WaitList::new(), handed_to: None }),
                clock: LockClock::new(),
            }
        }
    }

    #[inline]
    pub(crate) fn lock(&self) {
        if !self.try_lock_fast() {
            self.lock_slow();
        }
    }

    #[cold]
    #[track_caller]
    pub(super) fn lock_watched(&self) -> Witness {
        self.lock();
        self.note_locked()
    }

    #[cold]
    #[track_caller]
    pub(super) fn note_locked(&self) -> Witness {
        observe::locked(self, &self.clock);
        Witness::watched()
    }

    #[inline]
    fn try_lock_fast(&self) -> bool {
        self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        !self.locked.load(Ordering::Relaxed) && self.try_lock_fast()
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        self.locked.store(false, Ordering::Release);
        // Pairs with the fence in `announce`.
        membarrier::here();
        if self.flags.load(Ordering::Relaxed) != 0 {
            self.after_unlock();
        }
    }

    #[inline(never)]
    fn after_unlock(&self) {
        fence(Ordering::SeqCst);
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & (WAITERS | WOKEN) == WAITERS {
            self.wake_one();
        } else if flags == FENCED {
            self.count_quiet_turn();
        }
    }

    #[inline(always)]
    fn count_quiet_turn(&self) {
        let left = self.quiet_turns_left.load(Ordering::Relaxed).wrapping_sub(1);
        self.quiet_turns_left.store(left, Ordering::Relaxed);
        if left == 0 {
            self.fence_no_more();
        }
    }

    #[cold]
    fn fence_no_more(&self) {
        self.quiet_turns_left.store(MANY, Ordering::Relaxed);
        if membarrier::is_available() {
            // Not if somebody waits by now.
            let _ = self.flags.compare_exchange(FENCED, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    #[cold]
    fn lock_slow(&self) {
        // Pauses are for one that is held. (It may be free, if another processor was at it at the same time.)
        if self.try_lock() || self.back_off.succeeds(|| self.try_lock()) {
            return;
        }
        let mut lost = 0;
        loop {
            if self.try_lock() {
                if lost > 0 {
                    self.flags.fetch_and(!WOKEN, Ordering::Relaxed);
                }
                return;
            }
            let Some(ticket) = self.enqueue(lost) else { continue };
            wait_until_taken(&self.queue, ticket, WaitReason::Mutex, None);
            let mut queue = lock(&self.queue);
            if queue.handed_to == Some(ticket) {
                queue.handed_to = None;
                return;
            }
            lost += 1;
        }
    }

    /// Enters the list, unless the lock is free meanwhile.
    fn enqueue(&self, lost: u32) -> Option<Ticket> {
        let mut queue = lock(&self.queue);
        self.announce(lost > 0);
        if !self.locked.load(Ordering::Relaxed) {
            if queue.list.is_empty() {
                self.flags.fetch_and(!WAITERS, Ordering::Relaxed);
            }
            return None;
        }
        let entry = Entry { waiter: current(), lost, wait: LockWait::begin() };
        // Who has waited before goes first.
        Some(if lost > 0 { queue.list.push_front(entry) } else { queue.list.push_back(entry) })
    }

    /// Whoever unlocks from now on sees the waiter, or has unlocked for all to see. The caller has the list's lock.
    fn announce(&self, was_woken: bool) {
        if was_woken {
            self.flags.fetch_and(!WOKEN, Ordering::Relaxed);
        }
        let before = self.flags.fetch_or(WAITERS | FENCED, Ordering::Relaxed);
        self.quiet_turns_left.store(MANY, Ordering::Relaxed);
        if before & FENCED == 0 {
            membarrier::everywhere();
        } else {
            fence(Ordering::SeqCst);
        }
    }

    #[cold]
    fn wake_one(&self) {
        let mut queue = lock(&self.queue);
        let Some(first) = queue.list.front() else {
            return;
        };
        if first.lost >= PATIENCE {
            // Hand it over, unless a newcomer has it already: then its unlock comes here.
            if self.locked.swap(true, Ordering::Acquire) {
                return;
            }
            queue.handed_to = queue.list.front_ticket();
        } else if self.flags.fetch_or(WOKEN, Ordering::Relaxed) & WOKEN != 0 {
            return;
        }
        let first = queue.list.pop_front();
        if queue.list.is_empty() {
            self.flags.fetch_and(!WAITERS, Ordering::Relaxed);
        }
        drop(queue);
        if let Some(first) = first {
            unpark(&first.waiter);
            first.wait.end();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::park::pause;
    use crate::sync::Mutex;
    use std::sync::atomic::AtomicU32;

    fn flags<T>(lock: &Mutex<T>) -> u8 {
        lock.raw.flags.load(Ordering::Relaxed)
    }

    fn take_turns(lock: &Mutex<u32>, turns: u16) {
        (0..turns).for_each(|_| *lock.lock().unwrap() += 1);
    }

    #[test]
    fn unlocks_are_fenced_no_more_when_nobody_has_waited_for_long_until_somebody_does() {
        membarrier::register();
        let lock = Mutex::new(0);
        take_turns(&lock, MANY - 1);
        assert_eq!(flags(&lock), FENCED);
        take_turns(&lock, 1);
        assert_eq!(flags(&lock) == 0, membarrier::is_available());
        let guard = lock.lock().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| take_turns(&lock, 1));
            while flags(&lock) & WAITERS == 0 {
                std::thread::yield_now();
            }
            drop(guard);
            waiter.join().unwrap();
        });
        assert_eq!(flags(&lock), FENCED);
        assert_eq!(lock.into_inner().unwrap(), u32::from(MANY) + 1);
    }

    /// The lock is held for about as long as a waiter looks at it before it makes the fence on all threads.
    #[test]
    fn who_comes_while_unlocks_are_not_fenced_gets_the_lock() {
        const ROUNDS: u32 = 500;
        membarrier::register();
        let (lock, round) = (Mutex::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for next in 1..=ROUNDS {
                    while round.load(Ordering::Acquire) < next {
                        std::thread::yield_now();
                    }
                    take_turns(&lock, 1);
                    round.store(next + ROUNDS, Ordering::Release);
                    while round.load(Ordering::Acquire) == next + ROUNDS {
                        std::thread::yield_now();
                    }
                }
            });
            for next in 1..=ROUNDS {
                take_turns(&lock, MANY);
                let mut value = lock.lock().unwrap();
                round.store(next, Ordering::Release);
                pause(200 + next * 7 % 400);
                *value += 1;
                drop(value);
                while round.load(Ordering::Acquire) == next {
                    std::thread::yield_now();
                }
                round.store(next, Ordering::Release);
            }
        });
        assert_eq!(lock.into_inner().unwrap(), ROUNDS * (u32::from(MANY) + 2));
    }
}
