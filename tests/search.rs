//! The exhaustive search of schedules: it leaves out none whose outcome differs, and comes to its end.

use lisle::channel::bounded;
use lisle::sync::Mutex;
use lisle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use lisle::testing::{Config, Strategy};
use lisle::{go, scope, yield_now};
use std::sync::Arc;

/// The reduced search sees the same outcomes as the full one, or as very many random schedules where that is too large.
#[track_caller]
fn assert_same_outcomes(full: bool, program: impl Fn() -> u64 + Send + Sync + Copy) {
    let outcomes = |config: Config| {
        let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
        let report = config.explore(|| {
            let outcome = program();
            seen.lock().unwrap().insert(outcome);
        });
        (report.expect("nothing fails"), seen.into_inner().unwrap())
    };
    let (reduced, few) = outcomes(Config::new().iterations(100_000).strategy(Strategy::Exhaustive));
    // With a bound that bounds nothing there are no sleep sets.
    let without = Config::new().iterations(100_000).strategy(Strategy::Exhaustive).preemptions(u32::MAX);
    let (all, many) = outcomes(if full { without } else { Config::new().iterations(5000) });
    assert!(reduced.is_complete && reduced.schedules < all.schedules, "{reduced:?}, {all:?}");
    assert!(!full || all.schedules < 100_000, "{all:?}");
    assert_eq!(few, many);
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the same schedules as without ThreadSanitizer, in an hour")]
fn what_the_exhaustive_search_leaves_out_has_no_other_outcome() {
    // What two goroutines read of each other's variables.
    assert_same_outcomes(true, || {
        let (a, b, seen) = (AtomicUsize::new(0), AtomicUsize::new(0), std::sync::atomic::AtomicU64::new(0));
        scope(|s| {
            s.go(|| {
                a.store(1, Ordering::SeqCst);
                seen.fetch_add(b.load(Ordering::SeqCst) as u64, Ordering::Relaxed);
            });
            s.go(|| {
                b.store(1, Ordering::SeqCst);
                seen.fetch_add(10 * a.load(Ordering::SeqCst) as u64, Ordering::Relaxed);
            });
        });
        seen.into_inner()
    });
    // The order of messages, and what is left in the channel.
    assert_same_outcomes(false, || {
        let (sender, receiver) = bounded(1);
        let other = sender.clone();
        scope(|s| {
            s.go(|| sender.send(1_u64));
            s.go(|| other.try_send(2));
            s.go(|| {
                let first = receiver.recv().unwrap();
                10 * first + receiver.try_recv().unwrap_or(0)
            })
            .join()
            .unwrap()
        })
    });
    // Who gets a lock, tried and waited for.
    assert_same_outcomes(false, || {
        let (lock, tried) = (Mutex::new(1), AtomicUsize::new(0));
        scope(|s| {
            s.go(|| *lock.lock().unwrap() *= 2);
            s.go(|| *lock.lock().unwrap() += 1);
            s.go(|| {
                if let Ok(mut value) = lock.try_lock() {
                    *value += 10;
                    tried.fetch_add(100, Ordering::Relaxed);
                }
            });
        });
        *lock.lock().unwrap() + tried.load(Ordering::Relaxed) as u64
    });
    // Notifications, and select.
    assert_same_outcomes(false, || {
        let ((a, b), done) = ((bounded::<u64>(0), bounded::<u64>(0)), AtomicUsize::new(0));
        scope(|s| {
            s.go(|| a.0.send(1).map(|()| done.fetch_add(1, Ordering::Relaxed)));
            s.go(|| b.0.send(2).map(|()| done.fetch_add(1, Ordering::Relaxed)));
            let once = || {
                lisle::select! {
                    recv(a.1) -> value => value.unwrap(),
                    recv(b.1) -> value => value.unwrap(),
                }
            };
            10 * once() + once()
        })
    });
}

/// What the goroutines of a program that was made at random share. None of their steps waits for ever.
struct Shared {
    numbers: [AtomicUsize; 2],
    lock: Mutex<usize>,
    table: lisle::sync::RwLock<usize>,
    permits: lisle::sync::Semaphore,
    channel: (lisle::channel::Sender<usize>, lisle::channel::Receiver<usize>),
}

/// Does a step, and returns what it saw.
fn do_step(step: u64, shared: &Shared) -> usize {
    let number = &shared.numbers[(step / 16 % 2) as usize];
    match step % 13 {
        0 | 1 => number.load(Ordering::SeqCst),
        2 => number.swap(step as usize % 7, Ordering::SeqCst),
        3 => number.fetch_add(1, Ordering::SeqCst),
        4 => {
            let mut value = shared.lock.lock().unwrap();
            *value = *value * 3 % 1000 + 1;
            *value
        }
        5 => shared.lock.try_lock().map_or(77, |value| *value),
        6 => *shared.table.read().unwrap(),
        7 => {
            let mut value = shared.table.write().unwrap();
            *value = *value * 2 + 1;
            *value
        }
        8 => shared.channel.0.try_send(step as usize).is_ok().into(),
        9 => shared.channel.1.try_recv().unwrap_or(88),
        10 => shared.permits.try_acquire(1).is_some().into(),
        11 => shared.channel.1.len(),
        _ => {
            yield_now();
            number.load(Ordering::SeqCst)
        }
    }
}

/// All that the goroutines of such a program can see, and how many schedules that took.
fn all_outcomes(config: Config, programs: &[Vec<u64>]) -> (std::collections::BTreeSet<Vec<usize>>, u64) {
    let outcomes = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let report = config.strategy(Strategy::Exhaustive).iterations(100_000).explore(|| {
        let shared = Shared {
            numbers: Default::default(),
            lock: Mutex::new(0),
            table: lisle::sync::RwLock::new(0),
            permits: lisle::sync::Semaphore::new(1),
            channel: bounded(1),
        };
        let shared = &shared;
        let outcome = scope(|s| {
            let run = |steps: &Vec<u64>| steps.iter().map(|&step| do_step(step, shared)).collect::<Vec<_>>();
            let goroutines: Vec<_> = programs.iter().map(|steps| s.go(move || run(steps))).collect();
            goroutines.into_iter().flat_map(|goroutine| goroutine.join().unwrap()).collect()
        });
        outcomes.lock().unwrap().insert(outcome);
    });
    let report = report.expect("nothing fails");
    assert!(report.schedules < 100_000, "too large: {programs:?}");
    (outcomes.into_inner().unwrap(), report.schedules)
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "the same schedules as without ThreadSanitizer, in an hour")]
fn programs_made_at_random_have_all_their_outcomes_in_the_reduced_search() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let (mut most, mut reduced, mut full) = (0, 0, 0);
    for program in 0..if cfg!(debug_assertions) { 15 } else { 60 } {
        let is_wide = program % 3 == 0;
        let (goroutines, steps) = if is_wide { (3, 1) } else { (2, 2) };
        let programs: Vec<Vec<u64>> = (0..goroutines).map(|_| (0..steps).map(|_| random()).collect()).collect();
        let (few, schedules) = all_outcomes(Config::new(), &programs);
        // With a bound on preemptions there are no sleep sets: one schedule for each interleaving within the bound. Of three
        // goroutines there would be too many without one.
        let (many, all) = all_outcomes(Config::new().preemptions(if is_wide { 2 } else { u32::MAX }), &programs);
        assert!(if is_wide { many.is_subset(&few) } else { many == few }, "{programs:?}: {many:?}, but {few:?}");
        most = most.max(many.len());
        if !is_wide {
            (reduced, full) = (reduced + schedules, full + all);
        }
    }
    assert!(most > 2, "the programs are too small to tell anything");
    assert!(reduced * 3 < full, "{reduced} of {full} schedules");
}

