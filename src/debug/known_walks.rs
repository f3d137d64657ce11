//! Walks that need not be done again.
//!
//! Where a walk leads depends on the registers that it begins with and on the words of the stack that it goes by: if these
//! are the same, the calls are. So each thread remembers its last walks with the words that they went by. Who asks for the
//! calls of the same place again and again, as the race detector does at the first use of a variable after each
//! synchronisation, compares a word for each call instead of walking: 20 ns instead of 500, and just as true.
//!
//! # What a walk goes by
//! Of the words that a step reads, the return address always counts. The others are registers of callers that were saved,
//! and may be anything: the count of a loop that changes each time. They, and the frame pointer, count only if the step's
//! goal depends on them. To find out, each step is made twice, the second time with garbage in their place. Where that leads
//! elsewhere, all that the step has read counts, and so does where the frame pointer may have come from: the words read
//! before whose value it had.
//!
//! # Which walks are remembered
//! A few for each place and depth of the stack. Goroutines do not change threads, and the stack of one that ends is soon
//! another's: so short goroutines, too, find the walks of those before them.
//!
//! Rejected: to go by the place and the depth alone (the outer calls would sometimes be another's, and a report with wrong
//! calls is worse than one without); frame pointers (default builds have none); to keep only the innermost calls (a race
//! is often understood by the outer ones).

use super::unwind::{Cache, Outcome, Registers, StackMemory, Step, Steps, table, unwind_by};
use super::walk::{Addresses, MAX_FRAMES};
use crate::of_thread::of_thread;
use framehop::FrameAddress;
use framehop::x86_64::UnwindRegsX86_64;
use std::cell::{OnceCell, RefCell};
use std::ops::Range;

/// A power of two.
const SETS: usize = 64;
const WAYS: usize = 4;

/// A word of the stack: where it lies, and its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Word {
    slot: u64,
    value: u64,
}

/// Lists that never grow: a walk allocates nothing.
struct List {
    words: Vec<Word>,
    is_cut: bool,
}

impl List {
    fn new() -> Self {
        Self { words: Vec::with_capacity(2 * MAX_FRAMES), is_cut: false }
    }

    fn push(&mut self, word: Word) {
        match self.words.len() < self.words.capacity() {
            true => self.words.push(word),
            false => self.is_cut = true,
        }
    }
}

/// A walk, and what it goes by.
pub(super) struct Notes {
    from: Registers,
    addresses: Box<[usize; MAX_FRAMES]>,
    goes_by: List,
    goes_by_bp: bool,
    /// Where the frame pointer may come from, as it is now; or else it is that of the beginning.
    sources: List,
    is_first_bp: bool,
    /// What the present step has read.
    read: List,
    /// It goes by something that is not known.
    is_unclear: bool,
}

impl Notes {
    pub(super) fn new(from: Registers) -> Self {
        Self {
            from,
            addresses: Box::new([0; MAX_FRAMES]),
            goes_by: List::new(),
            goes_by_bp: false,
            sources: List::new(),
            is_first_bp: true,
            read: List::new(),
            is_unclear: false,
        }
    }

    pub(super) fn addresses(&self, outcome: Outcome) -> &[usize] {
        &self.addresses[..outcome.frames]
    }

    /// # Safety
    /// As [`unwind`](super::unwind::unwind).
    pub(super) unsafe fn walk(&mut self, cache: &mut Cache, stack: &StackMemory) -> Outcome {
        let mut addresses = [0; MAX_FRAMES];
        // SAFETY: as the caller promises.
        let outcome = unwind_by(cache, self.from, stack, &mut addresses, |steps, address, registers| unsafe {
            self.step(steps, address, registers)
        });
        *self.addresses = addresses;
        outcome
    }

