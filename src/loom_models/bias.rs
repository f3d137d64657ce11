//! The models of `channel::bias`: a lock that is a thread's own lets nobody else in, whoever wants it, and when.

use super::{bounded_model, model};
use crate::channel::bias::thread::{forget, set_number};
use crate::channel::lock::Lock;
use crate::channel::{Select, bounded, unbounded};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

type Counter = Lock<UnsafeCell<u32>>;

fn counter() -> Arc<Counter> {
    Arc::new(Lock::new(UnsafeCell::new(0)))
}

/// loom sees whether two do so at the same time, or one without what the other has done.
fn count(counter: &Counter) -> u32 {
    counter.lock().with_mut(|count| {
        // SAFETY: under the lock.
        unsafe {
            *count += 1;
            *count
        }
    })
}

/// A thread that may own the lock.
fn user(number: u16, counter: &Arc<Counter>, turns: u32) -> thread::JoinHandle<()> {
    let counter = Arc::clone(counter);
    thread::spawn(move || {
        set_number(number);
        for _ in 0..turns {
            count(&counter);
        }
    })
}

#[test]
fn bias_lets_the_owner_or_another_in() {
    model(|| {
        let counter = counter();
        let owner = user(1, &counter, 3);
        count(&counter);
        owner.join().unwrap();
        assert_eq!(count(&counter), 5);
    });
}

/// (With more preemptions the lock's waits are too many for loom.)
#[test]
fn bias_is_revoked_by_one_of_several() {
    bounded_model(1, || {
        let counter = counter();
        let others = [1, 2].map(|number| user(number, &counter, 2));
        count(&counter);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(count(&counter), 6);
    });
}

/// It takes the lock back, loses it again, and turns away at whatever moment.
#[test]
fn bias_returns_to_the_owner_after_a_revocation() {
    bounded_model(2, || {
        let counter = counter();
        let owner = user(1, &counter, 4);
        count(&counter);
        count(&counter);
        owner.join().unwrap();
        assert_eq!(count(&counter), 7);
    });
}

/// It finds by the word that the lock is its own, or no longer.
#[test]
fn bias_is_found_again_by_an_owner_that_has_forgotten() {
    model(|| {
        let counter = counter();
        let other = Arc::clone(&counter);
        let owner = thread::spawn(move || {
            set_number(1);
            count(&other);
            count(&other);
            forget();
            count(&other);
        });
        count(&counter);
        owner.join().unwrap();
        assert_eq!(count(&counter), 5);
    });
}

#[test]
fn bias_passes_messages_to_others() {
    model(|| {
        let (sender, receiver) = bounded(2);
        let other = thread::spawn(move || {
            set_number(1);
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
        other.join().unwrap();
    });
}

/// What the owner has left behind, that the channel is idle, nobody believes once it is not.
#[test]
fn bias_keeps_no_hint_that_has_become_wrong() {
    model(|| {
        let (sender, receiver) = unbounded();
        let is_sent = Arc::new(AtomicBool::new(false));
        let sent = Arc::clone(&is_sent);
        set_number(1);
        receiver.try_recv().unwrap_err();
        receiver.try_recv().unwrap_err();
        let other = thread::spawn(move || {
            sender.send(7).unwrap();
            sent.store(true, Ordering::Release);
            sender
        });
        let is_certain = is_sent.load(Ordering::Acquire);
        let mut select = Select::new();
        select.recv(&receiver);
        let selected = select.try_select().map(|operation| operation.recv(&receiver));
        assert!(selected == Ok(Ok(7)) || !is_certain);
        drop(other.join().unwrap());
    });
}
