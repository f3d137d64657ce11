//! [`Mutex`]: mutual exclusion between goroutines, threads, and both.
//!
//! # The state word
//! | bits | meaning |
//! | --- | --- |
//! | LOCKED | somebody holds it |
//! | WAITERS | the list of waiters is not empty (changed under the list's lock only) |
//! | WOKEN | a waiter was woken and has not yet come: no need to wake another |
//!
//! Taking a free lock is one compare-exchange, letting it go one read-modify-write. A waiter that is woken
//! competes with newcomers, who usually win, since they run already: that is what makes a contended lock
//! fast. So that nobody starves, a waiter that lost `PATIENCE` times is handed the lock directly. (The
//! two modes of Go's `sync/mutex.go` are the model, counted in attempts rather than in time.)
//!
//! # Why no wake-up gets lost
//! A waiter enters the list under the list's lock, after it has set WAITERS with a read-modify-write that
//! saw LOCKED. The holder's unlock is a read-modify-write on the same word: it comes after, and sees
//! WAITERS, or before, and then the waiter would have seen the lock free. If the unlock sees WOKEN, some
//! woken waiter is on its way; that waiter clears WOKEN when it takes the lock (and then its own unlock
//! wakes the next) or, under the list's lock, when it goes back into the list, having seen LOCKED: then the
//! present holder's unlock wakes. The loom model `mutex_*` checks it.

use super::back_off::BackOff;
use super::poison::{Flag, Witness};
use super::wait_list::{AsWaitList, Ticket, WaitList, wait_until_taken};
use crate::atomics::{self, AtomicU32, Ordering, const_fn, lock};
use crate::observe::{self, LockClock, LockWait, Op};
use crate::park::{WaitReason, Waiter, current, unpark};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const WOKEN: u32 = 4;

/// A waiter that lost so often is handed the lock.
const PATIENCE: u32 = if cfg!(loom) { 1 } else { 4 };

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

/// The lock without the data.
pub(crate) struct RawMutex {
    state: AtomicU32,
    back_off: BackOff,
    queue: atomics::Mutex<Queue>,
    clock: LockClock,
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
                state: AtomicU32::new(0),
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
    fn lock_watched(&self) -> Witness {
        self.lock();
        self.note_locked()
    }

    #[cold]
    #[track_caller]
    fn note_locked(&self) -> Witness {
        observe::locked(self, &self.clock);
        Witness::watched()
    }

    #[inline]
    fn try_lock_fast(&self) -> bool {
        self.state.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        state & LOCKED == 0 && (self.try_lock_fast() || self.state.fetch_or(LOCKED, Ordering::Acquire) & LOCKED == 0)
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        // The holder's bit is set. (A subtraction is one instruction; x86 has none that clears a bit and gives the word.)
        let before = self.state.fetch_sub(LOCKED, Ordering::Release);
        if before & (WAITERS | WOKEN) == WAITERS {
            self.wake_one();
        }
    }

    #[cold]
    fn lock_slow(&self) {
        // It may be free, with waiters, which the fast path does not take: that is no case for pauses.
        if self.try_lock() || self.back_off.succeeds(|| self.try_lock()) {
            return;
        }
        let mut lost = 0;
        // What a woken waiter takes off the word with its next step.
        let mut woken = 0;
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state & LOCKED == 0 {
                let taken = (state | LOCKED) & !woken;
                if self.state.compare_exchange(state, taken, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            let Some(ticket) = self.enqueue(lost, woken) else {
                continue;
            };
            wait_until_taken(&self.queue, ticket, WaitReason::Mutex, None);
            let mut queue = lock(&self.queue);
            if queue.handed_to == Some(ticket) {
                queue.handed_to = None;
                return;
            }
            lost += 1;
            woken = WOKEN;
        }
    }

    /// Enters the list, unless the lock is free meanwhile.
    fn enqueue(&self, lost: u32, woken: u32) -> Option<Ticket> {
        let mut queue = lock(&self.queue);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & LOCKED == 0 {
                return None;
            }
            let waiting = (state | WAITERS) & !woken;
            match self.state.compare_exchange(state, waiting, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let entry = Entry { waiter: current(), lost, wait: LockWait::begin() };
        // Who has waited before goes first.
        Some(if lost > 0 { queue.list.push_front(entry) } else { queue.list.push_back(entry) })
    }

    #[cold]
    fn wake_one(&self) {
        let mut queue = lock(&self.queue);
        let Some(first) = queue.list.front() else {
            return;
        };
        if first.lost >= PATIENCE {
            // Hand it over, unless a newcomer has it already: then its unlock comes here.
            if self.state.fetch_or(LOCKED, Ordering::Acquire) & LOCKED != 0 {
                return;
            }
            queue.handed_to = queue.list.front_ticket();
        } else if self.state.fetch_or(WOKEN, Ordering::Relaxed) & WOKEN != 0 {
            return;
        }
        let first = queue.list.pop_front();
        if queue.list.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
        drop(queue);
        if let Some(first) = first {
            unpark(&first.waiter);
            first.wait.end();
        }
    }
}

/// Mutual exclusion around a value, as [`std::sync::Mutex`], poisoning included: code moves by its imports.
///
/// A goroutine that waits lets the other goroutines of its worker run; a thread blocks. The guard may be
/// held across any wait (unlike a `std::sync::Mutex`'s, whose waiters would block the whole worker, the
/// holder with it).
///
/// Cost: two atomic operations if nobody else wants it.
///
/// ```
/// use lisle::sync::Mutex;
/// let counter = Mutex::new(0);
/// lisle::scope(|s| {
///     for _ in 0..10 {
///         s.go(|| *counter.lock().unwrap() += 1);
///     }
/// });
/// assert_eq!(counter.into_inner().unwrap(), 10);
/// ```
pub struct Mutex<T: ?Sized> {
    pub(crate) raw: RawMutex,
    poison: Flag,
    data: UnsafeCell<T>,
}

// SAFETY: the lock gives one thread at a time access to the data.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    const_fn! {
        /// A free lock around `value`.
        #[must_use]
        pub const fn new(value: T) -> Self {
            Self { raw: RawMutex::new(), poison: Flag::new(), data: UnsafeCell::new(value) }
        }
    }