    /// # Safety
    /// As [`unwind`](super::unwind::unwind).
    unsafe fn step(&mut self, steps: &mut Steps<'_>, address: FrameAddress, registers: &mut UnwindRegsX86_64) -> Step {
        let before = *registers;
        self.read.words.clear();
        // SAFETY: as the caller promises.
        let step = unsafe {
            steps.step(address, registers, |slot, value| {
                self.read.push(Word { slot, value });
                value
            })
        };
        let is_step = matches!(step, Step::To(_));
        let returns_at = registers.sp().wrapping_sub(8);
        let mut garbled = UnwindRegsX86_64::new(before.ip(), before.sp(), garbage(before.bp()));
        // SAFETY: as above.
        let again = unsafe {
            steps.step(address, &mut garbled, |slot, value| match is_step && slot == returns_at {
                true => value,
                false => garbage(value),
            })
        };
        let goes_by_all = again != step || is_step && garbled.sp() != registers.sp();
        self.note(goes_by_all, |word| is_step && word.slot == returns_at);
        self.follow_bp(before.bp(), registers.bp());
        step
    }

    fn note(&mut self, goes_by_all: bool, is_return: impl Fn(&Word) -> bool) {
        self.read.words.iter().filter(|word| goes_by_all || is_return(word)).for_each(|&word| self.goes_by.push(word));
        if goes_by_all {
            self.goes_by_bp |= self.is_first_bp;
            self.sources.words.iter().for_each(|&word| self.goes_by.push(word));
        }
    }

    /// A step has led from one frame pointer to the next.
    fn follow_bp(&mut self, before: u64, now: u64) {
        if now != before {
            self.sources.words.clear();
            self.is_first_bp = false;
        }
        self.read.words.iter().filter(|word| word.value == now).for_each(|&word| self.sources.push(word));
        self.is_unclear |= !self.is_first_bp && self.sources.words.is_empty();
    }

    /// Whether it is known what the walk goes by.
    fn is_clear(&self) -> bool {
        !(self.is_unclear || self.goes_by.is_cut || self.sources.is_cut || self.read.is_cut)
    }
}

/// Another value, which points nowhere near.
fn garbage(value: u64) -> u64 {
    value ^ 0x5a5a_5a5a_5a5a_5a50
}

/// A walk that was done.
struct Known {
    from: Registers,
    goes_by_bp: bool,
    goes_by: Box<[Word]>,
    /// The high end of the stack.
    end: usize,
    table: usize,
    addresses: Addresses,
}

impl Known {
    /// Whether a walk from there would be the same.
    ///
    /// # Safety
    /// The stack from `from` to its end is in use, by this thread, and stands still.
    unsafe fn is_still(&self, from: &Registers, end: usize, table: usize) -> bool {
        let &Registers { pc, sp, bp } = from;
        let begins_alike = self.from.sp == sp && self.from.pc == pc && (!self.goes_by_bp || self.from.bp == bp);
        // Its words lay between the same two ends.
        begins_alike
            && self.end == end
            && self.table == table
            && self.goes_by.iter().all(|word| {
                let slot = std::ptr::with_exposed_provenance::<u64>(word.slot as usize);
                // SAFETY: on the stack, as the caller promises, and aligned, as it was read before.
                unsafe { slot.read_volatile() == word.value }
            })
    }
}

#[derive(Default)]
struct KnownWalks {
    sets: Vec<[Option<Known>; WAYS]>,
    turn: usize,
}

