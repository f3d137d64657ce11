//! Where goroutines start, which is where they stay. These tests compete with others for the machine's cores, so they
//! ask for what must happen nearly always, or at least once in many tries.

use lisle::go;
use std::thread::{self, ThreadId};
use std::time::Duration;

fn threads_of(handles: Vec<lisle::JoinHandle<ThreadId>>) -> Vec<ThreadId> {
    handles.into_iter().map(|handle| handle.join().unwrap()).collect()
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
    assert!((0..20).any(|_| is_spread()), "eight goroutines on one worker, twenty times");
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
