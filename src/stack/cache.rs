//! Stacks that wait for their next goroutine.
//!
//! Each worker keeps some (*warm*: guarded, with its first page in memory). What it has too many of goes
//! to the process-wide pool, what it lacks comes from there, or is prepared in a run that doubles with
//! demand: a million short goroutines need a handful of stacks, a million parked ones are made in runs of
//! 512. Stacks that stayed unused in the pool for a sweep of the watchdog give their pages back (*cold*:
//! guarded, no memory).
//!
//! Stacks come in classes by size. A worker keeps stacks of the runtime's default class only; others go to
//! and from the pool one by one.

use super::{GUARD, PAGE, Stack, StackError, guard, slab};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const LARGEST_RUN: usize = 512;
/// What a worker keeps at the most before it gives half of it to the pool.
const KEEP: usize = 2 * LARGEST_RUN;
/// What a worker keeps when it goes to sleep.
const KEEP_IDLE: usize = 32;
const SMALLEST_SLAB: usize = 4 * 1024 * 1024;
const LARGEST_SLAB: usize = 512 * 1024 * 1024;

/// One worker's stacks.
pub(crate) struct StackCache {
    /// The slot size of the stacks that are kept here.
    slot: usize,
    warm: Vec<Stack>,
    run: usize,
}

impl StackCache {
    /// A cache of stacks with `size` usable bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { slot: super::slot_for(size), warm: Vec::new(), run: 1 }
    }

    /// Takes a stack with at least `size` usable bytes; `None` is the default.
    #[inline(always)]
    pub(crate) fn take(&mut self, size: Option<usize>) -> Result<Stack, StackError> {
        let slot = size.map_or(self.slot, super::slot_for);
        if slot != self.slot {
            let mut one = Vec::with_capacity(1);
            prepare_run(slot, 1, &mut one)?;
            return Ok(one.pop().expect("a run that did not fail holds a stack"));
        }
        match self.warm.pop() {
            Some(stack) => Ok(stack),
            None => self.refill(),
        }
    }

    #[cold]
    fn refill(&mut self) -> Result<Stack, StackError> {
        self.run = (self.run * 2).min(LARGEST_RUN);
        prepare_run(self.slot, self.run, &mut self.warm)?;
        Ok(self.warm.pop().expect("a run that did not fail holds a stack"))
    }

    /// Takes a stack back. Nothing on it is alive any more.
    #[inline]
    pub(crate) fn give(&mut self, stack: Stack) {
        if stack.slot() != self.slot {
            return with_class(stack.slot(), |class| class.warm.push(stack.start()));
        }
        self.warm.push(stack);
        if self.warm.len() > KEEP {
            self.run = 1;
            self.release(KEEP / 2);
        }
    }

    /// Gives all but `keep` stacks to the pool.
    #[cold]
    fn release(&mut self, keep: usize) {
        let spare = self.warm.len().saturating_sub(keep);
        if spare > 0 {
            // The oldest go: the ones at the end are warm in the processor's caches.
            let spare = self.warm.drain(..spare).map(|stack| stack.start());
            with_class(self.slot, |class| class.warm.extend(spare));
        }
    }

    /// Before the worker sleeps.
    pub(crate) fn settle(&mut self) {
        if self.warm.len() > KEEP_IDLE {
            self.release(KEEP_IDLE);
        }
        self.run = 1;
    }
}

impl Drop for StackCache {
    fn drop(&mut self) {
        self.release(0);
    }
}

/// The process's spare stacks of one slot size, by their start addresses.
struct Class {
    slot: usize,
    warm: Vec<usize>,
    cold: Vec<usize>,
    /// Carved, not yet guarded.
    raw: Vec<usize>,
    /// Size of the next slab.
    slab: usize,
    /// The fewest warm stacks that there were since the last sweep: so many were not needed.
    unused: usize,
}

static POOL: Mutex<BTreeMap<usize, Class>> = Mutex::new(BTreeMap::new());

fn with_class<R>(slot: usize, f: impl FnOnce(&mut Class) -> R) -> R {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    f(pool.entry(slot).or_insert_with(|| Class {
        slot,
        warm: Vec::new(),
        cold: Vec::new(),
        raw: Vec::new(),
        slab: SMALLEST_SLAB,
        unused: 0,
    }))
}

