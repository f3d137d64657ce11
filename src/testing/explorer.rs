//! The explorer: runs one schedule after the other on a thread of its own.
//!
//! # How
//! An explorer is a worker (`sched::worker`) of a runtime that has no other, with another loop: real goroutines on real
//! stacks, which are kept from schedule to schedule. At each *point* (see `observe`) a goroutine asks who is to go first;
//! if it is another, it steps back into the ready queue and gives its thread to the loop, which resumes the chosen one.
//! When a goroutine waits or ends, the loop asks. Fresh goroutines get their stacks at once: being started changes nothing
//! that anybody could see.
//!
//! # Time
//! `clock::now` on this thread is the explorer's: it stands still while anybody can run, and goes on to the next timer or
//! deferred call when nobody can. Once the program's main closure has returned it does not go on any more, as in Go's
//! `testing/synctest`: what was to be done later is dropped, and who still waits then is left over.
//!
//! # Ends
//! A failure ends a schedule where it stands. What is left of it (goroutines in the middle of something) is leaked, with
//! all that it owns: others may borrow from those stacks. So does every failing attempt to shrink it.
//!
//! # Who may touch what
//! Everything here lives on the explorer's thread. `run` is borrowed for moments in which no user code runs and nobody
//! switches. Only `pulse` is read by another thread, which watches for one that is blocked outside of lisle.

use super::driver::{Decision, Driver};
use super::failure::{Blocked, Problem};
use super::op::{At, Op};
use super::schedule::{Choice, Deviation, Moment};
use super::trace::{self, Event, Line};
use crate::park::WaitReason;
use crate::race::detector::{ByAddress, Detector, Race};
use crate::sched::g::{G, RunState};
use crate::sched::keep_thread;
use crate::sched::task::ResultSlot;
use crate::sched::worker::Worker;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Who does so many steps in a row while others could run counts as waiting for them: it spins, perhaps.
const FAIR_STEPS: u32 = 300;
/// The same where points are not places to switch at.
const PATIENT_STEPS: u32 = 10_000;

/// Among the goroutines that could run, the clock: it has no number that a goroutine could have.
pub(super) const CLOCK: u64 = 0;

/// What the explorer's thread shows to the one that waits for it.
#[derive(Default)]
pub(crate) struct Pulse {
    pub(crate) steps: AtomicU64,
    pub(crate) goroutine: AtomicU64,
    pub(crate) location: AtomicPtr<Location<'static>>,
}

impl Pulse {
    fn show(&self, goroutine: u64, location: &'static Location<'static>) {
        self.goroutine.store(goroutine, Ordering::Relaxed);
        self.location.store(std::ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }
}

/// How a schedule is to be run.
pub(crate) struct Plan {
    pub(crate) driver: Driver,
    /// Whether points are places to switch at: else goroutines switch only where they wait.
    pub(crate) preempts: bool,
    /// Whether timers may be due at any moment, not only when all wait.
    pub(crate) eager_time: bool,
    pub(crate) most_steps: u64,
    pub(crate) records: bool,
    pub(crate) prints_panics: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) driver: Driver,
    pub(crate) problem: Option<Problem>,
    pub(crate) deviations: Vec<Deviation>,
    pub(crate) preemptions: u32,
    pub(crate) steps: u64,
    /// Two schedules in which the same was done have the same.
    pub(crate) fingerprint: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) titles: Vec<String>,
}

/// What is known of a goroutine of this schedule.
pub(super) struct Strand {
    g: NonNull<G>,
    pub(super) steps: u32,
    /// What it does next, or is doing.
    pub(super) at: At,
    pub(super) has_ended: bool,
    /// When it was made.
    made_at: Moment,
    pub(super) name: Option<Arc<str>>,
    pub(super) created_at: &'static Location<'static>,
}

impl Strand {
    /// Whether it was made in the step before that moment, and has not begun.
    fn is_made_before(&self, at: Moment) -> bool {
        let Moment { goroutine, step } = self.made_at;
        self.at.op == Op::Start && goroutine == at.goroutine && step + 1 == at.step
    }
}

