//! Parallel loops, ordered streams and pipelines: order, limits, failures, and that nothing is left behind.

mod common;

use common::{Meter, text_of, wait_until_empty};
use lisle::channel::{self, Receiver};
use lisle::context::{self, Context, background};
use lisle::parallel::{for_each, map, merge, ordered, source, stage, try_for_each, try_map};
use lisle::sync::Barrier;
use lisle::{Exited, go};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn results_come_in_the_order_of_the_items_whoever_is_late() {
    let items: Vec<u64> = (0..200).collect();
    let late = |n: &u64| {
        if n.is_multiple_of(50) {
            lisle::time::sleep(Duration::from_millis(3));
        }
        n * 2
    };
    for limit in [1, 3, 1000] {
        let doubled = map(limit, &items, late);
        assert!(doubled.into_iter().eq((0..200).map(|n| n * 2)), "limit {limit}");
        assert!(ordered(limit, 0..200, move |n| late(&n)).eq((0..200).map(|n| n * 2)), "limit {limit}");
    }
    assert!(map(4, Vec::<u64>::new(), |n| n).is_empty());
}

#[test]
fn the_limit_holds_and_can_be_reached() {
    let (meter, all) = (Arc::new(Meter::default()), Arc::new(Barrier::new(4)));
    for_each(4, 0..40, |_| {
        meter.measure(|| all.wait());
    });
    assert_eq!(meter.most(), 4);
    let (meter, all) = (Arc::new(Meter::default()), Arc::new(Barrier::new(4)));
    let inside = Arc::clone(&meter);
    assert_eq!(ordered(4, 0..40, move |_| inside.measure(|| all.wait()).is_leader()).filter(|&led| led).count(), 10);
    assert_eq!(meter.most(), 4);
    let (meter, all) = (Arc::new(Meter::default()), Arc::new(Barrier::new(4)));
    let inside = Arc::clone(&meter);
    let ctx = background();
    let output = stage(&ctx, source(&ctx, 0..40), 4, move |_| inside.measure(|| all.wait()).is_leader());
    assert_eq!(output.iter().filter(|&led| led).count(), 10);
    assert_eq!(meter.most(), 4);
}

#[test]
fn the_error_is_that_of_the_first_item_that_fails_and_not_of_the_first_in_time() {
    let (failed, has_failed) = channel::bounded::<()>(1);
    let result = try_map(4, 0..10, |n| match n {
        2 => {
            has_failed.recv_timeout(LONG).unwrap();
            Err("the second item")
        }
        5 => {
            failed.send(()).unwrap();
            Err("the fifth item")
        }
        _ => Ok(n),
    });
    assert_eq!(result, Err("the second item"));
}

#[test]
fn after_an_error_no_further_items_are_taken() {
    let taken = AtomicUsize::new(0);
    let endless = std::iter::from_fn(|| Some(taken.fetch_add(1, Ordering::SeqCst)));
    assert_eq!(try_for_each(3, endless, |n| if n == 10 { Err(n) } else { Ok(()) }), Err(10));
    assert!(taken.into_inner() >= 11);
}

