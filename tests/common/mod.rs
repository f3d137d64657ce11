//! What several test files share.
#![allow(dead_code, unreachable_pub)]

use std::process::{Command, Output};

const MARK: &str = "LISLE_TEST_CHILD";

/// For tests of fatal paths: in the parent, runs the same test in a child process and returns what became
/// of it; in the child, returns `None`, and the test goes on to its fatal deed.
pub fn in_child(test: &str, environment: &[(&str, &str)]) -> Option<Output> {
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().expect("we are running"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .envs(environment.iter().copied())
        .output()
        .expect("a child process");
    Some(output)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A private runtime with one worker: goroutines interleave on one thread.
pub fn one_worker() -> lisle::Runtime {
    lisle::Config::new().workers(1).start().expect("a runtime")
}
