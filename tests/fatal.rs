//! What ends the process, and what runs out: each in a child process.

mod common;

use common::{in_child, stderr};
use lisle::{Builder, go};
use std::os::unix::process::ExitStatusExt;

#[inline(never)]
#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame[63]
}

#[test]
fn a_stack_overflow_is_reported_and_aborts() {
    for environment in [&[][..], &[("LISLE_GUARD", "mprotect")]] {
        if let Some(output) = in_child("a_stack_overflow_is_reported_and_aborts", environment) {
            let text = stderr(&output);
            assert_eq!(output.status.signal(), Some(libc_abort()), "{text}");
            assert!(text.contains("(\"deep\") has overflowed its stack"), "{text}");
            assert!(text.contains("stack size: 96 KiB") && text.contains("fatal.rs"), "{text}");
            continue;
        }
        let deep = Builder::new().name("deep").stack_size(96 * 1024).go(|| recurse(0)).unwrap();
        let _ = deep.join();
        return;
    }
}

fn libc_abort() -> i32 {
    6
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer has a handler of its own")]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there_before() {
    if let Some(output) = in_child("a_fault_elsewhere_goes_to_the_handler_that_was_there_before", &[]) {
        assert_eq!(output.status.signal(), Some(11), "{}", stderr(&output));
        assert!(!stderr(&output).contains("goroutine"), "{}", stderr(&output));
        return;
    }
    go(|| {
        let wild = std::ptr::without_provenance::<u8>(16);
        // SAFETY: none: the fault is the test.
        std::hint::black_box(unsafe { wild.read_volatile() });
    })
    .join()
    .unwrap();
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer has a handler of its own")]
fn an_overflow_of_an_os_thread_is_still_stds_to_report() {
    if let Some(output) = in_child("an_overflow_of_an_os_thread_is_still_stds_to_report", &[]) {
        assert!(stderr(&output).contains("has overflowed its stack"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("goroutine"), "{}", stderr(&output));
        return;
    }
    go(|| ()).join().unwrap();
    std::thread::spawn(|| recurse(0)).join().unwrap();
}

#[test]
fn an_unjoined_panic_is_reported_with_name_and_creation_site() {
    let test = "an_unjoined_panic_is_reported_with_name_and_creation_site";
    if let Some(output) = in_child(test, &[]) {
        let text = stderr(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("(\"lonely\")") && text.contains("fatal.rs") && text.contains("nobody joined"), "{text}");
        return;
    }
    let group = lisle::sync::WaitGroup::new();
    let guard = group.guard();
    let lonely = move || {
        let _guard = guard;
        panic!("nobody sees this");
    };
    drop(Builder::new().name("lonely").go(lonely).unwrap());
    group.wait();
    while lisle::num_goroutines() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn an_unjoined_panic_aborts_if_asked_to() {
    if let Some(output) = in_child("an_unjoined_panic_aborts_if_asked_to", &[("LISLE_PANIC", "abort")]) {
        assert_eq!(output.status.signal(), Some(libc_abort()), "{}", stderr(&output));
        return;
    }
    drop(go(|| panic!("as in Go")));
    std::thread::sleep(std::time::Duration::from_secs(5));
}

#[test]
fn a_panic_while_unwinding_aborts() {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    if let Some(output) = in_child("a_panic_while_unwinding_aborts", &[]) {
        assert_eq!(output.status.signal(), Some(libc_abort()), "{}", stderr(&output));
        return;
    }
    let _ = go(|| {
        let _again = Again;
        panic!("first");
    })
    .join();
}

#[test]
fn a_panic_with_a_backtrace_fits_in_the_default_stack() {
    if let Some(output) = in_child("a_panic_with_a_backtrace_fits_in_the_default_stack", &[("RUST_BACKTRACE", "1")]) {
        let text = stderr(&output);
        assert!(output.status.success() && text.contains("stack backtrace:"), "{text}");
        return;
    }
    assert!(go(|| panic!("with a backtrace")).join().is_err());
}

#[test]
#[cfg_attr(feature = "race", ignore = "the detector's clocks need the memory maps that the test uses up")]
fn stacks_that_run_out_are_an_error_that_names_the_limit_and_everything_else_goes_on() {
    let test = "stacks_that_run_out_are_an_error_that_names_the_limit_and_everything_else_goes_on";
    if let Some(output) = in_child(test, &[("LISLE_GUARD", "mprotect")]) {
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    lisle::run(|| {
        let mut parked = Vec::new();
        let error = loop {
            match Builder::new().go(lisle::park) {
                Ok(handle) => parked.push(handle),
                Err(error) => break error,
            }
            lisle::yield_now();
            assert!(parked.len() < 200_000, "no limit was met");
        };
        let text = error.to_string();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
        assert!(text.contains("vm.max_map_count") && text.contains("sysctl"), "{text}");
        assert!(parked.len() > 1_000, "{}", parked.len());
        let panic = std::panic::catch_unwind(|| go(|| ())).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("vm.max_map_count"));
        // All that runs is unharmed, and what waited for a stack gets it.
        parked.iter().for_each(|handle| handle.goroutine().unpark());
        parked.into_iter().for_each(|handle| handle.join().unwrap());
        while Builder::new().go(|| ()).map(|handle| handle.join().unwrap()).is_err() {
            lisle::time::sleep(std::time::Duration::from_millis(10));
        }
    });
}

#[test]
fn stacks_are_guarded_under_mlockall() {
    if let Some(output) = in_child("stacks_are_guarded_under_mlockall", &[]) {
        let text = stderr(&output);
        assert_eq!(output.status.signal(), Some(libc_abort()), "{text}");
        assert!(text.contains("has overflowed its stack") || text.contains("mlockall is not allowed here"), "{text}");
        return;
    }
    lisle::run(|| {
        go(|| ()).join().unwrap();
        // SAFETY: no pointers.
        if unsafe { libc::mlockall(libc::MCL_CURRENT) } != 0 {
            eprintln!("mlockall is not allowed here");
            std::process::abort();
        }
        // More stacks than were prepared before the lock came into force.
        let parked: Vec<_> = (0..100).map(|_| go(lisle::park)).collect();
        lisle::yield_now();
        parked.iter().for_each(|handle| handle.goroutine().unpark());
        parked.into_iter().for_each(|handle| handle.join().unwrap());
        let _ = go(|| recurse(0)).join();
    });
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer clears what it knows of each stack: of a TiB that takes minutes")]
fn a_local_goroutine_that_finds_no_stack_stays_on_its_thread() {
    if let Some(output) = in_child("a_local_goroutine_that_finds_no_stack_stays_on_its_thread", &[]) {
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    lisle::run(|| {
        let home = std::thread::current().id();
        // One GiB each: more than the whole range holds.
        let handles: Vec<_> = (0..1100)
            .map(|_| {
                let big = Builder::new().stack_size(lisle::MAX_STACK_SIZE);
                big.go_local(move || {
                    assert_eq!(std::thread::current().id(), home);
                    lisle::time::sleep(std::time::Duration::from_millis(50));
                })
            })
            .collect();
        for handle in handles {
            handle.unwrap().join().unwrap();
        }
    });
}

#[test]
fn reports_do_not_end_a_wait_when_stderr_is_gone() {
    scoped_tls::scoped_thread_local!(static CURRENT: u32);
    let test = "reports_do_not_end_a_wait_when_stderr_is_gone";
    if std::env::var_os("LISLE_TEST_CHILD").is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("LISLE_TEST_CHILD", "1")
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        assert!(child.wait().unwrap().success());
        return;
    }
    lisle::run(|| {
        let value = std::hint::black_box(3);
        let mut borrowed = [0; 64];
        CURRENT.set(&value, || {
            lisle::blocking(|| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                borrowed.fill(1);
            });
        });
        assert_eq!(borrowed, [1; 64]);
    });
}

#[test]
fn a_fault_handler_of_the_users_stays_in_force_when_a_second_runtime_starts() {
    let test = "a_fault_handler_of_the_users_stays_in_force_when_a_second_runtime_starts";
    if let Some(output) = in_child(test, &[]) {
        assert_eq!(output.status.code(), Some(42), "{}", stderr(&output));
        return;
    }
    extern "C" fn on_fault(_: libc::c_int) {
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(42) };
    }
    let first = common::one_worker();
    // SAFETY: the handler is async-signal-safe.
    unsafe { libc::signal(libc::SIGSEGV, on_fault as extern "C" fn(_) as usize) };
    let second = common::one_worker();
    second.run(|| ());
    drop(first);
    let wild = std::ptr::without_provenance::<u8>(16);
    // SAFETY: none: the fault is the test.
    std::hint::black_box(unsafe { wild.read_volatile() });
}

/// Leaves the process about so much address space.
fn leave_address_space(bytes: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let used = statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
    let limit = libc::rlimit { rlim_cur: used + bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is valid to read from.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer needs address space of its own for each thread")]
fn a_thread_without_memory_for_its_signal_stack_does_not_start() {
    let test = "a_thread_without_memory_for_its_signal_stack_does_not_start";
    if let Some(output) = in_child(test, &[]) {
        assert!(output.status.success(), "{:?}: {}", output.status, stderr(&output));
        return;
    }
    // A runtime that goes on, and another that leaves its threads' stacks to those who start next.
    let running = common::one_worker();
    let work = running.go(|| lisle::park());
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    assert_eq!(lisle::Config::new().workers(4).start().unwrap().shutdown(std::time::Duration::from_secs(20)), 0);
    while threads() > before {
        std::thread::yield_now();
    }
    leave_address_space(128 * 1024);
    let error = lisle::Config::new().workers(2).start().unwrap_err();
    assert!(error.to_string().contains("worker thread 1 of 2 did not start: "), "{error}");
    let error = Builder::new().own_thread(true).go_on(&running, || ()).unwrap_err();
    assert!(error.to_string().contains("signal stack"), "{error}");
    // Where no thread is to be had, the caller's does.
    assert_eq!(running.run(|| lisle::blocking(|| 6 * 7)), 42);
    work.goroutine().unpark();
    work.join().unwrap();
}
