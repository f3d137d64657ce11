//! What is remembered of a variable: its last write, and the reads since that nothing orders among each other.

use super::clock::Epoch;
use super::strand::{Strand, Who};
#[cfg(feature = "race")]
use crate::channel::lock::{Guard, Lock};
use crate::debug::walk::Addresses;
#[cfg(feature = "race")]
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
#[cfg(feature = "race")]
use std::sync::OnceLock;

/// One use of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    /// What tells it from other variables, see `identity`.
    pub(crate) variable: usize,
    pub(crate) address: usize,
    pub(crate) writes: bool,
    pub(crate) location: &'static Location<'static>,
    #[cfg(feature = "race")]
    pub(super) history: &'a History,
    #[cfg(not(feature = "race"))]
    pub(super) history: std::marker::PhantomData<&'a ()>,
}

/// What the process's detector remembers of a variable, from its first use on. It lies in the variable.
#[cfg(feature = "race")]
pub(crate) struct History(OnceLock<Box<Lock<Variable>>>);

#[cfg(feature = "race")]
impl History {
    pub(super) const fn none() -> Self {
        Self(OnceLock::new())
    }

    #[inline]
    pub(super) fn lock(&self) -> Guard<'_, Variable> {
        self.0.get_or_init(|| Box::new(Lock::new(Variable::default()))).lock()
    }
}

#[cfg(feature = "race")]
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}

/// An access as it is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(super) epoch: Epoch,
    pub(super) strand: Arc<Strand>,
    pub(crate) writes: bool,
    pub(crate) location: &'static Location<'static>,
    pub(crate) stack: Option<Addresses>,
}

impl Seen {
    pub(crate) fn who(&self) -> &Who {
        &self.strand.who
    }
}

/// Two accesses, one of them a write, that nothing orders.
#[derive(Clone, Debug)]
pub(crate) struct Race {
    pub(crate) address: usize,
    pub(crate) now: Seen,
    pub(crate) before: Seen,
    /// Whether who was there before has ended.
    pub(crate) before_has_ended: bool,
}

/// How an access is told: by whom, where, and in which calls.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) access: &'a Access<'a>,
    pub(super) strand: &'a Arc<Strand>,
    pub(super) stack: Option<&'a Addresses>,
}

impl Use<'_> {
    pub(super) fn seen_at(self, epoch: Epoch) -> Seen {
        let &Access { writes, location, .. } = self.access;
        Seen { epoch, strand: Arc::clone(self.strand), writes, location, stack: self.stack.cloned() }
    }

    /// Whether that was the same strand, in the same calls.
    fn is_like(self, seen: &Seen) -> bool {
        let is_same_stack = match (&seen.stack, self.stack) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        Arc::ptr_eq(&seen.strand, self.strand) && is_same_stack
    }

    /// Takes the place of what was seen before.
    fn replaces(self, seen: &mut Seen, epoch: Epoch, old: &mut Vec<Seen>) {
        if !self.is_like(seen) {
            let Some(like) = old.iter_mut().find(|seen| self.is_like(seen)) else {
                let former = std::mem::replace(seen, self.seen_at(epoch));
                if old.len() == KEPT {
                    old.remove(0);
                }
                return old.push(former);
            };
            std::mem::swap(seen, like);
        }
        (seen.epoch, seen.writes, seen.location) = (epoch, self.access.writes, self.access.location);
    }
}

/// So many that do not count any more are kept. Those who use a variable in turn mostly come back in the same calls: then no
/// counts of references change, which lie with strands that run on other processors.
const KEPT: usize = 4;

#[derive(Default)]
pub(super) struct Variable {
    write: Option<Seen>,
    /// Those that count, and then at most one that does not, for its memory.
    reads: Vec<Seen>,
    reads_that_count: usize,
    old: Vec<Seen>,
}

impl Variable {
    fn reads(&self) -> &[Seen] {
        &self.reads[..self.reads_that_count]
    }

    /// Whether the same access was noted in this very epoch.
    pub(super) fn is_known(&self, epoch: Epoch, access: &Access<'_>) -> bool {
        let same = |seen: &Seen| seen.epoch == epoch;
        match access.writes {
            true => self.reads_that_count == 0 && self.write.as_ref().is_some_and(same),
            false => self.reads().iter().any(same) || self.write.as_ref().is_some_and(same),
        }
    }

    /// An earlier access that is no read beside a read, and does not come before, as `is_before` says.
    pub(super) fn unordered(&self, writes: bool, is_before: impl Fn(&Seen) -> bool) -> Option<&Seen> {
        let reads = if writes { self.reads() } else { &[] };
        self.write.iter().chain(reads).find(|seen| !is_before(seen))
    }

    pub(super) fn note(&mut self, now: Use<'_>, epoch: Epoch, is_before: impl Fn(&Seen) -> bool) {
        if now.access.writes {
            self.reads.truncate(1);
            self.reads_that_count = 0;
            match &mut self.write {
                Some(write) => now.replaces(write, epoch, &mut self.old),
                None => self.write = Some(now.seen_at(epoch)),
            }
            return;
        }
        if self.reads_that_count > 1 {
            self.reads.retain(|read| !is_before(read));
            self.reads_that_count = self.reads.len();
        } else if self.reads().first().is_some_and(is_before) {
            self.reads_that_count = 0;
        }
        match self.reads.get_mut(self.reads_that_count) {
            Some(read) => now.replaces(read, epoch, &mut self.old),
            None => self.reads.push(now.seen_at(epoch)),
        }
        self.reads_that_count += 1;
    }
}
