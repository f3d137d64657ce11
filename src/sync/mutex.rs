//! [`Mutex`]: mutual exclusion between goroutines, threads, and both.

use super::poison::{Flag, Witness};
use super::raw_mutex::RawMutex;
use crate::atomics::const_fn;
use crate::observe::{self, Op};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

/// Mutual exclusion around a value, as [`std::sync::Mutex`], poisoning included: code moves by its imports.
///
/// A goroutine that waits lets the other goroutines of its worker run; a thread blocks. The guard may be
/// held across any wait (unlike a `std::sync::Mutex`'s, whose waiters would block the whole worker, the
/// holder with it).
///
/// Cost: if nobody else wants it, one atomic operation; two until it has been taken some ten thousand times in a row without a
/// waiter, and after one that waited.
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
