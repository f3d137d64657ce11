//! The happens-before detector: which two accesses of a variable are ordered by nothing.
//!
//! The algorithm is FastTrack (Flanagan and Freund, 2009). Each goroutine (or OS thread) is a *strand* with a vector
//! clock; what synchronises has a clock that strands leave theirs in and take others' from. A variable remembers its
//! last write, and the reads since that are not ordered among each other, as epochs: one comparison tells whether an
//! earlier access happens before this one. So a race is told whenever two accesses are unordered, whether or not they
//! happened to meet in this run. None is told that is not there: all that orders goroutines in lisle is known here. (What
//! orders them elsewhere, a `std::sync::Mutex` say, is not.)
//!
//! # Edges
//! | from | to |
//! | --- | --- |
//! | start of a goroutine, set-up of a deferred call | its first step |
//! | a goroutine's last step | the end of a join, or of the scope |
//! | the k-th send on a channel | the end of the k-th receive |
//! | the k-th receive | the end of the k+C-th send, at capacity C; of the k-th at capacity 0 |
//! | the last drop of a side | a receive or send that finds it gone |
//! | unlock, release, done, notify, the end of a once, unpark, cancel | who goes on by it |
//! | a release store, and the read-modify-writes after it | an acquire load that reads them |
//!
//! A relaxed atomic orders nothing. Fences do, as C++20 has it.
//!
//! # Strands are used again
//! A strand's place in the clocks goes to another goroutine when it has ended: clocks would grow without end otherwise. But
//! then it counts as the same strand, and what the first did as seen by the second. So it is given only to a goroutine whose
//! starter has seen all accesses of the one that had it (it has joined it, say, or there were none). Those that nobody
//! has seen are kept back, [`KEPT_BACK`] of them; only beyond that can a race with a goroutine that has ended be missed.
//!
//! A strand's time goes on when it publishes what it has accessed, and only then. Who only passes messages has the same
//! time all along, and no entry in anybody's clock.
//!
//! # Who owns it
//! Each explorer has its own, begun anew for each schedule. With the feature `race` there is one for the rest of the
//! process, under one lock. Nothing is allocated for stacks there, and no stack is walked: that is done before.

use super::clock::{Clock, Epoch};
use crate::debug::walk::Addresses;
use crate::sched::g::G;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Multiplies addresses and numbers, which is enough for keys that nobody chooses (Fibonacci hashing, Knuth).
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

pub(crate) type ByAddress<V> = HashMap<usize, V, BuildHasherDefault<AddressHasher>>;

/// What the detector is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edge {
    /// Takes over what was released into the object.
    Acquire(usize),
    /// Leaves what was done so far in the object.
    Release(usize),
    /// A message goes into a channel's buffer. Here and below: the numbers of those for whom, 0 for who tells.
    Buffered {
        channel: usize,
        capacity: usize,
        sender: u64,
    },
    /// A message leaves the buffer.
    Unbuffered {
        channel: usize,
        capacity: usize,
        receiver: u64,
    },
    /// A message goes from one goroutine to another without a buffer between them.
    Handed {
        channel: usize,
        capacity: usize,
        from: u64,
        to: u64,
    },
    Load {
        atomic: usize,
        ordering: Ordering,
    },
    Store {
        atomic: usize,
        ordering: Ordering,
    },
    /// A read-modify-write.
    Modify {
        atomic: usize,
        ordering: Ordering,
    },
    Fence(Ordering),
    /// What all have done so far happens before what the caller does from now on.
    AcquireAll,
    /// The caller is there.
    Introduce,
    /// What had this address is no more.
    Forget(usize),
}

/// One use of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// What tells it from other variables, see `identity`.
    pub(crate) variable: usize,
    pub(crate) address: usize,
    pub(crate) writes: bool,
    pub(crate) location: &'static Location<'static>,
}

/// Who did something: a goroutine, or an OS thread.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) id: u64,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) created_in: Option<Addresses>,
    pub(crate) is_thread: bool,
}

/// An access as it is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    epoch: Epoch,
    pub(crate) who: Arc<Who>,
    pub(crate) writes: bool,
    pub(crate) location: &'static Location<'static>,
    pub(crate) stack: Option<Addresses>,
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

