//! The watch of lock orders: what it tells, and what it does not.

mod common;

use common::{in_child, stderr};
use lisle::sync::{Barrier, Condvar, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use lisle::{Builder, go};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WATCHED: &[(&str, &str)] = &[("LISLE_DEBUG", "lockorder")];

type Lock = Arc<Mutex<()>>;

fn locks<const N: usize>() -> [Lock; N] {
    std::array::from_fn(|_| Arc::default())
}

/// In a goroutine of its own, which ends before the next one begins.
fn alone(f: impl FnOnce() + Send + 'static) {
    go(f).join().unwrap();
}

#[inline(never)]
fn take_in_turn(locks: &[&Lock]) {
    if let Some((first, rest)) = locks.split_first() {
        let _guard = first.lock().unwrap();
        take_in_turn(rest);
    }
}

/// What the child has written, if this is not the child.
fn told(test: &str) -> Option<String> {
    in_child(test, WATCHED).map(|output| {
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    })
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the debug information of cargo race has shorter names")]
fn two_orders_are_told_once_with_all_stacks_although_nobody_waited() {
    if let Some(text) = told("two_orders_are_told_once_with_all_stacks_although_nobody_waited") {
        assert_eq!(text.matches("2 locks are taken in different orders").count(), 1, "{text}");
        assert_eq!(text.matches(" wanted a lock at tests/lock_order.rs:").count(), 2, "{text}");
        assert_eq!(
            text.matches("while it held the one that it had taken at tests/lock_order.rs:").count(),
            2,
            "{text}"
        );
        assert!(
            text.contains("(\"the first\") created at ") && text.contains("lock_order::first_then_second("),
            "{text}"
        );
        assert!(text.contains("lock_order::second_then_first("), "{text}");
        return;
    }
    let [a, b] = locks();
    for _ in 0..3 {
        let (first, second) = (Arc::clone(&a), Arc::clone(&b));
        Builder::new().name("the first").go(move || first_then_second(&first, &second)).unwrap().join().unwrap();
        let (first, second) = (Arc::clone(&a), Arc::clone(&b));
        alone(move || second_then_first(&first, &second));
    }
}

#[inline(never)]
fn first_then_second(a: &Lock, b: &Lock) {
    let _a = a.lock().unwrap();
    let _b = b.lock().unwrap();
}

#[inline(never)]
fn second_then_first(a: &Lock, b: &Lock) {
    let _b = b.lock().unwrap();
    let _a = a.lock().unwrap();
}

#[test]
fn a_circle_of_three_is_told() {
    if let Some(text) = told("a_circle_of_three_is_told") {
        assert!(text.contains("3 locks are taken in different orders"), "{text}");
        assert_eq!(text.matches(" wanted a lock at ").count(), 3, "{text}");
        return;
    }
    let [a, b, c] = locks();
    for (first, second) in [(&a, &b), (&b, &c), (&c, &a)] {
        let (first, second) = (Arc::clone(first), Arc::clone(second));
        alone(move || take_in_turn(&[&first, &second]));
    }
}

#[test]
fn readers_and_writers_are_in_circles_too() {
    if let Some(text) = told("readers_and_writers_are_in_circles_too") {
        assert!(text.contains("2 locks are taken in different orders"), "{text}");
        return;
    }
    let (lock, other) = (Arc::new(RwLock::new(())), Lock::default());
    let (lock2, other2) = (Arc::clone(&lock), Arc::clone(&other));
    alone(move || {
        let _reader = lock.read().unwrap();
        let _other = other.lock().unwrap();
    });
    alone(move || {
        let _other = other2.lock().unwrap();
        let _writer = lock2.write().unwrap();
    });
}

#[test]
fn a_circle_is_told_although_another_way_round_is_guarded() {
    if let Some(text) = told("a_circle_is_told_although_another_way_round_is_guarded") {
        assert!(text.contains("4 locks are taken in different orders"), "{text}");
        return;
    }
    let [gate, a, b, c, d] = locks();
    // From b to c there are two ways; the circle in which two hold the gate cannot come about.
    for order in [vec![&gate, &b, &c], vec![&b, &d], vec![&d, &c], vec![&c, &a], vec![&gate, &a, &b]] {
        let order: Vec<Lock> = order.into_iter().map(Arc::clone).collect();
        alone(move || take_in_turn(&order.iter().collect::<Vec<_>>()));
    }
}

fn in_both_orders_under(hold: fn(&RwLock<()>) -> RwLockReadGuard<'_, ()>) {
    let gate = Arc::new(RwLock::new(()));
    let [a, b] = locks();
    let (gate2, a2, b2) = (Arc::clone(&gate), Arc::clone(&a), Arc::clone(&b));
    alone(move || {
        let _reader = hold(&gate);
        take_in_turn(&[&a, &b]);
    });
    alone(move || {
        let _reader = hold(&gate2);
        take_in_turn(&[&b2, &a2]);
    });
}

#[test]
fn a_lock_that_all_hold_for_reading_keeps_nobody_apart() {
    if let Some(text) = told("a_lock_that_all_hold_for_reading_keeps_nobody_apart") {
        assert_eq!(text.matches("2 locks are taken in different orders").count(), 1, "{text}");
        return;
    }
    in_both_orders_under(|gate| gate.read().unwrap());
}

#[test]
fn nor_does_one_that_was_locked_for_writing_and_then_downgraded() {
    if let Some(text) = told("nor_does_one_that_was_locked_for_writing_and_then_downgraded") {
        assert_eq!(text.matches("2 locks are taken in different orders").count(), 1, "{text}");
        return;
    }
    in_both_orders_under(|gate| RwLockWriteGuard::downgrade(gate.write().unwrap()));
}

#[test]
fn what_cannot_come_about_is_not_told() {
    if let Some(text) = told("what_cannot_come_about_is_not_told") {
        assert!(!text.contains("lisle:"), "{text}");
        return;
    }
    // The same order, always.
    let [a, b, gate] = locks();
    let (a1, b1) = (Arc::clone(&a), Arc::clone(&b));
    alone(move || take_in_turn(&[&a1, &b1]));
    // Both orders by one goroutine.
    let [c, d] = locks();
    alone(move || {
        take_in_turn(&[&c, &d]);
        take_in_turn(&[&d, &c]);
    });
    // Both orders under a third lock.
    let [e, f] = locks();
    let (e1, f1, gate1) = (Arc::clone(&e), Arc::clone(&f), Arc::clone(&gate));
    alone(move || take_in_turn(&[&gate1, &e1, &f1]));
    alone(move || take_in_turn(&[&gate, &f, &e]));
    // Two of three under a lock: never at once.
    let [e, f, g] = locks();
    let guarded = Lock::default();
    for order in [vec![&guarded, &e, &f], vec![&guarded, &f, &g], vec![&g, &e]] {
        let order: Vec<Lock> = order.into_iter().map(Arc::clone).collect();
        alone(move || take_in_turn(&order.iter().collect::<Vec<_>>()));
    }
    // Two of three by one goroutine.
    let [e, f, g] = locks();
    let (e1, g1) = (Arc::clone(&e), Arc::clone(&g));
    alone(move || {
        take_in_turn(&[&e, &f]);
        take_in_turn(&[&f, &g]);
    });
    alone(move || take_in_turn(&[&g1, &e1]));
    // `try_lock` does not wait.
    let (a1, b1) = (Arc::clone(&a), Arc::clone(&b));
    alone(move || {
        let _b = b1.lock().unwrap();
        let _a = a1.try_lock().unwrap();
    });
    // A wait on a condition lets go of the lock.
    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let waiting = Arc::clone(&pair);
    let waiter = go(move || {
        let _a = a.lock().unwrap();
        drop(waiting.1.wait_while(waiting.0.lock().unwrap(), |ready| !*ready).unwrap());
    });
    *pair.0.lock().unwrap() = true;
    pair.1.notify_all();
    waiter.join().unwrap();
    // Other locks, that come to lie in the same places.
    for turn in 0..100 {
        let pair: [Mutex<()>; 2] = Default::default();
        lisle::scope(|scope| {
            scope.go(|| {
                let _one = pair[turn % 2].lock().unwrap();
                let _other = pair[(turn + 1) % 2].lock().unwrap();
            });
        });
    }
}

#[test]
fn a_lock_whose_guard_was_forgotten_is_forgotten_with_it() {
    if let Some(text) = told("a_lock_whose_guard_was_forgotten_is_forgotten_with_it") {
        assert!(!text.contains("lisle:"), "{text}");
        return;
    }
    alone(|| {
        for _ in 0..3 {
            // The same place each time.
            let lock = Mutex::new(());
            std::mem::forget(std::hint::black_box(&lock).lock());
        }
    });
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the debug information of cargo race has shorter names")]
fn whoever_wants_its_own_lock_panics_with_both_places() {
    if let Some(text) = told("whoever_wants_its_own_lock_panics_with_both_places") {
        assert!(text.contains("wants a lock at tests/lock_order.rs:"), "{text}");
        assert!(text.contains("that it holds itself, and would wait for ever"), "{text}");
        assert!(text.contains("taken at tests/lock_order.rs:") && text.contains("lock_order::take_in_turn("), "{text}");
        assert!(text.contains("(once a writer waits in between, a reader waits behind it)"), "{text}");
        return;
    }
    let [a] = locks();
    assert!(go(move || take_in_turn(&[&a, &a])).join().is_err());
    let lock = Arc::new(RwLock::new(()));
    let (of_reader, of_writer) = (Arc::clone(&lock), lock);
    assert!(go(move || drop((of_reader.read(), of_reader.read()))).join().is_err());
    assert!(go(move || drop((of_writer.write(), of_writer.read()))).join().is_err());
}

#[test]
fn nothing_is_watched_unless_it_is_asked_for() {
    if let Some(output) = in_child("nothing_is_watched_unless_it_is_asked_for", &[]) {
        assert!(output.status.success() && !stderr(&output).contains("lisle:"), "{}", stderr(&output));
        return;
    }
    let [a, b] = locks();
    let (a1, b1) = (Arc::clone(&a), Arc::clone(&b));
    alone(move || take_in_turn(&[&a1, &b1]));
    alone(move || take_in_turn(&[&b, &a]));
}

#[test]
fn a_busy_program_with_one_order_runs_on_all_workers() {
    if let Some(text) = told("a_busy_program_with_one_order_runs_on_all_workers") {
        assert!(!text.contains("lisle:"), "{text}");
        return;
    }
    let locks: Arc<[Mutex<u64>; 8]> = Arc::default();
    let start = Arc::new(Barrier::new(9));
    let failed = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..8)
        .map(|n| {
            let (locks, start, failed) = (Arc::clone(&locks), Arc::clone(&start), Arc::clone(&failed));
            go(move || {
                start.wait();
                for turn in 0..50 {
                    let (low, high) = (turn % 4, 4 + n % 4);
                    let (Ok(mut first), Ok(mut second)) = (locks[low].lock(), locks[high].lock()) else {
                        return failed.store(true, Ordering::Relaxed);
                    };
                    *first += 1;
                    *second += 1;
                }
            })
        })
        .collect();
    start.wait();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    assert!(!failed.load(Ordering::Relaxed));
    assert_eq!(locks.iter().map(|lock| *lock.lock().unwrap()).sum::<u64>(), 8 * 50 * 2);
}
