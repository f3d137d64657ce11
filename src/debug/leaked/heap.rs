//! Blocks of memory, and which of them an address lies in: those of glibc's allocator, and those in which goroutine
//! objects lie.
//!
//! glibc puts a header of two words before each block, whose second word is the distance to the next header, with three
//! flags: so a heap can be read from its beginning to its end. A part of memory that does not read so, or comes from
//! another allocator, is no heap to us: all that lies in it counts as in use.

use super::memory::{Array, Map, WORD, read_word};
use crate::stack::PAGE;
use std::ops::Range;

/// Blocks lie at multiples of this.
const GRAIN: usize = 16;
const FLAGS: usize = 7;
const PREVIOUS_IN_USE: usize = 1;
const IS_MAPPED: usize = 2;
/// Heaps beside the first begin at multiples of this, with a description of theirs; none is longer.
const HEAP_ALIGN: usize = 64 << 20;
/// Within so many bytes the first block begins.
const LONGEST_START: usize = 16 * 1024;

/// A part of memory that consists of blocks.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) start: usize,
    pub(super) end: usize,
    kind: Kind,
    /// Where its bits begin.
    bits: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Headers tell the blocks.
    Heap,
    /// One block, with a header.
    Mapped,
    /// Goroutine objects of this size.
    Objects(usize),
}

/// A block, without its header.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) struct Heap {
    /// Those of the allocator, and those of goroutine objects, which lie within blocks of the former: by address.
    regions: Array<Region>,
    objects: Array<Region>,
    /// Where blocks begin, and which of them are marked: a bit for each grain.
    begins: Array<u64>,
    marked: Array<u64>,
    bits: usize,
    freed_key: Option<usize>,
}

/// What glibc writes into the second word of blocks that were given back and lie in a thread's own list: a random number,
/// the same for all. `None`: it cannot be told, or it is another allocator.
pub(super) fn freed_key() -> Option<usize> {
    // SAFETY: any size will do.
    let block = unsafe { libc::malloc(40) };
    let second = block.addr() + WORD;
    // SAFETY: from `malloc` just now.
    unsafe { libc::free(block) };
    // By the kernel's hand: it is nobody's memory now.
    read_word(second).filter(|&key| key != 0)
}

/// Where a heap begins within `map`, behind its start: the system shows neighbours of the same kind as one. (A signal stack that
/// ended where a heap began hid all that had leaked, in six of a thousand runs.)
pub(super) fn begins_within(map: &Map) -> Option<usize> {
    if !map.anonymous {
        return None;
    }
    let first = (map.start + 1).next_multiple_of(HEAP_ALIGN);
    (first..map.end).step_by(HEAP_ALIGN).find(|&at| described_length(at, map.end).is_some())
}

/// How much is in use of the heap that begins at `at`, as its description says; `None`: there is none.
fn described_length(at: usize, end: usize) -> Option<usize> {
    let [_arena, _before, used, usable] = [0, 1, 2, 3].map(|word| read_word(at + word * WORD).unwrap_or(0));
    let is_length = |length: usize| (PAGE..=HEAP_ALIGN).contains(&length) && length.is_multiple_of(PAGE);
    (is_length(used) && is_length(usable) && used <= usable && used <= end - at).then_some(used)
}

/// A word of the heap, which is there.
pub(super) fn word(at: usize) -> usize {
    // SAFETY: within a part of memory that reads as the allocator's, hence has no holes; nobody else runs in this process.
    unsafe { std::ptr::with_exposed_provenance::<usize>(at).read_volatile() }
}

impl Heap {
    /// `objects`: chunks of goroutine objects, with the size of these.
    pub(super) fn new(maps: &[Map], objects: &[(Range<usize>, usize)], freed_key: Option<usize>) -> Option<Self> {
        let grains: usize = maps.iter().map(|map| (map.end - map.start) / GRAIN + 64).sum();
        let words = grains / 64 + maps.len() + objects.len() + 64;
        let mut this = Self {
            regions: Array::new(4 * maps.len() + 64)?,
            objects: Array::new(objects.len() + 1)?,
            begins: Array::new(words)?,
            marked: Array::new(words)?,
            bits: 0,
            freed_key,
        };
        // SAFETY: numbers.
        unsafe {
            this.begins.fill();
            this.marked.fill();
        }
        Some(this)
    }

    pub(super) fn places(&self) -> [Range<usize>; 4] {
        [self.regions.place(), self.objects.place(), self.begins.place(), self.marked.place()]
    }

    fn add(&mut self, range: Range<usize>, kind: Kind) -> Option<Region> {
        let region = Region { start: range.start, end: range.end, kind, bits: self.bits };
        self.bits += (range.end - range.start) / GRAIN + 1;
        let list = if matches!(kind, Kind::Objects(_)) { &mut self.objects } else { &mut self.regions };
        (self.bits <= 64 * self.begins.as_slice().len() && list.push(region)).then_some(region)
    }

    /// Reads `map` as glibc's. Returns the part at its end that is not. (Memory that is no heap may have holes, such as the
    /// guards of threads' stacks: so what it is is found out by the kernel's hand.)
    pub(super) fn read(&mut self, map: &Map) -> Option<Range<usize>> {
        if map.is_heap {
            return self.read_heap(map.start..map.end);
        }
        if map.anonymous
            && map.start.is_multiple_of(HEAP_ALIGN)
            && let Some(used) = described_length(map.start, map.end)
            && self.read_heap(map.start..map.start + used)?.is_empty()
        {
            return Some(map.start + used..map.end);
        }
        if map.anonymous {
            return self.read_mapped(map.start..map.end);
        }
        Some(map.start..map.end)
    }

