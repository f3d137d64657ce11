//! The worker pool: what is accepted and what is given back, what becomes of each task, and how a pool ends.

mod common;

use common::{Meter, text_of, wait_until_empty};
use lisle::channel::{self, Receiver, Sender};
use lisle::context::{self, background};
use lisle::pool::{Cancelled, Handle, Pool};
use lisle::sync::Barrier;
use lisle::{Exited, Refusal, WaitReason, go};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Lets a task of the pool wait until the sender goes away; returns when it does.
fn occupy(pool: &Pool) -> (Sender<Infallible>, Handle<()>) {
    let (release, held): (_, Receiver<Infallible>) = channel::bounded(0);
    let (begun, begins) = channel::bounded::<()>(0);
    let handle = pool.submit(move || {
        drop(begun);
        let _ = held.recv();
    });
    let _ = begins.recv();
    (release, handle.unwrap())
}

#[test]
fn results_and_panics_come_out_of_join_and_the_pool_goes_on() {
    let pool = Pool::builder().workers(1).name("press").build();
    let name = pool.submit(|| lisle::current().name().map(String::from)).unwrap();
    let panicked = pool.submit(|| panic!("torn")).unwrap();
    let after = pool.submit(|| lisle::current().created_at().file()).unwrap();
    assert_eq!(name.join().unwrap().unwrap(), "press");
    assert_eq!(text_of(panicked.join().unwrap_err()), "torn");
    assert_eq!(after.join().unwrap(), file!());
}

#[test]
fn exit_ends_the_task_and_not_the_pool() {
    let pool = Pool::builder().workers(1).build();
    assert!(pool.submit(|| lisle::exit()).unwrap().join().unwrap_err().is::<Exited>());
    assert_eq!(pool.submit(|| 1).unwrap().join().unwrap(), 1);
    assert_eq!((pool.metrics().completed, pool.metrics().panicked), (2, 0));
}

