//! What a goroutine is, shown live: starting one, anonymous ones, life cycle and scheduling, and goroutines
//! against OS threads, measured on this machine while you watch.
//!
//! `cargo run --release --example goroutine_basics`
//! `cargo run --release --example goroutine_basics -- --goroutines 1000000`

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lisle::sync::{OnceLock, WaitGroup};
use lisle::{go, time::sleep};
use std::io::IsTerminal;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Arguments {
    /// How many goroutines to park at once in the comparison with threads.
    #[arg(long, default_value_t = 100_000)]
    goroutines: usize,
    /// How many OS threads to set against them.
    #[arg(long, default_value_t = 1_000)]
    threads: usize,
}

fn main() {
    let arguments = Arguments::parse();
    lisle::run(|| {
        starting();
        anonymous();
        life_cycle();
        scheduling();
        against_threads(arguments.goroutines.max(1), arguments.threads.max(1));
    });
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

fn greet(name: &str) -> String {
    format!("hello from {name}, which is goroutine {}", lisle::current().id())
}

fn starting() {
    title("Starting a goroutine");
    println!("{}", greet("main"));
    // `go` takes an ordinary closure of ordinary blocking code, and returns at once.
    let handle = go(|| greet("another"));
    // Without this, main would not wait for it.
    println!("{}", handle.join().expect("it does not panic"));
}

fn anonymous() {
    title("Anonymous goroutines");
    let handles: Vec<_> = (1..=3)
        .map(|i| {
            // `go!{ … }` moves what it uses into the closure: each has an `i` of its own.
            lisle::go! {
                sleep(Duration::from_millis(10 * i));
                i * i
            }
        })
        .collect();
    let squares: Vec<u64> = handles.into_iter().map(|handle| handle.join().expect("no panic")).collect();
    println!("squares computed by three closures: {squares:?}");
}

fn life_cycle() {
    title("Life cycle");
    let handle = lisle::Builder::new().name("worker").go(lisle::park).expect("a goroutine");
    let worker = handle.goroutine();
    println!("created:  {worker:?}");
    while worker.wait_reason() != lisle::WaitReason::Park {
        sleep(Duration::from_millis(1));
    }
    println!("waiting:  it is in `{}`, and costs no thread", worker.wait_reason());
    worker.unpark();
    handle.join().expect("no panic");
    println!("ended:    {} goroutine left, which is main", lisle::num_goroutines());
    let failed = go(|| lisle::exit()).join().expect_err("it exits");
    println!("and one that ended itself: {}", failed.downcast_ref::<lisle::Exited>().expect("Exited"));
}

fn scheduling() {
    title("Scheduling");
    println!(
        "{} workers run all goroutines; each goroutine stays on the worker that started it.",
        lisle::metrics().workers
    );
    let steps = Arc::new(lisle::sync::Mutex::new(Vec::new()));
    let group = WaitGroup::new();
    for name in ["A", "B"] {
        let (guard, steps) = (group.guard(), Arc::clone(&steps));
        lisle::go_local(move || {
            let _guard = guard;
            for step in 1..=3 {
                steps.lock().expect("no panic").push(format!("{name}{step}"));
                lisle::yield_now();
            }
        });
    }
    group.wait();
    println!("two that yield after each step: {}", steps.lock().expect("no panic").join(" "));
}

/// What one of the two sides of the comparison costs.
struct Cost {
    count: usize,
    bytes: f64,
    create: f64,
    switch: f64,
}

fn against_threads(goroutines: usize, threads: usize) {
    title("Goroutines against OS threads, measured now");
    let ours = measure_goroutines(goroutines);
    let theirs = lisle::blocking(|| measure_threads(threads));
    println!("{:<28}{:>16}{:>16}{:>10}", "", "goroutine", "OS thread", "ratio");
    let row = |what: &str, a: f64, b: f64, unit: &str| {
        println!("{what:<28}{:>16}{:>16}{:>9.0}x", format!("{a:.0} {unit}"), format!("{b:.0} {unit}"), b / a);
    };
    println!("{:<28}{:>16}{:>16}", "at once", ours.count, theirs.count);
    row("memory of a waiting one", ours.bytes, theirs.bytes, "B");
    row("to create it, let it wait", ours.create, theirs.create, "ns");
    row("to switch to another", ours.switch, theirs.switch, "ns");
    println!(
        "(memory: VmRSS + VmPTE from /proc/self/status; that of the kernel's own thread structures, some\n \
         16 KiB each, is not in it. Switch: yield between two on one worker; for threads, two on one core\n \
         that hand a turn to each other.)"
    );
}

fn measure_goroutines(count: usize) -> Cost {
    let bar = progress(count as u64, "goroutines waiting");
    let release = OnceLock::new();
    let started = WaitGroup::new();
    let before = memory();
    let start = Instant::now();
    let (create, bytes) = lisle::scope(|s| {
        // In portions, so that the bar moves; each portion is waited for.
        for portion in (0..count).step_by(10_000) {
            let size = (count - portion).min(10_000);
            started.add(i32::try_from(size).expect("a portion is small"));
            for _ in 0..size {
                s.go(|| {
                    started.done();
                    release.wait();
                });
            }
            started.wait();
            bar.inc(size as u64);
        }
        let create = start.elapsed().as_nanos() as f64 / count as f64;
        let bytes = memory().saturating_sub(before) as f64 / count as f64;
        release.set(()).expect("once");
        (create, bytes)
    });
    bar.finish_and_clear();
    Cost { count, bytes, create, switch: switch_between_goroutines() }
}

fn switch_between_goroutines() -> f64 {
    const TIMES: u32 = 500_000;
    let start = Instant::now();
    let yield_often = || {
        for _ in 0..TIMES {
            lisle::yield_now();
        }
    };
    let two = [lisle::go_local(yield_often), lisle::go_local(yield_often)];
    two.into_iter().for_each(|handle| handle.join().expect("no panic"));
    start.elapsed().as_nanos() as f64 / f64::from(2 * TIMES)
}

fn measure_threads(count: usize) -> Cost {
    let bar = progress(count as u64, "threads waiting");
    let release = Arc::new(Barrier::new(count + 1));
    let (send, started) = std::sync::mpsc::channel();
    let before = memory();
    let start = Instant::now();
    let mut threads = Vec::new();
    for _ in 0..count {
        let (gate, send) = (Arc::clone(&release), send.clone());
        let body = move || {
            send.send(()).expect("main listens");
            gate.wait();
        };
        match std::thread::Builder::new().spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                bar.abandon();
                println!("thread {} did not start: {error}. Try --threads {}", threads.len() + 1, threads.len());
                std::process::exit(1);
            }
        }
        bar.inc(1);
    }
    started.iter().take(count).for_each(drop);
    let create = start.elapsed().as_nanos() as f64 / count as f64;
    let bytes = memory().saturating_sub(before) as f64 / count as f64;
    release.wait();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    bar.finish_and_clear();
    Cost { count, bytes, create, switch: switch_between_threads() }
}