#[test]
fn a_panic_is_passed_on_with_its_payload_when_all_calls_have_ended() {
    let ended = AtomicUsize::new(0);
    let all = Barrier::new(3);
    let panics = || {
        for_each(3, 0..3, |n: u8| {
            all.wait();
            if n > 0 {
                std::panic::panic_any(n);
            }
            lisle::time::sleep(Duration::from_millis(5));
            ended.fetch_add(1, Ordering::SeqCst);
        });
    };
    let payload = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!(*payload.downcast::<u8>().unwrap(), 1);
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_of_the_iterator_comes_after_the_items_before_it() {
    let items = || (0..10).inspect(|&n| assert!(n < 4, "no more yarn"));
    let ran = AtomicUsize::new(0);
    let count = |_| {
        ran.fetch_add(1, Ordering::SeqCst);
    };
    let payload = catch_unwind(AssertUnwindSafe(|| for_each(2, items(), count))).unwrap_err();
    assert!(text_of(payload).contains("no more yarn"));
    assert_eq!(ran.load(Ordering::SeqCst), 4);
    let mut results = ordered(2, items(), |n| n);
    assert!(results.by_ref().take(4).eq(0..4));
    let payload = catch_unwind(AssertUnwindSafe(|| results.next())).unwrap_err();
    assert!(text_of(payload).contains("no more yarn"));
    assert_eq!(results.next(), None);
}

#[test]
fn exit_in_a_loop_ends_the_caller_as_in_a_plain_loop() {
    let caller = go(|| map(2, 0..4, |n| if n == 2 { lisle::exit() } else { n }));
    assert!(caller.join().unwrap_err().is::<Exited>());
    let caller = go(|| ordered(2, 0..4, |n| if n == 2 { lisle::exit() } else { n }).count());
    assert!(caller.join().unwrap_err().is::<Exited>());
}

#[test]
fn items_may_come_from_a_channel_and_none_is_kept_back() {
    let (requests, incoming) = channel::bounded(0);
    let (answers, answered) = channel::bounded(0);
    let client = go(move || {
        for n in 0..100 {
            requests.send(n).unwrap();
            // The next request comes after the answer only.
            assert_eq!(answered.recv_timeout(LONG), Ok(n));
        }
    });
    for_each(3, incoming, |n| answers.send(n).unwrap());
    client.join().unwrap();
}

#[test]
fn no_more_goroutines_are_started_than_there_are_items() {
    let runtime = common::one_worker();
    let most = runtime.run(|| {
        let all = Barrier::new(3);
        let seen = map(100, 0..3, |_| {
            all.wait();
            lisle::num_goroutines()
        });
        seen.into_iter().max().unwrap()
    });
    // The main goroutine, three with items, and one that looked for a fourth.
    assert!(most <= 5, "{most}");
    wait_until_empty(&runtime);
}

#[test]
fn loops_nest_on_one_worker() {
    let runtime = common::one_worker();
    let sums = runtime.run(|| map(3, 1..=5, |n| map(2, 1..=n, |k| n * k).into_iter().sum::<i32>()));
    assert_eq!(sums, [1, 6, 18, 40, 75]);
    wait_until_empty(&runtime);
}

#[test]
fn a_limit_of_zero_is_told() {
    let told = |f: &dyn Fn()| text_of(catch_unwind(AssertUnwindSafe(f)).unwrap_err()).contains(" 0 ");
    assert!(told(&|| for_each(0, 0..1, |_: i32| ())));
    assert!(told(&|| drop(ordered(0, 0..1, |n: i32| n))));
    assert!(told(&|| drop(stage(&background(), channel::never::<i32>(), 0, |n| n))));
}

#[test]
fn a_stream_runs_ahead_of_its_reader_but_not_far() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let mut results = ordered(3, 0.., move |n: usize| {
        count.fetch_add(1, Ordering::SeqCst);
        n
    });
    let ahead = |taken: usize| started.load(Ordering::SeqCst) - taken;
    for taken in 1..50 {
        assert_eq!(results.next(), Some(taken - 1));
        assert!(ahead(taken) <= 5);
    }
    while ahead(49) < 3 {
        lisle::yield_now();
    }
}

#[test]
fn a_stream_gives_a_panic_in_its_place_and_goes_on() {
    let mut results = ordered(2, 0..4, |n| if n == 1 { panic!("knot in {n}") } else { n });
    assert_eq!(results.next(), Some(0));
    let payload = catch_unwind(AssertUnwindSafe(|| results.next())).unwrap_err();
    assert_eq!(text_of(payload), "knot in 1");
    assert!(results.eq(2..4));
}

