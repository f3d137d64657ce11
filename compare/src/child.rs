//! One round: one job of one system in a process of its own.
//!
//! Of its own, so that no job meets the heap, the threads or the stacks that another left behind, and so that a rival
//! that crashes or hangs is a line in the table and not the end of it.
//!
//! The protocol: `compare run SYSTEM JOB COUNT WARM_UP` prints the job's values on one line, and then, if the kernel
//! counts them, `instructions N`: those of the whole process in user mode. Exit code 3 with a line of text: the system
//! does not have the job. The binaries of lisle and Go speak the same protocol, without the second line; they are run
//! by `compare run lisle …`, which pins and counts.

use crate::jobs::Job;
use crate::pin;
use crate::program;
use crate::systems::{Kind, System};
use crate::work::Values;
use perf_event::events::Hardware;
use perf_event::{Builder, Counter};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How often and with how many.
pub struct Round {
    pub count: usize,
    pub warm_up: usize,
    pub workers: usize,
    pub patience: Duration,
}

pub enum Outcome {
    Measured {
        values: Values,
        instructions: Option<f64>,
    },
    /// Why there are no values.
    None(String),
}

/// Runs a job of `system` in a process of its own.
pub fn run(system: &System, job: &Job, round: &Round) -> Outcome {
    let workers = job.workers.unwrap_or(round.workers).to_string();
    // This binary, also if another has been put in its place meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.args(["run", system.name, job.name, &round.count.to_string(), &round.warm_up.to_string()]);
    for variable in
        ["COMPARE_WORKERS", "LISLE_WORKERS", "GOMAXPROCS", "TOKIO_WORKER_THREADS", "SMOL_THREADS", "RAYON_NUM_THREADS"]
    {
        command.env(variable, &workers);
    }
    let output = match finish(command, round.patience) {
        Ok(output) => output,
        Err(why) => return Outcome::None(why),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(program::NO_SUCH_JOB.into()) {
        return Outcome::None(text.trim().to_owned());
    }
    if !output.status.success() {
        return Outcome::None(format!("failed: {}", reason(&output)));
    }
    read_values(&text, job).unwrap_or_else(|| Outcome::None(format!("failed: it printed {text:?}")))
}

fn read_values(text: &str, job: &Job) -> Option<Outcome> {
    let mut lines = text.lines();
    let values: Values = lines.next()?.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let instructions = lines.next().and_then(|line| line.strip_prefix("instructions ")?.parse().ok());
    (values.len() == job.outputs.len()).then_some(Outcome::Measured { values, instructions })
}

/// Waits for the process, and ends it, with those that it started, when it takes too long.
fn finish(mut command: Command, patience: Duration) -> Result<Output, String> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("it does not start: {error}"))?;
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(patience) {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => {
            let _ = kill_process_group(pid, Signal::KILL);
            // What it said before, if it said anything.
            let said = receiver.recv().ok().and_then(Result::ok).map(|output| last_words(&output)).unwrap_or_default();
            let why = format!("failed: no result within {} s", patience.as_secs());
            Err(if said.is_empty() { why } else { format!("{why}: {said}") })
        }
    }
}

fn reason(output: &Output) -> String {
    let words = last_words(output);
    match output.status.signal() {
        Some(signal) if words.is_empty() => format!("signal {signal}"),
        Some(signal) => format!("signal {signal}: {words}"),
        None => words,
    }
}

/// The first panic's message, or the last line of stderr.
fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines = text.lines();
    let panicked = lines.find(|line| line.contains("panicked at")).and_then(|_| lines.next());
    let line = panicked.or_else(|| text.lines().rfind(|line| !line.trim().is_empty())).unwrap_or_default();
    line.trim().chars().take(160).collect()
}

/// The other side of [`run`].
pub fn run_here(system: &System, job: &Job, count: usize, warm_up: usize) -> ExitCode {
    let workers = crate::work::workers();
    pin::to_first(workers);
    let counter = instruction_counter();
    let result = match system.kind {
        Kind::Binary { path, .. } => return run_binary(&path(), job, count, warm_up, counter.ok()),
        Kind::Here(program) => program(job.name).measure(count, warm_up),
    };
    let status = program::report(&result);
    if result.is_ok() {
        print_instructions(counter.ok());
    }
    status
}

fn run_binary(path: &Path, job: &Job, count: usize, warm_up: usize, counter: Option<Counter>) -> ExitCode {
    let mut command = Command::new(path);
    let status = command.args([job.name, &count.to_string(), &warm_up.to_string()]).status().expect("it was built");
    if status.success() {
        print_instructions(counter);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Counts the instructions, in user mode, of this process and of those that it starts from now on.
///
/// # Errors
/// Why the kernel does not.
pub fn instruction_counter() -> std::io::Result<Counter> {
    let mut counter = Builder::new(Hardware::INSTRUCTIONS).inherit(true).build()?;
    counter.enable()?;
    Ok(counter)
}

fn print_instructions(counter: Option<Counter>) {
    if let Some(count) = counter.and_then(|mut counter| counter.read().ok()) {
        println!("instructions {count}");
    }
}
