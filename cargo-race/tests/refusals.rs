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
    assert!(text.contains("What lisle does not do under ThreadSanitizer"), "{text}");
}

#[test]
fn a_runner_that_cargo_race_did_not_start_says_so() {
    let output = cargo_race(&["__run", "true"]).env_remove("CARGO_RACE_REPORTS").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("is called by cargo race"), "{}", text(&output));
}

/// A rustc that answers as one of another machine does, or of a toolchain without ThreadSanitizer.
fn rustc(name: &str, host: &str, sysroot: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = std::env::temp_dir().join(format!("cargo-race-{}-{name}", std::process::id()));
    let version = format!(
        "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\ncommit-hash: none\ncommit-date: 2026-04-14\n\
         host: {host}\nrelease: 1.95.0\nLLVM version: 22.1.0"
    );
    std::fs::write(&file, format!("#!/bin/sh\ncase $1 in --print) echo '{sysroot}';; *) echo '{version}';; esac\n"))
        .unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    file
}

#[test]
fn a_toolchain_that_cannot_do_it_is_told_what_it_lacks() {
    for (name, host, expected) in [
        ("arm", "aarch64-unknown-linux-gnu", "aarch64-unknown-linux-gnu is not supported"),
        ("bare", "x86_64-unknown-linux-gnu", "this toolchain has no ThreadSanitizer"),
    ] {
        let file = rustc(name, host, "/nowhere");
        let output = cargo_race(&["race", "run"]).env("RUSTC", &file).output().unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    let output = cargo_race(&["race", "run"]).env("RUSTC", "/nowhere/rustc").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("rustc does not answer"), "{}", text(&output));
}

/// A folder that passes for the source of std of the compiler at hand; it is looked for first.
fn source() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("cargo-race-{}-source", std::process::id()));
    std::fs::create_dir_all(folder.join("library/std")).unwrap();
    std::fs::write(folder.join("library/std/Cargo.toml"), "").unwrap();
    folder
}

#[test]
fn without_a_symbolizer_nothing_is_run() {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let output = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let rustc = format!("{}/bin/rustc", String::from_utf8_lossy(&output.stdout).trim());
    let folder = source();
    let mut command = cargo_race(&["race", "run"]);
    command.env("RUST_SRC", &folder).env("CARGO", cargo).env("RUSTC", rustc).env("PATH", "/nowhere");
    let output = command.output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("Install llvm-symbolizer"), "{}", text(&output));
}