/// The access is to be told again, with its stack.
pub(crate) struct StackIsWanted;

struct Strand {
    /// What it has seen. Its own entry is there only if it has ever published an access: the many that wait for their first
    /// event have short clocks.
    clock: Clock,
    /// Its own time. It stands still at the highest number: what is accessed then counts as seen too soon.
    time: u32,
    /// Whether there was an access at that time.
    has_accessed: bool,
    /// What its next relaxed stores publish, by a release fence.
    fenced: Clock,
    /// What its relaxed loads have seen, for an acquire fence.
    loaded: Clock,
    who: Arc<Who>,
    has_ended: bool,
}

impl Strand {
    /// Its clock, for others to see. What it does from now on is not among that.
    fn publish(&mut self, own: u32) -> &mut Clock {
        if self.has_accessed {
            self.has_accessed = false;
            self.clock.set(own, self.time);
            self.time = self.time.saturating_add(1);
        }
        &mut self.clock
    }

    /// The last moment at which it may have accessed anything.
    fn last_access(&self) -> u32 {
        self.time - u32::from(!self.has_accessed)
    }

    /// Whether that moment happens before what the strand does now.
    fn has_seen(&self, own: u32, epoch: Epoch) -> bool {
        epoch.strand == own || self.clock.has_seen(epoch)
    }
}

/// The clocks of a channel. At capacity C each of C slots has one, as in Go: the k-th send and the k-th receive use the
/// same slot, and so does the send that waits for that receive to free its place. Each takes over what lies there, and
/// leaves its own. (The clocks stay where they are: to move them costs more than to copy what is in them.)
#[derive(Default)]
struct Channel {
    slots: Vec<Clock>,
    sends: usize,
    receives: usize,
    /// Of a channel without bounds: a clock for each message, and then unused ones.
    queue: VecDeque<Clock>,
}

impl Channel {
    fn send(&mut self, capacity: usize, sender: &mut Strand, own: u32) {
        let number = self.sends;
        self.sends += 1;
        if capacity == usize::MAX {
            let place = number - self.receives;
            if place == self.queue.len() {
                self.queue.push_back(Clock::default());
            }
            return self.queue[place].copy_from(sender.publish(own));
        }
        self.pass(number % capacity, sender, own);
    }

    fn receive(&mut self, capacity: usize, receiver: &mut Strand, own: u32) {
        let number = self.receives;
        self.receives += 1;
        if capacity == usize::MAX {
            if let Some(clock) = self.queue.pop_front() {
                receiver.clock.join(&clock);
                self.queue.push_back(clock);
            }
            return;
        }
        self.pass(number % capacity, receiver, own);
    }

    fn pass(&mut self, slot: usize, strand: &mut Strand, own: u32) {
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, Clock::default);
        }
        strand.publish(own).meet(&mut self.slots[slot]);
    }
}

#[derive(Default)]
struct Variable {
    write: Option<Seen>,
    reads: Vec<Seen>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Detector {
    strands: Vec<Strand>,
    /// The strand of each goroutine that lives.
    by_id: HashMap<u64, u32, BuildHasherDefault<AddressHasher>>,
    /// The last that was asked for.
    last: (u64, u32),
    /// Strands of goroutines that have ended, to be used again; the last that ended comes last.
    free: VecDeque<u32>,
    /// Whether strands are used again.
    reuses: bool,
    /// Whether accesses and creations keep their stacks.
    keeps_stacks: bool,
    sync: ByAddress<Clock>,
    channels: ByAddress<Channel>,
    variables: ByAddress<Variable>,
    spare: Vec<Clock>,
}

/// Of so many strands that have ended, and whose accesses nobody is known to have seen, none is used again.
const KEPT_BACK: usize = 1024;
/// So many of the last that have ended are looked at for one that can be used again.
const LOOKED_AT: usize = 16;

impl Detector {
    /// The one of a process, which may live long.
    #[cfg(feature = "race")]
    pub(super) fn of_process() -> Self {
        Self { reuses: true, keeps_stacks: true, ..Self::default() }
    }

