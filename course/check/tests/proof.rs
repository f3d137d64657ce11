//! Every exercise fails as shipped, for the reason that it teaches; passes as solved; and the common wrong answer fails.
//! `expected.txt` says what a learner reads in each case.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

struct Expected {
    name: &'static str,
    shipped: &'static str,
    wrong: &'static str,
}

fn expected() -> Vec<Expected> {
    let lines = include_str!("../expected.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let mut part = || parts.next().unwrap_or_else(|| panic!("three parts: {line}"));
            Expected { name: part(), shipped: part(), wrong: part() }
        })
        .collect()
}

impl Expected {
    /// The number of the error, for those that do not compile as shipped.
    fn refusal(&self) -> Option<&str> {
        self.shipped.starts_with("E0").then_some(self.shipped)
    }
}

fn cargo(arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["-p", "week7-check"]).env("CARGO_TERM_COLOR", "never");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs")
}

/// Compiles the exercises of a kind with their tests.
fn build(kind: &str) -> PathBuf {
    let output = cargo(&["test", "--no-run", "--example", kind]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (_, rest) = said.split_once("Executable ").expect("the name of the executable");
    let path = rest.split(['(', ')']).nth(1).expect("in parentheses");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Whether the tests of the exercise pass, and all that was printed.
fn run(program: &PathBuf, name: &str) -> (bool, String) {
    let output = lisle::blocking(|| Command::new(program).arg(format!("{name}::")).env("RUST_BACKTRACE", "0").output());
    let output = output.expect("it runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("running 0 tests"), "{name} has no tests");
    (output.status.success(), text)
}

/// All exercises of a kind fail, and say what they should.
fn assert_all_fail(kind: &str, said: fn(&Expected) -> Option<&str>) {
    let program = build(kind);
    let expected = expected();
    let problems = lisle::parallel::map(4, &expected, |exercise| {
        let said = said(exercise)?;
        let (passed, text) = run(&program, exercise.name);
        let problem = if passed { "passes" } else { "fails, and not as it should" };
        (passed || !text.contains(said)).then(|| format!("{} {problem} ({said}):\n{text}", exercise.name))
    });
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{kind}: {}", problems.join("\n"));
}

#[test]
fn every_exercise_fails_as_shipped_for_the_reason_that_it_teaches() {
    assert_all_fail("shipped", |exercise| exercise.refusal().is_none().then_some(exercise.shipped));
}

#[test]
fn the_common_wrong_answer_to_every_exercise_fails() {
    assert_all_fail("wrong", |exercise| Some(exercise.wrong));
}

#[test]
fn every_exercise_passes_as_solved() {
    let program = build("solved");
    let problems = lisle::parallel::map(2, &expected(), |exercise| {
        let (passed, text) = run(&program, exercise.name);
        (!passed).then(|| format!("{}: {text}", exercise.name))
    });
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_should_not_compile_does_not() {
    for exercise in expected() {
        if let Some(error) = exercise.refusal() {
            let output = cargo(&["build", "--quiet", "--features", "refused", "--example", exercise.name]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{} compiles", exercise.name);
            assert!(said.contains(&format!("error[{error}]")), "{}: {said}", exercise.name);
            assert_eq!(said.matches("error[").count(), 1, "{}: another error besides: {said}", exercise.name);
        }
    }
}

#[test]
fn all_that_is_listed_is_there_and_nothing_else() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../exercises");
    let info = std::fs::read_to_string(folder.join("info.toml")).expect("info.toml");
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let names: Vec<_> = info.lines().filter_map(|line| value(line, "name = ")).collect();
    let folders: Vec<_> = info.lines().filter_map(|line| value(line, "dir = ")).collect();
    assert!(names.len() >= 24, "{} exercises", names.len());
    assert_eq!(names, expected().iter().map(|exercise| exercise.name).collect::<Vec<_>>(), "expected.txt");
    for degree in ["A start: ", "\nFurther: ", "\nNearly the answer: "] {
        assert_eq!(info.matches(degree).count(), names.len(), "hints that have {degree:?}");
    }
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("Cargo.toml");
    for kind in ["exercises", "solutions", "wrong"] {
        let mut listed = BTreeSet::new();
        for (name, chapter) in names.iter().zip(&folders) {
            let path = format!("{kind}/{chapter}/{name}.rs");
            let text = std::fs::read_to_string(folder.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(text.contains("// TODO"), kind == "exercises", "{path}: a task, and only there");
            assert!(text.contains("#[test]\n") && text.contains("fn main()"), "{path}");
            assert!(
                kind == "wrong" || manifest.contains(&format!("path = \"{path}\"")),
                "{path}: rustlings dev update"
            );
            listed.insert(path);
        }
        let there = folder.join(kind).read_dir().expect("a folder").flat_map(|chapter| {
            let chapter = chapter.expect("an entry").path();
            chapter.read_dir().expect("a chapter").map(|file| file.expect("an entry").path()).collect::<Vec<_>>()
        });
        let there: BTreeSet<_> =
            there.map(|path| path.strip_prefix(&folder).expect("below").to_string_lossy().into_owned()).collect();
        assert_eq!(there, listed);
    }
}