    /// The value, without locking: nobody else has the lock any more.
    ///
    /// # Errors
    /// The value all the same, if the lock is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.poison.get();
        let value = self.data.into_inner();
        if poisoned { Err(std::sync::PoisonError::new(value)) } else { Ok(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock and takes it.
    ///
    /// A goroutine that locks what it holds already waits for itself, for ever.
    ///
    /// # Errors
    /// The guard all the same, if a holder panicked.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let witness = if observe::enter(Op::MutexLock, &self.raw) {
            self.raw.lock_watched()
        } else {
            self.raw.lock();
            Witness::new()
        };
        MutexGuard::new(self, witness)
    }

    /// Takes the lock if it is free. Never waits.
    ///
    /// # Errors
    /// `WouldBlock` if it is not free; the guard all the same, if a holder panicked.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let is_watched = observe::touch(Op::MutexTryLock, &self.raw);
        if !self.raw.try_lock() {
            return Err(TryLockError::WouldBlock);
        }
        let witness = if is_watched { self.raw.note_locked() } else { Witness::new() };
        Ok(MutexGuard::new(self, witness)?)
    }

    /// What comes before letting go, unless all was plain when the lock was taken. (Not the guard's: it stays in registers.)
    #[cold]
    fn leave_specially(&self, witness: Witness) {
        self.poison.leave(witness);
        if witness.is_watched() {
            observe::unlocking(Op::MutexUnlock, &self.raw, &self.raw.clock);
        }
    }

    /// Whether a holder panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the value good again after a holder panicked.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, without locking: `&mut` proves that nobody else has it.
    ///
    /// # Errors
    /// The reference all the same, if the lock is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.data.get_mut())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => d.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => d.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => d.field("data", &format_args!("<locked>")),
        };
        d.field("poisoned", &self.is_poisoned());
        d.finish_non_exhaustive()
    }
}

/// The right to use what a [`Mutex`] guards; dropping it unlocks. As [`std::sync::MutexGuard`].
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized + 'a> {
    mutex: &'a Mutex<T>,
    witness: Witness,
    /// Poisoning looks at the thread, so a guard stays on its own.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: `&MutexGuard` gives `&T` and nothing more.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The caller has just taken the lock.
    #[inline]
    fn new(mutex: &'a Mutex<T>, witness: Witness) -> LockResult<Self> {
        mutex.poison.wrap(Self { mutex, witness, _not_send: PhantomData })
    }

    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }

    /// Lets go of the lock as a part of a wait.
    pub(crate) fn unlock_to_wait(self) {
        let this = std::mem::ManuallyDrop::new(self);
        this.mutex.poison.leave(this.witness);
        if this.witness.is_watched() {
            observe::unlocking_to_wait(&this.mutex.raw, &this.mutex.raw.clock);
        }
        this.mutex.raw.unlock();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and `&mut self` makes this the only reference.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.witness == Witness::Plain {
            self.mutex.poison.leave(self.witness);
        } else {
            self.mutex.leave_specially(self.witness);
        }
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_free_lock_with_waiters_is_no_reason_to_spin_for_a_held_one() {
        let lock = std::sync::Arc::new(Mutex::new(0));
        let runtime = crate::Config::new().workers(1).start().expect("a runtime");
        let take_turns = |lock: std::sync::Arc<Mutex<i32>>| {
            for _ in 0..500 {
                let mut turns = lock.lock().unwrap();
                crate::yield_now();
                *turns += 1;
            }
        };
        let all: Vec<_> = (0..4).map(|_| lock.clone()).map(|lock| runtime.go(move || take_turns(lock))).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert!(lock.raw.back_off.has_learnt(), "no wait for a lock whose holder has parked was worth its pauses");
        assert_eq!(*lock.lock().unwrap(), 2000);
    }
}
