//! In what order a worker takes goroutines.
//!
//! First those that others woke (inbox → ready queue), its ready queue (who was woken before who yielded, see `ready`), its
//! fresh work (last in, first out: a tree of spawns runs depth-first and in little memory), the injector, and then what it
//! can steal. These rules keep that fair:
//! - Every `FAIR_TICK`th turn it looks at the clock (for timers and deferred calls), the injector, and the *oldest* of its
//!   fresh work first.
//! - If there have become more of them from look to look, `STARVED` times in a row, and more than `CROWD`, while nearly all
//!   turns were others', one of 64 of them goes before the next that is ready, until they are half as many: those that can run
//!   leave them no room, and go on making more. (A dispatcher that starts a goroutine for each message of a sender who never
//!   pauses had ten million of them waiting within three seconds.) However many a turn makes, there are no more than 64 times
//!   that in the end. Many fresh ones alone are no reason: in a tree that is computed they wait for good, until others are
//!   done; to start them would take a stack for each. (Tried: `skynet` and `fib` took ten times as long.)
//! - Who yields of its own accord goes behind the fresh goroutines that are there, up to `CROWD` or a quarter of them, which go
//!   behind those who were woken. Who has only spent its budget lets one start: in a tree that is computed all branches yield
//!   in this way, and they would start each other all at once.
//! - A goroutine's slice ends at the latest when its budget of operations is spent (`park::spend_budget`).

use super::super::g::{G, GRef};
use super::{Counters, Next, Worker};
use crossbeam_deque::Steal;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// How many turns may pass before the clock, the injector and the oldest work get theirs. A prime, as in
/// Go's `schedtick`, so that it does not fall in step with a pattern of the program's.
pub(super) const FAIR_TICK: u32 = 61;
/// As many fresh goroutines as Go keeps in a worker's own queue.
const CROWD: usize = 256;
/// How many a worker takes from the injector at a time.
const MOST_INJECTED: usize = 32;
/// So many of `FAIR_TICK` turns for fresh ones are few.
const FEW: u32 = 8;
/// After so many looks at which they had few turns and had become more, fresh ones are starved.
const STARVED: u32 = 4;

/// What was seen of the fresh goroutines at the last look around, and since.
#[derive(Clone, Copy, Default)]
pub(super) struct FreshSeen {
    /// How many have had their turn since, because nobody else could run.
    turns: u32,
    count: usize,
    /// For how many looks they have been starved.
    starved: u32,
}

impl Worker {
    /// Whose turn it is: one that is ready, or a fresh one that comes before those and has started now.
    #[inline(always)]
    pub(super) fn next_ready(&self) -> Option<NonNull<G>> {
        let tick = self.tick.get().wrapping_add(1);
        self.tick.set(tick);
        if tick.is_multiple_of(FAIR_TICK)
            && let Some(g) = self.look_around()
        {
            return Some(g);
        }
        if self.shared.has_deliveries() {
            self.drain_inbox();
        }
        if self.fresh_presses.get()
            && let Some(g) = self.fresh_by_rule()
        {
            return Some(g);
        }
        self.pop_ready()
    }

    /// Nobody is ready: a fresh one starts, or there is something to do elsewhere.
    pub(super) fn next_fresh(&self) -> Next {
        let Some(g) = self.newest_fresh().or_else(|| self.take_injected()) else { return self.find_elsewhere() };
        let seen = self.fresh_seen.get();
        self.fresh_seen.set(FreshSeen { turns: seen.turns + 1, ..seen });
        self.begin(g)
    }

    /// The next that is ready. Tells the watchdog how many are behind it.
    #[inline(always)]
    pub(super) fn pop_ready(&self) -> Option<NonNull<G>> {
        let next = self.ready.pop();
        self.tell_how_many_wait();
        next
    }

    #[inline(always)]
    pub(super) fn tell_how_many_wait(&self) {
        self.shared.counters.ready.store(self.ready.len() as u64, Ordering::Relaxed);
    }

