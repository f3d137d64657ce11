//! The scopes in which goroutines run, for the tree of them in dumps; read as `registry` reads goroutines.
//!
//! What of a scope is read here never changes, and it is alive while a goroutine in it is, and so are those around it: each
//! scope holds the next outer one. So what is read between two looks that find the same goroutine is right: `read` is called
//! in between, and `believe` for those that were found again.
//!
//! Memory: one entry for each scope that has goroutines, or lies around one.

use super::copy::{Piece, copy, forget};
use super::registry::word;
use crate::scope::ScopeData;
use std::collections::HashMap;
use std::mem::offset_of;
use std::panic::Location;

/// An open scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The order in which they were opened: an outer one has a smaller number.
    pub(crate) id: u64,
    /// The number of the next outer one; 0: there is none.
    pub(crate) parent: u64,
    /// The goroutine that opened it; 0: a thread.
    pub(crate) owner: u64,
    pub(crate) opened_at: &'static Location<'static>,
}

/// What was read, not yet believed.
struct Unproved {
    id: u64,
    owner: u64,
    opened_at: usize,
    /// As the keys of `Scopes::unproved`.
    parent: usize,
}

#[derive(Default)]
pub(crate) struct Scopes {
    known: HashMap<u64, Scope>,
    /// By what leads to them, inverted: it is not to look like a reference (`leaked`).
    unproved: HashMap<usize, Unproved>,
    bytes: Vec<u8>,
}

impl Drop for Scopes {
    fn drop(&mut self) {
        forget(&mut self.bytes);
    }
}

impl Scopes {
    /// Reads those to which these words lead, and those around them. A word is that of an `Arc`, or zero.
    pub(super) fn read(&mut self, words: impl Iterator<Item = usize>) {
        self.unproved.clear();
        let mut next: Vec<usize> = words.filter(|&word| word != 0).collect();
        let (mut pieces, mut readable) = (Vec::new(), Vec::new());
        while !next.is_empty() {
            next.sort_unstable();
            next.dedup();
            let piece = |word: &usize| Piece { from: word.wrapping_add(content_of_arc()), length: SIZE };
            pieces.clear();
            pieces.extend(next.iter().map(piece));
            copy(&pieces, &mut self.bytes, &mut readable);
            let mut around = Vec::new();
            for (index, word) in next.iter().enumerate().filter(|&(index, _)| readable[index]) {
                let (read, parent) = Unproved::from(&self.bytes[index * SIZE..(index + 1) * SIZE]);
                if parent != 0 && !self.known.contains_key(&read.id) && !self.unproved.contains_key(&!parent) {
                    around.push(parent);
                }
                self.unproved.insert(!word, read);
            }
            next.fill(0);
            std::hint::black_box(&mut next);
            next = around;
        }
        pieces.fill(Piece { from: 0, length: 0 });
        std::hint::black_box(&mut pieces);
    }

    /// The number of the scope to which this word leads: its goroutine was there before and after `read`. 0: of none.
    pub(super) fn believe(&mut self, word: usize) -> u64 {
        let id = |key: usize, unproved: &HashMap<usize, Unproved>| unproved.get(&key).map_or(0, |read| read.id);
        let mut key = !word;
        while let Some(read) = self.unproved.get(&key).filter(|read| !self.known.contains_key(&read.id)) {
            // SAFETY: places are statics, and it is one: the scope was alive when it was read.
            let opened_at = unsafe { &*std::ptr::with_exposed_provenance::<Location<'static>>(read.opened_at) };
            let parent = id(read.parent, &self.unproved);
            self.known.insert(read.id, Scope { id: read.id, parent, owner: read.owner, opened_at });
            key = read.parent;
        }
        id(!word, &self.unproved)
    }

    /// All that were believed, each behind those around it.
    pub(super) fn in_order(&self) -> Vec<Scope> {
        let mut all: Vec<Scope> = self.known.values().copied().collect();
        all.sort_unstable_by_key(|scope| scope.id);
        all
    }
}

const SIZE: usize = size_of::<ScopeData>();

impl Unproved {
    /// What the bytes of a scope say, and the word that leads to the one around it.
    fn from(bytes: &[u8]) -> (Self, usize) {
        let parent = word(bytes, offset_of!(ScopeData, parent));
        let read = Self {
            id: word(bytes, offset_of!(ScopeData, id)) as u64,
            owner: word(bytes, offset_of!(ScopeData, opener)) as u64,
            opened_at: word(bytes, offset_of!(ScopeData, opened_at)),
            parent: if parent == 0 { 0 } else { !parent },
        };
        (read, parent)
    }
}

/// How far behind the address that an `Arc` of a scope consists of the scope itself lies.
fn content_of_arc() -> usize {
    static DISTANCE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *DISTANCE.get_or_init(|| {
        let arc = ScopeData::closed();
        // SAFETY: an `Arc` of a sized type is one pointer.
        let word = unsafe { std::mem::transmute_copy::<_, *const u8>(&arc) };
        std::sync::Arc::as_ptr(&arc).addr() - word.addr()
    })
}
