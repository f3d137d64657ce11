//! The lisle side of the comparison: each job prints lines of `name value`, in nanoseconds an operation, in
//! bytes, or in nanoseconds altogether. `go/main.go` holds the same jobs in Go.

use crate::channels;
use lisle::sync::{Mutex, OnceLock, WaitGroup};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A name, the number of operations that a full round does, and the job.
pub type Job = (&'static str, usize, fn(usize));

/// All jobs.
pub const JOBS: &[Job] = &[
    ("spawn_done", 2_000_000, spawn_done),
    ("spawn_join", 2_000_000, spawn_join),
    ("yield", 5_000_000, yield_two),
    ("park_unpark", 5_000_000, park_unpark),
    ("mutex_1", 20_000_000, |n| mutex(n, 1)),
    ("mutex_8", 20_000_000, |n| mutex(n, 8)),
    ("sleepers_100k", 100_000, sleepers),
    ("park_1m", 1_000_000, park),
    ("ping_pong", 2_000_000, channels::ping_pong),
    ("chan128_1_1", 20_000_000, channels::chan128_1_1),
    ("chan128_4_4", 8_000_000, |n| channels::four_to_four("chan128_4_4", 128, n)),
    ("chan0_4_4", 2_000_000, |n| channels::four_to_four("chan0_4_4", 0, n)),
    ("select3", 2_000_000, channels::select3),
    ("skynet", 1_000_000, channels::skynet),
    ("threads128", 20_000_000, channels::threads128),
];

pub fn report(name: &str, start: Instant, operations: usize) {
    println!("{name} {:.3}", start.elapsed().as_nanos() as f64 / operations as f64);
}

fn spawn_done(n: usize) {
    // The last round counts: the first ones warm up, as in Go.
    for _ in 0..3 {
        let group = WaitGroup::new();
        let start = Instant::now();
        for _ in 0..n {
            group.add(1);
            let group = group.clone();
            lisle::go(move || group.done());
        }
        group.wait();
        report("spawn_done", start, n);
    }
}

fn spawn_join(n: usize) {
    let start = Instant::now();
    for i in 0..n {
        black_box(lisle::go(move || i).join().unwrap());
    }
    report("spawn_join", start, n);
}

fn yield_two(n: usize) {
    let start = Instant::now();
    let both = [(); 2].map(|()| {
        lisle::go_local(move || {
            for _ in 0..n {
                lisle::yield_now();
            }
        })
    });
    for one in both {
        one.join().unwrap();
    }
    report("yield", start, 2 * n);
}

/// Two goroutines of one worker wake each other in turn. One side: one park and one unpark.
fn park_unpark(n: usize) {
    let start = Instant::now();
    let partner = std::rc::Rc::new(std::cell::OnceCell::<lisle::Goroutine>::new());
    let one = lisle::go_local({
        let partner = partner.clone();
        move || {
            for _ in 0..n {
                lisle::park();
                partner.get().unwrap().unpark();
            }
        }
    });
    let first = one.goroutine();
    let other = lisle::go_local(move || {
        for _ in 0..n {
            first.unpark();
            lisle::park();
        }
    });
    partner.set(other.goroutine()).unwrap();
    one.join().unwrap();
    other.join().unwrap();
    report("park_unpark", start, 2 * n);
}

fn mutex(n: usize, goroutines: usize) {
    let counter = Mutex::new(0_u64);
    let start = Instant::now();
    lisle::scope(|s| {
        for _ in 0..goroutines {
            s.go(|| {
                for _ in 0..n / goroutines {
                    *counter.lock().unwrap() += 1;
                }
            });
        }
    });
    report(&format!("mutex_{goroutines}"), start, n);
    assert_eq!(counter.into_inner().unwrap(), (n / goroutines * goroutines) as u64);
}

fn sleepers(n: usize) {
    let start = Instant::now();
    let group = WaitGroup::new();
    for i in 0..n {
        group.go(move || lisle::time::sleep(Duration::from_millis(1 + i as u64 % 100)));
    }
    group.wait();
    report("sleepers_100k", start, 1);
}

/// VmRSS + VmPTE of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<usize>().ok();
    let wanted = |line: &&str| line.starts_with("VmRSS:") || line.starts_with("VmPTE:");
    status.lines().filter(wanted).filter_map(kib).sum::<usize>() * 1024
}

fn park(n: usize) {
    let before = memory();
    let (release, started, ended) = (OnceLock::new(), WaitGroup::new(), WaitGroup::new());
    lisle::scope(|s| {
        let start = Instant::now();
        started.add(n as i32);
        ended.add(n as i32);
        for _ in 0..n {
            s.go(|| {
                started.done();
                release.wait();
                ended.done();
            });
        }
        started.wait();
        report("park_1m_start", start, n);
        eprintln!("{:?}", lisle::metrics());
        println!("park_1m_bytes {:.3}", (memory() - before) as f64 / n as f64);
        let start = Instant::now();
        release.set(()).unwrap();
        ended.wait();
        report("park_1m_wake", start, n);
    });
}
