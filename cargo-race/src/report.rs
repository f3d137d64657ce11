//! Reports of ThreadSanitizer, told in the words of goroutines, as Go tells of races.
//!
//! ThreadSanitizer knows each goroutine as a thread whose name lisle has set (`goroutine 7 "worker"`, or `ended goroutine 7`). Here the numbers of
//! these threads give way to those names, and runs of frames of lisle and std become one line. What is not understood
//! stays as it is.

use std::collections::HashMap;
use std::fmt;

const RULE: &str = "==================";
/// How the names of goroutines begin.
const GOROUTINE: &str = "goroutine ";
const WARNING: &str = "WARNING: ThreadSanitizer: ";

/// What a file tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Report(Report),
    /// So many reports were held back by patterns.
    Suppressed(u64),
    Other(String),
}

/// Reads what ThreadSanitizer writes, as it comes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The beginning of a line.
    rest: String,
    /// The lines of the report whose end has not come.
    open: Option<Vec<String>>,
    /// Lines follow that count patterns.
    counts: bool,
}

impl Reader {
    pub(crate) fn read(&mut self, text: &str) -> Vec<Event> {
        self.rest.push_str(text);
        let complete = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.rest.split_off(complete);
        let lines = std::mem::replace(&mut self.rest, rest);
        lines.lines().filter_map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line == RULE {
            return match self.open.take() {
                None => {
                    self.open = Some(Vec::new());
                    None
                }
                Some(lines) => Some(Event::Report(Report { lines })),
            };
        }
        if let Some(lines) = &mut self.open {
            lines.push(line.to_owned());
            return None;
        }
        if line.starts_with("ThreadSanitizer: Matched ") {
            self.counts = true;
            return None;
        }
        let count = line.split_whitespace().next().and_then(|word| word.parse().ok());
        match count {
            Some(count) if self.counts => Some(Event::Suppressed(count)),
            _ if line.starts_with("ThreadSanitizer: reported ") || line.is_empty() => None,
            _ => Some(Event::Other(line.to_owned())),
        }
    }
}

/// One report, without the rules around it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    lines: Vec<String>,
}

impl Report {
    /// As ThreadSanitizer wrote it.
    pub(crate) fn raw(&self) -> String {
        format!("{RULE}\n{}\n{RULE}", self.lines.join("\n"))
    }

    /// The names of threads, by their numbers: `T3`.
    fn names(&self) -> HashMap<&str, String> {
        self.lines.iter().filter_map(|line| Creation::parse(line)).map(|it| (it.number, it.who())).collect()
    }
}

/// A report in words of goroutines. `lisle`: where its source is.
pub(crate) struct Told<'a> {
    pub(crate) report: &'a Report,
    pub(crate) lisle: Option<&'a str>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, lisle } = *self;
        let names = report.names();
        // Of the stack that is written: the frames left out since the last that was shown, and whether one was shown.
        let (mut folded, mut shown) = (0, false);
        writeln!(f, "{RULE}")?;
        let is_content = |line: &String| !line.is_empty() && !line.starts_with("SUMMARY: ");
        let end = report.lines.iter().rposition(is_content).map_or(0, |last| last + 1);
        for line in &report.lines[..end] {
            if let Some(frame) = Frame::parse(line) {
                if frame.is_runtimes(lisle) {
                    folded += 1;
                    continue;
                }
                unfold(f, &mut folded)?;
                writeln!(f, "{frame}")?;
                shown = true;
                continue;
            }
            end_stack(f, &mut folded, &mut shown)?;
            if let Some(kind) = line.strip_prefix(WARNING) {
                let kind = kind.split(" (pid=").next().unwrap_or(kind);
                writeln!(f, "WARNING: {}", kind.to_uppercase())?;
            } else if let Some(creation) = Creation::parse(line) {
                writeln!(f, "{}", creation.in_words(&names))?;
            } else if line.contains("[failed to restore the stack]") {
                writeln!(f, "  (its stack is forgotten: TSAN_OPTIONS=history_size=7 remembers more)")?;
            } else {
                writeln!(f, "{}", headline(line, &names))?;
            }
        }
        end_stack(f, &mut folded, &mut shown)?;
        write!(f, "{RULE}")
    }
}

/// What lies below the last frame of the user's is of no interest, unless it is all that there is.
fn end_stack(f: &mut fmt::Formatter<'_>, folded: &mut usize, shown: &mut bool) -> fmt::Result {
    if std::mem::take(shown) {
        *folded = 0;
    }
    unfold(f, folded)
}

/// Tells of the frames that were left out.
fn unfold(f: &mut fmt::Formatter<'_>, folded: &mut usize) -> fmt::Result {
    match std::mem::take(folded) {
        0 => Ok(()),
        1 => writeln!(f, "  ... a frame of lisle or std"),
        count => writeln!(f, "  ... {count} frames of lisle and std"),
    }
}

