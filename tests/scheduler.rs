//! What users notice of the scheduler: fairness, time, stuck workers, start and stop.

mod common;

use lisle::{Builder, Config, StuckKind, go};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

#[test]
fn a_sleeper_wakes_after_its_time_and_not_before() {
    lisle::run(|| {
        for micros in [0, 1, 100, 5_000] {
            let (start, wanted) = (Instant::now(), Duration::from_micros(micros));
            lisle::time::sleep(wanted);
            assert!(start.elapsed() >= wanted);
        }
        lisle::time::sleep_until(Instant::now() - Duration::from_millis(1));
    });
}

/// The numbers of twenty sleepers in the order in which they woke; `None` if one of them came too late to sleep.
fn order_of_sleepers(runtime: &lisle::Runtime, head_start: Duration) -> Option<Vec<u64>> {
    let (send, receive) = mpsc::channel();
    let all_slept = runtime.run(move || {
        let start = Instant::now() + head_start;
        let handles: Vec<_> = (0..20)
            .rev()
            .map(|i| {
                let send = send.clone();
                // Local: a worker that is held up for long has a replacement, on which others would start.
                lisle::go_local(move || {
                    // With room to be held up between here and the sleep.
                    let is_in_time = Instant::now() + head_start / 2 < start;
                    lisle::time::sleep_until(start + Duration::from_millis(i));
                    send.send(i).unwrap();
                    is_in_time
                })
            })
            .collect();
        let were_in_time: Vec<bool> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
        !were_in_time.contains(&false)
    });
    all_slept.then(|| receive.iter().collect())
}

#[test]
fn sleepers_wake_in_order_of_their_deadlines() {
    let runtime = common::one_worker();
    // On a busy machine, under the race detector above all, it may take long to start them.
    let order = (0..9).find_map(|n| order_of_sleepers(&runtime, Duration::from_millis(50 << n)));
    let order = order.expect("twenty goroutines start within 6 s");
    assert!(order.len() == 20 && order.is_sorted(), "{order:?}");
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer can watch some 11,500 goroutines at once")]
fn a_hundred_thousand_sleep_at_once() {
    let group = lisle::sync::WaitGroup::new();
    let start = Instant::now();
    for i in 0..100_000 {
        group.go(move || lisle::time::sleep(Duration::from_millis(1 + i % 50)));
    }
    group.wait();
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_yielding_loop_lets_a_fresh_goroutine_start() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        go(move || set.store(true, Ordering::Relaxed));
        while !flag.load(Ordering::Relaxed) {
            lisle::yield_now();
        }
    });
}

#[test]
fn the_oldest_fresh_goroutine_is_not_starved_by_newer_ones() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&stop);
        go(move || set.store(true, Ordering::Relaxed));
        fn chain(stop: Arc<AtomicBool>) {
            if !stop.load(Ordering::Relaxed) {
                // Two for one: the newest always goes first, and there is always a newer one.
                go({
                    let stop = Arc::clone(&stop);
                    move || chain(stop)
                });
            }
        }
        chain(Arc::clone(&stop));
        while !stop.load(Ordering::Relaxed) {
            lisle::yield_now();
        }
    });
}

