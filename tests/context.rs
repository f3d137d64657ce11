//! Contexts: ends, deadlines, values, and the waits that they end.

mod common;

use lisle::channel::{self, TryRecvError, bounded, unbounded};
use lisle::context::{self, Context, Error, Key, RecvError, SendError};
use lisle::sync::Semaphore;
use lisle::{go, select};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn is_closed(ctx: &Context) -> bool {
    ctx.done().try_recv() == Err(TryRecvError::Disconnected)
}

/// Waits until `goroutine` waits.
fn until_it_waits(goroutine: &lisle::Goroutine) {
    let start = Instant::now();
    while goroutine.wait_reason() == lisle::WaitReason::None {
        assert!(start.elapsed() < LONG, "it never waits");
        thread::sleep(ms(1));
    }
}

struct Name;
impl Key for Name {
    type Value = String;
}

struct Number;
impl Key for Number {
    type Value = u32;
}

// ---- ends ----

#[test]
fn the_background_is_never_done() {
    let background = context::background();
    assert_eq!((background.err(), background.deadline()), (None, None));
    assert!(background.cause().is_none());
    assert_eq!(background.done().try_recv(), Err(TryRecvError::Empty));
    assert!(background.done().same_channel(&channel::never()));
    assert_eq!(background.check(), Ok(()));
}

#[test]
fn cancelling_reaches_all_descendants_and_no_one_else() {
    let (root, cancel) = context::with_cancel(&context::background());
    let (child, _cancel_child) = context::with_cancel(&root);
    let with_value = context::with_value::<Number>(&child, 1);
    let (grandchild, _cancel_grandchild) = context::with_timeout(&with_value, HOUR);
    let (other, _cancel_other) = context::with_cancel(&context::background());
    for ctx in [&root, &child, &with_value, &grandchild, &other] {
        assert!(ctx.err().is_none() && !is_closed(ctx));
    }
    cancel.cancel();
    for ctx in [&root, &child, &with_value, &grandchild] {
        assert_eq!(ctx.err(), Some(Error::Cancelled));
        assert!(is_closed(ctx));
    }
    assert_eq!(other.err(), None);
    cancel.cancel();
}

#[test]
fn a_child_that_is_cancelled_leaves_its_parent_and_siblings_alone() {
    let (root, _cancel) = context::with_cancel(&context::background());
    let (first, cancel_first) = context::with_cancel(&root);
    let (second, _cancel_second) = context::with_cancel(&root);
    cancel_first.cancel();
    assert!(first.err().is_some() && second.err().is_none() && root.err().is_none());
}

#[test]
fn what_is_derived_from_a_done_context_is_done() {
    let (root, cancel) = context::with_cancel_cause(&context::background());
    cancel.cancel("over");
    let (child, _cancel) = context::with_timeout(&context::with_value::<Number>(&root, 1), HOUR);
    assert!(is_closed(&child));
    assert_eq!(child.err(), Some(Error::Cancelled));
    assert_eq!(child.cause().unwrap().to_string(), "over");
}

#[test]
fn dropping_the_last_cancel_cancels_unless_it_is_detached() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let clone = cancel.clone();
    drop(cancel);
    assert_eq!(ctx.err(), None);
    drop(clone);
    assert_eq!(ctx.err(), Some(Error::Cancelled));

    let (root, cancel_root) = context::with_cancel(&context::background());
    let (ctx, cancel) = context::with_cancel(&root);
    let clone = cancel.clone();
    cancel.detach();
    assert_eq!(ctx.err(), None);
    drop(clone);
    assert_eq!(ctx.err(), None);
    cancel_root.cancel();
    assert_eq!(ctx.err(), Some(Error::Cancelled));

    let (ctx, _) = context::with_cancel(&context::background());
    assert_eq!(ctx.err(), Some(Error::Cancelled), "`_` drops at once");
}

