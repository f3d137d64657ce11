//! Where lisle's operations are told to those who watch a program: the explorer of schedules (`testing`), the race
//! detector (`race`), and the watch of lock orders (`debug::lock_order`).
//!
//! # What is told
//! - *Points*: before an operation takes effect ([`enter`], [`touch`]). There the explorer may let another goroutine
//!   go first, so a program under it is a sequence of operations, in an order of the explorer's choice.
//! - *Edges*: what happens before what ([`acquire`], [`release`], and the functions of channels). The detector keeps
//!   its clocks by them.
//! - *Accesses* of variables that are not protected by themselves (`race::Cell`, `cell::UnsafeCell`).
//!
//! # What it costs when nobody watches
//! An operation that may wait counts against its goroutine's budget anyhow; under the explorer that is always used up,
//! so the way to a point is the cold one that is there already: no instruction is added. What has no budget looks at
//! one thread-local word: a compare and a branch. With the feature `race` everything is told, always; so it is in a program
//! that is built for ThreadSanitizer, which is told the same edges (`tsan`).
//!
//! Rules: a point stands where the user called, under no lock of lisle's that another goroutine could want. (Should one
//! be wanted all the same, `atomics::lock` lets its holder run.) Points are told in `try_…`, drops, unlocks and
//! notifications, too: none of these switches in an ordinary run, all may under the explorer.

use crate::debug::lock_order;
use crate::debug::walk::{Addresses, Here};
use crate::race::detector::{self, Access, Edge, Passage, Race, Stack, StackIsWanted};
use crate::sched::g::G;
use crate::testing::explorer::Explorer;
use crate::tsan;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use crate::debug::waits::LockWait;
pub(crate) use crate::race::detector::{Channel, ChannelClocks, LockClock};
/// Who sends or receives.
pub(crate) use crate::sched::g::G as Partner;
pub(crate) use crate::testing::op::{At, Op};

thread_local! {
    /// The explorer whose thread this is; or [`LOCK_ORDER`].
    static EXPLORER: Cell<*const Explorer> = const { Cell::new(std::ptr::null()) };
}

/// In place of an explorer, which is never there: on this thread the order of locks is watched.
const LOCK_ORDER: *const Explorer = std::ptr::without_provenance(1);

/// On some thread, at some time: locks may be dropped on any.
static LOCK_ORDER_IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// From now on the order of locks is watched on this thread.
pub(crate) fn watch_lock_order() {
    crate::debug::unwind::refresh();
    LOCK_ORDER_IS_WATCHED.store(true, Ordering::Relaxed);
    EXPLORER.set(LOCK_ORDER);
}

/// Makes this thread the explorer's until the guard is dropped.
pub(crate) struct Exploring<'a>(std::marker::PhantomData<&'a Explorer>);

impl<'a> Exploring<'a> {
    pub(crate) fn begin(explorer: &'a Explorer) -> Self {
        EXPLORER.set(explorer);
        Self(std::marker::PhantomData)
    }
}

impl Drop for Exploring<'_> {
    fn drop(&mut self) {
        EXPLORER.set(std::ptr::null());
    }
}

/// Whether everything is told, always: to the race detector, or to ThreadSanitizer.
const TELLS_ALL: bool = cfg!(feature = "race") || tsan::IS_ON;

/// Whether somebody watches what this thread does.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    TELLS_ALL || !EXPLORER.get().is_null()
}

#[inline(always)]
fn is_lock_order_watched() -> bool {
    EXPLORER.get() == LOCK_ORDER
}

/// Whether this is an explorer's thread.
#[inline(always)]
pub(crate) fn is_explored() -> bool {
    EXPLORER.get().addr() > LOCK_ORDER.addr()
}

/// What tells the goroutines of one explorer from those of another, which have the same numbers, and from all others.
#[cfg(lisle_tsan)]
pub(crate) fn world() -> usize {
    EXPLORER.get().addr()
}

/// Calls `f` with this thread's explorer.
#[inline(always)]
pub(crate) fn with_explorer<R>(f: impl FnOnce(&Explorer) -> R) -> Option<R> {
    let _quiet = tsan::quiet();
    // SAFETY: set by `Exploring`, whose lifetime ends before the explorer's; `f` cannot keep it.
    is_explored().then(|| f(unsafe { &*EXPLORER.get() }))
}

#[inline(always)]
pub(crate) fn address<T: ?Sized>(object: &T) -> usize {
    std::ptr::from_ref(object).addr()
}

/// An operation that may wait begins: it counts against the budget, and is a point. Returns whether it is watched: then
/// the caller takes a way on which it tells its edges.
#[inline(always)]
#[track_caller]
pub(crate) fn enter<T: ?Sized>(op: Op, object: &T) -> bool {
    let is_watched = crate::park::spend_budget() || TELLS_ALL;
    if is_watched {
        reach(At { op, object: address(object), other: 0, location: Location::caller() });
    }
    is_watched
}

