//! The programs in examples/: what they print, and how they end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, built as this test is. Plain `cargo test` has built it already; `cargo test --tests` has not.
fn example(name: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("we are running");
        let profile = test.parent().and_then(Path::parent).expect("target/profile/deps/test");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--examples"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "the examples do not build");
        profile.join("examples")
    });
    Command::new(folder.join(name))
}

/// Runs to a good end, and returns what was printed.
fn output(mut program: Command) -> String {
    let output = program.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{:?}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "runs what plain cargo builds")]
fn quickstart_waits_for_all() {
    let text = output(example("quickstart"));
    // Three seconds one after the other; a busy machine may take a little more than one.
    let last = text.lines().last().expect("lines");
    assert!(last.starts_with("All goroutines completed, after 1.") && last.ends_with(" s together."), "{text}");
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|printed| printed == *line), "missing: {line}\nin: {text}");
    }
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "runs what plain cargo builds")]
fn a_data_race_is_found_in_all_interleavings_and_not_in_the_repaired_form() {
    let mut check = example("data_race");
    let text = output({
        check.arg("--check");
        check
    });
    assert!(text.contains("WARNING: DATA RACE") && text.contains("examples/data_race.rs"), "{text}");
    let mut fixed = example("data_race");
    fixed.arg("--fixed");
    assert_lines(&output(fixed), &["6 of 6 increments were counted"]);
}