#[test]
fn a_stream_that_a_shutdown_cuts_short_does_not_look_complete() {
    let is_cut_short = || {
        let runtime = common::one_worker();
        let (sender, receiver) = channel::bounded(1);
        let is_over = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&is_over);
        let busy = runtime.go(move || {
            sender.send(ordered(2, 0..10, |n| n)).unwrap();
            while !shared.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let results = receiver.recv().unwrap();
        runtime.shutdown(Duration::ZERO);
        is_over.store(true, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| results.count()));
        busy.join().unwrap();
        match outcome {
            Ok(count) => {
                assert_eq!(count, 10);
                false
            }
            Err(payload) => {
                let text = text_of(payload);
                assert!(text.contains("created at tests/parallel.rs:") && text.contains("shut down"), "{text}");
                true
            }
        }
    };
    // The watchdog may have started the stream elsewhere, if we were late.
    assert!((0..10).any(|_| is_cut_short()));
}

#[test]
fn a_stream_ends_after_a_failure_of_its_iterator() {
    let mut results = ordered(1, (0..3).map(|n| if n == 1 { panic!("moths") } else { n }), |n| n);
    assert_eq!(results.next(), Some(0));
    assert_eq!(text_of(catch_unwind(AssertUnwindSafe(|| results.next())).unwrap_err()), "moths");
    assert!(results.next().is_none() && results.next().is_none());
}

#[test]
fn a_panic_in_a_stream_that_nobody_reads_is_reported_with_the_line_of_the_stream() {
    const NAME: &str = "a_panic_in_a_stream_that_nobody_reads_is_reported_with_the_line_of_the_stream";
    let Some(output) = common::in_child(NAME, &[]) else {
        let runtime = common::one_worker();
        let (panics, panicked) = channel::unbounded();
        let boom = move |n: i32| {
            if n == 1 {
                panics.send(()).map_or((), |()| panic!("moths"))
            }
        };
        runtime.run(|| {
            let in_call = boom.clone();
            let mut results = ordered(1, 0..2, in_call); // the call's line
            assert_eq!((results.next(), panicked.recv()), (Some(()), Ok(())));
            drop(results);
            let mut results = ordered(1, (0..2).map(boom), |item| item); // the iterator's line
            assert_eq!((results.next(), panicked.recv()), (Some(()), Ok(())));
        });
        return wait_until_empty(&runtime);
    };
    let text = common::stderr(&output);
    assert!(output.status.success(), "{text}");
    let line = |mark: &str| 1 + include_str!("parallel.rs").lines().position(|line| line.ends_with(mark)).unwrap();
    let call = format!("created at tests/parallel.rs:{}:", line("; // the call's line"));
    let iterator = format!("created at tests/parallel.rs:{}:", line("; // the iterator's line"));
    let told = |place: &str| text.lines().any(|line| line.starts_with("lisle: ") && line.contains(place));
    assert!(told(&call) && told(&iterator), "{text}");
}

#[test]
fn a_stream_starts_no_more_goroutines_than_there_are_items() {
    assert!(ordered(usize::MAX, 0..3, |n| n).eq(0..3));
}

#[test]
fn limits_beyond_all_memory_are_as_good_as_none() {
    for limit in [usize::MAX, usize::MAX - 1, isize::MAX as usize] {
        assert!(map(limit, 0..3, |n| n).into_iter().eq(0..3));
        assert!(ordered(limit, 0..3, |n| n).eq(0..3));
        let ctx = background();
        assert_eq!(stage(&ctx, source(&ctx, 0..3), limit, |n| n).iter().count(), 3);
        let pool = lisle::pool::Pool::builder().workers(limit).queue(limit).build();
        assert_eq!(pool.submit(|| 3).unwrap().join().unwrap(), 3);
    }
}

#[test]
fn calls_that_compute_run_side_by_side() {
    /// On one thread, the first would wait for the second in vain.
    fn meet(inside: &AtomicUsize) {
        inside.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        while inside.load(Ordering::SeqCst) < 2 {
            assert!(start.elapsed() < LONG, "the other does not run");
            std::hint::spin_loop();
        }
    }
    let runtime = lisle::Config::new().workers(2).start().expect("a runtime");
    runtime.run(|| {
        let inside = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let [one, two, three] = inside.clone();
        assert_eq!(ordered(2, 0..2, move |_| meet(&one)).count(), 2);
        let (ctx, (sender, items)) = (background(), channel::bounded(2));
        // The second comes when the first is under way.
        let under_way = Arc::clone(&two);
        let met = stage(&ctx, items, 2, move |_: i32| meet(&two));
        thread::spawn(move || {
            sender.send(0).unwrap();
            while under_way.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            sender.send(1).unwrap();
        });
        assert_eq!(met.iter().count(), 2);
        for_each(2, 0..2, |_| meet(&three));
    });
}

