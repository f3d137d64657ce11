//! The race detector: what it reports, and that it is silent where something orders.

mod common;

use lisle::cell::UnsafeCell;
use lisle::channel::{Receiver, Sender, bounded, unbounded};
use lisle::race::Cell;
use lisle::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use lisle::sync::{Barrier, Condvar, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use lisle::testing::{Config, FailureKind};
use lisle::time::after_func;
use lisle::{context, errgroup, go, park, pool, scope, select};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// One goroutine writes, another reads: `between` is what happens at each of them.
fn hand_over<S: Sync>(state: S, before: impl Fn(&S) + Sync + Send, after: impl Fn(&S) -> bool + Sync + Send) {
    let cell = Cell::new(0);
    scope(|s| {
        s.go(|| {
            cell.set(1);
            before(&state);
        });
        s.go(|| {
            if after(&state) {
                assert_eq!(cell.get(), 1);
            }
        });
    });
}

/// No schedule has a race. (ThreadSanitizer looks at fewer: it sees the same in all of them, and takes long.)
#[track_caller]
fn check(f: impl Fn() + Send) {
    let config = Config::new();
    if cfg!(lisle_tsan) { config.iterations(50).check(f) } else { config.check(f) }
}

#[track_caller]
fn races(f: impl Fn() + Send) {
    let failure = Config::new().explore(f).expect_err("there is a race");
    assert_eq!(failure.kind(), FailureKind::Race, "{failure}");
}

#[test]
fn channels_order_with_and_without_a_buffer() {
    for capacity in [0, 1, 3] {
        check(move || hand_over(bounded(capacity), |(s, _)| s.send(()).unwrap(), |(_, r)| r.recv().is_ok()));
    }
    check(|| hand_over(unbounded(), |(s, _)| s.send(()).unwrap(), |(_, r)| r.recv().is_ok()));
    // Without a buffer a receive comes before the end of its send, too; with one it does not.
    let reversed =
        |capacity| move || hand_over(bounded(capacity), |(_, r)| r.recv().unwrap(), |(s, _)| s.send(()).is_ok());
    check(reversed(0));
    races(reversed(1));
}

#[test]
fn the_receive_that_frees_a_place_comes_before_the_send_that_takes_it() {
    // A semaphore made of a channel: capacity 1 orders, capacity 2 lets two in.
    let guarded = |capacity| {
        move || {
            let (cell, (sender, receiver)) = (Cell::new(0), bounded(capacity));
            scope(|s| {
                for _ in 0..2 {
                    s.go(|| {
                        sender.send(()).unwrap();
                        cell.set(cell.get() + 1);
                        receiver.recv().unwrap();
                    });
                }
            });
            assert_eq!(cell.get(), 2);
        }
    };
    check(guarded(1));
    races(guarded(2));
}

#[test]
fn a_message_orders_its_own_sender_only() {
    races(|| {
        let (cell, (sender, receiver)) = (Cell::new(0), bounded(2));
        scope(|s| {
            s.go(|| {
                cell.set(1);
                sender.send(1).unwrap();
            });
            s.go(|| sender.send(2).unwrap());
            s.go(|| {
                receiver.recv().unwrap();
                cell.get();
            });
        });
    });
}

#[test]
fn messages_count_from_the_first_even_if_the_first_had_nothing_to_tell() {
    let channel = |capacity| if capacity == 0 { unbounded() } else { bounded(capacity) };
    // The writer's second message says that it has written, not its first.
    let told = |capacity, messages: usize| {
        move || {
            let (cell, (sender, receiver)) = (Cell::new(0), channel(capacity));
            scope(|s| {
                s.go(|| {
                    sender.send(()).unwrap();
                    cell.set(1);
                    sender.send(()).unwrap();
                });
                s.go(|| {
                    (0..messages).for_each(|_| receiver.recv().unwrap());
                    cell.get();
                });
            });
        }
    };
    // The second send waits for the first receive, if there is room for one.
    let freed = |capacity| {
        move || {
            let (cell, (sender, receiver)) = (Cell::new(0), channel(capacity));
            scope(|s| {
                s.go(|| {
                    sender.send(()).unwrap();
                    sender.send(()).unwrap();
                    cell.get();
                });
                s.go(|| {
                    cell.set(1);
                    receiver.recv().unwrap();
                });
            });
        }
    };
    for capacity in [0, 1, 2, 3] {
        check(told(capacity, 2));
    }
    [0, 2, 3].into_iter().for_each(|capacity| races(told(capacity, 1)));
    check(freed(1));
    [0, 2].into_iter().for_each(|capacity| races(freed(capacity)));
}

#[test]
fn who_drops_messages_that_nobody_received_comes_after_their_senders() {
    struct Message(Cell<u32>);
    impl Drop for Message {
        fn drop(&mut self) {
            self.0.set(2);
        }
    }
    let run = |(sender, receiver): (Sender<Message>, Receiver<Message>)| {
        let sends = lisle::go(move || {
            let message = Message(Cell::new(0));
            message.0.set(1);
            // Dropped here, if the receiver has gone.
            let _ = sender.send(message);
        });
        let drops = lisle::go(move || drop(receiver));
        sends.join().unwrap();
        drops.join().unwrap();
    };
    check(|| run(bounded(2)));
    check(|| run(unbounded()));
}

#[test]
fn the_end_of_a_channel_orders() {
    check(|| {
        let cell = Arc::new(Cell::new(0));
        let (sender, receiver) = bounded::<()>(0);
        let writer = Arc::clone(&cell);
        go(move || {
            writer.set(1);
            drop(sender);
        });
        assert!(receiver.recv().is_err());
        assert_eq!(cell.get(), 1);
    });
}

#[test]
fn select_orders_as_the_operations_that_it_chooses() {
    check(|| {
        hand_over(
            (bounded(0), bounded::<()>(0)),
            |((sender, _), (other, _))| {
                select! {
                    send(sender, ()) -> sent => sent.unwrap(),
                    send(other, ()) -> _ => unreachable!(),
                }
            },
            |((_, receiver), _)| {
                select! {
                    recv(receiver) -> message => message.is_ok(),
                    recv(lisle::channel::never::<()>()) -> _ => unreachable!(),
                }
            },
        );
    });
}

#[test]
fn locks_order_and_their_absence_does_not() {
    let count = |guarded: bool| {
        move || {
            let (cell, lock, rwlock) = (Cell::new(0), Mutex::new(()), RwLock::new(()));
            scope(|s| {
                s.go(|| {
                    let _guard = lock.lock().unwrap();
                    let _guard = rwlock.write().unwrap();
                    cell.set(cell.get() + 1);
                });
                s.go(|| {
                    let _guard = guarded.then(|| lock.lock().unwrap());
                    cell.set(cell.get() + 1);
                });
            });
        }
    };
    check(count(true));
    races(count(false));
    // Who reads under a shared lock may not write.
    let shared = |writes: bool| {
        move || {
            let (cell, lock) = (Cell::new(0), RwLock::new(()));
            scope(|s| {
                for _ in 0..2 {
                    s.go(|| {
                        let _guard = lock.read().unwrap();
                        if writes {
                            cell.set(1);
                        }
                        cell.get();
                    });
                }
                s.go(|| {
                    let _guard = lock.write().unwrap();
                    cell.set(2);
                });
            });
        }
    };
    check(shared(false));
    races(shared(true));
}

#[test]
fn a_lock_that_is_tried_orders_if_it_is_taken() {
    check(|| {
        let (cell, lock) = (Cell::new(0), Mutex::new(()));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    if let Ok(_guard) = lock.try_lock() {
                        cell.set(cell.get() + 1);
                    }
                });
            }
        });
    });
}

