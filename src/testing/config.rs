//! [`Config`] and [`Strategy`]: how a check goes about it.

use super::failure::Failure;
use super::session;
use std::time::Duration;

/// How schedules are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Strategy {
    /// The default. First a few schedules that find most bugs at once: one in which the first goroutine that is in the middle
    /// of something stops there, until nobody else can go on; goroutines that begin as soon as they are made; round robin; one
    /// preemption early on; none; the youngest first. Then, in turn, one preemption further on, PCT of depth 2 to 4, and a
    /// random walk: some bugs are found by many switches in a row, others by few at the right moment.
    Mixed,
    /// At each point any goroutine that can run may be next, with equal probability.
    Random,
    /// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatti, ASPLOS 2010): random
    /// priorities, which change at `depth - 1` points. A bug that takes `depth` ordering constraints (an order violation
    /// takes 1, a lost update or a deadlock of two locks takes 2) is found by each schedule with a probability of at least
    /// 1/(n·kᵈ⁻¹), for n goroutines and k steps.
    Pct {
        /// The depth of the bugs that are looked for, at least 1.
        depth: u32,
    },
    /// All goroutines in turn, in the order in which they were made, one step each; in the next schedule two, and so on until
    /// that makes no difference.
    RoundRobin,
    /// All schedules, depth-first, leaving out those that differ only in the order of independent steps (sleep sets:
    /// Godefroid, 1996). For small programs: it ends when all have been run, and then no order of lisle's operations is left in
    /// which something could be found; but for one thing: of those that yield in a loop only so many rounds are tried, see
    /// [`Config::yields`].
    Exhaustive,
}

/// How a check goes about it: how many schedules, which, and what bounds them.
///
/// ```
/// use lisle::testing::{Config, Strategy};
/// let report = Config::new()
///     .strategy(Strategy::Exhaustive)
///     .explore(|| {
///         let (sender, receiver) = lisle::channel::bounded(1);
///         lisle::go(move || sender.send(1).unwrap());
///         assert_eq!(receiver.recv(), Ok(1));
///     })
///     .expect("no schedule fails");
/// assert!(report.is_complete);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a Config does nothing until `check` or `explore` is called"]
pub struct Config {
    pub(super) iterations: u64,
    pub(super) time: Option<Duration>,
    pub(super) strategy: Strategy,
    pub(super) seed: u64,
    pub(super) depth: usize,
    pub(super) steps: u64,
    pub(super) preemptions: Option<u32>,
    pub(super) yields: u32,
    pub(super) eager_time: bool,
    pub(super) shrinks: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            iterations: 2000,
            time: None,
            strategy: Strategy::Mixed,
            seed: 0,
            depth: 10_000,
            steps: 100_000,
            preemptions: None,
            yields: 1,
            eager_time: false,
            shrinks: true,
        }
    }
}

impl Config {
    /// 2,000 schedules of [`Strategy::Mixed`], always the same ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many schedules are run, at most. Default: 2,000.
    pub fn iterations(mut self, schedules: u64) -> Self {
        self.iterations = schedules;
        self
    }

    /// For how long schedules are run, at most; one at least. Default: no limit.
    pub fn time(mut self, at_most: Duration) -> Self {
        self.time = Some(at_most);
        self
    }

    /// How schedules are chosen.
    ///
    /// # Panics
    /// If the depth of PCT is 0.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        assert!(strategy != Strategy::Pct { depth: 0 }, "the depth of PCT is at least 1");
        self.strategy = strategy;
        self
    }

    /// The number from which all random choices come. Default: 0, so that a check that has passed passes again. The
    /// environment can change it: `LISLE_SEED=any` takes a new one for each run, and prints it when something fails.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Moments beyond which the exhaustive search does not branch. Default: 10,000.
    pub fn depth(mut self, moments: usize) -> Self {
        self.depth = moments;
        self
    }

    /// Steps after which a schedule counts as a livelock. Default: 100,000.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// The most preemptions (moments at which a goroutine that could go on does not) of a schedule in the exhaustive
    /// search: most bugs need two or fewer (Musuvathi and Qadeer, 2007). Default: no limit.
    pub fn preemptions(mut self, most: u32) -> Self {
        self.preemptions = Some(most);
        self
    }

    /// How many of its yields a goroutine passes in the exhaustive search between two steps of another that could run; at
    /// the next it waits for that other. So `while !done() { yield_now() }` comes to an end in each schedule (fairness:
    /// Musuvathi and Qadeer, 2008). More than one is of use for a program that yields several times in a row and then does
    /// something else. Default: 1.
    ///
    /// # Panics
    /// If it is 0: a yield offers the turn, it does not give it away.
    pub fn yields(mut self, most: u32) -> Self {
        assert!(most > 0, "a goroutine passes one yield at least: the bound on yields is not 0");
        self.yields = most;
        self
    }

    /// Whether timers may be due at any moment, as on a machine with too much to do: the clock is one more that may go
    /// first. Otherwise time goes on only when all goroutines wait. Default: no.
    pub fn eager_time(mut self, yes: bool) -> Self {
        self.eager_time = yes;
        self
    }

    /// Whether a failure is shrunk to the fewest preemptions, which takes up to 500 more schedules. Default: yes. If not, a
    /// failure of the first eight schedules is told as it was seen, and not run again to see whether it repeats.
    pub fn shrink(mut self, yes: bool) -> Self {
        self.shrinks = yes;
        self
    }

    /// As [`check`](super::check()), with this configuration.
    ///
    /// # Panics
    /// If a schedule fails, with the text of the [`Failure`].
    #[track_caller]
    pub fn check<F: Fn() + Send>(self, f: F) {
        if let Err(failure) = self.explore(f) {
            panic!("{failure}");
        }
    }

    /// As [`check`](Self::check), for those who want to look at what was found.
    ///
    /// # Errors
    /// The first failure.
    ///
    /// # Panics
    /// If it is called within a check, if the system refuses a thread, or if `LISLE_SEED` makes no sense.
    #[track_caller]
    pub fn explore<F: Fn() + Send>(self, f: F) -> Result<Report, Failure> {
        session::explore(&self, f)
    }
}

/// What a check without a failure has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Schedules that were run.
    pub schedules: u64,
    /// Of these, schedules that turned out to be others in a different order of independent steps (exhaustive search).
    pub redundant: u64,
    /// Whether there is no other schedule: the exhaustive search has come to its end, and no bound (on depth, on
    /// preemptions, on steps without a yield) has cut it short. All schedules are those that are fair, see
    /// [`Config::yields`].
    pub is_complete: bool,
    /// Steps of the longest schedule.
    pub steps: u64,
}
