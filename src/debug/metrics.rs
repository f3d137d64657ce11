//! The numbers of all runtimes of the process, for machines: Prometheus's text format and JSON.
//!
//! Names follow Prometheus's conventions: base units (seconds), `_total` for what only grows. What several runtimes have
//! is told for each, by the label `runtime` (0 is the oldest); what the process has, once.

use super::waits;
use crate::metrics::Metrics;
use crate::sched;
use serde_json::{Map, Value, json};
use std::fmt::{Display, Write};

/// The numbers as Prometheus reads them (text format 0.0.4), of all runtimes of the process: what the server has at
/// `/debug/metrics`. Asking turns the measurement of wake latencies on, for a minute, in which a slice of a goroutine costs
/// some 5 ns more.
///
/// ```
/// lisle::go(|| ()).join().unwrap();
/// let text = lisle::debug::prometheus();
/// assert!(text.contains("lisle_goroutines_created_total{runtime=\"0\"}"));
/// ```
#[must_use]
pub fn prometheus() -> String {
    waits::want_latencies();
    let runtimes: Vec<Metrics> = sched::all().iter().map(|scheduler| Metrics::of(scheduler)).collect();
    let mut text = Text(String::new());
    goroutines(&mut text, &runtimes);
    counters(&mut text, &runtimes);
    workers(&mut text, &runtimes);
    of_process(&mut text, &runtimes);
    latencies(&mut text);
    text.0
}

