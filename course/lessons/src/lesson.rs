//! What a lesson is, and how it is shown.
//!
//! A section's lines of source are cut out of the file itself, which is compiled in as text, between
//! `// ANCHOR: name` and `// ANCHOR_END: name`; a section without such lines, or with lines that nobody shows, fails a
//! test.

use crate::{progress::Progress, screen};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) struct Lesson {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// In a few lines, what it is about.
    pub(crate) about: &'static str,
    /// The files that it is made of: path, and text.
    pub(crate) sources: &'static [(&'static str, &'static str)],
    pub(crate) sections: &'static [Section],
}

pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is about to be shown.
    pub(crate) coming: &'static str,
    pub(crate) run: fn(&Options) -> Outcome,
    /// Why it did what it did.
    pub(crate) why: &'static str,
}

pub(crate) type Outcome = Result<(), Failure>;

/// Why a section did not come to its end.
pub(crate) enum Failure {
    /// It cannot be shown, for this reason.
    Error(String),
    /// A signal has ended it in good order; the exit status is to tell.
    Signal(lisle::signal::Signal),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.to_string())
    }
}

/// What the command line can change.
pub(crate) struct Options {
    pub(crate) goroutines: usize,
    pub(crate) threads: usize,
    pub(crate) folder: PathBuf,
    pub(crate) limit: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { goroutines: 100_000, threads: 1_000, folder: project(), limit: None }
    }
}

/// The clone in which this was built; or, if that is gone, where we are.
pub(crate) fn project() -> PathBuf {
    let built_in = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    built_in.canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

pub(crate) static ALL: [&Lesson; 5] = [
    &crate::goroutine_basics::LESSON,
    &crate::waitgroups::LESSON,
    &crate::race_conditions::LESSON,
    &crate::goroutine_patterns::LESSON,
    &crate::goroutine_practice::LESSON,
];

/// What the learner wants to see.
pub(crate) struct Selection {
    /// Of sections; empty: all.
    pub(crate) names: Vec<String>,
    pub(crate) pauses: bool,
}

pub(crate) fn list(lesson: &Lesson) {
    screen::title(&format!("{}: {}", lesson.name, lesson.title));
    for section in lesson.sections {
        screen::line(&format!("  {:<26} {}", section.name, section.title));
    }
}

pub(crate) fn show(lesson: &Lesson, selection: &Selection, options: &Options) -> ExitCode {
    if let Some(unknown) = selection.names.iter().find(|name| lesson.sections.iter().all(|s| s.name != **name)) {
        eprintln!("{} has no section `{unknown}`. It has:", lesson.name);
        lesson.sections.iter().for_each(|section| eprintln!("  {}", section.name));
        return ExitCode::from(2);
    }
    let wanted = |section: &&Section| selection.names.is_empty() || selection.names.iter().any(|n| n == section.name);
    let sections: Vec<_> = lesson.sections.iter().filter(wanted).collect();
    screen::title(&format!("Lesson {}: {}", lesson.name, lesson.title));
    screen::text(lesson.about);
    if cfg!(debug_assertions) {
        screen::line("(Built without optimisation, so whatever is measured is slow: add --release to `cargo run`.)");
    }
    let mut progress = Progress::load();
    for (number, section) in sections.iter().enumerate() {
        if let Err(status) = show_section(lesson, section, options) {
            return status;
        }
        progress.passed(lesson.name, section.name);
        let more = number + 1 < sections.len();
        if more && selection.pauses && !screen::pause(sections[number + 1].title) {
            screen::line("Go on later: the menu knows where you are.");
            return ExitCode::SUCCESS;
        }
    }
    screen::line(&crate::menu::what_next(&progress));
    ExitCode::SUCCESS
}

fn show_section(lesson: &Lesson, section: &Section, options: &Options) -> Result<(), ExitCode> {
    screen::title(&format!("{}: {}", section.name, section.title));
    screen::text(section.coming);
    for snippet in snippets(lesson.sources, section.name) {
        screen::source(&snippet);
    }
    screen::label("What happens");
    let outcome = lisle::run(|| (section.run)(options));
    match outcome {
        Ok(()) => {
            screen::label("Why");
            screen::text(section.why);
            Ok(())
        }
        Err(Failure::Error(error)) => {
            eprintln!("{error}");
            Err(ExitCode::FAILURE)
        }
        Err(Failure::Signal(signal)) => Err(ExitCode::from(u8::try_from(128 + signal.number()).unwrap_or(u8::MAX))),
    }
}

/// Some lines of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Snippet {
    pub(crate) file: &'static str,
    /// Number of the first line.
    pub(crate) first: usize,
    pub(crate) lines: Vec<&'static str>,
}

/// The lines that belong to the section: several pieces, if its anchor stands there several times.
pub(crate) fn snippets(sources: &[(&'static str, &'static str)], name: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    for &(file, text) in sources {
        let mut open: Option<Snippet> = None;
        for (number, line) in text.lines().enumerate() {
            match (anchor(line), &mut open) {
                (Some(("ANCHOR", begins)), _) if begins == name => {
                    open = Some(Snippet { file, first: number + 2, lines: Vec::new() });
                }
                (Some(("ANCHOR_END", ends)), _) if ends == name => found.extend(open.take()),
                // Another piece begins or ends within this one.
                (Some(_), _) | (None, None) => {}
                (None, Some(snippet)) => snippet.lines.push(line),
            }
        }
        assert!(open.is_none(), "{file}: ANCHOR_END: {name} is missing");
    }
    found.iter_mut().for_each(outdent);
    found
}

/// `ANCHOR` or `ANCHOR_END`, and the name.
fn anchor(line: &str) -> Option<(&str, &str)> {
    let (kind, name) = line.trim_start().strip_prefix("// ")?.split_once(": ")?;
    matches!(kind, "ANCHOR" | "ANCHOR_END").then_some((kind, name))
}

fn outdent(snippet: &mut Snippet) {
    let indents = snippet.lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    for line in &mut snippet.lines {
        *line = line.get(indent..).unwrap_or("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_what_stands_between_its_anchors() {
        let text = "fn a() {\n    // ANCHOR: x\n    one();\n        two();\n    // ANCHOR_END: x\n    three();\n}\n";
        let snippet = Snippet { file: "f.rs", first: 3, lines: vec!["one();", "    two();"] };
        assert_eq!(snippets(&[("f.rs", text)], "x"), [snippet]);
        assert_eq!(snippets(&[("f.rs", text)], "y"), []);
    }

    #[test]
    fn every_section_shows_its_source_and_no_anchor_is_idle() {
        for lesson in ALL {
            for section in lesson.sections {
                assert!(!snippets(lesson.sources, section.name).is_empty(), "{}/{}", lesson.name, section.name);
            }
            for (file, text) in lesson.sources {
                for (_, name) in text.lines().filter_map(anchor) {
                    assert!(lesson.sections.iter().any(|s| s.name == name), "{file}: nobody shows {name}");
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for lesson in ALL {
            for (number, section) in lesson.sections.iter().enumerate() {
                assert!(lesson.sections[..number].iter().all(|other| other.name != section.name), "{}", section.name);
            }
        }
    }
}