#[test]
fn whatever_is_waited_for_orders() {
    check(|| {
        hand_over(
            Barrier::new(2),
            |barrier| {
                barrier.wait();
            },
            |barrier| {
                barrier.wait();
                true
            },
        )
    });
    check(|| {
        let pair = (Mutex::new(false), Condvar::new());
        let set = |(ready, changed): &(Mutex<bool>, Condvar)| {
            *ready.lock().unwrap() = true;
            changed.notify_one();
        };
        hand_over(pair, set, |(ready, changed)| *changed.wait_while(ready.lock().unwrap(), |ready| !*ready).unwrap());
    });
    check(|| hand_over(Once::new(), |once| once.call_once(|| ()), |once| once.is_completed()));
    check(|| hand_over(OnceLock::new(), |once| once.set(1).unwrap(), |once| *once.wait() == 1));
    check(|| {
        let group = WaitGroup::new();
        group.add(1);
        hand_over(group, WaitGroup::done, |group| {
            group.wait();
            true
        });
    });
    check(|| {
        let cell = Cell::new(0);
        let semaphore = Semaphore::new(1);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let _permit = semaphore.acquire(1);
                    cell.set(cell.get() + 1);
                });
            }
        });
        assert_eq!(cell.get(), 2);
    });
}

#[test]
fn starts_ends_and_wake_ups_order() {
    check(|| {
        let cell = Arc::new(Cell::new(0));
        cell.set(1);
        let other = Arc::clone(&cell);
        go(move || other.set(2)).join().unwrap();
        assert_eq!(cell.get(), 2);
    });
    check(|| {
        let cell = Arc::new(Cell::new(0));
        let (other, me) = (Arc::clone(&cell), lisle::current());
        go(move || {
            other.set(1);
            me.unpark();
        });
        park();
        assert_eq!(cell.get(), 1);
    });
    check(|| {
        let cell = Arc::new(Cell::new(0));
        cell.set(1);
        let (other, (sender, receiver)) = (Arc::clone(&cell), bounded(1));
        after_func(SECOND, move || {
            other.set(other.get() + 1);
            sender.send(()).unwrap();
        })
        .detach();
        receiver.recv().unwrap();
        assert_eq!(cell.get(), 2);
    });
}

