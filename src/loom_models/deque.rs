//! The models of `sched::deque`: what is put in is taken once, by its owner or a thief, with all that was done before.

use super::{bounded_model, model};
use crate::sched_models::deque::{Deque, Stealer, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::ptr::NonNull;

/// Taken twice, it is freed twice; loom sees whether what it holds was written before it is read.
struct Item(NonNull<UnsafeCell<usize>>);

// SAFETY: a box, in effect.
unsafe impl Send for Item {}
// SAFETY: nothing can be done with a shared one.
unsafe impl Sync for Item {}

// SAFETY: a box, in effect.
unsafe impl Word for Item {
    type Target = UnsafeCell<usize>;

    fn into_raw(self) -> NonNull<UnsafeCell<usize>> {
        self.0
    }

    unsafe fn from_raw(raw: NonNull<UnsafeCell<usize>>) -> Self {
        Self(raw)
    }
}

impl Item {
    fn new(number: usize) -> Self {
        Self(NonNull::from(Box::leak(Box::new(UnsafeCell::new(number)))))
    }

    fn number(&self) -> usize {
        // SAFETY: in place as long as the process; loom checks that nobody writes.
        unsafe { self.0.as_ref() }.with_mut(|number| unsafe { *number })
    }
}

/// Counts what was taken, each in its own digit.
#[derive(Clone)]
struct Taken(Arc<AtomicUsize>);

impl Taken {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn add(&self, item: &Item) {
        self.0.fetch_add(10_usize.pow(u32::try_from(item.number()).unwrap()), Ordering::Relaxed);
    }

    /// The owner takes one, if there is one. Says whether there was.
    fn pop(&self, deque: &Deque<Item>) -> bool {
        deque.pop().inspect(|item| self.add(item)).is_some()
    }

    fn pop_all(&self, deque: &Deque<Item>) {
        while self.pop(deque) {}
    }
}

fn filled(count: usize) -> Deque<Item> {
    let deque = Deque::new();
    (0..count).for_each(|number| deque.push(Item::new(number)));
    deque
}

fn thief(deque: &Deque<Item>, taken: &Taken, times: usize) -> thread::JoinHandle<()> {
    let (stealer, taken): (Stealer<Item>, Taken) = (deque.stealer(), taken.clone());
    thread::spawn(move || {
        for _ in 0..times {
            stealer.steal().iter().for_each(|item| taken.add(item));
        }
    })
}

/// The owner takes what is left, after the thieves.
fn finish(deque: &Deque<Item>, taken: &Taken, thieves: Vec<thread::JoinHandle<()>>, all: usize) {
    thieves.into_iter().for_each(|thief| thief.join().unwrap());
    taken.pop_all(deque);
    assert_eq!(taken.0.load(Ordering::Relaxed), all, "how often each was taken");
}

#[test]
fn an_owner_and_a_thief_take_each_once() {
    model(|| {
        let (deque, taken) = (filled(2), Taken::new());
        let thieves = vec![thief(&deque, &taken, 2)];
        for _ in 0..2 {
            taken.pop(&deque);
        }
        finish(&deque, &taken, thieves, 11);
    });
}

#[test]
fn two_thieves_and_an_owner_take_each_once() {
    bounded_model(2, || {
        let (deque, taken) = (filled(2), Taken::new());
        let thieves = vec![thief(&deque, &taken, 1), thief(&deque, &taken, 1)];
        taken.pop(&deque);
        finish(&deque, &taken, thieves, 11);
    });
}

#[test]
fn a_thief_finds_what_it_takes_while_the_ring_grows_and_its_places_are_used_again() {
    model(|| {
        let (deque, taken) = (filled(1), Taken::new());
        let thieves = vec![thief(&deque, &taken, 2)];
        // The ring has two places.
        (1..4).for_each(|number| deque.push(Item::new(number)));
        taken.pop(&deque);
        finish(&deque, &taken, thieves, 1111);
    });
}

#[test]
fn what_takes_the_place_of_one_that_the_owner_took_is_taken_once() {
    model(|| {
        let (deque, taken) = (filled(1), Taken::new());
        let thieves = vec![thief(&deque, &taken, 2)];
        taken.pop(&deque);
        deque.push(Item::new(1));
        taken.pop(&deque);
        finish(&deque, &taken, thieves, 11);
    });
}

#[test]
fn a_batch_that_is_stolen_on_at_once_is_taken_once() {
    bounded_model(2, || {
        let (deque, taken) = (filled(3), Taken::new());
        let robber = {
            let (stealer, taken) = (deque.stealer(), taken.clone());
            thread::spawn(move || {
                let own = Deque::new();
                let second = thief(&own, &taken, 1);
                stealer.steal_several(2, &own).iter().for_each(|item| taken.add(item));
                second.join().unwrap();
                taken.pop_all(&own);
            })
        };
        taken.pop(&deque);
        finish(&deque, &taken, vec![robber], 111);
    });
}