/// How many goroutines of a program wait to be started at the same time, at most. Each is started by what it gets.
fn most_unstarted(program: impl FnOnce(&dyn Fn(usize)) + Send) -> usize {
    let (made, begun, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    common::one_worker().run(|| {
        program(&|count| {
            for _ in 0..count {
                let begun = Arc::clone(&begun);
                go(move || begun.fetch_add(1, Ordering::Relaxed));
            }
            let made = made.fetch_add(count, Ordering::Relaxed) + count;
            most.fetch_max(made - begun.load(Ordering::Relaxed), Ordering::Relaxed);
        });
    });
    most.into_inner()
}

#[test]
fn who_yields_goes_behind_what_it_has_started() {
    let most = most_unstarted(|start| {
        for _ in 0..100 {
            start(100);
            lisle::yield_now();
        }
    });
    assert_eq!(most, 100);
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer can watch some 11,500 goroutines at once")]
fn who_starts_many_and_yields_does_not_leave_ever_more_behind() {
    let most = most_unstarted(|start| {
        for _ in 0..1000 {
            start(1000);
            lisle::yield_now();
        }
    });
    assert!(most < 20_000, "{most}");
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer can watch some 11,500 goroutines at once")]
fn those_who_wake_each_other_all_the_time_do_not_keep_others_from_being_started() {
    for (per_message, limit) in [(1, 2_000), (20, 20_000)] {
        let most = most_unstarted(|start| {
            let (jobs, received) = lisle::channel::bounded(0);
            let sender = go(move || (0..20_000).for_each(|job: u32| jobs.send(job).unwrap()));
            received.iter().for_each(|_| start(per_message));
            sender.join().unwrap();
        });
        assert!(most < limit, "{most}");
    }
}

#[test]
fn another_worker_starts_what_a_computing_one_has_spawned() {
    let runtime = Config::new().workers(2).start().unwrap();
    runtime.run(|| {
        for _ in 0..50 {
            let flag = Arc::new(AtomicBool::new(false));
            let set = Arc::clone(&flag);
            go(move || set.store(true, Ordering::Release));
            while !flag.load(Ordering::Acquire) {
                std::hint::spin_loop(); // never yields
            }
        }
    });
}

#[test]
fn fresh_work_starts_although_every_worker_is_stuck() {
    let runtime = common::one_worker();
    let stop = Arc::new(AtomicBool::new(false));
    let stuck = {
        let stop = Arc::clone(&stop);
        runtime.go(move || {
            while !stop.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        })
    };
    let blocked = runtime.go(|| std::thread::sleep(Duration::from_millis(50)));
    runtime.go(move || stop.store(true, Ordering::Release)).join().unwrap();
    stuck.join().unwrap();
    blocked.join().unwrap();
}

/// A runtime, and what its watchdog tells of workers that are stuck for so long.
fn one_worker_that_tells_when_stuck(lasting: Duration) -> (lisle::Runtime, mpsc::Receiver<lisle::StuckReport>) {
    let (send, receive) = mpsc::channel();
    let tell = move |report: &lisle::StuckReport| send.send(report.clone()).unwrap();
    let runtime = Config::new().workers(1).stuck_after(lasting).on_stuck(tell).start().unwrap();
    (runtime, receive)
}

#[test]
fn the_watchdog_tells_computing_from_blocked_and_names_who_waits() {
    for (name, kind, hold) in [
        (
            "computes",
            StuckKind::Computing,
            (|| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(600) {
                    std::hint::spin_loop();
                }
            }) as fn(),
        ),
        ("blocks", StuckKind::Blocked, || std::thread::sleep(Duration::from_millis(600))),
    ] {
        let (runtime, receive) = one_worker_that_tells_when_stuck(Duration::from_millis(150));
        runtime.run(move || {
            let waiter = Builder::new().name("waiter").go(lisle::park).unwrap();
            lisle::yield_now();
            let (begin, has_begun) = mpsc::channel();
            let wake = waiter.goroutine();
            // From outside, while the holder holds.
            std::thread::spawn(move || {
                has_begun.recv().unwrap();
                wake.unpark();
            });
            let holder = Builder::new().name(name).go(move || {
                begin.send(()).unwrap();
                hold();
            });
            let holder = holder.unwrap();
            holder.join().unwrap();
            waiter.join().unwrap();
        });
        let report = receive.recv().unwrap();
        let text = report.to_string();
        assert_eq!(report.goroutine.as_ref().unwrap().name.as_deref(), Some(name), "{text}");
        assert!(report.waiting >= 1 && text.contains("\"waiter\""), "{text}");
        assert!(text.contains("scheduler.rs") && report.kind == kind, "{text}");
        assert!(runtime.metrics().stuck >= 1);
    }
}

#[test]
fn a_std_lock_held_by_a_parked_neighbour_is_told_on_stderr() {
    let test = "a_std_lock_held_by_a_parked_neighbour_is_told_on_stderr";
    if let Some(output) = common::in_child(test, &[("LISLE_WORKERS", "1")]) {
        let text = common::stderr(&output);
        assert!(text.contains("(\"second\")") && text.contains("use lisle::sync instead of std::sync"), "{text}");
        return;
    }
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let first = || {
        let _guard = LOCK.lock();
        lisle::time::sleep(Duration::from_millis(50));
    };
    Builder::new().name("first").go(first).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    Builder::new().name("second").go(|| drop(LOCK.lock())).unwrap();
    // A third, so that something started waits behind; the process ends with all of them.
    std::thread::sleep(Duration::from_millis(1500));
    std::process::exit(0);
}

#[test]
fn a_local_goroutine_behind_one_that_keeps_its_thread_is_told() {
    let (runtime, receive) = one_worker_that_tells_when_stuck(Duration::from_millis(50));
    let holder = runtime.go(|| {
        lisle::no_switch(|| {
            // It can start nowhere else, and not here either.
            let local = lisle::go_local(|| ());
            lisle::time::sleep(Duration::from_millis(500));
            drop(local);
        });
    });
    let report = receive.recv_timeout(Duration::from_secs(20)).expect("a report");
    assert!(matches!(report.kind, StuckKind::KeepsThread(_)) && report.waiting == 1, "{report}");
    holder.join().unwrap();
}

/// The calling thread, and those that it will start, share one processor.
fn share_one_processor() {
    let first = rustix::thread::sched_getaffinity(None).map(|all| (0..1024).find(|&i| all.is_set(i)).unwrap()).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(first);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

/// The calling thread runs when nobody else wants to.
fn give_way_to_all_others() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: a structure of the right kind, which the call reads.
    assert_eq!(unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) }, 0);
}