#[test]
fn contexts_groups_and_pools_order() {
    check(|| {
        let cell = Arc::new(Cell::new(0));
        let (ctx, cancel) = context::with_cancel(&context::background());
        let other = Arc::clone(&cell);
        go(move || {
            other.set(1);
            cancel.cancel();
        });
        if ctx.err().is_none() {
            ctx.wait();
        }
        assert_eq!(cell.get(), 1);
    });
    check(|| {
        let cell = Arc::new(Cell::new(0));
        let group = errgroup::Group::<String>::new();
        group.set_limit(1);
        for _ in 0..2 {
            let cell = Arc::clone(&cell);
            group.go(move || {
                cell.set(cell.get() + 1);
                Ok(())
            });
        }
        group.wait().unwrap();
        assert_eq!(cell.get(), 2);
    });
    check(|| {
        let cell = Arc::new(Cell::new(0));
        let pool = pool::Pool::builder().workers(1).build();
        let handles = [1, 2].map(|by| {
            let before = Cell::new(by);
            let cell = Arc::clone(&cell);
            pool.submit(move || cell.set(cell.get() + before.get())).unwrap()
        });
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(cell.get(), 3);
    });
}

fn by_flag(store: Ordering, load: Ordering, fences: bool) -> impl Fn() + Send {
    move || {
        let publish = |flag: &AtomicBool| {
            if fences {
                fence(Ordering::Release);
            }
            flag.store(true, store);
        };
        hand_over(AtomicBool::new(false), publish, move |flag| {
            let ready = flag.load(load);
            if fences {
                fence(Ordering::Acquire);
            }
            ready
        });
    }
}

#[test]
fn atomics_order_as_their_orderings_say() {
    use Ordering::{Acquire, Relaxed, Release, SeqCst};
    check(by_flag(Release, Acquire, false));
    check(by_flag(SeqCst, SeqCst, false));
    check(by_flag(Relaxed, Relaxed, true));
    for (store, load) in [(Relaxed, Acquire), (Release, Relaxed), (Relaxed, Relaxed)] {
        races(by_flag(store, load, false));
    }
}