/// `  Write of size 8 at 0x7b04 by thread T3:` as `Write of size 8 at 0x7b04 by goroutine 7:`.
fn headline(line: &str, names: &HashMap<&str, String>) -> String {
    let mut text = String::new();
    let mut rest = line.trim_start();
    while let Some(at) = rest.find("thread T") {
        let number = &rest[at + "thread ".len()..];
        let length = number[1..].find(|letter: char| !letter.is_ascii_digit()).map_or(number.len(), |end| end + 1);
        text.push_str(&rest[..at]);
        match names.get(&number[..length]) {
            Some(name) => text.push_str(name),
            None => text.push_str(&rest[at..at + "thread ".len() + length]),
        }
        rest = &number[length..];
    }
    text + rest
}

/// `  Thread T3 'goroutine 7' (tid=31, running) created by main thread at:`
struct Creation<'a> {
    number: &'a str,
    name: Option<&'a str>,
    state: &'a str,
    by: &'a str,
}

impl<'a> Creation<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let rest = line.trim_start().strip_prefix("Thread ")?;
        let (head, rest) = rest.split_once(" (tid=")?;
        let (number, name) = match head.split_once(" '") {
            Some((number, name)) => (number, Some(name.strip_suffix('\'')?)),
            None => (head, None),
        };
        let (state, by) = rest.split_once(", ")?.1.split_once(')')?;
        let ended = name.and_then(|name| name.strip_prefix("ended ")).filter(|name| name.starts_with(GOROUTINE));
        let (name, state) = if ended.is_some() { (ended, "finished") } else { (name, state) };
        Some(Self { number, name, state, by: by.trim_start() })
    }

    fn who(&self) -> String {
        match self.name {
            Some(name) if name.starts_with(GOROUTINE) => match name.split_once(" \"") {
                Some((number, name)) => format!("{number} (\"{})", name),
                None => name.to_owned(),
            },
            Some(name) => format!("thread \"{name}\""),
            None => format!("thread {}", self.number),
        }
    }

    fn in_words(&self, names: &HashMap<&str, String>) -> String {
        let who = self.who();
        let (first, rest) = who.split_at(1);
        let by = headline(self.by, names);
        format!("{}{rest} ({}) {by}", first.to_uppercase(), self.state)
    }
}

/// `    #0 name /path/file.rs:12:5 (program+0x1234) (BuildId: …)`
struct Frame<'a> {
    function: String,
    place: &'a str,
}

impl<'a> Frame<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (number, rest) = line.trim_start().strip_prefix('#')?.split_once(' ')?;
        number.parse::<u32>().ok()?;
        let rest = rest.split(" (BuildId").next().unwrap_or(rest);
        let rest = match rest.rsplit_once(" (") {
            Some((before, module)) if module.contains("+0x") => before,
            _ => rest,
        };
        let (function, place) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        Some(Self { function: plain(function), place })
    }

    /// Whether it is lisle's, whose source is in the folder `lisle`, std's, or of what lies below both.
    fn is_runtimes(&self, lisle: Option<&str>) -> bool {
        const PLACES: [&str; 6] = [
            "/library/core/src/",
            "/library/std/src/",
            "/library/alloc/src/",
            "/library/test/src/",
            "/compiler-rt/",
            "/corosensei-",
        ];
        const NAMES: [&str; 8] =
            ["std::", "core::", "alloc::", "test::", "lisle::", "corosensei::", "__rust_try", "stack_init_trampoline"];
        if self.place.starts_with('/') {
            return lisle.is_some_and(|lisle| self.place.starts_with(lisle))
                || PLACES.iter().any(|part| self.place.contains(part));
        }
        let name = self.function.trim_start_matches(['<', '&']);
        matches!(name, "" | "null>" | "main" | "_start") || NAMES.iter().any(|with| name.starts_with(with))
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = std::env::current_dir().unwrap_or_default();
        let place = std::path::Path::new(self.place);
        let place = place.strip_prefix(&here).unwrap_or(place);
        write!(f, "  {}()", self.function)?;
        if self.place != "<null>" {
            write!(f, "\n      {}", place.display())?;
        }
        Ok(())
    }
}

/// A name as it stands in the source: symbolizers may know no Rust.
fn plain(function: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(function));
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => &name,
    };
    // A segment that began with an escape was given a line to begin with.
    let mut name = name.replace("_$", "$");
    for (escaped, letters) in ESCAPES {
        name = name.replace(escaped, letters);
    }
    name
}

