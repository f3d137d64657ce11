//! Groups of goroutines with errors: who hears of what, and how many run at once.

mod common;

use common::{Meter, text_of};
use lisle::context::{self, background};
use lisle::errgroup::{Group, Spawner};
use lisle::sync::Barrier;
use lisle::{Refusal, channel, go};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn the_first_error_is_given_and_all_on_request() {
    for all in [false, true] {
        let group = Group::new();
        let spawner = group.spawner();
        group.go(|| Err("first"));
        group.go(move || {
            while !format!("{spawner:?}").contains("errors: 1") {
                lisle::yield_now();
            }
            Err("second")
        });
        group.go(|| Ok(()));
        if all {
            assert_eq!(group.wait_all(), Err(vec!["first", "second"]));
        } else {
            assert_eq!(group.wait(), Err("first"));
        }
    }
    assert_eq!(Group::<()>::new().wait_all(), Ok(()));
}

#[test]
fn an_error_ends_the_context_with_its_text_as_the_cause() {
    let (group, ctx) = Group::with_context(&background());
    let members = ctx.clone();
    group.go(move || {
        members.wait();
        Ok(())
    });
    group.go(|| Err("disk full"));
    assert_eq!(group.wait(), Err("disk full"));
    assert_eq!(ctx.cause().unwrap().to_string(), "disk full");
}

#[test]
fn a_panic_ends_the_context_too() {
    let (group, ctx) = Group::<String>::with_context(&background());
    let members = ctx.clone();
    group.go(move || {
        members.wait();
        Ok(())
    });
    group.go(|| panic!("no ink"));
    assert!(catch_unwind(AssertUnwindSafe(|| group.wait())).is_err());
    assert!(ctx.cause().unwrap().to_string().ends_with("panicked: no ink"));
}

#[test]
fn the_end_of_the_wait_ends_the_context() {
    let (group, ctx) = Group::<String>::with_context(&background());
    let seen = ctx.clone();
    group.go(move || seen.check().map_err(|error| error.to_string()));
    assert_eq!(group.wait(), Ok(()));
    assert_eq!(ctx.err(), Some(context::Error::Cancelled));
}

#[test]
fn a_panic_reaches_the_wait_with_its_goroutine_its_line_and_its_message() {
    let group = Group::<()>::new();
    let line = line!() + 1;
    group.go(|| panic!("thread {} broke", 7));
    let text = text_of(catch_unwind(AssertUnwindSafe(|| group.wait())).unwrap_err());
    assert!(text.starts_with("goroutine "), "{text}");
    assert!(text.contains(&format!("created at tests/errgroup.rs:{line}:")), "{text}");
    assert!(text.ends_with("panicked: thread 7 broke"), "{text}");
}

#[test]
fn several_panics_are_counted_and_other_members_are_waited_for() {
    let group = Group::<()>::new();
    let done = Arc::new(AtomicBool::new(false));
    let late = Arc::clone(&done);
    (0..3).for_each(|_| group.go(|| panic!("one of three")));
    group.go(move || {
        lisle::time::sleep(Duration::from_millis(10));
        late.store(true, Ordering::SeqCst);
        Ok(())
    });
    let text = text_of(catch_unwind(AssertUnwindSafe(|| group.wait())).unwrap_err());
    assert!(text.contains("one of three (and 2 more"), "{text}");
    assert!(done.load(Ordering::SeqCst));
}

#[test]
fn a_member_that_exits_is_done_without_an_error() {
    let group = Group::<()>::new();
    group.set_limit(1);
    group.go(|| lisle::exit());
    group.go(|| Ok(()));
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn the_limit_holds_and_can_be_reached() {
    let group = Group::<()>::new();
    group.set_limit(4);
    let meter = Arc::new(Meter::default());
    let all_four = Arc::new(Barrier::new(4));
    for _ in 0..40 {
        let (meter, all_four) = (Arc::clone(&meter), Arc::clone(&all_four));
        group.go(move || {
            meter.measure(|| all_four.wait());
            Ok(())
        });
    }
    assert_eq!(group.wait(), Ok(()));
    assert_eq!(meter.most(), 4);
}

#[test]
fn starters_that_wait_for_a_place_come_in_from_threads_and_goroutines() {
    let group = Group::<()>::new();
    group.set_limit(2);
    let (meter, ran) = (Arc::new(Meter::default()), Arc::new(AtomicUsize::new(0)));
    let start = |spawner: Spawner<()>| {
        let (meter, ran) = (Arc::clone(&meter), Arc::clone(&ran));
        move || {
            for _ in 0..50 {
                let (meter, ran) = (Arc::clone(&meter), Arc::clone(&ran));
                spawner.go(move || {
                    meter.measure(lisle::yield_now);
                    ran.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                });
            }
        }
    };
    let threads = [(); 2].map(|()| thread::spawn(start(group.spawner())));
    let goroutines = [(); 2].map(|()| go(start(group.spawner())));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
    assert_eq!(group.wait(), Ok(()));
    assert_eq!(ran.load(Ordering::SeqCst), 200);
    assert!(meter.most() <= 2);
}

#[test]
fn try_go_gives_the_closure_back_when_the_limit_is_reached() {
    let group = Group::<u32>::new();
    group.set_limit(1);
    let (release, held) = channel::bounded::<()>(0);
    assert!(group.try_go(move || held.recv().map_or(Ok(()), |()| Err(0))).is_ok());
    let refused = group.try_go(|| Err(5)).unwrap_err();
    assert_eq!(refused.reason(), Refusal::Full);
    assert_eq!(refused.to_string(), "the group's limit of running members is reached");
    assert_eq!(refused.into_inner()(), Err(5));
    drop(release);
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn limits_that_make_no_sense_are_told() {
    let group = Group::<()>::new();
    let text = text_of(catch_unwind(AssertUnwindSafe(|| group.set_limit(0))).unwrap_err());
    assert!(text.contains("a limit of 0"), "{text}");
    let (release, held) = channel::bounded::<()>(0);
    group.go(move || held.recv().or(Ok(())));
    let text = text_of(catch_unwind(AssertUnwindSafe(|| group.set_limit(3))).unwrap_err());
    assert!(text.contains("while 1 of its members"), "{text}");
    drop(release);
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn members_start_members_on_one_worker() {
    fn tree(depth: u32, leaves: &Arc<AtomicUsize>, spawner: &Spawner<()>) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::SeqCst);
            return;
        }
        for _ in 0..2 {
            let (leaves, more) = (Arc::clone(leaves), spawner.clone());
            spawner.go(move || {
                tree(depth - 1, &leaves, &more);
                Ok(())
            });
        }
    }
    let leaves = Arc::new(AtomicUsize::new(0));
    let runtime = common::one_worker();
    runtime.run(|| {
        let group = Group::new();
        tree(6, &leaves, &group.spawner());
        assert_eq!(group.wait(), Ok(()));
    });
    assert_eq!(leaves.load(Ordering::SeqCst), 64);
    common::wait_until_empty(&runtime);
}

