//! Who chooses what runs next: one driver for each schedule.

use super::op::{At, Op};
use super::schedule::{Choice, Deviation, Moment, Schedule};
use super::search::Search;
use crate::random::splitmix64;
use std::collections::HashMap;

/// A number generator. The same everywhere, so that a seed is a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    /// Below `count`, which is not zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

/// A moment at which several goroutines could run.
pub(crate) struct Decision<'a> {
    /// In the plain order: the first is who runs if nobody wants otherwise.
    pub(crate) candidates: &'a [u64],
    /// The first of them goes on by itself: another choice is a preemption.
    pub(crate) goes_on: bool,
    /// Who runs offers its turn to the others; then it is the last.
    pub(crate) yields: Option<u64>,
    /// It has done very many steps without a yield: others go first.
    pub(crate) has_to_yield: bool,
    pub(crate) at: Moment,
    /// What who ran last would do next, or waits in.
    pub(crate) op: Op,
    /// Whether it was made in the last step of who goes on, and has not begun.
    pub(crate) is_fresh: &'a dyn Fn(u64) -> bool,
    /// Whether it stands before a yield.
    pub(crate) is_at_yield: &'a dyn Fn(u64) -> bool,
}

impl Decision<'_> {
    /// The candidates without the one that has to let others go first.
    pub(crate) fn willing(&self) -> &[u64] {
        &self.candidates[..self.candidates.len() - usize::from(self.has_to_yield)]
    }

    /// Whether who ran last has begun something, and not yet come to the end of it, or to where it waits for others' ends.
    fn is_in_the_middle(&self) -> bool {
        self.at.step > 1 && !self.op.is_end_or_its_wait()
    }

    /// The candidates without the one that goes on, or yields.
    fn others(&self) -> &[u64] {
        let candidates = &self.candidates[usize::from(self.goes_on)..];
        &candidates[..candidates.len() - usize::from(self.yields.is_some())]
    }
}

/// See the module.
pub(crate) enum Driver {
    Random(Random),
    Pct(Box<Pct>),
    RoundRobin {
        quantum: u32,
        left: u32,
    },
    /// Who has been made begins at once, before its maker goes on; else nobody is preempted, and of those that can run it is the oldest.
    Oldest,
    /// At each point the youngest of all goes first.
    Youngest,
    /// The plain order, but for one preemption: at this of the points where a goroutine is in the middle of something.
    Once {
        left: u64,
    },
    /// Nobody is preempted, and of those that can run it is the oldest; but the first that is in the middle of something stops
    /// there. If it stops by itself (it waits, or yields, or is about to wait on a condition variable), that was it. The main
    /// goroutine, which makes the others, is not stopped: they are those that are alike, most often.
    StopOnce(StopOnce),
    Replay(Replay),
    Search(Box<Search>),
}

impl Driver {
    pub(crate) fn of(schedule: &Schedule) -> Self {
        match schedule {
            Schedule::Random { seed } => Self::Random(Random::new(*seed)),
            Schedule::Pct { depth, seed, length } => Self::Pct(Box::new(Pct::new(*depth, *seed, *length))),
            Schedule::RoundRobin { quantum } => Self::RoundRobin { quantum: *quantum, left: *quantum },
            Schedule::Deviations(list) => Self::following(list),
        }
    }

    /// The plain order, but for these deviations.
    pub(crate) fn following(deviations: &[Deviation]) -> Self {
        Self::Replay(Replay::new(deviations))
    }

    pub(crate) fn plain() -> Self {
        Self::following(&[])
    }