/// Of the older form of Rust's symbols, as far as it is seen in names of functions.
const ESCAPES: [(&str, &str); 11] = [
    ("$LT$", "<"),
    ("$GT$", ">"),
    ("$LP$", "("),
    ("$RP$", ")"),
    ("$RF$", "&"),
    ("$BP$", "*"),
    ("$C$", ","),
    ("$u20$", " "),
    ("$u7b$", "{"),
    ("$u7d$", "}"),
    ("..", "::"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"==================
WARNING: ThreadSanitizer: data race (pid=4711)
  Write of size 8 at 0x720800000010 by thread T5:
    #0 core::ptr::write::h0123456789abcdef /src/library/core/src/ptr/mod.rs:1500:9 (racy+0xab) (BuildId: 00)
    #1 racy::main::_$u7b$$u7b$closure$u7d$$u7d$::hfedcba9876543210 /home/me/racy/src/main.rs:12:9 (racy+0x12)
    #2 run<()> /lisle/src/sched/task.rs:99:5 (racy+0x13)
    #3 lisle::sched::worker::enter /lisle/src/sched/worker.rs:745:5 (racy+0x14)

  Previous write of size 8 at 0x720800000010 by thread T4 (mutexes: write M0):
    [failed to restore the stack]

  Location is heap block of size 8 at 0x720800000010 allocated by main thread:
    #0 malloc /rustc/llvm/compiler-rt/lib/tsan/rtl/interceptors.cpp:670:5 (racy+0x15)
    #1 c_code <null> (racy+0x19)

  Thread T5 'goroutine 7 "the writer"' (tid=12, running) created by main thread at:
    #0 racy::main /home/me/racy/src/main.rs:10:5 (racy+0x16)

  Thread T4 'ended goroutine 6' (tid=0, running) created by thread T5 at:
    #0 racy::main /home/me/racy/src/main.rs:11:5 (racy+0x17)

SUMMARY: ThreadSanitizer: data race /home/me/racy/src/main.rs:12:9 in racy::main
==================
"#;

    fn told(text: &str) -> String {
        let events = Reader::default().read(text);
        match events.as_slice() {
            [Event::Report(report)] => Told { report, lisle: Some("/lisle/src/") }.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_speaks_of_goroutines_and_shows_the_users_frames() {
        let expected = r#"==================
WARNING: DATA RACE
Write of size 8 at 0x720800000010 by goroutine 7 ("the writer"):
  ... a frame of lisle or std
  racy::main::{{closure}}()
      /home/me/racy/src/main.rs:12:9

Previous write of size 8 at 0x720800000010 by goroutine 6 (mutexes: write M0):
  (its stack is forgotten: TSAN_OPTIONS=history_size=7 remembers more)

Location is heap block of size 8 at 0x720800000010 allocated by main thread:
  ... a frame of lisle or std
  c_code()

Goroutine 7 ("the writer") (running) created by main thread at:
  racy::main()
      /home/me/racy/src/main.rs:10:5

Goroutine 6 (finished) created by goroutine 7 ("the writer") at:
  racy::main()
      /home/me/racy/src/main.rs:11:5
=================="#;
        assert_eq!(told(LOG), expected);
    }

    #[test]
    fn reports_are_read_in_pieces_and_counts_of_patterns_too() {
        let mut reader = Reader::default();
        let text = format!("FATAL: no memory\n{LOG}ThreadSanitizer: reported 1 warnings\n");
        let text = text + "ThreadSanitizer: Matched 2 suppressions (pid=4711):\n3 race:LocalKey\n1 race:deque\n\n";
        let (first, second) = text.split_at(200);
        let mut events = reader.read(first);
        events.extend(reader.read(second));
        let Event::Report(report) = events.remove(1) else { panic!("{events:?}") };
        assert_eq!(report.raw() + "\n", LOG);
        let expected = [Event::Other("FATAL: no memory".into()), Event::Suppressed(3), Event::Suppressed(1)];
        assert_eq!(events, expected);
    }

    #[test]
    fn threads_keep_their_names_and_unknown_ones_their_numbers() {
        let names = HashMap::from([("T1", "thread \"io\"".to_owned()), ("T12", "goroutine 3".to_owned())]);
        let text = headline("  Read of size 1 at 0x1 by thread T1, thread T12, thread T9:", &names);
        assert_eq!(text, "Read of size 1 at 0x1 by thread \"io\", goroutine 3, thread T9:");
        let line = "  Thread T1 'io' (tid=5, running) created by main thread at:";
        assert_eq!(
            Creation::parse(line).unwrap().in_words(&names),
            "Thread \"io\" (running) created by main thread at:"
        );
    }

    #[test]
    fn names_of_functions_are_made_plain() {
        assert_eq!(plain("_ZN4core3ptr5write17h0123456789abcdefE"), "core::ptr::write");
        assert_eq!(
            plain("_$LT$racy..Counter$u20$as$u20$core..ops..Drop$GT$::drop"),
            "<racy::Counter as core::ops::Drop>::drop"
        );
        assert_eq!(plain("memcpy"), "memcpy");
    }
}