#[test]
fn a_panic_cancels_what_it_leaves() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let seen = ctx.clone();
    let worker = go(move || seen.wait());
    let failing = go(move || {
        let _cancel = cancel;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(failing.join().is_err());
    assert_eq!(worker.join().unwrap(), Error::Cancelled);
}

#[test]
fn the_words_are_gos() {
    assert_eq!(Error::Cancelled.to_string(), "context cancelled");
    assert_eq!(Error::DeadlineExceeded.to_string(), "context deadline exceeded");
    let error: Box<dyn std::error::Error + Send + Sync> = RecvError::Done(Error::Cancelled).into();
    assert_eq!(error.to_string(), "context cancelled");
    assert_eq!(error.source().unwrap().to_string(), "context cancelled");
    assert!(RecvError::Disconnected.to_string().contains("disconnected"));
    assert_eq!(SendError::Done("message", Error::DeadlineExceeded).to_string(), "context deadline exceeded");
}

#[test]
fn the_first_canceller_gives_the_cause() {
    let (root, cancel_root) = context::with_cancel_cause(&context::background());
    let (child, cancel_child) = context::with_cancel_cause(&root);
    let (grandchild, _cancel) = context::with_cancel(&child);
    cancel_child.cancel(std::io::Error::other("the child's"));
    cancel_root.cancel("the root's");
    cancel_child.cancel("too late");
    let text = |ctx: &Context| ctx.cause().unwrap().to_string();
    assert_eq!([text(&root), text(&child), text(&grandchild)], ["the root's", "the child's", "the child's"]);
    assert!(child.cause().unwrap().downcast_ref::<std::io::Error>().is_some());
    let (plain, cancel) = context::with_cancel(&context::background());
    cancel.cancel();
    assert_eq!(text(&plain), "context cancelled");
}

#[test]
fn whoever_sees_done_closed_finds_the_error() {
    for _ in 0..200 {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let ctx = ctx.clone();
                thread::spawn(move || {
                    while !is_closed(&ctx) {
                        std::hint::spin_loop();
                    }
                    ctx.err()
                })
            })
            .collect();
        cancel.cancel();
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), Some(Error::Cancelled));
        }
    }
}

#[test]
fn when_cancel_returns_all_below_are_done_whoever_cancels_too() {
    for round in 0..100 {
        let (root, cancel_root) = context::with_cancel(&context::background());
        let mut chain = vec![context::with_cancel(&root)];
        for _ in 0..50 {
            chain.push(context::with_cancel(&chain[chain.len() - 1].0));
        }
        let leaf = chain[chain.len() - 1].0.clone();
        let start = Arc::new(Barrier::new(3));
        let cancellers = [cancel_root, chain[round % 50].1.clone(), chain[0].1.clone()];
        let threads = cancellers.map(|cancel| {
            let (leaf, start) = (leaf.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                cancel.cancel();
                leaf.done().try_recv() == Err(TryRecvError::Disconnected) && leaf.err().is_some()
            })
        });
        for thread in threads {
            assert!(thread.join().unwrap(), "round {round}");
        }
    }
}

#[test]
fn children_that_come_while_the_parent_ends_end_too() {
    for _ in 0..100 {
        let (root, cancel) = context::with_cancel(&context::background());
        let deriving = thread::spawn(move || {
            let mut children = Vec::new();
            while root.err().is_none() {
                children.push(context::with_cancel(&root));
            }
            children
        });
        thread::yield_now();
        cancel.cancel();
        let children = deriving.join().unwrap();
        assert!(children.iter().all(|(child, _cancel)| is_closed(child)));
    }
}

// ---- deadlines ----

#[test]
fn a_timeout_ends_waits_of_goroutines_and_threads() {
    let (ctx, _cancel) = context::with_timeout(&context::background(), ms(5));
    let start = Instant::now();
    let (for_goroutine, for_thread) = (ctx.clone(), ctx.clone());
    let goroutine = go(move || for_goroutine.wait());
    let thread = thread::spawn(move || for_thread.wait());
    assert_eq!(goroutine.join().unwrap(), Error::DeadlineExceeded);
    assert_eq!(thread.join().unwrap(), Error::DeadlineExceeded);
    assert!(is_closed(&ctx) && start.elapsed() < LONG);
    assert_eq!(ctx.cause().unwrap().to_string(), "context deadline exceeded");
}

