//! What happened in a schedule, and its table: one column for each goroutine.

use super::op::At;
use crate::debug::walk::{self, Addresses};
use crate::park::WaitReason;
use crate::race::detector::ByAddress;
use crate::race::report::users_frames;
use std::collections::HashMap;
use std::fmt::Write;
use std::panic::Location;
use std::time::Duration;

/// What a line of the table says.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A goroutine does a step.
    /// With the stack, if the operation does not know its place in the user's code.
    Step(At, Option<Addresses>),
    /// It makes this goroutine, there.
    Spawns(u64, &'static Location<'static>),
    /// It is made to wait while another runs, although it could go on.
    Preempted,
    Waits(WaitReason),
    Ends,
    Panics(String),
    /// Time goes on to the next timer.
    Time(Duration),
}

/// Who, and what.
pub(crate) type Line = (u64, Event);

/// Names for addresses: the first mutex is `mutex 1`.
#[derive(Default)]
pub(crate) struct Names {
    by_address: ByAddress<(&'static str, usize)>,
    counts: HashMap<&'static str, usize>,
}

impl Names {
    pub(crate) fn of(&mut self, at: &At) -> Option<String> {
        let kind = at.op.kind()?;
        let counts = &mut self.counts;
        let (kind, number) = self.by_address.entry(at.object).or_insert_with(|| {
            let count = counts.entry(kind).or_insert(0);
            *count += 1;
            (kind, *count)
        });
        Some(format!("{kind} {number}"))
    }
}

/// The width of a column.
const WIDTH: usize = 38;
/// Lines that are shown of a long schedule: its end is what matters.
const MOST_LINES: usize = 80;

/// The table of a schedule. `titles` has a title for each goroutine, by its number less one.
pub(crate) fn table(lines: &[Line], titles: &[String]) -> String {
    let mut names = Names::default();
    let skipped = lines.len().saturating_sub(MOST_LINES);
    for (_, event) in &lines[..skipped] {
        // Objects are numbered from the beginning on.
        if let Event::Step(at, _) = event {
            names.of(at);
        }
    }
    let shown = lines[skipped..].iter().map(|(id, event)| (*id, describe(event, &mut names)));
    let shown: Vec<(u64, String)> = shown.collect();
    let columns: Vec<u64> = (1..=titles.len() as u64).filter(|id| shown.iter().any(|(who, _)| who == id)).collect();
    let mut table = String::from("  step ");
    for &id in &columns {
        let _ = write!(table, "| {:<WIDTH$}", clip(&titles[id as usize - 1]));
    }
    let end = table.trim_end().len();
    table.truncate(end);
    if skipped > 0 {
        let _ = write!(table, "\n       | … {skipped} lines before");
    }
    for (number, (who, text)) in shown.iter().enumerate() {
        let _ = write!(table, "\n  {:>4} ", skipped + number + 1);
        match columns.iter().position(|id| id == who) {
            Some(column) => {
                (0..column).for_each(|_| table.push_str(&format!("| {:<WIDTH$}", "")));
                let _ = write!(table, "| {text}");
            }
            None => {
                let _ = write!(table, "|-- {text}");
            }
        }
    }
    table.push('\n');
    table
}

/// The steps as texts that can be compared between two runs: without addresses.
pub(crate) fn steps(lines: &[Line]) -> Vec<String> {
    let mut names = Names::default();
    lines.iter().map(|(id, event)| format!("goroutine {id}: {}", describe(event, &mut names))).collect()
}

fn clip(text: &str) -> String {
    text.chars().take(WIDTH).collect()
}

fn describe(event: &Event, names: &mut Names) -> String {
    match event {
        Event::Step(at, stack) => {
            let object = names.of(at).map_or(String::new(), |name| format!(" {name}"));
            let place = stack.as_deref().and_then(users_place).unwrap_or_else(|| place(at.location));
            format!("{}{object}  {place}", at.op)
        }
        Event::Spawns(id, location) => format!("go: goroutine {id}  {}", place(location)),
        Event::Preempted => String::from("… could go on, another goes first"),
        Event::Waits(reason) => format!("… waits ({reason})"),
        Event::Ends => String::from("ends"),
        Event::Panics(message) => format!("panics: {}", message.lines().next().unwrap_or_default()),
        Event::Time(passed) => format!("time goes on by {passed:?}"),
    }
}

/// Where the user's code dropped something, drops cannot know: the stack does. It is read later, on a larger one.
pub(crate) fn stack_of_drop(at: &At) -> Option<Addresses> {
    let ours = file!().strip_suffix("testing/trace.rs").unwrap_or("lisle/src/");
    at.location.file().starts_with(ours).then(walk::addresses_of_caller)
}

fn users_place(stack: &[usize]) -> Option<String> {
    let frame = users_frames(stack).into_iter().next()?;
    Some(format!("{}:{}", frame.file.rsplit('/').next()?, frame.line))
}

/// File and line, without the folders.
pub(crate) fn place(location: &Location<'_>) -> String {
    let file = location.file();
    format!("{}:{}", file.rsplit('/').next().unwrap_or(file), location.line())
}

#[cfg(test)]
mod tests {
    use super::super::op::Op;
    use super::*;

    #[test]
    fn each_goroutine_has_its_column_and_each_object_its_name() {
        let at = |op, object| Event::Step(At { op, object, other: 0, location: Location::caller() }, None);
        let lines = [(1, at(Op::MutexLock, 16)), (2, at(Op::MutexLock, 32)), (2, Event::Waits(WaitReason::Mutex))];
        let table = table(&lines, &["main".into(), "2".into()]);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[0].contains("main") && rows[1].contains("| lock mutex 1  trace.rs:"), "{table}");
        assert!(rows[2].contains("lock mutex 2") && rows[3].contains("waits (Mutex::lock)"), "{table}");
        assert_eq!(rows[1].find("lock"), Some(9), "{table}");
        assert_eq!(rows[2].find("lock"), Some(9 + WIDTH + 2), "{table}");
    }
}
