//! Programs that nothing can set going again end, with a report; programs that something can are left alone.
//!
//! Each is a process of its own: this one, started again with the program's name. There `main` is lisle's alone, without a
//! harness whose threads wait beside it.

mod alive;
mod deadlocked;

use libtest_mimic::{Arguments, Failed, Trial};
use std::io::Read;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set for the processes of the programs.
const PROGRAM: &str = "LISLE_TEST_PROGRAM";
/// A program that has not ended by now hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Far longer than a deadlock takes to be seen.
const LONG: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(PROGRAM) {
        let alive = alive::PROGRAMS.iter().chain(alive::OTHERS).copied();
        let mut programs = deadlocked::PROGRAMS.iter().map(|&(name, run, _)| (name, run)).chain(alive);
        let (_, run) = programs.find(|(known, _)| *known == name).expect("a program's name");
        run();
        return ExitCode::SUCCESS;
    }
    let deadlocked = deadlocked::PROGRAMS.iter().map(|&(name, _, expected)| {
        Trial::test(format!("ends_when::{name}"), move || ends_with_report(name, expected))
    });
    let alive = alive::PROGRAMS
        .iter()
        .map(|&(name, _)| Trial::test(format!("is_left_alone_while::{name}"), move || is_left_alone(name)));
    let others = [
        Trial::test("it_can_be_ignored", it_can_be_ignored),
        Trial::test("the_holders_of_locks_are_named_where_locks_are_watched", holders_are_named),
        Trial::test("it_is_seen_soon_on_a_busy_machine", it_is_seen_soon_on_a_busy_machine),
        Trial::test("a_signal_that_is_awaited_may_still_come", a_signal_may_still_come),
    ];
    // ThreadSanitizer has a thread of its own, which could wake anybody for all that lisle knows.
    let trials = deadlocked.chain(alive).chain(others).map(|trial| trial.with_ignored_flag(cfg!(lisle_tsan)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn start(name: &str, environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("we are running"));
    command.env(PROGRAM, name).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child process")
}

/// Waits for the end, and returns the status and what it wrote to stderr.
fn end_of(mut child: Child) -> Result<(ExitStatus, String), Failed> {
    let start = Instant::now();
    let mut stderr = child.stderr.take().expect("piped");
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err("it hangs".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((child.wait()?, text.join().expect("no panic")?))
}

fn ends_with_report(name: &str, expected: &[&str]) -> Result<(), Failed> {
    let (status, text) = end_of(start(name, &[]))?;
    let head = "fatal error: all goroutines are asleep - deadlock!\n\n";
    if status.code() != Some(2) || !text.starts_with(head) {
        return Err(format!("{status}: {text}").into());
    }
    match expected.iter().find(|part| !text.contains(*part)) {
        Some(missing) => Err(format!("{missing:?} is missing: {text}").into()),
        None => Ok(()),
    }
}

fn is_left_alone(name: &str) -> Result<(), Failed> {
    let (status, text) = end_of(start(name, &[]))?;
    if status.success() && text.is_empty() { Ok(()) } else { Err(format!("{status}: {text}").into()) }
}

fn holders_are_named() -> Result<(), Failed> {
    let (status, text) = end_of(start("two_take_two_locks_in_different_order", &[("LISLE_DEBUG", "lockorder")]))?;
    let named = text.matches(" has taken at tests/deadlock/deadlocked.rs:").count();
    let waits = text.matches(" waits for a lock that goroutine ").count();
    if status.code() == Some(2) && (named, waits) == (2, 2) { Ok(()) } else { Err(format!("{status}: {text}").into()) }
}

/// Many at once, so that each thread loses its processor at any point of its way to sleep.
fn it_is_seen_soon_on_a_busy_machine() -> Result<(), Failed> {
    // Its last goroutine goes to sleep for ever right after a timer has woken it.
    let start_one = |_| start("timers_have_fired_or_been_stopped", &[]);
    for _ in 0..8 {
        let began = Instant::now();
        let children: Vec<Child> = (0..16).map(start_one).collect();
        let heads: Vec<_> = children.into_iter().map(|child| std::thread::spawn(move || is_told_soon(child))).collect();
        if !heads.into_iter().all(|head| head.join().expect("no panic")) {
            return Err(format!("one was not seen after {:?}", began.elapsed()).into());
        }
    }
    Ok(())
}

/// Whether it begins to report within some seconds, where a lost look would take a minute. The rest is not waited for.
fn is_told_soon(mut child: Child) -> bool {
    let mut stderr = child.stderr.take().expect("piped");
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || tell.send(stderr.read_exact(&mut [0]).is_ok()));
    let is_told = told.recv_timeout(Duration::from_secs(20)) == Ok(true);
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    let _ = reader.join();
    is_told
}

/// Ends it, if it has not ended by itself within a long time.
fn kill_later(mut child: Child) -> Result<Option<ExitStatus>, Failed> {
    std::thread::sleep(LONG);
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    Ok(ended)
}

fn it_can_be_ignored() -> Result<(), Failed> {
    let by_environment = start("a_main_goroutine_receives_from_itself", &[("LISLE_DEADLOCK", "ignore")]);
    let by_code = start("a_private_runtime_ignores_it", &[]);
    for child in [by_environment, by_code] {
        if let Some(status) = kill_later(child)? {
            return Err(format!("it has ended: {status}").into());
        }
    }
    Ok(())
}

fn a_signal_may_still_come() -> Result<(), Failed> {
    let mut child = start("a_signal_is_awaited", &[]);
    // It says when it listens.
    child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("it says so");
    std::thread::sleep(LONG);
    let is_waiting = child.try_wait().expect("our child").is_none();
    let id = i32::try_from(child.id()).expect("a number of a process");
    // SAFETY: sends a signal to our child, which has not been waited for.
    unsafe { libc::kill(id, libc::SIGUSR1) };
    let (status, text) = end_of(child)?;
    if status.success() && is_waiting { Ok(()) } else { Err(format!("{status}: {text}").into()) }
}
