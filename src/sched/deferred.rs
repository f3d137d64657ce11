//! Deferred calls: closures that are to run at a point in time, each in a goroutine of its own. What
//! `time::after_func` and the deadlines of contexts stand on.
//!
//! Each runtime has one table of them, in order of time, under a short lock; no thread, goroutine or kernel timer
//! stands behind a call. Regular workers look at the table where they look at their timers, and start what is due
//! as fresh goroutines, which any worker may run. Insert and remove cost O(log n), about 0.2 µs, from any thread.
//! A tree rather than a heap, since most calls are taken back: a loop of `with_timeout(an hour)` and `cancel` must
//! not pile anything up.
//!
//! # Invariants
//! - Who takes a call out of the table, under its lock, owns it: it is started, or given back to who set it up,
//!   or dropped by the shutdown. One of these, once.
//! - No closure is called or dropped under the lock.
//! - `alarm` is never later than the first time in the table; NEVER only if that is empty. It is written under the
//!   lock only.
//! - `alarm` moves to an earlier time at once, to a later one only when it has come. So a call that is taken back
//!   leaves it as it is: who sleeps to it looks once for nothing, and in a loop of `with_timeout` and `cancel` only
//!   the first sets a new alarm.
//!
//! # Why no due time is slept through (proof sketch)
//! | who inserts a call that comes before the alarm | worker that goes to sleep |
//! | --- | --- |
//! | P1 publish the new alarm | W1 count as a sleeper (`Idle::doze`) |
//! | P2 wake a sleeper, if there is one and nobody searches | W2 read the alarm, and sleep until then |
//!
//! Dekker's pattern, with a SeqCst fence between the two steps on either side: either W2 sees the new alarm, or P2
//! sees the sleeper. So one worker at least has its W2 still to come: the sleeper that was woken, a searcher, or, if
//! nobody sleeps, any. It may be long in coming to it, or come to it never:
//! - It computes or is blocked: the watchdog looks every 10 ms while a worker is up, and starts what is due.
//! - It ends (a replacement that lingered): it leaves the count of workers first, and then wakes a sleeper if
//!   there is an alarm (`pass_on_deferred`); the same pattern once more.
//!
//! The loom model `a_deferred_call_is_never_slept_through` checks the pattern.
//!
//! (P2 could leave the sleepers alone if a worker is up, which looks before it sleeps. But who sets calls up is up
//! itself, and may compute for long: its calls would wait for the watchdog beside workers that have nothing to do.)
//!
//! # Rejected
//! - A timer of the worker that set the call up: it may be computing when the time has come, and calls come from
//!   threads without a worker, too.
//! - Waking one worker only when a time has come. It needs a hand-over of that duty whenever the one that has it
//!   is woken for something else. Here all idle workers wake: that costs microseconds each, and is noticeable only
//!   with very many workers and calls.

use super::worker::Worker;
use super::{Scheduler, lock};
use crate::observe;
use crate::report::discard_payload;
use crate::spawn::{Builder, start_accepted};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

const NEVER: u64 = u64::MAX;

/// Names one call: by time, then by order of creation.
type CallKey = (Instant, u64);

/// What is to be called, and the user's line that asked for it.
pub(crate) struct Call {
    function: Box<dyn FnOnce() + Send>,
    created_at: &'static Location<'static>,
}

/// By what those who watch tell a call from others.
fn address(function: &dyn FnOnce()) -> usize {
    std::ptr::from_ref(function).addr()
}

#[derive(Default)]
struct Table {
    by_time: BTreeMap<CallKey, Call>,
    created: u64,
    closed: bool,
}

impl Table {
    fn insert(&mut self, at: Instant, call: Call) -> CallKey {
        let key = (at, self.created);
        self.created += 1;
        self.by_time.insert(key, call);
        key
    }
}

/// The table of one runtime.
pub(super) struct Deferred {
    table: Mutex<Table>,
    /// When to look at it, as `clock::as_nanos` has it.
    alarm: AtomicU64,
}

