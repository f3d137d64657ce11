//! [`Group`]: work that several ask for at the same time is done once, and all get the result.
//!
//! The model is Go's `golang.org/x/sync/singleflight`. A cache that has lost an entry is the usual case: a hundred
//! requests miss it at once, one of them asks the database, and the others wait for that one.
//!
//! # How it works
//! A map from keys to `Call`s under one short lock. Who finds no call for its key enters one and is its *leader*;
//! who finds one is a *follower* and waits until the leader's end of a channel goes away. How the call ended is
//! written before that, and read without a lock. The leader takes the call out of the map first: who comes
//! later begins anew, so that no result is older than the question.
//!
//! # Rules
//! - Under the lock, no code of the user's runs but `Hash` and `Eq` of the keys, as a map needs them. Keys and values
//!   are cloned and dropped outside.
//! - A call that was begun ends, however its leader does: `Lead` sees to it when it is dropped.
//!
//! Rejected: a lock for each key, under which the work is done. Those who wait would find it free again one by one,
//! each without knowing what the one before them has got.

mod within;

use crate::atomics::{Mutex, lock};
use crate::channel::{Receiver, Sender, bounded};
use crate::context::Cancel;
use crate::observe::{self, Op};
use crate::park::with_current;
use crate::unwind::PanicReport;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A place where work is done once for all who ask for it at the same time.
///
/// It is a handle: clones share the calls. For work that can fail, let `V` be a `Result`; if the error cannot be
/// cloned, an `Arc` of it can.
///
/// ```
/// use lisle::singleflight::Group;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static QUERIES: AtomicU32 = AtomicU32::new(0);
/// let group = Group::new();
/// let answers: Vec<_> = (0..10)
///     .map(|_| {
///         let group = group.clone();
///         lisle::go(move || {
///             group.run("user 7", || {
///                 lisle::time::sleep(std::time::Duration::from_millis(20)); // ask the database
///                 QUERIES.fetch_add(1, Ordering::Relaxed);
///                 Ok::<_, String>("Ada")
///             })
///         })
///     })
///     .collect();
/// for answer in answers {
///     assert_eq!(answer.join().unwrap().value, Ok("Ada"));
/// }
/// assert!(QUERIES.load(Ordering::Relaxed) < 10);
/// ```
///
/// `Hash` and `Eq` of the keys are called under the group's lock: they must not wait, panic, or use the group.
pub struct Group<K, V> {
    calls: Arc<Calls<K, V>>,
}

type Calls<K, V> = Mutex<HashMap<Arc<K>, Arc<Call<V>>>>;

/// What [`Group::run`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<V> {
    /// The result of the work.
    pub value: V,
    /// Whether it was given to several callers.
    pub shared: bool,
}

/// Work under way.
struct Call<V> {
    /// The number of the goroutine, or thread, that does it; 0 while it has not started.
    leader: AtomicU64,
    /// All who ever asked for the result. Changed under the lock of the map, as long as the call is in it.
    callers: AtomicUsize,
    /// Of these: who has not gone away.
    waiting: AtomicUsize,
    /// Ends the context of work that has one.
    cancel: OnceLock<Cancel>,
    /// Set once, before `over` goes away.
    ending: OnceLock<Ending<V>>,
    /// Disconnected when the call is over.
    over: Receiver<Infallible>,
}

enum Ending<V> {
    Done(Outcome<V>),
    Panicked(PanicReport),
    /// The closure called `exit`: another may do the work.
    Exited,
    /// The work was given up before it began: another may do it.
    NeverRan,
}

/// What a caller is to a call.
enum Role<K: Hash + Eq, V> {
    Leader(Lead<K, V>),
    Follower(Arc<Call<V>>),
}

impl<K: Hash + Eq, V: Clone> Group<K, V> {
    /// A group without calls.
    #[must_use]
    pub fn new() -> Self {
        Self { calls: Arc::default() }
    }

    /// The result of the work that the key stands for: if nobody is about it, `f` does it, now and here; else waits for
    /// the result of who is, and `f` is dropped.
    ///
    /// If the other calls [`exit`](crate::exit) in its closure, one of those who wait for it does the work with a
    /// closure of its own.
    ///
    /// Cost: without others, about 200 ns more than `f`.
    ///
    /// # Panics
    /// - If `f` panics, with its payload.
    /// - If the work that it waited for panics: the text names the goroutine that did it, and repeats its message.
    /// - If `f` asks for its own key: it would wait for itself for ever. (Works that ask for each other's keys in a
    ///   circle do that, as locks do: it is not noticed.)
    ///
    /// ```
    /// let group = lisle::singleflight::Group::new();
    /// let outcome = group.run("6 * 7", || 42);
    /// assert!(outcome.value == 42 && !outcome.shared);
    /// ```
    #[track_caller]
    pub fn run(&self, key: K, f: impl FnOnce() -> V) -> Outcome<V> {
        let key = Arc::new(key);
        loop {
            match self.enter(&key) {
                Role::Leader(lead) => return lead.work(f),
                Role::Follower(call) => {
                    // An error is what it waits for: the other end is gone.
                    let _ = call.over.recv();
                    match call.ending() {
                        Ending::Done(outcome) => return outcome.clone(),
                        Ending::Panicked(report) => panic!("the shared work failed: {report}"),
                        Ending::Exited | Ending::NeverRan => {}
                    }
                }
            }
        }
    }

