//! Where a fresh goroutine starts, which is where it stays.
//!
//! Two wishes pull apart, and nobody can tell beforehand which one a goroutine has:
//! - Goroutines that *talk* should share a worker: a message between neighbours costs nanoseconds, between workers
//!   some cache lines and perhaps a wake-up.
//! - Goroutines that *compute* should not: ten of them on one worker use one core, whatever the others do.
//!
//! # The rules
//! 1. *A lone one stays with its spawner*: whoever starts a partner and waits for it is about to talk. A thief leaves
//!    it alone, unless its spawner is held up: it goes on computing, or blocks its thread. (That the kernel has given
//!    the processor to another process does not count: then it will be as quick as before.) Who knows that it will
//!    says so (`offer_fresh`). Whoever has spent its budget of operations and never waited computes, too: before it
//!    makes room for what it has started, which then would share its core for ever, thieves get `OFFER` to come.
//! 2. *Several at once are shared out*: a pool, a fan-out. While a worker is idle, the spawner starts no more than
//!    its share (such that all workers have as many) and leaves the rest to thieves, for `LEND` at most; but for the last
//!    one, whose partner it has started, perhaps. For the same reason thieves take pairs (`search::haul_of`).
//! 3. *A crowded worker starts nothing more*: if it has `MARGIN` started ones more than another that is idle, it
//!    leaves even a lone one, or a server would keep all its connections on the worker that accepts them.
//!
//! Rules 2 and 3 cost up to `LEND` while a thief wakes up, and pay off only if the goroutines live on or compute. So
//! who was left waiting in vain does not lend again before `LEND_PAUSE`, and a thief whose haul was not worth the
//! trip (`search.rs`) stays away, which makes it not idle.
//!
//! A worker that has started `LONE_STREAK` lone goroutines itself, with no thief in between, does not even wake
//! anybody for the next one (a wake-up costs as much as ten goroutines); should it then be long in coming to it, the
//! watchdog wakes a thief within 10 ms, and the streak is over.
//!
//! Rejected: to leave up to 16 to their spawner. Messages of four goroutines to four cost 6 ns instead of 20, but a
//! pool whose goroutines first wait for work stayed on one worker for ever.

use super::{Worker, WorkerShared};
use crate::sched::g::GRef;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// For how long a lone fresh goroutine is its spawner's. Less than a search.
const LONE_GRACE: Duration = Duration::from_micros(20);
/// After so many lone fresh goroutines that nobody else wanted, the next one wakes nobody.
const LONE_STREAK: u32 = 32;
/// How many more started goroutines than another a worker may have and go on starting lone ones.
const MARGIN: usize = 4;
/// How long a spawner waits for a thief to come: a few times what a sleeping one needs.
const LEND: Duration = Duration::from_micros(250);
/// How long one waits that computes meanwhile: on a busy machine the kernel lets a woken thief run after some such time.
/// (Go lets a fresh goroutine wait for 10 ms.)
const OFFER: Duration = Duration::from_millis(2);
/// For how long a spawner does not wait again when none came.
const LEND_PAUSE: Duration = Duration::from_millis(2);

impl Worker {
    /// Queues a fresh goroutine whose closure is `Send`. The caller has counted it.
    #[inline]
    pub(crate) fn push_fresh(&self, g: GRef) {
        if self.is_explored() {
            return self.start_at_once(g);
        }
        let is_lone = match self.deque.try_push(g) {
            Ok(is_lone) => is_lone,
            Err(g) => return self.push_into_larger(g),
        };
        if !is_lone {
            self.shares_out.set(true);
        } else if self.own_lone.get() >= LONE_STREAK && !self.was_robbed() && !self.is_crowded() {
            return;
        }
        self.scheduler.wake_for_fresh();
    }

    #[cold]
    #[inline(never)]
    fn push_into_larger(&self, g: GRef) {
        self.deque.grow();
        self.push_fresh(g);
    }

    /// Queues a fresh goroutine that can start nowhere else.
    pub(crate) fn push_local_fresh(&self, g: GRef) {
        if self.is_explored() {
            return self.start_at_once(g);
        }
        self.change_local_fresh(|queue| queue.push_back(g));
    }