#[test]
fn who_yields_may_go_on_at_once() {
    // Nobody goes first between the two stores, and both are seen at once; by chance, too.
    for strategy in [Strategy::Exhaustive, Strategy::Random] {
        let seen = [const { std::sync::atomic::AtomicBool::new(false) }; 4];
        let report = Config::new().strategy(strategy).explore(|| {
            let (a, b) = (AtomicBool::new(false), AtomicBool::new(false));
            scope(|s| {
                s.go(|| {
                    a.store(true, Ordering::SeqCst);
                    yield_now();
                    b.store(true, Ordering::SeqCst);
                });
                s.go(|| {
                    let b = b.load(Ordering::SeqCst);
                    let a = a.load(Ordering::SeqCst);
                    seen[usize::from(a) + 2 * usize::from(b)].store(true, Ordering::SeqCst);
                });
            });
        });
        let seen = seen.map(|seen| seen.into_inner());
        assert_eq!(seen, [true, true, false, true], "{strategy:?}");
        assert_eq!(report.expect("nothing fails").is_complete, strategy == Strategy::Exhaustive);
    }
}

#[test]
fn several_yields_in_a_row_are_passed_if_the_search_is_told_so() {
    let outcomes = |yields| {
        let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
        let report = Config::new().strategy(Strategy::Exhaustive).yields(yields).explore(|| {
            let count = AtomicUsize::new(0);
            scope(|s| {
                s.go(|| {
                    for _ in 0..3 {
                        count.fetch_add(1, Ordering::SeqCst);
                        yield_now();
                    }
                });
                s.go(|| {
                    let both = (count.load(Ordering::SeqCst), count.load(Ordering::SeqCst));
                    seen.lock().unwrap().insert(both);
                });
            });
        });
        assert!(report.expect("nothing fails").is_complete);
        Vec::from_iter(seen.into_inner().unwrap())
    };
    // No third increment before the first look, but one more yield, and with it the third, after that.
    assert_eq!(outcomes(1), [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3)]);
    assert_eq!(outcomes(2), [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]);
}