#[test]
fn a_deadline_that_has_passed_ends_at_once() {
    let past = Instant::now() - ms(1);
    let (ctx, _cancel) = context::with_deadline(&context::background(), past);
    assert!(is_closed(&ctx));
    assert_eq!(ctx.err(), Some(Error::DeadlineExceeded));
    let (ctx, _cancel) = context::with_deadline_cause(&context::background(), past, "long ago");
    assert_eq!(ctx.cause().unwrap().to_string(), "long ago");
}

#[test]
fn the_parents_earlier_deadline_wins() {
    let background = context::background();
    let (parent, _cancel_parent) = context::with_timeout_cause(&background, ms(5), "the parent's");
    let (later, _cancel_later) = context::with_timeout_cause(&parent, HOUR, "the child's");
    assert_eq!(later.deadline(), parent.deadline());
    assert_eq!(later.wait(), Error::DeadlineExceeded);
    assert_eq!(later.cause().unwrap().to_string(), "the parent's");

    let (parent, _cancel_parent) = context::with_timeout(&background, HOUR);
    let (earlier, _cancel_earlier) = context::with_timeout(&parent, ms(5));
    assert!(earlier.deadline() < parent.deadline());
    assert_eq!(earlier.wait(), Error::DeadlineExceeded);
    assert_eq!(parent.err(), None);
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    let (ctx, cancel) = context::with_timeout(&context::background(), Duration::MAX);
    assert_eq!((ctx.deadline(), ctx.err()), (None, None));
    cancel.cancel();
    assert_eq!(ctx.err(), Some(Error::Cancelled));
}

#[test]
fn cancel_and_timeout_may_race() {
    let (mut cancelled, mut expired) = (0, 0);
    for round in 0..1000 {
        let timeout = Duration::from_micros(round % 60);
        let (ctx, cancel) = context::with_timeout(&context::background(), timeout);
        let (child, _cancel_child) = context::with_cancel(&ctx);
        for _ in 0..(round % 40) * 20 {
            std::hint::spin_loop();
        }
        cancel.cancel();
        let error = ctx.err().unwrap();
        assert!(is_closed(&ctx) && is_closed(&child));
        assert_eq!((ctx.err(), child.err()), (Some(error), Some(error)));
        match error {
            Error::Cancelled => cancelled += 1,
            Error::DeadlineExceeded => expired += 1,
        }
    }
    println!("cancelled {cancelled}, expired {expired}");
    assert!(cancelled > 0 && expired > 0);
}

#[test]
fn one_that_computes_sees_its_deadline_although_no_worker_is_free() {
    common::one_worker().run(|| {
        let (ctx, _cancel) = context::with_timeout_cause(&context::background(), ms(2), "enough");
        let (child, _cancel_child) = context::with_cancel(&ctx);
        let start = Instant::now();
        while child.check().is_ok() {
            assert!(start.elapsed() < LONG);
        }
        assert_eq!(child.err(), Some(Error::DeadlineExceeded));
        assert_eq!(ctx.cause().unwrap().to_string(), "enough");
        assert!(is_closed(&ctx) && is_closed(&child));
    });
}

#[test]
fn when_the_runtime_that_keeps_a_deadline_is_shut_down_the_context_ends() {
    let runtime = common::one_worker();
    let (ctx, _cancel) = runtime.run(|| context::with_timeout(&context::background(), HOUR));
    let waiting = ctx.clone();
    let waiting = thread::spawn(move || waiting.wait());
    assert_eq!(ctx.err(), None);
    runtime.shutdown(LONG);
    assert_eq!(waiting.join().unwrap(), Error::Cancelled);
    assert!(ctx.cause().unwrap().to_string().contains("shut down"));
}

// ---- values ----

#[test]
fn values_are_found_by_their_keys_from_the_nearest_context_up() {
    let background = context::background();
    let outer = context::with_value::<Name>(&background, "outer".into());
    let (middle, _cancel) = context::with_cancel(&outer);
    let inner = context::with_value::<Name>(&context::with_value::<Number>(&middle, 7), "inner".into());
    assert_eq!(inner.value::<Name>().unwrap(), "inner");
    assert_eq!(inner.value::<Number>(), Some(&7));
    assert_eq!(middle.value::<Name>().unwrap(), "outer");
    assert_eq!(middle.value::<Number>(), None);
    assert_eq!(background.value::<Name>(), None);
}

