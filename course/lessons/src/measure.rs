//! What a goroutine and an OS thread cost, measured here and now.

use indicatif::{ProgressBar, ProgressStyle};
use lisle::sync::{OnceLock, WaitGroup};
use std::io::IsTerminal;
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// What one of the two sides of the comparison costs.
pub(crate) struct Cost {
    pub(crate) count: usize,
    pub(crate) bytes: f64,
    pub(crate) create: f64,
    pub(crate) switch: f64,
}

pub(crate) fn goroutines(count: usize) -> Cost {
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

/// # Errors
/// The system refuses a thread; says how many it gave.
pub(crate) fn threads(count: usize) -> Result<Cost, String> {
    let bar = progress(count as u64, "threads waiting");
    let release = Arc::new(Barrier::new(count + 1));
    let (send, started) = std::sync::mpsc::channel();
    let before = memory();
    let start = Instant::now();
    let mut threads = Vec::new();
    for _ in 0..count {
        let (gate, send) = (Arc::clone(&release), send.clone());
        let body = move || {
            send.send(()).expect("the caller listens");
            gate.wait();
        };
        match std::thread::Builder::new().spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                bar.abandon();
                let given = threads.len();
                return Err(format!("thread {} did not start: {error}. Try --threads {given}", given + 1));
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
    Ok(Cost { count, bytes, create, switch: switch_between_threads() })
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
pub(crate) fn progress(length: u64, what: &'static str) -> ProgressBar {
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
