//! What a check can find, and how it tells of it.

use super::op::{At, Op};
use super::trace::{self, Line};
use crate::debug::dump::on_large_stack;
use crate::park::WaitReason;
use crate::race::detector::Race;
use std::fmt;
use std::fmt::Write;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

/// What kind of failure a check has found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// The closure panicked (an assertion that failed, most often), or a goroutine did and nobody joined it.
    Panic,
    /// All goroutines wait, for each other or for nobody, and no timer will wake one.
    Deadlock,
    /// As `Deadlock`, and one of them waits on a [`Condvar`](crate::sync::Condvar) that was notified before it waited.
    LostWakeup,
    /// The closure has returned, and goroutines that it has started wait for ever.
    LeftOver,
    /// More steps than [`Config::steps`](super::Config::steps) allows: goroutines that go round in circles, perhaps.
    Livelock,
    /// Two uses of a variable that nothing orders.
    Race,
    /// The program did something else when the same schedule was run again.
    Nondeterminism,
    /// The program does what cannot be done here, as the text says.
    Unsupported,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Panic => "panic",
            Self::Deadlock => "deadlock",
            Self::LostWakeup => "lost wake-up",
            Self::LeftOver => "goroutines left over",
            Self::Livelock => "livelock",
            Self::Race => "data race",
            Self::Nondeterminism => "nondeterminism",
            Self::Unsupported => "unsupported",
        })
    }
}

/// A goroutine that does not go on, and what is known of why.
#[derive(Clone, Debug)]
pub(crate) struct Blocked {
    pub(crate) id: u64,
    pub(crate) who: String,
    pub(crate) reason: WaitReason,
    pub(crate) at: At,
    /// Who holds the lock that it waits for, since where.
    pub(crate) holder: Option<(u64, &'static Location<'static>)>,
    /// Who notified the condition variable that it waits on, where, when nobody waited.
    pub(crate) unheard: Option<(u64, &'static Location<'static>)>,
    /// Whose end it waits for.
    pub(crate) joined: Option<u64>,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.who)?;
        if self.at.op == Op::Start {
            return f.write_str(" has not begun");
        }
        match self.reason {
            WaitReason::None => write!(f, " is at {} ({})", self.at.location, self.at.op)?,
            reason => write!(f, " waits in {reason} at {}", self.at.location)?,
        }
        if let Some((holder, since)) = self.holder {
            let whose =
                if holder == self.id { String::from("it holds itself") } else { format!("goroutine {holder} holds") };
            write!(f, "; {whose} the lock since {since}")?;
        }
        if let Some(joined) = self.joined {
            write!(f, "; for the end of goroutine {joined}")?;
        }
        if let Some((notifier, place)) = self.unheard {
            write!(f, "; goroutine {notifier} had notified at {place}, before anybody waited")?;
        }
        Ok(())
    }
}

/// What was wrong with a schedule.
#[derive(Clone, Debug)]
pub(crate) enum Problem {
    Panic(String),
    Deadlock(Vec<Blocked>),
    LostWakeup(Vec<Blocked>),
    LeftOver(Vec<Blocked>),
    Livelock { steps: u64, everybody: Vec<Blocked> },
    Race(Box<Race>),
    Nondeterminism(String),
    Unsupported(String),
}

impl Problem {
    pub(crate) fn deadlock(blocked: Vec<Blocked>) -> Self {
        let is_lost = blocked.iter().any(|one| one.unheard.is_some());
        if is_lost { Self::LostWakeup(blocked) } else { Self::Deadlock(blocked) }
    }

    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Panic(_) => FailureKind::Panic,
            Self::Deadlock(_) => FailureKind::Deadlock,
            Self::LostWakeup(_) => FailureKind::LostWakeup,
            Self::LeftOver(_) => FailureKind::LeftOver,
            Self::Livelock { .. } => FailureKind::Livelock,
            Self::Race(_) => FailureKind::Race,
            Self::Nondeterminism(_) => FailureKind::Nondeterminism,
            Self::Unsupported(_) => FailureKind::Unsupported,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |f: &mut fmt::Formatter<'_>, blocked: &[Blocked]| blocked.iter().try_for_each(|one| write!(f, "\n  {one}"));
        match self {
            Self::Panic(text) => f.write_str(text),
            Self::Deadlock(blocked) => {
                f.write_str("deadlock: all goroutines wait, and nothing will wake one")?;
                list(f, blocked)
            }
            Self::LostWakeup(blocked) => {
                f.write_str(
                    "lost wake-up: all goroutines wait, one of them for a notification that came before it waited",
                )?;
                list(f, blocked)
            }
            Self::LeftOver(blocked) => {
                f.write_str("goroutines left over: the test has returned, and these wait for ever")?;
                list(f, blocked)
            }
            Self::Livelock { steps, everybody } => {
                write!(f, "no end after {steps} steps (Config::steps): a livelock, or a test that is too large")?;
                list(f, everybody)
            }
            Self::Race(race) => write!(f, "{race}"),
            Self::Nondeterminism(text) | Self::Unsupported(text) => f.write_str(text),
        }
    }
}

