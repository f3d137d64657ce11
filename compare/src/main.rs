//! Runs the same jobs in lisle and in Go, in turn, each in a process of its own on the same cores, and
//! prints the medians and their ratio.

mod channels;
mod jobs;

use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Run>,
    /// Only the jobs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Rounds of each job.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Worker threads, and Go's GOMAXPROCS.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// A hundredth of the work, one round: to see that it runs, not for figures.
    #[arg(long)]
    quick: bool,
}

#[derive(Subcommand)]
enum Run {
    /// Runs one job in this process (used by the comparison itself).
    Run { job: String, count: usize },
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(Run::Run { job, count }) = arguments.command {
        let (_, _, run) = jobs::JOBS.iter().find(|(name, ..)| *name == job).expect("a known job");
        return lisle::run(|| run(count));
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let go = build_go(here);
    let own = std::env::current_exe().expect("we are running");
    println!("{:<16} {:>14} {:>14} {:>9}   (ratio: Go / lisle)", "job", "lisle", "Go", "ratio");
    for &(job, count, _) in jobs::JOBS.iter().filter(|(name, ..)| name.contains(&arguments.only)) {
        let (rounds, count) = if arguments.quick { (1, (count / 100).max(1)) } else { (arguments.rounds, count) };
        let mut lisle = Results::default();
        let mut other = Results::default();
        for _ in 0..rounds {
            // Interleaved, so that whatever else the machine does hits both.
            lisle.add(Command::new(&own).args(["run", job, &count.to_string()]), arguments.workers);
            if let Some(go) = &go {
                other.add(Command::new(go).args([job, &count.to_string()]), arguments.workers);
            }
        }
        print_rows(&lisle, &other);
    }
}

/// What each round of a job printed, by name.
#[derive(Default)]
struct Results(BTreeMap<String, Vec<f64>>);

impl Results {
    fn add(&mut self, command: &mut Command, workers: usize) {
        let workers = workers.to_string();
        let output = command.env("LISLE_WORKERS", &workers).env("GOMAXPROCS", &workers).output().expect("it starts");
        if output.status.code() == Some(3) {
            return; // a job that the other side does not have
        }
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mut last = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (name, value) = line.split_once(' ').expect("name value");
            last.insert(name.to_owned(), value.parse::<f64>().expect("a number"));
        }
        for (name, value) in last {
            self.0.entry(name).or_default().push(value);
        }
    }

    fn sorted(&self, name: &str) -> Option<Vec<f64>> {
        let mut values = self.0.get(name)?.clone();
        values.sort_by(f64::total_cmp);
        Some(values)
    }
}

fn print_rows(lisle: &Results, go: &Results) {
    let median = |values: &[f64]| values[values.len() / 2];
    let spread = |values: &[f64]| format!("{:.1}..{:.1}", values[0], values[values.len() - 1]);
    for name in lisle.0.keys() {
        let ours = lisle.sorted(name).expect("it is a key");
        let Some(theirs) = go.sorted(name) else {
            println!("{name:<16} {:>14.1} {:>14} {:>9}   {}", median(&ours), "-", "-", spread(&ours));
            continue;
        };
        let ratio = median(&theirs) / median(&ours);
        println!(
            "{name:<16} {:>14.1} {:>14.1} {ratio:>8.2}x   {} | {}",
            median(&ours),
            median(&theirs),
            spread(&ours),
            spread(&theirs)
        );
    }
}

/// Builds the Go side with the toolchain that `compare/setup` installs, or one on the path.
fn build_go(here: &Path) -> Option<PathBuf> {
    let binary = here.join(".go/compare-go");
    let installed = here.join(".go/venv/bin/go");
    let go = if installed.exists() { installed } else { PathBuf::from("go") };
    std::fs::create_dir_all(here.join(".go")).ok()?;
    let built = Command::new(go).args(["build", "-o"]).arg(&binary).arg(".").current_dir(here.join("go")).status();
    if built.is_ok_and(|status| status.success()) {
        return Some(binary);
    }
    println!("Go: skipped, no toolchain (run compare/setup)");
    None
}
