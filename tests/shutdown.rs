//! The tracker: what it waits for, what it refuses, and what it says about those who do not end.

mod common;

use common::{in_child, one_worker, stderr, text_of};
use lisle::channel::bounded;
use lisle::shutdown::{StillRunning, Tracker};
use lisle::{Refusal, WaitReason, context, go, select, signal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

fn tracker() -> Tracker {
    Tracker::new(&context::background())
}

/// Waits until what `tracker` tracks looks as wanted.
fn wait_until(tracker: &Tracker, wanted: impl Fn(&[lisle::shutdown::Running]) -> bool) {
    let start = Instant::now();
    while !wanted(&tracker.running()) {
        assert!(start.elapsed() < LONG, "still: {:?}", tracker.running());
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_shutdown_waits_for_all_that_is_under_way() {
    let (tracker, done) = (tracker(), Arc::new(AtomicUsize::new(0)));
    let (release, released) = bounded::<()>(0);
    for i in 0..50 {
        let (done, released) = (Arc::clone(&done), released.clone());
        let wait = move || {
            let _ = released.recv();
            done.fetch_add(1, Ordering::SeqCst);
        };
        if i % 2 == 0 {
            tracker.go(wait).unwrap();
        } else {
            let guard = tracker.guard("thread").unwrap();
            thread::spawn(move || {
                let _guard = guard;
                wait();
            });
        }
    }
    let waiting: Vec<_> = [true, false]
        .map(|begin| (tracker.clone(), begin))
        .into_iter()
        .map(|(tracker, begin)| {
            go(move || {
                if begin {
                    tracker.begin();
                }
                tracker.shutdown(LONG).map_err(|late| late.to_string())
            })
        })
        .collect();
    tracker.begun().wait();
    assert_eq!(done.load(Ordering::SeqCst), 0);
    drop(release);
    for waiting in waiting {
        assert_eq!(waiting.join().unwrap(), Ok(()));
    }
    assert_eq!(done.load(Ordering::SeqCst), 50);
    assert!(tracker.running().is_empty());
}

#[test]
fn a_goroutine_that_panics_or_exits_has_ended() {
    let tracker = tracker();
    let panicking = tracker.go(|| panic!("an expected panic")).unwrap();
    let exiting = tracker.go(|| lisle::exit()).unwrap();
    assert_eq!(tracker.go(|| 6 * 7).unwrap().join().unwrap(), 42);
    tracker.shutdown(LONG).unwrap();
    assert!(panicking.join().is_err() && exiting.join().is_err());
}

#[test]
fn a_goroutine_that_never_starts_has_ended() {
    let (runtime, tracker) = (one_worker(), tracker());
    let (inside, started) = (tracker.clone(), Arc::new(AtomicBool::new(false)));
    let start = Arc::clone(&started);
    let release = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&release);
    runtime.go(move || {
        inside.go(|| panic!("it never runs")).unwrap();
        start.store(true, Ordering::SeqCst);
        while !released.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    });
    while !started.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    assert_eq!(tracker.running().len(), 1);
    runtime.shutdown(Duration::ZERO);
    release.store(true, Ordering::SeqCst);
    tracker.shutdown(LONG).unwrap();
}

#[test]
fn once_it_has_begun_nothing_starts_and_the_closure_comes_back() {
    let tracker = tracker();
    tracker.begin();
    tracker.begin();
    let word = String::from("kept");
    let refused = tracker.go(move || word).unwrap_err();
    assert!(refused.reason() == Refusal::Closed && refused.to_string().contains("shutdown has begun"));
    assert_eq!(refused.into_inner()(), "kept");
    assert!(tracker.go_named("late", || ()).is_err() && tracker.guard("late").is_err());
    tracker.shutdown(Duration::ZERO).unwrap();
    tracker.shutdown(Duration::ZERO).unwrap();
}

#[test]
fn the_end_of_the_parent_begins_it_and_leaves_the_work_alone() {
    struct Id;
    impl context::Key for Id {
        type Value = u32;
    }
    let (parent, stop) = context::with_cancel(&context::with_value::<Id>(&context::background(), 7));
    let tracker = Tracker::new(&parent);
    let (finish, finished) = bounded::<()>(0);
    let (ctx, begun) = (tracker.context().clone(), tracker.begun().clone());
    let worker = tracker.go(move || {
        begun.wait();
        let _ = finished.recv();
        ctx.check().map(|()| ctx.value::<Id>().copied())
    });
    stop.cancel();
    tracker.begun().wait();
    assert!(tracker.go(|| ()).is_err());
    assert_eq!(tracker.context().err(), None);
    drop(finish);
    tracker.shutdown(LONG).unwrap();
    assert_eq!(worker.unwrap().join().unwrap(), Ok(Some(7)));
}

#[test]
fn when_patience_ends_the_context_tells_the_work_to_stop_and_a_second_wait_gives_it_grace() {
    let tracker = tracker();
    let ctx = tracker.context().clone();
    let obedient = tracker.go(move || ctx.wait()).unwrap();
    let late = tracker.shutdown(Duration::from_millis(5)).unwrap_err();
    assert_eq!(late.running.len(), 1);
    tracker.shutdown(LONG).unwrap();
    assert_eq!(obedient.join().unwrap(), context::Error::Cancelled);
}

#[test]
fn the_context_is_done_after_a_shutdown_in_time_too() {
    let tracker = tracker();
    tracker.go(|| ()).unwrap();
    tracker.shutdown(LONG).unwrap();
    assert!(tracker.context().err().is_some());
}

#[test]
fn intake_stops_by_a_select_on_begun_and_nothing_that_was_taken_is_lost() {
    let tracker = tracker();
    let (jobs, queue) = bounded::<u32>(0);
    let (intake, done) = (tracker.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&done);
    let accept = move || {
        loop {
            select! {
                recv(intake.begun().done()) -> _ => return,
                recv(queue) -> _ => {
                    let count = Arc::clone(&count);
                    let job = move || count.fetch_add(1, Ordering::SeqCst);
                    // The shutdown may begin after this job was taken.
                    if let Err(refused) = intake.go(job) {
                        refused.into_inner()();
                    }
                }
            }
        }
    };
    tracker.go(accept).unwrap();
    (0..10).for_each(|job| jobs.send(job).unwrap());
    tracker.shutdown(LONG).unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 10);
    assert!(jobs.send(11).is_err());
}

/// One that waits in a channel, one that spins, and a guard: none ends before the result is dropped.
fn three_that_do_not_end(tracker: &Tracker) -> impl Drop {
    struct Release(Arc<AtomicBool>, Option<lisle::channel::Sender<()>>);
    impl Drop for Release {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
            self.1.take();
        }
    }
    let (sender, receiver) = bounded::<()>(0);
    let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let release = Release(Arc::clone(&stop), Some(sender));
    let (spins, guard) = (Arc::clone(&stopped), tracker.guard("upload").unwrap());
    tracker.go_named("reader", move || receiver.recv()).unwrap();
    let spin = move || {
        let _guard = guard;
        spins.store(true, Ordering::SeqCst);
        while !stop.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    };
    tracker.go(spin).unwrap();
    while !stopped.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    wait_until(tracker, |running| running[1].wait_reason == Some(WaitReason::ChannelReceive));
    release
}