    /// Forgets everything, and keeps the memory.
    pub(crate) fn begin(&mut self, keeps_stacks: bool) {
        self.keeps_stacks = keeps_stacks;
        self.by_id.clear();
        self.last = (0, 0);
        self.free.clear();
        self.spare.extend(self.sync.drain().map(|(_, clock)| clock));
        self.channels.clear();
        self.variables.clear();
        for strand in self.strands.drain(..) {
            self.spare.push(strand.clock);
        }
        self.spare.truncate(64);
    }

    /// The strand of a goroutine or thread, made at its first deed if its start was not told.
    fn strand(&mut self, g: &G) -> u32 {
        let (id, strand) = self.last;
        if id == g.id {
            return strand;
        }
        let strand = match self.by_id.get(&g.id) {
            Some(&strand) => strand,
            None => self.add(g, None, None),
        };
        self.last = (g.id, strand);
        strand
    }

    fn add(&mut self, g: &G, parent: Option<u32>, created_in: Option<Addresses>) -> u32 {
        // Another lay there before.
        self.sync.remove(&std::ptr::from_ref(g).addr());
        self.sync.remove(&crate::park::token_of(g));
        let who = Who {
            id: g.id,
            name: g.extra.as_ref().and_then(|extra| extra.name.shared()),
            created_at: g.created_at,
            created_in,
            is_thread: g.is_thread(),
        };
        let mut clock = empty_clock(&mut self.spare);
        if let Some(parent) = parent {
            clock.copy_from(self.strands[parent as usize].publish(parent));
        }
        let free = self.take_free(&clock);
        let strand = free.unwrap_or(self.strands.len() as u32);
        let time = free.map_or(1, |free| self.strands[free as usize].last_access().saturating_add(1));
        let (fenced, loaded) = (Clock::default(), Clock::default());
        let (who, has_accessed, has_ended) = (Arc::new(who), false, false);
        let strand_of = Strand { clock, time, has_accessed, fenced, loaded, who, has_ended };
        match self.strands.get_mut(strand as usize) {
            Some(place) => *place = strand_of,
            None => self.strands.push(strand_of),
        }
        self.by_id.insert(g.id, strand);
        strand
    }

    /// A strand that has ended, for a goroutine that begins with this clock: see the module.
    fn take_free(&mut self, clock: &Clock) -> Option<u32> {
        let strands = &self.strands;
        let is_seen = |&strand: &u32| clock.has_seen(Epoch { strand, time: strands[strand as usize].last_access() });
        let last = self.free.len().saturating_sub(LOOKED_AT);
        if let Some(place) = self.free.range(last..).rposition(is_seen) {
            return self.free.remove(last + place);
        }
        if self.free.len() > KEPT_BACK { self.free.pop_front() } else { None }
    }

    /// `me` has made the goroutine `child`, in the calls of `stack`.
    pub(crate) fn spawn(&mut self, me: Option<&G>, child: &G, stack: Option<Addresses>) {
        let parent = me.map(|me| self.strand(me));
        self.add(child, parent, stack);
    }

    /// Whether accesses and creations are to be told with their stacks.
    pub(crate) fn keeps_stacks(&self) -> bool {
        self.keeps_stacks
    }

    /// `me` has ended: it does nothing more.
    pub(crate) fn end(&mut self, me: Option<&G>) {
        let Some(strand) = me.and_then(|me| self.by_id.get(&me.id).copied()) else { return };
        self.strands[strand as usize].has_ended = true;
        self.last = (0, 0);
        if self.reuses {
            // Its clock may be long, and its place not be used again for a while.
            self.strands[strand as usize].clock = Clock::default();
            self.by_id.remove(&self.strands[strand as usize].who.id);
            self.free.push_back(strand);
        }
    }

    /// A goroutine gets a stack: what lay there is no more.
    pub(crate) fn forget_stack(&mut self, (low, high): (usize, usize)) {
        self.variables.retain(|&variable, _| !(low..high).contains(&variable));
    }

