//! Where goroutines start, which is where they stay. These tests compete with others for the machine's cores, so they
//! ask for what must happen nearly always, or at least once in many tries.

use lisle::go;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

fn threads_of(handles: Vec<lisle::JoinHandle<ThreadId>>) -> Vec<ThreadId> {
    handles.into_iter().map(|handle| handle.join().unwrap()).collect()
}

/// An idle worker may be long in coming, since other tests use the machine, too; after that its coming is not waited for
/// for some time.
fn at_last(done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    std::iter::repeat_with(|| {
        thread::sleep(Duration::from_millis(5));
        done()
    })
    .take_while(|_| Instant::now() < end)
    .any(|done| done)
}

fn worker() -> ThreadId {
    thread::current().id()
}

fn two_workers() -> lisle::Runtime {
    lisle::Config::new().workers(2).start().unwrap()
}

#[test]
fn a_pool_that_first_waits_for_work_is_spread_over_the_workers() {
    // A thief may be late on a loaded machine: then the pool stays where it is. It must not be so every time.
    let is_spread = || {
        two_workers().run(|| {
            let (sender, receiver) = lisle::channel::bounded(0);
            let receive = |receiver: lisle::channel::Receiver<()>| {
                go(move || {
                    receiver.recv().unwrap();
                    thread::current().id()
                })
            };
            let pool = (0..8).map(|_| receive(receiver.clone())).collect();
            lisle::time::sleep(Duration::from_millis(1));
            (0..8).for_each(|_| sender.send(()).unwrap());
            let threads = threads_of(pool);
            threads.iter().any(|thread| *thread != threads[0])
        })
    };
    let end = Instant::now() + Duration::from_secs(10);
    while !is_spread() {
        assert!(Instant::now() < end, "eight goroutines on one worker, each time for ten seconds");
    }
}

#[test]
fn a_server_does_not_keep_all_its_connections_on_the_worker_that_accepts() {
    let runtime = two_workers();
    let threads = runtime.run(|| {
        let (sender, receiver) = lisle::channel::bounded::<()>(0);
        let accept = |_| {
            let receiver = receiver.clone();
            let handler = go(move || {
                let _closed = receiver.recv();
                thread::current().id()
            });
            lisle::time::sleep(Duration::from_micros(300));
            handler
        };
        let handlers = (0..60).map(accept).collect();
        drop(sender);
        threads_of(handlers)
    });
    let here = threads.iter().filter(|thread| **thread == threads[0]).count();
    assert!((10..=50).contains(&here), "{here} of 60 on one worker");
}

#[test]
fn partners_that_talk_at_once_share_a_worker() {
    let runtime = two_workers();
    let share = || {
        let (sender, receiver) = lisle::channel::bounded(0);
        let partner = go(move || {
            let _ = receiver.iter().count();
            thread::current().id()
        });
        (0..100).for_each(|i| sender.send(i).unwrap());
        drop(sender);
        partner.join().unwrap() == thread::current().id()
    };
    let shared = runtime.run(|| (0..100).filter(|_| share()).count());
    assert!(shared >= 80, "{shared} of 100 pairs");
}

/// A thief takes both; then the one that waits goes back to whoever is idle.
#[test]
fn two_that_compute_have_a_worker_each() {
    let runtime = two_workers();
    let compute = || {
        let end = Instant::now() + Duration::from_millis(2);
        while Instant::now() < end {}
        worker()
    };
    let live_apart = || {
        let threads = runtime.run(|| threads_of(vec![go(compute), go(compute)]));
        threads[0] != threads[1]
    };
    assert!(at_last(live_apart));
}

/// Operations that never wait end no slice but by their budget. Whoever makes room for its partner then shares its core
/// with it for ever.
#[test]
fn a_goroutine_of_many_operations_leaves_its_partner_to_an_idle_worker() {
    let runtime = two_workers();
    let lives_apart = || {
        runtime.run(|| {
            let (count, here) = (lisle::sync::Mutex::new(0), worker());
            lisle::scope(|scope| {
                let partner = scope.go(worker);
                while !partner.is_finished() {
                    *count.lock().unwrap() += 1;
                }
                partner.join().unwrap() != here
            })
        })
    };
    assert!(at_last(lives_apart));
}

#[test]
fn a_loop_over_tiny_items_uses_all_workers() {
    let runtime = two_workers();
    let is_shared = || {
        runtime.run(|| {
            let workers = lisle::parallel::map(2, 0..20_000, |_| worker());
            workers.iter().any(|worker| *worker != workers[0])
        })
    };
    assert!(at_last(is_shared));
}
