//! Dumps: all goroutines as text in Go's form, folded, or as JSON.
//!
//! A dump is written while the goroutines are visited. What is kept in memory is one text for each different stack, up to
//! [`MOST_STACKS`] of them; folding keeps one entry for each different stack.

use super::creator;
use super::labels::pairs;
use super::registry::{self, Snapshot, State, Wanted};
use super::scopes::Scopes;
use super::signal_handler;
use super::symbol::{self, Frame};
use super::threads;
use super::unstarted;
use super::unwind::End;
use crate::report::UnlockedStderr;
use crate::sched::worker::Worker;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// How a dump is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Go's text, goroutine by goroutine.
    #[default]
    Text,
    /// The same, with goroutines that have the same stack, state and place of creation told once, with their number. The
    /// most numerous come first. Takes memory for each different stack.
    Folded,
    /// One JSON object, in which goroutines come one by one and scopes behind them:
    ///
    /// | field | |
    /// | --- | --- |
    /// | `goroutines` | an array of objects: `id`, `name` (or null), `labels` (an object), `state` (`running`, `runnable`, `waiting`, `unstarted`), `reason` (or null), `waited_seconds`, `creator` (the number of a goroutine, or 0), `created_by` (a function, or null), `created_at`, `scope` (the number of one, or null), `own_thread`, `keeps_thread` (why, or null), `complete` (whether the stack is), `stack` |
    /// | `stack` | an array of `function`, `file` and `line` (each may be null), the innermost call first |
    /// | `scopes` | the tree of the open [`scope`](crate::scope())s that have goroutines, or lie around one, an outer one before those within it: `id`, `parent` (the number of the next outer scope, or null), `owner` (the goroutine that opened it and waits at its end; null: a thread), `opened_at`, `goroutines` (the numbers of those in it, not of those further inside) |
    /// | `threads` | OS threads that wait in lisle: `thread` (its number in the system), `name` (or null), `reason`, `waited_seconds`, `complete`, `stack` |
    /// | `unstarted` | how many goroutines have not started: those in `goroutines`, and others that only their queues know |
    ///
    /// A scope within another is opened by a goroutine of that one, or by its owner while it is open. (The form is that of
    /// Java's thread dumps, where `threadContainers` have a `parent` and an `owner`. It is not nested: programs that divide and
    /// conquer would nest deeper than parsers of JSON go.)
    Json,
}

/// All goroutines of the process, in the text form of Go's dumps; see [`debug`](crate::debug).
///
/// In a signal handler, a sentence on stderr and an empty text; see [`dump_to`].
///
/// # Panics
/// If no thread can be started to do the work; see [`dump_to`].
#[must_use]
pub fn dump() -> String {
    let mut bytes = Vec::new();
    match dump_to(&mut bytes, Format::Text) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // A panic would unwind into what the signal has interrupted.
        Err(error) if error.kind() == IN_HANDLER => String::new(),
        Err(error) => panic!("lisle::debug::dump: {error}"),
    }
}

/// Writes all goroutines of the process to `to` while it finds them; see [`debug`](crate::debug).
///
/// # Errors
/// - Those of `to`.
/// - When a goroutine calls it: no thread could be started to do the work, which takes more stack than a goroutine has.
/// - `Unsupported`: the caller is a signal handler. That stands on stderr, too, since who asks there can hardly tell.
pub fn dump_to(to: &mut (dyn Write + Send), format: Format) -> io::Result<()> {
    let frame = 0_u8;
    if signal_handler::is_above(std::hint::black_box(&raw const frame)) {
        let _ = UnlockedStderr.write_all(HANDLER_CANNOT.as_bytes());
        // Without a text of its own: that would take memory.
        return Err(IN_HANDLER.into());
    }
    on_large_stack(|| write(to, format))
}