#[test]
fn a_goroutine_that_the_kernel_does_not_let_run_is_not_said_to_be_blocked() {
    let test = "a_goroutine_that_the_kernel_does_not_let_run_is_not_said_to_be_blocked";
    if let Some(output) = common::in_child(test, &[("LISLE_WORKERS", "1")]) {
        let text = common::stderr(&output);
        assert!(output.status.success() && !text.contains("has blocked its thread"), "{text}");
        return;
    }
    share_one_processor();
    let (begin, has_begun) = mpsc::channel();
    let waiter = Builder::new().name("waiter").go(lisle::park).unwrap();
    go(move || {
        give_way_to_all_others();
        begin.send(()).unwrap();
        loop {
            std::hint::spin_loop();
        }
    });
    has_begun.recv().unwrap();
    waiter.goroutine().unpark();
    // What the watchdog calls a long time is a second.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        std::hint::spin_loop();
    }
    std::process::exit(0);
}

#[test]
fn blocking_lets_neighbours_run_and_passes_panics_on() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let (send, receive) = mpsc::channel();
        let neighbour = go(move || send.send("from the neighbour").unwrap());
        let mut got = String::new();
        // Blocks its pool thread until the neighbour has run on our worker.
        let text = &mut got;
        lisle::blocking(move || text.push_str(receive.recv().unwrap()));
        assert_eq!(got, "from the neighbour");
        neighbour.join().unwrap();
        let panic = std::panic::catch_unwind(|| lisle::blocking(|| panic!("in the pool"))).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "in the pool");
    });
    assert_eq!(lisle::blocking(|| 1), 1, "on a thread it is a plain call");
}