/// The present schedule.
pub(super) struct Run {
    plan: Plan,
    pub(super) strands: Vec<Strand>,
    /// Who ran last.
    last: u64,
    /// How many steps in a row that has done.
    streak: u32,
    candidates: Vec<u64>,
    deviations: Vec<Deviation>,
    preemptions: u32,
    steps: u64,
    fingerprint: u64,
    lines: Vec<Line>,
    problem: Option<Problem>,
    main_is_over: bool,
    /// Who waits for all others to wait.
    settling: Vec<u64>,
    /// Who holds a lock, and since where.
    pub(super) holders: ByAddress<(u64, &'static Location<'static>)>,
    /// The last notification that nobody heard, by condition variable.
    pub(super) unheard: ByAddress<(u64, &'static Location<'static>)>,
    detector: Detector,
}

/// See the module.
pub(crate) struct Explorer {
    run: RefCell<Run>,
    /// Chosen at a point, to be resumed.
    next: Cell<Option<NonNull<G>>>,
    /// Chosen at a point: that a timer is due.
    time_is_next: Cell<bool>,
    start: Instant,
    passed: Cell<Duration>,
    prints_panics: Cell<bool>,
    pulse: Arc<Pulse>,
}

/// Who goes on.
enum Turn {
    Same,
    Other(NonNull<G>),
    /// The next timer is due first.
    Time,
    Nobody,
}

impl Explorer {
    pub(crate) fn new(pulse: Arc<Pulse>) -> Self {
        let driver = Driver::of(&super::schedule::Schedule::Deviations(Vec::new()));
        let plan = Plan { driver, preempts: false, eager_time: false, most_steps: 0, records: false, prints_panics: false };
        Self {
            run: RefCell::new(Run::new(plan, Detector::default())),
            next: Cell::new(None),
            time_is_next: Cell::new(false),
            start: crate::clock::base(),
            passed: Cell::new(Duration::ZERO),
            prints_panics: Cell::new(false),
            pulse,
        }
    }

    /// The present of this world.
    pub(crate) fn now(&self) -> Instant {
        self.start + self.passed.get()
    }

    pub(crate) fn with_detector<R>(&self, f: impl FnOnce(&mut Detector, Option<&G>) -> R) -> R {
        Worker::with_current(|worker| f(&mut self.run.borrow_mut().detector, worker.and_then(Worker::running)))
    }

    // ---- what goroutines tell ----

    /// The running goroutine is about to do a step: others may go first.
    pub(crate) fn reach(&self, at: At) {
        // SAFETY: used within this function only.
        let worker = unsafe { Worker::current() };
        let Some((worker, g)) = worker.and_then(|worker| Some((worker, worker.running()?))) else { return };
        let pinned = g.pinned(worker);
        let stays = keep_thread::reason_to(worker, g, pinned).is_some();
        self.pulse.show(g.id, at.location);
        let turn = self.run.borrow_mut().reach(worker, g, at, stays);
        match turn {
            Turn::Same => {}
            Turn::Other(next) => {
                self.next.set(Some(next));
                self.step_back(worker, g);
            }
            Turn::Time => {
                self.time_is_next.set(true);
                self.step_back(worker, g);
            }
            Turn::Nobody if stays => return,
            Turn::Nobody => self.abandon(worker, g),
        }
        let mut run = self.run.borrow_mut();
        run.do_step(g.id, at);
        self.pulse.steps.store(run.steps, Ordering::Relaxed);
    }

    /// Gives the thread to the loop, and waits for another turn.
    fn step_back(&self, worker: &Worker, g: &G) {
        let pinned = g.pinned(worker);
        pinned.state.set(RunState::Ready);
        worker.ready.borrow_mut().push_back(NonNull::from(g));
        crate::park::switch_out(pinned);
    }

    /// The schedule ends here: the goroutine goes no further.
    fn abandon(&self, worker: &Worker, g: &G) -> ! {
        let pinned = g.pinned(worker);
        loop {
            pinned.state.set(RunState::Parked);
            crate::park::switch_out(pinned);
        }
    }

    /// The running goroutine would have to wait without leaving its thread, on which alone all others could run.
    pub(crate) fn cannot_wait_in_place(&self, why: &str) {
        Worker::with_current(|worker| {
            let Some((worker, g)) = worker.and_then(|worker| Some((worker, worker.running()?))) else { return };
            let mut run = self.run.borrow_mut();
            let who = run.describe(g.id);
            run.fail(Problem::Unsupported(format!(
                "{who} waits and must keep its thread ({why}), which it shares with all others here. On a runtime with \
                 several workers this can work; a test under the explorer has to do without."
            )));
            drop(run);
            self.abandon(worker, g);
        });
    }

