//! How a race is told: in Go's words, and with Go's exit status.
//!
//! `LISLE_RACE` is a list of settings, as Go's `GORACE`, separated by spaces or commas: `halt_on_error=1` ends the
//! process at the first race, `log_path=FILE` writes the reports to `FILE.PID` instead of stderr, `exitcode=N` is the
//! status of a process that has had races (66 unless it is set), and `atexit_sleep_ms` is taken and ignored.

use super::detector::Race;
use super::strand::Who;
use crate::debug::symbol::{self, Origin};
use crate::report::report;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

const RULE: &str = "==================";

/// What `LISLE_RACE` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    halt_on_error: bool,
    log_path: Option<String>,
    exitcode: i32,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self { halt_on_error: false, log_path: None, exitcode: 66 };
        for setting in text.split([' ', ',']).filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            match (name, value) {
                ("halt_on_error", "0" | "1") => settings.halt_on_error = value == "1",
                ("log_path", path) => settings.log_path = (path != "stderr").then(|| path.to_owned()),
                ("exitcode", code) if code.parse::<u8>().is_ok() => {
                    settings.exitcode = code.parse().unwrap_or(settings.exitcode);
                }
                ("atexit_sleep_ms", _) => {}
                _ => report(format_args!(
                    "lisle: LISLE_RACE has {setting:?}, which is none of its settings, and goes on without it. They are \
                     halt_on_error=0 or 1, log_path=FILE or stderr, exitcode=0 to 255, with blanks or commas between them."
                )),
            }
        }
        settings
    }
}

/// What the environment says; at the first call what it says wrongly is told.
fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings::parse(&std::env::var("LISLE_RACE").unwrap_or_default()))
}

/// Looks at the settings when there is nothing to report yet: else nobody would be told of a wrong one without a race.
#[cfg(feature = "race")]
pub(super) fn look_at_settings() {
    settings();
}

/// Races that were reported.
static FOUND: AtomicUsize = AtomicUsize::new(0);

/// Tells of a race in an ordinary run: once for each pair of places in the program.
pub(crate) fn told(race: &Race) {
    static TOLD: Mutex<BTreeSet<[&Location<'_>; 2]>> = Mutex::new(BTreeSet::new());
    let mut pair = [race.now.location, race.before.location];
    pair.sort_unstable();
    if !crate::atomics::lock(&TOLD).insert(pair) {
        return;
    }
    if FOUND.fetch_add(1, Ordering::SeqCst) == 0 {
        // SAFETY: `at_exit` is a function without captures, and good until the process is gone.
        unsafe { libc::atexit(at_exit) };
    }
    // On a thread: to write it takes more of a stack than a goroutine may have.
    let text = std::thread::scope(|scope| scope.spawn(|| format!("{RULE}\n{race}{RULE}")).join());
    write(&text.unwrap_or_else(|_| format!("{RULE}\nWARNING: DATA RACE (its stacks could not be read)\n{RULE}")));
    if settings().halt_on_error {
        std::process::exit(settings().exitcode);
    }
}

fn write(text: &str) {
    let Some(path) = &settings().log_path else { return report(format_args!("{text}")) };
    let path = format!("{path}.{}", std::process::id());
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    if let Err(error) = written {
        report(format_args!("{text}\nlisle: the report could not be written to {path}: {error}"));
    }
}

/// The last thing that the process does: its status says that there were races.
extern "C" fn at_exit() {
    write(&format!("Found {} data race(s)", FOUND.load(Ordering::SeqCst)));
    // SAFETY: both may be called at any time; Rust's own buffers have been flushed before.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(settings().exitcode);
    }
}

impl fmt::Display for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, before) = (&self.now, &self.before);
        let (first, second) = (if now.writes { "Write" } else { "Read" }, if before.writes { "write" } else { "read" });
        writeln!(f, "WARNING: DATA RACE")?;
        writeln!(f, "{first} at {:#014x} by {}:", self.address, now.who())?;
        write_place(f, now.location, now.stack.as_deref())?;
        writeln!(f, "\nPrevious {second} at {:#014x} by {}:", self.address, before.who())?;
        write_place(f, before.location, before.stack.as_deref())?;
        write_creation(f, now.who(), "running")?;
        if now.who().id != before.who().id {
            write_creation(f, before.who(), if self.before_has_ended { "finished" } else { "running" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_thread, &self.name) {
            (false, None) => write!(f, "goroutine {}", self.id),
            (false, Some(name)) => write!(f, "goroutine {} (\"{name}\")", self.id),
            (true, Some(name)) => write!(f, "thread \"{name}\""),
            (true, None) => f.write_str("a thread"),
        }
    }
}

fn write_creation(f: &mut fmt::Formatter<'_>, who: &Who, state: &str) -> fmt::Result {
    if who.is_thread {
        return Ok(());
    }
    let name = who.name.as_ref().map_or(String::new(), |name| format!(" (\"{name}\")"));
    writeln!(f, "\nGoroutine {}{name} ({state}) created at:", who.id)?;
    write_place(f, who.created_at, who.created_in.as_deref())
}

/// The stack, as far as it is the user's, or else the one place that is known.
fn write_place(f: &mut fmt::Formatter<'_>, location: &Location<'_>, stack: Option<&[usize]>) -> fmt::Result {
    let frames = stack.map(users_frames).unwrap_or_default();
    let is_place = |frame: &Frame| frame.line == location.line() && frame.file.ends_with(location.file());
    if !frames.iter().any(is_place) {
        writeln!(f, "  {location}")?;
    }
    frames.iter().try_for_each(|frame| writeln!(f, "  {}()\n      {}:{}", frame.function, frame.file, frame.line))
}

/// A call of the user's.
pub(crate) struct Frame {
    function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The calls of a stack that are not lisle's or those of what Rust and the C library bring along: what they call is
/// the user's, and what lies below `main` and a thread's first function tells nobody anything.
pub(crate) fn users_frames(stack: &[usize]) -> Vec<Frame> {
    const FOREIGN: [&str; 4] = ["/rustc/", "./nptl/", "./csu/", "./misc/"];
    let folder = std::env::current_dir().unwrap_or_default();
    let names = symbol::resolve(stack);
    let users = names.iter().flat_map(|frames| frames.iter()).filter(|frame| frame.origin == Origin::User);
    let named = users.filter_map(|frame| {
        let file = frame.file.as_deref().filter(|file| !FOREIGN.iter().any(|folder| file.starts_with(folder)))?;
        let file = std::path::Path::new(file);
        let file = file.strip_prefix(&folder).unwrap_or(file).to_string_lossy().into_owned();
        Some(Frame { function: frame.function.clone()?, file, line: frame.line? })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_gos() {
        let settings = Settings::parse("halt_on_error=1 log_path=/tmp/races,exitcode=3");
        let expected = Settings { halt_on_error: true, log_path: Some("/tmp/races".into()), exitcode: 3 };
        assert_eq!(settings, expected);
        assert_eq!(Settings::parse("log_path=stderr").log_path, None);
    }
}
