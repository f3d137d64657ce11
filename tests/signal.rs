//! Signals. Those that are really sent go to a child process: they belong to the process as a whole.
//!
//! ThreadSanitizer holds them back.
#![cfg(not(lisle_tsan))]

mod common;

use common::{in_child, stderr};
use lisle::channel::{Receiver, RecvTimeoutError, TryRecvError};
use lisle::signal::{self, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signal};
use lisle::{context, go, select};
use std::collections::HashSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Sends a signal to this process.
fn send(signal: Signal) {
    let signal = rustix::process::Signal::from_named_raw(signal.number()).expect("a signal");
    rustix::process::kill_process(rustix::process::getpid(), signal).expect("our own process");
}

fn assert_well(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(output));
}

/// The child was ended by the signal, and not by its test harness.
fn assert_ended_by(signal: Signal, output: &Output) {
    assert_eq!(output.status.signal(), Some(signal.number()), "{:?}: {}", output.status, stderr(output));
}

/// For the end of a child that a signal is to end.
fn wait_for_the_end() -> ! {
    std::thread::sleep(LONG);
    panic!("the signal did not end the process");
}

/// Waits until the signal, and all that were sent before, have been delivered.
fn flush(with: Signal, receiver: &Receiver<Signal>) {
    for _ in 0..2 {
        send(with);
        assert_eq!(receiver.recv_timeout(LONG), Ok(with));
    }
}

