//! Timers, tickers and calls that are made later.

mod common;

use lisle::channel::{self, RecvTimeoutError, Select, TryRecvError, bounded, unbounded};
use lisle::time::{Ticker, Timer, after_func, sleep};
use lisle::{Builder, go, select};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until `goroutine` waits.
fn until_it_waits(goroutine: &lisle::Goroutine) {
    let start = Instant::now();
    while goroutine.wait_reason() == lisle::WaitReason::None {
        assert!(start.elapsed() < LONG, "it never waits");
        thread::sleep(ms(1));
    }
}

// ---- timers ----

#[test]
fn a_timer_sends_the_time_at_which_it_was_due_once() {
    let start = Instant::now();
    let timer = Timer::new(ms(3));
    let due = timer.receiver().recv().unwrap();
    assert!(due >= start + ms(3) && due <= Instant::now());
    assert_eq!(timer.receiver().recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn stop_discards_a_time_that_was_not_received_and_says_that_it_ran() {
    let timer = Timer::new(Duration::ZERO);
    thread::sleep(ms(2));
    assert_eq!(timer.receiver().len(), 1);
    assert!(timer.stop());
    assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    assert!(!timer.stop());
    assert!(Timer::new(HOUR).stop());
    assert!(Timer::new(Duration::MAX).stop());
}

#[test]
fn a_timer_whose_time_was_received_does_not_run() {
    let timer = Timer::new(Duration::ZERO);
    timer.receiver().recv().unwrap();
    assert!(!timer.stop());
    assert!(!timer.reset(Duration::ZERO));
    timer.receiver().recv().unwrap();
}

#[test]
fn reset_discards_a_time_that_was_not_received() {
    let timer = Timer::new(Duration::ZERO);
    thread::sleep(ms(2));
    let again = Instant::now();
    assert!(timer.reset(ms(3)));
    assert!(timer.receiver().recv().unwrap() >= again + ms(3));
}

#[test]
fn an_earlier_time_serves_receivers_that_wait_already() {
    let timer = Timer::new(HOUR);
    let receivers = [0, 1, 2].map(|_| timer.receiver().clone());
    let [plain, selecting, watching] = receivers;
    let plain = go(move || plain.recv_timeout(LONG).is_ok());
    until_it_waits(&plain.goroutine());
    assert!(timer.reset(ms(1)));
    assert!(plain.join().unwrap());

    timer.reset(HOUR);
    let selecting = go(move || {
        select! {
            recv(selecting) -> time => time.is_ok(),
            recv(channel::never::<()>()) -> _ => unreachable!(),
            default(LONG) => false,
        }
    });
    until_it_waits(&selecting.goroutine());
    timer.reset(ms(1));
    assert!(selecting.join().unwrap());

    timer.reset(HOUR);
    let watching = go(move || {
        let mut select = Select::new();
        select.recv(&watching);
        select.ready_timeout(LONG).is_ok()
    });
    until_it_waits(&watching.goroutine());
    timer.reset(ms(1));
    assert!(watching.join().unwrap());
}

#[test]
fn an_earlier_time_serves_a_thread_that_waits_already() {
    let timer = Timer::new(HOUR);
    let receiver = timer.receiver().clone();
    let (about_to_wait, waits) = bounded(1);
    let waiting = thread::spawn(move || {
        about_to_wait.send(()).unwrap();
        receiver.recv_timeout(LONG).is_ok()
    });
    waits.recv().unwrap();
    thread::sleep(ms(2));
    timer.reset(ms(1));
    assert!(waiting.join().unwrap());
}

#[test]
fn a_later_time_and_a_stop_hold_for_a_receiver_that_waits_already() {
    let timer = Timer::new(ms(20));
    let receiver = timer.receiver().clone();
    let waiting = go(move || receiver.recv_timeout(LONG));
    until_it_waits(&waiting.goroutine());
    assert!(timer.stop());
    thread::sleep(ms(40));
    assert!(!waiting.is_finished());
    let again = Instant::now();
    assert!(!timer.reset(ms(10)));
    assert!(waiting.join().unwrap().unwrap() >= again + ms(10));
}

#[test]
fn dropping_a_timer_or_ticker_stops_it_although_others_have_its_receiver() {
    let (timer, ticker) = (Timer::new(ms(1)), Ticker::new(ms(1)));
    let (once, often) = (timer.receiver().clone(), ticker.receiver().clone());
    drop((timer, ticker));
    assert_eq!(once.recv_timeout(ms(10)), Err(RecvTimeoutError::Timeout));
    assert_eq!(often.recv_timeout(ms(10)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn resets_while_others_receive_lose_no_time() {
    let timer = Arc::new(Timer::new(HOUR));
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let receiver = timer.receiver().clone();
            go(move || receiver.recv_timeout(LONG).is_ok())
        })
        .collect();
    let mut rest = receivers;
    while !rest.is_empty() {
        let before = rest.len();
        timer.reset(Duration::from_micros(50));
        let start = Instant::now();
        while rest.len() == before {
            assert!(start.elapsed() < LONG);
            rest = rest
                .into_iter()
                .filter_map(|waiting| {
                    if waiting.is_finished() {
                        assert!(waiting.join().unwrap());
                        None
                    } else {
                        Some(waiting)
                    }
                })
                .collect();
            thread::yield_now();
        }
    }
}

// ---- tickers ----

#[test]
fn a_ticker_keeps_its_phase() {
    let period = ms(2);
    let ticker = Ticker::new(period);
    let ticks: Vec<Instant> = ticker.receiver().iter().take(8).collect();
    for pair in ticks.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= period && apart.as_nanos().is_multiple_of(period.as_nanos()), "{apart:?}");
    }
}

#[test]
fn a_slow_receiver_misses_ticks() {
    let ticker = Ticker::new(ms(20));
    thread::sleep(ms(90));
    let first = ticker.receiver().try_recv().unwrap();
    assert_eq!(ticker.receiver().try_recv(), Err(TryRecvError::Empty));
    let second = ticker.receiver().recv().unwrap();
    assert!(second - first >= ms(80), "{:?}", second - first);
}

#[test]
fn a_ticker_can_be_stopped_and_set_to_another_period() {
    let ticker = Ticker::new(ms(1));
    thread::sleep(ms(3));
    ticker.stop();
    assert_eq!(ticker.receiver().recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
    let start = Instant::now();
    ticker.reset(ms(3));
    assert!(ticker.receiver().recv().unwrap() >= start + ms(3));
    ticker.receiver().recv().unwrap();
    assert!(start.elapsed() >= ms(6));
}

#[test]
fn a_period_of_zero_is_refused() {
    let text = |result: thread::Result<()>| *result.unwrap_err().downcast::<&str>().unwrap();
    assert!(text(catch_unwind(|| drop(Ticker::new(Duration::ZERO)))).contains("non-positive interval"));
    let ticker = Ticker::new(ms(1));
    assert!(text(catch_unwind(|| ticker.reset(Duration::ZERO))).contains("non-positive interval"));
}

// ---- calls ----

#[test]
fn a_call_runs_in_a_goroutine_of_its_own_from_the_callers_line() {
    let (sender, receiver) = bounded(1);
    let line = line!() + 1;
    let call = after_func(ms(1), move || sender.send(lisle::current()).unwrap());
    let goroutine = receiver.recv_timeout(LONG).unwrap();
    assert_ne!(goroutine.id(), lisle::current().id());
    assert_eq!((goroutine.created_at().file(), goroutine.created_at().line()), (file!(), line));
    assert!(!call.stop());
}

#[test]
fn a_stopped_call_never_runs_and_its_closure_is_dropped() {
    let witness = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&witness);
    let call = after_func(ms(5), move || inside.store(true, Ordering::Relaxed));
    assert!(call.stop());
    assert_eq!(Arc::strong_count(&witness), 1);
    assert!(!call.stop());
    thread::sleep(ms(10));
    assert!(!witness.load(Ordering::Relaxed));
}

#[test]
fn either_the_stop_or_the_call_wins() {
    let (mut stopped, mut ran) = (0, 0);
    for round in 0..2000_u64 {
        let (sender, receiver) = bounded(1);
        let call = after_func(Duration::from_micros(round % 40), move || sender.send(()).unwrap());
        if round % 3 == 0 {
            thread::yield_now();
        }
        for _ in 0..(round % 50) * 20 {
            std::hint::spin_loop();
        }
        if call.stop() {
            stopped += 1;
            // The closure is gone, and with it the sender.
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected), "round {round}");
        } else {
            ran += 1;
            assert_eq!(receiver.recv_timeout(LONG), Ok(()), "round {round}");
        }
    }
    println!("stopped {stopped}, ran {ran}");
    assert!(stopped > 0);
}