#[test]
fn the_exhaustive_search_of_loops_that_yield_comes_to_its_end() {
    // Two that spin for the third, which would never get its turn if they took turns for ever.
    let report = Config::new().strategy(Strategy::Exhaustive).iterations(100_000).explore(|| {
        let flag = AtomicBool::new(false);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    while !flag.load(Ordering::Acquire) {
                        yield_now();
                    }
                });
            }
            s.go(|| flag.store(true, Ordering::Release));
        });
    });
    let report = report.expect("nothing fails");
    assert!(report.is_complete, "{report:?}");
    assert!(report.steps < 100, "{report:?}");
    // A lock of which who waits for it yields.
    let counts = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let report = Config::new().strategy(Strategy::Exhaustive).iterations(100_000).explore(|| {
        let (taken, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    while taken.swap(true, Ordering::Acquire) {
                        rounds.fetch_add(1, Ordering::Relaxed);
                        yield_now();
                    }
                    taken.store(false, Ordering::Release);
                });
            }
        });
        counts.lock().unwrap().insert(rounds.into_inner());
    });
    assert!(report.as_ref().is_ok_and(|report| report.is_complete), "{report:?}");
    assert!(counts.into_inner().unwrap().is_superset(&[0, 1].into()));
}

#[test]
fn a_timer_that_is_due_at_any_moment_may_come_before_and_after_any_step() {
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let report = Config::new().strategy(Strategy::Exhaustive).eager_time(true).explore(|| {
        let called = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&called);
        let call = lisle::time::after_func(std::time::Duration::from_secs(1), move || {
            theirs.fetch_add(1, Ordering::SeqCst);
        });
        let other = go({
            let called = Arc::clone(&called);
            move || called.load(Ordering::SeqCst)
        });
        let (read, stopped) = (called.load(Ordering::SeqCst), call.stop());
        seen.lock().unwrap().insert((read, other.join().unwrap(), stopped));
    });
    assert!(report.as_ref().is_ok_and(|report| report.is_complete), "{report:?}");
    let all = [(0, 0, false), (0, 0, true), (0, 1, false), (1, 0, false), (1, 1, false)];
    assert_eq!(seen.into_inner().unwrap(), all.into());
}
