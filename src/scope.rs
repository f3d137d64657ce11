//! Structured concurrency: [`scope`], in the manner of [`std::thread::scope`].

use crate::goroutine::Goroutine;
use crate::observe::{self, Op};
use crate::of_thread::of_thread;
use crate::park::{WaitReason, Waiter};
use crate::report::AbortOnUnwind;
use crate::sched::g::GRef;
use crate::sched::task::{ResultSlot, scope_of};
use crate::sched::worker::Worker;
use crate::spawn::Builder;
use crate::tsan;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What the owner of a scope shares with the goroutines in it.
pub(crate) struct ScopeData {
    running: AtomicUsize,
    /// Who waits at the end, from then on.
    owner: Mutex<Option<Waiter>>,
    /// The first panic that nobody joined.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    // What follows is for dumps, which read copies of it (`debug::scopes`), and never changes.
    pub(crate) id: u64,
    /// The goroutine that opened it; 0: a thread.
    pub(crate) opener: u64,
    pub(crate) opened_at: &'static Location<'static>,
    /// The scope within which it was opened, by its owner, or else the one that its owner was started in.
    pub(crate) parent: Option<Arc<ScopeData>>,
}

/// Makes `scope` the caller's innermost one, and returns the one that was it.
fn replace_innermost(scope: Option<Arc<ScopeData>>) -> Option<Arc<ScopeData>> {
    Worker::with_current(|worker| match crate::park::running(worker) {
        Some((worker, g)) => g.pinned(worker).scope.replace(scope),
        None => of_thread().scope.replace(scope),
    })
}

impl ScopeData {
    fn new(opener: u64, opened_at: &'static Location<'static>, parent: Option<Arc<Self>>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            running: AtomicUsize::new(0),
            owner: Mutex::new(None),
            panic: Mutex::new(None),
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            opener,
            opened_at,
            parent,
        }
    }

    /// One that is nobody's.
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self::new(0, Location::caller(), None))
    }

    /// A new one, the caller's innermost, and the one that was it. These are counted references, since a generator of the
    /// user's can end an outer scope before an inner one.
    fn open(opened_at: &'static Location<'static>) -> (Arc<Self>, Option<Arc<Self>>) {
        let before = replace_innermost(None);
        let (opener, member_of) = Worker::with_current(|worker| match crate::park::running(worker) {
            Some((_, g)) => (g.id, if before.is_none() { scope_of(g) } else { None }),
            None => (0, None),
        });
        let data = Arc::new(Self::new(opener, opened_at, before.clone().or(member_of)));
        replace_innermost(Some(Arc::clone(&data)));
        (data, before)
    }

    /// A goroutine of the scope will touch nothing of it any more.
    pub(crate) fn leave(&self) {
        // What orders the user's deeds was told before (`observe::ending`); what we do here has no part in it.
        let _quiet = tsan::quiet();
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Either the owner's lock comes after ours, and it sees the zero, or we find it here.
            let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
            owner.iter().for_each(|owner| crate::park::unpark(owner));
        }
    }

    pub(crate) fn panicked(&self, payload: Box<dyn Any + Send>) {
        let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        let later = if first.is_none() { first.replace(payload) } else { Some(payload) };
        drop(first);
        // Outside the lock: its destructor may do anything.
        later.into_iter().for_each(crate::report::discard_payload);
    }

    /// Waits for all. Others borrow from the owner's stack, so nothing cuts this short: no cancellation,
    /// no panic, and stray tokens only make it look again.
    #[track_caller]
    fn wait(&self) {
        observe::touch(Op::ScopeEnd, self);
        self.wait_for_all();
        observe::acquire(self);
    }

    fn wait_for_all(&self) {
        if self.running.load(Ordering::Acquire) == 0 {
            return;
        }
        let guard = AbortOnUnwind("the wait at the end of a scope");
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = Some(crate::park::current());
        while self.running.load(Ordering::Acquire) > 0 {
            crate::park::park(WaitReason::Scope);
        }
        std::mem::forget(guard);
    }
}

/// Starts goroutines that may borrow from the caller, and waits for all of them before it returns.
///
/// If a goroutine panics and nobody joins it, `scope` panics with the same payload once all have ended.
/// The wait cannot be cancelled.
///
/// ```
/// let mut numbers = vec![1, 2, 3];
/// let (first, rest) = numbers.split_at_mut(1);
/// lisle::scope(|s| {
///     s.go(|| first[0] *= 10);
///     s.go(|| rest.iter_mut().for_each(|n| *n *= 10));
/// });
/// assert_eq!(numbers, [10, 20, 30]);
/// ```
///
/// # Panics
/// With the payload of `f`, or else of the first goroutine whose panic nobody joined.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let (data, outer) = ScopeData::open(Location::caller());
    observe::forget(Arc::as_ptr(&data).addr());
    let scope = Scope { data: Opened { data, quiet: None }, scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.data.wait();
    {
        let _quiet = tsan::quiet();
        drop(replace_innermost(outer));
    }
    let child = scope.data.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (result, child) {
        (Err(payload), _) | (Ok(_), Some(payload)) => resume_unwind(payload),
        (Ok(value), None) => value,
    }
}

/// The owner's reference. It may be the last, and what is freed then was touched by goroutines that were quiet.
struct Opened {
    data: Arc<ScopeData>,
    /// Dropped after the other.
    quiet: Option<tsan::Quiet>,
}

impl Deref for Opened {
    type Target = Arc<ScopeData>;

    fn deref(&self) -> &Arc<ScopeData> {
        &self.data
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.quiet = Some(tsan::quiet());
    }
}

/// The place in which scoped goroutines live; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    data: Opened,
    /// Invariant in both lifetimes, as std's, lest one shrink or grow a borrow.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a goroutine in the scope. For a name or a stack size, see [`Builder::go_scoped`].
    ///
    /// # Panics
    /// As [`go`](crate::go()).
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match Builder::new().go_scoped(self, f) {
            Ok(handle) => handle,
            Err(error) => panic!("cannot start a goroutine: {error}"),
        }
    }

    /// Counts a goroutine in, before it is queued.
    pub(crate) fn enter(&self) -> Arc<ScopeData> {
        self.data.running.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.data)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.data.running.load(Ordering::Relaxed);
        f.debug_struct("Scope").field("running", &running).finish_non_exhaustive()
    }
}

/// The right to the result of a goroutine in a [`scope`].
pub struct ScopedJoinHandle<'scope, T> {
    result: ResultSlot<T>,
    scope: PhantomData<&'scope ()>,
}

// SAFETY: as for `JoinHandle`.
unsafe impl<T: Send> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: as for `JoinHandle`.
unsafe impl<T: Send> Sync for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    pub(crate) fn new(result: ResultSlot<T>) -> Self {
        Self { result, scope: PhantomData }
    }

    /// As [`JoinHandle::join`](crate::JoinHandle::join). A panic that is joined is not passed on by the
    /// scope.
    ///
    /// # Errors
    /// As [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Panics
    /// If a goroutine joins itself.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.result.join()
    }

    /// As [`JoinHandle::is_finished`](crate::JoinHandle::is_finished).
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.result.poll()
    }

    /// As [`JoinHandle::goroutine`](crate::JoinHandle::goroutine).
    #[must_use]
    pub fn goroutine(&self) -> Goroutine {
        Goroutine::new(GRef::clone(self.result.g()))
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("goroutine", &self.goroutine()).finish_non_exhaustive()
    }
}
