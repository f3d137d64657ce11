//! The programs in `refused/` do not compile, and the recorded messages are the compiler's own.
//! `WEEK7_RECORD=1 cargo test -p week7 --test refused` records them anew.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The first error, up to the notes on lisle's sources, whose line numbers move.
fn first_error(text: &str) -> String {
    let lines =
        text.lines().skip_while(|line| !line.starts_with("error[")).take_while(|line| !line.starts_with("note:"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The margin is as wide as the longest line number, which may be one of lisle's.
fn unindented(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_start).collect()
}

fn assert_refused(example: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "week7", "--features", "refused", "--example", example]);
    let output =
        build.env("NO_COLOR", "1").env("CARGO_TERM_COLOR", "never").current_dir(folder).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{example} compiles");
    let said = first_error(&said);
    let recorded = folder.join(format!("refused/{example}.stderr"));
    if std::env::var_os("WEEK7_RECORD").is_some() {
        fs::write(&recorded, &said).expect("recorded");
    }
    let recorded = fs::read_to_string(recorded).expect("recorded");
    assert_eq!(unindented(&said), unindented(&recorded), "{example}: another message than recorded");
}

#[test]
fn two_goroutines_cannot_borrow_one_counter_mutably() {
    assert_refused("shared_counter");
}

#[test]
fn a_goroutine_cannot_borrow_from_a_function_that_may_end() {
    assert_refused("borrowed_counter");
}

#[test]
fn an_rc_cannot_go_to_another_thread() {
    assert_refused("counted_pointer");
}
