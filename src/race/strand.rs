//! A strand: what the detector knows of a goroutine, or of an OS thread.
//!
//! Its clock is touched by itself; by others only while it waits, when a message passes between them. So its lock is free
//! whenever it is wanted, and its memory stays with the processor that runs it.
//!
//! A strand is *silent* as long as it has accessed nothing, and has heard of nobody who did: there is nothing that it could
//! tell others. It says so without its lock, to itself, and to those who find it waiting.
//!
//! # Indexes come late, and are used again
//! A strand gets its place in all clocks, its index, with its first access: of a hundred thousand goroutines that access
//! nothing no clock grows longer. The index goes to another when the strand has ended: clocks would grow without end
//! otherwise. But then the two count as one, and what the first did as seen by the second. So it is given only to a strand
//! that has seen all accesses of the one that had it (its starter has joined it, say). Those that nobody has seen are kept
//! back, [`KEPT_BACK`] of them; only beyond that can a race with a goroutine that has ended be missed.
//!
//! # Time
//! A strand's time goes on when it publishes what it has accessed, and only then. Who only passes messages has the same
//! time all along, and no entry in anybody's clock.

use super::clock::{Clock, Epoch};
use crate::channel::lock::Lock;
use crate::debug::walk::Addresses;
use crate::sched::g::G;
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Who did something: a goroutine, or an OS thread.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) id: u64,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) created_in: Option<Addresses>,
    pub(crate) is_thread: bool,
}

impl Who {
    pub(super) fn of(g: &G, created_in: Option<Addresses>) -> Self {
        Self {
            id: g.id,
            name: g.extra.as_ref().and_then(|extra| extra.name.shared()),
            created_at: g.created_at,
            created_in,
            is_thread: g.is_thread(),
        }
    }
}

/// Of who has accessed nothing yet.
const NO_INDEX: u32 = u32::MAX;

/// See the module.
pub(crate) struct Strand {
    /// Or [`NO_INDEX`]. Written by itself.
    index: AtomicU32,
    pub(crate) who: Who,
    has_ended: AtomicBool,
    is_silent: AtomicBool,
    present: Lock<Present>,
}

impl fmt::Debug for Strand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strand").field("index", &self.index()).field("who", &self.who).finish_non_exhaustive()
    }
}

/// How far a strand is.
pub(super) struct Present {
    index: u32,
    /// What it has seen. Its own entry is there only if it has ever published an access: the many that wait for their first
    /// event have short clocks.
    pub(super) clock: Clock,
    /// Its own time. It stands still at the highest number: what is accessed then counts as seen too soon.
    time: u32,
    /// Whether there was an access at that time.
    has_accessed: bool,
    /// What its next relaxed stores publish, by a release fence.
    pub(super) fenced: Clock,
    /// What its relaxed loads have seen, for an acquire fence.
    pub(super) loaded: Clock,
}

impl Present {
    /// Its clock, for others to see. What it does from now on is not among that.
    pub(super) fn publish(&mut self) -> &mut Clock {
        if self.has_accessed {
            self.has_accessed = false;
            self.clock.set(self.index, self.time);
            self.time = self.time.saturating_add(1);
        }
        &mut self.clock
    }

    /// Now, at which it accesses something.
    pub(super) fn access(&mut self) -> Epoch {
        self.has_accessed = true;
        self.now()
    }

    pub(super) fn now(&self) -> Epoch {
        Epoch { strand: self.index, time: self.time }
    }

    /// The last moment at which it may have accessed anything.
    fn last_access(&self) -> u32 {
        self.time - u32::from(!self.has_accessed)
    }

    /// Whether that moment happens before what the strand does now.
    pub(super) fn has_seen(&self, epoch: Epoch) -> bool {
        epoch.strand == self.index || self.clock.has_seen(epoch)
    }
}

impl Strand {
    pub(super) fn new(who: Who, clock: Clock) -> Self {
        let is_silent = AtomicBool::new(clock.is_empty());
        let (fenced, loaded) = (Clock::default(), Clock::default());
        let present = Lock::new(Present { index: NO_INDEX, clock, time: 1, has_accessed: false, fenced, loaded });
        Self { index: AtomicU32::new(NO_INDEX), who, has_ended: AtomicBool::new(false), is_silent, present }
    }

    fn index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    /// Whether it may access something.
    pub(super) fn has_index(&self) -> bool {
        self.index() != NO_INDEX
    }

    /// Calls `f` with how far it is.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Present) -> R) -> R {
        let mut present = self.present.lock();
        let result = f(&mut present);
        if self.is_silent() && (present.has_accessed || !present.clock.is_empty()) {
            self.is_silent.store(false, Ordering::Relaxed);
        }
        result
    }

    /// Relaxed: it is the strand itself that asks, or who has found it waiting, under a lock.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// What it has seen and done so far.
    pub(super) fn published(&self) -> Clock {
        if self.is_silent() { Clock::default() } else { self.with(|present| present.publish().clone()) }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// What each of the two has done happens before what the other does next.
    pub(super) fn meet(&self, other: &Self) {
        // In the order of their addresses: two may meet two others.
        let (first, second) = if std::ptr::from_ref(self) < other { (self, other) } else { (other, self) };
        if std::ptr::eq(first, second) || first.is_silent() && second.is_silent() {
            return;
        }
        first.with(|first| second.with(|second| first.publish().meet(second.publish())));
    }
}

