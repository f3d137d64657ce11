//! Finding work elsewhere, and going to sleep: the idle side of a worker.
//!
//! What may be stolen at all, and what is left to its spawner, stands in `placement`.
//!
//! # When stealing does not pay
//! To run a stolen goroutine costs some transfers of cache lines between cores (closure, stack of the
//! allocator, what it shares with its siblings), 300 ns and more. A thief whose whole last haul has ended, in less
//! than `WORTH_STEALING` each (those that wait do not count: they live here now), stays away for `STEAL_PAUSE`, and
//! for twice as long each time that it happens again: two million empty goroutines are run faster by one worker than
//! by two (measured: 165 ns each against 340).

use super::super::g::GRef;
use super::placement::Lone;
use super::{Counters, Kind, Next, Worker};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Rounds of a search before the worker goes to sleep; a round takes about a microsecond.
const SEARCH_ROUNDS: u32 = 64;
/// Looks at the inbox before a worker sleeps whose goroutines may soon be woken: some 10 µs.
const DELIVERY_SPINS: u32 = 200;
/// Goroutines that run for less are not worth stealing …
const WORTH_STEALING: Duration = Duration::from_nanos(500);
/// … and neither is a haul that ends before this.
const TRIP: Duration = Duration::from_micros(2);
/// For how long a worker does not steal after a haul that was not worth it: at first, and at most.
pub(super) const STEAL_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_STEAL_PAUSE: Duration = Duration::from_millis(16);
/// When a goroutine that must start here looks for a stack again.
const STACK_RETRY: Duration = Duration::from_millis(10);
/// A replacement worker that had nothing to do for so long ends.
const REPLACEMENT_LINGERS: Duration = Duration::from_secs(2);

/// A worker with very many keeps some for those that come later.
const MOST_STOLEN: usize = 128;

impl Worker {
    /// A dedicated worker ends with its goroutines; any worker ends after a shutdown when nothing that
    /// started here is left.
    pub(super) fn may_end(&self) -> bool {
        if self.started() > 0 || self.has_local_fresh() || !self.local_starved.borrow().is_empty() {
            return false;
        }
        match self.kind {
            Kind::Dedicated | Kind::Explorer => true,
            Kind::Regular { .. } => self.scheduler.is_stopped(),
        }
    }

    /// What there is when the own queues are empty: due timers and deferred calls, and others' fresh work.
    pub(super) fn find_elsewhere(&self) -> Next {
        self.fire_timers();
        if let Some(g) = self.pop_ready() {
            return Next::Started(g);
        }
        self.find_fresh_elsewhere().map_or(Next::Nothing, |g| self.begin(g))
    }

    fn find_fresh_elsewhere(&self) -> Option<GRef> {
        if self.is_dedicated() || self.scheduler.is_stopped() {
            return None;
        }
        if self.start_due_calls()
            && let Some(g) = self.newest_fresh()
        {
            return Some(g);
        }
        if self.stealing_pauses() {
            return self.take_injected();
        }
        let idle = &self.scheduler.idle;
        if !self.searching.get() {
            self.searching.set(idle.try_search(self.scheduler.busy_workers()));
        }
        if self.searching.get() { self.search() } else { None }
    }

    /// Judges the last haul, if there was one, and says whether to leave others' work alone for now.
    fn stealing_pauses(&self) -> bool {
        if let Some(haul) = self.haul.take() {
            self.judge(&haul);
        }
        let Some(until) = self.steal_again.get() else { return false };
        let pauses = crate::clock::now() < until;
        if !pauses {
            self.steal_again.set(None);
        }
        pauses
    }

    fn judge(&self, haul: &Haul) {
        let ended = self.shared.counters.finished.load(Ordering::Relaxed) - haul.finished;
        let now = crate::clock::now();
        let was_worth_it = now - haul.since >= TRIP + WORTH_STEALING * u32::try_from(ended).unwrap_or(u32::MAX);
        if ended < haul.goroutines || was_worth_it {
            self.steal_pause.set(STEAL_PAUSE);
            return;
        }
        let pause = self.steal_pause.get();
        self.steal_again.set(Some(now + pause));
        self.steal_pause.set(LONGEST_STEAL_PAUSE.min(2 * pause));
    }

    pub(super) fn stop_searching(&self) {
        self.searching.set(false);
        if self.scheduler.idle.found_work() && self.scheduler.has_fresh() {
            self.scheduler.wake_for_fresh();
        }
    }

    fn has_own_work(&self) -> bool {
        self.shared.has_deliveries() || !self.ready.is_empty() || self.has_local_fresh()
    }

    /// Steals fresh work, for a bounded time.
    fn search(&self) -> Option<GRef> {
        let mut lone = None;
        for round in 0..SEARCH_ROUNDS {
            if let Some(g) = self.take_injected().or_else(|| self.steal(&mut lone)) {
                return Some(g);
            }
            if self.shared.has_deliveries() || self.scheduler.is_stopped() {
                return None;
            }
            // Rarely enough that the victims keep their cache lines.
            for _ in 0..(8 + round) {
                std::hint::spin_loop();
            }
        }
        None
    }