    pub(crate) fn note_spawned(&self, g: &G) {
        let mut run = self.run.borrow_mut();
        run.add(g);
        if g.creator != 0 {
            run.record(g.creator, || Event::Spawns(g.id, g.created_at));
        }
    }

    /// The running goroutine chooses among `count` values.
    pub(crate) fn choose_value(&self, count: usize) -> usize {
        if count < 2 {
            return 0;
        }
        self.run.borrow_mut().choose_value(count)
    }

    pub(crate) fn found_race(&self, race: Race) {
        self.run.borrow_mut().fail(Problem::Race(Box::new(race)));
        Worker::with_current(|worker| {
            if let Some((worker, g)) = worker.and_then(|worker| Some((worker, worker.running()?)))
                && keep_thread::reason_to(worker, g, g.pinned(worker)).is_none()
            {
                self.abandon(worker, g);
            }
        });
    }

    /// A panic that the program does not hear of.
    pub(crate) fn unheard_panic(&self, text: String) {
        self.run.borrow_mut().fail(Problem::Panic(text));
    }

    /// Whether panics of this world are to be printed as they come.
    pub(crate) fn prints_panics(&self) -> bool {
        self.prints_panics.get()
    }

    pub(crate) fn note_panic(&self, message: &str) {
        // A panic while the run is borrowed would be ours.
        let running = Worker::with_current(|worker| worker.and_then(Worker::running).map_or(0, |g| g.id));
        if let Ok(mut run) = self.run.try_borrow_mut() {
            run.record(running, || Event::Panics(message.to_owned()));
        }
    }

    /// A lock has been taken, at this place.
    pub(crate) fn note_held(&self, lock: usize, location: &'static Location<'static>) {
        let mut run = self.run.borrow_mut();
        let last = run.last;
        run.holders.insert(lock, (last, location));
    }

    pub(crate) fn note_free(&self, lock: usize) {
        self.run.borrow_mut().holders.remove(&lock);
    }

    /// Since where a lock is held.
    pub(crate) fn held_since(&self, lock: usize) -> Option<&'static Location<'static>> {
        Some(self.run.borrow().holders.get(&lock)?.1)
    }

    /// A condition variable was notified while nobody waited.
    pub(crate) fn note_unheard(&self, condvar: usize, location: &'static Location<'static>) {
        let mut run = self.run.borrow_mut();
        let last = run.last;
        run.unheard.insert(condvar, (last, location));
    }

    /// The running goroutine waits, next, until all others wait.
    pub(crate) fn settle(&self, id: u64) {
        self.run.borrow_mut().settling.push(id);
    }

    pub(crate) fn is_settling(&self, id: u64) -> bool {
        self.run.borrow().settling.contains(&id)
    }

    // ---- the loop ----

    /// Runs one schedule of the program `main`.
    pub(crate) fn explore(
        &self,
        worker: &Worker,
        plan: Plan,
        created_at: &'static Location<'static>,
        main: impl FnOnce(),
    ) -> Outcome {
        worker.begin_schedule();
        self.next.set(None);
        self.time_is_next.set(false);
        self.passed.set(Duration::ZERO);
        self.prints_panics.set(plan.prints_panics);
        self.run.borrow_mut().begin(plan);
        let mut main = Some(crate::spawn::start_explored(worker, created_at, main));
        while let Some(g) = self.pick(worker, &mut main) {
            // SAFETY: out of the ready queue, hence alive.
            let id = unsafe { g.as_ref() }.id;
            self.pulse.show(id, self.run.borrow_mut().strand(id).at.location);
            if worker.resume_explored(g) {
                self.run.borrow_mut().ended(id);
            } else {
                self.run.borrow_mut().stopped(worker, id);
            }
        }
        // Where it is not over, its result will never be.
        std::mem::forget(main);
        self.conclude(worker)
    }

