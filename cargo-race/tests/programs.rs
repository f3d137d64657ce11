//! Whole programs under `cargo race`: what races is reported, with status 66, and what is repaired is silent.
//!
//! They need the source of std. Without it they are listed as ignored, and it is said why.

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, ExitCode, Output};

/// A program, and what its report must name.
const PROGRAMS: [(&str, &[&str]); 2] = [
    ("one-worker", &["<races::Cell as races::Counter>::add()", "src/bin/races.rs:"]),
    ("c", &["counter_add()", "src/counter.c:"]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if arguments.list { None } else { missing() };
    if let Some(text) = &missing {
        eprintln!("skipped, nothing is tested here: {text}");
    }
    let trials = PROGRAMS.iter().flat_map(|&(name, words)| {
        [
            Trial::test(format!("reported::{name}"), move || is_reported(name, words)),
            Trial::test(format!("silent_when_repaired::{name}"), move || is_silent(name)),
        ]
    });
    let trials = trials.map(|trial| trial.with_ignored_flag(missing.is_some())).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cargo_race(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-race"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/programs")).args(arguments);
    command.output().expect("cargo race can be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Builds the programs. What is not there to build them with; anything else ends the test.
fn missing() -> Option<String> {
    let output = cargo_race(&["race", "build", "--quiet", "-p", "race-programs", "--bins"]);
    match output.status.code() {
        Some(0) => None,
        Some(2) => Some(text(&output)),
        _ => panic!("the programs cannot be built: {}", text(&output)),
    }
}

fn run(name: &str, fixed: &[&str]) -> Output {
    cargo_race(&[&["race", "run", "--quiet", "-p", "race-programs", "--bin", "races", "--", name], fixed].concat())
}

fn is_reported(name: &str, words: &[&str]) -> Result<(), Failed> {
    let output = run(name, &[]);
    let text = text(&output);
    let common = ["WARNING: DATA RACE", "by goroutine ", "(running) created by", "cargo race: 1 report"];
    if let Some(word) = common.iter().chain(words).find(|word| !text.contains(**word)) {
        return Err(format!("{word:?} is missing in: {text}").into());
    }
    match output.status.code() {
        Some(66) => Ok(()),
        _ => Err(format!("{}: {text}", output.status).into()),
    }
}

fn is_silent(name: &str) -> Result<(), Failed> {
    let output = run(name, &["--fixed"]);
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, text(&output)).into())
}
