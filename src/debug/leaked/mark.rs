//! From everything that is certainly in use to everything that can be reached from there, in the copy of the process.

use super::heap::{self, Block, Heap};
use super::memory::{Array, BUFFER, Map, WORD, each_present, each_word, read, read_word};
use super::{Process, WORK, memory};
use crate::debug::registry::Seen;
use crate::park::{MARK, WaitReason};
use crate::sched::g::{G, PENDING, Pinned, RunState};
use crate::stack::{GUARD, PAGE, RESERVED};
use std::mem::offset_of;
use std::ops::Range;

/// What the search itself takes of a stack, and more.
const OWN_STACK: usize = 256 * 1024;
const PINNED: usize = size_of::<Pinned>();

/// A started goroutine.
#[derive(Clone, Copy)]
struct Candidate {
    g: usize,
    /// Its number in the table of results.
    slot: usize,
    /// What of its stack is in use, with what lisle keeps at its end.
    stack: (usize, usize),
    /// It waits for others, without a deadline: only if somebody can reach it will it go on.
    waits: bool,
    live: bool,
}

struct Marking<'a> {
    process: &'a Process,
    heap: Heap,
    /// By `g`.
    candidates: Array<Candidate>,
    /// From the number of a slot to the place in `candidates`, plus one.
    by_slot: Array<u32>,
    work: Array<Block>,
    /// Something could not be noted for want of room.
    overflow: bool,
}

/// Finds those that nothing in use can reach, and writes their numbers, as `G` has them, into `leaked`. `None`: that
/// could not be found out.
pub(super) fn run(process: &Process, leaked: &mut [u64]) -> Option<()> {
    let mut text = Array::<u8>::new(64 << 20)?;
    let mut maps = Array::<Map>::new(1 << 17)?;
    let mut buffer = Array::<u8>::new(BUFFER)?;
    // SAFETY: bytes.
    unsafe { buffer.fill() };
    // Where a sandbox forbids it, nothing could be read, and so nothing would be found.
    read_word(process.results.start)?;
    memory::maps(&mut maps, &mut text)?;
    let mut marking = Marking::new(process, maps.as_slice())?;
    let own = [text.place(), maps.place(), buffer.place(), process.results.clone()];
    marking.find_goroutines()?;
    marking.roots(maps.as_slice(), &own, buffer.as_mut_slice())?;
    marking.propagate(buffer.as_mut_slice());
    if marking.overflow {
        return None;
    }
    for one in marking.candidates.as_slice().iter().filter(|one| one.waits && !one.live) {
        leaked[one.slot] = read_word(one.g + offset_of!(G, id))? as u64;
    }
    Some(())
}

impl<'a> Marking<'a> {
    fn new(process: &'a Process, maps: &[Map]) -> Option<Self> {
        let slots = process.slots();
        let mut by_slot = Array::new(slots.max(1))?;
        // SAFETY: numbers.
        unsafe { by_slot.fill() };
        Some(Self {
            process,
            heap: Heap::new(maps, &process.objects, process.freed_key)?,
            candidates: Array::new(slots.max(1))?,
            by_slot,
            work: Array::new(WORK)?,
            overflow: false,
        })
    }

    fn find_goroutines(&mut self) -> Option<()> {
        let mut slot = 0;
        for run in &self.process.runs {
            for index in 0..run.count {
                if let Some(one) = candidate(run.start + index * run.slot, run.slot, slot) {
                    self.candidates.push(one).then_some(())?;
                }
                slot += 1;
            }
        }
        self.candidates.as_mut_slice().sort_unstable_by_key(|one| one.g);
        for (place, one) in self.candidates.as_slice().iter().enumerate() {
            self.by_slot.as_mut_slice()[one.slot] = u32::try_from(place + 1).ok()?;
        }
        Some(())
    }

    /// Scans what is in use whatever happens: all of memory but the heap, and the goroutines that go on by themselves.
    fn roots(&mut self, maps: &[Map], own: &[Range<usize>], buffer: &mut [u8]) -> Option<()> {
        let process = self.process;
        for (range, size) in &process.objects {
            self.heap.add_objects(range.clone(), *size)?;
        }
        let mut rests = Array::<(usize, usize)>::new(2 * maps.len() + 1)?;
        for map in maps.iter().filter(|map| !is_within(map, &process.stacks)) {
            // Our own arrays are no memory of the program's.
            let is_ours = own.iter().chain(&self.places()).any(|place| place.start < map.end && map.start < place.end);
            let rest = if is_ours { map.start..map.end } else { self.heap.read(map)? };
            rests.push((rest.start, rest.end)).then_some(())?;
        }
        self.heap.finish();
        let hidden = self.hidden(own, rests.place(), maps)?;
        for &(start, end) in rests.as_slice() {
            each_present(start..end, |run| self.scan(run, hidden.as_slice(), buffer))?;
        }
        for place in 0..self.candidates.as_slice().len() {
            if !self.candidates.as_slice()[place].waits {
                self.make_live(place);
            }
        }
        Some(())
    }

    fn places(&self) -> [Range<usize>; 7] {
        let [a, b, c, d] = self.heap.places();
        [a, b, c, d, self.candidates.place(), self.by_slot.place(), self.work.place()]
    }

