//! Who sleeps, who searches, and how neither work nor a wake-up gets lost.
//!
//! # The protocol
//! Two kinds of work reach a worker from elsewhere:
//! - *pinned work*: a started goroutine was woken by another thread. It lies in its home worker's inbox,
//!   and only that worker can run it. → [`Sleeper`]
//! - *fresh work*: an unstarted goroutine lies in some deque or in the injector, and any worker can run it.
//!   → [`Idle`]
//!
//! # The race
//! A worker finds nothing and goes to sleep; a producer adds work just after the worker looked and just
//! before it slept, sees nobody asleep, and wakes nobody.
//!
//! # The fences, and why they suffice (proof sketch)
//! Both sides follow Dekker's pattern, *publish, then look*, and all four steps are sequentially consistent:
//!
//! | producer | worker |
//! | --- | --- |
//! | P1 publish the work | W1 publish "asleep" |
//! | P2 look for sleepers | W2 look for work |
//!
//! In the single order of SeqCst operations either P1 precedes W2, and the worker finds the work and does
//! not sleep, or W2 precedes P1, hence W1 precedes P2, and the producer finds the sleeper. For pinned work
//! P1 is the inbox's compare-exchange, P2 the load in `Sleeper::wake`, W1 the store in `Sleeper::announce`,
//! W2 the re-check between `announce` and the poller. For fresh work P1 is a deque push followed by a
//! SeqCst fence (the push is only a release store), W1 the update of `Idle::state` in `doze`.
//! The wake itself cannot be lost: the eventfd is level-triggered and keeps its count until it is read.
//!
//! *Searching* workers save wake-ups: a producer that sees a searcher wakes nobody. That is sound because a
//! searcher gives up searching in one of two ways only. It finds work: then, if it was the last searcher,
//! it wakes another ([`Idle::found_work`]), which looks at everything that the producers left. Or it goes to
//! sleep: then `doze` moves it from *searching* to *sleeping* in one step, and W2 comes after that step.
//! A producer whose P2 saw it searching is therefore ordered before that step, its P1 before W2.
//!
//! A sleeper that is woken for fresh work counts as a searcher from the moment it is chosen, so that a
//! burst of spawns wakes one worker, not all; that worker wakes the next one when it finds work.
//!
//! The loom models (`src/loom_models.rs`) check both pairs, the last-searcher rule, and that the
//! counts return to zero.
//!
//! # Rejected
//! - Waking a worker on every spawn (a system call each).
//! - One global condition variable: every wake-up of pinned work must reach one certain worker.
//! - A fence-free producer side by `membarrier` on the sleeper's: 5 ns a spawn saved, some microseconds
//!   a sleep paid, and a second protocol for kernels that refuse it.

use crate::atomics::{AtomicU8, AtomicUsize, Mutex, Ordering, fence, lock};

const SEARCHER: usize = 1 << 16;
const SLEEPER: usize = 1;
const COUNT: usize = SEARCHER - 1;

/// The fresh-work side: counts of searching and sleeping workers, and which ones sleep.
pub(crate) struct Idle {
    /// Sleepers in the low 16 bits, searchers above.
    state: AtomicUsize,
    /// Indices of the sleeping workers, the latest sleeper last: it is woken first, its cache is warmest.
    sleepers: Mutex<Vec<usize>>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { state: AtomicUsize::new(0), sleepers: Mutex::new(Vec::new()) }
    }

    /// To be called after fresh work was published: returns a sleeper that the caller must wake, if one is
    /// needed. The sleeper already counts as searching.
    pub(crate) fn worker_to_wake(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        if state >= SEARCHER || state & COUNT == 0 {
            return None;
        }
        self.pick_sleeper()
    }

    #[cold]
    fn pick_sleeper(&self) -> Option<usize> {
        let mut sleepers = lock(&self.sleepers);
        if self.state.load(Ordering::SeqCst) >= SEARCHER {
            return None;
        }
        let index = sleepers.pop()?;
        self.state.fetch_add(SEARCHER - SLEEPER, Ordering::SeqCst);
        Some(index)
    }

    /// Asks to become a searcher; refused when half of `busy` workers search already.
    pub(crate) fn try_search(&self, busy: usize) -> bool {
        if 2 * (self.state.load(Ordering::SeqCst) / SEARCHER) >= busy {
            return false;
        }
        self.state.fetch_add(SEARCHER, Ordering::SeqCst);
        true
    }

    /// A searcher found work. Returns whether it was the last one: then it must call `worker_to_wake`.
    pub(crate) fn found_work(&self) -> bool {
        let was_last = self.state.fetch_sub(SEARCHER, Ordering::SeqCst) / SEARCHER == 1;
        if was_last {
            // It looks whether there is more, as in `doze`.
            fence(Ordering::SeqCst);
        }
        was_last
    }

    /// Step W1: the worker becomes a sleeper, from being a searcher or not, and calls `rouse` when it is
    /// up again. Returns whether nobody searches now: then it must look for fresh work once more before it
    /// sleeps. (Else the searchers will: they come through here, or through `found_work`.)
    #[must_use]
    pub(crate) fn doze(&self, index: usize, searching: bool) -> bool {
        let mut sleepers = lock(&self.sleepers);
        sleepers.push(index);
        let before = if searching {
            self.state.fetch_sub(SEARCHER - SLEEPER, Ordering::SeqCst) - SEARCHER
        } else {
            self.state.fetch_add(SLEEPER, Ordering::SeqCst)
        };
        drop(sleepers);
        fence(Ordering::SeqCst);
        before < SEARCHER
    }

    /// Whether some worker sleeps or searches.
    #[inline]
    pub(crate) fn is_anybody_idle(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 0
    }

    /// How many workers sleep.
    pub(crate) fn sleeping(&self) -> usize {
        self.state.load(Ordering::Relaxed) & COUNT
    }

    /// How many workers search.
    pub(crate) fn searching(&self) -> usize {
        self.state.load(Ordering::Relaxed) / SEARCHER
    }

    /// The worker is up. Returns whether a producer chose it meanwhile: then it is a searcher now.
    pub(crate) fn rouse(&self, index: usize) -> bool {
        let mut sleepers = lock(&self.sleepers);
        match sleepers.iter().rposition(|&sleeper| sleeper == index) {
            Some(position) => {
                sleepers.remove(position);
                self.state.fetch_sub(SLEEPER, Ordering::SeqCst);
                false
            }
            None => true,
        }
    }

    /// For the models: all counts are back at zero.
    #[cfg(all(loom, test))]
    pub(crate) fn is_settled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == 0
    }
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;

/// The pinned-work side: whether one certain worker sleeps.
pub(crate) struct Sleeper {
    state: AtomicU8,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(AWAKE) }
    }

    /// Step W1. The worker must look into its inbox once more before it sleeps.
    pub(crate) fn announce(&self) {
        self.state.store(ASLEEP, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The worker is up, or did not sleep after all.
    pub(crate) fn retract(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    /// Whether the worker has announced its sleep, and nobody has been told to wake it.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ASLEEP
    }

    /// To be called after pinned work was published: whether the caller must wake the worker. At most one
    /// caller is told so for each sleep.
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.state.load(Ordering::SeqCst) == ASLEEP && self.state.swap(AWAKE, Ordering::SeqCst) == ASLEEP
    }
}
