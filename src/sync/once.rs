//! [`Once`]: something that is done once, however many ask for it.

use super::wait_list::WaitList;
use crate::atomics::{self, AtomicU8, Ordering, const_fn, lock};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, park, unpark_all};
use std::cell::Cell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

const INCOMPLETE: u8 = 0;
const POISONED: u8 = 1;
const RUNNING: u8 = 2;
const COMPLETE: u8 = 3;
/// Complete, and somebody watched: who finds that tells of it.
const COMPLETE_WATCHED: u8 = 4;

/// One-time initialisation, as [`std::sync::Once`]. Others wait while one runs the closure, which may
/// itself wait; a closure that panics poisons.
///
/// ```
/// use lisle::sync::Once;
/// static START: Once = Once::new();
/// START.call_once(|| println!("once"));
/// START.call_once(|| unreachable!());
/// ```
pub struct Once {
    state: AtomicU8,
    waiters: atomics::Mutex<WaitList<Waiter>>,
}

impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// What a closure of [`Once::call_once_force`] learns.
pub struct OnceState {
    poisoned: bool,
    /// What the state becomes when the closure has returned.
    then: Cell<u8>,
}

impl OnceState {
    /// Whether an earlier closure panicked.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The closure returns without having done the work: as if it had panicked.
    pub(crate) fn poison(&self) {
        self.then.set(POISONED);
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// Publishes how the closure ended, also when it unwinds.
struct Running<'a> {
    once: &'a Once,
    then: u8,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if observe::is_on() {
            observe::release(self.once);
            if self.then == COMPLETE {
                self.then = COMPLETE_WATCHED;
            }
        }
        let mut waiters = lock(&self.once.waiters);
        self.once.state.store(self.then, Ordering::Release);
        let all = waiters.take_all();
        drop(waiters);
        unpark_all(all);
    }
}

impl Once {
    const_fn! {
        /// One that has not run.
        #[must_use]
        pub const fn new() -> Self {
            Self { state: AtomicU8::new(INCOMPLETE), waiters: atomics::Mutex::new(WaitList::new()) }
        }
    }

    /// Runs `f` if nobody has; waits if another is running its closure. When it returns, some closure has
    /// completed, and what it wrote is visible.
    ///
    /// # Panics
    /// If an earlier closure panicked. A closure that calls this on its own `Once` waits for itself for
    /// ever, as with std.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if self.is_completed() {
            return;
        }
        let mut f = Some(f);
        self.call(false, &mut |_| f.take().expect("runs once")());
    }

    /// As [`call_once`](Self::call_once), but also after a panic.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if self.is_completed() {
            return;
        }
        let mut f = Some(f);
        self.call(true, &mut |state| f.take().expect("runs once")(state));
    }

    /// Whether a closure has completed.
    #[inline]
    #[track_caller]
    pub fn is_completed(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        state == COMPLETE || self.is_completed_after_all(state)
    }

    #[cold]
    #[track_caller]
    fn is_completed_after_all(&self, state: u8) -> bool {
        if !observe::touch(Op::OnceGet, self) {
            return state == COMPLETE_WATCHED;
        }
        let is_completed = is_complete(self.state.load(Ordering::Acquire));
        if is_completed {
            observe::acquire(self);
        }
        is_completed
    }

    /// Waits until a closure has completed.
    ///
    /// # Panics
    /// If one panicked.
    #[track_caller]
    pub fn wait(&self) {
        self.wait_for_completion(false);
    }

    /// Waits until a closure has completed, whether or not others panicked before.
    #[track_caller]
    pub fn wait_force(&self) {
        self.wait_for_completion(true);
    }

    #[track_caller]
    fn wait_for_completion(&self, force: bool) {
        observe::touch(Op::OnceWait, self);
        loop {
            match self.state.load(Ordering::Acquire) {
                COMPLETE | COMPLETE_WATCHED => return observe::acquire(self),
                POISONED if !force => poisoned(),
                _ => self.wait_for_change(|state| !is_complete(state) && (force || state != POISONED)),
            }
        }
    }

    pub(crate) fn state(&mut self) -> (bool, bool) {
        let state = self.state.load(Ordering::Relaxed);
        (is_complete(state), state == POISONED)
    }

    #[cold]
    #[track_caller]
    fn call(&self, force: bool, f: &mut dyn FnMut(&OnceState)) {
        observe::enter(Op::Once, self);
        loop {
            let state = self.state.load(Ordering::Acquire);
            match state {
                COMPLETE | COMPLETE_WATCHED => return observe::acquire(self),
                POISONED if !force => poisoned(),
                INCOMPLETE | POISONED => {
                    let taken = self.state.compare_exchange(state, RUNNING, Ordering::Acquire, Ordering::Acquire);
                    if taken.is_ok() {
                        observe::acquire(self);
                        let mut running = Running { once: self, then: POISONED };
                        let seen = OnceState { poisoned: state == POISONED, then: Cell::new(COMPLETE) };
                        f(&seen);
                        running.then = seen.then.get();
                        return;
                    }
                }
                _ => self.wait_for_change(|state| state == RUNNING),
            }
        }
    }

    /// Waits for the end of a closure, unless `wait` says no under the list's lock.
    fn wait_for_change(&self, wait: impl Fn(u8) -> bool) {
        let mut waiters = lock(&self.waiters);
        if !wait(self.state.load(Ordering::Acquire)) {
            return;
        }
        let mut ticket = waiters.push_back(current());
        drop(waiters);
        loop {
            park(WaitReason::Once);
            // The state says when it is over: no need for a million waiters to ask the list one by one. Who
            // leaves on a stray token may still be in it, and gets another stray token from there.
            if !wait(self.state.load(Ordering::Acquire)) {
                return;
            }
            // Another closure runs, or one has panicked and we wait for a better one: the end of the last
            // one took all waiters off the list, so who goes on waiting enters it again.
            let mut waiters = lock(&self.waiters);
            if !wait(self.state.load(Ordering::Acquire)) {
                return;
            }
            if !waiters.contains(ticket) {
                ticket = waiters.push_back(current());
            }
        }
    }
}

fn is_complete(state: u8) -> bool {
    matches!(state, COMPLETE | COMPLETE_WATCHED)
}

#[cold]
fn poisoned() -> ! {
    panic!("Once instance has previously been poisoned");
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}
