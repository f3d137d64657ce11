//! The programs in examples/: what they print, and how they end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|printed| printed == *line), "missing: {line}\nin: {text}");
    }
}

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lisle-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// A small tree: 3 folders with 4 files each, 24 words in all, and what is to be left out.
    fn with_tree(name: &str) -> Self {
        let folder = Self::new(name);
        for sub in ["a", "b", "target"] {
            fs::create_dir(folder.0.join(sub)).unwrap();
        }
        for sub in ["", "a", "b", "target"] {
            for number in 0..4 {
                fs::write(folder.0.join(sub).join(number.to_string()), format!(" {sub}.\n{number}\t")).unwrap();
            }
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn quickstart_waits_for_all() {
    let text = output(example("quickstart"));
    assert_eq!(text.lines().last(), Some("All goroutines completed, after 1.0 s together."), "{text}");
}

#[test]
fn goroutine_basics_compares_goroutines_and_threads() {
    let mut program = example("goroutine_basics");
    program.args(["--goroutines", "1000", "--threads", "50"]);
    let text = output(program);
    assert!(text.contains("1, 4, 9") && text.contains("A1 B1 A2 B2 A3 B3"), "{text}");
    assert!(text.contains("to switch to another"), "{text}");
}

#[test]
fn waitgroups_shows_what_is_waited_for() {
    let folder = Folder::with_tree("waitgroups");
    let mut program = example("waitgroups");
    let text = output({
        program.arg(&folder.0);
        program
    });
    assert_lines(
        &text,
        &[
            "== Fundamentals: count, start, wait ==",
            "and now it is: WaitGroup { counter: 0, waiters: 0 }",
            "10000 goroutines wait at the gate; their sum so far: 0",
            "after the gate opened: 50005000 = 10000 * 10001 / 2",
            "3 folders, 12 files, 68 bytes, with a goroutine for each folder",
            "add and done, with an early return between: wait still waits after 50 ms, and would for ever",
            "a guard in one that panics         joined: Err",
            "all four are waited for: WaitGroup { counter: 0, waiters: 0 }",
            "2 of 6 failed; the first: job 2 failed",
            "wait gives the first error: job 2 failed",
            "4 others were told to stop, and did",
        ],
    );
    for name in ["download", "unpack", "install"] {
        assert_lines(&text, &[&format!("{name}: done")]);
    }
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text}");
}

#[test]
fn goroutine_patterns_agree_on_the_totals() {
    let folder = Folder::with_tree("patterns");
    let mut program = example("goroutine_patterns");
    program.arg(&folder.0).args(["--limit", "3"]);
    let text = output(program);
    let totals: Vec<_> = text.lines().filter(|line| line.contains("24 words in 68 bytes, digest ")).collect();
    assert_eq!(totals.len(), 2, "{text}");
    assert_eq!(totals[0], totals[1], "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("same totals; ")).count(), 5, "{text}");
    assert_eq!(text.matches("speed-up ").count(), 5, "{text}");
    assert_lines(&text, &["working on 12 files; Ctrl-C stops early", "done, and no Ctrl-C came"]);
}

#[test]
fn goroutine_patterns_tells_of_a_folder_that_is_not_there() {
    let output = example("goroutine_patterns").arg("/no/such/folder").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder: No such file"));
}

#[test]
fn ctrl_c_stops_goroutine_patterns_early_and_in_good_order() {
    // 16 GiB to read, which take no place on the disk: far more than there is time for before the signal.
    let folder = Folder::new("sparse");
    for number in 0..2000 {
        let file = fs::File::create(folder.0.join(format!("{number:04}"))).unwrap();
        file.set_len(8 << 20).unwrap();
    }
    for (signal, name, status) in
        [(rustix::process::Signal::INT, "SIGINT", 130), (rustix::process::Signal::TERM, "SIGTERM", 143)]
    {
        let mut program = example("goroutine_patterns");
        program.args(["--pattern", "graceful-shutdown"]).arg(&folder.0).stdout(Stdio::piped());
        let mut child = program.spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        wait_for_line(&mut lines, "working on 2000 files; Ctrl-C stops early");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_stopped_early(child, lines, name, status);
    }
}

fn wait_for_line(lines: &mut BufReader<ChildStdout>, wanted: &str) {
    let mut line = String::new();
    while line.trim_end() != wanted {
        line.clear();
        assert!(lines.read_line(&mut line).expect("text") > 0, "it ended before it printed: {wanted}");
    }
}

fn assert_stopped_early(mut child: Child, mut lines: BufReader<ChildStdout>, signal: &str, status: i32) {
    let mut text = String::new();
    lines.read_to_string(&mut text).expect("text");
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(status), "{ended:?}: {text}");
    let done = text.lines().find_map(|line| {
        let rest = line.strip_prefix(&format!("stopped early, because the program received {signal}: "))?;
        rest.strip_suffix(" of 2000 files were done")?.parse::<u32>().ok()
    });
    let done = done.unwrap_or_else(|| panic!("no summary: {text}"));
    assert!(done < 2000, "{text}");
    // What it counts as done was done to the end: each file has 8 MiB.
    let totals = format!("{done} files (0 unreadable), ");
    assert!(text.starts_with(&totals) && text.contains(&format!(" in {} bytes", u64::from(done) << 23)), "{text}");
}

#[test]
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
