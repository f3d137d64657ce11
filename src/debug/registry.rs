//! All started goroutines, as any thread can see them: [`visit`].
//!
//! The list of goroutines is the list of stacks. Each started goroutine has its `Pinned` at the high end of its stack's
//! slot, and slots are known (`stack::cache::carved`). So goroutines enter themselves nowhere, and to be seen costs them
//! a few stores: which goroutine it is (at the start), the number of the slice (at each resume), and three registers (at
//! each park).
//!
//! # Why what is told is true
//! Nothing is locked and nobody is stopped. All is read by the kernel's hand (`copy`), in four steps, each a call of its
//! own: (1) `Pinned`; (2) the `G` that it names, and the stack from the stack pointer up; (3) name and labels; (4)
//! `Pinned`, and then that `G`, once more. What is copied is believed if step 4 finds the same slice, the same `G`, and in it
//! the same of all that does not change from a goroutine's start to its end ([`FIXED`]):
//! - *It was alive all the time.* `retire` clears `Pinned::g` before it gives anything up. Step 4 has found `g` in it,
//!   so what that memory then belonged to was alive, and its number, which no other goroutine ever has, is the one of
//!   step 2. Hence so was everything that hangs on it and does not change: name, place of creation. (It may have been made
//!   only just before step 2, where another had ended after step 1, and then have been half written, or have had no worker:
//!   that is why not the number alone is compared.)
//! - *Its stack did not change*, if it was parked or ready in step 1. Only a resume lets it change, and that stores a new
//!   number of the slice before; the numbers of one worker only grow, and a goroutine has one worker. The registers are
//!   those of this wait, since they are stored before the state. Labels change on the goroutine's own stack only.
//!
//! Of one that has gone on each time, there remains what does not change, and its labels, if they lie where they did.
//!
//! The stores are ordered by compiler fences, and by the processor (x86-64 keeps the order of stores, and that of the
//! kernel's loads). What is not believed is copied again; a goroutine that changes each time is running.
//!
//! Rejected: a list of goroutines (a lock, or two locked instructions, for each start and end); a state that keeps a
//! goroutine from being resumed while it is looked at (its worker would wait for us, and each resume would be a locked
//! instruction); to keep back freed memory while somebody looks (a flag that each end reads, and a barrier).
//!
//! # What is not seen
//! Goroutines that have not started have no stack: `unstarted` finds them.

use super::copy::{Piece, copy, forget};
use super::interrupt;
use super::labels::{Text, pairs};
use super::scopes::Scopes;
use super::unwind::{self, Cache, End, Registers, StackMemory};
use crate::park::{MARK, WaitReason};
use crate::sched::g::{Extra, G, Pinned, RunState, TaskVTable};
use crate::sched::life::JOINER;
use crate::sched::watchdog::GoroutineInfo;
use crate::sched::worker::WorkerShared;
use crate::stack::{GUARD, RESERVED, cache};
use std::mem::offset_of;
use std::ops::ControlFlow;
use std::panic::Location;
use std::time::Duration;

/// What a goroutine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    /// It waits for its worker.
    Runnable,
    Waiting(WaitReason),
    /// No worker has taken it yet.
    Unstarted,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Runnable => f.write_str("runnable"),
            Self::Waiting(reason) => reason.fmt(f),
            Self::Unstarted => f.write_str("runnable, not started"),
        }
    }
}

/// A goroutine at one moment. `'a` ends with the visit.
#[derive(Clone)]
pub(crate) struct Snapshot<'a> {
    pub(crate) id: u64,
    pub(crate) name: Option<&'a str>,
    /// For `labels::pairs`.
    pub(crate) labels: &'a str,
    pub(crate) state: State,
    /// For how long it has been in this state, at the least; to about a second, or a sixtieth of the time.
    pub(crate) lasting: Duration,
    /// The calls under way, the innermost first; for `symbol::resolve`. Empty: not known, or it has not run yet.
    pub(crate) addresses: &'a [usize],
    /// How the walk ended.
    pub(crate) end: End,
    /// 0: it was not created by a goroutine.
    pub(crate) creator: u64,
    pub(crate) created_at: &'static Location<'static>,
    /// The name of its closure's type.
    pub(crate) closure: &'static str,
    /// The number of its scope; 0: it has none, or nobody asked.
    pub(crate) scope: u64,
    pub(crate) own_thread: bool,
    /// Why it keeps its thread while it waits, if it does.
    pub(crate) keeps_thread: Option<&'static str>,
    /// The memory of `G`, for comparison with what others hold.
    pub(crate) address: usize,
    /// The memory of the `G` that waits for its end; 0: none.
    pub(crate) joiner: usize,
    /// Where its stack lies.
    #[cfg_attr(not(feature = "pprof"), allow(dead_code))]
    pub(super) slot: Option<Slot>,
}