    pub(crate) fn apply(&mut self, me: Option<&G>, edge: Edge) {
        if let Edge::Forget(address) = edge {
            self.sync.remove(&address).into_iter().for_each(|clock| self.spare.push(clock));
            self.channels.remove(&address);
            self.variables.remove(&address);
            return;
        }
        let Some(me) = me.map(|me| self.strand(me)) else { return };
        match edge {
            Edge::Acquire(object) => self.acquire(me, object),
            Edge::Release(object) => self.release(me, object),
            Edge::Buffered { channel, capacity, sender } => {
                let sender = self.strand_or(me, sender);
                self.buffered(channel, capacity, sender);
            }
            Edge::Unbuffered { channel, capacity, receiver } => {
                let receiver = self.strand_or(me, receiver);
                self.unbuffered(channel, capacity, receiver);
            }
            Edge::Handed { channel, capacity, from, to } => {
                let (from, to) = (self.strand_or(me, from), self.strand_or(me, to));
                self.handed(channel, capacity, from, to);
            }
            Edge::Load { atomic, ordering } => self.load(me, atomic, ordering),
            Edge::Store { atomic, ordering } => self.store(me, atomic, ordering),
            Edge::Modify { atomic, ordering } => self.modify(me, atomic, ordering),
            Edge::Fence(ordering) => self.fence(me, ordering),
            Edge::AcquireAll => self.acquire_all(me),
            Edge::Introduce | Edge::Forget(_) => {}
        }
    }

    fn acquire(&mut self, me: u32, object: usize) {
        if let Some(released) = self.sync.get(&object) {
            self.strands[me as usize].clock.join(released);
        }
    }

    fn release(&mut self, me: u32, object: usize) {
        let clock = self.sync.entry(object).or_insert_with(|| empty_clock(&mut self.spare));
        clock.join(self.strands[me as usize].publish(me));
    }

    fn acquire_all(&mut self, me: u32) {
        let mut clock = std::mem::take(&mut self.strands[me as usize].clock);
        for (index, strand) in self.strands.iter_mut().enumerate() {
            if index != me as usize {
                clock.join(strand.publish(index as u32));
            }
        }
        self.strands[me as usize].clock = clock;
    }

    /// The strand of another, who waits and so has been heard of; or of who tells.
    fn strand_or(&self, me: u32, id: u64) -> u32 {
        if id == 0 {
            return me;
        }
        self.by_id.get(&id).copied().unwrap_or(me)
    }

    /// What each of the two has done happens before what the other does next.
    fn meet(&mut self, one: u32, other: u32) {
        if let Ok([a, b]) = self.strands.get_disjoint_mut([one as usize, other as usize]) {
            a.publish(one).meet(b.publish(other));
        }
    }

    // ---- channels ----

    fn buffered(&mut self, channel: usize, capacity: usize, sender: u32) {
        let strand = &mut self.strands[sender as usize];
        self.channels.entry(channel).or_default().send(capacity, strand, sender);
    }

    fn unbuffered(&mut self, channel: usize, capacity: usize, receiver: u32) {
        let strand = &mut self.strands[receiver as usize];
        self.channels.entry(channel).or_default().receive(capacity, strand, receiver);
    }

    fn handed(&mut self, channel: usize, capacity: usize, sender: u32, receiver: u32) {
        if capacity == 0 {
            return self.meet(sender, receiver);
        }
        self.buffered(channel, capacity, sender);
        self.unbuffered(channel, capacity, receiver);
    }

    // ---- atomics ----

    fn load(&mut self, me: u32, atomic: usize, ordering: Ordering) {
        let Some(released) = self.sync.get(&atomic) else { return };
        let strand = &mut self.strands[me as usize];
        match ordering {
            Ordering::Relaxed => strand.loaded.join(released),
            _ => strand.clock.join(released),
        }
    }

    fn store(&mut self, me: u32, atomic: usize, ordering: Ordering) {
        let strand = &mut self.strands[me as usize];
        let published = if ordering == Ordering::Relaxed { &strand.fenced } else { strand.publish(me) };
        self.sync.entry(atomic).or_default().copy_from(published);
    }

    fn modify(&mut self, me: u32, atomic: usize, ordering: Ordering) {
        let reads_relaxed = matches!(ordering, Ordering::Relaxed | Ordering::Release);
        self.load(me, atomic, if reads_relaxed { Ordering::Relaxed } else { Ordering::Acquire });
        let strand = &mut self.strands[me as usize];
        let writes_relaxed = matches!(ordering, Ordering::Relaxed | Ordering::Acquire);
        let published = if writes_relaxed { &strand.fenced } else { strand.publish(me) };
        // Joined, not replaced: it goes on with the release sequence.
        self.sync.entry(atomic).or_default().join(published);
    }