    /// What is not looked at as a root, by address.
    fn hidden(&self, own: &[Range<usize>], rests: Range<usize>, maps: &[Map]) -> Option<Array<(usize, usize)>> {
        let process = self.process;
        let objects = process.objects.iter().map(|(range, _)| range.clone()).chain([process.stacks.clone()]);
        let here = process.stack_of_copy.get();
        let map = maps.iter().find(|map| (map.start..map.end).contains(&here))?;
        let doings = map.start.max(here.saturating_sub(OWN_STACK))..here;
        let all = own.iter().cloned().chain(self.places()).chain([rests, doings]).chain(objects);
        let all = all.map(|range| (range.start, range.end)).chain(process.hidden.iter().copied());
        let mut list = Array::new(4096 + process.hidden.len() + process.objects.len())?;
        for range in all {
            list.push(range).then_some(())?;
        }
        list.as_mut_slice().sort_unstable();
        Some(list)
    }

    fn propagate(&mut self, buffer: &mut [u8]) {
        while let Some(block) = self.work.pop() {
            let range = block.start..block.end;
            if range.len() < PAGE {
                self.scan_small(range);
            } else {
                self.scan(range, &self.process.hidden, buffer);
            }
        }
    }

    /// Without a system call: nearly all blocks are shorter than a page, and such a one that is in use can be read, since whoever
    /// has one can take away whole pages of his own alone.
    fn scan_small(&mut self, range: Range<usize>) {
        without(range, &self.process.hidden, |part| {
            let first = part.start.next_multiple_of(WORD);
            (first..part.end.saturating_sub(WORD - 1)).step_by(WORD).for_each(|at| self.visit(heap::word(at)));
        });
    }

    fn scan(&mut self, range: Range<usize>, hidden: &[(usize, usize)], buffer: &mut [u8]) {
        without(range, hidden, |part| each_word(part, buffer, |word| self.visit(word)));
    }

    /// A word that may be an address.
    fn visit(&mut self, word: usize) {
        if self.process.stacks.contains(&word) {
            if let Some(place) = self.process.slot_of(word).and_then(|slot| self.place_of_slot(slot)) {
                self.make_live(place);
            }
            return;
        }
        let Some((block, bit)) = self.heap.block_of(word) else { return };
        // The object of one that waits is in use if somebody has it in the form that promises to wake it.
        if let Some(place) = self.waiting_within(block) {
            if word == self.candidates.as_slice()[place].g + MARK {
                self.make_live(place);
            }
        } else if self.heap.mark(bit) {
            self.push(block);
        }
    }

    fn place_of_slot(&self, slot: usize) -> Option<usize> {
        (self.by_slot.as_slice()[slot] as usize).checked_sub(1)
    }

    /// A goroutine that waits, if its object lies in this block.
    fn waiting_within(&self, block: Block) -> Option<usize> {
        let all = self.candidates.as_slice();
        let place = all.partition_point(|one| one.g < block.start);
        all.get(place).is_some_and(|one| one.g < block.end && one.waits).then_some(place)
    }

    fn make_live(&mut self, place: usize) {
        let one = &mut self.candidates.as_mut_slice()[place];
        if !std::mem::replace(&mut one.live, true) {
            let Candidate { g, stack, .. } = *one;
            self.push(Block { start: stack.0, end: stack.1 });
            if let Some((block, bit)) = self.heap.block_of(g)
                && self.heap.mark(bit)
            {
                self.push(block);
            }
        }
    }

    fn push(&mut self, block: Block) {
        self.overflow |= !self.work.push(block);
    }
}

/// The goroutine whose stack lies in that slot, if there is one.
fn candidate(start: usize, size: usize, slot: usize) -> Option<Candidate> {
    let (low, high) = (start + GUARD, start + size - RESERVED);
    let mut bytes = [0; PINNED];
    if !read(high, &mut bytes) {
        return None;
    }
    let seen = Seen::read(&bytes);
    if seen.g == 0 {
        return None;
    }
    let byte = |offset: usize| {
        let mut byte = [0];
        read(seen.g + offset, &mut byte).then_some(byte[0])
    };
    // The page of the one may have been copied a little before that of the other.
    let reason = WaitReason::from_byte(byte(offset_of!(G, wait_reason))?)?;
    let is_woken = byte(offset_of!(G, wake))? & PENDING != 0 || bytes[offset_of!(Pinned, token)] != 0;
    let has_deadline = bytes[offset_of!(Pinned, timed)] != 0;
    let waits = seen.state == Some(RunState::Parked) && reason.is_for_others() && !is_woken && !has_deadline;
    let sp = seen.registers.sp;
    let has_sp = seen.state != Some(RunState::Running) && (low..high).contains(&sp);
    // With a red zone below.
    let from = if has_sp { low.max(sp - 128) } else { low };
    Some(Candidate { g: seen.g, slot, stack: (from, start + size), waits, live: false })
}

fn is_within(map: &Map, range: &Range<usize>) -> bool {
    range.start <= map.start && map.end <= range.end
}

/// Calls `f` with the parts of `range` that are not in `hidden`, which is sorted.
fn without(range: Range<usize>, hidden: &[(usize, usize)], mut f: impl FnMut(Range<usize>)) {
    let mut at = range.start;
    // Some may overlap: those that begin before may end within.
    for &(start, end) in hidden {
        if start >= range.end {
            break;
        }
        if end > at {
            if start > at {
                f(at..start);
            }
            at = at.max(end);
        }
    }
    if at < range.end {
        f(at..range.end);
    }
}
