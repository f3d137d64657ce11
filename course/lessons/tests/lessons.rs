//! The lessons: what they print, and how they end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program, with its progress in a file of its own.
fn week7(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_week7"));
    program.args(arguments).env("WEEK7_PROGRESS", "/dev/null");
    program
}

/// Runs to a good end, and returns what was printed.
fn output(mut program: Command) -> String {
    let output = program.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{:?}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text}");
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
fn the_menu_shows_all_lessons_and_what_comes_next() {
    let text = output(week7(&[]));
    for lesson in ["goroutine_basics", "waitgroups", "race_conditions", "goroutine_patterns", "goroutine_practice"] {
        assert!(text.lines().any(|line| line.contains(lesson) && line.contains(" 0 of ")), "{lesson}: {text}");
    }
    assert!(text.contains("Next: cargo run --release -p week7 -- goroutine_basics\n"), "{text}");
    assert!(text.contains("   exercises: ") && text.contains("cd course/exercises && rustlings"), "{text}");
}

#[test]
fn progress_is_kept_and_the_next_section_named() {
    let folder = Folder::new("progress");
    let file = folder.0.join("progress");
    let run = |arguments: &[&str]| {
        output({
            let mut program = week7(arguments);
            program.env("WEEK7_PROGRESS", &file);
            program
        })
    };
    run(&["goroutine_basics", "--section", "starting"]);
    let text = run(&[]);
    assert!(text.contains("[#.....]") && text.contains(" 1 of  6"), "{text}");
    assert!(text.contains("-- goroutine_basics --section anonymous\n"), "{text}");
}

#[test]
fn sections_are_listed_and_run_alone() {
    let text = output(week7(&["waitgroups", "--list"]));
    assert!(text.contains("  fundamentals ") && !text.contains("What happens"), "{text}");
    let text = output(week7(&["waitgroups", "--section", "fundamentals"]));
    assert_eq!(text.matches("What happens").count(), 1, "{text}");
    assert!(output(week7(&["--list"])).contains("  graceful_shutdown "));
}