#[test]
fn a_call_can_be_moved_until_it_has_started() {
    let (sender, receiver) = bounded(1);
    let call = after_func(HOUR, move || sender.send(Instant::now()).unwrap());
    let start = Instant::now();
    assert!(call.reset(HOUR));
    assert!(call.reset(ms(5)));
    assert!(receiver.recv_timeout(LONG).unwrap() >= start + ms(5));
    assert!(!call.reset(ms(1)));
    let (sender, receiver) = bounded::<()>(1);
    let call = after_func(Duration::MAX, move || drop(sender));
    assert!(call.stop() && !call.reset(ms(1)));
    assert!(receiver.recv().is_err());
}

#[test]
fn dropping_a_call_stops_it_and_detaching_leaves_it_alone() {
    let (sender, receiver) = unbounded();
    let dropped = sender.clone();
    drop(after_func(ms(2), move || dropped.send("dropped").unwrap()));
    after_func(ms(4), move || sender.send("detached").unwrap()).detach();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["detached"]);
}

#[test]
fn an_earlier_time_wakes_workers_that_sleep_to_a_later_one() {
    let runtime = common::one_worker();
    let in_time = |_: &i32| {
        let (sender, receiver) = bounded(1);
        let call = runtime.run(move || after_func(HOUR, move || sender.send(()).unwrap()));
        // The worker goes to sleep, and so does the watchdog, which would notice a moment later.
        thread::sleep(ms(50));
        let start = Instant::now();
        assert!(call.reset(ms(1)));
        receiver.recv_timeout(LONG).expect("the call");
        start.elapsed() < ms(300)
    };
    assert!((0..8).filter(in_time).count() >= 6);
}