/// An operation that never waits is about to take effect. Returns whether it is watched.
#[inline(always)]
#[track_caller]
pub(crate) fn touch<T: ?Sized>(op: Op, object: &T) -> bool {
    let is_watched = is_on();
    if is_watched {
        reach(At { op, object: address(object), other: 0, location: Location::caller() });
    }
    is_watched
}

/// As `touch`, for an operation with two objects.
#[inline(always)]
#[track_caller]
pub(crate) fn touch_both<T: ?Sized, U: ?Sized>(op: Op, object: &T, other: &U) {
    if is_on() {
        reach(At { op, object: address(object), other: address(other), location: Location::caller() });
    }
}

#[inline(always)]
fn reach(at: At) {
    // Where all is told this is where nobody watches, too.
    if !EXPLORER.get().is_null() {
        reach_watcher(at);
    }
}

#[cold]
#[inline(never)]
fn reach_watcher(at: At) {
    if is_lock_order_watched() {
        return lock_order::reach(at.op, at.object, at.location);
    }
    with_explorer(|explorer| explorer.reach(at));
}

/// As `touch`, for an operation whose place in the user's code was taken down before.
#[cold]
pub(crate) fn touch_at(op: Op, object: usize, location: &'static Location<'static>) {
    reach(At { op, object, other: 0, location });
}

/// Chooses one of `count` values, if there is an explorer to choose it.
#[inline(always)]
pub(crate) fn choose(count: impl FnOnce() -> usize) -> Option<usize> {
    with_explorer(|explorer| explorer.choose_value(count()))
}

// ---- edges ----

/// What others did before they released the object happens before what the caller does from now on.
#[inline(always)]
pub(crate) fn acquire<T: ?Sized>(object: &T) {
    acquire_at(address(object));
}

/// What the caller has done so far happens before what others do after they acquire the object.
#[inline(always)]
pub(crate) fn release<T: ?Sized>(object: &T) {
    release_at(address(object));
}

/// The caller has taken a lock that only one can have, whose clock this is.
#[cold]
#[track_caller]
pub(crate) fn locked<T: ?Sized>(lock: &T, clock: &LockClock) {
    // Here, since closures have no callers.
    let location = Location::caller();
    with_explorer(|explorer| explorer.note_held(address(lock), location));
    if is_lock_order_watched() {
        lock_order::taken(address(lock), false, location);
    }
    tell_taken(address(lock), clock);
}

#[inline(always)]
fn tell_taken(lock: usize, clock: &LockClock) {
    tsan::tell(Edge::Acquire(lock));
    // SAFETY: the caller holds it.
    detector::with_current(|detector, me| unsafe { detector.taken(me, lock, clock) });
}

/// The caller has taken a lock that several can have.
#[inline(always)]
#[track_caller]
pub(crate) fn locked_shared<T: ?Sized>(lock: &T, clock: &LockClock) {
    if is_on() {
        tell_locked_shared(address(lock), clock, Location::caller());
    }
}

#[cold]
#[inline(never)]
fn tell_locked_shared(lock: usize, clock: &LockClock, location: &'static Location<'static>) {
    if is_lock_order_watched() {
        lock_order::taken(lock, true, location);
    }
    tell_taken(lock, clock);
}

/// A lock is no more.
#[inline(always)]
pub(crate) fn lock_dropped<T: ?Sized>(lock: &T) {
    if LOCK_ORDER_IS_WATCHED.load(Ordering::Relaxed) {
        lock_order::forget(address(lock));
    }
}

/// The caller is about to let go of it.
#[cold]
pub(crate) fn unlocking<T: ?Sized>(op: Op, lock: &T, clock: &LockClock) {
    let since = with_explorer(|explorer| explorer.held_since(address(lock))).flatten();
    touch_at(op, address(lock), since.unwrap_or(Location::caller()));
    tell_left(address(lock), clock);
}

#[inline(always)]
fn tell_left(lock: usize, clock: &LockClock) {
    with_explorer(|explorer| explorer.note_free(lock));
    tsan::tell(Edge::Release(lock));
    // SAFETY: the caller still holds it, alone.
    detector::with_current(|detector, me| unsafe { detector.leaving(me, lock, clock) });
}

/// As `unlocking`, as a part of another operation: it is no point.
#[cold]
pub(crate) fn unlocking_to_wait<T: ?Sized>(lock: &T, clock: &LockClock) {
    if is_lock_order_watched() {
        lock_order::free(address(lock));
    }
    tell_left(address(lock), clock);
}

/// A condition variable was notified; `heard`: somebody waited.
#[cold]
#[track_caller]
pub(crate) fn notified<T: ?Sized>(condvar: &T, heard: bool) {
    let location = Location::caller();
    tell(Edge::Release(address(condvar)));
    if !heard {
        with_explorer(|explorer| explorer.note_unheard(address(condvar), location));
    }
}

/// The caller is going to wait: others will speak of it.
#[inline(always)]
pub(crate) fn introduce() {
    if TELLS_ALL {
        tell(Edge::Introduce);
    }
}

/// The caller's wait, in which others may have spoken of it, has its verdict.
#[inline(always)]
pub(crate) fn served() {
    tsan::served();
}

