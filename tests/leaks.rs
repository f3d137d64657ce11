//! Goroutines that a test leaves behind.

mod common;

use common::text_of;
use lisle::channel::{TryRecvError, bounded};
use lisle::sync::WaitGroup;
use lisle::testing::{LeakCheck, assert_no_leaks};
use lisle::{Builder, context, errgroup, go, pool, time};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);

/// The text of the panic.
fn failure(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| LeakCheck::new().grace(SHORT).run(f))).expect_err("a leak");
    text_of(payload)
}

#[inline(never)]
fn send_to_nobody(sender: &lisle::channel::Sender<u32>) {
    let _ = sender.send(1);
}

/// Starts one that waits for ever, and sees to it that it has begun.
fn leave_behind(builder: Builder, sender: lisle::channel::Sender<u32>) {
    let (starts, started) = bounded(0);
    let left = move || {
        starts.send(()).unwrap();
        send_to_nobody(&sender);
    };
    drop(builder.go(left).unwrap());
    started.recv().unwrap();
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the debug information of cargo race has shorter names")]
fn one_that_is_left_is_told_with_its_stack_and_the_place_of_the_check() {
    let (sender, receiver) = bounded(0);
    let text = failure(|| leave_behind(Builder::new().name("late"), sender));
    assert!(text.starts_with("1 goroutine(s) that were created in the closure at tests/leaks.rs:"), "{text}");
    assert!(text.contains(" are left over, 50ms after its end:\n\n"), "{text}");
    assert!(text.contains("[chan send, name \"late\", labels {leak check "), "{text}");
    assert!(text.contains("leaks::send_to_nobody(...)\n"), "{text}");
    drop(receiver);
}

#[test]
fn one_that_goes_on_all_the_time_is_seen() {
    for _ in 0..30 {
        let (stop, stopped) = bounded::<()>(0);
        let (starts, started) = bounded(0);
        let check = LeakCheck::new().grace(Duration::from_millis(1));
        let leave_busy = || {
            go(move || {
                starts.send(()).unwrap();
                while stopped.try_recv() == Err(TryRecvError::Empty) {
                    lisle::yield_now();
                }
            });
            started.recv().unwrap();
        };
        let text = text_of(catch_unwind(AssertUnwindSafe(|| check.run(leave_busy))).expect_err("a leak"));
        assert!(text.contains("labels {leak check "), "{text}");
        drop(stop);
    }
}

#[test]
fn one_that_has_not_started_is_waited_for_while_others_end() {
    for _ in 0..30 {
        let (stop, stopped) = bounded::<()>(0);
        let wait = |_| {
            go({
                let stopped = stopped.clone();
                move || stopped.recv()
            })
        };
        let others: Vec<_> = (0..300).map(wait).collect();
        let waits = |goroutine: lisle::Goroutine| goroutine.wait_reason() == lisle::WaitReason::ChannelReceive;
        others.iter().for_each(|other| common::until(|| waits(other.goroutine())));
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        assert_no_leaks(move || {
            drop(stop);
            drop(go(move || flag.store(true, Ordering::Relaxed)));
        });
        assert!(ended.load(Ordering::Relaxed));
        others.into_iter().for_each(|other| assert!(other.join().unwrap().is_err()));
    }
}

#[test]
fn descendants_count_also_if_those_between_have_ended() {
    let (sender, receiver) = bounded::<u32>(0);
    let inner = receiver.clone();
    let (starts, started) = bounded(0);
    let text = failure(move || {
        let innermost = move || {
            starts.send(()).unwrap();
            inner.recv()
        };
        go(move || go(move || drop(go(innermost))).join().unwrap()).join().unwrap();
        started.recv().unwrap();
    });
    assert!(text.starts_with("1 goroutine(s)") && text.contains("[chan receive"), "{text}");
    drop((sender, receiver));
}

#[test]
fn the_value_comes_back_and_a_panic_passes_through() {
    assert_eq!(assert_no_leaks(|| go(|| 7).join().unwrap()), 7);
    let payload = catch_unwind(|| assert_no_leaks(|| panic!("mine"))).unwrap_err();
    assert_eq!(text_of(payload), "mine");
}

#[test]
fn those_that_are_about_to_end_are_waited_for() {
    let start = Instant::now();
    assert_no_leaks(|| drop(go(|| time::sleep(SHORT))));
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn those_of_others_do_not_matter() {
    let (sender, receiver) = bounded::<u32>(0);
    let before = go({
        let receiver = receiver.clone();
        move || receiver.recv()
    });
    let others = std::thread::spawn(move || drop(go(move || receiver.recv())));
    assert_no_leaks(|| {
        others.join().unwrap();
        go(|| ()).join().unwrap();
    });
    drop(sender);
    assert!(before.join().unwrap().is_err());
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer can watch some 11,500 goroutines at once")]
fn beside_others_that_create_goroutines_all_the_time_it_comes_to_an_end() {
    let (stop, stopped) = context::with_cancel(&context::background());
    let busy = go(move || {
        while stop.err().is_none() {
            (0..100).for_each(|_| drop(go(|| ())));
            lisle::yield_now();
        }
    });
    for _ in 0..20 {
        assert_no_leaks(|| go(|| ()).join().unwrap());
    }
    stopped.cancel();
    busy.join().unwrap();
}

#[test]
fn some_may_be_left() {
    let (sender, receiver) = bounded::<u32>(0);
    LeakCheck::new().ignore(|one| one.name.as_deref() == Some("stays")).run(|| {
        let _stays = Builder::new().name("stays").go(move || receiver.recv()).unwrap();
        go(|| ()).join().unwrap();
    });
    drop(sender);
}

#[test]
fn nested_checks_tell_each_its_own() {
    let (sender, receiver) = bounded::<u32>(0);
    let text = failure(|| {
        assert_no_leaks(|| go(|| ()).join().unwrap());
        leave_behind(Builder::new(), sender);
    });
    assert!(text.starts_with("1 goroutine(s)"), "{text}");
    drop(receiver);
}

#[test]
fn what_lisle_makes_for_itself_ends_in_time() {
    assert_no_leaks(|| {
        let pool = pool::Pool::builder().workers(3).build();
        assert_eq!(pool.submit(|| 1).unwrap().join().unwrap(), 1);
        let (group, ctx) = errgroup::Group::<&str>::with_context(&context::background());
        group.go(move || ctx.sleep(Duration::from_secs(60)).map_err(|_| "cancelled"));
        group.go(|| Err("first"));
        assert!(group.wait().is_err());
        let wait_group = WaitGroup::new();
        wait_group.go(|| lisle::blocking(|| ()));
        wait_group.wait();
        let _later = time::after_func(Duration::from_secs(3600), || ());
        let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_secs(3600));
        assert!(ctx.err().is_none());
        lisle::parallel::map(2, 0..10, |n| n);
    });
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the debug information of cargo race has shorter names")]
fn a_task_of_a_pool_belongs_to_who_handed_it_in() {
    let pool = pool::Pool::builder().workers(1).queue(10).build();
    let (go_on, gate) = bounded::<()>(0);
    let first = pool.submit(move || gate.recv()).unwrap();
    let (_sender, receiver) = bounded::<u32>(0);
    // It will get its place when the task of somebody else ends.
    let other = pool.submit(move || receiver.recv_timeout(Duration::from_millis(200))).unwrap();
    let text = failure(|| {
        let (sender, receiver) = bounded(0);
        let (starts, started) = bounded(0);
        let task = move || {
            starts.send(()).unwrap();
            send_to_nobody(&sender);
        };
        drop(pool.submit(task).unwrap());
        drop(go_on);
        let _ = first.join();
        let _ = other.join();
        started.recv().unwrap();
        std::mem::forget(receiver);
    });
    assert!(text.starts_with("1 goroutine(s)") && text.contains("leaks::send_to_nobody(...)\n"), "{text}");
    std::mem::forget(pool);
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the debug information of cargo race has shorter names")]
fn goroutines_check_too() {
    let text = go(|| {
        let (sender, receiver) = bounded(0);
        let text = failure(|| leave_behind(Builder::new(), sender));
        drop(receiver);
        text
    });
    assert!(text.join().unwrap().contains("leaks::send_to_nobody(...)\n"));
    // On the smallest stack.
    let builder = Builder::new().stack_size(lisle::MIN_STACK_SIZE);
    builder.go(|| assert_no_leaks(|| go(|| ()).join().unwrap())).unwrap().join().unwrap();
}

#[test]
fn within_virtual_time_the_grace_is_no_wait() {
    let start = Instant::now();
    lisle::testing::virtual_time(|| {
        LeakCheck::new().grace(Duration::from_secs(3600)).run(|| drop(go(|| time::sleep(Duration::from_secs(1800)))));
    });
    assert!(start.elapsed() < Duration::from_secs(60));
}