#[test]
fn a_section_that_is_not_there_is_named_with_those_that_are() {
    let output = week7(&["waitgroups", "--section", "nonsense"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("`nonsense`") && text.contains("  fundamentals\n"), "{text}");
}

#[test]
fn a_lesson_that_is_not_there_is_named_with_those_that_are() {
    let output = week7(&["nonsense"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("there is no lesson `nonsense`. There are:\n"), "{text}");
    for lesson in ["1  goroutine_basics ", "5  goroutine_practice ", "cargo run --release -p week7 -- goroutine_basics"]
    {
        assert!(text.contains(lesson), "{text}");
    }
}

#[test]
fn lessons_go_by_their_numbers_too() {
    assert_eq!(output(week7(&["2", "--list"])), output(week7(&["waitgroups", "--list"])));
}

#[test]
fn a_folder_that_is_not_there_is_told_and_not_counted() {
    let output = week7(&["waitgroups", "--section", "dynamic_work", "/no/such/folder"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder: No such file"));
}

#[test]
fn goroutine_basics_compares_goroutines_and_threads() {
    let text = output(week7(&["goroutine_basics", "--goroutines", "1000", "--threads", "50"]));
    assert!(text.contains("1, 4, 9") && text.contains("A1 B1 A2 B2 A3 B3"), "{text}");
    assert!(text.contains("to switch to another"), "{text}");
    assert_lines(
        &text,
        &[
            "each closure owns its i:      [1, 2, 3]",
            "all read one shared variable: [3, 3, 3]",
            "ended:    1 goroutine left, which is main",
        ],
    );
}

#[test]
fn waitgroups_shows_what_is_waited_for() {
    let folder = Folder::with_tree("waitgroups");
    let mut program = week7(&["waitgroups"]);
    program.arg(&folder.0);
    let text = output(program);
    assert_lines(
        &text,
        &[
            "    main is done",
            "Lines from the three goroutines: 0.",
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
    assert!(text.contains("they slept 30 ms each, one beside the other: "), "{text}");
    for name in ["download", "unpack", "install"] {
        assert_lines(&text, &[&format!("{name}: done")]);
    }
}

#[test]
fn race_conditions_shows_what_is_refused_and_what_is_lost() {
    let text = output(week7(&["race_conditions"]));
    for error in ["error[E0499]", "error[E0373]", "error[E0277]"] {
        assert!(text.contains(error), "{error}: {text}");
    }
    let lost = text.lines().find(|line| line.starts_with("load, then store")).expect("a line");
    assert!(!lost.ends_with("lost: 0"), "{lost}");
    let lost = text.lines().find(|line| line.starts_with("fetch_add")).expect("a line");
    assert!(lost.ends_with("lost: 0"), "{lost}");
    assert_lines(&text, &["check, then act:    -500 are left of 500: it paid out more than it had"]);
    assert_lines(&text, &["both under a lock:  0 are left of 500"]);
    assert_eq!(text.matches("ns for each addition; total 400000").count(), 4, "{text}");
}

#[test]
fn what_the_explorer_has_found_is_run_again() {
    let text = output(week7(&["race_conditions", "--section", "explorer"]));
    assert!(text.contains("explored: overdrawn in schedule number "), "{text}");
    let schedule =
        text.lines().find_map(|line| line.trim().strip_prefix("LISLE_SEED=")?.split(' ').next()).expect("a schedule");
    assert!(text.contains(&format!("lisle::testing::replay(\"{schedule}\"")), "{text}");
    assert!(text.contains("could go on, another goes first") && text.contains("(exit status: 101)"), "{text}");
    assert!(
        text.contains("repaired: nothing was found in ") && text.contains(" schedules, all that there are"),
        "{text}"
    );
}

#[test]
fn races_are_found_in_unsafe_code_and_in_ordinary_runs() {
    let text = output(week7(&["race_conditions", "--section", "unsafe_code", "--section", "detector"]));
    assert!(text.matches("WARNING: DATA RACE").count() >= 2, "{text}");
    assert!(text.contains("course/lessons/src/race_conditions/unsafe_counter.rs:"), "{text}");
    assert!(text.contains("with a lock around it: nothing was found in "), "{text}");
    assert!(text.contains("course/lessons/raced/shared_counter.rs:") && text.contains("(exit status: 66)"), "{text}");
}

#[test]
fn cargo_race_finds_the_race_or_says_what_to_install() {
    let text = output(week7(&["race_conditions", "--section", "cargo_race"]));
    if text.contains("(exit status: 66)") {
        assert!(text.contains("WARNING: DATA RACE") && text.contains("raced/plain_counter.rs:"), "{text}");
    } else {
        assert!(text.contains("    rustup component add rust-src") && text.contains("(exit status: 2)"), "{text}");
        assert!(text.contains("So nothing was run. Once that is mended: "), "{text}");
    }
}

#[test]
fn goroutine_patterns_agree_on_the_totals() {
    let folder = Folder::with_tree("patterns");
    let mut program = week7(&["goroutine_patterns", "--limit", "3"]);
    program.arg(&folder.0);
    let text = output(program);
    assert_eq!(text.matches("24 words in 68 bytes, digest ").count(), 2, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("same totals; ")).count(), 5, "{text}");
    assert_eq!(text.matches(", speed-up ").count(), 5, "{text}");
    assert!(text.contains("2 goroutine(s) that were created in the closure at course/lessons/"), "{text}");
    assert_lines(
        &text,
        &[
            "after 100 leaky searches: 200 goroutines are left over",
            "after 100 clean searches: 0 goroutines are left over",
            "    goroutines left over: the test has returned, and these wait for ever",
            "  (exit status: 101)",
            "clean: nothing was found in 2000 schedules",
            "working on 12 files; Ctrl-C stops early",
            "done, and no Ctrl-C came",
        ],
    );
}

#[test]
fn goroutine_patterns_agree_although_the_progress_is_kept_in_the_folder_that_they_read() {
    let folder = Folder::with_tree("progress-within");
    let mut program = week7(&["goroutine_patterns"]);
    program.arg(&folder.0).env("WEEK7_PROGRESS", folder.0.join(".progress"));
    let text = output(program);
    assert_eq!(text.lines().filter(|line| line.starts_with("same totals; ")).count(), 5, "{text}");
}

#[test]
fn goroutine_patterns_tells_of_a_folder_that_is_not_there() {
    let output = week7(&["goroutine_patterns", "/no/such/folder"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder: No such file"));
}

#[test]
fn the_link_checker_finds_what_is_broken_and_only_that() {
    let text = output(week7(&["goroutine_practice"]));
    let starts = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    // One by one, and bounded.
    assert_eq!(starts("54 of 54 links checked, 3 broken; 3 x not found"), 2, "{text}");
    assert_eq!(
        starts("60 of 60 links checked, 8 broken; 1 x no answer in time; 3 x not found; 4 x too busy"),
        1,
        "{text}"
    );
    assert_eq!(starts("60 of 60 links checked, 4 broken; 1 x no answer in time; 3 x not found"), 1, "{text}");
    assert_eq!(starts("without timeouts: 59 of 60 links checked"), 1, "{text}");
    assert!(text.contains("it still waits, and would for ever"), "{text}");
    assert!(text.contains(", since context deadline exceeded"), "{text}");
    assert_lines(&text, &["too busy in the end: 0", "goroutines left over: 0"]);
}

#[test]
fn the_dump_the_report_and_the_profiles_name_what_is_wrong() {
    let show = |section: &str| output(week7(&["goroutine_practice", "--section", section]));
    let text = show("dump");
    let hanging = text.lines().filter(|line| line.starts_with("goroutine ") && line.contains("labels {link:http://"));
    let hanging: Vec<_> = hanging.collect();
    assert!(matches!(hanging[..], [line] if line.contains("[blocking call") && line.contains("/never}")), "{text}");
    assert!(text.contains("goroutine_practice::fetch::plainly(...)\n\t"), "{text}");

    let text = show("deadlock");
    assert_eq!(text.matches("fatal error: all goroutines are asleep - deadlock!").count(), 2, "{text}");
    assert_eq!(text.matches("(exit status: 2)").count(), 2, "{text}");
    assert!(text.matches("[Mutex::lock]:").count() >= 4, "{text}");
    assert_eq!(text.matches("2 locks are taken in different orders").count(), 1, "{text}");

    let text = show("goroutine_profile");
    let mut counts = text.lines().filter_map(|line| line.strip_suffix(" goroutines in")?.parse::<u32>().ok());
    assert!(counts.next().is_some_and(|most| most > 40), "{text}");

    let text = show("cpu_profile");
    let slowest = text.lines().find(|line| line.contains(" ms  "));
    assert!(slowest.is_some_and(|line| line.ends_with("look_inside::find_word")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("go tool pprof -top 'http://127.0.0.1:")), "{text}");
}

#[test]
fn ctrl_c_stops_the_last_pattern_early_and_in_good_order() {
    // 16 GiB to read, which take no place on the disk: far more than there is time for before the signal.
    let folder = Folder::new("sparse");
    for number in 0..2000 {
        let file = fs::File::create(folder.0.join(format!("{number:04}"))).unwrap();
        file.set_len(8 << 20).unwrap();
    }
    for (signal, name, status) in
        [(rustix::process::Signal::INT, "SIGINT", 130), (rustix::process::Signal::TERM, "SIGTERM", 143)]
    {
        let mut program = week7(&["goroutine_patterns", "--section", "graceful_shutdown"]);
        program.arg(&folder.0).stdout(Stdio::piped());
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