impl Snapshot<'_> {
    pub(crate) fn has_label(&self, key: &str) -> bool {
        pairs(self.labels).any(|(own, _)| own == key)
    }

    pub(crate) fn info(&self) -> GoroutineInfo {
        GoroutineInfo { id: self.id, name: self.name.map(Into::into), created_at: self.created_at }
    }
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// The calls under way. Without, a visit takes a third of the time.
    pub(crate) stacks: bool,
    /// Those of running goroutines, too: their threads are interrupted by a signal.
    pub(crate) interrupt: bool,
    /// In which scopes they are.
    pub(crate) scopes: bool,
}

/// Slots that are looked at together.
const BATCH: usize = 256;
/// Addresses of one stack.
const FRAMES: usize = 128;
/// What is copied of a stack at first, and if that is not enough.
const ROOM: usize = 4096;
const MORE_ROOM: usize = 256 * 1024;
/// A name, or labels, longer than this are cut.
const LONGEST_TEXT: usize = 64 * 1024;
const ATTEMPTS: usize = 5;

const PINNED: usize = size_of::<Pinned>();
/// `G`, and the scope behind it.
pub(super) const HEADER: usize = size_of::<G>() + size_of::<usize>();

/// What of `G` is the same from the start of a goroutine to its end.
const FIXED: [usize; 6] = [
    offset_of!(G, home),
    offset_of!(G, vtable),
    offset_of!(G, id),
    offset_of!(G, creator),
    offset_of!(G, created_at),
    offset_of!(G, extra),
];

/// Whether two copies of a `G` are of one goroutine, which had started when the first was made.
fn are_of_one(first: &[u8], second: &[u8]) -> bool {
    let has_home = word(first, offset_of!(G, home)) != 0;
    has_home && FIXED.iter().all(|&offset| word(first, offset) == word(second, offset))
}