#[test]
fn more_blocking_calls_than_threads_all_get_done() {
    let done = AtomicUsize::new(0);
    lisle::scope(|s| {
        for _ in 0..1000 {
            s.go(|| {
                lisle::blocking(|| std::thread::sleep(Duration::from_micros(500)));
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 1000);
}

#[test]
fn shutdown_drains_what_can_end() {
    let runtime = Config::new().workers(2).start().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let done = Arc::clone(&done);
        runtime.go(move || {
            lisle::time::sleep(Duration::from_millis(2));
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(runtime.shutdown(Duration::from_secs(20)), 0);
    assert_eq!(done.load(Ordering::Relaxed), 100);
}

#[test]
fn shutdown_cancels_what_has_not_started_and_tells_its_joiner() {
    struct Mark(mpsc::Sender<()>);
    impl Drop for Mark {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let runtime = common::one_worker();
    let (started, wait) = mpsc::channel();
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    runtime.go(move || {
        started.send(()).unwrap();
        while !open.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    });
    wait.recv().unwrap();
    let (send, dropped) = mpsc::channel();
    let mark = Mark(send);
    let never = runtime.go(move || drop(mark));
    let leaked = runtime.shutdown(Duration::ZERO);
    gate.store(true, Ordering::Release);
    let outcome = never.join();
    dropped.recv().unwrap();
    if let Err(payload) = outcome {
        assert!(payload.is::<lisle::Cancelled>());
        assert_eq!(leaked, 1);
    }
}

#[test]
fn go_on_a_stopped_runtime_is_an_error() {
    let runtime = common::one_worker();
    let (send, receive) = mpsc::channel();
    runtime.go(move || {
        lisle::park_timeout(Duration::from_millis(100));
        send.send(Builder::new().go(|| ()).map(drop).unwrap_err().to_string()).unwrap();
    });
    while runtime.metrics().goroutines == 0 {
        std::thread::yield_now();
    }
    runtime.shutdown(Duration::ZERO);
    if let Ok(text) = receive.recv() {
        assert!(text.contains("shut down"), "{text}");
    }
}

#[test]
fn nonsense_configurations_are_named() {
    let error = Config::new().workers(0).start().unwrap_err();
    assert!(error.to_string().contains("Config::workers is 0"), "{error}");
    go(|| ()).join().unwrap();
    let error = Config::new().start_global().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn worker_threads_that_refuse_to_start_are_a_clear_error() {
    let error = Config::new().workers(2).worker_stack_size(1 << 46).start().unwrap_err();
    assert!(error.to_string().contains("worker thread 1 of 2 did not start"), "{error}");
}

#[test]
fn ten_private_runtimes_start_and_stop() {
    for _ in 0..10 {
        let runtime = Config::new().workers(2).start().unwrap();
        let sum: u32 = runtime.run(|| (0..10).map(|i| go(move || i)).map(|handle| handle.join().unwrap()).sum());
        assert_eq!(sum, 45);
        assert_eq!(runtime.shutdown(Duration::from_secs(20)), 0);
    }
}

#[test]
fn a_local_goroutine_is_not_starved_by_neighbours_that_wake_each_other() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let stop = std::rc::Rc::new(std::cell::Cell::new(false));
        let player = |partner: std::rc::Rc<std::cell::OnceCell<lisle::Goroutine>>| {
            let stop = std::rc::Rc::clone(&stop);
            lisle::go_local(move || {
                while !stop.get() {
                    if let Some(partner) = partner.get() {
                        partner.unpark();
                    }
                    lisle::park_timeout(Duration::from_secs(1));
                }
                partner.get().unwrap().unpark();
            })
        };
        let cells = [(); 2].map(|()| std::rc::Rc::new(std::cell::OnceCell::new()));
        let players = [player(cells[0].clone()), player(cells[1].clone())];
        cells[0].set(players[1].goroutine()).unwrap();
        cells[1].set(players[0].goroutine()).unwrap();
        lisle::time::sleep(Duration::from_millis(1));
        let ender = std::rc::Rc::clone(&stop);
        lisle::go_local(move || ender.set(true)).join().unwrap();
        players.into_iter().for_each(|player| player.join().unwrap());
    });
}

#[test]
fn a_sleeping_own_thread_goroutine_does_not_keep_replacements_away() {
    let runtime = common::one_worker();
    let (stop, stopped) = mpsc::channel::<()>();
    runtime.run(move || {
        let alone = Builder::new().own_thread(true).go(lisle::park).unwrap();
        let (send, receive) = mpsc::channel();
        go(move || send.send(()).unwrap());
        receive.recv().unwrap(); // blocks the only worker until the child has run
        alone.goroutine().unpark();
        alone.join().unwrap();
        drop(stop);
    });
    assert!(stopped.recv().is_err());
}

#[test]
fn shutdown_waits_for_the_destructor_of_an_unwanted_result_but_not_for_ever() {
    struct Slow(Duration);
    impl Drop for Slow {
        fn drop(&mut self) {
            lisle::time::sleep(self.0);
        }
    }
    let runtime = common::one_worker();
    drop(runtime.go(|| Slow(Duration::from_millis(20))));
    assert_eq!(runtime.shutdown(Duration::from_secs(20)), 0);
    let runtime = common::one_worker();
    drop(runtime.go(|| Slow(Duration::from_secs(3600))));
    let start = Instant::now();
    runtime.shutdown(Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_runtime_whose_last_owner_is_its_own_goroutine_just_stops() {
    let runtime = Arc::new(common::one_worker());
    let (send, receive) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let inner = Arc::clone(&runtime);
    runtime.go(move || {
        lisle::blocking(move || wait.recv().is_err());
        drop(inner);
        send.send(()).unwrap();
    });
    drop(runtime);
    drop(go_on);
    receive.recv().unwrap();
}

#[test]
fn idle_stacks_give_their_pages_back() {
    let runtime = Config::new().workers(2).start().unwrap();
    runtime.run(|| {
        let parked: Vec<_> = (0..2000).map(|_| go(lisle::park)).collect();
        // All at once on stacks of their own.
        while parked.iter().any(|handle| handle.goroutine().wait_reason() != lisle::WaitReason::Park) {
            lisle::time::sleep(Duration::from_millis(1));
        }
        parked.iter().for_each(|handle| handle.goroutine().unpark());
        parked.into_iter().for_each(|handle| handle.join().unwrap());
    });
    let start = Instant::now();
    while runtime.metrics().cold_stacks == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", runtime.metrics());
        std::thread::sleep(Duration::from_millis(20));
    }
}
