//! What is remembered of a variable: its last write, and the reads since that nothing orders among each other.

use super::clock::Epoch;
use super::strand::{Strand, Who};
use crate::debug::walk::Addresses;
use std::panic::Location;
use std::sync::Arc;

/// One use of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// What tells it from other variables, see `identity`.
    pub(crate) variable: usize,
    pub(crate) address: usize,
    pub(crate) writes: bool,
    pub(crate) location: &'static Location<'static>,
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

#[derive(Default)]
pub(super) struct Variable {
    write: Option<Seen>,
    reads: Vec<Seen>,
}

impl Variable {
    /// Whether the same access was noted in this very epoch.
    pub(super) fn is_known(&self, epoch: Epoch, access: Access) -> bool {
        let same = |seen: &Seen| seen.epoch == epoch;
        match access.writes {
            true => self.reads.is_empty() && self.write.as_ref().is_some_and(same),
            false => self.reads.iter().any(same) || self.write.as_ref().is_some_and(same),
        }
    }

    /// An earlier access that is no read beside a read, and does not come before, as `is_before` says.
    pub(super) fn unordered(&self, writes: bool, is_before: impl Fn(&Seen) -> bool) -> Option<&Seen> {
        let reads = if writes { &self.reads[..] } else { &[] };
        self.write.iter().chain(reads).find(|seen| !is_before(seen))
    }

    pub(super) fn note(&mut self, seen: Seen, is_before: impl Fn(&Seen) -> bool) {
        if seen.writes {
            self.reads.clear();
            self.write = Some(seen);
        } else {
            self.reads.retain(|read| !is_before(read));
            self.reads.push(seen);
        }
    }
}
