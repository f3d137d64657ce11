//! The rules of the contract (`lisle::contract`), one by one.

mod common;

use lisle::{Builder, go, go_local};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

scoped_tls::scoped_thread_local!(static CURRENT: u32);

/// The program that leaves a dangling pointer on other stackful runtimes: A in, B in, A out, B out.
#[test]
fn scoped_thread_locals_nest_although_goroutines_park_inside() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let inside = Rc::new(Cell::new(0));
        let (a, b) = (1_u32, 2_u32);
        let goroutine = |value: u32, naps: u32| {
            let inside = Rc::clone(&inside);
            go_local(move || {
                CURRENT.set(&value, || {
                    inside.set(inside.get() + 1);
                    assert_eq!(inside.get(), 1, "a neighbour came in between");
                    for _ in 0..naps {
                        lisle::time::sleep(Duration::from_millis(1));
                        CURRENT.with(|current| assert_eq!(*current, value));
                    }
                    inside.set(inside.get() - 1);
                });
                assert!(!CURRENT.is_set());
            })
        };
        let (a, b) = (goroutine(a, 2), goroutine(b, 4));
        a.join().unwrap();
        b.join().unwrap();
        assert!(!CURRENT.is_set());
    });
    assert!(runtime.metrics().thread_local_hits > 0, "the scan has seen it");
}

#[test]
fn scoped_thread_locals_nest_when_the_pointee_lies_on_another_goroutines_stack() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let value = 7_u32; // on the stack of the main goroutine
        thread_local!(static INSIDE: Cell<u32> = const { Cell::new(0) });
        lisle::scope(|s| {
            for _ in 0..3 {
                s.go(|| {
                    CURRENT.set(&value, || {
                        // A replacement worker may run a sibling meanwhile; this thread may not.
                        assert_eq!(INSIDE.replace(1), 0);
                        lisle::time::sleep(Duration::from_millis(1));
                        INSIDE.set(0);
                    });
                });
            }
        });
    });
    assert!(runtime.metrics().thread_local_hits >= 3);
}

/// Pointees on their own stack or on another's, and wake-ups from outside in either order, for goroutines that park twice.
#[test]
fn two_goroutines_in_scoped_thread_locals_end_well_in_every_order() {
    for (own, first) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)] {
        let runtime = common::one_worker();
        let (to_waker, handles) = mpsc::channel::<[lisle::Goroutine; 2]>();
        let waker = std::thread::spawn(move || {
            let handles = handles.recv().unwrap();
            (0..2).for_each(|turn| handles[first ^ turn].unpark());
            handles
        });
        let seen = runtime.run(move || {
            let outer = [1_u32, 2];
            let seen = std::sync::Mutex::new(Vec::new());
            lisle::scope(|s| {
                let [a, b] = [0, 1].map(|index| {
                    let (outer, seen) = (&outer, &seen);
                    s.go(move || {
                        let inner = outer[index] + 10;
                        let value = if own >> index & 1 == 1 { &inner } else { &outer[index] };
                        CURRENT.set(value, || {
                            lisle::park();
                            CURRENT.with(|current| assert_eq!(current, value));
                            lisle::time::sleep(Duration::from_micros(100));
                            CURRENT.with(|current| assert_eq!(current, value));
                        });
                        assert!(!CURRENT.is_set());
                        seen.lock().unwrap().push(*value);
                    })
                });
                to_waker.send([a.goroutine().clone(), b.goroutine().clone()]).unwrap();
            });
            assert!(!CURRENT.is_set());
            seen.into_inner().unwrap()
        });
        waker.join().unwrap();
        let expected = [0, 1].map(|index| index + 1 + 10 * (own >> index & 1));
        assert!(seen == expected || seen == [expected[1], expected[0]], "own {own}, first {first}: {seen:?}");
    }
}

#[test]
fn the_report_names_the_thread_local_and_the_goroutine() {
    let test = "the_report_names_the_thread_local_and_the_goroutine";
    if let Some(output) = common::in_child(test, &[]) {
        let text = common::stderr(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("(\"framed\")") && text.contains("contract.rs"), "{text}");
        assert!(text.contains("CURRENT"), "{text}");
        return;
    }
    let framed = || {
        let value = std::hint::black_box(1);
        CURRENT.set(&value, || lisle::time::sleep(Duration::from_millis(1)));
    };
    Builder::new().name("framed").go(framed).unwrap().join().unwrap();
}

