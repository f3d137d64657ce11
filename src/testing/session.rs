//! One check: schedule after schedule until one fails or enough have been run.

use super::config::{Config, Report, Strategy};
use super::driver::{Driver, Random, StopOnce};
use super::explorer::{Explorer, Outcome, Plan};
use super::failure::{Details, Failure, FailureKind, Problem, Shown};
use super::host::with_explorer;
use super::schedule::{Deviation, Schedule};
use super::search::Search;
use super::{shrink, trace};
use crate::sched::worker::Worker;
use std::panic::Location;
use std::time::Instant;

/// A test that is not the same each time is run so often to show where it differs.
const LOOKS_FOR_DIFFERENCE: u32 = 30;
/// So many schedules are recorded at once where that saves to run one again: it costs a tenth to half of a schedule.
const RECORDED: u64 = 8;
const CAUSES: &str = ": schedules cannot be repeated. \
    The order of a std HashMap, addresses, the wall clock (use lisle::time::now), random numbers, or statics and thread-locals \
    that keep something from run to run do that.";

/// What `LISLE_SEED` asks for.
enum Wish {
    Nothing,
    AnySeed,
    Schedule(Schedule),
}

fn wish() -> Wish {
    let Ok(text) = std::env::var("LISLE_SEED") else { return Wish::Nothing };
    match text.as_str() {
        "" => Wish::Nothing,
        "any" => Wish::AnySeed,
        text => Wish::Schedule(parse(text)),
    }
}

pub(super) fn parse(text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|| {
        panic!("{text:?} is no schedule: take it as a failed check has printed it (or `any`, in LISLE_SEED)")
    })
}

/// See `Config::explore`.
#[track_caller]
pub(super) fn explore<F: Fn() + Send>(config: &Config, f: F) -> Result<Report, Failure> {
    let (wish, test, created_at) = (wish(), test_name(), Location::caller());
    with_explorer(move |explorer, worker| {
        let session = Session { explorer, worker, main: &f, config, created_at, test };
        match wish {
            Wish::Nothing => session.search(config.seed),
            Wish::AnySeed => session.search(Random::new(crate::park::random().into()).next()),
            Wish::Schedule(schedule) => session.replay(&schedule),
        }
    })
}

/// See `testing::replay`.
#[track_caller]
pub(super) fn replay<F: Fn() + Send>(schedule: &Schedule, f: F) -> Result<Report, Failure> {
    let config = Config::new().eager_time(schedule.chooses_time());
    let created_at = Location::caller();
    let schedule = schedule.clone();
    with_explorer(move |explorer, worker| {
        let session = Session { explorer, worker, main: &f, config: &config, created_at, test: None };
        session.replay(&schedule)
    })
}

/// The calling test, if its thread is named for it.
fn test_name() -> Option<String> {
    let thread = std::thread::current();
    thread.name().filter(|&name| name != "main" && !name.starts_with("lisle-")).map(Into::into)
}

/// A check under way, on the explorer's thread.
pub(super) struct Session<'a> {
    explorer: &'a Explorer,
    worker: &'a Worker,
    main: &'a dyn Fn(),
    config: &'a Config,
    created_at: &'static Location<'static>,
    test: Option<String>,
}