/// Calls `look` with every started goroutine of the process, until it breaks. From any thread, not from signal
/// handlers. Needs some 300 KiB of memory, however many goroutines there are, and takes some 1 µs for each. What ends or
/// starts meanwhile may be seen or not; none is seen twice. Returns the scopes that they are in, if those were wanted.
pub(crate) fn visit(wanted: Wanted, mut look: impl FnMut(&Snapshot<'_>) -> ControlFlow<()>) -> Scopes {
    let _quiet = crate::tsan::quiet();
    if wanted.stacks {
        unwind::refresh();
    }
    let mut visit = Visit::new(wanted);
    for run in cache::carved() {
        for first in (0..run.count).step_by(BATCH) {
            let slots = first..run.count.min(first + BATCH);
            visit.slots.clear();
            visit.slots.extend(slots.map(|index| Slot { start: run.start + index * run.slot, size: run.slot }));
            if visit.batch(&mut look).is_break() {
                return std::mem::take(&mut visit.scopes);
            }
        }
    }
    std::mem::take(&mut visit.scopes)
}

/// Calls `look` with one goroutine, if it is there: with its stack, while of the others only their numbers are looked at.
#[cfg(feature = "pprof")]
pub(crate) fn visit_one(wanted: Wanted, id: u64, mut look: impl FnMut(&Snapshot<'_>)) {
    let mut place = None;
    visit(Wanted::default(), |one| {
        place = one.slot.filter(|_| one.id == id);
        if place.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Some(slot) = place else { return };
    if wanted.stacks {
        unwind::refresh();
    }
    let _quiet = crate::tsan::quiet();
    let mut visit = Visit::new(wanted);
    visit.slots.push(slot);
    let _ = visit.batch(&mut |one| {
        if one.id == id {
            look(one);
        }
        ControlFlow::Continue(())
    });
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    start: usize,
    size: usize,
}

impl Slot {
    fn high(self) -> usize {
        self.start + self.size - RESERVED
    }

    fn low(self) -> usize {
        self.start + GUARD
    }
}

/// A word among the bytes of another's structure.
pub(super) fn word(bytes: &[u8], offset: usize) -> usize {
    usize::from_ne_bytes(bytes[offset..offset + size_of::<usize>()].try_into().expect("a word"))
}

/// `Pinned`, read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) g: usize,
    slice: usize,
    pub(super) state: Option<RunState>,
    pub(super) registers: Registers,
    /// Start and length.
    labels: (usize, usize),
}

impl Seen {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let registers = offset_of!(Pinned, registers);
        Self {
            g: word(bytes, offset_of!(Pinned, g)),
            slice: word(bytes, offset_of!(Pinned, slice)),
            state: state(bytes[offset_of!(Pinned, state)]),
            registers: Registers {
                pc: word(bytes, registers + offset_of!(Registers, pc)),
                sp: word(bytes, registers + offset_of!(Registers, sp)),
                bp: word(bytes, registers + offset_of!(Registers, bp)),
            },
            labels: text(bytes, labels_offset()),
        }
    }
}

/// Start and length of a `Text` there.
pub(super) fn text(bytes: &[u8], offset: usize) -> (usize, usize) {
    let start = word(bytes, offset + offset_of!(Text, start));
    let length = word(bytes, offset + offset_of!(Text, length));
    if start == 0 { (0, 0) } else { (start, length.min(LONGEST_TEXT)) }
}

/// Where in `Pinned` the labels lie.
fn labels_offset() -> usize {
    let cell = std::cell::RefCell::new(Text::none());
    offset_of!(Pinned, labels) + (cell.as_ptr().addr() - std::ptr::from_ref(&cell).addr())
}

fn state(byte: u8) -> Option<RunState> {
    [RunState::Running, RunState::Ready, RunState::Parked, RunState::ParkedInPlace]
        .into_iter()
        .find(|state| *state as u8 == byte)
}

/// A goroutine that is being looked at.
struct Candidate {
    slot: Slot,
    seen: Seen,
    /// Where its pieces lie in what was copied.
    header: usize,
    stack: usize,
    stack_length: usize,
    name: (usize, usize),
    labels: (usize, usize),
    own_thread: bool,
    readable: bool,
}

struct Visit {
    wanted: Wanted,
    slots: Vec<Slot>,
    candidates: Vec<Candidate>,
    pieces: Vec<Piece>,
    readable: Vec<bool>,
    pinned: Vec<u8>,
    copied: Vec<u8>,
    extras: Vec<u8>,
    texts: Vec<u8>,
    again: Vec<u8>,
    headers_again: Vec<u8>,
    cache: Cache,
    addresses: Vec<usize>,
    scopes: Scopes,
}

impl Drop for Visit {
    fn drop(&mut self) {
        for copied in [
            &mut self.pinned,
            &mut self.copied,
            &mut self.extras,
            &mut self.texts,
            &mut self.again,
            &mut self.headers_again,
        ] {
            forget(copied);
        }
        self.pieces.clear();
        self.pieces.resize(self.pieces.capacity(), Piece { from: 0, length: 0 });
        std::hint::black_box(&mut self.pieces);
        for candidate in &mut self.candidates {
            candidate.seen = Seen::read(&[0; PINNED]);
        }
        std::hint::black_box(&mut self.candidates);
    }
}

impl Visit {
    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            slots: Vec::new(),
            candidates: Vec::with_capacity(BATCH),
            pieces: Vec::with_capacity(2 * BATCH),
            readable: Vec::new(),
            pinned: Vec::new(),
            copied: Vec::new(),
            extras: Vec::new(),
            texts: Vec::new(),
            again: Vec::new(),
            headers_again: Vec::new(),
            cache: Cache::new(),
            addresses: vec![0; FRAMES],
            scopes: Scopes::default(),
        }
    }

    /// Looks at `slots` until all is told that can be.
    fn batch(&mut self, look: &mut impl FnMut(&Snapshot<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut room = if self.wanted.stacks { ROOM } else { 0 };
        for attempt in 1..=ATTEMPTS {
            self.copy_pinned();
            self.copy_goroutines(room);
            self.copy_texts();
            if self.wanted.scopes {
                let scope = |one: &Candidate| word(&self.copied, one.header + size_of::<G>());
                self.scopes.read(self.candidates.iter().map(scope));
            }
            self.copy_again();
            let left = self.tell(room, attempt == ATTEMPTS, look)?;
            if left.is_empty() {
                break;
            }
            self.slots = left;
            // Few are left, some of them because their stacks are deep.
            room = if self.wanted.stacks { MORE_ROOM } else { 0 };
            if attempt == 1 && self.slots.len() > 1 {
                return self.each_alone(look);
            }
        }
        ControlFlow::Continue(())
    }

    /// Bounds the memory: one deep stack at a time.
    fn each_alone(&mut self, look: &mut impl FnMut(&Snapshot<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        for slot in std::mem::take(&mut self.slots) {
            self.slots = vec![slot];
            self.batch(look)?;
        }
        ControlFlow::Continue(())
    }

    fn copy_pinned(&mut self) {
        self.pieces.clear();
        self.pieces.extend(self.slots.iter().map(|slot| Piece { from: slot.high(), length: PINNED }));
        copy(&self.pieces, &mut self.pinned, &mut self.readable);
        self.candidates.clear();
        for (index, slot) in self.slots.iter().enumerate() {
            let seen = Seen::read(&self.pinned[index * PINNED..(index + 1) * PINNED]);
            if seen.g != 0 && self.readable[index] {
                self.candidates.push(Candidate {
                    slot: *slot,
                    seen,
                    header: 0,
                    stack: 0,
                    stack_length: 0,
                    name: (0, 0),
                    labels: (0, 0),
                    own_thread: false,
                    readable: true,
                });
            }
        }
    }

    /// The goroutines, and up to `room` bytes of their stacks.
    fn copy_goroutines(&mut self, room: usize) {
        self.pieces.clear();
        let mut length = 0;
        for candidate in &mut self.candidates {
            let sp = candidate.seen.registers.sp;
            let high = candidate.slot.high();
            let has_stack = candidate.seen.state != Some(RunState::Running)
                && sp.is_multiple_of(8)
                && (candidate.slot.low()..high).contains(&sp);
            candidate.stack_length = if has_stack { room.min(high - sp) } else { 0 };
            candidate.header = length;
            candidate.stack = length + HEADER;
            length += HEADER + candidate.stack_length;
            self.pieces.push(Piece { from: candidate.seen.g, length: HEADER });
            self.pieces.push(Piece { from: sp, length: candidate.stack_length });
        }
        copy(&self.pieces, &mut self.copied, &mut self.readable);
        for (candidate, readable) in self.candidates.iter_mut().zip(self.readable.chunks(2)) {
            candidate.readable = readable[0] && readable[1];
        }
    }

    /// Names and labels.
    fn copy_texts(&mut self) {
        let extra = size_of::<Extra>();
        self.pieces.clear();
        for candidate in &self.candidates {
            let from = word(&self.copied, candidate.header + offset_of!(G, extra));
            self.pieces.push(Piece { from, length: if from == 0 { 0 } else { extra } });
        }
        copy(&self.pieces, &mut self.extras, &mut self.readable);
        let (mut at, mut length) = (0, 0);
        let mut texts = Vec::new();
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            let mut name = (0, 0);
            if self.pieces[index].length > 0 {
                let bytes = &self.extras[at..at + extra];
                at += extra;
                name = text(bytes, offset_of!(Extra, name));
                candidate.own_thread = bytes[offset_of!(Extra, own_thread)] == 1;
                candidate.readable &= self.readable[index];
            }
            for ((start, bytes), place) in [(name, &mut candidate.name), (candidate.seen.labels, &mut candidate.labels)]
            {
                texts.push(Piece { from: start, length: bytes });
                *place = (length, length + bytes);
                length += bytes;
            }
        }
        copy(&texts, &mut self.texts, &mut self.readable);
        for (candidate, readable) in self.candidates.iter_mut().zip(self.readable.chunks(2)) {
            candidate.readable &= readable[0] && readable[1];
        }
    }

    /// What decides about all that was copied before.
    fn copy_again(&mut self) {
        self.pieces.clear();
        self.pieces.extend(self.candidates.iter().map(|one| Piece { from: one.slot.high(), length: PINNED }));
        copy(&self.pieces, &mut self.again, &mut self.readable);
        self.pieces.clear();
        self.pieces.extend(self.candidates.iter().map(|one| Piece { from: one.seen.g, length: HEADER }));
        copy(&self.pieces, &mut self.headers_again, &mut self.readable);
    }

    /// Tells what can be believed, and returns what has to be looked at again.
    fn tell(
        &mut self,
        room: usize,
        is_last: bool,
        look: &mut impl FnMut(&Snapshot<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<(), Vec<Slot>> {
        let mut left = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            let now = Seen::read(&self.again[index * PINNED..(index + 1) * PINNED]);
            let header = &self.copied[candidate.header..candidate.header + HEADER];
            let is_same = now.g == candidate.seen.g
                && self.readable[index]
                && are_of_one(header, &self.headers_again[index * HEADER..(index + 1) * HEADER]);
            let is_still = now.slice == candidate.seen.slice && now.labels == candidate.seen.labels;
            let is_whole = is_same && is_still && candidate.readable;
            if !is_whole && (!is_last || !is_same || !candidate.readable) {
                // Ended meanwhile: nothing is left to be told, and another may have come.
                left.push(candidate.slot);
                continue;
            }
            // SAFETY: it was alive and is the same: the module says why.
            let mut snapshot = unsafe { candidate.snapshot(header, &self.texts) };
            if self.wanted.scopes {
                snapshot.scope = self.scopes.believe(word(header, size_of::<G>()));
            }
            if !is_still {
                // It runs each time that we look.
                snapshot.state = State::Running;
                if now.labels != candidate.seen.labels {
                    snapshot.labels = "";
                }
            } else if candidate.stack_length > 0 {
                let sp = candidate.seen.registers.sp;
                let stack = StackMemory {
                    bounds: sp..sp + candidate.stack_length,
                    lies_at: self.copied[candidate.stack..].as_ptr().expose_provenance(),
                    entry: candidate.slot.high(),
                };
                // SAFETY: the copy, which is ours.
                let outcome =
                    unsafe { unwind::unwind(&mut self.cache, candidate.seen.registers, &stack, &mut self.addresses) };
                let is_cut = stack.bounds.end < stack.entry;
                if outcome.end == End::Lost && is_cut && room < MORE_ROOM {
                    left.push(candidate.slot);
                    continue;
                }
                snapshot.end = if outcome.end == End::Lost && is_cut { End::Full } else { outcome.end };
                snapshot.addresses = &self.addresses[..outcome.frames];
            } else if self.wanted.stacks && self.wanted.interrupt && snapshot.state == State::Running {
                // SAFETY: as for the snapshot.
                let worker = unsafe { home(header) };
                if let Some(outcome) = interrupt::stack_of(worker, snapshot.id, &mut self.addresses) {
                    snapshot.addresses = &self.addresses[..outcome.frames];
                    snapshot.end = outcome.end;
                }
            } else if self.wanted.stacks && candidate.seen.state == Some(RunState::ParkedInPlace) {
                // On a stack that is not its own.
                snapshot.end = End::Lost;
            }
            look(&snapshot)?;
        }
        ControlFlow::Continue(left)
    }
}

impl Candidate {
    /// # Safety
    /// `header` is a copy of a goroutine that was alive when it was made.
    unsafe fn snapshot<'a>(&self, header: &[u8], texts: &'a [u8]) -> Snapshot<'a> {
        let created_at = word(header, offset_of!(G, created_at));
        let reason = WaitReason::from_byte(header[offset_of!(G, wait_reason)]).expect("the byte of a reason");
        // SAFETY: places of creation are statics.
        let created_at = unsafe { &*std::ptr::with_exposed_provenance::<Location<'static>>(created_at) };
        let vtable = std::ptr::with_exposed_provenance::<TaskVTable>(word(header, offset_of!(G, vtable)));
        // SAFETY: these are statics, too.
        let closure = unsafe { (*vtable).closure };
        // SAFETY: passed on.
        let home = unsafe { home(header) };
        let text = |(start, end): (usize, usize)| std::str::from_utf8(&texts[start..end]).unwrap_or("?");
        let name = text(self.name);
        let in_place = self.seen.state == Some(RunState::ParkedInPlace);
        let slice = self.seen.slice as u64;
        Snapshot {
            id: word(header, offset_of!(G, id)) as u64,
            name: (!name.is_empty()).then_some(name),
            labels: text(self.labels),
            state: match self.seen.state {
                Some(RunState::Ready) => State::Runnable,
                Some(RunState::Parked | RunState::ParkedInPlace) if reason != WaitReason::None => {
                    State::Waiting(reason)
                }
                _ => State::Running,
            },
            lasting: home.slices.since(slice),
            addresses: &[],
            end: End::Complete,
            creator: word(header, offset_of!(G, creator)) as u64,
            created_at,
            closure: closure(),
            scope: 0,
            own_thread: self.own_thread,
            keeps_thread: if in_place { home.keeps() } else { None },
            address: self.seen.g,
            // Kept as `park::marked` has it.
            joiner: match word(header, offset_of!(G, life)) & JOINER {
                0 => 0,
                _ => word(header, offset_of!(G, joiner)).wrapping_sub(MARK),
            },
            slot: Some(self.slot),
        }
    }
}

/// The worker of a goroutine that has started.
///
/// # Safety
/// `header` is a copy of a goroutine that had started and was alive when it was made.
unsafe fn home(header: &[u8]) -> &'static WorkerShared {
    // SAFETY: these are never freed.
    unsafe { &*std::ptr::with_exposed_provenance::<WorkerShared>(word(header, offset_of!(G, home))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const STACKS: Wanted = Wanted { stacks: true, interrupt: true, scopes: false };

    /// What is seen of one goroutine: its state, name and labels, and the functions on its stack.
    fn see(id: u64) -> Option<(State, String, Vec<String>, End)> {
        let mut found = None;
        visit(STACKS, |one| {
            if one.id != id {
                return ControlFlow::Continue(());
            }
            let frames = super::super::symbol::resolve(one.addresses);
            let functions = frames.iter().flat_map(|frames| frames.iter().filter_map(|frame| frame.function.clone()));
            let who = format!("{:?} {:?}", one.name, one.labels);
            found = Some((one.state, who, functions.collect(), one.end));
            ControlFlow::Break(())
        });
        found
    }

    #[test]
    fn copies_are_believed_if_they_are_of_one_goroutine_that_had_started() {
        let header = |id: usize, home: usize, created_at: usize| {
            let mut bytes = vec![0; HEADER];
            for (offset, word) in [(offset_of!(G, id), id), (offset_of!(G, home), home)] {
                bytes[offset..offset + 8].copy_from_slice(&word.to_ne_bytes());
            }
            bytes[offset_of!(G, created_at)..][..8].copy_from_slice(&created_at.to_ne_bytes());
            bytes
        };
        assert!(are_of_one(&header(7, 1, 2), &header(7, 1, 2)));
        assert!(!are_of_one(&header(7, 1, 2), &header(8, 1, 2)), "another");
        assert!(!are_of_one(&header(7, 0, 2), &header(7, 0, 2)), "it had no worker yet");
        assert!(!are_of_one(&header(7, 1, 0), &header(7, 1, 2)), "it was half written");
    }

    #[inline(never)]
    fn waits_here() {
        crate::park();
        std::hint::black_box(());
    }

    #[inline(never)]
    fn computes_here(stop: &std::sync::atomic::AtomicBool) {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }

    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let start = std::time::Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(start.elapsed().as_secs() < 20, "it was never seen");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_parked_goroutine_shows_its_name_labels_reason_and_whole_stack() {
        let start = || crate::Builder::new().name("sleeper").go(waits_here).unwrap();
        let handle = super::super::with_labels(&[("k", "v")], start);
        let id = handle.goroutine().id();
        let (_, who, functions, end) = until(|| see(id).filter(|seen| seen.0 == State::Waiting(WaitReason::Park)));
        assert_eq!(who, "Some(\"sleeper\") \"k\\0v\\0\"");
        assert!(functions.iter().any(|name| name.contains("waits_here")), "{functions:?}");
        assert_eq!(end, End::Complete, "{functions:#?}");
        handle.goroutine().unpark();
        handle.join().unwrap();
        // It ends a little after `join` has its result.
        until(|| see(id).is_none().then_some(()));
    }

    #[test]
    #[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
    fn a_running_goroutine_is_interrupted_and_shows_its_stack() {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let handle = crate::go({
            let stop = std::sync::Arc::clone(&stop);
            move || {
                tell.send(crate::current().id()).unwrap();
                computes_here(&stop);
            }
        });
        let id = told.recv().unwrap();
        let (state, _, functions, end) =
            until(|| see(id).filter(|seen| seen.2.iter().any(|name| name.contains("computes_here"))));
        assert_eq!((state, end), (State::Running, End::Complete), "{functions:#?}");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        handle.join().unwrap();
    }
}