    fn steal(&self, lone: &mut Option<Lone>) -> Option<GRef> {
        let workers = self.scheduler.workers();
        let count = workers.len();
        let first = self.next_random() as usize % count.max(1);
        for victim in (0..count).filter_map(|i| workers.get((first + i) % count)) {
            if std::ptr::eq(victim, self.shared) || !Lone::may_steal(lone, victim) {
                continue;
            }
            let most = haul_of(victim.stealer.len());
            if let Some(g) = victim.stealer.steal_several(most, &self.deque) {
                victim.robbed.store(true, Ordering::Relaxed);
                Counters::bump(&self.shared.counters.steals);
                let finished = self.shared.counters.finished.load(Ordering::Relaxed);
                let goroutines = 1 + self.deque.len() as u64;
                self.haul.set(Some(Haul { since: crate::clock::now(), finished, goroutines }));
                return Some(g);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn next_random(&self) -> u32 {
        // xorshift (Marsaglia, 2003).
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    /// Sleeps until something arrives. Returns whether to go on (false: the worker is not needed).
    pub(super) fn sleep(&self) -> bool {
        if !self.local_starved.borrow().is_empty() {
            // Nobody tells when a stack is free elsewhere.
            self.sleep_until_delivery(crate::clock::deadline(STACK_RETRY));
            self.retry_local_starved();
            return true;
        }
        match self.kind {
            Kind::Regular { index } => self.sleep_regular(index),
            Kind::Dedicated | Kind::Explorer => {
                self.sleep_in_place();
                true
            }
        }
    }

    /// See `idle.rs` for the order of the steps. While stealing pauses the worker is not among the sleepers
    /// that producers may wake: it looks again by itself soon.
    fn sleep_regular(&self, index: usize) -> bool {
        if self.steal_again.get().is_some() && !self.may_end() {
            if self.searching.get() {
                self.stop_searching();
            }
            self.sleep_until_delivery(self.steal_again.get());
            return true;
        }
        let idle = &self.scheduler.idle;
        if self.spin_for_delivery() {
            return true;
        }
        self.stacks.borrow_mut().settle();
        let last_up = idle.doze(index, self.searching.replace(false));
        self.shared.sleeper.announce();
        let mut lingered = false;
        if !(self.has_own_work() || last_up && self.scheduler.has_fresh() || self.may_end()) {
            let replacement = self.scheduler.is_replacement(index) && self.started() == 0;
            let timer = self.timers.borrow().next_deadline();
            let until = if replacement { crate::clock::deadline(REPLACEMENT_LINGERS) } else { timer };
            Counters::bump(&self.shared.counters.sleeps);
            self.shared.poller.wait(until.into_iter().chain(self.scheduler.next_deferred()).min());
            lingered = replacement && until.is_some_and(|until| until <= crate::clock::now());
        }
        self.shared.sleeper.retract();
        self.searching.set(idle.rouse(index));
        // Not before: the watchdog would see a sleeper with a timer, and leave the rest to that timer.
        self.scheduler.note_awake();
        if self.watched.get() || crate::debug::waits::are_timed() {
            self.look_who_watches(true);
        }
        self.fire_timers();
        self.start_due_calls();
        if !lingered || self.searching.get() || self.has_own_work() || !self.deque.is_empty() {
            return true;
        }
        false
    }

    /// Waits a little for a wake-up from a worker that is up: to sleep and be woken takes longer. (A searcher has
    /// done so already.) Fresh work that comes meanwhile is found after `doze`.
    fn spin_for_delivery(&self) -> bool {
        let others_up = self.scheduler.idle.sleeping() + 1 < self.scheduler.workers().len();
        if self.searching.get() || self.started() == 0 || !others_up {
            return false;
        }
        for _ in 0..DELIVERY_SPINS {
            if self.shared.has_deliveries() {
                return true;
            }
            for _ in 0..4 {
                std::hint::spin_loop();
            }
        }
        false
    }

    /// Sleeps until something arrives in the inbox or a timer is due, out of reach of fresh work.
    pub(crate) fn sleep_in_place(&self) {
        self.sleep_until_delivery(None);
    }

    fn sleep_until_delivery(&self, at_most: Option<Instant>) {
        self.shared.sleeper.announce();
        if !self.shared.has_deliveries() {
            let timer = self.timers.borrow().next_deadline();
            let deadline = timer.into_iter().chain(at_most).min();
            Counters::bump(&self.shared.counters.sleeps);
            self.shared.poller.wait(deadline);
        }
        self.shared.sleeper.retract();
    }
}

/// How many of so many fresh goroutines a thief takes: about a half, but an even number, and both of two. Those who are started
/// one after the other talk to each other, often (a connection's reader and its writer, a sender and a receiver), and the
/// oldest are taken: so two that belong together stay together. If the two compute, the one that waits comes back as any
/// lone one does. (Four senders and four receivers without a buffer on two workers: where one of them was alone on a worker,
/// a message took two to five times as long; that was so in 27 of 120 runs, and is in 2.)
fn haul_of(fresh: usize) -> usize {
    if fresh == 2 { 2 } else { (fresh.div_ceil(2) & !1).clamp(1, MOST_STOLEN) }
}

/// What a theft brought.
#[derive(Clone, Copy)]
pub(super) struct Haul {
    since: Instant,
    /// How many goroutines had ended here by then.
    finished: u64,
    /// How many lay in the deque after it.
    goroutines: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thief_takes_about_a_half_and_no_one_of_a_pair_unless_there_is_only_one() {
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000].map(haul_of), [1, 2, 2, 2, 2, 2, 4, 4, 4, MOST_STOLEN]);
    }
}