impl Session<'_> {
    pub(super) fn run(&self, driver: Driver, records: bool) -> Outcome {
        let Config { eager_time, steps: most_steps, .. } = *self.config;
        let plan = Plan { driver, preempts: true, eager_time, most_steps, records, prints_panics: false };
        self.explorer.explore(self.worker, plan, self.created_at, || (self.main)())
    }

    pub(super) fn run_deviations(&self, deviations: &[Deviation]) -> Outcome {
        self.run(Driver::following(deviations), false)
    }

    fn record(&self, deviations: &[Deviation]) -> Outcome {
        self.run(Driver::following(deviations), true)
    }

    fn search(&self, seed: u64) -> Result<Report, Failure> {
        let began = Instant::now();
        let mut source = Source::new(self.config, seed);
        let mut report = Report { schedules: 0, redundant: 0, is_complete: false, steps: 0 };
        while report.schedules < self.config.iterations {
            let Some((schedule, driver)) = source.next(report.steps) else { break };
            // A failure that is not to be shrunk comes early or never, most often: it is told as it was seen.
            let records = !self.config.shrinks && report.schedules < RECORDED;
            let outcome = self.run(driver, records);
            report.schedules += 1;
            report.steps = report.steps.max(outcome.steps);
            if outcome.problem.is_some() {
                return Err(self.failure(outcome, schedule, report.schedules));
            }
            let Outcome { driver, deviations, fingerprint, .. } = outcome;
            // 1, 10, 100, …: programs that are not the same each time show it soon.
            if report.schedules.checked_ilog10().is_some_and(|log| 10_u64.pow(log) == report.schedules) {
                self.compare(&deviations, fingerprint, report.schedules)?;
            }
            source.take_back(driver, &mut report);
            if report.is_complete || self.config.time.is_some_and(|most| began.elapsed() >= most) {
                break;
            }
        }
        Ok(report)
    }

    fn replay(&self, schedule: &Schedule) -> Result<Report, Failure> {
        let outcome = self.run(Driver::of(schedule), false);
        if outcome.problem.is_some() {
            return Err(self.failure(outcome, Some(schedule.clone()), 1));
        }
        Ok(Report { schedules: 1, redundant: 0, is_complete: false, steps: outcome.steps })
    }

    // ---- does it go the same way twice? ----

    /// Runs a schedule again. What is done once in a process (a `static` that is initialised) may make the first time
    /// another than the second, but the third is to be as the second.
    fn compare(&self, deviations: &[Deviation], fingerprint: u64, schedules: u64) -> Result<(), Failure> {
        let second = self.run_deviations(deviations);
        if second.fingerprint == fingerprint && second.problem.is_none() {
            return Ok(());
        }
        let third = self.run_deviations(deviations);
        if third.fingerprint == second.fingerprint && second.problem.is_none() {
            return Ok(());
        }
        let problem = Problem::Nondeterminism(self.difference(deviations, "the test"));
        Err(self.new_failure(problem, schedules, None, None))
    }

    fn difference(&self, deviations: &[Deviation], what: &str) -> String {
        let first = trace::steps(&self.record(deviations).lines);
        // By chance two of them may be alike.
        let others = (0..LOOKS_FOR_DIFFERENCE).map(|_| trace::steps(&self.record(deviations).lines));
        let Some(second) = others.into_iter().find(|second| *second != first) else {
            return format!(
                "{what} did not do the same when the same schedule was run again, though it does most times{CAUSES}"
            );
        };
        let at = first.iter().zip(&second).position(|(a, b)| a != b);
        let at = at.unwrap_or(first.len().min(second.len()));
        let [once, then] =
            [first, second].map(|steps| steps.get(at).cloned().unwrap_or_else(|| String::from("its end")));
        format!(
            "{what} does not do the same when the same schedule is run again{CAUSES}\n  step {}, once: {once}\n  and then: {then}",
            at + 1
        )
    }

    // ---- failures ----

    fn new_failure(&self, problem: Problem, schedules: u64, found: Option<Shown>, shrunk: Option<Shown>) -> Failure {
        let test = self.test.clone();
        Failure { details: Box::new(Details { problem, schedules, found, shrunk, test }) }
    }

    fn failure(&self, outcome: Outcome, schedule: Option<Schedule>, schedules: u64) -> Failure {
        let problem = outcome.problem.clone().expect("it has failed");
        // A thread on which an unwinding was broken off is not as it was: no more schedules there.
        if std::thread::panicking() {
            return self.new_failure(problem, schedules, None, None);
        }
        let schedule = schedule.unwrap_or_else(|| Schedule::Deviations(outcome.deviations.clone()));
        if outcome.is_recorded {
            return self.new_failure(problem, schedules, Some(show(&schedule, outcome)), None);
        }
        let again = self.record(&outcome.deviations);
        let Some(problem) = again.problem.clone().filter(|again| again.kind() == problem.kind()) else {
            let what = format!("{problem}\n\nBut the test");
            let problem = Problem::Nondeterminism(self.difference(&outcome.deviations, &what));
            return self.new_failure(problem, schedules, None, None);
        };
        let found = show(&schedule, again);
        let shrunk = if self.config.shrinks { self.shrink(problem.kind(), outcome) } else { None };
        match shrunk {
            Some((problem, shrunk)) => self.new_failure(problem, schedules, Some(found), Some(shrunk)),
            None => self.new_failure(problem, schedules, Some(found), None),
        }
    }

    fn shrink(&self, kind: FailureKind, outcome: Outcome) -> Option<(Problem, Shown)> {
        let least = shrink::shrink(self, kind, outcome.deviations, outcome.preemptions);
        let shown = self.record(&least);
        let problem = shown.problem.clone().filter(|problem| problem.kind() == kind)?;
        Some((problem, show(&Schedule::Deviations(least), shown)))
    }
}

