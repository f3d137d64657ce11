//! Schedules under control: what is found, and how it is told.

mod common;

use common::{is_child, line_of_child, wait_while_unwinding};
use lisle::channel::{bounded, unbounded};
use lisle::race::Cell;
use lisle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use lisle::sync::{Condvar, Mutex, WaitGroup};
use lisle::testing::{Config, FailureKind, Strategy, check, replay};
use lisle::{go, scope, yield_now};
use std::sync::Arc;

/// Two increments that are not atomic: each a load and a store.
fn lost_update() {
    let counter = Arc::new(AtomicUsize::new(0));
    let add = |counter: &AtomicUsize| counter.store(counter.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    let other = go({
        let counter = Arc::clone(&counter);
        move || add(&counter)
    });
    add(&counter);
    other.join().unwrap();
    assert_eq!(counter.load(Ordering::SeqCst), 2, "an update was lost");
}

fn two_locks() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    scope(|s| {
        s.go(|| {
            let _a = a.lock().unwrap();
            let _b = b.lock().unwrap();
        });
        s.go(|| {
            let _b = b.lock().unwrap();
            let _a = a.lock().unwrap();
        });
    });
}

const STRATEGIES: [Strategy; 5] =
    [Strategy::Mixed, Strategy::Random, Strategy::Pct { depth: 3 }, Strategy::RoundRobin, Strategy::Exhaustive];

#[test]
fn every_strategy_finds_a_lost_update_and_its_schedule_repeats_it() {
    for strategy in STRATEGIES {
        let failure = Config::new().strategy(strategy).explore(lost_update).expect_err("an update can be lost");
        assert_eq!(failure.kind(), FailureKind::Panic, "{strategy:?}: {failure}");
        assert!(failure.message().contains("an update was lost"), "{strategy:?}: {failure}");
        assert_eq!(failure.preemptions(), 1, "{strategy:?}: {failure}");
        let schedule = failure.schedule().to_owned();
        let again = std::panic::catch_unwind(|| replay(&schedule, lost_update)).expect_err("it fails again");
        assert!(again.downcast_ref::<String>().expect("a text").contains("an update was lost"));
    }
}

#[test]
fn a_failure_shows_a_line_to_paste_and_a_column_for_each_goroutine() {
    let failure = Config::new().explore(lost_update).expect_err("an update can be lost");
    let text = failure.to_string();
    let test = "a_failure_shows_a_line_to_paste_and_a_column_for_each_goroutine";
    assert!(text.contains(&format!("LISLE_SEED={} cargo test {test}", failure.schedule())), "{text}");
    assert!(text.contains("| main") && text.contains("| 2 (check.rs:"), "{text}");
    assert!(text.contains("load atomic 1  check.rs:") && text.contains("panics: assertion"), "{text}");
}

#[test]
fn a_deadlock_is_told_with_who_holds_what() {
    for strategy in STRATEGIES {
        let failure = Config::new().strategy(strategy).explore(two_locks).expect_err("they can wait for each other");
        assert_eq!(failure.kind(), FailureKind::Deadlock, "{strategy:?}: {failure}");
        let text = failure.message();
        assert!(text.contains("goroutine 2 holds the lock since tests/check.rs"), "{text}");
        assert!(text.contains("goroutine 3 holds the lock since tests/check.rs"), "{text}");
        assert!(text.contains("main (goroutine 1) waits in scope"), "{text}");
    }
}

#[test]
fn a_park_is_told_with_its_place_in_the_program() {
    let parks = || {
        lisle::park();
    };
    let failure = Config::new().explore(parks).expect_err("nobody wakes it");
    assert!(failure.message().contains("waits in park at tests/check.rs"), "{failure}");
}

#[test]
fn a_double_lock_needs_no_schedule_but_the_plain_one() {
    let failure = Config::new()
        .explore(|| {
            let lock = Mutex::new(());
            let _once = lock.lock();
            let _twice = lock.lock();
        })
        .expect_err("it waits for itself");
    assert_eq!((failure.kind(), failure.schedules()), (FailureKind::Deadlock, 1));
    assert!(failure.message().contains("it holds itself the lock"), "{failure}");
}

#[test]
fn a_notification_before_the_wait_is_a_lost_wake_up() {
    let failure = Config::new()
        .explore(|| {
            let pair = Arc::new((Mutex::new(false), Condvar::new()));
            let other = Arc::clone(&pair);
            go(move || other.1.notify_one());
            // Nobody looks at the flag: the notification is all that there is.
            let guard = pair.0.lock().unwrap();
            drop(pair.1.wait(guard).unwrap());
        })
        .expect_err("it can come too early");
    assert_eq!(failure.kind(), FailureKind::LostWakeup, "{failure}");
    assert!(failure.message().contains("goroutine 2 had notified at tests/check.rs"), "{failure}");
}