/// The text as it grows.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP lisle_{name} {help}\n# TYPE lisle_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.0, "lisle_{name}");
        for (place, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn goroutines(text: &mut Text, runtimes: &[Metrics]) {
    text.family("goroutines", "gauge", "Goroutines that exist, by what they do.");
    for (runtime, metrics) in runtimes.iter().enumerate() {
        let busy = metrics.running + metrics.ready;
        let states = [
            ("running", metrics.running),
            ("ready", metrics.ready),
            ("waiting", metrics.started.saturating_sub(busy)),
            ("not_started", metrics.not_started),
        ];
        for (state, count) in states {
            text.sample("goroutines", &[("runtime", &runtime), ("state", &state)], count);
        }
    }
}

/// A name, what it says, and its value.
type Column<T> = (&'static str, &'static str, fn(&T) -> u64);

fn counters(text: &mut Text, runtimes: &[Metrics]) {
    let columns: [Column<Metrics>; 8] = [
        ("goroutines_created_total", "Goroutines that were ever created.", |m| m.created),
        ("slices_total", "Times that a goroutine was resumed.", |m| m.slices),
        ("yields_total", "Slices that ended in a yield.", |m| m.yields),
        ("parks_total", "Slices that ended in a wait.", |m| m.parks),
        ("steals_total", "Times that a worker took fresh goroutines from another.", |m| m.steals),
        ("worker_sleeps_total", "Times that a worker slept for want of work.", |m| m.sleeps),
        ("stuck_slices_total", "Slices that held up other goroutines for too long.", |m| m.stuck),
        ("thread_local_hits_total", "Waits that kept their thread because of a thread-local.", |m| m.thread_local_hits),
    ];
    for (name, help, value) in columns {
        text.family(name, "counter", help);
        for (runtime, metrics) in runtimes.iter().enumerate() {
            text.sample(name, &[("runtime", &runtime)], value(metrics));
        }
    }
}

fn workers(text: &mut Text, runtimes: &[Metrics]) {
    text.family("workers", "gauge", "Workers, by what they do.");
    for (runtime, metrics) in runtimes.iter().enumerate() {
        let idle = metrics.sleeping_workers + metrics.searching_workers;
        let states = [
            ("busy", metrics.workers.saturating_sub(idle)),
            ("searching", metrics.searching_workers),
            ("sleeping", metrics.sleeping_workers),
            ("own_thread", metrics.own_threads),
        ];
        for (state, count) in states {
            text.sample("workers", &[("runtime", &runtime), ("state", &state)], count);
        }
    }
    each_worker(text, runtimes, "worker_goroutines", "gauge", "Goroutines that live on the worker.", |w| {
        w.started as f64
    });
    each_worker(text, runtimes, "worker_ready", "gauge", "Goroutines that wait for their turn there.", |w| {
        w.ready as f64
    });
    let help = "Processor time that the worker has used.";
    each_worker(text, runtimes, "worker_cpu_seconds_total", "counter", help, |w| w.cpu_time.as_secs_f64());
}

fn each_worker(
    text: &mut Text,
    runtimes: &[Metrics],
    name: &str,
    kind: &str,
    help: &str,
    value: fn(&crate::WorkerMetrics) -> f64,
) {
    text.family(name, kind, help);
    for (runtime, metrics) in runtimes.iter().enumerate() {
        for worker in &metrics.per_worker {
            text.sample(name, &[("runtime", &runtime), ("worker", &worker.index)], value(worker));
        }
    }
}

fn of_process(text: &mut Text, runtimes: &[Metrics]) {
    text.family("stacks", "gauge", "Stacks: in use by goroutines, or spare, with memory (warm) or without.");
    let (warm, cold) = crate::stack::cache::pooled();
    let in_use = runtimes.iter().map(|metrics| metrics.started).sum();
    for (state, count) in [("in_use", in_use), ("warm", warm), ("cold", cold)] {
        text.sample("stacks", &[("state", &state)], count);
    }
    text.family("blocking_threads", "gauge", "Threads for blocking calls.");
    let (threads, idle, queued) = crate::blocking::counts();
    for (state, count) in [("busy", threads.saturating_sub(idle)), ("idle", idle)] {
        text.sample("blocking_threads", &[("state", &state)], count);
    }
    text.family("blocking_queue", "gauge", "Blocking calls that wait for a thread.");
    text.sample("blocking_queue", &[], queued);
}

fn latencies(text: &mut Text) {
    let name = "wake_latency_seconds";
    let help = "From when a goroutine can run to when it does; a sample, taken while somebody asks for these numbers.";
    text.family(name, "histogram", help);
    let (counts, sum) = waits::latencies();
    let mut so_far = 0;
    for (bucket, count) in counts.iter().enumerate() {
        so_far += count;
        let bound = waits::BOUNDS.get(bucket).map_or("+Inf".into(), |&nanos| format!("{}", nanos as f64 / 1e9));
        text.sample(&format!("{name}_bucket"), &[("le", &bound)], so_far);
    }
    text.sample(&format!("{name}_sum"), &[], sum as f64 / 1e9);
    text.sample(&format!("{name}_count"), &[], so_far);
}

/// The numbers as JSON, in the spirit of Go's `expvar`.
pub(crate) fn json() -> Value {
    let runtimes: Vec<Value> = sched::all().iter().map(|scheduler| runtime(&Metrics::of(scheduler))).collect();
    let arguments: Vec<_> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    json!({ "cmdline": arguments, "pid": std::process::id(), "runtimes": runtimes })
}

fn runtime(metrics: &Metrics) -> Value {
    let workers: Vec<Value> = metrics
        .per_worker
        .iter()
        .map(|worker| {
            json!({
                "index": worker.index,
                "running": worker.is_running,
                "goroutines": worker.started,
                "ready": worker.ready,
                "not_started": worker.not_started,
                "slices": worker.slices,
                "steals": worker.steals,
                "sleeps": worker.sleeps,
                "cpu_seconds": worker.cpu_time.as_secs_f64(),
            })
        })
        .collect();
    let mut all = Map::new();
    let mut put = |name: &str, value: u64| all.insert(name.into(), value.into());
    for (name, value) in [
        ("goroutines", metrics.goroutines),
        ("goroutines_created", metrics.created),
        ("slices", metrics.slices),
        ("yields", metrics.yields),
        ("parks", metrics.parks),
        ("steals", metrics.steals),
        ("worker_sleeps", metrics.sleeps),
        ("stuck_slices", metrics.stuck),
        ("thread_local_hits", metrics.thread_local_hits),
    ] {
        put(name, value);
    }
    for (name, value) in [
        ("running", metrics.running),
        ("ready", metrics.ready),
        ("not_started", metrics.not_started),
        ("started", metrics.started),
        ("workers_sleeping", metrics.sleeping_workers),
        ("workers_searching", metrics.searching_workers),
        ("own_threads", metrics.own_threads),
        ("waiting_for_stack", metrics.waiting_for_stack),
        ("warm_stacks", metrics.warm_stacks),
        ("cold_stacks", metrics.cold_stacks),
        ("blocking_threads", metrics.blocking_threads),
        ("blocking_idle", metrics.blocking_idle),
        ("blocking_queued", metrics.blocking_queued),
    ] {
        put(name, value as u64);
    }
    all.insert("workers".into(), workers.into());
    all.into()
}