fn show(schedule: &Schedule, outcome: Outcome) -> Shown {
    let Outcome { preemptions, lines, titles, .. } = outcome;
    Shown { schedule: schedule.to_string(), preemptions, lines, titles }
}

/// Where schedules come from.
struct Source<'a> {
    config: &'a Config,
    random: Random,
    count: u64,
    /// The exhaustive search, between two schedules.
    search: Option<Box<Search>>,
}

impl<'a> Source<'a> {
    fn new(config: &'a Config, seed: u64) -> Self {
        let exhaustive = config.strategy == Strategy::Exhaustive;
        let search = exhaustive.then(|| Box::new(Search::new(config.depth, config.preemptions, config.yields)));
        Self { config, random: Random::new(seed), count: 0, search }
    }

    /// The next schedule, and how it is driven; no text for what only its outcome can tell.
    fn next(&mut self, longest: u64) -> Option<(Option<Schedule>, Driver)> {
        if let Some(mut search) = self.search.take() {
            search.begin();
            return Some((None, Driver::Search(search)));
        }
        let number = self.count;
        self.count += 1;
        let seed = self.random.next();
        let pct = |depth| Schedule::Pct { depth, seed, length: longest };
        let schedule = match self.config.strategy {
            Strategy::Random => Schedule::Random { seed },
            Strategy::Pct { depth } => pct(depth),
            Strategy::RoundRobin if number > longest.max(1) => return None,
            Strategy::RoundRobin => Schedule::RoundRobin { quantum: number as u32 + 1 },
            Strategy::Exhaustive => return None,
            Strategy::Mixed => match number {
                0 => return Some((None, Driver::StopOnce(StopOnce::default()))),
                1 => return Some((None, Driver::Oldest)),
                2 => Schedule::RoundRobin { quantum: 1 },
                3 | 4 => return Some((None, Driver::Once { left: 5 - number })),
                5 => Schedule::Deviations(Vec::new()),
                6 => return Some((None, Driver::Youngest)),
                _ if number % 3 == 1 => return Some((None, Driver::Once { left: 1 + number / 3 })),
                _ if number % 3 == 2 => pct(2 + (number as u32 / 3) % 3),
                _ => Schedule::Random { seed },
            },
        };
        let driver = Driver::of(&schedule);
        Some((Some(schedule), driver))
    }

    /// The driver of a schedule that has ended well.
    fn take_back(&mut self, driver: Driver, report: &mut Report) {
        let Driver::Search(mut search) = driver else {
            report.is_complete |= self.config.strategy == Strategy::RoundRobin && self.count > report.steps;
            return;
        };
        report.redundant += u64::from(search.was_redundant());
        let more = search.advance();
        report.is_complete = !more && !search.was_cut && self.config.preemptions.is_none();
        if more {
            self.search = Some(search);
        }
    }
}