#[test]
fn tasks_that_compute_run_side_by_side_also_in_a_pool_that_was_idle() {
    let runtime = lisle::Config::new().workers(2).start().expect("a runtime");
    runtime.run(|| {
        let pool = Pool::builder().workers(2).build();
        for _ in 0..4 {
            drop(pool.submit(|| ()).unwrap());
        }
        lisle::time::sleep(Duration::from_millis(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let meet = || {
            let inside = Arc::clone(&inside);
            // On one thread, the first would wait for the second in vain.
            pool.submit(move || {
                inside.fetch_add(1, Ordering::SeqCst);
                let start = std::time::Instant::now();
                while inside.load(Ordering::SeqCst) < 2 {
                    assert!(start.elapsed() < Duration::from_secs(20), "the other does not run");
                    std::hint::spin_loop();
                }
            })
        };
        let tasks = [meet().unwrap(), meet().unwrap()];
        assert!(tasks.into_iter().all(|task| task.join().is_ok()));
    });
}

#[test]
fn as_many_tasks_run_at_once_as_there_are_workers() {
    let pool = Pool::builder().workers(3).queue(100).build();
    let (meter, all) = (Arc::new(Meter::default()), Arc::new(Barrier::new(3)));
    for _ in 0..30 {
        let (meter, all) = (Arc::clone(&meter), Arc::clone(&all));
        drop(pool.submit(move || meter.measure(|| all.wait().is_leader())).unwrap());
    }
    pool.close_and_wait();
    assert_eq!(meter.most(), 3);
}

#[test]
fn submit_waits_for_room_and_try_submit_gives_the_task_back() {
    let pool = Arc::new(Pool::builder().workers(1).queue(1).build());
    let (release, _running) = occupy(&pool);
    let queued = pool.submit(|| 1).unwrap();
    let refused = pool.try_submit(|| 2).unwrap_err();
    assert_eq!((refused.reason(), refused.into_inner()()), (Refusal::Full, 2));
    let shared = Arc::clone(&pool);
    let waiting = go(move || shared.submit(|| 3).unwrap().join().unwrap());
    while waiting.goroutine().wait_reason() != WaitReason::Semaphore {
        lisle::yield_now();
    }
    drop(release);
    assert_eq!((queued.join().unwrap(), waiting.join().unwrap()), (1, 3));
}

#[test]
fn without_a_queue_a_task_is_taken_only_if_it_can_run() {
    let pool = Pool::builder().workers(2).queue(0).build();
    let (_release, _also_running) = occupy(&pool);
    let (release, running) = occupy(&pool);
    assert_eq!(pool.try_submit(|| 0).unwrap_err().reason(), Refusal::Full);
    drop(release);
    running.join().unwrap();
    assert_eq!(pool.try_submit(|| 1).unwrap().join().unwrap(), 1);
}

#[test]
fn closing_runs_what_was_accepted_and_takes_nothing_new() {
    let pool = Arc::new(Pool::builder().workers(2).queue(50).build());
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..50 {
        let ran = Arc::clone(&ran);
        drop(pool.submit(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap());
    }
    let shared = Arc::clone(&pool);
    let other = thread::spawn(move || shared.close_and_wait());
    pool.close_and_wait();
    assert_eq!(ran.load(Ordering::SeqCst), 50);
    other.join().unwrap();
    pool.close_and_wait();
    let refused = pool.submit(|| 9).unwrap_err();
    assert_eq!((refused.reason(), refused.to_string().as_str()), (Refusal::Closed, "the pool is closed"));
    assert_eq!(refused.into_inner()(), 9);
    assert_eq!(pool.try_submit(|| 9).unwrap_err().reason(), Refusal::Closed);
}

#[test]
fn a_submission_that_waits_when_the_pool_is_closed_still_comes_in() {
    let pool = Arc::new(Pool::builder().workers(1).queue(0).build());
    let (release, _running) = occupy(&pool);
    let shared = Arc::clone(&pool);
    let waiting = go(move || shared.submit(|| 3).unwrap().join().unwrap());
    while waiting.goroutine().wait_reason() != WaitReason::Semaphore {
        lisle::yield_now();
    }
    pool.close();
    drop(release);
    pool.close_and_wait();
    assert_eq!(waiting.join().unwrap(), 3);
}

#[test]
fn cancelling_drops_what_waits_and_leaves_alone_what_runs() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let (ctx, cancel) = context::with_cancel(&background());
        let pool = Arc::new(Pool::builder().workers(1).queue(2).context(&ctx).build());
        let (release, held) = channel::bounded::<Infallible>(0);
        let running = pool.submit(move || {
            let _ = held.recv();
            ctx.err()
        });
        let queued = [(); 2].map(|()| pool.submit(|| unreachable!("it was cancelled")).unwrap());
        let shared = Arc::clone(&pool);
        let blocked = go(move || shared.submit(|| ()).map(drop).map_err(|refused| refused.reason()));
        while blocked.goroutine().wait_reason() != WaitReason::Semaphore {
            lisle::yield_now();
        }
        cancel.cancel();
        for handle in queued {
            // Another runs still.
            assert!(handle.join().unwrap_err().is::<Cancelled>());
        }
        let refused = Err(Refusal::Done(context::Error::Cancelled));
        assert_eq!(blocked.join().unwrap(), refused);
        assert_eq!(pool.submit(|| ()).map(drop).map_err(|refused| refused.reason()), refused);
        assert_eq!(pool.try_submit(|| ()).map(drop).map_err(|refused| refused.reason()), refused);
        drop(release);
        assert_eq!(running.unwrap().join().unwrap(), Some(context::Error::Cancelled));
        assert_eq!(pool.metrics().cancelled, 2);
        pool.close_and_wait();
    });
    wait_until_empty(&runtime);
}

#[test]
fn nothing_stays_in_the_queue_of_a_pool_that_is_cancelled_meanwhile() {
    for _ in 0..100 {
        let (ctx, cancel) = context::with_cancel(&background());
        let pool = Arc::new(Pool::builder().workers(1).queue(usize::MAX).context(&ctx).build());
        let (release, running) = occupy(&pool);
        let shared = Arc::clone(&pool);
        let submitting = thread::spawn(move || std::iter::from_fn(|| shared.submit(|| ()).ok()).collect::<Vec<_>>());
        cancel.cancel();
        for handle in submitting.join().unwrap() {
            assert!(handle.join().unwrap_err().is::<Cancelled>());
        }
        drop(release);
        running.join().unwrap();
        pool.close_and_wait();
    }
}

#[test]
fn a_shutdown_cancels_a_long_queue_and_closes_the_pool() {
    let runtime = common::one_worker();
    let (pool, handles) = runtime.run(|| {
        let pool = Pool::builder().workers(1).queue(usize::MAX).build();
        let handles: Vec<_> = (0..100_000).map(|_| pool.submit(|| ()).unwrap()).collect();
        (pool, handles)
    });
    runtime.shutdown(Duration::ZERO);
    // As many as there was time for have run.
    assert!(handles.into_iter().all(|handle| handle.join().err().is_none_or(|payload| payload.is::<Cancelled>())));
    assert_eq!(pool.submit(|| ()).unwrap_err().reason(), Refusal::Closed);
    pool.close_and_wait();
}

