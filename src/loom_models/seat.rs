//! The models of `channel::seat`: who waits there is served once, moved, or leaves, whatever comes at the same time.

use super::{bounded_model, model};
use crate::channel::{Select, bounded};
use loom::thread;

/// The second finds the seat taken, or just served and not yet free. (With more preemptions the lock's waits are too many for
/// loom.)
#[test]
fn seat_and_list_serve_two_receivers() {
    bounded_model(1, || {
        let (sender, receiver) = bounded(0);
        let another = receiver.clone();
        let first = thread::spawn(move || receiver.recv().unwrap());
        let second = thread::spawn(move || another.recv().unwrap());
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    });
}

#[test]
fn seat_gives_a_sender_its_message_back_when_the_receivers_leave() {
    model(|| {
        let (sender, receiver) = bounded(0);
        let other = thread::spawn(move || sender.send(7));
        let received = receiver.try_recv();
        drop(receiver);
        match other.join().unwrap() {
            Ok(()) => assert_eq!(received, Ok(7)),
            Err(error) => assert!(received.is_err() && error.into_inner() == 7),
        }
    });
}

#[test]
fn seat_is_left_at_the_deadline_or_with_the_message() {
    model(|| {
        let (sender, receiver) = bounded(0);
        let soon = std::time::Instant::now();
        let other = thread::spawn(move || receiver.recv_deadline(soon).is_ok());
        let sent = sender.try_send(7).is_ok();
        assert_eq!(other.join().unwrap(), sent);
    });
}

#[test]
fn seat_is_cleared_for_a_select() {
    model(|| {
        let (sender, receiver) = bounded(0);
        let other = thread::spawn(move || receiver.recv());
        let mut select = Select::new();
        select.send(&sender);
        let operation = select.select();
        operation.send(&sender, 7).unwrap();
        assert_eq!(other.join().unwrap(), Ok(7));
    });
}

#[test]
fn seat_is_told_to_who_asks_whether_a_partner_waits() {
    model(|| {
        let (sender, receiver) = bounded(0);
        let other = thread::spawn(move || sender.send(7).is_ok());
        let mut select = Select::new();
        select.recv(&receiver);
        assert_eq!(select.ready(), 0);
        assert_eq!(receiver.try_recv(), Ok(7));
        assert!(other.join().unwrap());
    });
}

/// First by a receiver, then by a sender, or the other way round: the message of the first is out of the way by then.
#[test]
fn seat_is_used_again_when_its_message_has_been_taken() {
    model(|| {
        let (sender, receiver) = bounded(0);
        let (to_other, from_main) = (sender.clone(), receiver.clone());
        let other = thread::spawn(move || {
            assert_eq!(from_main.recv(), Ok(1));
            to_other.send(2).unwrap();
        });
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(2));
        other.join().unwrap();
    });
}
