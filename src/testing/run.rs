//! One schedule: who has done what, who goes first, and what went wrong.
//!
//! It lives in the explorer, which borrows it for moments in which no user code runs and nobody switches.

use super::driver::Decision;
use super::explorer::Plan;
use super::failure::{Blocked, Problem};
use super::op::{At, Op};
use super::schedule::{Choice, Deviation, Moment};
use super::trace::{self, Event, Line};
use crate::park::WaitReason;
use crate::race::detector::ByAddress;
use crate::sched::g::{G, RunState};
use crate::sched::worker::Worker;
use std::mem::{replace, take};
use std::panic::Location;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Who does so many steps in a row while others could run counts as waiting for them: it spins, perhaps.
const FAIR_STEPS: u32 = 300;
/// The same where points are not places to switch at.
const PATIENT_STEPS: u32 = 10_000;

/// Among the goroutines that could run, the clock: it has no number that a goroutine could have.
pub(super) const CLOCK: u64 = 0;

/// What is known of a goroutine of this schedule.
pub(super) struct Strand {
    g: NonNull<G>,
    pub(super) steps: u32,
    /// What it does next, or is doing.
    pub(super) at: At,
    has_ended: bool,
    /// When it was made.
    made_at: Moment,
    name: Option<Arc<str>>,
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
    pub(super) plan: Plan,
    pub(super) strands: Vec<Strand>,
    /// Who ran last.
    pub(super) last: u64,
    /// How many steps in a row that has done.
    streak: u32,
    pub(super) candidates: Vec<u64>,
    pub(super) deviations: Vec<Deviation>,
    pub(super) preemptions: u32,
    pub(super) steps: u64,
    pub(super) fingerprint: u64,
    pub(super) lines: Vec<Line>,
    pub(super) problem: Option<Problem>,
    pub(super) main_is_over: bool,
    /// Who waits for all others to wait.
    pub(super) settling: Vec<u64>,
    /// Who holds a lock, and since where.
    pub(super) holders: ByAddress<(u64, &'static Location<'static>)>,
    /// The last notification that nobody heard, by condition variable.
    pub(super) unheard: ByAddress<(u64, &'static Location<'static>)>,
}

/// Who asks what is next.
enum Present {
    /// Nobody runs.
    Stopped,
    /// Who runs would go on.
    GoesOn(u64),
    /// Who runs offers its turn to the others, or has to leave it to them.
    Yields { id: u64, has_to: bool },
}

/// Who goes on.
pub(super) enum Turn {
    Same,
    Other(NonNull<G>),
    /// The next timer is due first.
    Time,
    Nobody,
}