    fn fence(&mut self, me: u32, ordering: Ordering) {
        let strand = &mut self.strands[me as usize];
        if ordering != Ordering::Release {
            let loaded = std::mem::take(&mut strand.loaded);
            strand.clock.join(&loaded);
        }
        if ordering != Ordering::Acquire {
            strand.fenced = strand.publish(me).clone();
        }
    }

    // ---- variables ----

    /// Notes an access. Returns the race in which it stands, if there is one; or that the stack is wanted, too, and nothing
    /// has been noted.
    pub(crate) fn access(
        &mut self,
        me: Option<&G>,
        access: Access,
        stack: Option<Addresses>,
    ) -> Result<Option<Race>, StackIsWanted> {
        let Some(me) = me.map(|me| self.strand(me)) else { return Ok(None) };
        let strand = &mut self.strands[me as usize];
        let epoch = Epoch { strand: me, time: strand.time };
        let variable = self.variables.entry(access.variable).or_default();
        if variable.is_known(epoch, access) {
            return Ok(None);
        }
        if self.keeps_stacks && stack.is_none() {
            return Err(StackIsWanted);
        }
        strand.has_accessed = true;
        let strand = &self.strands[me as usize];
        let unordered = |seen: &&Seen| !strand.has_seen(me, seen.epoch);
        let write = variable.write.iter().find(unordered);
        let before = match write {
            None if access.writes => variable.reads.iter().find(unordered),
            write => write,
        };
        let before = before.cloned();
        let who = Arc::clone(&strand.who);
        let seen = Seen { epoch, who, writes: access.writes, location: access.location, stack };
        let race = before.map(|before| {
            let place = &self.strands[before.epoch.strand as usize];
            let before_has_ended = place.has_ended || !Arc::ptr_eq(&place.who, &before.who);
            Race { address: access.address, now: seen.clone(), before, before_has_ended }
        });
        variable.note(seen, |seen| strand.has_seen(me, seen.epoch));
        Ok(race)
    }
}

/// One that was used before, if there is one.
fn empty_clock(spare: &mut Vec<Clock>) -> Clock {
    let mut clock = spare.pop().unwrap_or_default();
    clock.clear();
    clock
}

impl Variable {
    /// Whether the same access was noted in this very epoch.
    fn is_known(&self, epoch: Epoch, access: Access) -> bool {
        let same = |seen: &Seen| seen.epoch == epoch;
        match access.writes {
            true => self.reads.is_empty() && self.write.as_ref().is_some_and(same),
            false => self.reads.iter().any(same) || self.write.as_ref().is_some_and(same),
        }
    }

    fn note(&mut self, seen: Seen, is_before: impl Fn(&Seen) -> bool) {
        if seen.writes {
            self.reads.clear();
            self.write = Some(seen);
        } else {
            self.reads.retain(|read| !is_before(read));
            self.reads.push(seen);
        }
    }
}

/// Calls `f` with the detector that watches the caller, and the caller: `None` if the caller is the explorer itself.
pub(crate) fn with_current<R>(f: impl FnOnce(&mut Detector, Option<&G>) -> R) -> Option<R> {
    if crate::observe::is_explored() {
        return crate::observe::with_explorer(|explorer| explorer.with_detector(f));
    }
    with_process(f)
}

#[cfg(feature = "race")]
fn with_process<R>(f: impl FnOnce(&mut Detector, Option<&G>) -> R) -> Option<R> {
    static DETECTOR: std::sync::OnceLock<std::sync::Mutex<Detector>> = std::sync::OnceLock::new();
    let detector = DETECTOR.get_or_init(|| std::sync::Mutex::new(Detector::of_process()));
    Some(crate::park::with_current(|me| f(&mut crate::atomics::lock(detector), Some(me))))
}

#[cfg(not(feature = "race"))]
fn with_process<R>(_f: impl FnOnce(&mut Detector, Option<&G>) -> R) -> Option<R> {
    None
}
