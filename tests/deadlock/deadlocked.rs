//! Programs that nothing can set going again.

use super::LONG;
use lisle::channel::{Receiver, bounded};
use lisle::sync::{Barrier, Condvar, Mutex, RwLock, WaitGroup};
use lisle::{Builder, Config, blocking, go, no_switch, run, signal, time};
use std::sync::Arc;
use std::time::Duration;

type Program = (&'static str, fn(), &'static [&'static str]);

/// Names, and what must stand in the report.
pub(crate) const PROGRAMS: &[Program] = &[
    (
        "a_main_goroutine_receives_from_itself",
        receives_from_itself,
        &[
            " [chan receive, name \"main\"]:\n",
            "deadlocked.rs:",
            "[join, name \"main\"]:\n",
            "deadlock::main(...)\n",
            "\na thread waits for the end of goroutine ",
        ],
    ),
    ("a_goroutine_joins_one_that_waits", joins_one_that_waits, &[" (\"main\") waits for the end of goroutine "]),
    ("the_main_thread_joins_a_goroutine_that_waits", joins, &["[chan receive]:\n", "[join, name \"main\"]:\n"]),
    ("two_take_two_locks_in_different_order", two_locks, &["[Mutex::lock]:\n", "[WaitGroup::wait, name \"main\"]:\n"]),
    ("one_takes_its_own_lock_again", own_lock_again, &["[RwLock::write]:\n"]),
    ("a_group_is_never_done", group_never_done, &["[WaitGroup::wait"]),
    ("too_few_come_to_a_barrier", too_few, &["[Barrier::wait"]),
    ("nobody_notifies", nobody_notifies, &["[Condvar::wait"]),
    ("everybody_sends", everybody_sends, &["[chan send]:\n"]),
    ("a_goroutine_with_its_own_thread_waits", own_thread, &["locked to thread", "name \"recluse\""]),
    ("a_goroutine_keeps_its_thread_and_waits", keeps_thread, &["keeps its thread: "]),
    ("a_thread_of_the_program_waits_too", thread_waits_too, &["thread ", "name \"helper\"", "deadlocked::wait_here("]),
    ("a_blocking_call_waits_in_lisle", blocking_call_waits, &["[blocking call", "name \"lisle-blocking\""]),
    ("it_is_a_private_runtime", private_runtime, &["[chan receive"]),
    ("there_are_two_runtimes", two_runtimes, &["[chan receive"]),
    ("somebody_holds_the_lock_of_stderr", holds_stderr, &["[chan receive"]),
    ("timers_have_fired_or_been_stopped", timers_are_over, &["[chan receive"]),
    ("a_thread_ends_that_could_have_helped", helper_ends, &["[chan receive"]),
    ("the_main_thread_comes_to_wait_late", late_wait, &["[join, name \"main\"]:\n"]),
    ("a_blocking_call_ends", blocking_call_ends, &["[chan receive"]),
    ("nobody_listens_for_signals_any_more", signals_are_over, &["[chan receive"]),
    #[cfg(feature = "pprof")]
    ("the_debug_server_runs", with_server, &["[chan receive"]),
    ("more_blocking_calls_wait_than_there_are_threads", too_many_blocking_calls, &["[blocking call]:\n"]),
    ("many_goroutines_wait", many_wait, &["1200 goroutines [chan receive"]),
];

/// Nobody else has the sender.
fn wait_here(receiver: &Receiver<u32>) {
    let _ = receiver.recv();
}

fn wait_for_ever() {
    let (_sender, receiver) = bounded(0);
    wait_here(&receiver);
}

fn receives_from_itself() {
    run(wait_for_ever);
}

fn joins_one_that_waits() {
    run(|| go(wait_for_ever).join().unwrap());
}

fn joins() {
    go(wait_for_ever).join().unwrap();
}

fn two_locks() {
    run(|| {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (both, group) = (Arc::new(Barrier::new(2)), WaitGroup::new());
        for (first, second) in [(Arc::clone(&a), Arc::clone(&b)), (b, a)] {
            let both = Arc::clone(&both);
            group.go(move || {
                let _first = first.lock().unwrap();
                both.wait();
                let _second = second.lock().unwrap();
            });
        }
        group.wait();
    });
}

fn own_lock_again() {
    let lock = Arc::new(RwLock::new(()));
    go(move || {
        let _reader = lock.read().unwrap();
        let _writer = lock.write().unwrap();
    })
    .join()
    .unwrap();
}

fn group_never_done() {
    let group = WaitGroup::new();
    group.add(1);
    go(|| ()).join().unwrap();
    group.wait();
}

fn too_few() {
    let barrier = Arc::new(Barrier::new(3));
    let other = Arc::clone(&barrier);
    let _other = go(move || other.wait().is_leader());
    barrier.wait();
}

fn nobody_notifies() {
    run(|| {
        let pair = (Mutex::new(false), Condvar::new());
        let guard = pair.0.lock().unwrap();
        drop(pair.1.wait(guard).unwrap());
    });
}

fn everybody_sends() {
    let (sender, receiver) = bounded(0);
    let handles: Vec<_> = (0..3).map(|n| (sender.clone(), n)).map(|(sender, n)| go(move || sender.send(n))).collect();
    handles.into_iter().for_each(|handle| drop(handle.join()));
    drop(receiver);
}

fn own_thread() {
    Builder::new().name("recluse").own_thread(true).go(wait_for_ever).unwrap().join().unwrap();
}

fn keeps_thread() {
    go(|| no_switch(wait_for_ever)).join().unwrap();
}

fn thread_waits_too() {
    let thread = std::thread::Builder::new().name("helper".into()).spawn(wait_for_ever).unwrap();
    let _other = go(wait_for_ever);
    let group = WaitGroup::new();
    group.add(1);
    group.wait();
    thread.join().unwrap();
}

fn blocking_call_waits() {
    go(|| blocking(wait_for_ever)).join().unwrap();
}

fn too_many_blocking_calls() {
    // What would send stands behind 512 that receive.
    let (sender, receiver) = bounded(0);
    let calls: Vec<_> = (0..512).map(|_| receiver.clone()).map(|of| go(move || blocking(|| wait_here(&of)))).collect();
    while lisle::metrics().blocking_threads < 512 {
        std::thread::yield_now();
    }
    let sends = go(move || blocking(|| (0..512).for_each(|n| sender.send(n).unwrap())));
    sends.join().unwrap();
    calls.into_iter().for_each(|call| call.join().unwrap());
}

fn private_runtime() {
    Config::new().workers(1).start().unwrap().run(wait_for_ever);
}

fn two_runtimes() {
    let other = Config::new().workers(1).start().unwrap();
    let (sender, receiver) = bounded(0);
    let _waiting = other.go(move || wait_here(&receiver));
    run(|| {
        wait_for_ever();
        sender.send(1).unwrap();
    });
}

fn holds_stderr() {
    run(|| {
        let _locked = std::io::stderr().lock();
        wait_for_ever();
    });
}

fn timers_are_over() {
    run(|| {
        time::sleep(Duration::from_millis(30));
        let timer = time::Timer::new(Duration::from_secs(3600));
        timer.stop();
        let call = time::after_func(Duration::from_secs(3600), || ());
        call.stop();
        let (_sender, receiver) = bounded::<u32>(0);
        let _ = receiver.recv_timeout(Duration::from_millis(30));
        wait_here(&receiver);
    });
}

fn helper_ends() {
    let (sender, receiver) = bounded(0);
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        std::mem::forget(sender);
    });
    run(|| wait_here(&receiver));
}

fn late_wait() {
    let waiting = go(wait_for_ever);
    std::thread::sleep(LONG);
    waiting.join().unwrap();
}

fn blocking_call_ends() {
    run(|| {
        blocking(|| std::thread::sleep(Duration::from_millis(50)));
        wait_for_ever();
    });
}

fn signals_are_over() {
    run(|| {
        drop(signal::notify(&[signal::SIGUSR1]).unwrap());
        wait_for_ever();
    });
}

#[cfg(feature = "pprof")]
fn with_server() {
    let _server = lisle::debug::serve("127.0.0.1:0").unwrap();
    run(wait_for_ever);
}

fn many_wait() {
    let (sender, receiver) = bounded(0);
    for _ in 0..1200 {
        let receiver = receiver.clone();
        go(move || wait_here(&receiver));
    }
    run(move || {
        wait_for_ever();
        sender.send(1).unwrap();
    });
}
