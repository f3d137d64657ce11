//! One check: schedule after schedule, on a thread of its own, until one fails or enough have been run.

use super::config::{Config, Report, Strategy};
use super::driver::{Driver, Random, StopOnce};
use super::explorer::{Explorer, Outcome, Plan, Pulse};
use super::failure::{Details, Failure, FailureKind, Problem, Shown};
use super::schedule::{Deviation, Schedule};
use super::search::Search;
use super::{quiet, shrink, trace};
use crate::observe::Exploring;
use crate::report::report;
use crate::sched::Scheduler;
use crate::sched::worker::{Kind, Worker};
use crate::stack::overflow::{SignalStack, SignalStackMemory};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often one looks whether the explorer goes on.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks without a step it is told.
const PATIENCE: u32 = 5;

/// A test that is not the same each time is run so often to show where it differs.
const LOOKS_FOR_DIFFERENCE: u32 = 30;
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
    on_a_thread(move |explorer, worker| {
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
    on_a_thread(move |explorer, worker| {
        let session = Session { explorer, worker, main: &f, config: &config, created_at, test: None };
        session.replay(&schedule)
    })
}

/// The calling test, if its thread is named for it.
fn test_name() -> Option<String> {
    let thread = std::thread::current();
    thread.name().filter(|&name| name != "main" && !name.starts_with("lisle-")).map(Into::into)
}

/// Runs `work` on an explorer's thread, and waits for it.
///
/// # Panics
/// As `work` does; or if it is called on such a thread.
pub(super) fn on_a_thread<R: Send>(work: impl FnOnce(&Explorer, &Worker) -> R + Send) -> R {
    assert!(!crate::observe::is_explored(), "a check was begun within a check: there is one schedule at a time");
    quiet::install_hook();
    let pulse = Arc::new(Pulse::default());
    // Panics there are told in its name.
    let name = std::thread::current().name().unwrap_or("lisle-check").to_owned();
    let result = crate::blocking(move || {
        let (ended, end) = channel::<()>();
        std::thread::scope(|scope| {
            let pulse_there = Arc::clone(&pulse);
            let body = move || {
                // Dropped at the end, in whatever way that comes.
                let _ended = ended;
                become_explorer(pulse_there, work)
            };
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, body);
            let thread = thread.unwrap_or_else(|error| panic!("no thread for a check: {error}"));
            watch(&end, &pulse);
            thread.join()
        })
    });
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

fn become_explorer<R>(pulse: Arc<Pulse>, work: impl FnOnce(&Explorer, &Worker) -> R) -> R {
    let scheduler = Scheduler::without_workers(crate::runtime::Config::new());
    let scheduler = scheduler.unwrap_or_else(|error| panic!("a check could not begin: {error}"));
    let shared = crate::sched::worker::WorkerShared::acquire();
    let shared = shared.unwrap_or_else(|error| panic!("a check could not begin: {error}"));
    scheduler.enlist_explorer(shared);
    let explorer = Explorer::new(pulse);
    let mut result = None;
    let memory = SignalStackMemory::reserve();
    let _signal_stack = SignalStack::install(memory.unwrap_or_else(|error| panic!("a check could not begin: {error}")));
    Worker::serve(shared, scheduler, Kind::Explorer, |worker| {
        let _exploring = Exploring::begin(&explorer);
        result = Some(work(&explorer, worker));
    });
    result.expect("the work was done")
}

/// Waits for the end, and tells if a goroutine blocks the thread: then nobody can go on.
fn watch(end: &Receiver<()>, pulse: &Pulse) {
    let (mut seen, mut looks) = (0, 0);
    while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let steps = pulse.steps.load(Relaxed);
        looks = if steps == seen { looks + 1 } else { 0 };
        seen = steps;
        if looks == PATIENCE {
            // SAFETY: null, or the address of a `&'static Location`.
            let place = unsafe { pulse.location.load(Relaxed).as_ref() };
            let place = place.map_or_else(|| String::from("its start"), Location::to_string);
            report(format_args!(
                "lisle: goroutine {} of a check has gone no further than {place} for {} s. If it computes, so be it; if it \
                 waits for something that is not lisle's (a std::sync::Mutex, perhaps, that another goroutine holds across \
                 an operation of lisle's), it waits for ever: use lisle::sync",
                pulse.goroutine.load(Relaxed),
                PATIENCE * LOOK.as_secs() as u32
            ));
        }
    }
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
            let outcome = self.run(driver, false);
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
        Err(self.new_failure(&problem, schedules, None, None))
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

    /// In words at once: to read stacks takes more of a stack than the caller of the check may have.
    fn new_failure(&self, problem: &Problem, schedules: u64, found: Option<Shown>, shrunk: Option<Shown>) -> Failure {
        let (kind, message, test) = (problem.kind(), problem.to_string(), self.test.clone());
        Failure { details: Box::new(Details { kind, message, schedules, found, shrunk, test }) }
    }

    fn failure(&self, outcome: Outcome, schedule: Option<Schedule>, schedules: u64) -> Failure {
        let problem = outcome.problem.as_ref().expect("it has failed");
        // A thread on which an unwinding was broken off is not as it was: no more schedules there.
        if std::thread::panicking() {
            return self.new_failure(problem, schedules, None, None);
        }
        let again = self.record(&outcome.deviations);
        let Some(problem) = again.problem.as_ref().filter(|again| again.kind() == problem.kind()) else {
            let what = format!("{problem}\n\nBut the test");
            let problem = Problem::Nondeterminism(self.difference(&outcome.deviations, &what));
            return self.new_failure(&problem, schedules, None, None);
        };
        let schedule = schedule.unwrap_or_else(|| Schedule::Deviations(outcome.deviations.clone()));
        let found = show(&schedule, &again);
        let shrunk = if self.config.shrinks { self.shrink(problem.kind(), outcome) } else { None };
        match shrunk {
            Some((problem, shrunk)) => self.new_failure(&problem, schedules, Some(found), Some(shrunk)),
            None => self.new_failure(problem, schedules, Some(found), None),
        }
    }

    fn shrink(&self, kind: FailureKind, outcome: Outcome) -> Option<(Problem, Shown)> {
        let least = shrink::shrink(self, kind, outcome.deviations, outcome.preemptions);
        let shown = self.record(&least);
        let problem = shown.problem.clone().filter(|problem| problem.kind() == kind)?;
        Some((problem, show(&Schedule::Deviations(least), &shown)))
    }
}

fn show(schedule: &Schedule, outcome: &Outcome) -> Shown {
    let table = trace::table(&outcome.lines, &outcome.titles);
    Shown { schedule: schedule.to_string(), preemptions: outcome.preemptions, table }
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