    fn conclude(&self, worker: &Worker) -> Outcome {
        let mut run = self.run.borrow_mut();
        if run.problem.is_none() {
            let left = run.blocked();
            if !left.is_empty() {
                run.problem = Some(Problem::LeftOver(left));
            }
        }
        let titles = run.titles();
        let (plan, detector) = (Plan::nothing(), Detector::default());
        let mut next = Run::new(plan, detector);
        std::mem::swap(&mut next.strands, &mut run.strands);
        std::mem::swap(&mut next.candidates, &mut run.candidates);
        std::mem::swap(&mut next.detector, &mut run.detector);
        std::mem::swap(&mut next.holders, &mut run.holders);
        std::mem::swap(&mut next.unheard, &mut run.unheard);
        let old = std::mem::replace(&mut *run, next);
        drop(run);
        worker.end_schedule(old.problem.is_some());
        Outcome {
            driver: old.plan.driver,
            problem: old.problem,
            deviations: old.deviations,
            preemptions: old.preemptions,
            steps: old.steps,
            fingerprint: old.fingerprint,
            lines: old.lines,
            titles,
        }
    }

    /// Who runs next; `None`: nobody can, or nobody should.
    fn pick(&self, worker: &Worker, main: &mut Option<ResultSlot<()>>) -> Option<NonNull<G>> {
        loop {
            if let Some(result) = main.take_if(|main| main.is_finished()) {
                self.main_is_over(result.join());
            }
            if self.run.borrow().problem.is_some() {
                return None;
            }
            if let Some(next) = self.next.take() {
                worker.take_ready(next);
                return Some(next);
            }
            if self.time_is_next.take() {
                self.next_time(worker);
            }
            if worker.shared.has_deliveries() {
                self.woken_from_outside(worker);
                return None;
            }
            if !worker.ready.borrow().is_empty() {
                let next = self.run.borrow_mut().choose_ready(worker);
                let Some(next) = next else {
                    self.next_time(worker);
                    continue;
                };
                worker.take_ready(next);
                return Some(next);
            }
            if !self.go_on(worker) {
                return None;
            }
        }
    }

    fn main_is_over(&self, result: std::thread::Result<()>) {
        let mut run = self.run.borrow_mut();
        run.main_is_over = true;
        if let Err(payload) = result {
            run.fail(Problem::Panic(super::quiet::told_of(1, &*payload)));
            drop(run);
            crate::report::discard_payload(payload);
        }
    }

    /// Nobody can run. Whether something was found that lets somebody.
    fn go_on(&self, worker: &Worker) -> bool {
        if self.run.borrow_mut().let_settled(worker) {
            return true;
        }
        if self.run.borrow().main_is_over {
            // Time does not go on; what was to come later never comes.
            return worker.scheduler.drop_deferred();
        }
        if self.next_time(worker) {
            return true;
        }
        let mut run = self.run.borrow_mut();
        let blocked = run.blocked();
        run.fail(Problem::deadlock(blocked));
        false
    }

    /// Goes on to the next timer. False: there is none.
    fn next_time(&self, worker: &Worker) -> bool {
        let Some(at) = worker.next_time() else { return false };
        let passed = at.saturating_duration_since(self.start).max(self.passed.get());
        let by = passed - self.passed.get();
        self.passed.set(passed);
        let mut run = self.run.borrow_mut();
        run.record(0, || Event::Time(by));
        run.count_step();
        // What is chosen next is chosen at another moment.
        let last = run.last;
        run.strand(last).steps += 1;
        drop(run);
        worker.fire_explored();
        true
    }

    fn woken_from_outside(&self, worker: &Worker) {
        let mut who = None;
        worker.shared.peek_deliveries(|g| who = Some(g.id));
        let mut run = self.run.borrow_mut();
        let who = who.map_or_else(|| String::from("a goroutine"), |id| run.describe(id));
        run.fail(Problem::Unsupported(format!(
            "{who} was woken by an OS thread that is not the explorer's. What happens there cannot be repeated: start a \
             goroutine instead of a thread, and make what they share within the closure."
        )));
    }
}

impl Plan {
    fn nothing() -> Self {
        let driver = Driver::RoundRobin { quantum: 1, left: 1 };
        Self { driver, preempts: false, eager_time: false, most_steps: 0, records: false, prints_panics: false }
    }
}

impl Run {
    fn new(plan: Plan, detector: Detector) -> Self {
        Self {
            plan,
            strands: Vec::new(),
            last: 0,
            streak: 0,
            candidates: Vec::new(),
            deviations: Vec::new(),
            preemptions: 0,
            steps: 0,
            fingerprint: 0,
            lines: Vec::new(),
            problem: None,
            main_is_over: false,
            settling: Vec::new(),
            holders: ByAddress::default(),
            unheard: ByAddress::default(),
            detector,
        }
    }