#[test]
fn dropping_the_pool_does_not_wait_and_leaves_nothing_behind() {
    let runtime = common::one_worker();
    let handles = runtime.run(|| {
        let pool = Arc::new(Pool::builder().workers(2).queue(20).build());
        let last = Arc::clone(&pool);
        drop(pool.submit(move || drop(last)).unwrap());
        let handles: Vec<_> = (0..10).map(|i| pool.submit(move || i).unwrap()).collect();
        drop(pool);
        handles
    });
    assert!(handles.into_iter().map(|handle| handle.join().unwrap()).eq(0..10));
    wait_until_empty(&runtime);
}

#[test]
fn a_task_that_waits_for_its_own_pool_is_told() {
    let pool = Arc::new(Pool::builder().workers(1).build());
    let own = Arc::clone(&pool);
    let waits = pool.submit(move || own.close_and_wait()).unwrap();
    assert!(text_of(waits.join().unwrap_err()).contains("its own end"));
    let payload = catch_unwind(AssertUnwindSafe(|| Pool::builder().workers(0).build())).unwrap_err();
    assert!(text_of(payload).contains("0 workers"));
}

#[test]
fn a_task_that_joins_itself_is_told() {
    let pool = Pool::builder().workers(1).build();
    let (give, own) = channel::bounded::<Handle<()>>(1);
    let (tell, told) = channel::bounded(1);
    let confused = pool.submit(move || {
        let own = own.recv().unwrap();
        let payload = catch_unwind(AssertUnwindSafe(|| own.join())).unwrap_err();
        tell.send(text_of(payload)).unwrap();
    });
    give.send(confused.unwrap()).unwrap();
    assert!(told.recv_timeout(Duration::from_secs(20)).expect("it waits for itself").contains("its own end"));
    pool.close_and_wait();
}

#[test]
fn exit_in_the_destructor_of_a_result_leaves_nothing_to_later_tasks() {
    struct Exits;
    impl Drop for Exits {
        fn drop(&mut self) {
            lisle::exit();
        }
    }
    let pool = Pool::builder().workers(1).build();
    drop(pool.submit(|| Exits).unwrap());
    let mutex = Arc::new(lisle::sync::Mutex::new(()));
    let shared = Arc::clone(&mutex);
    let panics = pool.submit(move || {
        let _guard = shared.lock().unwrap();
        panic!("with the lock in its hands");
    });
    assert!(panics.unwrap().join().is_err());
    assert!(mutex.is_poisoned());
}

#[test]
fn metrics_tell_where_the_tasks_are() {
    let pool = Pool::builder().workers(2).queue(10).build();
    let (release, running) = occupy(&pool);
    let (release_too, running_too) = occupy(&pool);
    let queued = pool.submit(|| panic!("counted")).unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.waiting, metrics.running), (3, 1, 2));
    drop((release, release_too));
    assert!(running.join().is_ok() && running_too.join().is_ok() && queued.join().is_err());
    let metrics = pool.metrics();
    assert_eq!((metrics.waiting, metrics.running, metrics.completed, metrics.panicked), (0, 0, 3, 1));
}

#[test]
fn threads_and_goroutines_use_one_pool() {
    let pool = Pool::builder().workers(4).queue(2).build();
    let sum = AtomicUsize::new(0);
    let use_it = || {
        for i in 1..=100 {
            sum.fetch_add(pool.submit(move || i).unwrap().join().unwrap(), Ordering::SeqCst);
        }
    };
    thread::scope(|threads| {
        lisle::scope(|goroutines| {
            for _ in 0..3 {
                threads.spawn(use_it);
                goroutines.go(use_it);
            }
        });
    });
    assert_eq!(sum.into_inner(), 6 * 5050);
    pool.close_and_wait();
}

#[test]
fn a_panic_that_nobody_joins_is_reported_with_the_place_of_the_submission() {
    const NAME: &str = "a_panic_that_nobody_joins_is_reported_with_the_place_of_the_submission";
    let Some(output) = common::in_child(NAME, &[]) else {
        let pool = Pool::builder().workers(1).build();
        drop(pool.submit(|| panic!("before the drop")).unwrap());
        let late = pool.submit(|| panic!("after the end")).unwrap();
        pool.close_and_wait();
        return drop(late);
    };
    assert!(output.status.success());
    let text = common::stderr(&output);
    let told = text.matches("submitted to a pool at tests/pool.rs:").count();
    assert_eq!(told, 2, "{text}");
    let output = common::in_child(NAME, &[("LISLE_PANIC", "abort")]).expect("we are the parent");
    assert!(!output.status.success());
}

#[test]
fn a_pool_ends_in_time_although_nobody_looks() {
    let (ctx, cancel) = context::with_timeout(&background(), Duration::from_millis(5));
    let pool = Pool::builder().workers(3).context(&ctx).build();
    cancel.detach();
    ctx.wait();
    pool.close_and_wait();
    assert!(pool.submit(|| ()).is_err());
}
