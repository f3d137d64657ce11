//! [`Barrier`]: nobody goes on before all have come.

use super::wait_list::{AsWaitList, WaitList, wait_until_taken};
use crate::atomics::{self, const_fn, lock};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, unpark_all};
use std::fmt;

struct State {
    arrived: usize,
    waiters: WaitList<Waiter>,
}

impl AsWaitList<Waiter> for State {
    fn as_wait_list(&mut self) -> &mut WaitList<Waiter> {
        &mut self.waiters
    }
}

/// A meeting point for `n`, as [`std::sync::Barrier`]. It can be used again and again.
///
/// ```
/// let barrier = lisle::sync::Barrier::new(3);
/// let leaders = std::sync::atomic::AtomicUsize::new(0);
/// lisle::scope(|s| {
///     for _ in 0..3 {
///         s.go(|| {
///             if barrier.wait().is_leader() {
///                 leaders.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///             }
///         });
///     }
/// });
/// assert_eq!(leaders.into_inner(), 1);
/// ```
pub struct Barrier {
    n: usize,
    state: atomics::Mutex<State>,
}

/// What [`Barrier::wait`] returns: who came last is the leader.
#[derive(Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether the caller came last. True for exactly one of each round.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    const_fn! {
        /// A barrier for `n`; 0 and 1 let everybody pass.
        #[must_use]
        pub const fn new(n: usize) -> Self {
            Self { n, state: atomics::Mutex::new(State { arrived: 0, waiters: WaitList::new() }) }
        }
    }

    /// Waits until `n` have come.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        observe::enter(Op::Barrier, self);
        observe::release(self);
        let result = self.wait_for_all();
        observe::acquire(self);
        result
    }

    fn wait_for_all(&self) -> BarrierWaitResult {
        let mut state = lock(&self.state);
        state.arrived += 1;
        if state.arrived < self.n {
            let ticket = state.waiters.push_back(current());
            drop(state);
            wait_until_taken(&self.state, ticket, WaitReason::Barrier, None);
            return BarrierWaitResult(false);
        }
        state.arrived = 0;
        let all = state.waiters.take_all();
        drop(state);
        unpark_all(all);
        BarrierWaitResult(true)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}
