//! The lock of `Mutex`: with unlocks that need no fence, after one turn here, and without.

use super::model;
use crate::membarrier;
use crate::sync::Mutex;
use loom::sync::Arc;
use loom::thread;

fn turns_of_three() {
    let counter = Arc::new(Mutex::new(0));
    let others: Vec<_> = (0..2)
        .map(|_| {
            let counter = Arc::clone(&counter);
            thread::spawn(move || *counter.lock().unwrap() += 1)
        })
        .collect();
    *counter.lock().unwrap() += 1;
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(*counter.lock().unwrap(), 3);
}

fn two_turns_each() {
    let counter = Arc::new(Mutex::new(0));
    let other = {
        let counter = Arc::clone(&counter);
        thread::spawn(move || {
            for _ in 0..2 {
                *counter.lock().unwrap() += 1;
            }
        })
    };
    for _ in 0..2 {
        *counter.lock().unwrap() += 1;
    }
    other.join().unwrap();
    assert_eq!(*counter.lock().unwrap(), 4);
}

#[test]
fn mutex_excludes_and_wakes_all_waiters() {
    model(turns_of_three);
}

#[test]
fn mutex_excludes_and_wakes_all_waiters_without_membarrier() {
    membarrier::without(|| model(turns_of_three));
}

#[test]
fn mutex_hand_over_after_lost_races() {
    model(two_turns_each);
}

#[test]
fn mutex_hand_over_after_lost_races_without_membarrier() {
    membarrier::without(|| model(two_turns_each));
}
