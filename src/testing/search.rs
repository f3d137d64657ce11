//! The exhaustive search: depth-first through all schedules, each from the start.
//!
//! # What is left out
//! *Sleep sets* (Godefroid, 1996): when two steps are independent (they touch different things, or both only read), only
//! one of their orders is tried. After a goroutine's next step has been explored from some moment, the goroutine sleeps
//! in the other branches of that moment until a step comes on which its own depends. A schedule in which only sleeping
//! goroutines are left has been seen in another order: it is run to its end, since nothing can be broken off in the
//! middle, but branches no more.
//!
//! Who yields never goes on at once, in any search: another takes a step first, if there is one. So a yield is not the
//! independent step for which sleep sets take it, and of programs that yield some orders are left out that have no equal
//! among those that are tried.
//!
//! With a bound on preemptions (Musuvathi and Qadeer, 2007) there are no sleep sets: an order that was left out may be
//! the one with few preemptions.

use super::driver::Decision;
use super::op::At;

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
    /// A schedule was longer than `longest`.
    pub(crate) was_cut: bool,
}

impl Search {
    pub(crate) fn new(longest: usize, preemptions: Option<u32>) -> Self {
        Self {
            path: Vec::new(),
            depth: 0,
            sleep: Vec::new(),
            redundant: false,
            longest,
            preemptions,
            used: 0,
            was_cut: false,
        }
    }

    /// Before each schedule.
    pub(crate) fn begin(&mut self) {
        self.depth = 0;
        self.sleep.clear();
        self.redundant = false;
        self.used = 0;
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

    pub(super) fn choose(&mut self, decision: &Decision<'_>, others: usize) -> usize {
        let known = self.depth < self.path.len();
        if !known && (self.redundant || self.is_too_long()) {
            return 0;
        }
        if !known {
            let options = self.options(decision, others);
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

    fn options(&self, decision: &Decision<'_>, others: usize) -> Vec<u64> {
        let bounded = self.preemptions.is_some_and(|most| self.used >= most);
        let count = if bounded && decision.goes_on { 1 } else { others };
        let awake = |id: &&u64| self.preemptions.is_some() || !self.sleep.contains(id);
        decision.candidates[..count].iter().filter(awake).copied().collect()
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
        if self.preemptions.is_none() && self.sleep.contains(&id) && self.depth >= self.path.len() {
            self.redundant = true;
        }
    }

    /// A step wakes those whose own next one depends on it.
    pub(super) fn step(&mut self, id: u64, at: &At, pending: impl Fn(u64) -> Option<At>) {
        self.sleep.retain(|&other| other != id && pending(other).is_some_and(|next| next.is_independent_of(at)));
    }
}