/// The goroutine of that number, if it is this schedule's. (The clock is none.)
fn find(strands: &[Strand], id: u64) -> Option<&Strand> {
    strands.get((id as usize).wrapping_sub(1))
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            plan: Plan::nothing(),
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
        }
    }

    /// The schedule has ended: what is to be told of it goes, the memory stays for the next.
    pub(super) fn take(&mut self) -> Self {
        let next = Self {
            strands: take(&mut self.strands),
            candidates: take(&mut self.candidates),
            holders: take(&mut self.holders),
            unheard: take(&mut self.unheard),
            ..Self::new()
        };
        replace(self, next)
    }

    pub(super) fn begin(&mut self, plan: Plan) {
        self.strands.clear();
        self.holders.clear();
        self.unheard.clear();
        self.plan = plan;
    }

    /// The first problem counts.
    pub(super) fn fail(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    pub(super) fn record(&mut self, id: u64, event: impl FnOnce() -> Event) {
        if self.plan.records {
            self.lines.push((id, event()));
        }
    }

    pub(super) fn add(&mut self, g: &G) {
        debug_assert_eq!(g.id, self.strands.len() as u64 + 1, "the explorer's goroutines are numbered from 1");
        let made_at = find(&self.strands, g.creator).map_or(0, |creator| creator.steps);
        self.strands.push(Strand {
            g: NonNull::from(g),
            steps: 0,
            at: At { op: Op::Start, object: 0, other: 0, location: g.created_at },
            has_ended: false,
            made_at: Moment { goroutine: g.creator, step: made_at },
            name: g.extra.as_ref().and_then(|extra| extra.name.shared()),
            created_at: g.created_at,
        });
    }

    /// Whether it is one of this schedule's, and has not ended.
    pub(super) fn has(&self, g: &G) -> bool {
        find(&self.strands, g.id).is_some_and(|strand| !strand.has_ended && std::ptr::eq(strand.g.as_ptr(), g))
    }

    pub(super) fn strand(&mut self, id: u64) -> &mut Strand {
        &mut self.strands[id as usize - 1]
    }

    fn moment(&self) -> Moment {
        Moment { goroutine: self.last, step: find(&self.strands, self.last).map_or(0, |strand| strand.steps) }
    }

    pub(super) fn count_step(&mut self) {
        self.steps += 1;
        if self.steps > self.plan.most_steps {
            let (steps, everybody) = (self.plan.most_steps, self.blocked());
            self.fail(Problem::Livelock { steps, everybody });
        }
    }

    /// See `Explorer::reach`.
    pub(super) fn reach(&mut self, worker: &Worker, g: &G, at: At, stays: bool) -> Turn {
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
        let has_to_yield = self.streak > most;
        let yields = at.op == Op::Yield || has_to_yield;
        if stays || !self.plan.preempts && !yields {
            return Turn::Same;
        }
        let present = if yields { Present::Yields { id: g.id, has_to: has_to_yield } } else { Present::GoesOn(g.id) };
        let chosen = self.choose(worker, present);
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
    pub(super) fn choose_ready(&mut self, worker: &Worker) -> Option<NonNull<G>> {
        self.streak = 0;
        let id = self.choose(worker, Present::Stopped);
        (id != CLOCK).then(|| self.strand(id).g)
    }

    fn choose(&mut self, worker: &Worker, present: Present) -> u64 {
        let (goes_on, yields, has_to_yield) = match present {
            Present::Stopped => (None, None, false),
            Present::GoesOn(id) => (Some(id), None, false),
            Present::Yields { id, has_to } => (None, Some(id), has_to),
        };
        let mut candidates = take(&mut self.candidates);
        candidates.clear();
        candidates.extend(goes_on);
        // SAFETY: goroutines in the ready queue are alive.
        candidates.extend(worker.ready.iter().map(|g| unsafe { g.as_ref() }.id));
        if self.plan.eager_time && !self.main_is_over && worker.next_time().is_some() {
            candidates.push(CLOCK);
        }
        candidates.extend(yields);
        let chosen = if let [only] = candidates[..] {
            self.plan.driver.no_choice(only);
            only
        } else {
            let at = self.moment();
            let strands = &self.strands;
            let decision = Decision {
                candidates: &candidates,
                goes_on: goes_on.is_some(),
                yields,
                has_to_yield,
                at,
                op: find(strands, at.goroutine).map_or(Op::Start, |strand| strand.at.op),
                is_fresh: &|id| find(strands, id).is_some_and(|strand| strand.is_made_before(at)),
                is_at_yield: &|id| find(strands, id).is_some_and(|strand| strand.at.op == Op::Yield),
            };
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

    pub(super) fn choose_value(&mut self, count: usize) -> usize {
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
    pub(super) fn do_step(&mut self, id: u64, at: At) {
        self.last = id;
        let word = id ^ ((at.op as u64) << 32) ^ ((std::ptr::from_ref(at.location).addr() as u64) << 8);
        self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let strands = &self.strands;
        self.plan.driver.step(id, &at, |other| find(strands, other).map(|strand| strand.at));
        self.record(id, || Event::Step(at, trace::stack_of_drop(&at)));
    }

    /// The goroutine has given up its thread: it waits, or another goes first.
    pub(super) fn stopped(&mut self, worker: &Worker, id: u64) {
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

    pub(super) fn ended(&mut self, id: u64) {
        self.last = id;
        let strand = self.strand(id);
        strand.has_ended = true;
        strand.steps += 1;
        self.record(id, || Event::Ends);
    }

    /// Lets those go on who wait for all others to wait. Whether there were any.
    pub(super) fn let_settled(&mut self, worker: &Worker) -> bool {
        let settled = take(&mut self.settling);
        for &id in &settled {
            // SAFETY: it waits, hence has not ended.
            worker.unpark_local(unsafe { self.strand(id).g.as_ref() });
        }
        !settled.is_empty()
    }

    /// After a failure: who has not ended stays where it is for ever, whoever wakes it from now on, in another schedule or
    /// check. It counts as one that keeps its thread, so nobody puts it among those who are ready; to dumps and to the search
    /// for leaks it is no more (others have its number); and thread-locals that point into its stack are no reason for others
    /// to keep their thread.
    pub(super) fn leave_behind(&self, worker: &Worker) {
        for strand in self.strands.iter().filter(|strand| !strand.has_ended) {
            // SAFETY: it has not ended.
            let pinned = unsafe { strand.g.as_ref() }.pinned(worker);
            pinned.state.set(RunState::ParkedInPlace);
            pinned.g.store(null_mut(), Relaxed);
            worker.scanner.retire(pinned.stack_bounds.get());
        }
    }

    // ---- for reports ----

    /// Who has not ended, and why it does not go on.
    pub(super) fn blocked(&self) -> Vec<Blocked> {
        let alive: Vec<usize> = (0..self.strands.len()).filter(|&index| !self.strands[index].has_ended).collect();
        alive.into_iter().map(|index| self.blocked_at(index)).collect()
    }

    fn blocked_at(&self, index: usize) -> Blocked {
        let strand = &self.strands[index];
        // SAFETY: it has not ended.
        let reason = unsafe { strand.g.as_ref() }.wait_reason();
        let holder = self
            .holders
            .get(&strand.at.object)
            .filter(|_| matches!(reason, WaitReason::Mutex | WaitReason::RwLockRead | WaitReason::RwLockWrite));
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

    pub(super) fn describe(&self, id: u64) -> String {
        let Some(strand) = find(&self.strands, id) else { return format!("goroutine {id}") };
        match (id, &strand.name) {
            (1, _) => String::from("main (goroutine 1)"),
            (_, Some(name)) => format!("goroutine {id} (\"{name}\") created at {}", strand.created_at),
            (_, None) => format!("goroutine {id} created at {}", strand.created_at),
        }
    }

    pub(super) fn titles(&self) -> Vec<String> {
        if !self.plan.records {
            return Vec::new();
        }
        let title = |(index, strand): (usize, &Strand)| match (index, &strand.name) {
            (0, _) => String::from("main"),
            (_, Some(name)) => format!("{} \"{name}\"", index + 1),
            (_, None) => format!("{} ({})", index + 1, trace::place(strand.created_at)),
        };
        self.strands.iter().enumerate().map(title).collect()
    }
}