#[test]
fn calls_start_in_the_order_of_their_times() {
    common::one_worker().run(|| {
        let (sender, receiver) = unbounded();
        for i in [3, 1, 4, 0, 2] {
            let sender = sender.clone();
            after_func(ms(1 + 4 * i), move || sender.send(i).unwrap()).detach();
        }
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    });
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "too slow for times this short")]
fn calls_that_are_due_together_start_in_the_order_of_their_times() {
    let in_order = || {
        let (sender, receiver) = unbounded();
        for i in [3, 1, 4, 0, 2] {
            let sender = sender.clone();
            after_func(ms(1) + Duration::from_micros(20 * i), move || sender.send(i).unwrap()).detach();
        }
        drop(sender);
        let start = Instant::now();
        while start.elapsed() < ms(2) {
            std::hint::spin_loop();
        }
        receiver.iter().eq(0..5)
    };
    // The watchdog may come in between and start some before the others.
    assert!(common::one_worker().run(|| (0..10).any(|_| in_order())));
}

#[test]
fn a_busy_worker_serves_calls_between_its_goroutines() {
    common::one_worker().run(|| {
        let called = Arc::new(AtomicBool::new(false));
        let inside = Arc::clone(&called);
        after_func(ms(2), move || inside.store(true, Ordering::Relaxed)).detach();
        let start = Instant::now();
        while !called.load(Ordering::Relaxed) {
            assert!(start.elapsed() < LONG);
            lisle::yield_now();
        }
        // And between operations that never have to wait.
        let called = Arc::new(AtomicBool::new(false));
        let inside = Arc::clone(&called);
        after_func(ms(2), move || inside.store(true, Ordering::Relaxed)).detach();
        let lock = lisle::sync::Mutex::new(());
        while !called.load(Ordering::Relaxed) {
            assert!(start.elapsed() < LONG);
            drop(lock.lock());
        }
    });
}