#[test]
fn a_member_that_waits_for_its_own_group_is_told() {
    const NAME: &str = "a_member_that_waits_for_its_own_group_is_told";
    let Some(output) = common::in_child(NAME, &[]) else {
        let group = Group::<()>::new();
        let spawner = group.spawner();
        let (sender, receiver) = lisle::channel::bounded::<()>(0);
        spawner.go(move || {
            let _sender = sender;
            group.wait()
        });
        return assert!(receiver.recv().is_err());
    };
    let text = common::stderr(&output);
    assert!(output.status.success() && text.contains("for its own end"), "{text}");
}

#[test]
fn a_spawner_outlives_its_group() {
    let group = Group::<String>::new();
    let spawner = group.spawner();
    assert_eq!(group.wait(), Ok(()));
    let (sender, receiver) = lisle::channel::bounded(1);
    spawner.go(move || sender.send(1).map_err(|error| error.to_string()));
    assert_eq!(receiver.recv(), Ok(1));
}

#[test]
fn a_group_dropped_without_a_wait_cancels_and_leaves_nothing_behind() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let (group, ctx) = Group::<String>::with_context(&background());
        for _ in 0..10 {
            let ctx = ctx.clone();
            group.go(move || Err(ctx.wait().to_string()));
        }
    });
    common::wait_until_empty(&runtime);
}

#[test]
fn errors_of_a_group_that_is_gone_do_not_stay_with_its_spawners() {
    let error = Arc::new(());
    let group = Group::new();
    let spawner = group.spawner();
    let early = Arc::clone(&error);
    group.go(move || Err(early));
    while !format!("{group:?}").contains("running: 0") {
        lisle::yield_now();
    }
    assert_eq!(Arc::strong_count(&error), 2);
    drop(group);
    assert_eq!(Arc::strong_count(&error), 1);
    let late = Arc::clone(&error);
    spawner.go(move || Err(late));
    while !format!("{spawner:?}").contains("running: 0") {
        lisle::yield_now();
    }
    assert_eq!(Arc::strong_count(&error), 1);
}

#[test]
fn a_panic_in_a_group_that_nobody_waits_for_is_reported() {
    const NAME: &str = "a_panic_in_a_group_that_nobody_waits_for_is_reported";
    let Some(output) = common::in_child(NAME, &[]) else {
        let runtime = common::one_worker();
        runtime.run(|| Group::<()>::new().go(|| panic!("unheard")));
        return common::wait_until_empty(&runtime);
    };
    assert!(output.status.success());
    let text = common::stderr(&output);
    assert!(text.contains("panicked: unheard, and nobody waited for its group"), "{text}");
}

#[test]
fn a_member_that_cannot_be_started_is_told() {
    let runtime = common::one_worker();
    let group = Group::<()>::new();
    let spawner = group.spawner();
    let (over, is_over) = channel::bounded::<()>(0);
    let (begun, begins) = channel::bounded::<()>(0);
    let (results, result) = channel::bounded(1);
    runtime.go(move || {
        drop(begun);
        let _ = is_over.recv();
        let started = catch_unwind(AssertUnwindSafe(|| spawner.go(|| Ok(()))));
        results.send(started.map_err(text_of)).unwrap();
    });
    let _ = begins.recv();
    runtime.shutdown(Duration::ZERO);
    drop(over);
    assert!(result.recv().unwrap().unwrap_err().contains("cannot start"));
    let text = text_of(catch_unwind(AssertUnwindSafe(|| group.wait())).unwrap_err());
    assert!(text.contains("created at tests/errgroup.rs") && text.contains("never ran"), "{text}");
}
