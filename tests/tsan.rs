//! ThreadSanitizer over programs of goroutines: what is a race is reported, and nothing else. Run by `cargo race test
//! --test tsan`; without it there is nothing here.
//!
//! Each program runs in a child process, with one worker (where goroutines are one thread to the system) and with several.
#![cfg(lisle_tsan)]

mod common;

use common::{in_child, stderr};
use lisle::channel::{after, bounded, unbounded};
use lisle::sync::{Barrier, Condvar, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use lisle::{Builder, go, select, yield_now};
use std::cell::UnsafeCell;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

/// A variable without any protection, as unsafe code has them. (Those who race use it twice: when two accesses are made at
/// the very same moment, ThreadSanitizer can miss them.)
#[derive(Default)]
struct Plain(UnsafeCell<u64>);

// SAFETY: it is not: who uses it without order has a data race, which is what is tested.
unsafe impl Sync for Plain {}

impl Plain {
    fn add(&self) {
        // SAFETY: a plain read and write; whether they race, the test says. Nobody else has a reference.
        unsafe { *self.0.get() += 1 };
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }
}

/// In the parent: what became of the program with each number of workers. In the child, which is to run it: `None`.
fn run(test: &str) -> Option<Vec<Output>> {
    // Its reports are not among those of `cargo race`.
    let options = std::env::var("TSAN_OPTIONS").unwrap_or_default() + " log_path=stderr";
    let environment = |workers| [("LISLE_WORKERS", workers), ("TSAN_OPTIONS", options.as_str())];
    ["1", "2"].iter().map(|workers| in_child(test, &environment(workers))).collect()
}

/// In the parent: the program reports a race, with these words in it. In the child: true.
fn races(test: &str, words: &[&str]) -> bool {
    let Some(outputs) = run(test) else { return true };
    for output in outputs {
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(66), "{text}");
        assert!(text.contains("WARNING: ThreadSanitizer: data race"), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is missing: {text}");
        }
    }
    false
}

/// In the parent: the program is silent. In the child: true.
fn is_silent(test: &str) -> bool {
    let Some(outputs) = run(test) else { return true };
    for output in outputs {
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(!text.contains("WARNING: ThreadSanitizer"), "{text}");
    }
    false
}

