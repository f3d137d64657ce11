//! [`RwLock`]: many readers or one writer.
//!
//! # The state word
//! | bits | meaning |
//! | --- | --- |
//! | WRITER | a writer holds it |
//! | QUEUED | the list of waiters is not empty; newcomers must join it |
//! | the rest | how many readers hold it, in units of READER |
//!
//! The lock is handed over: who lets it go with QUEUED set gives it, under the list's lock, to the first
//! waiter if that is a writer, else to all readers up to the next writer. So readers cannot starve writers
//! nor writers readers, and who is woken need not compete.
//!
//! Invariant (under the list's lock): QUEUED is set exactly when the list is not empty, and then somebody
//! holds the lock or is just handing it over. While QUEUED is set, nobody takes the lock in passing; so the
//! one who finds "no holder, QUEUED" after letting go is the only one to hand over.

use super::back_off::{BackOff, after_collision};
use super::poison::{Flag, Witness};
use super::wait_list::{WaitList, wait_until_taken};
use crate::atomics::{self, AtomicUsize, Ordering, const_fn, lock};
use crate::observe::{self, LockClock, LockWait, Op};
use crate::park::{WaitReason, Waiter, current, unpark};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const READER: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reader,
    Writer,
}

struct Entry {
    kind: Kind,
    waiter: Waiter,
    wait: LockWait,
}

struct RawRwLock {
    state: AtomicUsize,
    back_off: BackOff,
    queue: atomics::Mutex<WaitList<Entry>>,
    clock: LockClock,
}

impl Drop for RawRwLock {
    fn drop(&mut self) {
        observe::lock_dropped(&self.state);
    }
}

impl RawRwLock {
    const_fn! {
        const fn new() -> Self {
            Self {
                state: AtomicUsize::new(0),
                back_off: BackOff::new(),
                queue: atomics::Mutex::new(WaitList::new()),
                clock: LockClock::new(),
            }
        }
    }

    #[inline]
    fn try_read(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & (WRITER | QUEUED) == 0 {
            assert!(state < usize::MAX - READER, "too many readers hold an RwLock");
            match self.state.compare_exchange_weak(state, state + READER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(_) => after_collision(),
            }
            state = self.state.load(Ordering::Relaxed);
        }
        false
    }

    #[inline]
    fn try_write(&self) -> bool {
        self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    #[track_caller]
    fn read(&self) {
        observe::enter(Op::RwLockRead, &self.state);
        if !self.try_read() {
            self.wait(Kind::Reader);
        }
        observe::locked_shared(&self.state, &self.clock);
    }

    #[inline]
    #[track_caller]
    fn write(&self) {
        observe::enter(Op::RwLockWrite, &self.state);
        if !self.try_write() {
            self.wait(Kind::Writer);
        }
        self.note_written();
    }

    /// The exclusive lock has been taken.
    #[inline(always)]
    #[track_caller]
    fn note_written(&self) {
        if observe::is_on() {
            observe::locked(&self.state, &self.clock);
            observe::acquire(&self.queue);
        }
    }

    fn try_take(&self, kind: Kind) -> bool {
        match kind {
            Kind::Reader => self.try_read(),
            Kind::Writer => self.try_write(),
        }
    }

    #[cold]
    fn wait(&self, kind: Kind) {
        if self.back_off.succeeds(|| self.try_take(kind)) {
            return;
        }
        let mut queue = lock(&self.queue);
        loop {
            if self.try_take(kind) {
                return;
            }
            let state = self.state.load(Ordering::Relaxed);
            if state & QUEUED != 0 {
                break;
            }
            // Only if it is held in a way that keeps us out: a free lock would never be handed over, and a
            // reader has no reason to wait for readers.
            let kept_out = if kind == Kind::Reader { state & WRITER != 0 } else { state != 0 };
            if kept_out
                && self.state.compare_exchange(state, state | QUEUED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                break;
            }
        }
        let ticket = queue.push_back(Entry { kind, waiter: current(), wait: LockWait::begin() });
        drop(queue);
        let reason = if kind == Kind::Reader { WaitReason::RwLockRead } else { WaitReason::RwLockWrite };
        wait_until_taken(&self.queue, ticket, reason, None);
        // Whoever took us off the list has entered us into the state. Its release came with the list's
        // lock; what earlier holders wrote comes with this.
        self.state.load(Ordering::Acquire);
    }

    #[inline]
    fn unlock_read(&self) {
        if observe::touch(Op::RwLockUnlock, &self.state) {
            // Readers do not order each other: only who takes the exclusive lock looks here. (Not at the lock's own
            // address, which may be that of a field.)
            observe::release(&self.queue);
        }
        let before = self.state.fetch_sub(READER, Ordering::AcqRel);
        if before == READER | QUEUED {
            self.hand_over(0);
        }
    }

    #[inline]
    fn unlock_write(&self) {
        if observe::is_on() {
            observe::unlocking(Op::RwLockUnlock, &self.state, &self.clock);
        }
        // The writer's bit is set; see `RawMutex::unlock`.
        let before = self.state.fetch_sub(WRITER, Ordering::AcqRel);
        if before & QUEUED != 0 {
            self.hand_over(0);
        }
    }

    /// A writer becomes a reader, and lets the readers at the head of the queue in.
    fn downgrade(&self) {
        if observe::is_on() {
            observe::unlocking(Op::RwLockDowngrade, &self.state, &self.clock);
        }
        if self.state.compare_exchange(WRITER, READER, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            self.hand_over(READER);
        }
    }

    /// Gives the lock to who is first in the list. `holders` is what holds it meanwhile: nothing, or the
    /// one reader that was a writer.
    #[cold]
    fn hand_over(&self, holders: usize) {
        let mut queue = lock(&self.queue);
        let mut state = holders;
        let mut woken = Vec::new();
        while let Some(first) = queue.front() {
            match first.kind {
                Kind::Reader => state += READER,
                Kind::Writer if state == 0 => state = WRITER,
                Kind::Writer => break,
            }
            woken.extend(queue.pop_front());
            if state == WRITER {
                break;
            }
        }
        if !queue.is_empty() {
            state |= QUEUED;
        }
        // Nobody else changes the word now: newcomers see QUEUED (or WRITER) and wait for the list's lock.
        self.state.store(state, Ordering::Release);
        drop(queue);
        woken.iter().for_each(|entry| unpark(&entry.waiter));
        woken.into_iter().for_each(|entry| entry.wait.end());
    }
}

/// Many readers or one writer, as [`std::sync::RwLock`], poisoning included: code moves by its imports.
///
/// Waiters are served in the order in which they came, neighbouring readers together. A goroutine that
/// holds a shared lock and asks for another while a writer waits waits for ever, as with std.
///
/// Cost: two atomic operations if nobody waits.
///
/// ```
/// use lisle::sync::RwLock;
/// let table = RwLock::new(vec![1, 2]);
/// table.write().unwrap().push(3);
/// assert_eq!(table.read().unwrap().len(), 3);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Flag,
    data: UnsafeCell<T>,
}