fn switch_between_threads() -> f64 {
    const TIMES: u32 = 50_000;
    let turn = std::sync::Mutex::new(0_u32);
    let changed = std::sync::Condvar::new();
    let start = Instant::now();
    std::thread::scope(|s| {
        for own in 0..2 {
            let (turn, changed) = (&turn, &changed);
            s.spawn(move || {
                stay_on_the_first_core();
                for _ in 0..TIMES {
                    let mut guard =
                        changed.wait_while(turn.lock().expect("no panic"), |turn| *turn % 2 != own).expect("no panic");
                    *guard += 1;
                    changed.notify_one();
                }
            });
        }
    });
    start.elapsed().as_nanos() as f64 / f64::from(2 * TIMES)
}

/// Both threads on one core, so that handing over a turn is a switch and not a wake-up elsewhere.
fn stay_on_the_first_core() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    if let Ok(allowed) = sched_getaffinity(None) {
        let mut one = CpuSet::new();
        if let Some(first) = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)) {
            one.set(first);
            // If it is refused, the figure is one of two cores.
            let _ = sched_setaffinity(None, &one);
        }
    }
}

/// A bar on a terminal, nothing when piped.
fn progress(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {msg} ({elapsed})").expect("a template");
    ProgressBar::new(length).with_style(style).with_message(what)
}

/// VmRSS + VmPTE of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<usize>().ok();
    let wanted = |line: &&str| line.starts_with("VmRSS:") || line.starts_with("VmPTE:");
    status.lines().filter(wanted).filter_map(kib).sum::<usize>() * 1024
}
