//! Park and unpark for the loom models: the same contract as `park`, on loom's own primitives, so that the
//! synchronisation primitives are model-checked as they are.

use loom::sync::{Arc, Condvar, Mutex};
use std::cell::Cell;
use std::time::Instant;

/// The reasons that the primitives give.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WaitReason {
    Mutex,
    RwLockRead,
    RwLockWrite,
    Condvar,
    Once,
    Barrier,
    WaitGroup,
    Semaphore,
    ChannelSend,
    ChannelReceive,
    Select,
}

pub(crate) struct Token {
    there: Mutex<bool>,
    came: Condvar,
}

pub(crate) type Waiter = Arc<Token>;

loom::thread_local! {
    static TOKEN: Waiter = Arc::new(Token { there: Mutex::new(false), came: Condvar::new() });
}

pub(crate) fn current() -> Waiter {
    TOKEN.with(Arc::clone)
}

#[derive(Clone)]
pub(crate) struct WakeTarget(Waiter);

impl WakeTarget {
    pub(crate) fn current() -> (Home, Self) {
        (Home, Self(current()))
    }

    pub(crate) fn goroutine(&self) -> &Token {
        &self.0
    }

    /// # Safety
    /// None is needed here; the real one needs some.
    pub(crate) unsafe fn end_wait(self, publish: impl FnOnce()) -> Woken {
        let waiter = self.0.clone();
        publish();
        Woken::Elsewhere(waiter)
    }
}

/// See `park::Home`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home;

impl Home {
    pub(crate) fn current() -> Self {
        Self
    }
}

/// See `park::Woken`.
pub(crate) enum Woken {
    Neighbour,
    Spinner,
    Elsewhere(Waiter),
}

impl Woken {
    pub(crate) fn wake(self) {
        if let Self::Elsewhere(waiter) = self {
            unpark(&waiter);
        }
    }
}

pub(crate) fn random() -> u32 {
    0
}

pub(crate) fn park(_reason: WaitReason) {
    let token = current();
    let mut there = token.there.lock().unwrap();
    while !*there {
        there = token.came.wait(there).unwrap();
    }
    *there = false;
}

/// A deadline may pass at any moment: the model looks at both.
pub(crate) fn park_until(reason: WaitReason, deadline: Option<Instant>) {
    if deadline.is_none() {
        park(reason);
    }
}

pub(crate) fn unpark(waiter: &Waiter) {
    *waiter.there.lock().unwrap() = true;
    waiter.came.notify_one();
}

pub(crate) fn unpark_all(crowd: Vec<Waiter>) {
    crowd.iter().for_each(unpark);
}

pub(crate) fn spend_budget() -> bool {
    false
}

pub(crate) fn keeps_thread() -> bool {
    false
}

loom::thread_local! {
    static REFUSALS: Cell<u32> = Cell::new(0);
}

/// The next so many times the caller's thread may not spin: as if the first of several channels were no cause.
pub(crate) fn refuse_to_spin(times: u32) {
    REFUSALS.with(|refusals| refusals.set(times));
}

pub(crate) fn may_spin(_apart: bool) -> bool {
    REFUSALS.with(|refusals| refusals.replace(refusals.get().saturating_sub(1)) == 0)
}

pub(crate) fn finds_locks_taken(_recently: std::time::Duration) -> bool {
    false
}

pub(crate) fn pause(_pauses: u32) {
    loom::thread::yield_now();
}

pub(crate) fn spin_until(done: impl Fn() -> bool) -> bool {
    loom::thread::yield_now();
    done()
}

pub(crate) fn is_exiting() -> bool {
    false
}