#[test]
fn a_call_starts_although_all_workers_compute_or_keep_their_threads() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let called = Arc::new(AtomicBool::new(false));
        let inside = Arc::clone(&called);
        after_func(ms(2), move || inside.store(true, Ordering::Relaxed)).detach();
        let start = Instant::now();
        while !called.load(Ordering::Relaxed) {
            assert!(start.elapsed() < LONG, "nobody starts it");
            std::hint::spin_loop();
        }
    });
    runtime.run(|| {
        let (sender, receiver) = bounded(1);
        after_func(ms(2), move || sender.send(()).unwrap()).detach();
        lisle::no_switch(|| receiver.recv_timeout(LONG)).expect("nobody starts it");
    });
}

#[test]
fn a_worker_that_sleeps_starts_the_call_of_one_that_computes() {
    let runtime = lisle::Config::new().workers(2).start().expect("a runtime");
    let lateness = || {
        runtime.run(|| {
            let (sender, receiver) = bounded(1);
            let due = Instant::now() + ms(1);
            after_func(ms(1), move || sender.send(due.elapsed()).unwrap()).detach();
            while due.elapsed() < ms(12) {
                std::hint::spin_loop();
            }
            receiver.recv().unwrap()
        })
    };
    // The watchdog would come to it, too, but 5 ms late on average. Others may use the machine as well.
    let is_in_time = || {
        let mut late: Vec<_> = (0..15).map(|_| lateness()).collect();
        late.sort();
        late[7] < ms(2)
    };
    assert!((0..20).any(|_| is_in_time()));
}

#[test]
fn a_goroutine_with_a_thread_of_its_own_sets_calls_up() {
    let (sender, receiver) = bounded(1);
    let owner = Builder::new().own_thread(true).go(move || {
        after_func(ms(2), move || sender.send(lisle::current().name().map(str::to_owned)).unwrap()).detach();
        sleep(ms(20));
    });
    assert_eq!(receiver.recv_timeout(LONG), Ok(None));
    owner.unwrap().join().unwrap();
}

#[test]
fn a_call_that_is_not_due_is_no_goroutine() {
    let runtime = common::one_worker();
    let calls = runtime.run(|| (0..10).map(|_| after_func(HOUR, || ())).collect::<Vec<_>>());
    assert_eq!(runtime.metrics().goroutines, 0);
    drop(calls);
}

#[test]
fn a_shutdown_drops_calls_that_are_not_due() {
    struct Witness(Arc<AtomicUsize>);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            if self.0.load(Ordering::Relaxed) == 1 {
                std::panic::resume_unwind(Box::new("a destructor that panics"));
            }
        }
    }
    let runtime = common::one_worker();
    let dropped = Arc::new(AtomicUsize::new(0));
    let witnesses: Vec<_> = (0..3).map(|_| Witness(Arc::clone(&dropped))).collect();
    let calls = runtime.run(move || {
        let set_up = |witness| {
            after_func(HOUR, move || {
                let _witness: Witness = witness;
                unreachable!("it is not due")
            })
        };
        witnesses.into_iter().map(set_up).collect::<Vec<_>>()
    });
    assert_eq!(runtime.shutdown(LONG), 0);
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert!(calls.iter().all(|call| !call.stop() && !call.reset(ms(1))));
}

#[test]
fn a_call_that_panics_harms_no_other() {
    let (sender, receiver) = bounded(1);
    after_func(ms(1), || std::panic::resume_unwind(Box::new("on purpose"))).detach();
    after_func(ms(3), move || sender.send(()).unwrap()).detach();
    receiver.recv_timeout(LONG).unwrap();
}

#[test]
fn setting_calls_up_and_stopping_them_in_a_loop_keeps_nothing() {
    let witness = Arc::new(());
    let handles: Vec<_> = (0..4)
        .map(|_| {
            let witness = Arc::clone(&witness);
            go(move || {
                for _ in 0..2000 {
                    let inside = Arc::clone(&witness);
                    assert!(after_func(HOUR, move || drop(inside)).stop());
                }
            })
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    assert_eq!(Arc::strong_count(&witness), 1);
}
