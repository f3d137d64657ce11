//! What several test files share.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const MARK: &str = "LISLE_TEST_CHILD";

/// For tests of fatal paths: in the parent, runs the same test in a child process and returns what became
/// of it; in the child, returns `None`, and the test goes on to its fatal deed.
pub fn in_child(test: &str, environment: &[(&str, &str)]) -> Option<Output> {
    if is_child() {
        // A shell's background jobs ignore these, and their children inherit it.
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the default action replaces "ignore", before anybody could have a handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        return None;
    }
    Some(child(test).envs(environment.iter().copied()).output().expect("a child process"))
}

/// Whether this is such a child process.
pub fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The same test as a child process, not started yet.
fn child(test: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("we are running"));
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(MARK, "1");
    child
}

/// The first such line that the same test, as a child process, writes to stderr; then it is ended.
pub fn line_of_child(test: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut child = child(test).stderr(Stdio::piped()).spawn().expect("a child process");
    let errors = BufReader::new(child.stderr.take().expect("a pipe"));
    let line = errors.lines().map_while(Result::ok).find(|line| is_wanted(line));
    child.kill().expect("it waits for ever");
    child.wait().expect("it is gone");
    line.expect("it is told")
}

/// Panics, and waits for a goroutine while it unwinds.
pub fn wait_while_unwinding() {
    struct Waits<'a>(&'a lisle::sync::WaitGroup);
    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    let group = lisle::sync::WaitGroup::new();
    group.go(|| ());
    let _waits = Waits(&group);
    panic!("and unwinds");
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A private runtime with one worker: goroutines interleave on one thread.
pub fn one_worker() -> lisle::Runtime {
    lisle::Config::new().workers(1).start().expect("a runtime")
}

/// The text of a panic.
pub fn text_of(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// Waits until the runtime has no goroutine any more.
pub fn wait_until_empty(runtime: &lisle::Runtime) {
    let start = std::time::Instant::now();
    while runtime.metrics().goroutines > 0 {
        assert!(start.elapsed().as_secs() < 20, "goroutines are left: {:?}", runtime.metrics());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Waits until it is so; fails after a minute.
#[track_caller]
pub fn until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 60, "it is not so after a minute");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Counts how many are inside at the same time.
#[derive(Default)]
pub struct Meter {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Meter {
    /// Calls `f` inside.
    pub fn measure<T>(&self, f: impl FnOnce() -> T) -> T {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        let result = f();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// How many have been inside at the same time.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}