#[test]
fn a_read_modify_write_goes_on_with_what_was_released_before_and_a_store_does_not() {
    let chain = |by_store: bool| {
        move || {
            let (cell, flag) = (Cell::new(0), AtomicUsize::new(0));
            scope(|s| {
                s.go(|| {
                    cell.set(1);
                    flag.fetch_add(1, Ordering::Release);
                });
                s.go(|| {
                    if flag.load(Ordering::Relaxed) == 1 {
                        if by_store {
                            flag.store(2, Ordering::Relaxed);
                        } else {
                            flag.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
                s.go(|| {
                    if flag.load(Ordering::Acquire) == 2 {
                        cell.get();
                    }
                });
            });
        }
    };
    check(chain(false));
    races(chain(true));
}

/// A spin lock, as unsafe code makes one.
struct SpinLock {
    taken: AtomicBool,
    value: UnsafeCell<u32>,
    unlock: Ordering,
}

// SAFETY: the lock gives the value to one at a time (if `unlock` is `Release`: the detector is to find out).
unsafe impl Sync for SpinLock {}

impl SpinLock {
    fn add(&self) {
        while self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            lisle::yield_now();
        }
        // SAFETY: we have the lock, and under the explorer no two run at once in any case.
        self.value.with_mut(|value| unsafe { *value += 1 });
        self.taken.store(false, self.unlock);
    }
}

#[test]
fn unsafe_code_is_checked_by_its_cells() {
    let count = |unlock| {
        move || {
            let lock = SpinLock { taken: AtomicBool::new(false), value: UnsafeCell::new(0), unlock };
            scope(|s| {
                s.go(|| lock.add());
                s.go(|| lock.add());
            });
            assert_eq!(lock.value.into_inner(), 2);
        }
    };
    check(count(Ordering::Release));
    races(count(Ordering::Relaxed));
}

#[test]
fn a_cell_that_is_dropped_leaves_its_address_to_others() {
    check(|| {
        scope(|s| {
            for _ in 0..3 {
                s.go(|| {
                    // Allocated, used and freed: most likely at one address.
                    let cell = Box::new(UnsafeCell::new(0));
                    cell.with_mut(|_| ());
                    let cell = Box::new(Cell::new(0));
                    cell.set(1);
                });
            }
        });
    });
}

#[test]
fn a_goroutine_with_the_smallest_stack_can_be_reported() {
    races(|| {
        let cell = Arc::new(Cell::new(0));
        let other = Arc::clone(&cell);
        lisle::Builder::new().stack_size(lisle::MIN_STACK_SIZE).go(move || other.set(1)).unwrap();
        cell.set(2);
    });
}

#[cfg(feature = "race")]
mod in_ordinary_runs {
    use super::common::{in_child, stderr};
    use super::*;

    fn race() {
        let cell = Arc::new(Cell::new(0));
        let other = Arc::clone(&cell);
        let writer = lisle::Builder::new().name("writer").go(move || other.set(1)).unwrap();
        cell.set(2);
        writer.join().unwrap();
    }

    /// The test harness ends by `process::exit`, as programs do by their return from `main`.
    fn child(test: &str, settings: &str) -> Option<std::process::Output> {
        in_child(&format!("in_ordinary_runs::{test}"), &[("LISLE_RACE", settings)])
    }

    #[test]
    fn a_race_is_reported_as_go_does_and_the_process_exits_with_66() {
        let Some(output) = child("a_race_is_reported_as_go_does_and_the_process_exits_with_66", "") else {
            return race();
        };
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(66), "{text}");
        assert!(text.contains("==================\nWARNING: DATA RACE\nWrite at 0x"), "{text}");
        assert!(text.contains("Previous write at 0x") && text.contains("(\"writer\")"), "{text}");
        assert!(text.contains("created at:") && text.contains("tests/race.rs"), "{text}");
        assert!(text.contains("race::in_ordinary_runs::race"), "{text}");
        assert!(text.contains("Found 1 data race(s)"), "{text}");
    }

    /// Nothing that the detector knows of orders the caller after the end of the goroutine.
    fn runs_to_its_end(f: impl FnOnce() + Send + 'static) {
        let alive = Arc::new(());
        let seen = Arc::downgrade(&alive);
        go(move || {
            f();
            drop(alive);
        });
        while seen.strong_count() > 0 {
            std::thread::yield_now();
        }
        // The last steps of its end.
        while lisle::metrics().goroutines > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_race_with_a_goroutine_that_has_ended_is_found_by_those_that_start_later() {
        let test = "a_race_with_a_goroutine_that_has_ended_is_found_by_those_that_start_later";
        let Some(output) = child(test, "") else {
            let cell = Arc::new(Cell::new(0));
            for value in 0..2 {
                let cell = Arc::clone(&cell);
                runs_to_its_end(move || cell.set(value));
            }
            return;
        };
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(66), "{text}");
        assert!(text.contains("(running) created at:") && text.contains("(finished) created at:"), "{text}");
    }

    #[test]
    fn goroutines_that_were_joined_are_no_race_for_those_that_start_later() {
        let test = "goroutines_that_were_joined_are_no_race_for_those_that_start_later";
        let Some(output) = child(test, "") else {
            let cell = Arc::new(Cell::new(0));
            for value in 0..100 {
                let cell = Arc::clone(&cell);
                go(move || cell.set(value)).join().unwrap();
            }
            return;
        };
        assert!(output.status.success(), "{}", stderr(&output));
    }

    #[test]
    fn a_flag_of_too_weak_an_ordering_is_reported() {
        let run = |test: &str, ordering: Ordering| {
            let output = child(test, "");
            if output.is_none() {
                let shared = Arc::new((Cell::new(0), AtomicBool::new(false)));
                let theirs = Arc::clone(&shared);
                go(move || {
                    theirs.0.set(1);
                    theirs.1.store(true, ordering);
                });
                while !shared.1.load(Ordering::Acquire) {
                    lisle::yield_now();
                }
                shared.0.get();
            }
            output
        };
        let test = "a_flag_of_too_weak_an_ordering_is_reported";
        let strong = std::env::var("LISLE_RACE").is_ok_and(|settings| settings.contains("exitcode=7"));
        if let Some(output) = run(test, if strong { Ordering::Release } else { Ordering::Relaxed }) {
            assert_eq!(output.status.code(), Some(66), "{}", stderr(&output));
            let output = child(test, "exitcode=7").expect("this is the parent");
            assert!(output.status.success(), "{}", stderr(&output));
        }
    }

    #[test]
    fn a_report_shows_the_users_calls_alone() {
        let Some(output) = child("a_report_shows_the_users_calls_alone", "") else { return race() };
        let text = stderr(&output);
        assert!(text.contains("race::in_ordinary_runs::race"), "{text}");
        for ours in ["lisle::", "corosensei", "core::", "std::", "test::", "__rust", "start_thread", "clone3"] {
            let called = text
                .lines()
                .filter(|line| line.ends_with("()"))
                .find(|line| line.trim_start_matches([' ', '<']).starts_with(ours));
            assert_eq!(called, None, "{text}");
        }
    }

    #[test]
    fn one_race_is_told_once() {
        let Some(output) = child("one_race_is_told_once", "") else { return (0..10).for_each(|_| race()) };
        assert_eq!(stderr(&output).matches("WARNING: DATA RACE").count(), 1, "{}", stderr(&output));
    }

    #[test]
    fn the_exit_status_can_be_chosen() {
        let Some(output) = child("the_exit_status_can_be_chosen", "exitcode=7") else { return race() };
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    }

    #[test]
    fn a_setting_that_is_none_is_told_though_there_is_no_race() {
        let test = "a_setting_that_is_none_is_told_though_there_is_no_race";
        let settings = "exitcod=7 halt_on_error=yes,exitcode=300 exitcode=7";
        let Some(output) = child(test, settings) else { return go(|| ()).join().unwrap() };
        let text = stderr(&output);
        assert!(output.status.success(), "{text}");
        for wrong in ["exitcod=7", "halt_on_error=yes", "exitcode=300"] {
            let told = format!("LISLE_RACE has {wrong:?}, which is none of its settings");
            assert_eq!(text.matches(&told).count(), 1, "{text}");
        }
        assert!(text.contains("halt_on_error=0 or 1") && text.contains("exitcode=0 to 255"), "{text}");
        assert!(!text.contains(r#"has "exitcode=7""#), "{text}");
    }

    #[test]
    fn the_process_halts_at_a_race_if_it_is_asked_to() {
        let Some(output) = child("the_process_halts_at_a_race_if_it_is_asked_to", "halt_on_error=1") else {
            race();
            eprintln!("it went on");
            return;
        };
        assert_eq!(output.status.code(), Some(66));
        assert!(!stderr(&output).contains("it went on"), "{}", stderr(&output));
    }

    #[test]
    fn reports_can_go_to_a_file() {
        let path = std::env::temp_dir().join(format!("lisle-races-{}", std::process::id()));
        let settings = format!("log_path={}", path.display());
        let Some(output) = child("reports_can_go_to_a_file", &settings) else { return race() };
        assert!(!stderr(&output).contains("DATA RACE"), "{}", stderr(&output));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let files = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
        let file = files.map(|file| file.path()).find(|file| file.to_string_lossy().contains(&name)).expect("a file");
        assert!(std::fs::read_to_string(&file).unwrap().contains("WARNING: DATA RACE"));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn what_orders_goroutines_of_several_workers_is_seen() {
        let test = "what_orders_goroutines_of_several_workers_is_seen";
        let Some(output) = child(test, "") else { return busy_and_ordered() };
        assert!(output.status.success(), "{}", stderr(&output));
    }

    fn busy_and_ordered() {
        let (cell, lock) = (Cell::new(0), Mutex::new(()));
        let (sender, receiver) = bounded(2);
        scope(|s| {
            for _ in 0..4 {
                s.go(|| {
                    for _ in 0..200 {
                        let guard = lock.lock().unwrap();
                        cell.set(cell.get() + 1);
                        drop(guard);
                        let message = Box::new(Cell::new(1));
                        message.set(2);
                        sender.send(message).unwrap();
                    }
                });
            }
            for _ in 0..4 {
                s.go(|| (0..200).for_each(|_| assert_eq!(receiver.recv().unwrap().get(), 2)));
            }
        });
        assert_eq!(cell.get(), 800);
    }

    /// Goroutines of several workers at once, on channels of all kinds, locks and atomics, and whatever they use is handed
    /// over or guarded.
    fn storm() {
        let (lock, table, count) = (Mutex::new(()), RwLock::new(()), AtomicUsize::new(0));
        let (locked, shared) = (Cell::new(0), Cell::new(0));
        let channels = [bounded(0), bounded(1), bounded(7), unbounded::<Box<Cell<usize>>>()];
        let pass_on = |k: usize, message: Option<Box<Cell<usize>>>| {
            let message = message.unwrap_or_else(|| Box::new(Cell::new(0)));
            message.set(message.get() + 1);
            match k % 3 {
                0 => {
                    let _guard = lock.lock().unwrap();
                    locked.set(locked.get() + 1);
                }
                1 if k % 7 == 1 => {
                    let _guard = table.write().unwrap();
                    shared.set(shared.get() + 1);
                }
                1 => {
                    let _guard = table.read().unwrap();
                    shared.get();
                }
                _ => drop(count.fetch_add(1, Ordering::AcqRel)),
            }
            message
        };
        scope(|s| {
            for (index, (sender, receiver)) in channels.iter().enumerate() {
                for _ in 0..3 {
                    s.go(move || (0..400).for_each(|k| sender.send(pass_on(k + index, None)).unwrap()));
                    s.go(move || {
                        for k in 0..400 {
                            let message = select! {
                                recv(receiver) -> message => message.unwrap(),
                                recv(lisle::channel::never::<()>()) -> _ => unreachable!(),
                            };
                            pass_on(k, Some(message));
                        }
                    });
                }
            }
            // Most have ended while others go on: their places in the clocks are used again.
            for k in 0..200 {
                s.go(move || drop(pass_on(k, None))).join().unwrap();
            }
        });
    }

    #[test]
    fn a_storm_in_which_everything_is_ordered_is_silent() {
        let test = "a_storm_in_which_everything_is_ordered_is_silent";
        let Some(output) = child(test, "") else { return (0..5).for_each(|_| storm()) };
        assert!(output.status.success(), "{}", stderr(&output));
    }

    #[test]
    fn a_race_in_the_middle_of_a_storm_is_found() {
        let test = "a_race_in_the_middle_of_a_storm_is_found";
        let Some(output) = child(test, "") else {
            return scope(|s| {
                s.go(storm);
                s.go(race);
                s.go(storm);
            });
        };
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(66), "{text}");
        assert!(text.contains("(\"writer\")") && text.contains("Found 1 data race(s)"), "{text}");
    }
}