#[test]
fn a_value_shares_its_parents_end() {
    let (parent, cancel) = context::with_timeout(&context::background(), HOUR);
    let ctx = context::with_value::<Number>(&parent, 1);
    assert!(ctx.done().same_channel(parent.done()));
    assert_eq!(ctx.deadline(), parent.deadline());
    cancel.cancel();
    assert_eq!(ctx.err(), Some(Error::Cancelled));
}

#[test]
fn without_cancel_keeps_values_only() {
    let (parent, cancel) = context::with_timeout(&context::background(), HOUR);
    let ctx = context::without_cancel(&context::with_value::<Number>(&parent, 1));
    let (derived, _cancel) = context::with_cancel(&ctx);
    cancel.cancel();
    assert_eq!(ctx.value::<Number>(), Some(&1));
    assert_eq!((ctx.err(), ctx.deadline(), derived.err(), derived.deadline()), (None, None, None, None));
    assert!(!is_closed(&ctx));
}

#[test]
fn a_value_is_dropped_with_the_last_context_that_carries_it() {
    struct Witness;
    impl Key for Witness {
        type Value = Arc<()>;
    }
    let witness = Arc::new(());
    let (root, _cancel) = context::with_cancel(&context::background());
    let ctx = context::with_value::<Witness>(&root, Arc::clone(&witness));
    let (child, cancel_child) = context::with_cancel(&ctx);
    drop(ctx);
    assert_eq!(Arc::strong_count(&witness), 2);
    drop((child, cancel_child));
    assert_eq!(Arc::strong_count(&witness), 1);
}

// ---- depth, and memory ----

#[test]
fn a_chain_of_a_hundred_thousand_is_cancelled_and_dropped_on_a_small_stack() {
    go(|| {
        let (root, cancel) = context::with_cancel(&context::background());
        let mut leaf = root.clone();
        for i in 0..100_000 {
            let (next, cancel) = context::with_cancel(&leaf);
            cancel.detach();
            leaf = if i % 3 == 0 { context::with_value::<Number>(&next, i) } else { next };
        }
        assert!(format!("{leaf:?}").len() < 1000);
        cancel.cancel();
        assert_eq!(leaf.err(), Some(Error::Cancelled));
        assert!(is_closed(&leaf));
        drop(leaf);
        drop(root);
    })
    .join()
    .unwrap();
}

#[test]
fn a_chain_of_a_hundred_thousand_is_dropped_without_an_end() {
    go(|| {
        let mut leaf = context::background();
        for i in 0..100_000 {
            leaf = match i % 4 {
                0 => context::with_value::<Number>(&leaf, i),
                1 => context::without_cancel(&leaf),
                _ => {
                    let (next, cancel) = context::with_cancel(&leaf);
                    cancel.detach();
                    next
                }
            };
        }
        drop(leaf);
    })
    .join()
    .unwrap();
}

#[test]
fn a_value_is_found_through_ten_thousand_levels() {
    go(|| {
        let mut ctx = context::with_value::<Name>(&context::background(), "deep".into());
        for i in 0..10_000 {
            ctx = context::with_value::<Number>(&ctx, i);
        }
        assert_eq!(ctx.value::<Name>().unwrap(), "deep");
    })
    .join()
    .unwrap();
}

#[test]
fn a_parent_that_ends_finds_no_trace_of_children_that_were_dropped() {
    let (root, cancel) = context::with_cancel(&context::background());
    let calls = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        let (child, cancel_child) = context::with_timeout(&root, HOUR);
        let inside = Arc::clone(&calls);
        let call = context::after_func(&child, move || {
            inside.fetch_add(1, Ordering::Relaxed);
        });
        assert!(call.stop());
        cancel_child.detach();
    }
    assert_eq!(Arc::strong_count(&calls), 1);
    cancel.cancel();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

// ---- calls ----