/// A message goes into the buffer of the channel; for the caller, or for a sender that waits.
#[inline(always)]
pub(crate) fn buffered(channel: Channel<'_>, sender: Option<&G>) {
    if is_on() {
        tell_passage(channel, Passage::Buffered { sender });
    }
}

/// A message leaves the buffer.
#[inline(always)]
pub(crate) fn unbuffered(channel: Channel<'_>) {
    if is_on() {
        tell_passage(channel, Passage::Unbuffered);
    }
}

/// A message goes from the caller, or from a sender that waits, to the caller, or to a receiver that waits.
#[inline(always)]
pub(crate) fn handed(channel: Channel<'_>, from: Option<&G>, to: Option<&G>) {
    if is_on() {
        tell_passage(channel, Passage::Handed { from, to });
    }
}

#[cold]
#[inline(never)]
fn tell_passage(channel: Channel<'_>, passage: Passage<'_>) {
    tsan::pass(channel.address, channel.capacity, passage);
    detector::with_current(|detector, me| detector.pass(me, channel, passage));
}

/// As `acquire`, for an object that is known by its address.
#[inline(always)]
pub(crate) fn acquire_at(object: usize) {
    if is_on() {
        tell(Edge::Acquire(object));
    }
}

/// As `release`, for an object that is known by its address.
#[inline(always)]
pub(crate) fn release_at(object: usize) {
    if is_on() {
        tell(Edge::Release(object));
    }
}

/// What had this address is no more.
#[inline(always)]
pub(crate) fn forget(object: usize) {
    if is_on() {
        tell(Edge::Forget(object));
    }
}

/// Any edge.
#[cold]
#[inline(never)]
pub(crate) fn tell(edge: Edge) {
    tsan::tell(edge);
    detector::with_current(|detector, me| detector.apply(me, edge));
}

/// A goroutine has been made.
#[inline(always)]
pub(crate) fn spawned(g: &G) {
    if is_on() {
        tell_spawned(g);
    }
}

#[cold]
#[inline(never)]
fn tell_spawned(g: &G) {
    g.fiber.create(g.id, g.name());
    with_explorer(|explorer| explorer.note_spawned(g));
    let keeps_stacks = detector::with_current(|detector, _| detector.keeps_stacks()).unwrap_or(false);
    let here = Here::for_calls_from(g.created_at);
    // SAFETY: of this function.
    let stack = keeps_stacks.then(|| unsafe { here.with_known(Addresses::clone).unwrap_or_else(|| here.addresses()) });
    detector::with_current(|detector, me| detector.spawn(me, g, stack));
}

/// The running goroutine has done all that the user asked it to do.
#[inline(always)]
pub(crate) fn ending(g: &G, scope: usize) {
    if is_on() {
        tell_ending(g, scope);
    }
}

#[cold]
#[inline(never)]
fn tell_ending(g: &G, scope: usize) {
    reach(At { op: Op::End, object: address(g), other: scope, location: g.created_at });
    // ThreadSanitizer hears of that by the goroutine's result.
    detector::with_current(|detector, me| detector.apply(me, Edge::Release(address(g))));
    if scope != 0 {
        tell(Edge::Release(scope));
    }
}

/// It has ended, and its result been dropped if nobody wanted it.
#[inline(always)]
pub(crate) fn ended() {
    if is_on() {
        tell_ended();
    }
}

#[cold]
#[inline(never)]
fn tell_ended() {
    tsan::ended();
    detector::with_current(|detector, me| detector.end(me));
}

/// A variable that nothing protects is used.
#[cold]
#[inline(never)]
pub(crate) fn access(access: &Access<'_>) {
    tsan::access(access);
    let here = Here::for_calls_from(access.location);
    let note = |stack: Stack<'_>| {
        detector::with_current(|detector, me| detector.access(me, access, stack)).unwrap_or(Ok(None))
    };
    let noted = note(Stack::IfKnown(&here)).or_else(|StackIsWanted| note_with_walk(note, &here));
    if let Ok(Some(race)) = noted {
        tell_race(race);
    }
}

#[cold]
#[inline(never)]
fn tell_race(race: Box<Race>) {
    if !is_explored() {
        return crate::race::report::told(&race);
    }
    with_explorer(|explorer| explorer.found_race(race));
}

#[cold]
#[inline(never)]
fn note_with_walk(
    note: impl FnOnce(Stack<'_>) -> Result<Option<Box<Race>>, StackIsWanted>,
    here: &Here,
) -> Result<Option<Box<Race>>, StackIsWanted> {
    // SAFETY: of our caller.
    note(Stack::Given(&unsafe { here.addresses() }))
}

/// Something cannot be done under the explorer, as the text says.
///
/// # Panics
/// Under the explorer.
#[inline(always)]
#[track_caller]
pub(crate) fn forbid(what: impl fmt::Display) {
    if is_explored() {
        forbidden(&what);
    }
}

#[cold]
#[track_caller]
fn forbidden(what: &dyn fmt::Display) -> ! {
    panic!("{what}");
}
