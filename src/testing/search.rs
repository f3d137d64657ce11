//! The exhaustive search: depth-first through all schedules, each from the start.
//!
//! # What is left out
//! *Sleep sets* (Godefroid, 1996): when two steps are independent (they touch different things, or both only read), only
//! one of their orders is tried. After a goroutine's next step has been explored from some moment, the goroutine sleeps
//! in the other branches of that moment until a step comes on which its own depends. A schedule in which only sleeping
//! goroutines are left has been seen in another order: it is run to its end, since nothing can be broken off in the
//! middle, but branches no more.
//!
//! # Fairness
//! `while !done() { yield_now() }` has schedules without an end: those in which others never get their turn. So the
//! schedules that are searched are the fair ones, by the rule of Musuvathi and Qadeer ("Fair stateless model checking", PLDI
//! 2008): who yields may go on at once, as one of the options, but between two steps of another that could run it passes no
//! more than `yields` of its yields; at the next it waits for that other. Nobody waits for each other by that rule: who
//! does a step is waited for by nobody any more.
//!
//! Whether a yield can be passed depends on what all others do, and it counts against each of them: so for sleep sets it is a
//! step on which all depend, and which depends on all. Any other two steps leave the same counts in either order. Hence the
//! search sees the outcomes of all fair schedules. (Tried before: yields at which another must go first. Of `store(1);
//! yield_now(); store(2)` nobody ever saw both stores at once.)
//!
//! Who does very many steps without a yield has to let others go first, too; that cuts the search short.
//!
//! With a bound on preemptions (Musuvathi and Qadeer, 2007) there are no sleep sets: an order that was left out may be
//! the one with few preemptions.

use super::driver::Decision;
use super::op::{At, Op};

/// A moment of the present schedule at which there were several ways.
struct Node {
    /// Goroutines, or values.
    options: Vec<u64>,
    chosen: usize,
    /// Who sleeps there: by inheritance, and because its step has been explored.
    sleep: Vec<u64>,
}

pub(crate) struct Search {
    path: Vec<Node>,
    /// How far the present schedule is on the path.
    depth: usize,
    sleep: Vec<u64>,
    /// Only sleeping goroutines were left: this schedule is another one in a different order.
    redundant: bool,
    /// Moments beyond this do not branch.
    longest: usize,
    preemptions: Option<u32>,
    used: u32,
    /// Who could run when the present step was chosen.
    enabled: Vec<u64>,
    passed: Passed,
    /// A schedule was longer than `longest`, or somebody had to let others go first without a yield.
    pub(crate) was_cut: bool,
}

/// The count behind two: how many yields the first has passed since the last step of the second, while that could run.
struct Passed {
    counts: Vec<(u64, u64, u32)>,
    most: u32,
}

impl Passed {
    fn count(&mut self, who: u64, enabled: &[u64]) {
        for &other in enabled.iter().filter(|&&other| other != who) {
            match self.counts.iter_mut().find(|(a, b, _)| (*a, *b) == (who, other)) {
                Some((_, _, count)) => *count += 1,
                None => self.counts.push((who, other, 1)),
            }
        }
    }

    fn steps(&mut self, id: u64) {
        self.counts.retain(|&(_, other, _)| other != id);
    }

    /// Whether one that yields has to wait for one of these.
    fn waits(&self, who: u64, enabled: &[u64]) -> bool {
        let is_too_much =
            |&(a, other, count): &(u64, u64, u32)| a == who && count >= self.most && enabled.contains(&other);
        self.counts.iter().any(is_too_much)
    }
}

impl Search {
    pub(crate) fn new(longest: usize, preemptions: Option<u32>, yields: u32) -> Self {
        Self {
            path: Vec::new(),
            depth: 0,
            sleep: Vec::new(),
            redundant: false,
            longest,
            preemptions,
            used: 0,
            enabled: Vec::new(),
            passed: Passed { counts: Vec::new(), most: yields },
            was_cut: false,
        }
    }

    /// Before each schedule.
    pub(crate) fn begin(&mut self) {
        self.depth = 0;
        self.sleep.clear();
        self.redundant = false;
        self.used = 0;
        self.passed.counts.clear();
    }

    /// Whether the schedule that has ended was another in a different order.
    pub(crate) fn was_redundant(&self) -> bool {
        self.redundant
    }

    /// Turns to the next schedule; false: there is none.
    pub(crate) fn advance(&mut self) -> bool {
        while let Some(node) = self.path.last_mut() {
            node.sleep.push(node.options[node.chosen]);
            node.chosen += 1;
            if node.chosen < node.options.len() {
                return true;
            }
            self.path.pop();
        }
        false
    }

    pub(super) fn choose(&mut self, decision: &Decision<'_>) -> usize {
        self.enabled.clear();
        self.enabled.extend_from_slice(decision.candidates);
        let known = self.depth < self.path.len();
        if !known && (self.redundant || self.is_too_long()) {
            return 0;
        }
        if !known {
            self.was_cut |= decision.has_to_yield;
            let options = self.options(decision);
            if options.is_empty() {
                self.redundant = true;
                return 0;
            }
            self.path.push(Node { options, chosen: 0, sleep: self.sleep.clone() });
        }
        let node = &self.path[self.depth];
        self.depth += 1;
        self.sleep.clone_from(&node.sleep);
        let wanted = node.options[node.chosen];
        // Not there: the program has not gone the same way twice, which `Session::compare` will tell.
        let Some(index) = decision.candidates.iter().position(|&id| id == wanted) else { return 0 };
        self.used += u32::from(decision.goes_on && index > 0);
        index
    }

    fn is_too_long(&mut self) -> bool {
        let too_long = self.path.len() >= self.longest;
        self.was_cut |= too_long;
        too_long
    }

    fn options(&self, decision: &Decision<'_>) -> Vec<u64> {
        let bounded = self.preemptions.is_some_and(|most| self.used >= most);
        let candidates = if bounded && decision.goes_on { &decision.candidates[..1] } else { decision.willing() };
        let waits = |id: u64| (decision.is_at_yield)(id) && self.passed.waits(id, decision.candidates);
        let is_awake = |id: u64| self.preemptions.is_some() || !self.sleep.contains(&id);
        candidates.iter().copied().filter(|&id| is_awake(id) && !waits(id)).collect()
    }

    pub(super) fn choose_value(&mut self, count: usize) -> usize {
        let known = self.depth < self.path.len();
        if !known && (self.redundant || self.is_too_long()) {
            return 0;
        }
        if !known {
            let options = (0..count as u64).collect();
            self.path.push(Node { options, chosen: 0, sleep: Vec::new() });
        }
        let node = &self.path[self.depth];
        self.depth += 1;
        (node.options[node.chosen] as usize).min(count - 1)
    }

    pub(super) fn no_choice(&mut self, id: u64) {
        self.enabled.clear();
        if self.preemptions.is_none() && self.sleep.contains(&id) && self.depth >= self.path.len() {
            self.redundant = true;
        }
    }

    /// A step wakes those whose own next one depends on it.
    pub(super) fn step(&mut self, id: u64, at: &At, pending: impl Fn(u64) -> Option<At>) {
        self.passed.steps(id);
        if at.op == Op::Yield {
            self.passed.count(id, &self.enabled);
        }
        self.sleep.retain(|&other| other != id && pending(other).is_some_and(|next| next.is_independent_of(at)));
    }

    /// A timer is due: nobody knows what that changes.
    pub(super) fn time_passes(&mut self) {
        self.sleep.clear();
        self.passed.steps(super::run::CLOCK);
    }
}