#[test]
fn a_creation_site_that_keeps_its_thread_again_and_again_gets_threads_of_its_own() {
    let runtime = common::one_worker();
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let framed = || {
                let value = std::hint::black_box(1);
                CURRENT.set(&value, || lisle::time::sleep(Duration::from_micros(100)));
                std::thread::current().name().map(String::from)
            };
            runtime.go(framed).join().unwrap().unwrap()
        })
        .collect();
    assert!(threads[0].starts_with("lisle-0"), "{threads:?}");
    assert!(threads[19].contains("own"), "{threads:?}");
}

#[test]
fn a_thread_local_left_behind_keeps_nobodys_thread_for_long() {
    thread_local!(static LEFT: Cell<*const u8> = const { Cell::new(std::ptr::null()) });
    let runtime = common::one_worker();
    runtime.run(|| {
        go_local(|| {
            let here = 0;
            LEFT.set(&raw const here);
            lisle::yield_now();
        })
        .join()
        .unwrap();
    });
    let before = runtime.metrics().thread_local_hits;
    runtime.run(|| {
        for _ in 0..50 {
            go(lisle::yield_now).join().unwrap();
        }
    });
    assert!(runtime.metrics().thread_local_hits <= before + 2, "stale hits are remembered");
}

#[test]
fn a_goroutine_on_a_foreign_stack_keeps_its_thread_and_wakes() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let neighbour_ran = Rc::new(Cell::new(false));
        let seen = Rc::clone(&neighbour_ran);
        let grown = go_local(move || {
            stacker::grow(1 << 20, || {
                lisle::yield_now();
                lisle::time::sleep(Duration::from_millis(2));
                seen.get()
            })
        });
        go_local(move || neighbour_ran.set(true));
        assert!(!grown.join().unwrap(), "a neighbour ran while the goroutine was on a foreign stack");
    });
}

#[test]
fn no_switch_keeps_the_thread_and_serves_wake_ups() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let ran = Rc::new(Cell::new(0));
        let counted = Rc::clone(&ran);
        let neighbour = go_local(move || counted.set(counted.get() + 1));
        lisle::no_switch(|| {
            lisle::yield_now();
            lisle::time::sleep(Duration::from_millis(1));
            // A goroutine of a replacement worker ends this wait.
            assert_eq!(go(|| 5).join().unwrap(), 5);
            assert_eq!(ran.get(), 0);
        });
        neighbour.join().unwrap();
        assert_eq!(ran.get(), 1);
    });
}

#[test]
fn a_drop_that_parks_while_unwinding_keeps_the_thread() {
    struct Sleepy(Rc<Cell<bool>>);
    impl Drop for Sleepy {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            lisle::time::sleep(Duration::from_millis(1));
            assert!(!self.0.get(), "a neighbour ran and would have seen a panicking thread");
        }
    }
    let runtime = common::one_worker();
    runtime.run(|| {
        let ran = Rc::new(Cell::new(false));
        let (seen, set) = (Rc::clone(&ran), Rc::clone(&ran));
        let panicking = go_local(move || {
            let _sleepy = Sleepy(seen);
            panic!("with a drop that parks");
        });
        let neighbour = go_local(move || {
            assert!(!std::thread::panicking());
            set.set(true);
        });
        assert!(panicking.join().is_err());
        neighbour.join().unwrap();
    });
}

#[test]
fn stray_tokens_do_not_end_a_scope_or_a_blocking_call() {
    lisle::run(|| {
        let me = lisle::current();
        let stop = Arc::new(AtomicBool::new(false));
        let pest = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    me.unpark();
                }
            }
        });
        for _ in 0..20 {
            let mut borrowed = vec![0; 1000];
            lisle::scope(|s| {
                s.go(|| {
                    lisle::time::sleep(Duration::from_micros(200));
                    borrowed.fill(1);
                });
            });
            assert!(borrowed.iter().all(|&value| value == 1));
            let sum = lisle::blocking(|| {
                std::thread::sleep(Duration::from_micros(200));
                borrowed.iter().sum::<i32>()
            });
            assert_eq!(sum, 1000);
        }
        stop.store(true, Ordering::Relaxed);
        pest.join().unwrap();
    });
}