#[test]
fn who_waits_for_ever_at_the_end_is_left_over() {
    let failure = Config::new()
        .explore(|| {
            let (sender, receiver) = bounded::<u32>(0);
            go(move || sender.send(1));
            std::mem::forget(receiver);
        })
        .expect_err("nobody receives");
    assert_eq!(failure.kind(), FailureKind::LeftOver, "{failure}");
    assert!(failure.message().contains("waits in chan send at tests/check.rs"), "{failure}");
}

#[test]
fn a_panic_that_nobody_joins_is_a_failure_and_one_that_is_joined_is_not() {
    let failure = Config::new()
        .explore(|| {
            let group = WaitGroup::new();
            group.go(|| panic!("nobody hears this"));
            group.wait();
        })
        .expect_err("a goroutine panics");
    assert_eq!(failure.kind(), FailureKind::Panic, "{failure}");
    check(|| {
        let result = go(|| panic!("expected")).join();
        assert!(result.is_err());
    });
}

#[test]
fn goroutines_that_go_round_in_circles_are_a_livelock() {
    let failure = Config::new()
        .steps(1000)
        .explore(|| {
            let stop = AtomicBool::new(false);
            scope(|s| {
                s.go(|| while !stop.load(Ordering::Relaxed) {});
            });
        })
        .expect_err("it never stops");
    assert_eq!(failure.kind(), FailureKind::Livelock, "{failure}");
}

#[test]
fn who_spins_lets_the_others_go_first_in_the_end() {
    for strategy in STRATEGIES {
        let report = Config::new().strategy(strategy).iterations(50).explore(|| {
            let ready = AtomicBool::new(false);
            scope(|s| {
                s.go(|| while !ready.load(Ordering::Acquire) {});
                s.go(|| {
                    while !ready.load(Ordering::Acquire) {
                        yield_now();
                    }
                });
                s.go(|| ready.store(true, Ordering::Release));
            });
        });
        assert!(report.is_ok(), "{strategy:?}: {}", report.unwrap_err());
    }
}

