//! What `week7` shows by itself: the lessons, how far the learner is, and what comes next.

use crate::lesson::{self, ALL, Lesson, Options, Selection};
use crate::progress::{self, Progress};
use crate::screen;
use std::process::ExitCode;

pub(crate) fn show() -> ExitCode {
    let progress = Progress::load();
    screen::title("Week 7: goroutines");
    for (number, lesson) in ALL.iter().enumerate() {
        let (passed, all) = (passed(&progress, lesson), lesson.sections.len());
        let bar: String = (0..all).map(|place| if place < passed { '#' } else { '.' }).collect();
        let bar = format!("[{bar}]");
        screen::line(&format!(
            "{}  {:<20} {bar:<12} {passed:>2} of {all:>2}  {}",
            number + 1,
            lesson.name,
            lesson.title
        ));
    }
    screen::line(&exercises());
    screen::line(&what_next(&progress));
    if screen::is_interactive() { choose(&progress) } else { ExitCode::SUCCESS }
}

fn passed(progress: &Progress, lesson: &Lesson) -> usize {
    lesson.sections.iter().filter(|section| progress.has_passed(lesson.name, section.name)).count()
}

fn exercises() -> String {
    let all = include_str!("../../exercises/info.toml").matches("[[exercises]]").count();
    match progress::exercises() {
        Some((done, _)) if done == all => format!("   exercises: all {all} are done."),
        Some((done, current)) => {
            format!("   exercises: {done} of {all} done; at `{current}`. Go on: cd course/exercises && rustlings")
        }
        None => format!(
            "   exercises: {all}, which check themselves: cargo install rustlings; cd course/exercises && rustlings"
        ),
    }
}

/// The first lesson that has sections which were not seen yet.
fn next(progress: &Progress) -> Option<&'static Lesson> {
    ALL.into_iter().find(|lesson| passed(progress, lesson) < lesson.sections.len())
}

pub(crate) fn what_next(progress: &Progress) -> String {
    let Some(lesson) = next(progress) else { return format!("\n{WEEK_8}") };
    let command = format!("cargo run --release -p week7 -- {}", lesson.name);
    let unseen = lesson.sections.iter().find(|section| !progress.has_passed(lesson.name, section.name));
    match unseen {
        Some(section) if passed(progress, lesson) > 0 => {
            format!("\nNext: {command} --section {}\n      {}", section.name, section.title)
        }
        _ => format!("\nNext: {command}\n      {}", lesson.title),
    }
}

const WEEK_8: &str = "\
All lessons are done. What's next: Week 8, channels. Of it you have met rendezvous and buffers, closing
by dropping the last sender, and pipelines; select!, timers as channels, fan-in and the rules of closing
are here, too: cargo doc --open, module `channel`. The book's last page is the door.";

fn choose(progress: &Progress) -> ExitCode {
    loop {
        let Some(answer) = screen::ask("Which lesson? Its number; Enter goes on where you are; q ends: ") else {
            return ExitCode::SUCCESS;
        };
        let (lesson, names) = match answer.as_str() {
            "q" => return ExitCode::SUCCESS,
            "" => next(progress).map_or((ALL[0], Vec::new()), |lesson| (lesson, unseen(progress, lesson))),
            chosen => match numbered_or_named(chosen) {
                Some(lesson) => (lesson, Vec::new()),
                None => {
                    screen::line(&format!("`{chosen}` is no lesson: there are 1 to {}.", ALL.len()));
                    continue;
                }
            },
        };
        return lesson::show(lesson, &Selection { names, pauses: true }, &Options::default());
    }
}

fn numbered_or_named(chosen: &str) -> Option<&'static Lesson> {
    let by_number = || ALL.get(chosen.parse::<usize>().ok()?.checked_sub(1)?).copied();
    ALL.into_iter().find(|lesson| lesson.name == chosen).or_else(by_number)
}

/// The names of the sections that were not seen yet.
fn unseen(progress: &Progress, lesson: &Lesson) -> Vec<String> {
    let sections = lesson.sections.iter().filter(|section| !progress.has_passed(lesson.name, section.name));
    sections.map(|section| section.name.to_owned()).collect()
}
