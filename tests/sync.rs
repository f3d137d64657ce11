//! The primitives of `lisle::sync`, between goroutines, between threads, and across the two.

mod common;

use lisle::go;
use lisle::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, RwLockWriteGuard, Semaphore, WaitGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a body on goroutines and on threads at once.
fn everywhere(count: usize, body: impl Fn(usize) + Sync) {
    thread::scope(|threads| {
        lisle::scope(|goroutines| {
            for i in 0..count {
                let body = &body;
                threads.spawn(move || body(2 * i));
                goroutines.go(move || body(2 * i + 1));
            }
        });
    });
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a text")).to_owned(),
    }
}

#[test]
fn mutex_excludes_across_goroutines_and_threads() {
    let counter = Mutex::new(0);
    everywhere(4, |_| {
        for i in 0..5_000 {
            let mut guard = counter.lock().unwrap();
            let before = *guard;
            if i % 100 == 0 {
                lisle::yield_now();
            }
            *guard = before + 1;
        }
    });
    assert_eq!(counter.into_inner().unwrap(), 40_000);
}

#[test]
fn a_lock_held_across_a_park_lets_a_neighbour_wait_without_blocking_the_worker() {
    let runtime = common::one_worker();
    let order = runtime.run(|| {
        let lock = Mutex::new(Vec::new());
        lisle::scope(|s| {
            s.go(|| {
                let mut guard = lock.lock().unwrap();
                lisle::time::sleep(Duration::from_millis(5));
                guard.push("holder");
            });
            s.go(|| {
                while lock.try_lock().is_ok() {
                    lisle::yield_now();
                }
                lock.lock().unwrap().push("neighbour");
            });
        });
        lock.into_inner().unwrap()
    });
    assert_eq!(order, ["holder", "neighbour"]);
}

#[test]
fn a_waiter_is_not_starved_by_a_neighbour_that_locks_in_a_loop() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let lock = Mutex::new(false);
        lisle::scope(|s| {
            s.go(|| while !*lock.lock().unwrap() {});
            s.go(|| *lock.lock().unwrap() = true);
        });
    });
}

#[test]
fn a_panic_poisons_and_clear_poison_heals() {
    let lock = Arc::new(Mutex::new(1));
    let shared = Arc::clone(&lock);
    let panicked = go(move || {
        let _guard = shared.lock().unwrap();
        panic!("holding the lock");
    });
    assert!(panicked.join().is_err());
    assert!(lock.is_poisoned());
    assert_eq!(**lock.lock().unwrap_err().get_ref(), 1);
    lock.clear_poison();
    assert_eq!(*lock.lock().unwrap(), 1);
}

#[test]
fn rwlock_lets_readers_share_and_writers_exclude() {
    let value = RwLock::new((0, 0));
    everywhere(3, |i| {
        for _ in 0..2_000 {
            if i % 3 == 0 {
                let mut guard = value.write().unwrap();
                guard.0 += 1;
                lisle::yield_now();
                guard.1 += 1;
            } else {
                let guard = value.read().unwrap();
                assert_eq!(guard.0, guard.1);
            }
        }
    });
    let first = value.read().unwrap();
    let second = value.try_read().expect("readers share");
    assert!(value.try_write().is_err());
    drop((first, second));
    let shared = RwLockWriteGuard::downgrade(value.write().unwrap());
    assert!(value.try_read().is_ok() && value.try_write().is_err());
    drop(shared);
}

#[test]
fn rwlock_serves_a_writer_before_later_readers() {
    lisle::run(|| {
        let (lock, log) = (RwLock::new(()), Mutex::new(Vec::new()));
        let first = lock.read().unwrap();
        lisle::scope(|s| {
            let writer = s.go(|| {
                let _guard = lock.write().unwrap();
                log.lock().unwrap().push("writer");
            });
            while writer.goroutine().wait_reason() != lisle::WaitReason::RwLockWrite {
                lisle::yield_now();
            }
            s.go(|| {
                let _guard = lock.read().unwrap();
                log.lock().unwrap().push("reader");
            });
            lisle::time::sleep(Duration::from_millis(2));
            drop(first);
        });
        assert_eq!(*log.lock().unwrap(), ["writer", "reader"]);
    });
}