/// Slots taken out of a class.
#[derive(Default)]
struct Withdrawn {
    warm: Vec<usize>,
    cold: Vec<usize>,
    raw: Vec<usize>,
}

/// Adds up to `count`, and at least one, warm stacks to `into`. The system calls for pages and guards are
/// made without the pool's lock.
fn prepare_run(slot: usize, count: usize, into: &mut Vec<Stack>) -> Result<(), StackError> {
    let slots = with_class(slot, |class| class.withdraw(count))?;
    if let Err(error) = guard::install(&slots.raw) {
        with_class(slot, |class| class.put_back(slots));
        // Fewer may still fit: try again, down to one.
        return if count > 1 { prepare_run(slot, count / 2, into) } else { Err(error) };
    }
    let first_page = |start: usize| (start + slot - PAGE, PAGE);
    guard::populate(&slots.cold, first_page);
    guard::populate(&slots.raw, first_page);
    into.extend(
        slots
            .raw
            .into_iter()
            .chain(slots.cold)
            .chain(slots.warm)
            // SAFETY: withdrawn from the pool, hence ours alone, carved and guarded.
            .map(|start| unsafe { Stack::from_slot(start, slot) }),
    );
    Ok(())
}

impl Class {
    /// Takes slots out, the warm ones first. At least one, or it is an error.
    fn withdraw(&mut self, count: usize) -> Result<Withdrawn, StackError> {
        let warm = take_last(&mut self.warm, count);
        let cold = take_last(&mut self.cold, count - warm.len());
        let wanted = count - warm.len() - cold.len();
        self.unused = self.unused.min(self.warm.len());
        if self.raw.len() < wanted
            && let Err(error) = self.carve()
            && self.raw.len() + warm.len() + cold.len() == 0
        {
            return Err(error);
        }
        Ok(Withdrawn { warm, cold, raw: take_last(&mut self.raw, wanted) })
    }

    fn put_back(&mut self, slots: Withdrawn) {
        self.warm.extend(slots.warm);
        self.cold.extend(slots.cold);
        self.raw.extend(slots.raw);
    }

    fn carve(&mut self) -> Result<(), StackError> {
        let range = slab::range()?;
        let many = (self.slab / self.slot).max(1);
        let (start, count) = match range.carve(many * self.slot) {
            Ok(start) => (start, many),
            // A single one may still fit.
            Err(error) => (range.carve(self.slot).map_err(|_| error)?, 1),
        };
        CARVED.lock().unwrap_or_else(PoisonError::into_inner).push(Carved { start, slot: self.slot, count });
        self.raw.extend((0..count).rev().map(|index| start + index * self.slot));
        self.slab = (self.slab * 2).min(LARGEST_SLAB);
        Ok(())
    }
}

/// A run of slots.
#[derive(Clone, Copy)]
pub(crate) struct Carved {
    pub(crate) start: usize,
    pub(crate) slot: usize,
    pub(crate) count: usize,
}

/// All slots that there are. It only grows, with each slab by one.
static CARVED: Mutex<Vec<Carved>> = Mutex::new(Vec::new());

pub(crate) fn carved() -> Vec<Carved> {
    CARVED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn take_last(from: &mut Vec<usize>, count: usize) -> Vec<usize> {
    from.split_off(from.len() - count.min(from.len()))
}

/// Gives the pages of those stacks back that nobody needed since the last sweep. Called about once a
/// second by the watchdog.
pub(crate) fn sweep() {
    let classes: Vec<usize> = POOL.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
    for slot in classes {
        let stale: Vec<usize> = with_class(slot, |class| {
            let spare = class.unused.min(class.warm.len());
            // The oldest lie first.
            let stale = class.warm.drain(..spare).collect();
            class.unused = class.warm.len();
            stale
        });
        if !stale.is_empty() {
            // SAFETY: taken out of the pool, hence ours alone, and nothing is alive on them.
            unsafe { guard::discard(&stale, |start| (start + GUARD, slot - GUARD)) };
            with_class(slot, |class| class.cold.extend(stale));
        }
    }
}

/// Numbers for reports: warm and cold stacks in the pool.
pub(crate) fn pooled() -> (usize, usize) {
    let pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    pool.values().fold((0, 0), |(warm, cold), class| (warm + class.warm.len(), cold + class.cold.len()))
}