impl Deferred {
    pub(super) fn new() -> Self {
        Self { table: Mutex::default(), alarm: AtomicU64::new(NEVER) }
    }

    /// Step P1. Says whether that is a new alarm.
    fn set_alarm(&self, _: &MutexGuard<'_, Table>, (at, _): CallKey) -> bool {
        let at = crate::clock::as_nanos(at);
        at < self.alarm.fetch_min(at, Ordering::SeqCst)
    }

    /// The alarm has come: the next one.
    fn renew_alarm(&self, table: &MutexGuard<'_, Table>) {
        let first = table.by_time.first_key_value();
        let alarm = first.map_or(NEVER, |(&(at, _), _)| crate::clock::as_nanos(at));
        self.alarm.store(alarm, Ordering::SeqCst);
    }

    fn is_due(&self, now: impl FnOnce() -> Instant) -> bool {
        let alarm = self.alarm.load(Ordering::Relaxed);
        alarm != NEVER && alarm <= crate::clock::as_nanos(now())
    }

    /// Those that are due, in order.
    fn take_due(&self, now: Instant) -> Vec<Call> {
        let mut table = lock(&self.table);
        let mut due = Vec::new();
        while let Some(first) = table.by_time.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        self.renew_alarm(&table);
        due
    }

    /// Drops all calls, and takes no more.
    pub(super) fn close(&self) {
        lock(&self.table).closed = true;
        self.drop_all();
    }

    fn take_all(&self) -> BTreeMap<CallKey, Call> {
        let mut table = lock(&self.table);
        let calls = std::mem::take(&mut table.by_time);
        self.renew_alarm(&table);
        calls
    }

    fn drop_all(&self) {
        for call in self.take_all().into_values() {
            // A destructor that panics must not spare the others theirs.
            let dropped = catch_unwind(AssertUnwindSafe(move || drop(call)));
            dropped.err().into_iter().for_each(discard_payload);
        }
    }
}

impl Scheduler {
    /// Calls `function` at `at`, in a goroutine created at `created_at`.
    ///
    /// # Errors
    /// The runtime is shut down.
    pub(crate) fn defer(
        self: &Arc<Self>,
        at: Instant,
        created_at: &'static Location<'static>,
        function: Box<dyn FnOnce() + Send>,
    ) -> io::Result<DeferredCall> {
        observe::release_at(address(&*function));
        let mut table = lock(&self.deferred.table);
        if table.closed {
            // Before `function` is dropped, on the way out.
            drop(table);
            return Err(super::shut_down());
        }
        let key = table.insert(at, Call { function, created_at });
        let is_new_alarm = self.deferred.set_alarm(&table, key);
        drop(table);
        if is_new_alarm {
            self.wake_for_fresh();
        }
        Ok(DeferredCall { scheduler: Arc::clone(self), key })
    }

    /// For the explorer, whose time does not go on any more: a goroutine drops all calls, since their destructors may wait.
    /// Says whether there were any.
    pub(crate) fn drop_deferred(self: &Arc<Self>) -> bool {
        let calls = self.deferred.take_all();
        let Some(created_at) = calls.first_key_value().map(|(_, call)| call.created_at) else { return false };
        start_accepted(Builder::new().name("calls that never come"), self, created_at, move || {
            if observe::is_on() {
                calls.values().for_each(|call| observe::acquire_at(address(&*call.function)));
            }
            drop(calls);
        });
        true
    }

    /// For the explorer, after a failure.
    pub(crate) fn leak_deferred(&self) {
        std::mem::forget(self.deferred.take_all());
    }