#[test]
fn condvar_wakes_one_all_and_none_in_time() {
    let (ready, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|threads| {
        lisle::scope(|s| {
            for _ in 0..3 {
                s.go(|| drop(changed.wait_while(ready.lock().unwrap(), |ready| *ready == 0).unwrap()));
                threads.spawn(|| drop(changed.wait_while(ready.lock().unwrap(), |ready| *ready == 0).unwrap()));
            }
            *ready.lock().unwrap() = 1;
            changed.notify_all();
        });
    });
    let start = Instant::now();
    let (_guard, result) = changed.wait_timeout(ready.lock().unwrap(), Duration::from_millis(10)).unwrap();
    assert!(result.timed_out() && start.elapsed() >= Duration::from_millis(10));
}

#[test]
fn barrier_releases_all_with_one_leader_round_after_round() {
    let (barrier, leaders) = (Barrier::new(6), AtomicUsize::new(0));
    everywhere(3, |_| {
        for _ in 0..50 {
            if barrier.wait().is_leader() {
                leaders.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert_eq!(leaders.into_inner(), 50);
}

#[test]
fn once_runs_once_even_if_its_closure_parks() {
    let (once, runs) = (Once::new(), AtomicUsize::new(0));
    everywhere(4, |_| {
        once.call_once(|| {
            lisle::time::sleep(Duration::from_millis(2));
            runs.fetch_add(1, Ordering::Relaxed);
        });
        assert!(once.is_completed());
    });
    assert_eq!(runs.into_inner(), 1);
}

#[test]
fn once_lock_and_lazy_lock_make_one_value() {
    static LAZY: LazyLock<usize> = LazyLock::new(|| {
        lisle::time::sleep(Duration::from_millis(2));
        7
    });
    let cell = OnceLock::new();
    everywhere(4, |i| {
        assert_eq!(*LAZY, 7);
        let first = *cell.get_or_init(|| i);
        assert_eq!(cell.wait(), &first);
    });
    let broken: LazyLock<u8> = LazyLock::new(|| panic!("no value"));
    for words in ["no value", "LazyLock instance has previously been poisoned"] {
        let panic = std::panic::catch_unwind(|| *broken).unwrap_err();
        assert_eq!(message(panic), words);
    }
}

#[test]
fn wait_group_waits_for_goroutines_and_threads() {
    let (group, done) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        let (guard, counted) = (group.guard(), Arc::clone(&done));
        thread::spawn(move || {
            let _guard = guard;
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let counted = Arc::clone(&done);
        group.go(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    }
    group.wait();
    assert_eq!(done.load(Ordering::Relaxed), 20);
    group.wait();
}

#[test]
fn a_guard_counts_down_when_its_goroutine_panics() {
    let group = WaitGroup::new();
    group.go(|| panic!("on purpose: the wait below must end all the same"));
    group.wait();
}

#[test]
fn wait_group_misuse_panics_with_the_words_of_go() {
    let group = WaitGroup::new();
    let panic = std::panic::catch_unwind(|| group.done()).unwrap_err();
    assert_eq!(message(panic), "sync: negative WaitGroup counter");

    lisle::run(|| {
        let group = WaitGroup::new();
        group.add(1);
        let waiter = go({
            let group = group.clone();
            move || group.wait()
        });
        while waiter.goroutine().wait_reason() != lisle::WaitReason::WaitGroup {
            lisle::yield_now();
        }
        // One worker's neighbour cannot run before we park: so it is on its way, and we add again. With
        // more workers it may have gone already, and then nothing is wrong.
        group.done();
        group.add(1);
        if let Err(panic) = waiter.join() {
            assert_eq!(message(panic), "sync: WaitGroup is reused before previous Wait has returned");
        }
        group.done();
    });
}

#[test]
fn no_permits_are_given_at_once_whoever_waits() {
    let semaphore = std::sync::Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire(1);
    let shared = std::sync::Arc::clone(&semaphore);
    let waiting = lisle::go(move || drop(shared.acquire(1)));
    while waiting.goroutine().wait_reason() != lisle::WaitReason::Semaphore {
        std::thread::yield_now();
    }
    assert!(semaphore.try_acquire(0).is_some());
    assert!(semaphore.acquire_timeout(0, Duration::from_millis(2)).is_some());
    assert!(semaphore.try_acquire_owned(1).is_none());
    drop(permit);
    waiting.join().unwrap();
    assert!(semaphore.try_acquire_owned(1).is_some());
}

#[test]
fn semaphore_is_weighted_and_first_come_first_served() {
    lisle::run(|| {
        let (semaphore, log) = (Semaphore::new(3), Mutex::new(Vec::new()));
        let all = semaphore.acquire(3);
        assert!(semaphore.try_acquire(1).is_none());
        assert!(semaphore.acquire_timeout(1, Duration::from_millis(2)).is_none());
        lisle::scope(|s| {
            for (name, wanted) in [("two", 2), ("three", 3), ("one", 1)] {
                let (semaphore, log) = (&semaphore, &log);
                let child = s.go(move || {
                    let _permit = semaphore.acquire(wanted);
                    log.lock().unwrap().push(name);
                });
                while child.goroutine().wait_reason() != lisle::WaitReason::Semaphore {
                    lisle::yield_now();
                }
            }
            drop(all);
        });
        assert_eq!(*log.lock().unwrap(), ["two", "three", "one"]);
        assert_eq!(semaphore.available(), 3);
    });
    let panic = std::panic::catch_unwind(|| drop(Semaphore::new(2).acquire(3))).unwrap_err();
    assert!(message(panic).contains("would never end"));
}

#[test]
fn a_timed_out_waiter_lets_those_behind_it_pass() {
    lisle::run(|| {
        let semaphore = Semaphore::new(2);
        let one = semaphore.acquire(1);
        lisle::scope(|s| {
            let greedy = s.go(|| semaphore.acquire_timeout(2, Duration::from_millis(20)).is_none());
            while greedy.goroutine().wait_reason() != lisle::WaitReason::Semaphore {
                lisle::yield_now();
            }
            let modest = s.go(|| drop(semaphore.acquire(1)));
            modest.join().unwrap();
            assert!(greedy.join().unwrap());
        });
        drop(one);
    });
}

#[test]
fn a_waiter_for_a_once_outlasts_a_closure_that_panicked() {
    let cell: OnceLock<i32> = OnceLock::new();
    lisle::scope(|s| {
        let waiter = s.go(|| *cell.wait());
        while waiter.goroutine().wait_reason() != lisle::WaitReason::Once {
            thread::yield_now();
        }
        let failed = s.go(|| *cell.get_or_init(|| panic!("no value yet")));
        assert!(failed.join().is_err());
        thread::sleep(Duration::from_millis(5)); // the waiter has looked and waits again
        cell.set(5).unwrap();
        assert_eq!(waiter.join().unwrap(), 5);
    });
}

/// What compiles with std's types compiles with lisle's.
#[test]
fn guards_are_covariant_and_cells_may_borrow_from_what_is_declared_later() {
    fn shorter<'g, 'a>(
        guard: lisle::sync::RwLockReadGuard<'g, &'static str>,
    ) -> lisle::sync::RwLockReadGuard<'g, &'a str> {
        guard
    }
    let lock = lisle::sync::RwLock::new("long-lived");
    assert_eq!(*shorter(lock.read().unwrap()), "long-lived");

    let cell = lisle::sync::OnceLock::new();
    {
        let text = String::from("short-lived");
        cell.set(&text).unwrap();
    }
}

/// So that `use std::sync::{…}` becomes `use lisle::sync::{…}` as a whole.
#[test]
fn what_stands_beside_stds_locks_stands_beside_lisles() {
    use lisle::sync::{Arc, Weak};
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    is_unwind_safe::<Barrier>();
    is_unwind_safe::<Condvar>();
    is_unwind_safe::<Once>();
    let shared: std::sync::Arc<Mutex<i32>> = Arc::new(Mutex::new(7));
    let weak: Weak<Mutex<i32>> = Arc::downgrade(&shared);
    assert_eq!(*weak.upgrade().unwrap().lock().unwrap(), 7);
}

#[test]
fn a_lazy_value_can_be_looked_at_without_making_it_and_changed_by_its_owner() {
    let mut lazy = LazyLock::new(|| 7);
    assert_eq!(LazyLock::get(&lazy), None);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    *lazy += 1;
    *LazyLock::get_mut(&mut lazy).unwrap() += 1;
    assert_eq!(LazyLock::get(&lazy), Some(&9));

    let mut broken = LazyLock::new(|| -> i32 { panic!("on purpose") });
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| *broken));
    assert!(made.is_err());
    assert_eq!(LazyLock::get(&broken), None);
    assert_eq!(LazyLock::get_mut(&mut broken), None);
}