macro_rules! programs {
    ($($(#[$meta:meta])* $kind:ident $name:ident $(($($word:expr),*))? $body:block)*) => { $(
        #[test]
        $(#[$meta])*
        fn $name() {
            programs!(@$kind $name $(($($word),*))? $body);
        }
    )* };
    (@race $name:ident ($($word:expr),*) $body:block) => {
        if races(stringify!($name), &[$($word),*]) $body
    };
    (@silent $name:ident $body:block) => {
        if is_silent(stringify!($name)) $body
    };
}

/// A variable, and handles of it for the others.
fn shared() -> (Arc<Plain>, impl Fn() -> Arc<Plain>) {
    let variable = Arc::new(Plain::default());
    let other = Arc::clone(&variable);
    (variable, move || Arc::clone(&other))
}

programs! {
    race two_goroutines_without_a_lock_race_on_one_thread_too ("goroutine", "\"adder\"", "tsan.rs") {
        let (_, share) = shared();
        let adders = [(); 2].map(|()| {
            let variable = share();
            Builder::new().name("adder").go(move || {
                variable.add();
                yield_now();
                variable.add();
            })
        });
        for adder in adders {
            adder.unwrap().join().unwrap();
        }
    }

    race a_goroutine_that_has_ended_is_remembered ("'ended goroutine") {
        let (_, share) = shared();
        let (done, is_done) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), share());
        let (first, ended) = (share(), Arc::clone(&done));
        let first = go(move || {
            first.add();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let second = go(move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                yield_now();
            }
            // Some turns later it is gone, and its stack is used by others.
            for _ in 0..20 {
                go(yield_now).join().unwrap();
            }
            is_done.add();
        });
        second.join().unwrap();
        drop(first);
    }

    race code_in_c_is_watched ("memcpy") {
        let place = Arc::new((Plain::default(), Plain::default()));
        let copies = [(); 2].map(|()| {
            let place = Arc::clone(&place);
            go(move || {
                let (from, to) = (place.0.0.get(), place.1.0.get());
                for _ in 0..2 {
                    // SAFETY: both are eight bytes, apart from each other. That others copy, too, is the race.
                    unsafe { libc::memcpy(to.cast(), from.cast(), std::hint::black_box(8)) };
                    yield_now();
                }
            })
        });
        for copy in copies {
            copy.join().unwrap();
        }
    }

    race a_relaxed_flag_publishes_nothing ("goroutine") {
        let (variable, share) = shared();
        let flag = Arc::new(lisle::sync::atomic::AtomicBool::new(false));
        let (writer, set) = (share(), Arc::clone(&flag));
        let writer = go(move || {
            writer.add();
            set.store(true, lisle::sync::atomic::Ordering::Relaxed);
        });
        while !flag.load(lisle::sync::atomic::Ordering::Relaxed) {
            yield_now();
        }
        variable.add();
        writer.join().unwrap();
    }

    race two_senders_of_a_channel_are_not_ordered ("goroutine") {
        let (_, share) = shared();
        let (sender, receiver) = unbounded();
        let senders = [(); 2].map(|()| {
            let (sender, variable) = (sender.clone(), share());
            go(move || {
                for _ in 0..2 {
                    sender.send(1).unwrap();
                    variable.add();
                    yield_now();
                }
            })
        });
        for handle in senders {
            handle.join().unwrap();
        }
        assert_eq!(receiver.len(), 4);
    }

    race the_wrong_lock_protects_nothing ("goroutine") {
        let (_, share) = shared();
        let adders = [(); 2].map(|()| {
            let (variable, own) = (share(), Mutex::new(()));
            go(move || {
                let _guard = own.lock().unwrap();
                variable.add();
                yield_now();
                variable.add();
            })
        });
        for adder in adders {
            adder.join().unwrap();
        }
    }

    silent a_lock_orders_those_who_take_it {
        let (variable, share) = shared();
        let lock = Arc::new(Mutex::new(()));
        let adders = [(); 8].map(|()| {
            let (variable, lock) = (share(), Arc::clone(&lock));
            go(move || {
                for _ in 0..50 {
                    let _guard = lock.lock().unwrap();
                    variable.add();
                    yield_now();
                    variable.add();
                }
            })
        });
        for adder in adders {
            adder.join().unwrap();
        }
        assert_eq!(variable.get(), 800);
    }

    silent readers_and_a_writer_are_ordered {
        let (_, share) = shared();
        let lock = Arc::new(RwLock::new(()));
        let all = [(); 6].map(|()| {
            let (variable, lock) = (share(), Arc::clone(&lock));
            go(move || {
                for _ in 0..30 {
                    drop(lock.read().map(|_| variable.get()));
                    yield_now();
                    let _guard = lock.write().unwrap();
                    variable.add();
                }
            })
        });
        for one in all {
            one.join().unwrap();
        }
    }

    silent a_message_carries_what_was_done_before {
        for capacity in [0, 1, 3] {
            let (_, share) = shared();
            let (sender, receiver) = bounded(capacity);
            let producer = go(move || {
                for i in 0..100_u64 {
                    let message = Box::new(Plain::default());
                    (0..i % 3).for_each(|_| message.add());
                    sender.send(message).unwrap();
                }
            });
            let variable = share();
            let consumer = go(move || receiver.iter().map(|message| message.get()).sum::<u64>() + variable.get());
            producer.join().unwrap();
            assert_eq!(consumer.join().unwrap(), 99);
        }
    }

    silent a_buffer_of_one_is_a_lock {
        let (variable, share) = shared();
        let (sender, receiver) = bounded(1);
        let adders = [(); 4].map(|()| {
            let (variable, sender, receiver) = (share(), sender.clone(), receiver.clone());
            go(move || {
                for _ in 0..50 {
                    sender.send(()).unwrap();
                    variable.add();
                    yield_now();
                    receiver.recv().unwrap();
                }
            })
        });
        for adder in adders {
            adder.join().unwrap();
        }
        assert_eq!(variable.get(), 200);
    }

    silent a_ping_is_answered_by_a_pong {
        let (variable, share) = shared();
        let (ping, pinged) = bounded(0);
        let (pong, ponged) = bounded(0);
        let other = share();
        let partner = go(move || {
            for () in pinged {
                other.add();
                pong.send(()).unwrap();
            }
        });
        for _ in 0..100 {
            variable.add();
            ping.send(()).unwrap();
            ponged.recv().unwrap();
        }
        drop(ping);
        partner.join().unwrap();
        assert_eq!(variable.get(), 200);
    }

    silent an_unbounded_channel_and_its_end_carry_it {
        let (variable, share) = shared();
        let (sender, receiver) = unbounded::<Box<Plain>>();
        let (sends, late) = (share(), sender.clone());
        go(move || {
            for _ in 0..200 {
                late.send(Box::default()).unwrap();
            }
            sends.add();
        });
        drop(sender);
        for message in receiver {
            message.add();
        }
        variable.add();
    }

    silent a_select_of_both_sides_carries_it {
        let (numbers, arrived) = bounded::<Box<Plain>>(0);
        let (quit, quits) = bounded::<()>(0);
        let (variable, share) = shared();
        let (sender, at_last) = (numbers, share());
        let producer = go(move || {
            for _ in 0..60 {
                let message = Box::new(Plain::default());
                message.add();
                select! { send(sender, message) -> sent => sent.unwrap(), recv(quits) -> _ => return }
            }
            at_last.add();
            let _ = quits.recv();
        });
        let mut sum = 0;
        while sum < 60 {
            select! {
                recv(arrived) -> message => { let message = message.unwrap(); message.add(); sum += message.get() / 2; }
                recv(after(Duration::from_secs(20))) -> _ => panic!("no message came"),
            }
        }
        quit.send(()).unwrap();
        producer.join().unwrap();
        variable.add();
    }

    silent a_wait_group_ends_after_its_members {
        let (variable, share) = shared();
        let group = WaitGroup::new();
        let parts: Arc<Vec<Plain>> = Arc::new((0..20).map(|_| Plain::default()).collect());
        for i in 0..20 {
            let parts = Arc::clone(&parts);
            group.go(move || parts[i].add());
        }
        group.wait();
        assert_eq!(parts.iter().map(Plain::get).sum::<u64>(), 20);
        drop(share);
        variable.add();
    }

    silent what_is_done_once_is_seen_by_all {
        static ONCE: Once = Once::new();
        static VALUE: OnceLock<Box<Plain>> = OnceLock::new();
        let (_, share) = shared();
        let all = [(); 8].map(|()| {
            let variable = share();
            go(move || {
                ONCE.call_once(|| {
                    variable.add();
                    yield_now();
                    variable.add();
                });
                variable.get() + VALUE.get_or_init(|| { yield_now(); Box::default() }).get()
            })
        });
        assert!(all.into_iter().all(|one| one.join().unwrap() == 2));
    }

    silent semaphores_barriers_and_condvars_order {
        let (variable, share) = shared();
        let permits = Arc::new(Semaphore::new(1));
        let barrier = Arc::new(Barrier::new(4));
        let (lock, condvar) = (Arc::new(Mutex::new(false)), Arc::new(Condvar::new()));
        let all = [0, 1, 2, 3].map(|i| {
            let (variable, permits, barrier) = (share(), Arc::clone(&permits), Arc::clone(&barrier));
            let (lock, condvar) = (Arc::clone(&lock), Arc::clone(&condvar));
            go(move || {
                for _ in 0..20 {
                    let _permit = permits.acquire(1);
                    variable.add();
                    yield_now();
                }
                barrier.wait();
                assert_eq!(variable.get(), 80);
                barrier.wait();
                if i == 0 {
                    variable.add();
                    *lock.lock().unwrap() = true;
                    condvar.notify_all();
                } else {
                    let _set = condvar.wait_while(lock.lock().unwrap(), |set| !*set).unwrap();
                    assert_eq!(variable.get(), 81);
                }
            })
        });
        for one in all {
            one.join().unwrap();
        }
        variable.add();
    }

    silent a_join_brings_the_result_and_what_was_done {
        let (variable, share) = shared();
        for i in 1..200 {
            let other = share();
            let result = go(move || { other.add(); if i % 2 == 0 { yield_now(); } vec![other.get(); 3] });
            assert_eq!(result.join().unwrap(), [i; 3]);
            assert_eq!(variable.get(), i);
        }
    }

    silent a_scope_lends_and_takes_back {
        let mut numbers = vec![0_u64; 64];
        for round in 1..10 {
            lisle::scope(|s| {
                for number in &mut numbers {
                    s.go(move || { *number += 1; yield_now(); *number += 1; });
                }
            });
            assert!(numbers.iter().all(|&number| number == 2 * round));
        }
    }

    silent timers_and_deferred_calls_carry_what_was_done_before {
        let (variable, share) = shared();
        variable.add();
        let (called, calls) = bounded(1);
        let other = share();
        let _call = lisle::time::after_func(Duration::from_millis(5), move || { other.add(); called.send(()).unwrap(); });
        calls.recv().unwrap();
        variable.add();
        let sleeper = share();
        go(move || { lisle::time::sleep(Duration::from_millis(5)); sleeper.add(); }).join().unwrap();
        after(Duration::from_millis(5)).recv().unwrap();
        variable.add();
    }

    silent park_and_unpark_order {
        let (variable, share) = shared();
        let other = share();
        let main = lisle::current();
        let waiter = go(move || {
            for _ in 0..50 {
                lisle::park();
                other.add();
                main.unpark();
            }
        });
        for _ in 0..50 {
            variable.add();
            waiter.goroutine().unpark();
            lisle::park();
        }
        waiter.join().unwrap();
    }

    silent blocking_calls_borrow_and_return {
        let mut numbers = [1_u64; 8];
        lisle::run(|| {
            for _ in 0..20 {
                lisle::blocking(|| numbers.iter_mut().for_each(|number| *number += 1));
                numbers[0] += 1;
            }
        });
        assert_eq!(numbers[0], 41);
    }

    silent stacks_that_are_used_again_are_new {
        // Frames of different shapes, at the same addresses, by goroutines that nothing orders.
        #[inline(never)]
        fn deep(depth: u32, salt: u64) -> u64 {
            let mut frame = std::hint::black_box([salt; 32]);
            frame[depth as usize % 32] += 1;
            if depth == 0 { frame[5] } else { deep(depth - 1, salt + frame[3]) }
        }
        let (sender, receiver) = unbounded();
        for i in 0..1_000 {
            let sender = sender.clone();
            go(move || {
                let local = deep(i % 20, u64::from(i));
                yield_now();
                sender.send(local + deep(i % 7, 1)).unwrap();
            });
        }
        drop(sender);
        assert_eq!(receiver.into_iter().count(), 1_000);
    }

    silent thread_locals_are_shared_by_the_goroutines_of_a_thread {
        thread_local! { static COUNT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) }; }
        lisle::goroutine_local! { static OWN: std::cell::RefCell<Vec<u64>> = std::cell::RefCell::new(Vec::new()); }
        let all = [(); 10].map(|()| go(|| {
            for i in 0..10 {
                COUNT.set(COUNT.get() + 1);
                OWN.with(|own| own.borrow_mut().push(i));
                yield_now();
            }
            OWN.with(|own| own.borrow().len())
        }));
        assert!(all.into_iter().all(|one| one.join().unwrap() == 10));
    }

    silent panics_and_exits_leave_nothing_behind {
        std::panic::set_hook(Box::new(|_| ()));
        let (variable, share) = shared();
        for i in 0..50 {
            let other = share();
            let ends = go(move || { other.add(); yield_now(); if i % 2 == 0 { panic!("on purpose") } else { lisle::exit() } });
            assert!(ends.join().is_err());
            variable.add();
        }
    }

    silent contexts_groups_and_pools_are_no_races {
        let (ctx, cancel) = lisle::context::with_cancel(&lisle::context::background());
        let (group, _ctx) = lisle::errgroup::Group::<String>::with_context(&ctx);
        let (variable, share) = shared();
        let lock = Arc::new(Mutex::new(()));
        for _ in 0..10 {
            let (variable, lock) = (share(), Arc::clone(&lock));
            group.go(move || { let _guard = lock.lock().unwrap(); variable.add(); Ok(()) });
        }
        group.wait().unwrap();
        assert_eq!(variable.get(), 10);
        cancel.cancel();
        let squares = lisle::parallel::map(4, 0..50_u64, |n| Box::new(n * n));
        assert_eq!(squares.iter().map(|square| **square).sum::<u64>(), 40_425);
    }

    silent a_shutdown_drops_what_never_started {
        struct Dropped(Box<u64>);
        impl Drop for Dropped {
            fn drop(&mut self) { *self.0 += 1; }
        }
        for _ in 0..20 {
            let runtime = lisle::Config::new().workers(1).start().unwrap();
            for _ in 0..20 {
                let dropped = Dropped(Box::new(1));
                drop(Builder::new().go_on(&runtime, move || { yield_now(); drop(dropped) }).unwrap());
            }
            runtime.shutdown(Duration::from_secs(5));
        }
    }

    silent runtimes_start_while_others_end {
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for _ in 0..10 {
                        let runtime = Arc::new(lisle::Config::new().workers(1).start().unwrap());
                        let last = Arc::clone(&runtime);
                        runtime.go(move || { yield_now(); drop(last) }).join().unwrap();
                    }
                });
            }
        });
    }

    silent a_check_of_all_interleavings_is_no_race {
        lisle::testing::check(|| {
            let lock = Mutex::new(0);
            lisle::scope(|s| {
                s.go(|| *lock.lock().unwrap() += 1);
                s.go(|| *lock.lock().unwrap() += 1);
            });
            assert_eq!(*lock.lock().unwrap(), 2);
        });
    }
}
