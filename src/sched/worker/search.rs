//! Finding work elsewhere, and going to sleep: the idle side of a worker.
//!
//! # The rule of the few
//! A thief leaves up to `FEW` fresh goroutines to their spawner as long as the spawner's slices are shorter than
//! `FEW_GRACE`: goroutines that are going to talk should live on one worker, where a message costs
//! nanoseconds, and nobody can bring them together later. (Buffered messages, 4 goroutines to 4: 20 ns each
//! on one worker, 100 on two.) If the spawner, or what it has started, goes on with something long (it computes, or
//! blocks its thread; that the kernel has taken its processor away does not count), the thief takes them. A worker that has started `OWN_LONE_STREAK` lone
//! goroutines itself, with no thief in between, does not even wake anybody for the next one (a wake-up costs
//! as much as ten goroutines); should it then be long in coming to it, the watchdog wakes a thief within
//! 10 ms, and the streak is over.
//!
//! # When stealing does not pay
//! To run a stolen goroutine costs some transfers of cache lines between cores (closure, stack of the
//! allocator, what it shares with its siblings), 300 ns and more. A thief whose last haul ended in less than
//! `WORTH_STEALING` each (those that wait do not count: they will be back) does not come back before
//! `STEAL_PAUSE`: two million empty goroutines are run faster by one worker than by two (measured: 165 ns
//! each against 340).

use super::super::g::GRef;
use super::{Counters, Kind, Next, Worker, WorkerShared, steal_until_decided};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Rounds of a search before the worker goes to sleep; a round takes about a microsecond.
const SEARCH_ROUNDS: u32 = 64;
/// So many fresh goroutines are left to their spawner …
const FEW: usize = 16;
/// … unless a slice there takes longer than this. Less than a search.
const FEW_GRACE: Duration = Duration::from_micros(20);
/// Looks at the inbox before a worker sleeps whose goroutines may soon be woken: some 10 µs.
const DELIVERY_SPINS: u32 = 200;
/// Goroutines that run for less are not worth stealing.
const WORTH_STEALING: Duration = Duration::from_nanos(500);
/// For how long a worker does not steal after a haul that was not worth it.
const STEAL_PAUSE: Duration = Duration::from_millis(1);
/// When a goroutine that must start here looks for a stack again.
const STACK_RETRY: Duration = Duration::from_millis(10);
/// A replacement worker that had nothing to do for so long ends.
const REPLACEMENT_LINGERS: Duration = Duration::from_secs(2);

impl Worker {
    /// A dedicated worker ends with its goroutines; any worker ends after a shutdown when nothing that
    /// started here is left.
    pub(super) fn may_end(&self) -> bool {
        if self.started.get() > 0 || !self.local_fresh.borrow().is_empty() || !self.local_starved.borrow().is_empty() {
            return false;
        }
        match self.kind {
            Kind::Dedicated => true,
            Kind::Regular { .. } => self.scheduler.is_stopped(),
        }
    }

    /// What there is when the own queues are empty: due timers and deferred calls, and others' fresh work.
    pub(super) fn find_elsewhere(&self) -> Option<Next> {
        self.fire_timers();
        if let Some(g) = self.ready.borrow_mut().pop_front() {
            return Some(Next::Started(g));
        }
        if self.is_dedicated() || self.scheduler.is_stopped() {
            return None;
        }
        if self.start_due_calls()
            && let Some(g) = self.newest_fresh()
        {
            return Some(Next::Fresh(g));
        }
        if self.stealing_pauses() {
            return self.take_injected().map(Next::Fresh);
        }
        let idle = &self.scheduler.idle;
        if !self.searching.get() {
            self.searching.set(idle.try_search(self.scheduler.busy_workers()));
        }
        if self.searching.get() { self.search().map(Next::Fresh) } else { None }
    }

    /// Judges the last haul, if there was one, and says whether to leave others' work alone for now.
    fn stealing_pauses(&self) -> bool {
        if let Some((since, finished)) = self.haul.take() {
            let run = self.shared.counters.finished.load(Ordering::Relaxed) - finished;
            let now = crate::clock::now();
            if run >= 16 && now - since < WORTH_STEALING * u32::try_from(run).unwrap_or(u32::MAX) {
                self.steal_again.set(Some(now + STEAL_PAUSE));
            }
        }
        let Some(until) = self.steal_again.get() else { return false };
        let pauses = crate::clock::now() < until;
        if !pauses {
            self.steal_again.set(None);
        }
        pauses
    }

