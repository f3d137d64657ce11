//! Goroutines that have not started, as any thread can see them.
//!
//! They lie in queues that only their takers can look into, and have no stack by which `registry` would find them. But
//! nearly all goroutine objects lie in chunks of blocks of one size (`sched::task_memory`), and a block tells whether it holds
//! such a one: its wake word is neither STARTED nor DONE. That is so from the moment when the whole object is written
//! (`new_task` stores it last) until it starts or is cancelled; a block of nobody says DONE. So an object that is found
//! unstarted twice, with the same number, which no other ever has, was all there in between; what was copied in between is
//! believed. The order of stores and loads is that of `registry`.
//!
//! Not seen: those with more than some 200 bytes of captured variables, which lie elsewhere, and all of them under a
//! sanitizer. [`count`] counts those, too.
//!
//! Rejected: to copy the queues. A thief may look at no more than the oldest entry of another's deque, and to take entries
//! out and put them back changes their order, and wakes workers.

use super::copy::{Piece, copy, forget};
use super::registry::{HEADER, Snapshot, State, text, word};
use super::scopes::Scopes;
use super::unwind::End;
use crate::sched;
use crate::sched::g::{DONE, Extra, G, STARTED, TaskVTable};
use crate::sched::task_memory;
use std::mem::offset_of;
use std::ops::ControlFlow;
use std::panic::Location;
use std::time::Duration;

/// So many bytes of a chunk are looked at together.
const WINDOW: usize = 64 * 1024;

/// How many goroutines have been created and have not started, in all runtimes; to within what happens meanwhile.
pub(crate) fn count() -> u64 {
    sched::all().iter().map(|scheduler| scheduler.unstarted()).sum()
}

/// Calls `look` with each that is seen, until it breaks. What starts or is created meanwhile may be seen or not. Takes some 50 ms
/// for each million objects that there have been at a time. (`count` is no reason not to look: it is off while goroutines come
/// and go.)
pub(super) fn visit(scopes: &mut Scopes, mut look: impl FnMut(&Snapshot<'_>) -> ControlFlow<()>) {
    let _quiet = crate::tsan::quiet();
    let mut visit = Visit::default();
    for (chunk, size) in task_memory::chunks() {
        let blocks: Vec<usize> = (chunk.start..=chunk.end - size).step_by(size).collect();
        for blocks in blocks.chunks(WINDOW / size) {
            visit.find(blocks, size);
            if !visit.found.is_empty() && visit.tell(scopes, &mut look).is_break() {
                return;
            }
        }
    }
}

struct Found {
    at: usize,
    id: usize,
}

#[derive(Default)]
struct Visit {
    found: Vec<Found>,
    window: Vec<u8>,
    headers: Vec<u8>,
    again: Vec<u8>,
    extras: Vec<u8>,
    texts: Vec<u8>,
    readable: Vec<bool>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        for copied in [&mut self.window, &mut self.headers, &mut self.again, &mut self.extras, &mut self.texts] {
            forget(copied);
        }
        self.found.iter_mut().for_each(|found| found.at = 0);
        std::hint::black_box(&mut self.found);
    }
}

fn is_unstarted(bytes: &[u8]) -> bool {
    bytes[offset_of!(G, wake)] & (STARTED | DONE) == 0
}

impl Visit {
    /// Those among neighbouring blocks that are unstarted.
    fn find(&mut self, blocks: &[usize], size: usize) {
        self.found.clear();
        let Some(&from) = blocks.first() else { return };
        copy(&[Piece { from, length: blocks.len() * size }], &mut self.window, &mut self.readable);
        if !self.readable[0] {
            return;
        }
        let all = blocks.iter().zip(self.window.chunks_exact(size));
        let unstarted = all.filter(|(_, bytes)| is_unstarted(bytes));
        self.found.extend(unstarted.map(|(&at, bytes)| Found { at, id: word(bytes, offset_of!(G, id)) }));
    }

