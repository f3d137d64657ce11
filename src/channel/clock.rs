//! Channels with a clock in place of senders: what `after`, `at`, `tick` and timers are made of.
//!
//! No goroutine and no timer stands behind them: a receiver that waits does so until the clock's next time, and reads it
//! then.

use super::core::{Core, State};
use super::wait::Verdict;
use super::wakes::Wakes;
use crate::observe::{self, Op};
use std::time::{Duration, Instant};

/// The times at which a channel without senders has a message.
pub(crate) struct Clock<T> {
    pub(crate) next: Option<Instant>,
    pub(crate) period: Option<Duration>,
    /// Whether later messages come a whole number of periods after this one, however late it is taken; else the next
    /// one comes a period after this one was taken.
    pub(crate) keeps_phase: bool,
    pub(crate) message: fn(Instant) -> T,
}

impl<T> Clock<T> {
    fn take(&mut self, now: Instant) -> Option<T> {
        let due = self.next.filter(|&next| next <= now)?;
        // Later than now in either case: a slow receiver does not get a burst of old ticks.
        self.next = self.period.and_then(|period| {
            let late = if self.keeps_phase { remainder(now - due, period) } else { Duration::ZERO };
            now.checked_add(period - late)
        });
        Some((self.message)(due))
    }
}

/// `period` is not zero.
fn remainder(late: Duration, period: Duration) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let nanos = late.as_nanos() % period.as_nanos();
    Duration::new(u64::try_from(nanos / SECOND).unwrap_or(u64::MAX), (nanos % SECOND) as u32)
}

impl<T> State<T> {
    #[inline]
    pub(super) fn take_from_clock(&mut self) -> Option<T> {
        let clock = self.clock.as_mut()?;
        let message = clock.take(crate::clock::now());
        observe::acquire_at(self.address());
        message
    }

    pub(super) fn clock_is_due(&self) -> bool {
        self.next_time().is_some_and(|next| next <= crate::clock::now())
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        self.clock.as_ref()?.next
    }
}

impl<T> Core<T> {
    /// Sets the clock's next time, and the period if there is one. A message that was due but not taken is gone.
    /// Receivers that wait look again. Says whether there was a next time before, or such a message.
    #[track_caller]
    pub(crate) fn set_clock(&self, next: Option<Instant>, period: Option<Duration>) -> bool {
        if observe::touch(Op::SetClock, &self.state) {
            observe::release_at(self.address());
        }
        let mut state = self.state.lock();
        let clock = state.clock.as_mut().expect("a timer's channel has a clock");
        let before = std::mem::replace(&mut clock.next, next);
        clock.period = period;
        let mut wakes = Wakes::default();
        // Those who wait for an earlier time, in vain now, look again by themselves.
        if next.is_some_and(|next| before.is_none_or(|before| next < before)) {
            while let Some(waiter) = state.receiving.claim_first() {
                wakes.add(waiter.dismiss(Verdict::Retry));
            }
        }
        drop(state);
        wakes.wake();
        before.is_some()
    }
}