#[test]
fn the_last_handle_dropped_on_a_foreign_thread_drops_nothing_of_the_users() {
    struct NotSend(Rc<std::thread::ThreadId>);
    impl Drop for NotSend {
        fn drop(&mut self) {
            assert_eq!(*self.0, std::thread::current().id());
        }
    }
    let (send, receive) = mpsc::channel();
    lisle::run(|| {
        let value = NotSend(Rc::new(std::thread::current().id()));
        let handle = go_local(move || {
            lisle::yield_now();
            value
        });
        send.send(handle.goroutine()).unwrap();
        drop(handle);
        lisle::yield_now();
        lisle::yield_now();
    });
    let foreign = std::thread::spawn(move || drop(receive.recv().unwrap()));
    foreign.join().unwrap();
}

#[test]
fn references_into_thread_locals_survive_waits() {
    thread_local!(static TABLE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) });
    let handles: Vec<_> = (0..50)
        .map(|i| {
            go(move || {
                TABLE.with(|table| {
                    let address = std::ptr::from_ref(table);
                    lisle::yield_now();
                    table.borrow_mut().push(i);
                    lisle::time::sleep(Duration::from_micros(10));
                    TABLE.with(|again| assert!(std::ptr::eq(again, address)));
                });
            })
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn a_late_destructor_of_a_thread_may_wait() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            lisle::time::sleep(Duration::from_millis(1));
            assert_eq!(go(|| 3).join().unwrap(), 3);
        }
    }
    thread_local!(static LATE: Late = const { Late });
    std::thread::spawn(|| {
        LATE.with(|_| ());
        lisle::time::sleep(Duration::from_micros(1));
    })
    .join()
    .unwrap();
}

#[test]
fn the_lint_names_what_a_goroutine_leaves_changed() {
    let test = "the_lint_names_what_a_goroutine_leaves_changed";
    thread_local!(static LINTED_DEPTH: Cell<u64> = const { Cell::new(0) });
    if let Some(output) = common::in_child(test, &[("LISLE_DEBUG", "threadlocals")]) {
        let text = common::stderr(&output);
        assert!(output.status.success() && text.contains("LINTED_DEPTH"), "{text}");
        return;
    }
    let change = || {
        LINTED_DEPTH.set(LINTED_DEPTH.get() + 1);
        lisle::time::sleep(Duration::from_millis(1));
        LINTED_DEPTH.set(LINTED_DEPTH.get() - 1);
    };
    go(change).join().unwrap();
}

#[test]
fn a_runtime_shut_down_under_borrowers_leaks_instead_of_freeing() {
    let runtime = lisle::Config::new().workers(2).start().unwrap();
    let (send, receive) = mpsc::channel();
    let (result, finished) = mpsc::channel();
    runtime.go(move || {
        let data = [1, 2, 3];
        let sum = lisle::scope(|s| {
            let child = s.go(|| {
                send.send(lisle::current()).unwrap();
                lisle::park();
                data.iter().sum::<i32>()
            });
            child.join().unwrap()
        });
        result.send(sum).unwrap();
    });
    let child = receive.recv().unwrap();
    assert_eq!(runtime.shutdown(Duration::from_millis(10)), 2, "the owner and its child still wait");
    // Their stacks are as they were: woken late, they finish.
    child.unpark();
    assert_eq!(finished.recv().unwrap(), 6);
}

#[test]
fn a_thread_local_left_behind_by_a_goroutine_that_never_parked_holds_nobody_up() {
    thread_local!(static LAST: Cell<*const u8> = const { Cell::new(std::ptr::null()) });
    let runtime = common::one_worker();
    runtime
        .go(|| {
            let here = 0;
            LAST.set(&raw const here);
        })
        .join()
        .unwrap();
    // Its own child can only run if it switches.
    assert_eq!(runtime.run(|| go_local(|| 1).join().unwrap()), 1);
}

#[test]
fn a_panic_payload_whose_destructor_panics_does_not_break_a_scope() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in the destructor of a payload");
            }
        }
    }
    let panic = std::panic::catch_unwind(|| {
        lisle::scope(|s| {
            for _ in 0..3 {
                s.go(|| std::panic::panic_any(Bomb));
            }
        });
    });
    // The first is passed on; the others were dropped on the way.
    std::mem::forget(panic.unwrap_err());
}