// SAFETY: the lock gives one writer or many readers access to the data.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above; readers share `&T`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    const_fn! {
        /// A free lock around `value`.
        #[must_use]
        pub const fn new(value: T) -> Self {
            Self { raw: RawRwLock::new(), poison: Flag::new(), data: UnsafeCell::new(value) }
        }
    }

    /// The value, without locking.
    ///
    /// # Errors
    /// The value all the same, if a writer panicked.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.poison.get();
        let value = self.data.into_inner();
        if poisoned { Err(std::sync::PoisonError::new(value)) } else { Ok(value) }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for a shared lock.
    ///
    /// # Errors
    /// The guard all the same, if a writer panicked.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.raw.read();
        self.poison.wrap(RwLockReadGuard::new(self))
    }

    /// Takes a shared lock if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` if a writer holds or awaits the lock; the guard all the same, if a writer panicked.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        observe::touch(Op::RwLockTryRead, &self.raw.state);
        if !self.raw.try_read() {
            return Err(TryLockError::WouldBlock);
        }
        observe::acquire(&self.raw.state);
        Ok(self.poison.wrap(RwLockReadGuard::new(self))?)
    }

    /// Waits for the exclusive lock.
    ///
    /// # Errors
    /// The guard all the same, if a writer panicked.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.raw.write();
        let witness = Witness::new();
        self.poison.wrap(RwLockWriteGuard { lock: self, witness, _not_send: PhantomData })
    }

    /// Takes the exclusive lock if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it is held; the guard all the same, if a writer panicked.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        observe::touch(Op::RwLockTryWrite, &self.raw.state);
        if !self.raw.try_write() {
            return Err(TryLockError::WouldBlock);
        }
        self.raw.note_written();
        let witness = Witness::new();
        Ok(self.poison.wrap(RwLockWriteGuard { lock: self, witness, _not_send: PhantomData })?)
    }

    /// Whether a writer panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the value good again after a writer panicked.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, without locking: `&mut` proves that nobody else has it.
    ///
    /// # Errors
    /// The reference all the same, if a writer panicked.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.data.get_mut())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => d.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => d.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => d.field("data", &format_args!("<locked>")),
        };
        d.field("poisoned", &self.is_poisoned());
        d.finish_non_exhaustive()
    }
}

/// A shared lock; dropping it lets go. As [`std::sync::RwLockReadGuard`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized + 'a> {
    /// Not the lock itself, which would make the guard invariant in `T`.
    data: std::ptr::NonNull<T>,
    raw: &'a RawRwLock,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    fn new(lock: &'a RwLock<T>) -> Self {
        // SAFETY: the address of a field is not null.
        let data = unsafe { std::ptr::NonNull::new_unchecked(lock.data.get()) };
        Self { data, raw: &lock.raw }
    }
}

// SAFETY: `&RwLockReadGuard` gives `&T` and nothing more.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: readers hold the lock, so there is no writer.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.raw.unlock_read();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// The exclusive lock; dropping it lets go. As [`std::sync::RwLockWriteGuard`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized + 'a> {
    lock: &'a RwLock<T>,
    witness: Witness,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: `&RwLockWriteGuard` gives `&T` and nothing more.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Turns the exclusive lock into a shared one; no writer comes in between.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let guard = ManuallyDrop::new(guard);
        guard.lock.poison.leave(guard.witness);
        guard.lock.raw.downgrade();
        RwLockReadGuard::new(guard.lock)
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the exclusive lock.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the exclusive lock, and `&mut self` makes this the only reference.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.leave(self.witness);
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