    fn begin(&mut self, plan: Plan) {
        self.strands.clear();
        self.holders.clear();
        self.unheard.clear();
        self.detector.begin(plan.records);
        self.plan = plan;
    }

    /// The first problem counts.
    fn fail(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    fn record(&mut self, id: u64, event: impl FnOnce() -> Event) {
        if self.plan.records {
            self.lines.push((id, event()));
        }
    }

    fn add(&mut self, g: &G) {
        debug_assert_eq!(g.id, self.strands.len() as u64 + 1, "the explorer's goroutines are numbered from 1");
        let made_at = self.strands.get((g.creator as usize).wrapping_sub(1)).map_or(0, |creator| creator.steps);
        self.strands.push(Strand {
            g: NonNull::from(g),
            steps: 0,
            at: At { op: Op::Start, object: 0, other: 0, location: g.created_at },
            has_ended: false,
            made_at: Moment { goroutine: g.creator, step: made_at },
            name: g.extra.as_ref().and_then(|extra| extra.name.clone()),
            created_at: g.created_at,
        });
    }

    pub(super) fn strand(&mut self, id: u64) -> &mut Strand {
        &mut self.strands[id as usize - 1]
    }

    fn moment(&self) -> Moment {
        let strand = self.strands.get((self.last as usize).wrapping_sub(1));
        Moment { goroutine: self.last, step: strand.map_or(0, |strand| strand.steps) }
    }

    fn count_step(&mut self) {
        self.steps += 1;
        if self.steps > self.plan.most_steps {
            let (steps, everybody) = (self.plan.most_steps, self.blocked());
            self.fail(Problem::Livelock { steps, everybody });
        }
    }

    /// See `Explorer::reach`.
    fn reach(&mut self, worker: &Worker, g: &G, at: At, stays: bool) -> Turn {
        let strand = self.strand(g.id);
        strand.at = at;
        strand.steps += 1;
        self.last = g.id;
        self.count_step();
        if self.problem.is_some() {
            return Turn::Nobody;
        }
        self.streak += 1;
        let most = if self.plan.preempts { FAIR_STEPS } else { PATIENT_STEPS };
        let yields = at.op == Op::Yield || self.streak > most;
        if stays || !self.plan.preempts && !yields {
            return Turn::Same;
        }
        let chosen = self.choose(worker, Some(g.id), yields);
        if chosen == g.id {
            return Turn::Same;
        }
        self.streak = 0;
        if !yields {
            self.preemptions += 1;
            self.record(g.id, || Event::Preempted);
        }
        if chosen == CLOCK { Turn::Time } else { Turn::Other(self.strand(chosen).g) }
    }

    /// Who runs, when nobody does. `None`: a timer is due first.
    fn choose_ready(&mut self, worker: &Worker) -> Option<NonNull<G>> {
        self.streak = 0;
        let id = self.choose(worker, None, false);
        (id != CLOCK).then(|| self.strand(id).g)
    }

    fn choose(&mut self, worker: &Worker, current: Option<u64>, yields: bool) -> u64 {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        candidates.extend(current.filter(|_| !yields));
        // SAFETY: goroutines in the ready queue are alive.
        candidates.extend(worker.ready.borrow().iter().map(|g| unsafe { g.as_ref() }.id));
        if self.plan.eager_time && !self.main_is_over && worker.next_time().is_some() {
            candidates.push(CLOCK);
        }
        candidates.extend(current.filter(|_| yields));
        let chosen = if let [only] = candidates[..] {
            self.plan.driver.no_choice(only);
            only
        } else {
            let at = self.moment();
            let yields = current.filter(|_| yields);
            let goes_on = current.is_some() && yields.is_none();
            let strands = &self.strands;
            let strand = |id: u64| strands.get((id as usize).wrapping_sub(1));
            let is_fresh = &|id| strand(id).is_some_and(|strand| strand.is_made_before(at));
            let at_an_end = current.and_then(strand).is_some_and(|strand| strand.at.op.is_end_or_its_wait());
            let decision = Decision { candidates: &candidates, goes_on, yields, at, at_an_end, is_fresh };
            let index = self.plan.driver.choose(&decision);
            let id = candidates[index];
            if index > 0 {
                self.deviations.push(Deviation { at, choice: Choice::Run(id) });
            }
            id
        };
        self.candidates = candidates;
        chosen
    }

    fn choose_value(&mut self, count: usize) -> usize {
        let last = self.last;
        self.strand(last).steps += 1;
        let at = self.moment();
        let value = self.plan.driver.choose_value(at, count);
        if value > 0 {
            self.deviations.push(Deviation { at, choice: Choice::Value(value) });
        }
        value
    }

    /// The goroutine does the step that it has reached.
    fn do_step(&mut self, id: u64, at: At) {
        self.last = id;
        let word = id ^ ((at.op as u64) << 32) ^ ((std::ptr::from_ref(at.location).addr() as u64) << 8);
        self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let strands = &self.strands;
        self.plan.driver.step(id, &at, |other| strands.get((other as usize).wrapping_sub(1)).map(|strand| strand.at));
        self.record(id, || Event::Step(at, trace::users_place(&at)));
    }

    /// The goroutine has given up its thread: it waits, or another goes first.
    fn stopped(&mut self, worker: &Worker, id: u64) {
        let strand = self.strand(id);
        // SAFETY: it has not ended.
        let g = unsafe { strand.g.as_ref() };
        if g.pinned(worker).state.get() == RunState::Parked {
            strand.steps += 1;
            let reason = g.wait_reason();
            self.last = id;
            // Without a reason it was stopped, because of a failure.
            if reason != WaitReason::None {
                self.record(id, || Event::Waits(reason));
            }
        }
    }

    fn ended(&mut self, id: u64) {
        self.last = id;
        let strand = self.strand(id);
        strand.has_ended = true;
        strand.steps += 1;
        self.record(id, || Event::Ends);
    }

    /// Lets those go on who wait for all others to wait. Whether there were any.
    fn let_settled(&mut self, worker: &Worker) -> bool {
        let settled = std::mem::take(&mut self.settling);
        for &id in &settled {
            // SAFETY: it waits, hence has not ended.
            worker.unpark_local(unsafe { self.strand(id).g.as_ref() });
        }
        !settled.is_empty()
    }

    // ---- for reports ----

    /// Who has not ended, and why it does not go on.
    fn blocked(&self) -> Vec<Blocked> {
        let alive: Vec<usize> = (0..self.strands.len()).filter(|&index| !self.strands[index].has_ended).collect();
        alive.into_iter().map(|index| self.blocked_at(index)).collect()
    }

    fn blocked_at(&self, index: usize) -> Blocked {
        let strand = &self.strands[index];
        // SAFETY: it has not ended.
        let reason = unsafe { strand.g.as_ref() }.wait_reason();
        let holder = self.holders.get(&strand.at.object).filter(|_| {
            matches!(reason, WaitReason::Mutex | WaitReason::RwLockRead | WaitReason::RwLockWrite)
        });
        let unheard = self.unheard.get(&strand.at.object).filter(|_| reason == WaitReason::Condvar);
        let joined = if strand.at.op == Op::Join {
            self.strands.iter().position(|other| other.g.addr().get() == strand.at.object).map(|i| i as u64 + 1)
        } else {
            None
        };
        Blocked {
            id: index as u64 + 1,
            who: self.describe(index as u64 + 1),
            reason,
            at: strand.at,
            holder: holder.copied(),
            unheard: unheard.copied(),
            joined,
        }
    }

    fn describe(&self, id: u64) -> String {
        let Some(strand) = self.strands.get((id as usize).wrapping_sub(1)) else { return format!("goroutine {id}") };
        match (id, &strand.name) {
            (1, _) => String::from("main (goroutine 1)"),
            (_, Some(name)) => format!("goroutine {id} (\"{name}\") created at {}", strand.created_at),
            (_, None) => format!("goroutine {id} created at {}", strand.created_at),
        }
    }

    fn titles(&self) -> Vec<String> {
        if !self.plan.records {
            return Vec::new();
        }
        let title = |(index, strand): (usize, &Strand)| match (index, &strand.name) {
            (0, _) => String::from("main"),
            (_, Some(name)) => format!("{} \"{name}\"", index + 1),
            (_, None) => {
                let file = strand.created_at.file();
                format!("{} ({}:{})", index + 1, file.rsplit('/').next().unwrap_or(file), strand.created_at.line())
            }
        };
        self.strands.iter().enumerate().map(title).collect()
    }
}
