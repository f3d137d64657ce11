//! Work that is done once for all who ask for it: who does it, who gets it, and what becomes of those who wait.

mod common;

use common::text_of;
use lisle::channel::{self, Receiver};
use lisle::context::{self, Key, background};
use lisle::singleflight::{Group, Outcome};
use lisle::sync::Barrier;
use lisle::{JoinHandle, WaitReason, go};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Waits until these goroutines wait for another's work.
fn wait_until_waiting<T>(goroutines: &[JoinHandle<T>]) {
    let waits = |handle: &JoinHandle<T>| {
        let reason = handle.goroutine().wait_reason();
        assert!(!handle.is_finished(), "it should wait");
        reason == WaitReason::ChannelReceive || reason == WaitReason::Select
    };
    while !goroutines.iter().all(waits) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a goroutine that does the work of `key` by `f` once `release` says so; returns when it is about it.
fn leader<T>(
    group: &Group<&'static str, T>,
    release: Receiver<Infallible>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<Outcome<T>>
where
    T: Clone + Send + Sync + 'static,
{
    let (begun, begins) = channel::bounded::<()>(0);
    let group = group.clone();
    let handle = go(move || {
        group.run("key", move || {
            drop(begun);
            let _ = release.recv();
            f()
        })
    });
    let _ = begins.recv();
    handle
}

#[test]
fn those_who_ask_meanwhile_share_the_result() {
    let group = Group::new();
    let (release, released) = channel::bounded(0);
    let first = leader(&group, released, || String::from("result"));
    let followers = [(); 5].map(|()| {
        let group = group.clone();
        go(move || group.run("key", || unreachable!("the work is under way")))
    });
    wait_until_waiting(&followers);
    drop(release);
    for handle in followers.into_iter().chain([first]) {
        let outcome = handle.join().unwrap();
        assert!(outcome.value == "result" && outcome.shared);
    }
    let alone = group.run("key", || String::from("new"));
    assert!(alone.value == "new" && !alone.shared);
}

#[test]
fn threads_and_goroutines_share() {
    let group = Group::new();
    let (release, released) = channel::bounded(0);
    let first = leader(&group, released, || 7);
    let threads = [(); 3].map(|()| {
        let group = group.clone();
        thread::spawn(move || group.run("key", || 8))
    });
    let follower = [go({
        let group = group.clone();
        move || group.run("key", || 9)
    })];
    wait_until_waiting(&follower);
    drop(release);
    assert_eq!(first.join().unwrap().value, 7);
    assert!(follower.into_iter().all(|handle| handle.join().unwrap().value == 7));
    // A thread that came too late has done the work itself.
    assert!(threads.into_iter().all(|handle| [7, 8].contains(&handle.join().unwrap().value)));
}

#[test]
fn different_keys_run_at_the_same_time() {
    let group = Group::new();
    let all = Arc::new(Barrier::new(4));
    let handles = [0, 1, 2, 3].map(|key| {
        let (group, all) = (group.clone(), Arc::clone(&all));
        go(move || group.run(key, || all.wait().is_leader()).value)
    });
    assert_eq!(handles.into_iter().map(|handle| handle.join().unwrap()).filter(|&led| led).count(), 1);
}

#[test]
fn after_forget_the_next_begins_anew() {
    let group = Group::new();
    let (release, released) = channel::bounded(0);
    let old = leader(&group, released, || "old");
    group.forget(&"key");
    assert_eq!(group.run("key", || "new").value, "new");
    drop(release);
    assert_eq!(old.join().unwrap().value, "old");
}

#[test]
fn a_panic_goes_on_as_it_is_and_those_who_wait_learn_whose_it_was() {
    let group = Group::<_, u32>::new();
    let (release, released) = channel::bounded(0);
    let first = leader(&group, released, || std::panic::panic_any(5_u8));
    let followers = [go({
        let group = group.clone();
        move || group.run("key", || 1)
    })];
    wait_until_waiting(&followers);
    let number = first.goroutine().id();
    drop(release);
    assert_eq!(*first.join().unwrap_err().downcast::<u8>().unwrap(), 5);
    for follower in followers {
        let text = text_of(follower.join().unwrap_err());
        assert!(text.contains(&format!("goroutine {number} created at tests/singleflight.rs")), "{text}");
        assert!(text.contains("panicked: (what it said is not a text)"), "{text}");
    }
    assert_eq!(group.run("key", || 2).value, 2);
}

#[test]
fn a_panic_in_a_thread_names_the_thread() {
    let group = Group::<_, u32>::new();
    let (release, released) = channel::bounded::<Infallible>(0);
    let (begun, begins) = channel::bounded::<()>(0);
    let shared = group.clone();
    let work = move || {
        shared.run("key", || {
            drop(begun);
            let _ = released.recv();
            panic!("torn")
        })
    };
    let first = thread::Builder::new().name("loom".into()).spawn(work).unwrap();
    let _ = begins.recv();
    let follower = [go(move || group.run("key", || 1))];
    wait_until_waiting(&follower);
    drop(release);
    assert!(first.join().is_err());
    let text = text_of(follower.into_iter().next().unwrap().join().unwrap_err());
    assert!(text.ends_with("thread \"loom\" panicked: torn"), "{text}");
}

#[test]
fn when_the_one_at_work_exits_another_takes_over_and_nobody_is_stranded() {
    let group = Group::<_, usize>::new();
    let (release, released) = channel::bounded(0);
    let first = leader(&group, released, || lisle::exit());
    let runs = Arc::new(AtomicUsize::new(0));
    let followers = [(); 6].map(|()| {
        let (group, runs) = (group.clone(), Arc::clone(&runs));
        go(move || {
            group.run("key", || {
                lisle::yield_now();
                runs.fetch_add(1, Ordering::SeqCst)
            })
        })
    });
    wait_until_waiting(&followers);
    drop(release);
    assert!(first.join().unwrap_err().is::<lisle::Exited>());
    assert!(followers.into_iter().all(|follower| follower.join().is_ok()));
    assert!(runs.load(Ordering::SeqCst) >= 1);
}

#[test]
fn work_that_asks_for_its_own_key_is_told() {
    let group = Group::<_, u32>::new();
    let again = group.clone();
    let payload = catch_unwind(AssertUnwindSafe(|| group.run("key", || again.run("key", || 1).value))).unwrap_err();
    assert!(text_of(payload).contains("its own end"));
    let again = group.clone();
    let nested = move |_: &_| again.run("key", || 1).value;
    let payload = catch_unwind(AssertUnwindSafe(|| group.run_within(&background(), "key", nested))).unwrap_err();
    assert!(text_of(payload).contains("its own end"));
    assert_eq!(group.run("key", || 3).value, 3);
}

#[test]
fn values_and_keys_may_use_the_group_when_they_are_cloned_and_dropped() {
    #[derive(PartialEq, Eq, Hash)]
    struct UsesGroup<T>(T);
    impl<T> Drop for UsesGroup<T> {
        fn drop(&mut self) {
            GROUPS.with(|group| assert!(format!("{group:?}").contains("under_way")));
        }
    }
    impl Clone for UsesGroup<u64> {
        fn clone(&self) -> Self {
            GROUPS.with(|group| group.forget(&UsesGroup(0)));
            Self(self.0)
        }
    }
    thread_local!(static GROUPS: Group<UsesGroup<u32>, UsesGroup<u64>> = Group::new());
    let group = GROUPS.with(Clone::clone);
    assert_eq!(group.run(UsesGroup(1), || UsesGroup(10)).value.0, 10);
    group.run(UsesGroup(2), || {
        group.forget(&UsesGroup(2));
        UsesGroup(20)
    });
    let outcome = group.run_within(&background(), UsesGroup(3), |_| UsesGroup(30));
    assert_eq!(outcome.unwrap().value.0, 30);
}

#[test]
fn one_who_goes_away_leaves_the_work_to_the_others() {
    let group = Group::new();
    let (release, released) = channel::bounded::<Infallible>(0);
    let (begun, begins) = channel::bounded::<()>(0);
    let (first_ctx, leave) = context::with_cancel(&background());
    let shared = group.clone();
    let first = go(move || {
        shared.run_within(&first_ctx, "key", move |ctx| {
            drop(begun);
            let _ = released.recv();
            ctx.check()
        })
    });
    let _ = begins.recv();
    let others = [go({
        let group = group.clone();
        move || group.run_within(&background(), "key", |_| unreachable!("the work is under way"))
    })];
    wait_until_waiting(&others);
    leave.cancel();
    assert_eq!(first.join().unwrap(), Err(context::Error::Cancelled));
    drop(release);
    for other in others {
        let outcome = other.join().unwrap().unwrap();
        assert!(outcome.value == Ok(()) && outcome.shared, "{outcome:?}");
    }
}

#[test]
fn when_all_have_gone_away_the_work_is_cancelled_and_the_next_begins_anew() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let group = Group::new();
        let (ends, end) = channel::bounded(1);
        let (ctx, _cancel) = context::with_timeout(&background(), Duration::from_millis(5));
        let waiting = [(); 3].map(|()| {
            let (group, ctx, ends) = (group.clone(), ctx.clone(), ends.clone());
            go(move || {
                group.run_within(&ctx, "key", move |ctx| {
                    ends.send(ctx.wait()).unwrap();
                    1
                })
            })
        });
        for handle in waiting {
            assert_eq!(handle.join().unwrap(), Err(context::Error::DeadlineExceeded));
        }
        assert_eq!(group.run_within(&background(), "key", |_| 2).unwrap().value, 2);
        assert_eq!(end.recv(), Ok(context::Error::Cancelled));
    });
    common::wait_until_empty(&runtime);
}

