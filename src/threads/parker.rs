//! [`ThreadParker`]: where an OS thread of the program waits, as goroutines wait on their workers.
//!
//! A lock and a condition variable. What it has over a ready-made parker is that others can see it: whether the thread
//! waits, for what, since when, and that nobody has woken it. A dump shows it, and the search for deadlocks relies on it:
//! a thread that is seen here with a wait and without a token will not go on unless somebody else does something.

use crate::debug::unwind::{Registers, here};
use crate::park::WaitReason;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The parkers of all threads that have waited, for as long as the threads live.
static ALL: Mutex<Vec<Arc<ThreadParker>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct ThreadParker {
    thread: libc::pid_t,
    name: Option<Arc<str>>,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    token: bool,
    wait: Option<Wait>,
    /// How many waits have ended.
    ended: u64,
}

#[derive(Clone, Copy)]
struct Wait {
    reason: WaitReason,
    since: Instant,
    has_deadline: bool,
    registers: Registers,
}

/// A thread that waits, and that nobody has woken.
pub(crate) struct Waiting {
    pub(crate) thread: libc::pid_t,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) reason: WaitReason,
    pub(crate) since: Instant,
    /// It goes on by itself some time.
    pub(crate) has_deadline: bool,
    /// Where it waits, for a walk up its stack.
    pub(crate) registers: Registers,
    /// How many waits it had before.
    pub(crate) ended: u64,
}

impl ThreadParker {
    /// The calling thread's.
    pub(crate) fn of_current(name: Option<Arc<str>>) -> Arc<Self> {
        let thread = crate::stack::own_threads::current();
        let this = Arc::new(Self { thread, name, state: Mutex::default(), woken: Condvar::new() });
        lock(&ALL).push(Arc::clone(&this));
        this
    }

    /// Its thread is about to end.
    pub(crate) fn strike_off(&self) {
        lock(&ALL).retain(|other| !std::ptr::eq(&raw const **other, self));
    }

    /// Waits for the token and takes it, until `deadline` at the latest; `None` is for ever. On its own thread only.
    pub(crate) fn park(&self, reason: WaitReason, deadline: Option<Instant>) {
        let mut state = lock(&self.state);
        if !state.token {
            let wait = Wait { reason, since: Instant::now(), has_deadline: deadline.is_some(), registers: here() };
            state.wait = Some(wait);
            if deadline.is_none() {
                drop(state);
                crate::sched::deadlock::thread_waits();
                state = lock(&self.state);
            }
            state = self.wait_for_token(state, deadline);
            state.wait = None;
            state.ended += 1;
        }
        state.token = false;
    }

    fn wait_for_token<'a>(&self, mut state: MutexGuard<'a, State>, deadline: Option<Instant>) -> MutexGuard<'a, State> {
        while !state.token {
            let Some(deadline) = deadline else {
                state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Leaves the token. From any thread.
    pub(crate) fn unpark(&self) {
        let mut state = lock(&self.state);
        state.token = true;
        let waits = state.wait.is_some();
        drop(state);
        if waits {
            self.woken.notify_one();
        }
    }

    fn waiting(&self) -> Option<Waiting> {
        let state = lock(&self.state);
        let wait = state.wait.filter(|_| !state.token)?;
        Some(Waiting {
            thread: self.thread,
            name: self.name.clone(),
            reason: wait.reason,
            since: wait.since,
            has_deadline: wait.has_deadline,
            registers: wait.registers,
            ended: state.ended,
        })
    }
}

/// All threads that wait.
pub(crate) fn waiting() -> Vec<Waiting> {
    lock(&ALL).iter().filter_map(|parker| parker.waiting()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seen(parker: &ThreadParker) -> bool {
        waiting().iter().any(|one| one.thread == parker.thread)
    }

    #[test]
    fn a_token_left_before_ends_the_next_wait_at_once() {
        let parker = ThreadParker::of_current(None);
        parker.unpark();
        parker.unpark();
        parker.park(WaitReason::Park, None);
        let start = Instant::now();
        parker.park(WaitReason::Park, Some(start + Duration::from_millis(20)));
        assert!(start.elapsed() >= Duration::from_millis(20), "there was one token");
        parker.strike_off();
    }

    #[test]
    fn a_waiting_thread_is_seen_until_it_is_woken() {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let parker = ThreadParker::of_current(Some("a waiter".into()));
            tell.send(Arc::clone(&parker)).unwrap();
            parker.park(WaitReason::Join, None);
            parker.strike_off();
        });
        let parker = told.recv().unwrap();
        while !seen(&parker) {
            std::thread::yield_now();
        }
        let one = parker.waiting().unwrap();
        assert!(one.reason == WaitReason::Join && !one.has_deadline && one.name.as_deref() == Some("a waiter"));
        parker.unpark();
        assert!(!seen(&parker), "whether it runs already or not");
        thread.join().unwrap();
    }
}