#[test]
fn a_call_runs_in_its_own_goroutine_when_the_context_ends() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, receiver) = bounded(1);
    let line = line!() + 1;
    let call = context::after_func(&ctx, move || sender.send(lisle::current()).unwrap());
    assert_eq!(receiver.recv_timeout(ms(3)).unwrap_err(), channel::RecvTimeoutError::Timeout);
    cancel.cancel();
    let goroutine = receiver.recv_timeout(LONG).unwrap();
    assert_eq!((goroutine.created_at().file(), goroutine.created_at().line()), (file!(), line));
    assert!(!call.stop());
}

#[test]
fn a_call_on_a_done_context_runs_at_once() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    cancel.cancel();
    let (sender, receiver) = bounded(1);
    let call = context::after_func(&ctx, move || sender.send(()).unwrap());
    receiver.recv_timeout(LONG).unwrap();
    assert!(!call.stop());
}

#[test]
fn a_stopped_or_dropped_call_never_runs() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, receiver) = unbounded();
    let [stopped, dropped, detached] = ["stopped", "dropped", "detached"].map(|text| {
        let sender = sender.clone();
        context::after_func(&ctx, move || sender.send(text).unwrap())
    });
    drop(sender);
    assert!(stopped.stop() && !stopped.stop());
    drop(dropped);
    detached.detach();
    cancel.cancel();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["detached"]);
    let witness = Arc::new(());
    let inside = Arc::clone(&witness);
    let never = context::after_func(&context::background(), move || drop(inside));
    assert!(never.stop());
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn either_the_stop_or_the_end_wins() {
    for round in 0..500 {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let (sender, receiver) = bounded(1);
        let call = context::after_func(&ctx, move || sender.send(()).unwrap());
        let cancelling = go(move || cancel.cancel());
        if round % 2 == 0 {
            thread::yield_now();
        }
        if call.stop() {
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        } else {
            assert_eq!(receiver.recv_timeout(LONG), Ok(()));
        }
        cancelling.join().unwrap();
    }
}

#[test]
fn what_is_dropped_by_an_end_may_use_contexts_itself() {
    struct Curious(Context);
    impl Drop for Curious {
        fn drop(&mut self) {
            // Would hang, if it were dropped under a lock.
            let (child, _cancel) = context::with_cancel(&self.0);
            let _ = (child.err(), context::after_func(&self.0, || ()));
        }
    }
    let (ctx, cancel) = context::with_cancel(&context::background());
    let curious = Curious(ctx.clone());
    let call = context::after_func(&ctx, move || drop(curious));
    assert!(call.stop());
    let curious = Curious(ctx.clone());
    context::after_func(&ctx, move || drop(curious)).detach();
    cancel.cancel();
    let curious = Curious(ctx.clone());
    context::after_func(&ctx, move || drop(curious)).detach();
    let (timed, cancel_timed) = context::with_timeout(&context::background(), HOUR);
    let curious = Curious(timed.clone());
    let valued = context::with_value::<Witnessed>(&timed, Box::new(curious));
    drop((valued, cancel_timed));

    struct Witnessed;
    impl Key for Witnessed {
        type Value = Box<Curious>;
    }
}

// ---- waits ----

#[test]
fn an_end_wakes_who_selects_on_it() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (_sender, receiver) = unbounded::<()>();
    let waiting = go(move || {
        select! {
            recv(ctx.done()) -> nothing => nothing.is_err(),
            recv(receiver) -> _ => unreachable!(),
        }
    });
    until_it_waits(&waiting.goroutine());
    drop(cancel);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_receive_ends_with_the_context_and_loses_nothing() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, receiver) = bounded(1);
    let waiting = {
        let (ctx, receiver) = (ctx.clone(), receiver.clone());
        go(move || ctx.recv(&receiver))
    };
    until_it_waits(&waiting.goroutine());
    cancel.cancel();
    assert_eq!(waiting.join().unwrap(), Err(RecvError::Done(Error::Cancelled)));
    sender.send(1).unwrap();
    assert_eq!(ctx.recv(&receiver), Err(RecvError::Done(Error::Cancelled)));
    assert_eq!(context::background().recv(&receiver), Ok(1));
    drop(sender);
    assert_eq!(context::background().recv(&receiver), Err(RecvError::Disconnected));
}