#[test]
fn what_is_still_running_is_told_with_the_place_where_it_waits() {
    let tracker = tracker();
    let release = three_that_do_not_end(&tracker);
    let late: StillRunning = tracker.shutdown(Duration::from_millis(5)).unwrap_err();
    let text = late.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "3 still running after a wait of 5ms:");
    assert!(lines[1].starts_with("  guard (\"upload\") created at tests/shutdown.rs:"), "{text}");
    assert!(lines[2].contains("(\"reader\") created at tests/shutdown.rs:"), "{text}");
    assert!(lines[2].ends_with("waits in chan receive"), "{text}");
    assert!(lines[3].ends_with(" runs"), "{text}");
    let [guard, reader, spinning] = &late.running[..] else { panic!("{text}") };
    assert!(guard.id.is_none() && reader.id.is_some() && spinning.id.is_some());
    assert_eq!((spinning.name.as_deref(), spinning.wait_reason), (None, Some(WaitReason::None)));
    assert!(lines[2].contains(&format!("goroutine {} ", reader.id.unwrap())), "{text}");
    drop(release);
    tracker.shutdown(LONG).unwrap();
}

#[test]
fn a_tracked_goroutine_that_would_wait_for_itself_panics() {
    let tracker = tracker();
    let (go_on, gone_on) = bounded::<()>(0);
    let own = tracker.clone();
    let confused = tracker.go(move || {
        let _ = gone_on.recv();
        own.shutdown(Duration::MAX).map_err(|late| late.to_string())
    });
    drop(go_on);
    assert!(text_of(confused.unwrap().join().unwrap_err()).contains("wait for its own end"));
    tracker.shutdown(LONG).unwrap();
}

/// Also before the one who started it has come back from that.
#[test]
fn a_tracked_goroutine_is_known_by_its_number_from_its_first_moment() {
    let tracker = tracker();
    for _ in 0..20_000 {
        let own = tracker.clone();
        let started = tracker.go(move || {
            let id = lisle::current().id();
            own.running().iter().any(|running| running.id == Some(id))
        });
        assert!(started.unwrap().join().unwrap());
    }
}

#[test]
fn a_goroutine_that_cannot_be_started_is_not_tracked() {
    let (runtime, tracker) = (one_worker(), tracker());
    let inside = tracker.clone();
    let (go_on, gone_on) = bounded::<()>(0);
    let (up, is_up) = bounded::<()>(0);
    let late = runtime.go(move || {
        drop(up);
        let _ = gone_on.recv();
        let started = catch_unwind(AssertUnwindSafe(|| inside.go(|| ()).map(drop).is_ok()));
        started.map_err(text_of)
    });
    // One that has not started by then would be cancelled.
    let _ = is_up.recv();
    assert_eq!(runtime.shutdown(Duration::from_millis(5)), 1);
    drop(go_on);
    assert!(late.join().unwrap().unwrap_err().contains("cannot start a goroutine"));
    tracker.shutdown(LONG).unwrap();
}

#[test]
fn when_all_handles_are_gone_both_contexts_are_done() {
    let tracker = tracker();
    let (begun, ctx) = (tracker.begun().clone(), tracker.context().clone());
    let (end, ended) = bounded::<()>(0);
    tracker.go(move || ended.recv()).unwrap();
    drop(tracker);
    assert!(begun.err().is_none() && ctx.err().is_none());
    drop(end);
    begun.wait();
    ctx.wait();
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_signal_ends_a_server_in_good_order() {
    if let Some(output) = in_child("a_signal_ends_a_server_in_good_order", &[]) {
        assert!(output.status.success(), "{:?}: {}", output.status, stderr(&output));
        return;
    }
    let (ctx, _stop) = signal::notify_context(&context::background(), &[signal::SIGTERM]).unwrap();
    let tracker = Tracker::new(&ctx);
    let begun = tracker.begun().clone();
    let request = tracker.go(move || {
        begun.wait();
        "answered all the same"
    });
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    tracker.begun().wait();
    tracker.shutdown(LONG).unwrap();
    assert_eq!(request.unwrap().join().unwrap(), "answered all the same");
    assert_eq!(tracker.begun().cause().unwrap().to_string(), "received SIGTERM");
}
