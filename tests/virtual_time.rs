//! Time that passes when all goroutines wait.

mod common;

use common::text_of;
use lisle::channel::{after, bounded, tick};
use lisle::sync::{Condvar, Mutex};
use lisle::testing::{Config, check, virtual_time, wait};
use lisle::time::{Ticker, Timer, after_func, now, sleep};
use lisle::{context, go, scope, select};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn failure_of(f: impl FnOnce() + Send) -> String {
    text_of(catch_unwind(AssertUnwindSafe(|| virtual_time(f))).expect_err("it fails"))
}

#[test]
fn a_test_of_hours_ends_at_once() {
    let real = Instant::now();
    let passed = virtual_time(|| {
        let start = now();
        scope(|s| {
            for hours in 1..=1000 {
                s.go(move || sleep(hours * HOUR));
            }
        });
        now() - start
    });
    assert_eq!(passed, 1000 * HOUR);
    assert!(real.elapsed() < 10 * SECOND, "{:?}", real.elapsed());
}

#[test]
fn sleepers_wake_in_order_and_at_their_times() {
    let order = virtual_time(|| {
        let start = now();
        let (sender, receiver) = bounded(10);
        for seconds in [3, 1, 2] {
            let sender = sender.clone();
            go(move || {
                sleep(seconds * SECOND);
                sender.send((seconds, now() - start)).unwrap();
            });
        }
        drop(sender);
        receiver.iter().collect::<Vec<_>>()
    });
    assert_eq!(order, [1, 2, 3].map(|seconds| (seconds, seconds * SECOND)));
}

#[test]
fn all_that_has_a_clock_goes_by_the_virtual_one() {
    virtual_time(|| {
        let start = now();
        assert_eq!(after(SECOND).recv().unwrap() - start, SECOND);
        assert_eq!(tick(SECOND).iter().nth(2).unwrap() - start, 4 * SECOND);
        let ticker = Ticker::new(HOUR);
        assert_eq!(ticker.receiver().iter().nth(1).unwrap() - start, 2 * HOUR + 4 * SECOND);
        let timer = Timer::new(HOUR);
        assert!(timer.reset(SECOND));
        timer.receiver().recv().unwrap();
        assert_eq!(now() - start, 2 * HOUR + 5 * SECOND);
        let (sender, receiver) = bounded::<()>(0);
        assert!(receiver.recv_timeout(SECOND).is_err());
        drop(sender);
        let (ctx, _cancel) = context::with_timeout(&context::background(), SECOND);
        assert_eq!(ctx.wait(), context::Error::DeadlineExceeded);
        let (lock, condvar) = (Mutex::new(()), Condvar::new());
        assert!(condvar.wait_timeout(lock.lock().unwrap(), SECOND).unwrap().1.timed_out());
        lisle::park_timeout(SECOND);
        assert_eq!(now() - start, 2 * HOUR + 9 * SECOND);
    });
}

#[test]
fn time_stands_still_while_somebody_can_run() {
    virtual_time(|| {
        let start = now();
        let other = go(move || {
            for _ in 0..10_000 {
                lisle::yield_now();
            }
            now() - start
        });
        sleep(SECOND);
        assert_eq!(other.join().unwrap(), Duration::ZERO);
        assert_eq!(now() - start, SECOND);
    });
}

#[test]
fn a_call_is_made_at_its_time_and_wait_lets_it_end() {
    virtual_time(|| {
        let calls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&calls);
        let call = after_func(5 * SECOND, move || {
            count.fetch_add(1, Relaxed);
        });
        sleep(5 * SECOND - Duration::from_nanos(1));
        wait();
        assert_eq!(calls.load(Relaxed), 0);
        sleep(Duration::from_nanos(1));
        wait();
        assert_eq!(calls.load(Relaxed), 1);
        assert!(!call.stop());
    });
}

#[test]
fn a_timeout_beats_what_takes_longer_and_loses_to_what_does_not() {
    virtual_time(|| {
        let attempt = |takes: Duration| {
            let (sender, receiver) = bounded(1);
            go(move || {
                sleep(takes);
                let _ = sender.send(());
            });
            select! {
                recv(receiver) -> _ => true,
                recv(after(10 * SECOND)) -> _ => false,
            }
        };
        assert!(attempt(9 * SECOND));
        assert!(!attempt(11 * SECOND));
        sleep(SECOND);
    });
}

#[test]
fn a_deadlock_and_who_is_left_over_are_told() {
    let deadlock = failure_of(|| {
        let (_sender, receiver) = bounded::<()>(0);
        receiver.recv().unwrap();
    });
    assert!(
        deadlock.contains("deadlock") && deadlock.contains("main (goroutine 1) waits in chan receive"),
        "{deadlock}"
    );
    // Time ends with the closure, as in Go: who sleeps then sleeps for ever.
    let left = failure_of(|| drop(go(|| sleep(HOUR))));
    assert!(left.contains("left over") && left.contains("goroutine 2") && left.contains("waits in sleep"), "{left}");
}

#[test]
fn a_panic_is_the_callers_and_a_value_too() {
    assert_eq!(failure_of(|| panic!("as it was")), "as it was");
    assert_eq!(virtual_time(|| vec![1, 2]), [1, 2]);
    let borrowed = [1, 2, 3];
    assert_eq!(virtual_time(|| borrowed.iter().sum::<i32>()), 6);
}

#[test]
fn calls_that_were_to_come_later_are_dropped_at_the_end() {
    struct Told(Arc<AtomicU32>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let told = Told(Arc::clone(&dropped));
    virtual_time(|| after_func(HOUR, move || drop(told)).detach());
    assert_eq!(dropped.load(Relaxed), 1);
}

#[test]
fn within_a_check_time_is_virtual_too() {
    check(|| {
        let start = now();
        virtual_time(|| {
            let other = go(|| sleep(HOUR));
            sleep(HOUR / 2);
            other.join().unwrap();
        });
        assert_eq!(now() - start, HOUR);
    });
}

#[test]
fn with_eager_time_a_timeout_may_come_before_what_is_ready() {
    let race = || {
        let (sender, receiver) = bounded(1);
        go(move || sender.send(()));
        assert!(receiver.recv_timeout(HOUR).is_ok(), "it came too late");
    };
    check(race);
    let failure = Config::new().eager_time(true).explore(race).expect_err("an hour can pass before a goroutine starts");
    assert!(failure.message().contains("it came too late"), "{failure}");
    let again = catch_unwind(|| lisle::testing::replay(failure.schedule(), race)).expect_err("it fails again");
    assert!(text_of(again).contains("it came too late"));
}