    /// A fresh goroutine, if the rules have one go before those that are ready.
    #[inline(never)]
    fn fresh_by_rule(&self) -> Option<NonNull<G>> {
        if self.fresh_due.get() > 0
            && let Some(g) = self.one_that_is_due()
        {
            return self.begin_before_others(g);
        }
        if self.fresh_first.get() > 0 && !self.ready.has_woken() {
            self.fresh_first.set(self.fresh_first.get() - 1);
            if self.has_own_fresh()
                && let Some(g) = self.newest_fresh()
            {
                return self.begin_before_others(g);
            }
        }
        if self.starved_until.get() > 0 && !self.ready.is_empty() {
            self.fresh_due.set((self.own_fresh() / 64).max(1));
        }
        self.fresh_presses.set(self.fresh_due.get() > 0 || self.fresh_first.get() > 0 || self.starved_until.get() > 0);
        None
    }

    /// What has waited for long: timers, deferred calls, and fresh goroutines.
    #[inline(never)]
    fn look_around(&self) -> Option<NonNull<G>> {
        if self.watched.get() || crate::debug::waits::are_timed() {
            self.look_who_watches(false);
        }
        self.fire_timers();
        self.start_due_calls();
        self.look_at_fresh();
        self.begin_before_others(self.oldest_fresh()?)
    }

    /// Whether those that run leave the fresh ones no room.
    fn look_at_fresh(&self) {
        let count = self.own_fresh();
        let FreshSeen { turns, count: before, starved } = self.fresh_seen.get();
        let mut starved = if turns < FEW && count > CROWD && count > before { starved + 1 } else { 0 };
        if count <= self.starved_until.get() {
            self.starved_until.set(0);
        } else if starved >= STARVED {
            self.starved_until.set(count / 2);
            self.fresh_presses.set(true);
            starved = 0;
        }
        self.fresh_seen.set(FreshSeen { turns: 0, count, starved });
    }

    #[cold]
    fn one_that_is_due(&self) -> Option<GRef> {
        let next = self.newest_fresh();
        self.fresh_due.set(if next.is_none() { 0 } else { self.fresh_due.get() - 1 });
        next
    }

    /// What waits for the longest: the injector's first, then the far end of the own deque.
    fn oldest_fresh(&self) -> Option<GRef> {
        // By turns, so that neither kind starves the other.
        let local_turn = (self.tick.get() / FAIR_TICK).is_multiple_of(2);
        if (local_turn || self.is_dedicated())
            && let Some(g) = self.pop_local_fresh()
        {
            return Some(g);
        }
        if self.is_dedicated() {
            return None;
        }
        self.scheduler.take_starved().or_else(|| self.take_injected()).or_else(|| self.shared.stealer.steal())
    }

    pub(super) fn take_injected(&self) -> Option<GRef> {
        if self.is_dedicated() || self.scheduler.injector.is_empty() {
            return None;
        }
        let injector = &self.scheduler.injector;
        let take = || steal_until_decided(|| injector.steal());
        // A half at most: others come, too.
        let more = injector.len().div_ceil(2).clamp(1, MOST_INJECTED) - 1;
        // Room comes first: the allocator may be the program's own, and what we have taken nobody else could start meanwhile.
        let mut others = Vec::with_capacity(more);
        let oldest = take()?;
        others.extend((0..more).map_while(|_| take()));
        // The deque gives the last first.
        others.into_iter().rev().for_each(|g| self.deque.push(g));
        Some(oldest)
    }

    /// How many fresh goroutines wait here.
    fn own_fresh(&self) -> usize {
        self.deque.len() + self.local_fresh.borrow().len()
    }

    /// The running goroutine yields: because it wants to, or only since its budget is spent.
    #[inline(always)]
    pub(crate) fn push_yielded(&self, g: &G, wants_to: bool) {
        self.ready.push_yielded(NonNull::from(g));
        if self.has_own_fresh() {
            self.let_fresh_go_first(wants_to);
        }
        Counters::bump(&self.shared.counters.yields);
    }

    #[inline(never)]
    fn let_fresh_go_first(&self, wants_to: bool) {
        let all = self.own_fresh();
        // A part of them all, where they are many, so that they do not become ever more.
        self.fresh_first.set(if wants_to { all.min(CROWD.max(all / 4)) } else { 1 });
        self.fresh_presses.set(true);
    }
}

fn steal_until_decided(mut steal: impl FnMut() -> Steal<GRef>) -> Option<GRef> {
    loop {
        match steal() {
            Steal::Success(g) => return Some(g),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}
