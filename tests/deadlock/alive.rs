//! Programs that all sleep for longer than a deadlock takes to be seen, and then go on.

use super::LONG;
use lisle::channel::bounded;
use lisle::{Builder, Config, DeadlockPolicy, blocking, go, run, signal, time};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) const PROGRAMS: &[(&str, fn())] = &[
    ("a_goroutine_sleeps", || run(|| time::sleep(LONG))),
    ("a_receive_has_a_deadline", deadline),
    ("the_main_threads_wait_has_a_deadline", deadline_of_thread),
    ("a_deferred_call_is_due_later", deferred_call),
    ("a_blocking_call_is_under_way", || run(|| blocking(|| std::thread::sleep(LONG)))),
    ("a_goroutine_blocks_its_thread", || run(|| std::thread::sleep(LONG))),
    ("one_with_its_own_thread_blocks_it", own_thread_blocks),
    ("another_thread_will_send", thread_sends),
    ("another_thread_sleeps_and_wakes_the_main_thread", thread_wakes_main),
    ("a_thread_of_its_own_blocks_in_the_system", thread_in_the_system),
    ("a_goroutine_computes", computes),
    ("everything_happens_at_the_edge", at_the_edge),
];

/// Run by tests of their own.
pub(crate) const OTHERS: &[(&str, fn())] =
    &[("a_private_runtime_ignores_it", ignores_it), ("a_signal_is_awaited", awaits_signal)];

fn deadline() {
    let (_sender, receiver) = bounded::<u32>(0);
    run(|| assert!(receiver.recv_timeout(LONG).is_err()));
}

fn deadline_of_thread() {
    let (_sender, receiver) = bounded::<u32>(0);
    go(|| ()).join().unwrap();
    assert!(receiver.recv_timeout(LONG).is_err());
}

fn deferred_call() {
    let (sender, receiver) = bounded(1);
    let _call = time::after_func(LONG, move || sender.send(1).unwrap());
    run(|| assert_eq!(receiver.recv(), Ok(1)));
}

fn own_thread_blocks() {
    let builder = Builder::new().own_thread(true);
    builder.go(|| std::thread::sleep(LONG)).unwrap().join().unwrap();
}

fn thread_sends() {
    let (sender, receiver) = bounded(0);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(LONG);
        sender.send(1).unwrap();
    });
    run(|| assert_eq!(receiver.recv(), Ok(1)));
    thread.join().unwrap();
}

fn thread_wakes_main() {
    go(|| ()).join().unwrap();
    let group = lisle::sync::WaitGroup::new();
    group.add(1);
    let done = group.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(LONG);
        done.done();
    });
    group.wait();
    thread.join().unwrap();
}

fn thread_in_the_system() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let (sender, receiver) = bounded(0);
    let reading = std::thread::spawn(move || {
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        sender.send(1).unwrap();
    });
    let writing = std::thread::spawn(move || {
        std::thread::sleep(LONG);
        writer.write_all(&[1]).unwrap();
    });
    run(|| assert_eq!(receiver.recv(), Ok(1)));
    reading.join().unwrap();
    writing.join().unwrap();
}

fn computes() {
    run(|| {
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    });
}

/// Goroutines, threads, timers and blocking calls wake each other after pauses of about the time between two looks.
fn at_the_edge() {
    let stop = Arc::new(AtomicBool::new(false));
    let (to_thread, from_goroutine) = bounded::<u64>(0);
    let (to_goroutine, from_thread) = bounded::<u64>(0);
    let echo = std::thread::spawn(move || {
        for pause in &from_goroutine {
            if pause.is_multiple_of(3) {
                std::thread::sleep(Duration::from_micros(pause));
            }
            to_goroutine.send(pause).unwrap();
        }
    });
    let flag = Arc::clone(&stop);
    let other = go(move || {
        while !flag.load(Ordering::Relaxed) {
            blocking(|| std::thread::sleep(Duration::from_millis(11)));
        }
    });
    run(|| {
        let end = Instant::now() + Duration::from_secs(3);
        let mut pause = 1;
        while Instant::now() < end {
            pause = (pause * 7919) % 25_013;
            to_thread.send(pause).unwrap();
            assert_eq!(from_thread.recv(), Ok(pause));
            if pause.is_multiple_of(5) {
                time::sleep(Duration::from_micros(pause));
            }
        }
        drop(to_thread);
    });
    stop.store(true, Ordering::Relaxed);
    other.join().unwrap();
    echo.join().unwrap();
}

fn ignores_it() {
    let runtime = Config::new().deadlock(DeadlockPolicy::Ignore).start().unwrap();
    let (_sender, receiver) = bounded::<u32>(0);
    runtime.run(|| receiver.recv().unwrap_or_default());
}

fn awaits_signal() {
    run(|| {
        let signals = signal::notify(&[signal::SIGUSR1]).unwrap();
        std::io::stdout().write_all(b"!").unwrap();
        std::io::stdout().flush().unwrap();
        assert_eq!(signals.recv(), Ok(signal::SIGUSR1));
    });
}
