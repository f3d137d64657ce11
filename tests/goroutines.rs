//! Starting goroutines, joining them, and what they know of themselves.

mod common;

use lisle::sync::{Mutex, WaitGroup};
use lisle::{Builder, go, go_local};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn join_gives_what_the_closure_returned() {
    assert_eq!(go(|| 6 * 7).join().unwrap(), 42);
    let text = String::from("moved");
    assert_eq!(go!(text.len()).join().unwrap(), 5);
}

#[test]
fn handles_can_be_moved_whatever_their_results_are() {
    fn is_unpin<T: Unpin>() {}
    is_unpin::<lisle::JoinHandle<std::marker::PhantomPinned>>();
    is_unpin::<lisle::LocalJoinHandle<std::marker::PhantomPinned>>();
    is_unpin::<lisle::ScopedJoinHandle<'static, std::marker::PhantomPinned>>();
}

#[test]
fn join_gives_the_payload_of_a_panic() {
    let payload = go(|| -> u8 { panic!("told {}", std::hint::black_box("so")) }).join().unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "told so");
}

#[test]
fn is_finished_tells_the_end_without_waiting() {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let handle = go({
        let gate = Arc::clone(&gate);
        move || drop(gate.lock().unwrap())
    });
    assert!(!handle.is_finished());
    drop(closed);
    while !handle.is_finished() {
        std::thread::yield_now();
    }
    handle.join().unwrap();
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer can watch some 11,500 goroutines at once")]
fn a_hundred_thousand_goroutines_all_run() {
    let sum = Arc::new(AtomicUsize::new(0));
    let group = WaitGroup::new();
    for i in 0..100_000 {
        let sum = Arc::clone(&sum);
        group.go(move || {
            sum.fetch_add(i, Ordering::Relaxed);
        });
    }
    group.wait();
    assert_eq!(sum.load(Ordering::Relaxed), 99_999 * 100_000 / 2);
}

#[test]
fn a_goroutine_stays_on_its_thread() {
    let handles: Vec<_> = (0..200)
        .map(|_| {
            go(|| {
                let home = std::thread::current().id();
                for _ in 0..20 {
                    lisle::yield_now();
                    lisle::time::sleep(Duration::from_micros(50));
                    assert_eq!(std::thread::current().id(), home);
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
}

#[test]
fn go_local_shares_what_is_not_send() {
    lisle::run(|| {
        let thread = std::thread::current().id();
        let log = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = (0..3)
            .map(|i| {
                let log = Rc::clone(&log);
                go_local(move || {
                    assert_eq!(std::thread::current().id(), thread);
                    log.borrow_mut().push(i);
                    lisle::yield_now();
                    Rc::clone(&log)
                })
            })
            .collect();
        for handle in handles {
            assert!(Rc::ptr_eq(&handle.join().unwrap(), &log));
        }
        assert_eq!(*log.borrow(), [0, 1, 2]);
    });
}

#[test]
fn go_local_outside_a_goroutine_says_what_to_do() {
    let panic = std::panic::catch_unwind(|| go_local(|| ())).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("lisle::run"));
    let error = lisle::run(|| Builder::new().own_thread(true).go_local(|| ()).unwrap_err());
    assert!(error.to_string().contains("thread of its own"), "{error}");
}

#[test]
fn current_knows_name_number_creator_and_creation_site() {
    let (outer, inner, line) = lisle::run(|| {
        let outer = lisle::current();
        let line = line!() + 1;
        let handle = Builder::new().name("inner").go(lisle::current).unwrap();
        let id = handle.goroutine().id();
        let inner = handle.join().unwrap();
        assert_eq!(inner.id(), id);
        (outer, inner, line)
    });
    assert_eq!((outer.name(), inner.name()), (Some("main"), Some("inner")));
    assert_ne!(outer.id(), inner.id());
    assert_eq!(inner.creator(), outer.id());
    assert!(inner.created_at().file().ends_with("goroutines.rs"));
    assert_eq!(inner.created_at().line(), line);
    let text = format!("{inner:?}");
    assert!(text.contains("inner") && text.contains("goroutines.rs"), "{text}");
}

#[test]
fn an_os_thread_has_a_handle_too() {
    let main = lisle::current();
    go(move || main.unpark()).join().unwrap();
    lisle::park();
    lisle::park_timeout(Duration::from_millis(1));
}

#[test]
fn std_park_tokens_are_left_alone() {
    std::thread::current().unpark();
    go(|| ()).join().unwrap();
    // Had lisle's wait used std's token, this would wait for ever.
    std::thread::park();
}

#[test]
fn a_token_given_before_the_start_is_kept() {
    let handle = go(lisle::park);
    handle.goroutine().unpark();
    handle.join().unwrap();
}

#[test]
fn tokens_do_not_add_up() {
    lisle::run(|| {
        let me = lisle::current();
        me.unpark();
        me.unpark();
        lisle::park();
        let start = std::time::Instant::now();
        lisle::park_timeout(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
    });
}

#[test]
fn unpark_of_an_ended_goroutine_does_nothing() {
    let handle = go(|| ());
    let ended = handle.goroutine();
    handle.join().unwrap();
    ended.unpark();
    lisle::run(move || ended.unpark());
}

#[test]
fn exit_runs_destructors_and_join_says_so() {
    struct Mark(Arc<AtomicBool>);
    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let lock = Arc::new(Mutex::new(0));
    let handle = go({
        let (dropped, lock) = (Arc::clone(&dropped), Arc::clone(&lock));
        move || {
            let _mark = Mark(dropped);
            let _guard = lock.lock().unwrap();
            lisle::exit()
        }
    });
    let id = handle.goroutine().id();
    let payload = handle.join().unwrap_err();
    assert_eq!(payload.downcast_ref::<lisle::Exited>().unwrap().id, id);
    assert!(dropped.load(Ordering::Relaxed));
    assert!(!lock.is_poisoned(), "an exit is not a failure");
    assert!(std::panic::catch_unwind(|| lisle::exit()).is_err());
}

#[test]
fn run_says_that_it_has_nothing_to_return_if_the_main_goroutine_exits() {
    let runtime = common::one_worker();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.run(|| lisle::exit())));
    let text = common::text_of(outcome.map(|never: std::convert::Infallible| match never {}).unwrap_err());
    assert!(text.contains("lisle::exit") && text.contains("lisle::run"), "{text}");
}

#[test]
fn scope_lends_and_waits() {
    let mut data = vec![0; 64];
    lisle::scope(|s| {
        for (i, slot) in data.iter_mut().enumerate() {
            s.go(move || {
                lisle::yield_now();
                *slot = i;
            });
        }
    });
    assert!(data.iter().enumerate().all(|(i, &value)| i == value));
}

#[test]
fn scope_passes_a_childs_panic_on_after_all_have_ended() {
    let ended = AtomicUsize::new(0);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lisle::scope(|s| {
            s.go(|| panic!("child"));
            s.go(|| {
                lisle::time::sleep(Duration::from_millis(5));
                ended.fetch_add(1, Ordering::Relaxed);
            });
        });
    }))
    .unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "child");
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn a_joined_panic_is_not_passed_on_by_the_scope() {
    lisle::scope(|s| {
        let child = s.go(|| panic!("joined"));
        assert!(child.join().is_err());
    });
}

#[test]
fn scoped_handles_may_be_forgotten_or_joined_by_siblings() {
    let value = lisle::scope(|s| {
        std::mem::forget(s.go(|| String::from("leaked")));
        let first = s.go(|| 1);
        s.go(move || first.join().unwrap() + 1).join().unwrap()
    });
    assert_eq!(value, 2);
}

#[test]
fn joining_oneself_panics_instead_of_waiting_for_ever() {
    let (send, receive) = mpsc::channel::<lisle::JoinHandle<()>>();
    let handle = go(move || {
        let own = receive.recv().unwrap();
        own.join().unwrap();
    });
    let id = handle.goroutine().id();
    let watcher = handle.goroutine();
    send.send(handle).unwrap();
    // The handle went into the goroutine itself, so its end is seen by the count of its private scope.
    assert_eq!(watcher.id(), id);
    let (tell, told) = mpsc::channel();
    let (send, receive) = mpsc::channel::<lisle::JoinHandle<()>>();
    let second = go(move || {
        let own = receive.recv().unwrap();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| own.join())).unwrap_err();
        tell.send(panic.downcast_ref::<String>().unwrap().clone()).unwrap();
    });
    send.send(second).unwrap();
    assert!(told.recv().unwrap().contains("tried to join itself"));
}