    pub(super) fn stop_searching(&self) {
        self.searching.set(false);
        if self.scheduler.idle.found_work() && self.scheduler.has_fresh() {
            self.scheduler.wake_for_fresh();
        }
    }

    fn has_own_work(&self) -> bool {
        self.shared.has_deliveries() || !self.ready.borrow().is_empty() || !self.local_fresh.borrow().is_empty()
    }

    /// Steals fresh work, for a bounded time.
    fn search(&self) -> Option<GRef> {
        let mut few = None;
        for round in 0..SEARCH_ROUNDS {
            if let Some(g) = self.take_injected().or_else(|| self.steal(&mut few)) {
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

    fn steal(&self, few: &mut Option<Few>) -> Option<GRef> {
        let workers = self.scheduler.workers();
        let count = workers.len();
        let first = self.next_random() as usize % count.max(1);
        for victim in (0..count).filter_map(|i| workers.get((first + i) % count)) {
            if std::ptr::eq(victim, self.shared) || !Few::may_steal(few, victim) {
                continue;
            }
            let stolen = steal_until_decided(|| victim.stealer.steal_batch_with_limit_and_pop(&self.deque, 128));
            if let Some(g) = stolen {
                victim.robbed.store(true, Ordering::Relaxed);
                Counters::bump(&self.shared.counters.steals);
                let finished = self.shared.counters.finished.load(Ordering::Relaxed);
                self.haul.set(Some((crate::clock::now(), finished)));
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
            Kind::Dedicated => {
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
            let replacement = self.scheduler.is_replacement(index) && self.started.get() == 0;
            let timer = self.timers.borrow().next_deadline();
            let until = if replacement { crate::clock::deadline(REPLACEMENT_LINGERS) } else { timer };
            self.shared.poller.wait(until.into_iter().chain(self.scheduler.next_deferred()).min());
            lingered = replacement && until.is_some_and(|until| until <= crate::clock::now());
            self.scheduler.note_awake();
        }
        self.shared.sleeper.retract();
        self.searching.set(idle.rouse(index));
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
        if self.searching.get() || self.started.get() == 0 || !others_up {
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
            self.shared.poller.wait(deadline);
        }
        self.shared.sleeper.retract();
    }
}

/// A few fresh goroutines that a searcher saw, and since when their owner has not moved on.
struct Few {
    owner: &'static WorkerShared,
    slice: u64,
    since: Instant,
    cpu_time: Duration,
}

impl Few {
    fn of(owner: &'static WorkerShared) -> Self {
        let slice = owner.counters.slices.load(Ordering::Relaxed);
        Self { owner, slice, since: crate::clock::now(), cpu_time: owner.thread.cpu_time() }
    }

    fn is_as_seen(&self) -> bool {
        (1..=FEW).contains(&self.owner.stealer.len()) && self.owner.counters.slices.load(Ordering::Relaxed) == self.slice
    }

    /// Whether the owner goes on with something long. It does not if it prepares to run one of them (stacks may take
    /// a while), nor if the kernel has given its processor to another process: then it is as quick as before.
    fn is_held_up(&self) -> bool {
        if !self.owner.is_running() || self.since.elapsed() < FEW_GRACE {
            return false;
        }
        let has_computed = self.owner.thread.cpu_time().saturating_sub(self.cpu_time) >= FEW_GRACE / 2;
        has_computed || !self.owner.thread.is_runnable()
    }

    /// Whether `victim`'s work may be taken: it has more than a few, or has left them for long.
    fn may_steal(seen: &mut Option<Self>, victim: &'static WorkerShared) -> bool {
        match victim.stealer.len() {
            0 => return false,
            1..=FEW => {}
            _ => return true,
        }
        match seen {
            // Another's: it goes on being watched as long as it stays as it is, or two would shield each other.
            Some(few) if few.is_as_seen() => std::ptr::eq(few.owner, victim) && few.is_held_up(),
            _ => {
                *seen = Some(Self::of(victim));
                false
            }
        }
    }
}