#[test]
fn whoever_is_free_takes_the_next_item_of_a_stream() {
    let runtime = lisle::Config::new().workers(2).start().expect("a runtime");
    let made: Vec<_> = (0..100).map(|_| AtomicBool::new(false)).collect();
    let start = Instant::now();
    // Every fourth call computes until the next two have been made.
    let call = move |n: usize| {
        let next_two = [&made[n + 1], &made[n + 2]];
        while n.is_multiple_of(4) && !next_two.iter().all(|made| made.load(Ordering::SeqCst)) {
            assert!(start.elapsed() < LONG, "the next two wait for a call that computes");
            std::hint::spin_loop();
        }
        made[n].store(true, Ordering::SeqCst);
    };
    // Read by a thread that nobody holds up.
    let results = runtime.run(|| ordered(2, 0..83, call));
    assert_eq!(results.count(), 83);
}

#[test]
fn a_reader_that_goes_away_leaves_no_goroutine_behind() {
    let runtime = common::one_worker();
    runtime.run(|| {
        assert!(ordered(3, 0.., |n| n).take(10).eq(0..10));
        drop(ordered(3, 0.., |n| n));
        let ctx = background();
        let numbers = merge(&ctx, [source(&ctx, 0..), source(&ctx, 0..)]);
        let doubled = stage(&ctx, numbers, 3, |n: u64| n * 2);
        let texts = stage(&ctx, doubled, 2, |n| n.to_string());
        assert_eq!(texts.iter().take(10).count(), 10);
    });
    wait_until_empty(&runtime);
}

#[test]
fn a_context_ends_a_pipeline_that_waits() {
    fn pipeline(ctx: &Context, silent: Receiver<u64>) -> Receiver<u64> {
        merge(ctx, [stage(ctx, silent, 3, |n| n), source(ctx, 0..3)])
    }
    let runtime = common::one_worker();
    let (sender, silent) = channel::bounded(0);
    runtime.run(|| {
        let (ctx, cancel) = context::with_cancel(&background());
        let output = pipeline(&ctx, silent);
        assert_eq!(output.iter().take(3).count(), 3);
        cancel.cancel();
        assert_eq!(output.iter().count(), 0);
    });
    wait_until_empty(&runtime);
    assert!(sender.send(1).is_err());
}

#[test]
fn a_pipeline_loses_and_repeats_nothing() {
    let ctx = background();
    let numbers = merge(&ctx, [source(&ctx, 0..500), source(&ctx, 500..1000)]);
    let (one, other) = (numbers.clone(), numbers);
    let both = [stage(&ctx, one, 3, |n: u32| n), stage(&ctx, other, 2, |n| n)];
    let all: Vec<u32> = merge(&ctx, both).iter().collect();
    assert_eq!(all.len(), 1000);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 1000);
}

#[test]
fn a_stage_goes_on_after_a_panic_which_is_reported() {
    const NAME: &str = "a_stage_goes_on_after_a_panic_which_is_reported";
    let Some(output) = common::in_child(NAME, &[]) else {
        let runtime = common::one_worker();
        let rest = runtime.run(|| {
            let ctx = background();
            stage(&ctx, source(&ctx, 0..10), 1, |n| match n {
                3 => panic!("three is odd"),
                4 => lisle::exit(),
                n => n,
            })
        });
        assert_eq!(rest.iter().collect::<Vec<_>>(), [0, 1, 2, 5, 6, 7, 8, 9]);
        return wait_until_empty(&runtime);
    };
    let text = common::stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("(\"stage\") created at tests/parallel.rs:"), "{text}");
    assert_eq!(text.matches("nobody joined it").count(), 1, "{text}");
}