    fn tell(
        &mut self,
        scopes: &mut Scopes,
        look: &mut impl FnMut(&Snapshot<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let pieces: Vec<Piece> = self.found.iter().map(|found| Piece { from: found.at, length: HEADER }).collect();
        copy(&pieces, &mut self.headers, &mut self.readable);
        let places = self.copy_texts();
        scopes.read(self.headers.chunks_exact(HEADER).map(|header| word(header, size_of::<G>())));
        copy(&pieces, &mut self.again, &mut self.readable);
        for (index, found) in self.found.iter().enumerate() {
            let bytes = index * HEADER..(index + 1) * HEADER;
            let (header, again) = (&self.headers[bytes.clone()], &self.again[bytes]);
            if !is_unstarted(again) || word(again, offset_of!(G, id)) != found.id {
                continue;
            }
            let scope = scopes.believe(word(header, size_of::<G>()));
            let text = |(start, length): (usize, usize)| {
                std::str::from_utf8(&self.texts[start..start + length]).unwrap_or("?")
            };
            let place = &places[index];
            // SAFETY: it was unstarted before and after the copy, and had the same number: the module says why that is
            // enough.
            look(&unsafe { snapshot(header, text(place.name), text(place.labels), place.own_thread, scope) })?;
        }
        ControlFlow::Continue(())
    }

    /// Names and labels, and where they lie in `texts`.
    fn copy_texts(&mut self) -> Vec<Place> {
        let size = size_of::<Extra>();
        let extra = |header: &[u8]| word(header, offset_of!(G, extra));
        let piece = |from: usize, length: usize| Piece { from, length: if from == 0 { 0 } else { length } };
        let pieces: Vec<Piece> = self.headers.chunks_exact(HEADER).map(|header| piece(extra(header), size)).collect();
        copy(&pieces, &mut self.extras, &mut self.readable);
        let (mut at, mut end, mut texts, mut places) = (0, 0, Vec::new(), Vec::new());
        for piece in &pieces {
            let mut place = Place::default();
            if piece.length > 0 {
                let bytes = &self.extras[at..at + size];
                at += size;
                place.own_thread = bytes[offset_of!(Extra, own_thread)] == 1;
                for (offset, place) in
                    [(offset_of!(Extra, name), &mut place.name), (offset_of!(Extra, labels), &mut place.labels)]
                {
                    let (from, length) = text(bytes, offset);
                    texts.push(Piece { from, length });
                    *place = (end, length);
                    end += length;
                }
            }
            places.push(place);
        }
        copy(&texts, &mut self.texts, &mut self.readable);
        places
    }
}

/// Where texts lie: start and length.
#[derive(Default)]
struct Place {
    name: (usize, usize),
    labels: (usize, usize),
    own_thread: bool,
}

/// # Safety
/// `header` is a copy of a whole goroutine object.
unsafe fn snapshot<'a>(header: &[u8], name: &'a str, labels: &'a str, own_thread: bool, scope: u64) -> Snapshot<'a> {
    let created_at = std::ptr::with_exposed_provenance::<Location<'static>>(word(header, offset_of!(G, created_at)));
    let vtable = std::ptr::with_exposed_provenance::<TaskVTable>(word(header, offset_of!(G, vtable)));
    Snapshot {
        id: word(header, offset_of!(G, id)) as u64,
        name: (!name.is_empty()).then_some(name),
        labels,
        state: State::Unstarted,
        lasting: Duration::ZERO,
        addresses: &[],
        end: End::Complete,
        creator: word(header, offset_of!(G, creator)) as u64,
        // SAFETY: places of creation, and these tables, are statics.
        created_at: unsafe { &*created_at },
        // SAFETY: as above.
        closure: unsafe { ((*vtable).closure)() },
        scope,
        own_thread,
        keeps_thread: None,
        address: 0,
        joiner: 0,
        slot: None,
    }
}