#[test]
fn a_send_that_the_context_ends_gives_the_message_back() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, receiver) = bounded(0);
    let waiting = {
        let (ctx, sender) = (ctx.clone(), sender.clone());
        go(move || ctx.send(&sender, String::from("message")))
    };
    until_it_waits(&waiting.goroutine());
    cancel.cancel();
    assert_eq!(waiting.join().unwrap(), Err(SendError::Done("message".into(), Error::Cancelled)));
    assert_eq!(ctx.send(&sender, "late".into()).unwrap_err().into_inner(), "late");
    let receiving = go(move || receiver.recv());
    assert_eq!(context::background().send(&sender, "arrives".into()), Ok(()));
    assert_eq!(receiving.join().unwrap().unwrap(), "arrives");
    let lost = context::background().send(&sender, "nobody".into());
    assert_eq!(lost, Err(SendError::Disconnected("nobody".into())));
}

#[test]
fn iteration_ends_on_close_or_with_the_context() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let (sender, receiver) = unbounded();
    (0..3).for_each(|i| sender.send(i).unwrap());
    assert!(ctx.iter(&receiver).take(3).eq(0..3));
    let counting = {
        let receiver = receiver.clone();
        go(move || ctx.iter(&receiver).count())
    };
    sender.send(9).unwrap();
    until_it_waits(&counting.goroutine());
    cancel.cancel();
    assert_eq!(counting.join().unwrap(), 1);
    drop(sender);
    assert_eq!(context::background().iter(&receiver).count(), 0);
}

#[test]
fn a_sleep_ends_with_the_context() {
    assert_eq!(context::background().sleep(ms(1)), Ok(()));
    let (ctx, cancel) = context::with_cancel(&context::background());
    let sleeping = go(move || (ctx.sleep(HOUR), ctx.sleep(Duration::ZERO)));
    until_it_waits(&sleeping.goroutine());
    cancel.cancel();
    assert_eq!(sleeping.join().unwrap(), (Err(Error::Cancelled), Err(Error::Cancelled)));
}