impl KnownWalks {
    fn set(&mut self, from: &Registers, place: usize) -> &mut [Option<Known>; WAYS] {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        let mixed = (from.sp ^ place.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &mut self.sets[(mixed >> 40) & (SETS - 1)]
    }
}

/// What walks keep for each thread.
#[derive(Default)]
pub(crate) struct Walks {
    /// Where the thread's own stack lies.
    pub(super) bounds: OnceCell<Option<Range<usize>>>,
    known: RefCell<KnownWalks>,
}

/// Calls `f` with the walks of this thread, unless it does that already: its allocator may be watched, too.
#[inline(always)]
fn with<R>(f: impl FnOnce(&mut KnownWalks) -> R) -> Option<R> {
    of_thread().walks.known.try_borrow_mut().ok().map(|mut known| f(&mut known))
}

/// Calls `f` with the calls under way at `from`, on a stack that ends at `end`, if they are known. `place`: see `walk::Here`.
///
/// # Safety
/// The stack from `from` to its end is in use, by this thread, and stands still.
#[inline(always)]
pub(super) unsafe fn with_known<R>(
    from: &Registers,
    end: usize,
    place: usize,
    f: impl FnOnce(&Addresses) -> R,
) -> Option<R> {
    let table = table();
    with(|known| {
        let mut ways = known.set(from, place).iter().flatten();
        // SAFETY: as the caller promises.
        ways.find(|known| unsafe { known.is_still(from, end, table) }).map(|known| f(&known.addresses))
    })
    .flatten()
}

/// The walk has found these addresses.
pub(super) fn remember(walk: &Notes, end: usize, place: usize, addresses: Addresses) {
    if !walk.is_clear() {
        return;
    }
    let mut goes_by = walk.goes_by.words.clone();
    goes_by.sort_unstable_by_key(|word| word.slot);
    goes_by.dedup();
    let goes_by = goes_by.into();
    let new = Known { from: walk.from, goes_by_bp: walk.goes_by_bp, goes_by, end, table: table(), addresses };
    let old = with(|known| {
        known.turn += 1;
        let turn = known.turn % WAYS;
        known.set(&walk.from, place)[turn].replace(new)
    });
    // Beside the borrow: the allocator may be watched.
    drop(old);
}

#[cfg(test)]
mod tests {
    use super::super::unwind::refresh;
    use super::super::walk::Here;
    use crate::random::splitmix64;
    use std::hint::black_box;
    use std::panic::Location;

    /// Two places of calls, frames of several kinds, and registers that change.
    #[inline(never)]
    fn descend(turns: u64, depth: u32, at_the_bottom: &mut dyn FnMut()) {
        #[repr(align(128))]
        struct Aligned(u64);
        match (depth, turns & 3) {
            (0, _) => at_the_bottom(),
            (_, 0) => descend(black_box(turns >> 2), depth - 1, at_the_bottom),
            (_, 1) => {
                let aligned = black_box(Aligned(turns));
                descend(turns >> 2, depth - 1, at_the_bottom);
                black_box(&aligned.0);
            }
            _ => {
                for i in 0..1 + turns % 3 {
                    descend(black_box(turns >> 2) + i, depth - 1, at_the_bottom);
                }
            }
        }
    }

    /// Asks what is known where it is called, and walks. Whether it was known, and whether that was true.
    #[inline(never)]
    fn ask() -> (bool, bool) {
        let here = Here::for_calls_from(Location::caller());
        // SAFETY: of this function.
        let known = unsafe { here.with_known(|known| known.to_vec()) };
        // SAFETY: as above.
        let walked = unsafe { here.addresses() };
        (known.is_some(), known.is_none_or(|known| known == *walked))
    }

    fn what_is_known_is_what_a_walk_finds() {
        let (mut state, mut asked, mut known) = (1, 0_u32, 0_u32);
        for _ in 0..1000 {
            let random = splitmix64(&mut state);
            descend(random >> 8, random as u32 % 5, &mut || {
                let (is_known, is_true) = ask();
                assert!(is_true);
                (asked, known) = (asked + 1, known + u32::from(is_known));
            });
        }
        assert!(known > asked / 20 && known < asked, "{known} of {asked}");
    }

    #[test]
    fn what_is_known_is_what_a_walk_finds_on_threads() {
        refresh();
        what_is_known_is_what_a_walk_finds();
    }

    #[test]
    fn what_is_known_is_what_a_walk_finds_on_goroutines() {
        let goroutine = || crate::go(what_is_known_is_what_a_walk_finds);
        let goroutines = [goroutine(), goroutine(), goroutine()];
        goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
    }

    #[test]
    fn a_place_is_known_the_second_time_whatever_registers_hold() {
        // Not each time: the compiler may make several places of a loop's one.
        let is_known = |i: u64| {
            let (a, b, c) = (black_box(i), black_box(i * 3), black_box(!i));
            let (is_known, _) = ask();
            black_box((a, b, c));
            is_known
        };
        let known = (0..black_box(100)).filter(|&i| is_known(i)).count();
        assert!((80..100).contains(&known), "{known}");
    }

    #[test]
    fn goroutines_on_one_stack_find_the_walks_of_those_before() {
        let known = || crate::go(|| ask().0).join().unwrap();
        assert!((0..1000).filter(|_| known()).count() > 500);
    }
}
