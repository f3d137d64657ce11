//! The OS threads of the program that wait in lisle, with their stacks, for dumps.
//!
//! A thread notes its registers when it begins to wait. Its stack is copied by the kernel (`copy`), and believed if the
//! thread is in the same wait afterwards: until it is woken nothing on that stack changes above the noted place.

use super::copy::{Piece, copy};
use super::unwind::{self, Cache, End, StackMemory};
use crate::stack::PAGE;
use crate::threads::parker::{Waiting, waiting};

/// So much of a stack is looked at.
const PAGES: usize = 64;
const FRAMES: usize = 128;

/// A thread that waits.
pub(super) struct ThreadSnapshot {
    pub(super) waiting: Waiting,
    /// The calls under way, the innermost first; for `symbol::resolve`.
    pub(super) addresses: Vec<usize>,
    pub(super) end: End,
}

/// All of them, by their numbers.
pub(super) fn all() -> Vec<ThreadSnapshot> {
    let mut cache = Cache::new();
    let mut found: Vec<_> = waiting().into_iter().map(|one| look(one, &mut cache)).collect();
    let still = waiting();
    let is_same = |a: &Waiting, b: &Waiting| a.thread == b.thread && a.ended == b.ended;
    // The others are up: their stacks are not what we have seen.
    found.retain(|one| still.iter().any(|other| is_same(other, &one.waiting)));
    found.sort_by_key(|one| one.waiting.thread);
    found
}

fn look(waiting: Waiting, cache: &mut Cache) -> ThreadSnapshot {
    let sp = waiting.registers.sp;
    let first_end = (sp & !(PAGE - 1)) + PAGE;
    let mut pieces = vec![Piece { from: sp, length: first_end - sp }];
    pieces.extend((0..PAGES).map(|page| Piece { from: first_end + page * PAGE, length: PAGE }));
    let (mut bytes, mut readable) = (Vec::new(), Vec::new());
    copy(&pieces, &mut bytes, &mut readable);
    // The stack ends somewhere in these pages.
    let length =
        pieces.iter().zip(&readable).take_while(|&(_, &readable)| readable).map(|(piece, _)| piece.length).sum();
    // Aligned as a stack is: a copy of bytes need not be.
    let words: Vec<usize> = bytes[..length]
        .chunks_exact(size_of::<usize>())
        .map(|word| usize::from_ne_bytes(word.try_into().expect("a word")))
        .collect();
    let stack = StackMemory {
        bounds: sp..sp + words.len() * size_of::<usize>(),
        lies_at: words.as_ptr().expose_provenance(),
        // Where it ends is not known: the outermost call has no return address.
        entry: usize::MAX,
    };
    let mut addresses = vec![0; FRAMES];
    // SAFETY: the copy, which is ours.
    let outcome = unsafe { unwind::unwind(cache, waiting.registers, &stack, &mut addresses) };
    addresses.truncate(outcome.frames);
    ThreadSnapshot { waiting, addresses, end: outcome.end }
}