    /// The place of the chosen one among the candidates, of which there are several.
    pub(crate) fn choose(&mut self, decision: &Decision<'_>) -> usize {
        match self {
            Self::Random(random) => random.below(decision.willing().len()),
            Self::Pct(pct) => pct.choose(decision),
            Self::RoundRobin { quantum, left } => {
                if decision.goes_on && *left > 0 {
                    return 0;
                }
                *left = *quantum;
                let others = decision.others();
                let next = others.iter().filter(|&&id| id > decision.at.goroutine).min();
                place_of(next.or(others.iter().min()), decision)
            }
            Self::Oldest if decision.goes_on => {
                let fresh = decision.candidates.iter().filter(|&&id| (decision.is_fresh)(id));
                place_of(fresh.min(), decision)
            }
            // To go round among two that wait for a third helps nobody.
            Self::Oldest | Self::Youngest if decision.yields.is_some() => 0,
            Self::Oldest => place_of(decision.candidates.iter().min(), decision),
            Self::Youngest => place_of(decision.candidates.iter().max(), decision),
            Self::Once { left } => {
                let counts = decision.goes_on && decision.is_in_the_middle();
                let is_now = counts && *left == 1;
                *left = left.saturating_sub(u64::from(counts));
                usize::from(is_now)
            }
            Self::StopOnce(stop_once) => stop_once.choose(decision),
            Self::Replay(replay) => replay.choose(decision),
            Self::Search(search) => search.choose(decision),
        }
    }

    /// One of `count` values, more than one.
    pub(crate) fn choose_value(&mut self, at: Moment, count: usize) -> usize {
        match self {
            Self::Random(random) => random.below(count),
            Self::Pct(pct) => pct.random.below(count),
            Self::RoundRobin { .. } | Self::Youngest => at.step as usize % count,
            Self::Oldest | Self::Once { .. } | Self::StopOnce(_) => 0,
            Self::Replay(replay) => match replay.list.get(&(at, false)) {
                Some(&Choice::Value(value)) if value < count => value,
                _ => 0,
            },
            Self::Search(search) => search.choose_value(count),
        }
    }

    /// A goroutine is about to do a step; `pending` says what another would do next.
    pub(crate) fn step(&mut self, id: u64, at: &At, pending: impl Fn(u64) -> Option<At>) {
        match self {
            Self::Pct(pct) => pct.step(id),
            Self::RoundRobin { left, .. } => *left = left.saturating_sub(1),
            Self::Search(search) => search.step(id, at, pending),
            Self::Random(_)
            | Self::Oldest
            | Self::Youngest
            | Self::Once { .. }
            | Self::StopOnce(_)
            | Self::Replay(_) => {}
        }
    }

    /// A timer is due.
    pub(crate) fn time_passes(&mut self) {
        if let Self::Search(search) = self {
            search.time_passes();
        }
    }

    /// Nobody else than `id` can run.
    pub(crate) fn no_choice(&mut self, id: u64) {
        if let Self::Search(search) = self {
            search.no_choice(id);
        }
    }
}

/// The number of the goroutine in which the program begins.
const MAIN: u64 = 1;

fn place_of(id: Option<&u64>, decision: &Decision<'_>) -> usize {
    id.and_then(|id| decision.candidates.iter().position(|other| other == id)).unwrap_or(0)
}

#[derive(Default)]
pub(crate) struct StopOnce {
    is_over: bool,
    /// Who has been stopped: it goes on when nobody else can.
    stopped: Option<u64>,
}

impl StopOnce {
    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        let me = decision.at.goroutine;
        if !self.is_over && decision.is_in_the_middle() {
            let is_made_to = decision.goes_on && me != MAIN && decision.op != Op::CondvarWait;
            self.is_over = is_made_to || !decision.goes_on;
            self.stopped = is_made_to.then_some(me);
        }
        if decision.goes_on && self.stopped != Some(me) {
            return 0;
        }
        let others = decision.others().iter().filter(|&&id| Some(id) != self.stopped);
        place_of(others.min(), decision)
    }
}

/// Follows a list of deviations from the plain order. Those that cannot be followed are left out.
pub(crate) struct Replay {
    /// With true: who runs.
    list: HashMap<(Moment, bool), Choice>,
}

impl Replay {
    fn new(list: &[Deviation]) -> Self {
        let entry =
            |deviation: &Deviation| ((deviation.at, matches!(deviation.choice, Choice::Run(_))), deviation.choice);
        Self { list: list.iter().map(entry).collect() }
    }