#[test]
fn a_context_that_is_done_at_the_start_starts_nothing() {
    let group = Group::<_, ()>::new();
    let (ctx, cancel) = context::with_cancel(&background());
    cancel.cancel();
    assert_eq!(group.run_within(&ctx, "key", |_| unreachable!()), Err(context::Error::Cancelled));
}

#[test]
fn the_work_sees_the_values_of_the_context_and_its_own_end_with_the_result() {
    struct Name;
    impl Key for Name {
        type Value = &'static str;
    }
    let ctx = context::with_value::<Name>(&background(), "Ada");
    let outcome = Group::new().run_within(&ctx, 1, |ctx| (ctx.value::<Name>().copied(), ctx.clone()));
    let (name, work) = outcome.unwrap().value;
    assert_eq!(name, Some("Ada"));
    assert_eq!(work.wait(), context::Error::Cancelled);
}

#[test]
fn a_panic_in_work_of_its_own_goroutine_reaches_who_waits() {
    let group = Group::<_, ()>::new();
    let line = line!() + 1;
    let ask = || group.run_within(&background(), 1, |_| panic!("frayed"));
    let payload = catch_unwind(AssertUnwindSafe(ask)).unwrap_err();
    let text = text_of(payload);
    assert!(text.contains(&format!("created at tests/singleflight.rs:{line}:")), "{text}");
    assert!(text.ends_with("panicked: frayed"), "{text}");
}

#[test]
fn exit_in_work_of_its_own_goroutine_ends_who_brought_it_and_another_takes_over() {
    let group = Group::<_, u32>::new();
    let (release, released) = channel::bounded::<Infallible>(0);
    let (begun, begins) = channel::bounded::<()>(0);
    let shared = group.clone();
    let first = go(move || {
        shared.run_within(&background(), "key", move |_| {
            drop(begun);
            let _ = released.recv();
            lisle::exit()
        })
    });
    let _ = begins.recv();
    let followers = [go({
        let group = group.clone();
        move || group.run_within(&background(), "key", |_| 4)
    })];
    wait_until_waiting(&followers);
    drop(release);
    assert!(first.join().unwrap_err().is::<lisle::Exited>());
    assert!(followers.into_iter().all(|follower| follower.join().unwrap().unwrap().value == 4));
}