#[test]
fn each_receiver_gets_the_signals_that_it_asked_for() {
    if let Some(output) = in_child("each_receiver_gets_the_signals_that_it_asked_for", &[]) {
        return assert_well(&output);
    }
    let first = signal::notify(&[SIGUSR1, SIGUSR2]).unwrap();
    let second = signal::notify(&[SIGUSR1]).unwrap();
    send(SIGUSR1);
    assert_eq!(first.recv_timeout(LONG), Ok(SIGUSR1));
    assert_eq!(second.recv_timeout(LONG), Ok(SIGUSR1));
    send(SIGUSR2);
    assert_eq!(first.recv_timeout(LONG), Ok(SIGUSR2));
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn goroutines_wait_for_signals_in_a_select() {
    if let Some(output) = in_child("goroutines_wait_for_signals_in_a_select", &[]) {
        return assert_well(&output);
    }
    let reload = signal::notify(&[SIGHUP]).unwrap();
    let stop = signal::notify(&[SIGTERM]).unwrap();
    let (reloaded, reloads) = lisle::channel::bounded(0);
    let server = go(move || {
        loop {
            select! {
                recv(reload) -> signal => reloaded.send(signal.unwrap()).unwrap(),
                recv(stop) -> signal => return signal.unwrap(),
            }
        }
    });
    send(SIGHUP);
    assert_eq!(reloads.recv_timeout(LONG), Ok(SIGHUP));
    send(SIGTERM);
    assert_eq!(server.join().unwrap(), SIGTERM);
}

#[test]
fn a_burst_of_different_signals_loses_none() {
    if let Some(output) = in_child("a_burst_of_different_signals_loses_none", &[]) {
        return assert_well(&output);
    }
    let all = [SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH];
    let receiver = signal::notify(&all).unwrap();
    all.into_iter().for_each(send);
    let received: HashSet<_> = (0..all.len()).map(|_| receiver.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(received, HashSet::from(all));
}

#[test]
fn who_does_not_receive_loses_what_comes_after_64_signals_and_holds_nobody_up() {
    let test = "who_does_not_receive_loses_what_comes_after_64_signals_and_holds_nobody_up";
    if let Some(output) = in_child(test, &[]) {
        return assert_well(&output);
    }
    let lazy = signal::notify(&[SIGUSR1]).unwrap();
    let diligent = signal::notify(&[SIGUSR1]).unwrap();
    for _ in 0..100 {
        send(SIGUSR1);
        assert_eq!(diligent.recv_timeout(LONG), Ok(SIGUSR1));
    }
    assert_eq!(lazy.try_iter().count(), 64);
}

#[test]
fn a_signal_has_its_default_action_again_when_the_last_receiver_has_gone() {
    let test = "a_signal_has_its_default_action_again_when_the_last_receiver_has_gone";
    if let Some(output) = in_child(test, &[]) {
        return assert_ended_by(SIGTERM, &output);
    }
    let receiver = signal::notify(&[SIGTERM]).unwrap();
    let (clone, other) = (receiver.clone(), signal::notify(&[SIGTERM]).unwrap());
    drop(receiver);
    flush(SIGTERM, &clone);
    drop(clone);
    while other.recv_timeout(Duration::from_millis(10)) != Err(RecvTimeoutError::Timeout) {}
    flush(SIGTERM, &other);
    drop(other);
    send(SIGTERM);
    wait_for_the_end();
}

#[test]
fn a_signal_that_was_ignored_is_ignored_again() {
    if let Some(output) = in_child("a_signal_that_was_ignored_is_ignored_again", &[]) {
        return assert_well(&output);
    }
    // Rust's start-up code ignores it.
    let pipe = signal::notify(&[SIGPIPE]).unwrap();
    let later = signal::notify(&[SIGTERM]).unwrap();
    send(SIGPIPE);
    assert_eq!(pipe.recv_timeout(LONG), Ok(SIGPIPE));
    drop(pipe);
    send(SIGPIPE);
    flush(SIGTERM, &later);
}

#[test]
fn a_handler_that_was_there_before_is_called_too_and_stays() {
    if let Some(output) = in_child("a_handler_that_was_there_before_is_called_too_and_stays", &[]) {
        return assert_well(&output);
    }
    let called = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR1.number(), Arc::clone(&called)).unwrap();
    let receiver = signal::notify(&[SIGUSR1]).unwrap();
    let later = signal::notify(&[SIGTERM]).unwrap();
    send(SIGUSR1);
    assert_eq!(receiver.recv_timeout(LONG), Ok(SIGUSR1));
    assert!(called.swap(false, Ordering::SeqCst));
    drop(receiver);
    send(SIGUSR1);
    flush(SIGTERM, &later);
    assert!(called.load(Ordering::SeqCst));
}

#[test]
fn signals_arrive_while_all_workers_are_stuck() {
    if let Some(output) = in_child("signals_arrive_while_all_workers_are_stuck", &[("LISLE_WORKERS", "1")]) {
        return assert_well(&output);
    }
    let receiver = signal::notify(&[SIGINT]).unwrap();
    let (ctx, _stop) = signal::notify_context(&context::background(), &[SIGINT]).unwrap();
    let (release, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (released, start) = (Arc::clone(&release), Arc::clone(&started));
    let stuck = go(move || {
        start.store(true, Ordering::SeqCst);
        while !released.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        true
    });
    while !started.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    send(SIGINT);
    assert_eq!(receiver.recv_timeout(LONG), Ok(SIGINT));
    ctx.wait();
    assert!(!stuck.is_finished());
    release.store(true, Ordering::SeqCst);
    assert!(stuck.join().unwrap());
}

#[test]
fn the_first_signal_cancels_the_context_and_the_second_ends_the_process() {
    let test = "the_first_signal_cancels_the_context_and_the_second_ends_the_process";
    if let Some(output) = in_child(test, &[]) {
        return assert_ended_by(SIGINT, &output);
    }
    let (ctx, _stop) = signal::notify_context(&context::background(), &[SIGINT, SIGTERM]).unwrap();
    assert_eq!(ctx.err(), None);
    send(SIGINT);
    assert_eq!(ctx.wait(), context::Error::Cancelled);
    let cause = ctx.cause().unwrap();
    assert_eq!(cause.to_string(), "received SIGINT");
    assert_eq!(cause.downcast_ref::<signal::Received>().unwrap().signal, SIGINT);
    send(SIGINT);
    wait_for_the_end();
}

#[test]
fn two_signals_at_once_end_a_process_that_waits_for_the_first_only() {
    let test = "two_signals_at_once_end_a_process_that_waits_for_the_first_only";
    if let Some(output) = in_child(test, &[]) {
        let signal = output.status.signal();
        assert!(signal == Some(SIGINT.number()) || signal == Some(SIGTERM.number()), "{:?}", output.status);
        return;
    }
    let (_ctx, _stop) = signal::notify_context(&context::background(), &[SIGINT, SIGTERM]).unwrap();
    send(SIGINT);
    send(SIGTERM);
    wait_for_the_end();
}

#[test]
fn a_context_that_is_done_for_another_reason_gives_the_signal_back() {
    let test = "a_context_that_is_done_for_another_reason_gives_the_signal_back";
    for way in ["cancel", "drop", "parent"] {
        if let Some(output) = in_child(test, &[("WAY", way)]) {
            assert_ended_by(SIGINT, &output);
            continue;
        }
        let (parent, end) = context::with_cancel(&context::background());
        let (ctx, stop) = signal::notify_context(&parent, &[SIGINT]).unwrap();
        match std::env::var("WAY").unwrap().as_str() {
            "cancel" => stop.cancel(),
            "drop" => drop(stop),
            _ => end.cancel(),
        }
        ctx.wait();
        assert!(!ctx.cause().unwrap().is::<signal::Received>());
        send(SIGINT);
        wait_for_the_end();
    }
}

#[test]
fn a_destructor_that_panics_does_not_end_the_delivery() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a value of a context that nobody has any more");
        }
    }
    impl context::Key for Bomb {
        type Value = Self;
    }
    if let Some(output) = in_child("a_destructor_that_panics_does_not_end_the_delivery", &[]) {
        return assert_well(&output);
    }
    let receiver = signal::notify(&[SIGUSR1]).unwrap();
    let parent = context::with_value::<Bomb>(&context::background(), Bomb);
    drop(signal::notify_context(&parent, &[SIGUSR1]).unwrap());
    drop(parent);
    // The delivery has the last hold on the value, and finds that out at the first of them.
    for _ in 0..3 {
        send(SIGUSR1);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(SIGUSR1));
    }
}

