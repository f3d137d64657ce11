//! The explorer: runs one schedule after the other, on one thread (`host`).
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
//! switches. Only `pulse` is read by another thread.

use super::driver::Driver;
use super::failure::Problem;
use super::op::At;
use super::pulse::Pulse;
use super::run::{Run, Turn};
use super::schedule::Deviation;
use super::trace::{Event, Line};
use crate::park::running;
use crate::race::detector::{Detector, Race};
use crate::sched::g::{G, RunState};
use crate::sched::keep_thread;
use crate::sched::task::ResultSlot;
use crate::sched::worker::Worker;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Whether the next two say how it went.
    pub(crate) is_recorded: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) titles: Vec<String>,
}

/// See the module.
pub(crate) struct Explorer {
    run: RefCell<Run>,
    detector: RefCell<Detector>,
    /// Chosen at a point, to be resumed.
    next: Cell<Option<NonNull<G>>>,
    /// Chosen at a point: that a timer is due.
    time_is_next: Cell<bool>,
    start: Instant,
    passed: Cell<Duration>,
    prints_panics: Cell<bool>,
    pulse: Arc<Pulse>,
}

impl Explorer {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        Self {
            run: RefCell::new(Run::new()),
            detector: RefCell::new(Detector::of_explorer()),
            next: Cell::new(None),
            time_is_next: Cell::new(false),
            start: crate::clock::base(),
            passed: Cell::new(Duration::ZERO),
            prints_panics: Cell::new(false),
            pulse,
        }
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// The present of this world.
    pub(crate) fn now(&self) -> Instant {
        self.start + self.passed.get()
    }

    pub(crate) fn with_detector<R>(&self, f: impl FnOnce(&Detector, Option<&G>) -> R) -> R {
        Worker::with_current(|worker| f(&self.detector.borrow(), worker.and_then(Worker::running)))
    }

    // ---- what goroutines tell ----

    /// The running goroutine is about to do a step: others may go first.
    pub(crate) fn reach(&self, at: At) {
        // SAFETY: used within this function only.
        let Some((worker, g)) = running(unsafe { Worker::current() }) else { return };
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
        self.pulse.step();
    }

    /// Gives the thread to the loop, and waits for another turn.
    fn step_back(&self, worker: &Worker, g: &G) {
        let pinned = g.pinned(worker);
        worker.ready.push_woken(NonNull::from(g));
        crate::park::switch_out(worker, pinned, RunState::Ready);
    }

    /// The schedule ends here: the goroutine goes no further.
    fn abandon(&self, worker: &Worker, g: &G) -> ! {
        let pinned = g.pinned(worker);
        loop {
            crate::park::switch_out(worker, pinned, RunState::Parked);
        }
    }

    /// The running goroutine would have to wait without leaving its thread, on which alone all others could run.
    pub(crate) fn cannot_wait_in_place(&self, why: &str) {
        Worker::with_current(|worker| {
            let Some((worker, g)) = running(worker) else { return };
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

    pub(crate) fn found_race(&self, race: Box<Race>) {
        self.run.borrow_mut().fail(Problem::Race(race));
        Worker::with_current(|worker| {
            if let Some((worker, g)) = running(worker)
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
        self.detector.borrow_mut().begin(plan.records);
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
        if run.problem.is_some() {
            run.leave_behind(worker);
        }
        let titles = run.titles();
        let old = run.take();
        drop(run);
        worker.end_schedule(old.problem.is_some());
        Outcome {
            is_recorded: old.plan.records,
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
                worker.ready.take(next);
                return Some(next);
            }
            if self.time_is_next.take() {
                self.next_time(worker);
            }
            if worker.shared.has_deliveries() && self.is_woken_from_outside(worker) {
                return None;
            }
            if !worker.ready.is_empty() {
                let next = self.run.borrow_mut().choose_ready(worker);
                let Some(next) = next else {
                    self.next_time(worker);
                    continue;
                };
                worker.ready.take(next);
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
            // No goroutine is left to run its destructor, which may wait: it is leaked with the rest. The usual ones are texts.
            let is_text = payload.is::<String>() || payload.is::<&str>();
            if is_text { drop(payload) } else { std::mem::forget(payload) }
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
        run.plan.driver.time_passes();
        // What is chosen next is chosen at another moment.
        let last = run.last;
        run.strand(last).steps += 1;
        drop(run);
        worker.fire_explored();
        true
    }

    /// Whether it was a goroutine of this schedule, not of one that has failed.
    fn is_woken_from_outside(&self, worker: &Worker) -> bool {
        let mut run = self.run.borrow_mut();
        let mut who = None;
        worker.drop_deliveries(|g| who = who.or_else(|| run.has(g).then_some(g.id)));
        let Some(who) = who.map(|id| run.describe(id)) else { return false };
        run.fail(Problem::Unsupported(format!(
            "{who} was woken by an OS thread that is not the explorer's. What happens there cannot be repeated: start a \
             goroutine instead of a thread, and make what they share within the closure."
        )));
        true
    }
}

impl Plan {
    /// Of no schedule at all: between two.
    pub(super) fn nothing() -> Self {
        let driver = Driver::plain();
        Self { driver, preempts: false, eager_time: false, most_steps: 0, records: false, prints_panics: false }
    }
}
