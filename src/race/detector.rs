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
//! # Who touches what
//! An explorer has a detector of its own, begun anew for each schedule. With the feature `race` there is one for the rest of
//! the process, in which all run at once:
//!
//! | what | where | guarded by |
//! | --- | --- | --- |
//! | the clock of a strand | `strand`; found by its goroutine | its own lock, which nobody else wants while it runs |
//! | the clocks of a channel | in the channel | the channel's lock, which who tells holds |
//! | the clock of a lock | in the lock | the lock itself |
//! | what is known of a variable | with the variable | a lock |
//! | the clock of another object; in an explorer, what is known of a variable | a stripe, by address | the lock of the stripe |
//! | the indexes of strands, for first accesses and ends | `Detector::strands` | a lock |
//!
//! Locks are taken in the order of the table from below, except that nothing is wanted under that of the strands but a
//! strand's own. No stack is walked under any of them. Who has nothing to say (it has accessed nothing, and has heard of
//! nobody who did) does not go to a stripe to say it. (One lock for everything was 20 to 80 times as slow as the program
//! without a detector where several workers used channels at once.)

pub(crate) use super::address::ByAddress;
pub(crate) use super::channel::ChannelClocks;
pub(crate) use super::lock::LockClock;
pub(crate) use super::variable::{Access, Race};

use super::address::scatter;
use super::clock::Clock;
use super::strand::{self, Present, Strand, Strands, Who};
use super::variable::{Seen, Use, Variable};
use crate::channel::lock::Lock;
use crate::debug::walk::{Addresses, Here};
use crate::sched::g::G;
use crossbeam_utils::CachePadded;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the detector is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edge {
    /// Takes over what was released into the object.
    Acquire(usize),
    /// Leaves what was done so far in the object.
    Release(usize),
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

/// A message moves. Those for whom, if it is not who tells: they wait until they have been told of it.
#[derive(Clone, Copy)]
pub(crate) enum Passage<'a> {
    /// Into the channel's buffer.
    Buffered { sender: Option<&'a G> },
    /// Out of the buffer.
    Unbuffered,
    /// From one goroutine to another without a buffer between them.
    Handed { from: Option<&'a G>, to: Option<&'a G> },
}

/// A channel of which something is told, under its lock.
pub(crate) struct Channel<'a> {
    pub(crate) address: usize,
    pub(crate) capacity: usize,
    /// The messages in its buffer, without the one that moves.
    pub(crate) length: usize,
    pub(crate) clocks: &'a mut ChannelClocks,
}

/// The access is to be told again, with its stack.
pub(crate) struct StackIsWanted;