    /// Lets the next who asks for the key begin anew, although somebody may be about the work. Those who wait already
    /// get the result of the work under way.
    pub fn forget(&self, key: &K) {
        let forgotten = lock(&self.calls).remove_entry(key);
        // Outside the lock: the key's destructor may do anything.
        drop(forgotten);
    }

    /// Enters the call of that key, or begins one.
    ///
    /// # Panics
    /// If the caller is about that very work.
    #[track_caller]
    fn enter(&self, key: &Arc<K>) -> Role<K, V> {
        observe::touch(Op::Group, &*self.calls);
        let mut calls = lock(&self.calls);
        // Works for one key come one after the other, if they are not shared.
        observe::acquire(&*self.calls);
        let Some(call) = calls.get(&**key) else {
            let (over, is_over) = bounded(0);
            let call = Arc::new(Call::new(is_over));
            calls.insert(Arc::clone(key), Arc::clone(&call));
            drop(calls);
            return Role::Leader(Lead {
                calls: Arc::clone(&self.calls),
                key: Arc::clone(key),
                call,
                is_retired: false,
                _over: over,
            });
        };
        let call = Arc::clone(call);
        let is_own = call.leader.load(Relaxed) == with_current(|g| g.id);
        if !is_own {
            call.callers.fetch_add(1, Relaxed);
            call.waiting.fetch_add(1, Relaxed);
        }
        drop(calls);
        assert!(!is_own, "the work for a key asked for the same key: it would wait for its own end for ever");
        Role::Follower(call)
    }
}

impl<V> Call<V> {
    fn new(over: Receiver<Infallible>) -> Self {
        Self {
            leader: AtomicU64::new(0),
            callers: AtomicUsize::new(1),
            waiting: AtomicUsize::new(1),
            cancel: OnceLock::new(),
            ending: OnceLock::new(),
            over,
        }
    }

    /// Of a call that is over.
    fn ending(&self) -> &Ending<V> {
        self.ending.get().expect("how a call ended is told before it is over")
    }
}

/// Takes a call out of the map, if it is in, for its caller to drop outside the lock.
fn remove<K: Hash + Eq, V>(
    calls: &mut HashMap<Arc<K>, Arc<Call<V>>>,
    key: &K,
    call: &Arc<Call<V>>,
) -> Option<(Arc<K>, Arc<Call<V>>)> {
    let is_in = calls.get(key).is_some_and(|found| Arc::ptr_eq(found, call));
    if is_in { calls.remove_entry(key) } else { None }
}

/// The duty of a call's leader: to end it.
struct Lead<K: Hash + Eq, V> {
    /// Its end ends the call. The first to go: the key's destructor may take its time.
    _over: Sender<Infallible>,
    calls: Arc<Calls<K, V>>,
    key: Arc<K>,
    call: Arc<Call<V>>,
    /// Whether the call is out of the map.
    is_retired: bool,
}

impl<K: Hash + Eq, V> Lead<K, V> {
    /// Does the work, here, and returns or unwinds as it does.
    fn work(mut self, f: impl FnOnce() -> V) -> Outcome<V>
    where
        V: Clone,
    {
        self.call.leader.store(with_current(|g| g.id), Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let value = f();
            let shared = self.retire() > 1;
            let for_others = shared.then(|| Outcome { value: value.clone(), shared });
            (Outcome { value, shared }, for_others)
        }));
        match result {
            Ok((outcome, for_others)) => {
                for_others.into_iter().for_each(|outcome| self.end(Ending::Done(outcome)));
                outcome
            }
            Err(payload) => {
                self.end(match payload.is::<crate::Exited>() {
                    true => Ending::Exited,
                    false => Ending::Panicked(PanicReport::new(&*payload)),
                });
                drop(self);
                resume_unwind(payload)
            }
        }
    }

    /// Takes the call out of the map, if it is still in. Returns how many have asked for its result; from now on they
    /// will not be more.
    fn retire(&mut self) -> usize {
        if !std::mem::replace(&mut self.is_retired, true) {
            observe::release(&*self.calls);
            let mut calls = lock(&self.calls);
            let entry = remove(&mut calls, &self.key, &self.call);
            drop(calls);
            drop(entry);
        }
        self.call.callers.load(Relaxed)
    }

    /// Says how the call ended, if that has not been said. The call is over when `self` goes away.
    fn end(&mut self, ending: Ending<V>) {
        self.retire();
        let _ = self.call.ending.set(ending);
    }
}

impl<K: Hash + Eq, V> Drop for Lead<K, V> {
    fn drop(&mut self) {
        self.end(Ending::NeverRan);
    }
}

impl<K: Hash + Eq, V: Clone> Default for Group<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Clone for Group<K, V> {
    fn clone(&self) -> Self {
        Self { calls: Arc::clone(&self.calls) }
    }
}

impl<K, V> fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = lock(&self.calls).len();
        f.debug_struct("Group").field("under_way", &under_way).finish()
    }
}