#[test]
fn locals_belong_to_one_goroutine_and_are_dropped_with_it() {
    struct Noisy(Arc<Mutex<Vec<&'static str>>>, &'static str);
    impl Drop for Noisy {
        fn drop(&mut self) {
            lisle::yield_now(); // a drop that parks is fine
            self.0.lock().unwrap().push(self.1);
        }
    }
    lisle::goroutine_local! {
        static COUNT: Cell<u32> = Cell::new(0);
        static FIRST: RefCell<Option<Noisy>> = RefCell::new(None);
        static SECOND: RefCell<Option<Noisy>> = RefCell::new(None);
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    lisle::run(|| {
        let handles: Vec<_> = (0..4)
            .map(|i| {
                let log = Arc::clone(&log);
                go_local(move || {
                    COUNT.with(|count| count.set(i));
                    FIRST.with(|cell| *cell.borrow_mut() = Some(Noisy(Arc::clone(&log), "first")));
                    SECOND.with(|cell| *cell.borrow_mut() = Some(Noisy(log, "second")));
                    lisle::yield_now();
                    COUNT.with(|count| assert_eq!(count.get(), i));
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 8);
    assert_eq!(log.iter().filter(|name| **name == "first").count(), 4);
}

#[test]
fn a_local_that_uses_itself_while_it_is_made_keeps_the_first_value() {
    lisle::goroutine_local! {
        static DEEP: Cell<u32> = {
            if DEPTH.with(|depth| depth.replace(depth.get() + 1)) == 0 {
                DEEP.with(|deep| deep.set(7));
            }
            Cell::new(1)
        };
        static DEPTH: Cell<u32> = Cell::new(0);
    }
    assert_eq!(go(|| DEEP.with(Cell::get)).join().unwrap(), 7);
}

#[test]
fn locals_are_gone_for_late_destructors() {
    lisle::goroutine_local! {
        static LATE: Cell<u32> = Cell::new(0);
        static LAST: RefCell<Option<OnDrop>> = RefCell::new(None);
    }
    struct OnDrop(mpsc::Sender<bool>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(LATE.try_with(|_| ()).is_err());
        }
    }
    let (send, receive) = mpsc::channel();
    go(move || LAST.with(|last| *last.borrow_mut() = Some(OnDrop(send)))).join().unwrap();
    assert!(receive.recv().unwrap());
}

#[test]
fn a_late_destructor_of_a_thread_may_be_the_first_to_use_its_locals() {
    lisle::goroutine_local! {
        static COUNT: Cell<u32> = Cell::new(1);
    }
    struct OnDrop(mpsc::Sender<u32>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(COUNT.with(|count| count.replace(2) + count.get()));
        }
    }
    thread_local!(static LATE: RefCell<Option<OnDrop>> = const { RefCell::new(None) });
    let (send, receive) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        LATE.set(Some(OnDrop(send)));
        go(|| ()).join().unwrap();
    });
    thread.join().unwrap();
    assert_eq!(receive.recv().unwrap(), 3);
}

#[test]
fn num_goroutines_counts_the_living() {
    let runtime = common::one_worker();
    let inside = runtime.run(|| {
        let waiting: Vec<_> = (0..10).map(|_| go(lisle::park)).collect();
        let count = lisle::num_goroutines();
        waiting.iter().for_each(|handle| handle.goroutine().unpark());
        waiting.into_iter().for_each(|handle| handle.join().unwrap());
        count
    });
    assert_eq!(inside, 11);
    while runtime.metrics().goroutines > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn stack_size_is_what_was_asked_for() {
    #[inline(never)]
    fn deep(bytes: usize) -> usize {
        let frame = std::hint::black_box([1_u8; 4096]);
        if bytes > 4096 { deep(bytes - 4096) + usize::from(frame[0]) } else { 0 }
    }
    let big = Builder::new().stack_size(64 << 20).go(|| deep(16 << 20)).unwrap();
    assert!(big.join().unwrap() > 0);
    let small = Builder::new().stack_size(1).go(|| lisle::MIN_STACK_SIZE).unwrap();
    assert_eq!(small.join().unwrap(), 16 * 1024);
}

#[test]
fn own_thread_shares_with_nobody() {
    let (a, b) = lisle::run(|| {
        let start = || {
            Builder::new().own_thread(true).name("alone").go(|| {
                let child = go_local(|| std::thread::current().id());
                let name = std::thread::current().name().map(String::from);
                lisle::time::sleep(Duration::from_millis(1));
                assert_eq!(child.join().unwrap(), std::thread::current().id());
                (std::thread::current().id(), name)
            })
        };
        let (a, b) = (start().unwrap(), start().unwrap());
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_ne!(a.0, b.0);
    assert_eq!(a.1.as_deref(), Some("alone"));
}

#[test]
fn run_borrows_and_passes_panics_on() {
    let mut total = 0;
    lisle::run(|| total += 5);
    assert_eq!(lisle::run(|| lisle::run(|| total)), 5);
    let panic = std::panic::catch_unwind(|| lisle::run(|| panic!("main"))).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "main");
}

#[test]
fn other_waits_leave_the_token_alone() {
    let body = || {
        let me = lisle::current();
        go(move || me.unpark()).join().unwrap();
        lisle::time::sleep(Duration::from_millis(1));
        lisle::park(); // would wait for ever if the join or the sleep had taken the token
    };
    lisle::run(body);
    std::thread::spawn(body).join().unwrap();
}