/// The calls in which an access is made.
#[derive(Clone, Copy)]
pub(crate) enum Stack<'a> {
    /// Those under way there, if they can be known without a walk. The frame where it was made is not left meanwhile.
    IfKnown(&'a Here),
    Given(&'a Addresses),
}

struct Stripe {
    sync: Lock<ByAddress<Clock>>,
    /// Whether there is any clock. Read without the lock by who acquires: the release that it could have missed came before
    /// it, by what the two synchronise with.
    has_clocks: AtomicBool,
    variables: Lock<ByAddress<Variable>>,
}

impl Stripe {
    fn new() -> Self {
        Self {
            sync: Lock::new(HashMap::default()),
            has_clocks: AtomicBool::new(false),
            variables: Lock::new(HashMap::default()),
        }
    }

    /// Calls `f` with the clocks of objects.
    fn with_clocks<R>(&self, f: impl FnOnce(&mut ByAddress<Clock>) -> R) -> R {
        let mut clocks = self.sync.lock();
        let result = f(&mut clocks);
        self.has_clocks.store(!clocks.is_empty(), Ordering::Relaxed);
        result
    }

    fn forget_clock(&self, object: usize) {
        if self.has_clocks.load(Ordering::Relaxed) {
            self.with_clocks(|clocks| clocks.remove(&object));
        }
    }
}

/// See the module.
pub(crate) struct Detector {
    /// Tells its strands from those of others.
    world: u64,
    /// For one thread, and for one schedule at a time. Else for the process, which may live long: then places in the clocks are
    /// used again.
    is_of_explorer: bool,
    /// Whether accesses and creations keep their stacks.
    keeps_stacks: bool,
    strands: Lock<Strands>,
    /// A power of two of them.
    stripes: Box<[CachePadded<Stripe>]>,
}

fn new_world() -> u64 {
    static WORLDS: AtomicU64 = AtomicU64::new(1);
    WORLDS.fetch_add(1, Ordering::Relaxed)
}

impl Detector {
    fn new(stripes: usize, is_of_explorer: bool, keeps_stacks: bool) -> Self {
        let stripes = (0..stripes).map(|_| CachePadded::new(Stripe::new())).collect();
        Self { world: new_world(), is_of_explorer, keeps_stacks, strands: Lock::new(Strands::default()), stripes }
    }

    pub(crate) fn of_explorer() -> Self {
        Self::new(1, true, false)
    }

    #[cfg(feature = "race")]
    fn of_process() -> Self {
        super::report::look_at_settings();
        Self::new(256, false, true)
    }

    /// Forgets everything, and keeps the memory.
    pub(crate) fn begin(&mut self, keeps_stacks: bool) {
        self.world = new_world();
        self.keeps_stacks = keeps_stacks;
        self.strands.lock().clear();
        for stripe in &self.stripes {
            stripe.with_clocks(HashMap::clear);
            stripe.variables.lock().clear();
        }
    }

    fn stripe(&self, address: usize) -> &Stripe {
        let index = (scatter(address as u64) >> 32) as usize & (self.stripes.len() - 1);
        &self.stripes[index]
    }

    /// Calls `f` with the strand of a goroutine or thread.
    #[inline]
    fn with_strand<R>(&self, g: &G, f: impl FnOnce(&Arc<Strand>) -> R) -> R {
        #[allow(clippy::needless_borrow, reason = "with the feature it is a reference already")]
        f(&g.strand.get_or_make(g.id, &self.strands, || self.make(g, None, None)))
    }

    fn make(&self, g: &G, parent: Option<&Strand>, created_in: Option<Addresses>) -> Arc<Strand> {
        // Another lay there before.
        for address in [std::ptr::from_ref(g).addr(), crate::park::token_of(g)] {
            self.stripe(address).forget_clock(address);
        }
        let clock = parent.map_or_else(Clock::default, Strand::published);
        Arc::new(Strand::new(Who::of(g, created_in), clock))
    }

    /// `me` has made the goroutine `child`, in the calls of `stack`.
    pub(crate) fn spawn(&self, me: Option<&G>, child: &G, stack: Option<Addresses>) {
        let strand = match me {
            Some(me) => self.with_strand(me, |parent| self.make(child, Some(parent), stack)),
            None => self.make(child, None, stack),
        };
        child.strand.set(strand, child.id, &self.strands);
    }

    /// Whether accesses and creations are to be told with their stacks.
    pub(crate) fn keeps_stacks(&self) -> bool {
        self.keeps_stacks
    }

    /// `me` has ended: it does nothing more.
    pub(crate) fn end(&self, me: Option<&G>) {
        if let Some(me) = me {
            self.with_strand(me, |strand| strand::end(&self.strands, strand, !self.is_of_explorer));
        }
    }

    /// A goroutine gets a stack: what lay there is no more.
    pub(crate) fn forget_stack(&self, (low, high): (usize, usize)) {
        for stripe in &self.stripes {
            stripe.variables.lock().retain(|&variable, _| !(low..high).contains(&variable));
        }
    }

    fn forget(&self, address: usize) {
        let stripe = self.stripe(address);
        stripe.forget_clock(address);
        stripe.variables.lock().remove(&address);
    }

    pub(crate) fn apply(&self, me: Option<&G>, edge: Edge) {
        if let Edge::Forget(address) = edge {
            return self.forget(address);
        }
        let Some(me) = me else { return };
        self.with_strand(me, |me| match edge {
            Edge::Acquire(object) => self.acquire(me, object),
            Edge::Release(object) => self.release(me, object),
            Edge::Load { atomic, ordering } => self.load(me, atomic, ordering),
            Edge::Store { atomic, ordering } => self.store(me, atomic, ordering),
            Edge::Modify { atomic, ordering } => self.modify(me, atomic, ordering),
            Edge::Fence(ordering) => fence(me, ordering),
            Edge::AcquireAll => self.acquire_all(me),
            Edge::Introduce | Edge::Forget(_) => {}
        });
    }

    fn acquire(&self, me: &Strand, object: usize) {
        let stripe = self.stripe(object);
        if stripe.has_clocks.load(Ordering::Relaxed)
            && let Some(released) = stripe.sync.lock().get(&object)
        {
            me.with(|present| present.clock.join(released));
        }
    }

    fn release(&self, me: &Strand, object: usize) {
        if !me.is_silent() {
            self.stripe(object).with_clocks(|clocks| {
                let clock = clocks.entry(object).or_default();
                me.with(|present| clock.join(present.publish()));
            });
        }
    }

    fn acquire_all(&self, me: &Strand) {
        for strand in self.strands.lock().all().iter().filter(|strand| !std::ptr::eq(&***strand, me)) {
            let theirs = strand.published();
            me.with(|present| present.clock.join(&theirs));
        }
    }

    // ---- locks ----

    /// `me` has taken the lock.
    ///
    /// # Safety
    /// `me` is the caller.
    #[cfg_attr(not(feature = "race"), allow(unused_variables))]
    pub(crate) unsafe fn taken(&self, me: Option<&G>, lock: usize, clock: &LockClock) {
        #[cfg(feature = "race")]
        if !self.is_of_explorer {
            let Some(me) = me else { return };
            // SAFETY: as the caller promises.
            return self.with_strand(me, |me| unsafe { clock.taken(me) });
        }
        self.apply(me, Edge::Acquire(lock));
    }

    /// `me` is about to let go of the lock, which only it has.
    ///
    /// # Safety
    /// `me` is the caller.
    #[cfg_attr(not(feature = "race"), allow(unused_variables))]
    pub(crate) unsafe fn leaving(&self, me: Option<&G>, lock: usize, clock: &LockClock) {
        #[cfg(feature = "race")]
        if !self.is_of_explorer {
            let Some(me) = me else { return };
            // SAFETY: as the caller promises.
            return self.with_strand(me, |me| unsafe { clock.leaving(me) });
        }
        self.apply(me, Edge::Release(lock));
    }

    // ---- channels ----

    /// A message moves; the caller, `me`, holds the lock of the channel.
    pub(crate) fn pass(&self, me: Option<&G>, channel: Channel<'_>, passage: Passage<'_>) {
        let Some(me) = me else { return };
        let Channel { capacity, length, clocks, .. } = channel;
        match passage {
            Passage::Buffered { sender } => {
                self.with_strand(sender.unwrap_or(me), |sender| clocks.send(self.world, capacity, length, sender));
            }
            Passage::Unbuffered => self.with_strand(me, |me| clocks.receive(self.world, capacity, length + 1, me)),
            Passage::Handed { from, to } => self.with_strand(from.unwrap_or(me), |from| {
                self.with_strand(to.unwrap_or(me), |to| {
                    if capacity == 0 {
                        return from.meet(to);
                    }
                    clocks.send(self.world, capacity, length, from);
                    clocks.receive(self.world, capacity, length + 1, to);
                });
            }),
        }
    }

    // ---- atomics ----

    fn load(&self, me: &Strand, atomic: usize, ordering: Ordering) {
        let clocks = self.stripe(atomic).sync.lock();
        let Some(released) = clocks.get(&atomic) else { return };
        me.with(|present| match ordering {
            Ordering::Relaxed => present.loaded.join(released),
            _ => present.clock.join(released),
        });
    }

    fn store(&self, me: &Strand, atomic: usize, ordering: Ordering) {
        self.stripe(atomic).with_clocks(|clocks| {
            me.with(|present| {
                let published = if ordering == Ordering::Relaxed { &present.fenced } else { present.publish() };
                if !published.is_empty() {
                    clocks.entry(atomic).or_default().copy_from(published);
                } else if let Some(released) = clocks.get_mut(&atomic) {
                    released.copy_from(published);
                }
            });
        });
    }

    fn modify(&self, me: &Strand, atomic: usize, ordering: Ordering) {
        let reads_relaxed = matches!(ordering, Ordering::Relaxed | Ordering::Release);
        self.load(me, atomic, if reads_relaxed { Ordering::Relaxed } else { Ordering::Acquire });
        self.stripe(atomic).with_clocks(|clocks| {
            me.with(|present| {
                let writes_relaxed = matches!(ordering, Ordering::Relaxed | Ordering::Acquire);
                let published = if writes_relaxed { &present.fenced } else { present.publish() };
                // Joined, not replaced: it goes on with the release sequence.
                if !published.is_empty() {
                    clocks.entry(atomic).or_default().join(published);
                }
            });
        });
    }

    // ---- variables ----

    /// Notes an access. Returns the race in which it stands, if there is one; or that the stack is wanted, which could not be
    /// known without a walk, and nothing has been noted.
    #[inline(always)]
    pub(crate) fn access(
        &self,
        me: Option<&G>,
        access: &Access<'_>,
        stack: Stack<'_>,
    ) -> Result<Option<Box<Race>>, StackIsWanted> {
        let Some(me) = me else { return Ok(None) };
        self.with_strand(me, |strand| {
            if !strand.has_index() {
                self.strands.lock().give_index(strand);
            }
            #[cfg(feature = "race")]
            if !self.is_of_explorer {
                return self.access_to(&mut access.history.lock(), strand, access, stack);
            }
            let mut variables = self.stripe(access.variable).variables.lock();
            self.access_to(variables.entry(access.variable).or_default(), strand, access, stack)
        })
    }

    #[inline]
    fn access_to(
        &self,
        variable: &mut Variable,
        strand: &Arc<Strand>,
        access: &Access<'_>,
        stack: Stack<'_>,
    ) -> Result<Option<Box<Race>>, StackIsWanted> {
        strand.with(|present| {
            if variable.is_known(present.now(), access) {
                return Ok(None);
            }
            let mut note = |stack: Option<&Addresses>| note(variable, present, Use { access, strand, stack });
            match stack {
                _ if !self.keeps_stacks => Ok(note(None)),
                Stack::Given(stack) => Ok(note(Some(stack))),
                // SAFETY: as it promises.
                Stack::IfKnown(here) => unsafe { here.with_known(|stack| note(Some(stack))) }.ok_or(StackIsWanted),
            }
        })
    }
}

/// Notes an access of the strand that is `present`. Returns the race in which it stands.
#[inline(always)]
fn note(variable: &mut Variable, present: &mut Present, now: Use<'_>) -> Option<Box<Race>> {
    let epoch = present.access();
    let is_before = |seen: &Seen| present.has_seen(seen.epoch);
    let race = variable.unordered(now.access.writes, is_before).map(|before| {
        let before_has_ended = before.strand.has_ended();
        Box::new(Race {
            address: now.access.address,
            now: now.seen_at(epoch),
            before: before.clone(),
            before_has_ended,
        })
    });
    variable.note(now, epoch, is_before);
    race
}

fn fence(me: &Strand, ordering: Ordering) {
    me.with(|present| {
        if ordering != Ordering::Release {
            let loaded = std::mem::take(&mut present.loaded);
            present.clock.join(&loaded);
        }
        if ordering != Ordering::Acquire {
            present.fenced = present.publish().clone();
        }
    });
}

/// Calls `f` with the detector that watches the caller, and the caller: `None` if the caller is the explorer itself.
pub(crate) fn with_current<R>(f: impl FnOnce(&Detector, Option<&G>) -> R) -> Option<R> {
    if crate::observe::is_explored() {
        return crate::observe::with_explorer(|explorer| explorer.with_detector(f));
    }
    with_process(f)
}

#[cfg(feature = "race")]
fn with_process<R>(f: impl FnOnce(&Detector, Option<&G>) -> R) -> Option<R> {
    static DETECTOR: std::sync::LazyLock<Detector> = std::sync::LazyLock::new(Detector::of_process);
    Some(crate::park::with_current(|me| f(&DETECTOR, Some(me))))
}

#[cfg(not(feature = "race"))]
fn with_process<R>(_f: impl FnOnce(&Detector, Option<&G>) -> R) -> Option<R> {
    None
}