#[test]
fn a_handler_fits_on_the_smallest_goroutine_stack() {
    if let Some(output) = in_child("a_handler_fits_on_the_smallest_goroutine_stack", &[]) {
        return assert_well(&output);
    }
    let receiver = signal::notify(&[SIGUSR1]).unwrap();
    let small = lisle::Builder::new().stack_size(lisle::MIN_STACK_SIZE);
    // Unlike `send`, this interrupts the very thread that calls it.
    let raise = || signal_hook::low_level::raise(SIGUSR1.number()).unwrap();
    small.go(raise).unwrap().join().unwrap();
    assert_eq!(receiver.recv_timeout(LONG), Ok(SIGUSR1));
}

#[test]
fn what_cannot_be_listened_for_is_refused_and_told_why() {
    let refused = |number: i32| Signal::try_from(number).unwrap_err().to_string();
    assert!(refused(9).contains("SIGKILL") && refused(19).contains("SIGSTOP"));
    assert!(refused(11).contains("stack overflow") && refused(8).contains("fault"));
    assert!(refused(40).contains("real-time"));
    for number in [0, -1, 65, i32::MAX, i32::MIN] {
        assert!(refused(number).contains("not the number of a signal"), "{}", refused(number));
    }
    let nothing = signal::notify(&[]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::InvalidInput);
    assert!(signal::notify_context(&context::background(), &[]).is_err());
}

#[test]
fn signals_have_names_and_numbers() {
    assert_eq!(Signal::try_from(2), Ok(SIGINT));
    assert_eq!(format!("{SIGTERM} {SIGTERM:?} {:>8}", SIGINT), "SIGTERM SIGTERM   SIGINT");
    let known = (1..=31).filter_map(|number: i32| Signal::try_from(number).ok());
    assert!(known.clone().all(|signal| Signal::try_from(signal.number()) == Ok(signal)));
    assert_eq!(known.map(|signal| signal.to_string()).collect::<HashSet<_>>().len(), 20);
}