    fn choose(&self, decision: &Decision<'_>) -> usize {
        match self.list.get(&(decision.at, true)) {
            Some(&Choice::Run(id)) => decision.candidates.iter().position(|&other| other == id).unwrap_or(0),
            _ => 0,
        }
    }
}

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatti, ASPLOS 2010). Each goroutine has
/// a random priority, and the highest that can run does. At `depth - 1` steps, chosen at random among all, the one that
/// does the step falls below all that have not fallen; which of those that have fallen goes first is chosen at random, too.
/// (Were it always the one that fell first, or last, some bugs of that depth could not be found at all.) A bug that needs
/// `depth` ordering constraints is found in one schedule with a probability of at least 1/(n·k^(depth-1)), for n goroutines
/// and k steps. Who yields falls below all: else two that wait for a third in a loop would keep it from running.
pub(crate) struct Pct {
    pub(crate) random: Random,
    /// High numbers first.
    priorities: HashMap<u64, u64>,
    /// The steps at which priorities change, and to what, the first one last.
    changes: Vec<(u64, u64)>,
    steps: u64,
    /// The next priority of who yields: always lower.
    lowest: u64,
}

/// Above it lie the priorities of those that have fallen at a change, below it of those that have yielded.
const FALLEN: u64 = 1 << 32;
/// Above it lie the priorities of those that have done neither.
const UNFALLEN: u64 = 1 << 33;

impl Pct {
    fn new(depth: u32, seed: u64, length: u64) -> Self {
        let mut random = Random::new(seed);
        let length = usize::try_from(length.max(1)).unwrap_or(usize::MAX);
        let change = |rank| (1 + random.below(length) as u64, FALLEN + u64::from(rank));
        let mut changes: Vec<(u64, u64)> = (1..depth).map(change).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { random, priorities: HashMap::new(), changes, steps: 0, lowest: FALLEN }
    }

    fn priority(&mut self, id: u64) -> u64 {
        let random = &mut self.random;
        *self.priorities.entry(id).or_insert_with(|| UNFALLEN + (random.next() >> 32))
    }

    /// The goroutine does a step.
    fn step(&mut self, id: u64) {
        self.steps += 1;
        while let Some((_, priority)) = self.changes.pop_if(|(step, _)| *step <= self.steps) {
            self.priorities.insert(id, priority);
        }
    }

    fn demote(&mut self, id: u64) {
        self.lowest -= 1;
        self.priorities.insert(id, self.lowest);
    }

    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        decision.yields.into_iter().for_each(|id| self.demote(id));
        let priorities: Vec<u64> = decision.candidates.iter().map(|&id| self.priority(id)).collect();
        (0..priorities.len()).max_by_key(|&index| priorities[index]).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_stay_below_their_bound_and_reach_it() {
        let mut random = Random::new(1);
        let numbers: Vec<usize> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|number| numbers.contains(&number)) && numbers.iter().all(|&number| number < 3));
    }

    #[test]
    fn pct_runs_the_same_goroutine_until_it_falls() {
        let mut pct = Pct::new(1, 7, 100);
        let at = Moment { goroutine: 1, step: 1 };
        let decision = Decision {
            candidates: &[1, 2, 3],
            goes_on: true,
            yields: None,
            has_to_yield: false,
            at,
            op: Op::Load,
            is_fresh: &|_| false,
            is_at_yield: &|_| false,
        };
        let first = pct.choose(&decision);
        assert!((0..20).all(|_| pct.choose(&decision) == first));
        pct.demote(decision.candidates[first]);
        assert_ne!(pct.choose(&decision), first);
    }

    #[test]
    fn of_two_that_have_fallen_in_pct_either_may_go_first() {
        let goes_first = |seed| {
            let mut pct = Pct::new(3, seed, 2);
            pct.step(1);
            pct.step(2);
            pct.changes.is_empty().then(|| pct.priority(1) > pct.priority(2))
        };
        let firsts: Vec<bool> = (0..50).filter_map(goes_first).collect();
        assert!(firsts.contains(&true) && firsts.contains(&false));
    }

    #[test]
    fn pct_lets_the_one_fall_that_does_the_step_though_it_was_alone_then() {
        let mut pct = Pct::new(2, 7, 1);
        pct.step(1);
        pct.step(2);
        assert!(pct.priority(1) < UNFALLEN && pct.priority(2) >= UNFALLEN);
    }
}
