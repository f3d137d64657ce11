//! Which sections have been seen: a line each in `course/.progress`, which git ignores. `WEEK7_PROGRESS` names another
//! file. Of the exercises, the tool `rustlings` keeps account itself; its file is read here.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

pub(crate) struct Progress {
    file: PathBuf,
    /// `lesson/section`.
    passed: BTreeSet<String>,
}

impl Progress {
    pub(crate) fn load() -> Self {
        let beside_the_lessons = || crate::lesson::project().join("course/.progress");
        let file = std::env::var_os("WEEK7_PROGRESS").map_or_else(beside_the_lessons, PathBuf::from);
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                eprintln!("{}: {error}: the progress made so far is not known", file.display());
            }
            String::new()
        });
        Self { file, passed: text.lines().map(str::to_owned).collect() }
    }

    pub(crate) fn has_passed(&self, lesson: &str, section: &str) -> bool {
        self.passed.contains(&format!("{lesson}/{section}"))
    }

    pub(crate) fn passed(&mut self, lesson: &str, section: &str) {
        if !self.passed.insert(format!("{lesson}/{section}")) {
            return;
        }
        let text: String = self.passed.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = std::fs::write(&self.file, text) {
            eprintln!("{}: {error}: the progress cannot be kept", self.file.display());
        }
    }
}

/// How many exercises `rustlings` counts as done, and its current one. `None` before its first start.
pub(crate) fn exercises() -> Option<(usize, String)> {
    let file = crate::lesson::project().join("course/exercises/.rustlings-state.txt");
    let text = std::fs::read_to_string(file).ok()?;
    // A warning, an empty line, the current exercise, an empty line, those that are done.
    let mut lines = text.lines().skip(2);
    let current = lines.next()?.to_owned();
    Some((lines.skip(1).filter(|line| !line.is_empty()).count(), current))
}
