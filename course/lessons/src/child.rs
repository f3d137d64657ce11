//! Small programs that need a process of their own, since what they show is how a process ends; and the compiler.

use crate::lesson::{Failure, project};
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// By name.
const PROGRAMS: &[(&str, fn())] = &[
    ("deadlocks", crate::goroutine_practice::look_inside::deadlocks),
    ("explores_payments", crate::race_conditions::explores_payments),
    ("forgets_to_wait", crate::waitgroups::forgets_to_wait),
    ("leaves_goroutines", crate::goroutine_patterns::leaks::leaves_goroutines),
];

/// Runs one in this process: what the command `week7 program NAME` does.
pub(crate) fn run(name: &str) -> ExitCode {
    let Some((_, program)) = PROGRAMS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = PROGRAMS.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no program `{name}`, only {}", known.join(", "));
        return ExitCode::from(2);
    };
    program();
    ExitCode::SUCCESS
}

/// Runs one as a process of its own, prints what it prints, and how it ended; returns its output.
pub(crate) fn start(name: &str, environment: &[(&str, &str)]) -> Result<String, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["program", name]).envs(environment.iter().copied());
    let (text, status) = lisle::blocking(|| collect(&mut command))?;
    print_indented(&text);
    println!("  ({status})");
    Ok(text)
}

fn collect(command: &mut Command) -> std::io::Result<(String, String)> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut child =
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).env("NO_COLOR", "1").spawn()?;
    // Else our own ends of the pipe would keep it open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok((text, child.wait()?.to_string()))
}

fn cargo_itself() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project());
    cargo
}

/// A command of cargo's on one of this package's examples.
fn cargo(what: &str, example: &str, feature: &str) -> Command {
    let mut cargo = cargo_itself();
    cargo.args([what, "--quiet", "-p", "week7", "--example", example, "--features", feature]);
    let release = if cfg!(debug_assertions) { "" } else { "--release " }; // as what is there has been built
    cargo.args(release.split_whitespace());
    println!("  cargo {what} {release}-p week7 --example {example} --features {feature}");
    cargo
}

/// What the compiler says to a program in `refused/`, asked now; or, without a compiler at hand, what it said when the
/// course was last checked.
pub(crate) fn ask_the_compiler(example: &str, recorded: &str) {
    let mut build = cargo("build", example, "refused");
    match lisle::blocking(|| collect(&mut build)) {
        Ok((text, _)) if text.contains("error[E") => print_indented(&text),
        Ok((text, _)) => {
            print_indented(&text);
            println!("  (That is not about the program: the compiler could not be asked. Recorded at the last check:)");
            print_indented(recorded);
        }
        Err(error) => {
            println!("  (cargo: {error}. Recorded at the last check of the course:)");
            print_indented(recorded);
        }
    }
}

/// Runs a program in `raced/`, built with the race detector.
pub(crate) fn run_with_detector(example: &str) -> Result<(), Failure> {
    let mut run = cargo("run", example, "race");
    println!("  (The first time, lisle is built with its detector, which takes a while.)");
    let (text, status) = lisle::blocking(|| collect(&mut run))
        .map_err(|error| Failure::Error(format!("cargo: {error}: this section needs it")))?;
    print_race(&text);
    println!("  ({status})");
    Ok(())
}

/// Runs a program in `raced/` by `cargo race`, which refuses, and says what to install, if it cannot have std's source.
pub(crate) fn run_by_cargo_race(example: &str) -> Result<(), Failure> {
    println!("  cargo run --release -p cargo-race -- race run -p support --example {example}");
    println!(
        "  (The first time, if what it needs is there, std and lisle are built anew, which takes a minute or more.)"
    );
    let mut run = cargo_itself();
    run.args(["run", "--quiet", "--release", "-p", "cargo-race", "--", "race", "run", "--quiet"]);
    run.args(["-p", "support", "--example", example]);
    let (text, status) = lisle::blocking(|| collect(&mut run))
        .map_err(|error| Failure::Error(format!("cargo: {error}: this section needs it")))?;
    print_indented(&text);
    println!("  ({status})");
    if !text.contains("WARNING: DATA RACE") {
        println!(
            "  So nothing was run. Once that is mended: cargo run --release -p week7 -- race_conditions --section cargo_race"
        );
    }
    Ok(())
}

/// Prints a report of the race detector, without the frames of lisle itself and of what it is built on.
pub(crate) fn print_race(report: &str) {
    let is_ours = |place: &str| !["src/", "/rustc/"].iter().any(|other| place.trim_start().starts_with(other));
    let mut lines = report.lines().peekable();
    while let Some(line) = lines.next() {
        let is_frame = line.ends_with(')') && lines.peek().is_some_and(|place| place.contains(".rs:"));
        if is_frame && lines.peek().is_some_and(|place| !is_ours(place) || place.contains("/registry/")) {
            lines.next();
        } else {
            println!("    {line}");
        }
    }
}

fn print_indented(text: &str) {
    text.lines().for_each(|line| println!("    {line}"));
}

/// A moment long enough for what has been started to begin.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);