#[test]
fn a_sleep_beyond_the_deadline_fails_although_nobody_has_come_to_it() {
    let (sender, receiver) = bounded(1);
    let computing = AtomicBool::new(true);
    let runtime = common::one_worker();
    thread::scope(|threads| {
        threads.spawn(|| {
            runtime.run(|| {
                sender.send(context::with_timeout(&context::background(), ms(1))).unwrap();
                while computing.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        });
        let (ctx, _cancel) = receiver.recv().unwrap();
        let slept = ctx.sleep(ms(3));
        computing.store(false, Ordering::Relaxed);
        assert_eq!(slept, Err(Error::DeadlineExceeded));
    });
}

#[test]
fn an_owned_permit_is_waited_for_in_the_same_way() {
    let semaphore = Arc::new(Semaphore::new(1));
    let (ctx, cancel) = context::with_cancel(&context::background());
    let permit = ctx.acquire_owned(&semaphore, 1).unwrap();
    let (waits, shared) = (ctx.clone(), Arc::clone(&semaphore));
    let waiting = go(move || waits.acquire_owned(&shared, 1).map(drop));
    until_it_waits(&waiting.goroutine());
    cancel.cancel();
    assert_eq!(waiting.join().unwrap(), Err(Error::Cancelled));
    drop(permit);
    assert!(ctx.acquire_owned(&semaphore, 1).is_err());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn who_gives_up_a_semaphore_leaves_the_queue_to_those_behind() {
    let semaphore = Arc::new(Semaphore::new(3));
    let held = semaphore.acquire(2);
    let (ctx, cancel) = context::with_cancel(&context::background());
    let wants_much = {
        let (ctx, semaphore) = (ctx.clone(), Arc::clone(&semaphore));
        go(move || ctx.acquire(&semaphore, 3).map(drop))
    };
    until_it_waits(&wants_much.goroutine());
    let wants_little = {
        let semaphore = Arc::clone(&semaphore);
        thread::spawn(move || semaphore.acquire_timeout(1, LONG).is_some())
    };
    thread::sleep(ms(5));
    assert!(!wants_little.is_finished(), "it must not pass the one before it");
    cancel.cancel();
    assert_eq!(wants_much.join().unwrap(), Err(Error::Cancelled));
    assert!(wants_little.join().unwrap());
    assert_eq!(ctx.acquire(&semaphore, 1).unwrap_err(), Error::Cancelled, "also if a permit is free");
    drop(held);
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn permits_and_ends_may_race_and_no_permit_is_lost() {
    let semaphore = Arc::new(Semaphore::new(1));
    let handles: Vec<_> = (0..8_u64)
        .map(|i| {
            let semaphore = Arc::clone(&semaphore);
            let contend = move || {
                for round in 0..100 {
                    let timeout = Duration::from_micros((round * 7 + i * 13) % 60);
                    let (ctx, _cancel) = context::with_timeout(&context::background(), timeout);
                    if let Ok(_permit) = ctx.acquire(&semaphore, 1) {
                        lisle::yield_now();
                    }
                }
            };
            if i % 4 == 0 {
                let thread = thread::spawn(contend);
                go(move || lisle::blocking(move || thread.join().unwrap()))
            } else {
                go(contend)
            }
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn work_is_repeated_until_the_context_is_done() {
    common::one_worker().run(|| {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let count = Arc::new(AtomicUsize::new(0));
        let inside = Arc::clone(&count);
        // It never waits, and lets us run all the same.
        let working = go(move || {
            ctx.run_until_done(|| {
                inside.fetch_add(1, Ordering::Relaxed);
            })
        });
        while count.load(Ordering::Relaxed) < 10 {
            lisle::yield_now();
        }
        cancel.cancel();
        assert_eq!(working.join().unwrap(), Error::Cancelled);
    });
}

#[test]
fn all_of_it_works_on_one_worker() {
    common::one_worker().run(|| {
        let (root, cancel) = context::with_timeout(&context::background(), LONG);
        let (results, all) = unbounded();
        for i in 0..10 {
            let (ctx, cancel) = context::with_timeout(&root, if i % 2 == 0 { ms(3) } else { HOUR });
            let results = results.clone();
            go(move || {
                let _cancel = cancel;
                let error = ctx.wait();
                results.send((i % 2, error)).unwrap();
            });
        }
        drop(results);
        let early: Vec<_> = all.iter().take(5).collect();
        assert_eq!(early, [(0, Error::DeadlineExceeded); 5]);
        cancel.cancel();
        assert_eq!(all.iter().collect::<Vec<_>>(), [(1, Error::Cancelled); 5]);
    });
}

#[test]
fn a_context_crosses_runtimes_and_threads() {
    fn assert_shared<T: Send + Sync + Clone + std::panic::UnwindSafe>(_: &T) {}
    let (ctx, cancel) = context::with_cancel(&context::background());
    assert_shared(&ctx);
    assert_shared(&cancel);
    let (one, other) = (common::one_worker(), common::one_worker());
    let cancelled = Arc::new(AtomicBool::new(false));
    let waiting = {
        let ctx = ctx.clone();
        one.go(move || ctx.wait())
    };
    let inside = Arc::clone(&cancelled);
    let (sender, receiver) = bounded::<()>(0);
    one.run(|| context::after_func(&ctx, move || drop((inside.store(true, Ordering::Relaxed), sender))).detach());
    other.run(|| cancel.cancel());
    assert_eq!(waiting.join().unwrap(), Error::Cancelled);
    assert!(receiver.recv().is_err() && cancelled.load(Ordering::Relaxed));
}

#[test]
fn the_debug_output_shows_the_way_from_the_background() {
    let (ctx, cancel) = context::with_cancel(&context::background());
    let ctx = context::with_value::<Number>(&ctx, 7);
    let (ctx, _cancel_timed) = context::with_timeout(&context::without_cancel(&ctx), HOUR);
    let text = format!("{ctx:?}");
    assert!(
        text.starts_with("background.with_cancel.with_value(context::Number).without_cancel.with_deadline(in "),
        "{text}"
    );
    cancel.cancel();
    assert!(format!("{ctx:?}").starts_with("background.with_cancel[context cancelled]."));
    assert_eq!(format!("{:?}", context::background()), "background");
    assert!(format!("{cancel:?}").contains("context cancelled"));
}