    pub(super) fn pop_local_fresh(&self) -> Option<GRef> {
        if !self.has_local_fresh() {
            return None;
        }
        self.change_local_fresh(VecDeque::pop_front)
    }

    /// Asks the counter, which follows the queue: there is nothing to borrow.
    #[inline(always)]
    pub(super) fn has_local_fresh(&self) -> bool {
        self.shared.counters.local_fresh.load(Ordering::Relaxed) > 0
    }

    pub(super) fn change_local_fresh<R>(&self, change: impl FnOnce(&mut VecDeque<GRef>) -> R) -> R {
        let mut queue = self.local_fresh.borrow_mut();
        let result = change(&mut queue);
        self.shared.counters.local_fresh.store(queue.len() as u64, Ordering::Relaxed);
        result
    }

    /// The running goroutine goes on with something long, or may: what it has started need not be kept for it, even a
    /// lone one.
    pub(crate) fn offer_fresh(&self) {
        if !self.deque.is_empty() && !self.is_explored() {
            self.shared.lends.store(true, Ordering::Relaxed);
            self.scheduler.wake_for_fresh();
        }
    }

    /// Whether anybody could use the thread if the running goroutine let go of it.
    pub(crate) fn someone_waits(&self) -> bool {
        !self.deque.is_empty() || self.someone_else_waits()
    }

    /// As `someone_waits`, of those whom thieves cannot take from here.
    fn someone_else_waits(&self) -> bool {
        self.shared.has_deliveries()
            || !self.ready.is_empty()
            || self.has_local_fresh()
            || !self.scheduler.injector.is_empty()
            || self.timers.borrow().next_deadline().is_some_and(|deadline| deadline <= crate::clock::now())
            || !self.is_dedicated() && self.scheduler.has_due_call()
    }

    /// Whether the running goroutine, whose budget is spent, is to let go of the thread.
    pub(crate) fn must_let_go(&self) -> bool {
        self.someone_else_waits() || !self.deque.is_empty() && !self.leaves_fresh_to_thieves()
    }

    /// The running goroutine has spent its budget, so it is not about to wait: whether it may go on, since an idle
    /// worker comes for the fresh goroutines behind it. If none has come after `OFFER`, none will.
    #[cold]
    fn leaves_fresh_to_thieves(&self) -> bool {
        if self.is_dedicated() || !self.scheduler.idle.is_anybody_idle() || self.lending_pauses() {
            return false;
        }
        let (slice, now) = (self.shared.counters.slices.load(Ordering::Relaxed), crate::clock::now());
        match self.offered.get() {
            Some((offered_in, since)) if offered_in == slice => {
                let until = since + OFFER;
                if now >= until {
                    self.lend_again.set(Some(until + LEND_PAUSE));
                }
                now < until
            }
            _ => {
                self.offered.set(Some((slice, now)));
                self.offer_fresh();
                true
            }
        }
    }

    /// Inlined, for the usual case in which there is none.
    #[inline(always)]
    pub(super) fn has_own_fresh(&self) -> bool {
        !self.deque.is_empty() || self.has_local_fresh()
    }

    pub(super) fn newest_fresh(&self) -> Option<GRef> {
        self.pop_local_fresh().or_else(|| {
            if self.deque.is_empty() {
                return None;
            }
            // Work has been found. Else it would take itself for the idle worker, and wake nobody and wait in vain.
            if self.searching.get() {
                self.stop_searching();
            }
            if self.scheduler.idle.is_anybody_idle() && self.has_its_share() && !self.lending_pauses() {
                if !self.ready.is_empty() {
                    // It is offered only: those that can run are not kept waiting for a thief.
                    self.lend_the_lone();
                    self.scheduler.wake_for_fresh();
                    return None;
                }
                self.lend();
            }
            let own = self.deque.pop()?;
            if self.deque.is_empty() {
                self.shared.lends.store(false, Ordering::Relaxed);
                self.shares_out.set(false);
                self.count_own_lone();
            }
            Some(own)
        })
    }

    /// Whether the next fresh goroutine should rather start elsewhere.
    fn has_its_share(&self) -> bool {
        if self.shares_out.get() && self.deque.len() > 1 {
            self.started() >= self.fair_share()
        } else {
            self.is_crowded()
        }
    }

    pub(super) fn started(&self) -> usize {
        self.shared.counters.started.load(Ordering::Relaxed)
    }