    /// `None`: no room.
    fn read_heap(&mut self, range: Range<usize>) -> Option<Range<usize>> {
        let starts = (range.start..range.end.min(range.start + LONGEST_START)).step_by(GRAIN);
        let Some(first) = starts.into_iter().find(|&first| reads_to_the_end(first, range.end)) else {
            return Some(range);
        };
        let region = self.add(first..range.end, Kind::Heap)?;
        let mut at = first;
        while at < range.end {
            self.set_begin(&region, at);
            at += (word(at + WORD) & !FLAGS).max(GRAIN);
        }
        // The description before the first block has the allocator's lists, and nothing of anybody else's.
        Some(range.end..range.end)
    }

    /// Large blocks have a mapping each, and neighbours may look like one.
    fn read_mapped(&mut self, range: Range<usize>) -> Option<Range<usize>> {
        let mut at = range.start;
        while at < range.end {
            let (Some(0), Some(size)) = (read_word(at), read_word(at + WORD)) else { break };
            let (length, flags) = (size & !FLAGS, size & FLAGS);
            if flags != IS_MAPPED || length == 0 || !length.is_multiple_of(PAGE) || length > range.end - at {
                break;
            }
            let region = self.add(at..at + length, Kind::Mapped)?;
            self.set_begin(&region, at);
            at += length;
        }
        Some(at..range.end)
    }

    pub(super) fn add_objects(&mut self, range: Range<usize>, size: usize) -> Option<()> {
        self.add(range, Kind::Objects(size)).map(drop)
    }

    /// To be called when all are there.
    pub(super) fn finish(&mut self) {
        self.regions.as_mut_slice().sort_unstable_by_key(|region| region.start);
        self.objects.as_mut_slice().sort_unstable_by_key(|region| region.start);
    }

    fn set_begin(&mut self, region: &Region, at: usize) {
        let bit = region.bits + (at - region.start) / GRAIN;
        self.begins.as_mut_slice()[bit / 64] |= 1 << (bit % 64);
    }

    /// Those of goroutine objects come first: they lie in blocks of the others.
    fn region_of(&self, address: usize) -> Option<&Region> {
        let find = |list: &Array<Region>| {
            let behind = list.as_slice().partition_point(|region| region.start <= address);
            behind.checked_sub(1).filter(|&last| address < list.as_slice()[last].end)
        };
        match find(&self.objects) {
            Some(index) => Some(&self.objects.as_slice()[index]),
            None => find(&self.regions).map(|index| &self.regions.as_slice()[index]),
        }
    }

    /// The block in which the address lies, and the bit for its mark; if it is in use.
    pub(super) fn block_of(&self, address: usize) -> Option<(Block, usize)> {
        let region = self.region_of(address)?;
        if let Kind::Objects(size) = region.kind {
            let start = region.start + (address - region.start) / size * size;
            // Its first word counts those who refer to it.
            let in_use = start + size <= region.end && word(start) != 0;
            let bit = region.bits + (start - region.start) / GRAIN;
            return in_use.then_some((Block { start, end: start + size }, bit));
        }
        let bit = self.last_begin(region, address)?;
        let header = region.start + (bit - region.bits) * GRAIN;
        let end = header + (word(header + WORD) & !FLAGS).max(GRAIN);
        // The last block is nobody's: what has not been given out yet, or, where the allocator went on elsewhere, a mark.
        let is_free = region.kind == Kind::Heap && (end >= region.end || word(end + WORD) & PREVIOUS_IN_USE == 0);
        // A block ends within the next one's header, whose first word is its own.
        let block = Block { start: header + 2 * WORD, end: (end + WORD).min(region.end) };
        let was_freed = region.kind == Kind::Heap && self.is_listed_as_free(block);
        (!is_free && !was_freed && address >= block.start).then_some((block, bit))
    }

    /// Whether it is in a thread's own list of free blocks. The key alone does not say so: it stays in memory that has been
    /// given on meanwhile, until its new owner writes there. So its first word, too, must be one of such a list: where the next
    /// block lies, in the form in which glibc keeps that since 2.32 (exclusive-or'ed with the number of its own page).
    fn is_listed_as_free(&self, block: Block) -> bool {
        if self.freed_key != Some(word(block.start + WORD)) {
            return false;
        }
        let next = word(block.start) ^ block.start >> 12;
        next == 0 || next.is_multiple_of(GRAIN) && self.region_of(next).is_some()
    }

    /// The bit of the last header at or before the address.
    fn last_begin(&self, region: &Region, address: usize) -> Option<usize> {
        let begins = self.begins.as_slice();
        let last = region.bits + (address - region.start) / GRAIN;
        let mut index = last / 64;
        let mut bits = begins[index] & (u64::MAX >> (63 - last % 64));
        while bits == 0 {
            if index * 64 <= region.bits {
                return None;
            }
            index -= 1;
            bits = begins[index];
        }
        let bit = index * 64 + 63 - bits.leading_zeros() as usize;
        (bit >= region.bits).then_some(bit)
    }

    /// Whether it was not marked before.
    pub(super) fn mark(&mut self, bit: usize) -> bool {
        let word = &mut self.marked.as_mut_slice()[bit / 64];
        let is_new = *word >> (bit % 64) & 1 == 0;
        *word |= 1 << (bit % 64);
        is_new
    }
}

/// Whether headers lead from here to the end exactly.
fn reads_to_the_end(first: usize, end: usize) -> bool {
    let mut at = first;
    while at + 2 * WORD <= end {
        let size = word(at + WORD);
        // The last headers of a heap that has a successor say 16 and 0.
        let length = (size & !FLAGS).max(if at + GRAIN == end { GRAIN } else { 0 });
        if size & IS_MAPPED != 0 || length < GRAIN || !length.is_multiple_of(GRAIN) || length > end - at {
            return false;
        }
        at += length;
    }
    at == end
}