/// A schedule, as a failure shows it.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) schedule: String,
    pub(crate) preemptions: u32,
    pub(crate) lines: Vec<Line>,
    pub(crate) titles: Vec<String>,
}

/// What a check has found. Its text (`Display`, and `Debug`) has all there is to know: the failure, a line to paste that runs
/// the same schedule again, the interleaving as a table, and the schedule with the fewest preemptions that still fails.
///
/// It is put into words when somebody asks: calls are looked up in the program's debug information, which takes some
/// milliseconds the first time in a process.
#[derive(Clone)]
pub struct Failure {
    pub(super) details: Box<Details>,
}

#[derive(Clone)]
pub(super) struct Details {
    pub(super) problem: Problem,
    pub(super) schedules: u64,
    pub(super) found: Option<Shown>,
    pub(super) shrunk: Option<Shown>,
    pub(super) test: Option<String>,
}

impl Details {
    fn shown(&self) -> Option<&Shown> {
        self.shrunk.as_ref().or(self.found.as_ref())
    }

    fn line_to_paste(&self, schedule: &str) -> String {
        match &self.test {
            Some(test) => format!("LISLE_SEED={schedule} cargo test {test}"),
            None => format!("lisle::testing::replay(\"{schedule}\", || …)"),
        }
    }

    fn show(&self, text: &mut String, shown: &Shown) {
        let preemptions = match shown.preemptions {
            0 => String::from("no preemption"),
            1 => String::from("1 preemption"),
            many => format!("{many} preemptions"),
        };
        let _ = writeln!(text, "to run it again ({preemptions}):\n  {}\n", self.line_to_paste(&shown.schedule));
        text.push_str(&trace::table(&shown.lines, &shown.titles));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "a schedule of the test fails (number {} that was tried)\n", self.schedules);
        let _ = writeln!(text, "{}\n", self.problem.to_string().trim_end());
        match (&self.found, &self.shrunk) {
            (Some(found), Some(shrunk)) if found.schedule != shrunk.schedule => {
                self.show(&mut text, found);
                text.push_str("\nand the same with the fewest preemptions that still fail, ");
                self.show(&mut text, shrunk);
            }
            (Some(shown), _) | (None, Some(shown)) => self.show(&mut text, shown),
            (None, None) => {}
        }
        text.truncate(text.trim_end().len());
        text
    }
}

// Nothing in it changes any more.
impl UnwindSafe for Failure {}
impl RefUnwindSafe for Failure {}

/// To read stacks takes more of a stack than a goroutine may have.
fn in_words(text: impl FnOnce() -> String + Send) -> String {
    let text = on_large_stack(|| Ok(text()));
    text.unwrap_or_else(|error| format!("a schedule of the test fails, but there was no thread to tell how: {error}"))
}

impl Failure {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.details.problem.kind()
    }

    /// How many schedules were run until it was found, that one included.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.details.schedules
    }

    /// The schedule that failed, shrunk if that was possible: what [`replay`](super::replay()) and `LISLE_SEED` take.
    #[must_use]
    pub fn schedule(&self) -> &str {
        self.details.shown().map_or("plain", |shown| &shown.schedule)
    }

    /// How many preemptions that schedule has.
    #[must_use]
    pub fn preemptions(&self) -> u32 {
        self.details.shown().map_or(0, |shown| shown.preemptions)
    }

    /// The failure itself, without the schedule.
    #[must_use]
    pub fn message(&self) -> String {
        in_words(|| self.details.problem.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(|| self.details.text()))
    }
}

/// As `Display`: for `unwrap`.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