    /// As many goroutines as each worker would have if all those that are there were shared out.
    fn fair_share(&self) -> usize {
        let load = |worker: &WorkerShared| worker.counters.started.load(Ordering::Relaxed) + worker.stealer.len();
        let (workers, all) = self.scheduler.workers().iter().fold((0, 0), |(n, sum), w| (n + 1, sum + load(w)));
        usize::div_ceil(all, workers)
    }

    fn is_crowded(&self) -> bool {
        let limit = self.started().saturating_sub(MARGIN);
        let has_fewer = |worker: &WorkerShared| worker.counters.started.load(Ordering::Relaxed) < limit;
        limit > 0 && self.scheduler.workers().iter().any(has_fewer)
    }

    fn lending_pauses(&self) -> bool {
        self.lend_again.get().is_some_and(|again| crate::clock::now() < again)
    }

    /// Waits a little for a thief.
    #[cold]
    fn lend(&self) {
        self.lend_the_lone();
        self.scheduler.wake_for_fresh();
        let until = crate::clock::now() + LEND;
        while self.has_its_share() && !self.deque.is_empty() && !self.shared.has_deliveries() {
            if crate::clock::now() >= until {
                self.lend_again.set(Some(until + LEND_PAUSE));
                break;
            }
            // On a machine with more to do than cores this lets the thief run.
            std::thread::yield_now();
            self.lend_the_lone();
        }
        self.shared.lends.store(false, Ordering::Relaxed);
    }

    /// Thieves may take one that is alone now; of several that are shared out the last is not lent when it becomes so.
    fn lend_the_lone(&self) {
        self.shared.lends.store(self.deque.len() == 1, Ordering::Relaxed);
    }

    /// Whether a thief came by since the last call: then lone goroutines are no longer kept.
    fn was_robbed(&self) -> bool {
        let robbed = self.shared.robbed.load(Ordering::Relaxed);
        if robbed {
            self.shared.robbed.store(false, Ordering::Relaxed);
            self.own_lone.set(0);
            self.shared.keeps_lone.store(false, Ordering::Relaxed);
        }
        robbed
    }

    /// The worker started its own lone goroutine before a thief did.
    fn count_own_lone(&self) {
        let streak = self.own_lone.get();
        if streak < LONE_STREAK {
            self.own_lone.set(streak + 1);
            self.shared.keeps_lone.store(streak + 1 == LONE_STREAK, Ordering::Relaxed);
        }
    }
}

/// A lone fresh goroutine that a searcher saw, and since when its owner has not moved on.
pub(super) struct Lone {
    owner: &'static WorkerShared,
    slice: u64,
    since: Instant,
    cpu_time: Duration,
}

impl Lone {
    fn of(owner: &'static WorkerShared) -> Self {
        let slice = owner.counters.slices.load(Ordering::Relaxed);
        Self { owner, slice, since: crate::clock::now(), cpu_time: owner.thread.cpu_time() }
    }

    fn is_as_seen(&self) -> bool {
        self.owner.stealer.len() == 1 && self.owner.counters.slices.load(Ordering::Relaxed) == self.slice
    }

    /// Whether the owner goes on with something long. It does not if it prepares to run the goroutine (its stack may
    /// take a while).
    fn is_held_up(&self) -> bool {
        if !self.owner.is_running() || self.since.elapsed() < LONE_GRACE {
            return false;
        }
        let has_computed = self.owner.thread.cpu_time().saturating_sub(self.cpu_time) >= LONE_GRACE / 2;
        has_computed || !self.owner.thread.is_runnable()
    }

    /// Whether a searcher, which has `seen` this before, may take `victim`'s work.
    pub(super) fn may_steal(seen: &mut Option<Self>, victim: &'static WorkerShared) -> bool {
        match victim.stealer.len() {
            0 => return false,
            1 if !victim.lends.load(Ordering::Relaxed) => {}
            _ => return true,
        }
        match seen {
            // Another's: it goes on being watched as long as it stays as it is, or two would shield each other.
            Some(lone) if lone.is_as_seen() => std::ptr::eq(lone.owner, victim) && lone.is_held_up(),
            _ => {
                *seen = Some(Self::of(victim));
                false
            }
        }
    }
}
