//! What `cargo race` says before it builds anything.

use std::process::{Command, Output};

fn cargo_race(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-race"));
    command.args(arguments).env_remove("RUST_SRC");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_std_without_source_is_never_run_in_silence() {
    let empty = env!("CARGO_MANIFEST_DIR");
    for mut command in [cargo_race(&["race", "--rust-src", empty, "run"]), {
        let mut command = cargo_race(&["race", "test"]);
        command.env("RUST_SRC", empty);
        command
    }] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("cargo-race has no source of std"), "{}", text(&output));
    }
}

#[test]
fn what_is_not_reported_is_explained() {
    let output = cargo_race(&["race", "--explain"]).output().unwrap();
    assert!(output.status.success());
    let text = text(&output);
    assert!(text.contains("race:std::thread::local::LocalKey\n"), "{text}");
    assert!(text.contains("Goroutines of one worker share its thread"), "{text}");
    assert!(text.contains("race:crossbeam_deque"), "{text}");
}

#[test]
fn a_runner_that_cargo_race_did_not_start_says_so() {
    let output = cargo_race(&["__run", "true"]).env_remove("CARGO_RACE_REPORTS").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("is called by cargo race"), "{}", text(&output));
}