#[test]
fn the_exhaustive_search_counts_the_orders_that_differ() {
    let search = |f: fn()| Config::new().strategy(Strategy::Exhaustive).explore(f).expect("nothing fails");
    // Two goroutines that write one variable twice each: 4 choose 2 orders.
    let report = search(|| {
        let shared = AtomicUsize::new(0);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    shared.fetch_add(1, Ordering::SeqCst);
                    shared.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
    });
    assert!(report.is_complete);
    assert_eq!(report.schedules - report.redundant, 6, "{report:?}");
    // Two that have nothing in common: one.
    let report = search(|| {
        let (a, b) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope(|s| {
            for mine in [&a, &b] {
                s.go(move || {
                    mine.fetch_add(1, Ordering::SeqCst);
                    mine.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
    });
    assert!(report.is_complete);
    assert!(report.schedules - report.redundant <= 2, "{report:?}");
}

#[test]
fn a_bound_on_preemptions_leaves_the_others_out() {
    let search = || Config::new().strategy(Strategy::Exhaustive);
    let none = search().preemptions(0).explore(lost_update).expect("without a preemption nothing is lost");
    assert!(!none.is_complete);
    let failure = search().preemptions(1).explore(lost_update).expect_err("one is enough");
    assert_eq!(failure.preemptions(), 1);
}

#[test]
fn a_race_is_found_where_the_bad_interleaving_did_not_happen() {
    let failure = Config::new()
        .explore(|| {
            let cell = Arc::new(Cell::new(0));
            let other = Arc::clone(&cell);
            go(move || other.set(1));
            cell.set(2);
        })
        .expect_err("nothing orders the two");
    assert_eq!((failure.kind(), failure.schedules()), (FailureKind::Race, 1), "{failure}");
    let text = failure.message();
    assert!(text.contains("WARNING: DATA RACE") && text.contains("Previous write at"), "{text}");
    assert!(text.contains("Goroutine 2 (") && text.contains("tests/check.rs"), "{text}");
}

#[test]
fn a_select_takes_each_of_its_ready_arms_in_some_schedule() {
    let taken = [const { std::sync::atomic::AtomicBool::new(false) }; 3];
    Config::new().strategy(Strategy::Exhaustive).check(|| {
        let channels = [(); 3].map(|()| unbounded());
        for (index, (sender, _)) in channels.iter().enumerate() {
            sender.send(index).unwrap();
        }
        let [(_a, a), (_b, b), (_c, c)] = &channels;
        let index = lisle::select! {
            recv(a) -> index => index,
            recv(b) -> index => index,
            recv(c) -> index => index,
        };
        taken[index.unwrap()].store(true, Ordering::Relaxed);
    });
    assert!(taken.iter().all(|taken| taken.load(Ordering::Relaxed)), "{taken:?}");
}

#[test]
fn a_test_that_is_not_the_same_twice_is_told() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let failure = Config::new()
        .explore(|| {
            let shared = AtomicUsize::new(0);
            // As a HashMap's order or the wall clock would.
            if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                shared.load(Ordering::Relaxed);
            } else {
                shared.store(1, Ordering::Relaxed);
            }
        })
        .expect_err("it is not the same twice");
    assert_eq!(failure.kind(), FailureKind::Nondeterminism, "{failure}");
    assert!(failure.message().contains("load atomic 1") && failure.message().contains("store atomic 1"), "{failure}");
}

#[test]
fn what_is_initialised_once_in_a_process_is_no_nondeterminism() {
    static ONCE: lisle::sync::LazyLock<u32> = lisle::sync::LazyLock::new(|| {
        yield_now();
        7
    });
    check(|| {
        let other = go(|| *ONCE);
        assert_eq!((*ONCE, other.join().unwrap()), (7, 7));
    });
}

#[test]
fn what_cannot_be_done_in_a_check_says_what_to_do_instead() {
    let failure = Config::new().explore(|| drop(lisle::Config::new().start())).expect_err("it has threads");
    assert!(failure.message().contains("use lisle::go"), "{failure}");
    let failure =
        Config::new().explore(|| drop(lisle::signal::notify(&[lisle::signal::SIGHUP]))).expect_err("no signals");
    assert!(failure.message().contains("send on a channel"), "{failure}");
    let failure = Config::new()
        .explore(|| {
            let (sender, receiver) = bounded(0);
            go(move || sender.send(1).unwrap());
            lisle::no_switch(|| receiver.recv().unwrap());
        })
        .expect_err("it keeps the only thread");
    assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
    let failure = Config::new()
        .explore(|| {
            let me = lisle::current();
            std::thread::spawn(move || me.unpark()).join().unwrap();
            lisle::park();
        })
        .expect_err("a thread wakes a goroutine");
    assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
    assert!(failure.message().contains("goroutine instead of a thread"), "{failure}");
}

#[test]
fn a_blocking_call_is_made_at_once() {
    check(|| {
        let mut value = 1;
        lisle::blocking(|| value += 1);
        assert_eq!(value, 2);
    });
}

#[test]
fn goroutines_are_numbered_from_one_in_each_schedule() {
    check(|| {
        assert_eq!(lisle::current().id(), 1);
        assert_eq!(go(|| lisle::current().id()).join().unwrap(), 2);
        assert_eq!(lisle::num_goroutines(), 1);
    });
}

#[test]
fn a_wait_while_unwinding_that_needs_the_others_is_told() {
    let failure = Config::new().explore(wait_while_unwinding).expect_err("it panics");
    assert!(matches!(failure.kind(), FailureKind::Unsupported), "{failure}");
    assert!(failure.message().contains("it is unwinding from a panic"), "{failure}");
}

#[test]
fn calls_that_never_come_may_wait_in_their_destructors() {
    struct Joins(Option<lisle::JoinHandle<()>>);
    impl Drop for Joins {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(|handle| handle.join().unwrap());
        }
    }
    check(|| {
        let (sender, receiver) = bounded::<()>(0);
        let joins = Joins(Some(go(move || assert!(receiver.recv().is_err()))));
        lisle::time::after_func(std::time::Duration::from_secs(1), move || drop((sender, joins))).detach();
    });
}

/// The one wait that nobody can look into.
#[test]
fn a_goroutine_that_blocks_the_thread_outside_of_lisle_is_told() {
    if is_child() {
        let (lock, flag) = (std::sync::Mutex::new(()), AtomicBool::new(false));
        let hold = || {
            let _held = lock.lock().unwrap();
            flag.store(true, Ordering::SeqCst);
        };
        return Config::new().check(|| {
            scope(|s| {
                s.go(hold);
                s.go(hold);
            });
        });
    }
    let told = line_of_child("a_goroutine_that_blocks_the_thread_outside_of_lisle_is_told", |line| {
        line.contains("has gone no further than")
    });
    // Which of the two holds the lock depends on the order of schedules.
    let one_of_them = told.contains("goroutine 2") || told.contains("goroutine 3");
    assert!(one_of_them && told.contains("tests/check.rs") && told.contains("use lisle::sync"), "{told}");
}

#[test]
fn a_goroutine_that_waits_for_real_input_is_told_with_what_to_do_instead() {
    if is_child() {
        return check(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let client = go(move || std::net::TcpStream::connect(address).map(drop));
            let _ = listener.accept();
            client.join().unwrap().unwrap();
        });
    }
    let told = line_of_child("a_goroutine_that_waits_for_real_input_is_told_with_what_to_do_instead", |line| {
        line.contains("has gone no further than")
    });
    assert!(told.contains("the system call accept4"), "{told}");
    assert!(told.contains("Put channels in place of sockets"), "{told}");
}

#[test]
fn what_a_check_prints_is_captured_as_the_output_of_its_test() {
    const PRINTED: &str = "printed within a check";
    if is_child() {
        return Config::new().iterations(2).check(|| go(|| println!("{PRINTED}")).join().unwrap());
    }
    let output = std::process::Command::new(std::env::current_exe().expect("we are running"))
        .args(["--exact", "what_a_check_prints_is_captured_as_the_output_of_its_test"])
        .env("LISLE_TEST_CHILD", "1")
        .output()
        .expect("a child process");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed") && !stdout.contains(PRINTED), "{stdout}");
}

/// Each part of lisle, as its users use it, in a few hundred interleavings.
mod everything_runs_unchanged {
    use lisle::channel::{bounded, unbounded};
    use lisle::race::Cell;
    use lisle::shutdown::Tracker;
    use lisle::sync::{Barrier, LazyLock, OnceLock, RwLock, Semaphore};
    use lisle::testing::Config;
    use lisle::time::{Ticker, Timer, after_func, sleep};
    use lisle::{context, errgroup, go, go_local, parallel, pool, scope, select, singleflight};
    use std::sync::Arc;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[track_caller]
    fn check(f: impl Fn() + Send + Copy) {
        Config::new().iterations(400).check(f);
    }

    /// Time may run ahead of all of it.
    #[track_caller]
    fn check_eagerly(f: impl Fn() + Send + Copy) {
        check(f);
        Config::new().iterations(200).eager_time(true).check(f);
    }

    #[test]
    fn error_groups() {
        check_eagerly(|| {
            let (group, ctx) = errgroup::Group::<String>::with_context(&context::background());
            group.set_limit(2);
            for i in 0..4 {
                let ctx = ctx.clone();
                group.go(move || match i {
                    2 => Err(String::from("two")),
                    _ => {
                        let _ = ctx.sleep(SECOND);
                        Ok(())
                    }
                });
            }
            assert_eq!(group.wait(), Err(String::from("two")));
            assert!(ctx.err().is_some());
        });
    }

    #[test]
    fn pools() {
        check(|| {
            let pool = pool::Pool::builder().workers(2).queue(1).build();
            let results: Vec<_> = (0..4).map(|i| pool.submit(move || i * i).unwrap()).collect();
            let sum: i32 = results.into_iter().map(|handle| handle.join().unwrap()).sum();
            assert_eq!(sum, 14);
            pool.close_and_wait();
            assert_eq!(pool.metrics().completed, 4);
        });
    }

    #[test]
    fn parallel_loops_and_streams() {
        check_eagerly(|| {
            assert_eq!(parallel::map(2, 0..4, |i| 10 * i), [0, 10, 20, 30]);
            assert_eq!(parallel::try_map(2, 0..4, |i| if i > 1 { Err(i) } else { Ok(i) }), Err(2));
            assert_eq!(parallel::ordered(2, 0..3, |i| i + 1).collect::<Vec<_>>(), [1, 2, 3]);
        });
    }

    #[test]
    fn pipelines() {
        check(|| {
            let (ctx, cancel) = context::with_cancel(&context::background());
            let numbers = parallel::source(&ctx, 1..=3);
            let squares = parallel::stage(&ctx, numbers, 2, |i| i * i);
            let merged = parallel::merge(&ctx, [squares]);
            assert_eq!(merged.iter().sum::<i32>(), 14);
            cancel.cancel();
        });
    }

    #[test]
    fn shared_work() {
        check(|| {
            let (group, calls) = (singleflight::Group::new(), Arc::new(Cell::new(0)));
            let ask = || {
                group.run("key", || {
                    calls.set(calls.get() + 1);
                    7
                })
            };
            scope(|s| {
                s.go(|| assert_eq!(ask().value, 7));
                s.go(|| assert_eq!(ask().value, 7));
            });
            assert!((1..=2).contains(&calls.get()));
        });
    }

    #[test]
    fn shutdowns() {
        check(|| {
            let tracker = Tracker::new(&context::background());
            let begun = tracker.begun().clone();
            let worker = tracker.go(move || begun.wait()).unwrap();
            tracker.shutdown(SECOND).unwrap();
            assert_eq!(worker.join().unwrap(), context::Error::Cancelled);
        });
    }

    #[test]
    fn timers_and_contexts() {
        check(|| {
            let (ctx, _cancel) = context::with_timeout(&context::background(), 3 * SECOND);
            let ticker = Ticker::new(SECOND);
            let mut ticks = 0;
            loop {
                select! {
                    recv(ticker.receiver()) -> _ => ticks += 1,
                    recv(ctx.done()) -> _ => break,
                }
            }
            assert!((2..=3).contains(&ticks), "{ticks}");
            let timer = Timer::new(SECOND);
            timer.receiver().recv().unwrap();
            let (sender, receiver) = bounded(1);
            let call = after_func(SECOND, move || sender.send(1).unwrap());
            if call.stop() {
                assert!(receiver.recv().is_err());
            }
        });
    }

    #[test]
    fn locks_and_once() {
        check(|| {
            let (lock, barrier, once) = (RwLock::new(0), Barrier::new(2), OnceLock::new());
            let lazy = LazyLock::new(|| 5);
            let semaphore = Semaphore::new(1);
            scope(|s| {
                for i in 0..2 {
                    let (lock, barrier, once, lazy, semaphore) = (&lock, &barrier, &once, &lazy, &semaphore);
                    s.go(move || {
                        *lock.write().unwrap() += 1;
                        barrier.wait();
                        assert_eq!(*lock.read().unwrap(), 2);
                        let permit = semaphore.acquire(1);
                        assert!(*once.get_or_init(|| i) < 2);
                        assert_eq!(**lazy, 5);
                        drop(permit);
                    });
                }
            });
        });
    }

    #[test]
    fn local_goroutines_exits_and_goroutine_locals() {
        lisle::goroutine_local! {
            static MINE: std::cell::Cell<u32> = std::cell::Cell::new(0);
        }
        check(|| {
            let shared = std::rc::Rc::new(std::cell::Cell::new(0));
            let other = std::rc::Rc::clone(&shared);
            let local = go_local(move || {
                MINE.with(|mine| mine.set(1));
                other.set(1);
            });
            let ended = go(|| lisle::exit());
            local.join().unwrap();
            assert!(ended.join().is_err());
            assert_eq!((shared.get(), MINE.with(std::cell::Cell::get)), (1, 0));
        });
    }

    #[test]
    fn a_server_with_requests_and_timeouts() {
        check(|| {
            let (requests, inbox) = unbounded::<(u32, lisle::channel::Sender<u32>)>();
            let server = go(move || {
                for (takes, reply) in inbox {
                    go(move || {
                        sleep(takes * SECOND);
                        let _ = reply.send(takes);
                    });
                }
            });
            let clients = [1, 5].map(|takes| {
                let requests = requests.clone();
                go(move || {
                    let (reply, answer) = bounded(1);
                    requests.send((takes, reply)).unwrap();
                    answer.recv_timeout(3 * SECOND).ok()
                })
            });
            drop(requests);
            let answers = clients.map(|client| client.join().unwrap());
            assert_ne!(answers[0], Some(5));
            server.join().unwrap();
            sleep(10 * SECOND);
        });
    }
}

#[test]
fn where_a_test_differs_now_and_then_is_shown() {
    use std::sync::atomic::{AtomicU32, Ordering};
    // Every fourth run is another: of two that are looked at for a report both may be alike.
    let runs = AtomicU32::new(0);
    let differs_now_and_then = || {
        let lock = Mutex::new(());
        if runs.fetch_add(1, Ordering::Relaxed) % 4 == 1 {
            drop(lock.lock());
        }
        drop(lock.lock());
        drop(lock.lock());
    };
    let failure = Config::new().explore(differs_now_and_then).expect_err("it is told");
    assert_eq!(failure.kind(), FailureKind::Nondeterminism, "{failure}");
    let text = failure.to_string();
    let after = |start: &str| text.lines().find_map(|line| line.split_once(start)).expect("both ways").1.to_owned();
    assert_ne!(after("once: "), after("and then: "), "{text}");
}
