//! Makes a failing schedule smaller: fewest preemptions, then fewest deviations from the plain order.
//!
//! Deviations are taken away in ever smaller groups, then in pairs, as long as what is left fails in the same way (delta
//! debugging: Zeller and Hildebrandt, 2002). Then it is looked, exhaustively but for a bounded time, for a schedule with
//! even fewer preemptions: it may need other ones.

use super::driver::Driver;
use super::explorer::Outcome;
use super::failure::FailureKind;
use super::schedule::Deviation;
use super::search::Search;
use super::session::Session;
use std::cell::Cell;

/// Schedules that are tried, at most: each that fails leaks its goroutines.
const ATTEMPTS: u32 = 500;
/// Schedules that are searched for each number of preemptions.
const SEARCHED: u32 = 200;
/// Steps that all of them may take.
const STEPS: u64 = 1_000_000;
/// Lists of which all pairs are tried.
const SHORT: usize = 16;

pub(super) fn shrink(
    session: &Session<'_>,
    kind: FailureKind,
    deviations: Vec<Deviation>,
    preemptions: u32,
) -> Vec<Deviation> {
    let mut least = Least { session, kind, deviations, preemptions, attempts: 0, steps: Cell::new(0) };
    let mut group = least.deviations.len();
    while group > 0 && least.goes_on() {
        let progress = least.without_groups_of(group);
        // A single one that can go may make others superfluous.
        if !(group == 1 && progress) {
            group /= 2;
        }
    }
    least.without_pairs();
    least.with_fewer_preemptions();
    least.deviations
}

struct Least<'a> {
    session: &'a Session<'a>,
    kind: FailureKind,
    deviations: Vec<Deviation>,
    preemptions: u32,
    attempts: u32,
    steps: Cell<u64>,
}

impl Least<'_> {
    fn goes_on(&self) -> bool {
        self.attempts < ATTEMPTS && self.steps.get() < STEPS
    }

    fn count(&self, outcome: &Outcome) {
        self.steps.set(self.steps.get() + outcome.steps);
    }

    fn without_groups_of(&mut self, group: usize) -> bool {
        let (mut start, mut progress) = (0, false);
        while start < self.deviations.len() && self.goes_on() {
            if self.try_without(|index| (start..start + group).contains(&index)) {
                progress = true;
            } else {
                start += group;
            }
        }
        progress
    }

    fn without_pairs(&mut self) {
        let mut first = 0;
        while first < self.deviations.len() && self.deviations.len() <= SHORT {
            let mut rest = first + 1..self.deviations.len();
            let progress = rest.any(|second| self.try_without(|index| index == first || index == second));
            first = if progress { 0 } else { first + 1 };
        }
    }

    fn try_without(&mut self, is_out: impl Fn(usize) -> bool) -> bool {
        if !self.goes_on() {
            return false;
        }
        self.attempts += 1;
        let kept = self.deviations.iter().enumerate().filter(|(index, _)| !is_out(*index));
        let kept: Vec<Deviation> = kept.map(|(_, deviation)| *deviation).collect();
        let outcome = self.session.run_deviations(&kept);
        self.count(&outcome);
        self.take_if_less(outcome)
    }

    /// What could not be followed has been left out: the outcome knows what was done.
    fn take_if_less(&mut self, outcome: Outcome) -> bool {
        let fails = outcome.problem.is_some_and(|problem| problem.kind() == self.kind);
        let size = (outcome.preemptions, outcome.deviations.len());
        let is_less = fails && size < (self.preemptions, self.deviations.len());
        if is_less {
            self.preemptions = outcome.preemptions;
            self.deviations = outcome.deviations;
        }
        is_less
    }

    fn with_fewer_preemptions(&mut self) {
        let found = (0..self.preemptions).take_while(|_| self.goes_on()).find_map(|most| self.find_with(most));
        if let Some(outcome) = found {
            self.take_if_less(outcome);
        }
    }

    fn find_with(&self, preemptions: u32) -> Option<Outcome> {
        let mut search = Box::new(Search::new(usize::MAX, Some(preemptions), 1));
        for _ in 0..SEARCHED {
            search.begin();
            let outcome = self.session.run(Driver::Search(search), false);
            self.count(&outcome);
            if let Some(problem) = &outcome.problem {
                let is_the_same = problem.kind() == self.kind;
                return is_the_same.then_some(outcome);
            }
            let Driver::Search(unfinished) = outcome.driver else { return None };
            search = unfinished;
            if !search.advance() || !self.goes_on() {
                return None;
            }
        }
        None
    }
}
