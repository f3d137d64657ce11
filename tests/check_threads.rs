//! The threads of checks: where one can be made, and what it leaves behind for the next.

mod common;

use common::{in_child, stderr, wait_while_unwinding};
use lisle::channel::unbounded;
use lisle::testing::{Config, FailureKind, check};
use lisle::{go, scope};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_check_can_be_made_by_a_goroutine_of_an_ordinary_runtime() {
    lisle::run(|| check(|| assert_eq!(go(|| 1).join().unwrap(), 1)));
}

#[test]
fn a_check_can_be_made_while_unwinding() {
    struct Checks;
    impl Drop for Checks {
        fn drop(&mut self) {
            check(|| assert!(go(lisle::yield_now).join().is_ok()));
        }
    }
    let caught = std::panic::catch_unwind(|| {
        let _checks = Checks;
        panic!("and unwinds");
    });
    assert_eq!(caught.expect_err("it panics").downcast_ref(), Some(&"and unwinds"));
}

#[test]
fn the_first_check_of_a_process_can_be_made_while_unwinding_and_in_a_panic_hook() {
    fn checks() {
        let kind = Config::new().explore(|| panic!("of the test")).expect_err("it panics").kind();
        assert_eq!(kind, FailureKind::Panic);
        check(|| assert!(go(|| panic!("within")).join().is_err()));
    }
    struct Checks;
    impl Drop for Checks {
        fn drop(&mut self) {
            checks();
        }
    }
    let test = "the_first_check_of_a_process_can_be_made_while_unwinding_and_in_a_panic_hook";
    for place in ["unwinding", "hook"] {
        let Some(output) = in_child(test, &[("LISLE_TEST_PLACE", place)]) else { break };
        assert!(output.status.success(), "{place}: {}", stderr(&output));
    }
    let Ok(place) = std::env::var("LISLE_TEST_PLACE") else { return };
    if place == "hook" {
        let is_first = AtomicBool::new(true);
        std::panic::set_hook(Box::new(move |_| {
            if is_first.swap(false, Ordering::Relaxed) {
                checks();
            }
        }));
    }
    let caught = std::panic::catch_unwind(|| {
        let _checks = Checks;
        panic!("and unwinds");
    });
    assert_eq!(caught.expect_err("it panics").downcast_ref(), Some(&"and unwinds"));
    checks();
}

#[test]
fn a_check_can_fail_in_a_destructor_of_a_thread_local() {
    struct Checks(std::cell::Cell<Option<std::sync::mpsc::Sender<FailureKind>>>);
    impl Drop for Checks {
        fn drop(&mut self) {
            let failure = Config::new().explore(|| panic!("of the test")).expect_err("it panics");
            assert!(failure.to_string().contains("of the test"), "{failure}");
            self.0.take().expect("set below").send(failure.kind()).unwrap();
        }
    }
    thread_local! {
        // One goes before what checks keep in the thread, and one after.
        static FIRST: Checks = const { Checks(std::cell::Cell::new(None)) };
        static LAST: Checks = const { Checks(std::cell::Cell::new(None)) };
    }
    let (sender, kinds) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        LAST.with(|last| last.0.set(Some(sender.clone())));
        check(|| ());
        FIRST.with(|first| first.0.set(Some(sender)));
    });
    thread.join().unwrap();
    assert_eq!(kinds.iter().collect::<Vec<_>>(), [FailureKind::Panic; 2]);
}

#[test]
fn a_panic_whose_payload_waits_in_its_destructor_is_a_failure_as_others_are() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            go(|| ()).join().unwrap();
        }
    }
    let failure = Config::new().explore(|| std::panic::panic_any(Waits)).expect_err("it panics");
    assert_eq!(failure.kind(), FailureKind::Panic, "{failure}");
    let caught = std::panic::catch_unwind(|| lisle::testing::virtual_time(|| std::panic::panic_any(Waits)));
    assert!(caught.expect_err("it panics").is::<Waits>());
}

#[test]
fn a_check_can_be_made_after_one_that_broke_off_an_unwinding() {
    for _ in 0..2 {
        let failure = Config::new().explore(wait_while_unwinding).expect_err("it panics");
        assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
        check(|| assert_eq!(go(|| 1).join().unwrap(), 1));
    }
}

#[test]
fn what_a_goroutines_check_leaves_in_its_thread_is_nothing_to_later_blocking_calls() {
    thread_local! {
        static KEPT: std::cell::RefCell<u32> = const { std::cell::RefCell::new(0) };
    }
    let left = || {
        Config::new().explore(|| KEPT.with_borrow_mut(|_| lisle::park())).expect_err("nobody wakes it");
    };
    let is_clean = || KEPT.with(|kept| kept.try_borrow_mut().is_ok());
    lisle::run(|| {
        for _ in 0..2 {
            left();
            assert!(lisle::blocking(is_clean));
            lisle::blocking(left);
            assert!(lisle::blocking(is_clean));
        }
    });
}

#[test]
fn a_goroutine_that_an_earlier_check_left_behind_and_somebody_wakes_disturbs_no_later_one() {
    let left = std::sync::Mutex::new(None);
    let failure = Config::new().explore(|| {
        *left.lock().unwrap() = Some(lisle::current());
        lisle::park();
    });
    assert_eq!(failure.expect_err("nobody wakes it").kind(), FailureKind::Deadlock);
    left.lock().unwrap().take().expect("it has run").unpark();
    check(|| assert_eq!(go(|| 1).join().unwrap(), 1));
}

#[test]
fn a_goroutine_that_an_earlier_check_left_behind_and_a_later_one_wakes_stays_where_it_is() {
    let (sender, receiver) = unbounded::<u32>();
    for _ in 0..2 {
        let failure = Config::new().explore(|| {
            scope(|s| {
                s.go(|| receiver.recv());
            });
        });
        assert_eq!(failure.expect_err("nobody sends").kind(), FailureKind::Deadlock);
        check(|| {
            sender.send(1).unwrap();
            assert_eq!(go(|| 1).join().unwrap(), 1);
            while receiver.try_recv().is_ok() {}
        });
    }
}

#[test]
fn a_thread_local_that_points_into_what_an_earlier_check_left_behind_disturbs_no_later_one() {
    thread_local! {
        static FRAME: std::cell::Cell<*const u8> = const { std::cell::Cell::new(std::ptr::null()) };
    }
    let failure = Config::new().explore(|| {
        let here = 0;
        FRAME.set(&raw const here);
        lisle::park();
        FRAME.set(std::ptr::null());
    });
    assert_eq!(failure.expect_err("it keeps the only thread").kind(), FailureKind::Unsupported);
    assert!(!FRAME.get().is_null(), "the thread is the caller's");
    check(|| assert_eq!(go(|| 1).join().unwrap(), 1));
}

#[test]
fn threads_whose_checks_have_failed_leave_no_open_files() {
    const THREADS: usize = 100;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for _ in 0..THREADS {
        let failing = || Config::new().shrink(false).explore(lisle::park).expect_err("nobody wakes it").kind();
        assert_eq!(std::thread::spawn(failing).join().unwrap(), FailureKind::Deadlock);
    }
    // Tests beside this one may open some.
    assert!(open() < before + THREADS / 2);
}