    /// When the first call is due.
    pub(crate) fn first_deferred(&self) -> Option<Instant> {
        lock(&self.deferred.table).by_time.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A worker has ended, and left the count of workers: another must look at the calls.
    pub(super) fn pass_on_deferred(&self) {
        fence(Ordering::SeqCst);
        if self.deferred.alarm.load(Ordering::SeqCst) != NEVER {
            self.wake_for_fresh();
        }
    }

    /// Step W2: when to look at the calls.
    pub(super) fn next_deferred(&self) -> Option<Instant> {
        match self.deferred.alarm.load(Ordering::SeqCst) {
            NEVER => None,
            alarm => Some(crate::clock::from_nanos(alarm)),
        }
    }

    /// Whether the alarm has come; its call may have been taken back.
    pub(super) fn has_due_call(&self) -> bool {
        self.deferred.is_due(crate::clock::now)
    }

    /// Makes fresh goroutines of the calls that are due. Says whether there were any.
    pub(super) fn start_due_calls(self: &Arc<Self>) -> bool {
        if !self.has_due_call() {
            return false;
        }
        let mut due = self.deferred.take_due(crate::clock::now());
        let some = !due.is_empty();
        if Worker::with_current(|worker| worker.is_some()) {
            // It takes its newest goroutine first.
            due.reverse();
        }
        for call in due {
            let function = call.function;
            if observe::is_on() {
                let set_up = address(&*function);
                let told = move || {
                    observe::acquire_at(set_up);
                    function();
                };
                start_accepted(Builder::new(), self, call.created_at, told);
            } else {
                start_accepted(Builder::new(), self, call.created_at, function);
            }
        }
        some
    }
}

/// A call that has been set up: the means to take it back.
pub(crate) struct DeferredCall {
    scheduler: Arc<Scheduler>,
    key: CallKey,
}

impl DeferredCall {
    /// Takes the call back. `None`: it has been started, or taken back before, or dropped by the shutdown. Drop
    /// what it returns outside of locks.
    pub(crate) fn take(&self) -> Option<Call> {
        lock(&self.scheduler.deferred.table).by_time.remove(&self.key)
    }

    /// Moves the call to another time. False: it is too late, as for `take`.
    pub(crate) fn move_to(&mut self, at: Instant) -> bool {
        let deferred = &self.scheduler.deferred;
        let mut table = lock(&deferred.table);
        let Some(call) = table.by_time.remove(&self.key) else { return false };
        self.key = table.insert(at, call);
        let is_new_alarm = deferred.set_alarm(&table, self.key);
        drop(table);
        if is_new_alarm {
            self.scheduler.wake_for_fresh();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_that_are_taken_back_leave_nothing() {
        let runtime = crate::Config::new().workers(1).start().expect("a runtime");
        let scheduler = runtime.scheduler();
        let soon = crate::clock::now() + Duration::from_secs(3600);
        let mut calls: Vec<_> = (0..10)
            .map(|i| {
                let at = soon + Duration::from_secs(i % 3);
                scheduler.defer(at, Location::caller(), Box::new(|| ())).expect("it is not shut down")
            })
            .collect();
        assert_eq!(scheduler.next_deferred(), Some(soon));
        assert!(calls.iter_mut().all(|call| call.move_to(soon + Duration::from_secs(5))));
        assert!(calls.iter().all(|call| call.take().is_some() && call.take().is_none()));
        assert!(lock(&scheduler.deferred.table).by_time.is_empty());
    }

    #[test]
    fn an_alarm_moves_to_a_later_time_only_when_it_has_come() {
        let runtime = crate::Config::new().workers(1).start().expect("a runtime");
        let scheduler = runtime.scheduler();
        let now = crate::clock::now();
        let set = |seconds| {
            let at = now + Duration::from_secs(seconds);
            scheduler.defer(at, Location::caller(), Box::new(|| ())).expect("it is not shut down")
        };
        let (first, last) = (set(60), set(120));
        assert!(first.take().is_some());
        assert_eq!(scheduler.next_deferred(), Some(now + Duration::from_secs(60)));
        assert!(scheduler.deferred.take_due(now + Duration::from_secs(60)).is_empty());
        assert_eq!(scheduler.next_deferred(), Some(now + Duration::from_secs(120)));
        assert!(last.take().is_some());
        assert!(scheduler.deferred.take_due(now + Duration::from_secs(120)).is_empty());
        assert_eq!(scheduler.next_deferred(), None);
    }
}