const IN_HANDLER: io::ErrorKind = io::ErrorKind::Unsupported;
const HANDLER_CANNOT: &str = "lisle: no dump from within a signal handler: what the signal has interrupted may hold locks that \
    a dump takes. Have a thread make it: lisle::signal::notify; or let Ctrl-\\ (SIGQUIT) do it\n";

/// Calls `f`, on a thread of its own if a goroutine calls.
pub(crate) fn on_large_stack<R: Send>(f: impl FnOnce() -> io::Result<R> + Send) -> io::Result<R> {
    if Worker::with_current(|worker| worker.is_none_or(|worker| worker.running().is_none())) {
        return f();
    }
    crate::threads::beside("lisle-dump", f)?.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// The text form of those goroutines whose numbers are wanted.
///
/// # Errors
/// As [`dump_to`].
pub(crate) fn text_of(is_wanted: impl Fn(u64) -> bool + Sync) -> io::Result<String> {
    on_large_stack(|| {
        let (mut bytes, mut stacks) = (Vec::new(), Stacks::new(render_text));
        each(WANTED, |one| if is_wanted(one.id) { write_one(&mut bytes, &mut stacks, one) } else { Ok(()) })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
}

fn write(to: &mut dyn Write, format: Format) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(64 * 1024, to);
    match format {
        Format::Text => write_text(&mut to)?,
        Format::Folded => write_folded(&mut to)?,
        Format::Json => write_json(&mut to)?,
    }
    to.flush()
}

const WANTED: Wanted = Wanted { stacks: true, interrupt: true, scopes: false };

/// Visits until writing fails: those that have started, then the others.
fn each(wanted: Wanted, mut write: impl FnMut(&Snapshot<'_>) -> io::Result<()>) -> io::Result<Seen> {
    let mut outcome = Ok(());
    let mut unstarted = 0;
    let mut look = |one: &Snapshot<'_>| {
        unstarted += u64::from(one.state == State::Unstarted);
        outcome = write(one);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut has_failed = false;
    let mut scopes = registry::visit(wanted, |one| {
        let flow = look(one);
        has_failed = flow.is_break();
        flow
    });
    if !has_failed {
        unstarted::visit(&mut scopes, look);
    }
    outcome.map(|()| Seen { unstarted, scopes })
}

/// What was seen on the way.
struct Seen {
    unstarted: u64,
    scopes: Scopes,
}

/// Texts of stacks that are kept, so that equal ones are made once.
const MOST_STACKS: usize = 4096;

/// Stacks as texts.
struct Stacks {
    texts: HashMap<Vec<usize>, String>,
    render: fn(&[&Frame], &mut String),
}

impl Stacks {
    fn new(render: fn(&[&Frame], &mut String)) -> Self {
        Self { texts: HashMap::new(), render }
    }

    fn text(&mut self, addresses: &[usize]) -> &str {
        if !self.texts.contains_key(addresses) {
            if self.texts.len() >= MOST_STACKS {
                self.texts.clear();
            }
            let resolved = symbol::resolve(addresses);
            let frames: Vec<&Frame> = resolved.iter().flat_map(|frames| frames.iter()).collect();
            let mut text = String::new();
            (self.render)(&frames[symbol::visible(&frames)], &mut text);
            self.texts.insert(addresses.to_vec(), text);
        }
        &self.texts[addresses]
    }
}

// ---- text ----

fn write_text(to: &mut impl Write) -> io::Result<()> {
    let mut stacks = Stacks::new(render_text);
    let seen = each(WANTED, |one| write_one(to, &mut stacks, one))?;
    write_threads(to, &mut stacks)?;
    write_unseen(to, &seen)
}

fn write_one(to: &mut impl Write, stacks: &mut Stacks, one: &Snapshot<'_>) -> io::Result<()> {
    let mut header = String::new();
    write_header(&mut header, one);
    writeln!(to, "goroutine {} [{header}]:", one.id)?;
    to.write_all(stacks.text(one.addresses).as_bytes())?;
    write_end(to, one.state, one.addresses.is_empty(), one.end)?;
    if one.state == State::Unstarted {
        writeln!(to, "\tgoroutine has not started; it will run {}", one.closure)?;
    }
    write!(to, "created by {}", creator_of(one.created_at, one.closure))?;
    if one.creator != 0 {
        write!(to, " in goroutine {}", one.creator)?;
    }
    writeln!(to, "\n\t{}\n", Place(one.created_at))
}

/// The function that created a goroutine; where nobody knows, what it has called.
fn creator_of(created_at: &'static Location<'static>, closure: &'static str) -> Arc<str> {
    creator::function(created_at, closure).unwrap_or_else(|| Arc::from("lisle::go"))
}

/// OS threads that wait in lisle.
fn write_threads(to: &mut impl Write, stacks: &mut Stacks) -> io::Result<()> {
    for one in threads::all() {
        let waiting = &one.waiting;
        write!(to, "thread {} [{}", waiting.thread, waiting.reason)?;
        match waiting.since.elapsed().as_secs() / 60 {
            0 => {}
            minutes => write!(to, ", {minutes} minutes")?,
        }
        match &waiting.name {
            Some(name) => writeln!(to, ", name {name:?}]:")?,
            None => writeln!(to, "]:")?,
        }
        to.write_all(stacks.text(&one.addresses).as_bytes())?;
        write_end(to, State::Waiting(waiting.reason), one.addresses.is_empty(), one.end)?;
        writeln!(to)?;
    }
    Ok(())
}

/// Those that were not seen, by number.
fn write_unseen(to: &mut impl Write, seen: &Seen) -> io::Result<()> {
    match unstarted::count().saturating_sub(seen.unstarted) {
        0 => Ok(()),
        1 => writeln!(to, "1 more goroutine has not started\n"),
        count => writeln!(to, "{count} more goroutines have not started\n"),
    }
}

/// File and line, without the column, as Go has it.
struct Place(&'static Location<'static>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// What stands in the brackets.
fn write_header(text: &mut String, one: &Snapshot<'_>) {
    let _ = write!(text, "{}", one.state);
    let minutes = waited(one).as_secs() / 60;
    if minutes > 0 {
        let _ = write!(text, ", {minutes} minutes");
    }
    if one.own_thread {
        text.push_str(", locked to thread");
    }
    if let Some(why) = one.keeps_thread {
        let _ = write!(text, ", keeps its thread: {why}");
    }
    if let Some(name) = one.name {
        let _ = write!(text, ", name {name:?}");
    }
    if !one.labels.is_empty() {
        text.push_str(", labels {");
        for (index, (key, value)) in pairs(one.labels).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{}:{}", key.escape_debug(), value.escape_debug());
        }
        text.push('}');
    }
}

fn waited(one: &Snapshot<'_>) -> Duration {
    if matches!(one.state, State::Waiting(_)) { one.lasting } else { Duration::ZERO }
}

pub(super) fn render_text(frames: &[&Frame], text: &mut String) {
    for frame in frames {
        let function = frame.function.as_deref().unwrap_or("?");
        let _ = writeln!(text, "{function}(...)");
        let file = frame.file.as_deref().unwrap_or("?");
        let _ = writeln!(text, "\t{file}:{}", frame.line.unwrap_or(0));
    }
}

/// What a stack lacks.
fn write_end(to: &mut impl Write, state: State, is_empty: bool, end: End) -> io::Result<()> {
    match (state, end) {
        (State::Running, _) if is_empty => writeln!(to, "\tgoroutine running on other thread; stack unavailable"),
        (State::Runnable, _) if is_empty => writeln!(to, "\tgoroutine has not run yet"),
        (_, End::Complete) => Ok(()),
        (_, End::Full) => writeln!(to, "...additional frames elided..."),
        (_, End::Lost) => writeln!(to, "\tthe rest of the stack could not be read"),
    }
}

// ---- folded ----

#[derive(PartialEq, Eq, Hash)]
struct Key {
    addresses: Vec<usize>,
    state: String,
    created_at: &'static Location<'static>,
    closure: &'static str,
}

struct Group {
    count: u64,
    first: u64,
    longest: Duration,
    is_running: bool,
    end: End,
}

fn write_folded(to: &mut impl Write) -> io::Result<()> {
    let mut groups: HashMap<Key, Group> = HashMap::new();
    let seen = each(WANTED, |one| {
        let key = Key {
            addresses: one.addresses.to_vec(),
            state: one.state.to_string(),
            created_at: one.created_at,
            closure: one.closure,
        };
        let new = Group {
            count: 0,
            first: one.id,
            longest: Duration::ZERO,
            is_running: one.state == State::Running,
            end: one.end,
        };
        let group = groups.entry(key).or_insert(new);
        group.count += 1;
        group.first = group.first.min(one.id);
        group.longest = group.longest.max(waited(one));
        Ok(())
    })?;
    let mut groups: Vec<(Key, Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| (std::cmp::Reverse(group.count), group.first));
    let mut stacks = Stacks::new(render_text);
    for (key, group) in &groups {
        let Group { count, first, .. } = group;
        let minutes = match group.longest.as_secs() / 60 {
            0 => String::new(),
            minutes => format!(", up to {minutes} minutes"),
        };
        writeln!(to, "{count} goroutines [{}{minutes}], the first is goroutine {first}:", key.state)?;
        to.write_all(stacks.text(&key.addresses).as_bytes())?;
        let state = if group.is_running { State::Running } else { State::Runnable };
        write_end(to, state, key.addresses.is_empty(), group.end)?;
        writeln!(to, "created by {}\n\t{}\n", creator_of(key.created_at, key.closure), Place(key.created_at))?;
    }
    write_threads(to, &mut stacks)?;
    write_unseen(to, &seen)
}

// ---- JSON ----

fn write_json(to: &mut impl Write) -> io::Result<()> {
    let mut stacks = Stacks::new(render_json);
    let mut text = String::new();
    let mut comma = "\n";
    let mut members: HashMap<u64, Vec<u64>> = HashMap::new();
    to.write_all(b"{\"goroutines\":[")?;
    let seen = each(Wanted { scopes: true, ..WANTED }, |one| {
        if one.scope != 0 {
            members.entry(one.scope).or_default().push(one.id);
        }
        text.clear();
        text.push_str(comma);
        comma = ",\n";
        json_goroutine(&mut text, one);
        text.push_str(stacks.text(one.addresses));
        text.push_str("]}");
        to.write_all(text.as_bytes())
    })?;
    to.write_all(b"\n],\"scopes\":[")?;
    write_json_scopes(to, &seen.scopes, &members)?;
    to.write_all(b"\n],\"threads\":[")?;
    let mut comma = "\n";
    for one in threads::all() {
        text.clear();
        text.push_str(comma);
        comma = ",\n";
        json_thread(&mut text, &one);
        text.push_str(stacks.text(&one.addresses));
        text.push_str("]}");
        to.write_all(text.as_bytes())?;
    }
    writeln!(to, "\n],\"unstarted\":{}}}", unstarted::count().max(seen.unstarted))
}

fn write_json_scopes(to: &mut impl Write, scopes: &Scopes, members: &HashMap<u64, Vec<u64>>) -> io::Result<()> {
    let or_null = |number: u64| if number == 0 { "null".to_owned() } else { number.to_string() };
    let mut text = String::new();
    for (index, scope) in scopes.in_order().iter().enumerate() {
        text.clear();
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        let (parent, owner) = (or_null(scope.parent), or_null(scope.owner));
        let _ = write!(text, "{{\"id\":{},\"parent\":{parent},\"owner\":{owner},\"opened_at\":", scope.id);
        json_text(&mut text, Some(&Place(scope.opened_at).to_string()));
        text.push_str(",\"goroutines\":[");
        for (index, id) in members.get(&scope.id).into_iter().flatten().enumerate() {
            let _ = write!(text, "{}{id}", if index > 0 { "," } else { "" });
        }
        text.push_str("]}");
        to.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// All but the stack.
fn json_thread(text: &mut String, one: &threads::ThreadSnapshot) {
    let _ = write!(text, "{{\"thread\":{},\"name\":", one.waiting.thread);
    json_text(text, one.waiting.name.as_deref());
    text.push_str(",\"reason\":");
    json_text(text, Some(&one.waiting.reason.to_string()));
    let seconds = one.waiting.since.elapsed().as_secs();
    let _ = write!(text, ",\"waited_seconds\":{seconds},\"complete\":{},\"stack\":[", one.end == End::Complete);
}

/// All but the stack.
fn json_goroutine(text: &mut String, one: &Snapshot<'_>) {
    let (state, reason) = match one.state {
        State::Running => ("running", None),
        State::Runnable => ("runnable", None),
        State::Waiting(reason) => ("waiting", Some(reason.to_string())),
        State::Unstarted => ("unstarted", None),
    };
    let _ = write!(text, "{{\"id\":{},\"name\":", one.id);
    json_text(text, one.name);
    text.push_str(",\"labels\":{");
    for (index, (key, value)) in pairs(one.labels).enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        json_text(text, Some(key));
        text.push(':');
        json_text(text, Some(value));
    }
    let _ = write!(text, "}},\"state\":\"{state}\",\"reason\":");
    json_text(text, reason.as_deref());
    let _ = write!(text, ",\"waited_seconds\":{}", waited(one).as_secs());
    let _ = write!(text, ",\"creator\":{},\"created_by\":", one.creator);
    json_text(text, creator::function(one.created_at, one.closure).as_deref());
    text.push_str(",\"created_at\":");
    json_text(text, Some(&Place(one.created_at).to_string()));
    text.push_str(",\"scope\":");
    let scope = (one.scope != 0).then(|| one.scope.to_string());
    text.push_str(scope.as_deref().unwrap_or("null"));
    let _ = write!(text, ",\"own_thread\":{},\"keeps_thread\":", one.own_thread);
    json_text(text, one.keeps_thread);
    let is_complete = one.end == End::Complete && !(one.state == State::Running && one.addresses.is_empty());
    let _ = write!(text, ",\"complete\":{is_complete},\"stack\":[");
}

fn render_json(frames: &[&Frame], text: &mut String) {
    for (index, frame) in frames.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str("{\"function\":");
        json_text(text, frame.function.as_deref());
        text.push_str(",\"file\":");
        json_text(text, frame.file.as_deref());
        let line = frame.line.map_or_else(|| "null".into(), |line| line.to_string());
        let _ = write!(text, ",\"line\":{line}}}");
    }
}

/// A JSON string, or null.
fn json_text(to: &mut String, text: Option<&str>) {
    let Some(text) = text else { return to.push_str("null") };
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            char if u32::from(char) < 0x20 => {
                let _ = write!(to, "\\u{:04x}", u32::from(char));
            }
            char => to.push(char),
        }
    }
    to.push('"');
}

/// What SIGQUIT does: writes a dump to stderr and ends the process as Go's runtime does. Runs on the thread of signals.
pub(crate) fn quit() -> ! {
    let mut stderr = UnlockedStderr;
    let _ = stderr.write_all(b"SIGQUIT: quit\n\n");
    let _ = dump_to(&mut stderr, Format::Text);
    end_program()
}

/// Ends the program with the status that Go's runtime has for its fatal errors.
pub(crate) fn end_program() -> ! {
    // Not `exit`, whose handlers may wait for what is stuck.
    // SAFETY: ends the process.
    unsafe { libc::_exit(2) }
}