/// All strands of a world.
#[derive(Default)]
pub(super) struct Strands {
    /// Those that have accessed something, by their indexes.
    all: Vec<Arc<Strand>>,
    /// Of those that have ended: indexes to be used again, and the last moment at which who had it may have accessed
    /// anything; the last that ended comes last.
    free: VecDeque<Epoch>,
    pub(super) by_number: ByNumber,
}

/// Of so many strands that have ended, and whose accesses nobody is known to have seen, no index is used again.
const KEPT_BACK: usize = 1024;
/// So many of the last that have ended are looked at for one whose index can be used again.
const LOOKED_AT: usize = 16;

impl Strands {
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.free.clear();
        self.by_number.clear();
    }

    pub(super) fn all(&self) -> &[Arc<Strand>] {
        &self.all
    }

    /// `strand` is about to access something for the first time.
    pub(super) fn give_index(&mut self, strand: &Arc<Strand>) {
        let index = strand.with(|present| {
            let free = self.take_free(&present.clock);
            present.index = free.map_or(self.all.len() as u32, |free| free.strand);
            present.time = free.map_or(1, |free| free.time.saturating_add(1));
            present.index
        });
        strand.index.store(index, Ordering::Relaxed);
        match self.all.get_mut(index as usize) {
            Some(place) => *place = Arc::clone(strand),
            None => self.all.push(Arc::clone(strand)),
        }
    }

    fn take_free(&mut self, clock: &Clock) -> Option<Epoch> {
        let last = self.free.len().saturating_sub(LOOKED_AT);
        let seen = self.free.range(last..).enumerate().filter(|(_, epoch)| clock.has_seen(**epoch));
        // The lowest keeps clocks short.
        if let Some((place, _)) = seen.min_by_key(|(_, epoch)| epoch.strand) {
            return self.free.remove(last + place);
        }
        if self.free.len() > KEPT_BACK { self.free.pop_front() } else { None }
    }
}

/// `strand` does nothing more. `reuses`: others may have its index.
pub(super) fn end(strands: &Lock<Strands>, strand: &Strand, reuses: bool) {
    strand.has_ended.store(true, Ordering::Relaxed);
    if !reuses || strand.is_silent() {
        return;
    }
    let last_access = strand.with(|present| {
        // Its clocks may be long, and it may be remembered for long.
        (present.clock, present.fenced, present.loaded) = Default::default();
        present.last_access()
    });
    if strand.has_index() {
        strands.lock().free.push_back(Epoch { strand: strand.index(), time: last_access });
    }
}

// ---- where the strand of a goroutine is found ----

/// A part of each goroutine: its strand, made at its start, or at its first deed if that was not told.
#[cfg(feature = "race")]
pub(crate) struct Place(std::sync::OnceLock<Arc<Strand>>);

#[cfg(feature = "race")]
impl Place {
    pub(crate) const fn none() -> Self {
        Self(std::sync::OnceLock::new())
    }

    pub(super) fn set(&self, strand: Arc<Strand>, _number: u64, _strands: &Lock<Strands>) {
        assert!(self.0.set(strand).is_ok(), "a goroutine is made once");
    }

    pub(super) fn get_or_make(
        &self,
        _number: u64,
        _strands: &Lock<Strands>,
        make: impl FnOnce() -> Arc<Strand>,
    ) -> &Arc<Strand> {
        self.0.get_or_init(make)
    }
}

#[cfg(feature = "race")]
#[derive(Default)]
pub(super) struct ByNumber;

#[cfg(feature = "race")]
impl ByNumber {
    fn clear(&mut self) {}
}

/// Nothing, without the feature: goroutines of an explorer, which have numbers from 1, are looked up.
#[cfg(not(feature = "race"))]
pub(crate) struct Place;

#[cfg(not(feature = "race"))]
impl Place {
    pub(crate) const fn none() -> Self {
        Self
    }

    pub(super) fn set(&self, strand: Arc<Strand>, number: u64, strands: &Lock<Strands>) {
        let mut strands = strands.lock();
        let places = &mut strands.by_number;
        let number = number as usize;
        if number >= places.len() {
            places.resize(number + 1, None);
        }
        places[number] = Some(strand);
    }

    pub(super) fn get_or_make(
        &self,
        number: u64,
        strands: &Lock<Strands>,
        make: impl FnOnce() -> Arc<Strand>,
    ) -> Arc<Strand> {
        let known = strands.lock().by_number.get(number as usize).cloned().flatten();
        known.unwrap_or_else(|| {
            let strand = make();
            self.set(Arc::clone(&strand), number, strands);
            strand
        })
    }
}

#[cfg(not(feature = "race"))]
pub(super) type ByNumber = Vec<Option<Arc<Strand>>>;
