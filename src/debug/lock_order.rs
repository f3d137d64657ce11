//! The watch of lock orders: `LISLE_DEBUG=lockorder`, [`Config::lint_lock_order`](crate::Config::lint_lock_order).
//!
//! Two goroutines that take the same two locks in different orders can wait for each other for ever, but only if both do
//! so at the same moment: for years it goes well. The watch remembers, for each lock that was taken while another was
//! held, who did it and where, and reports a circle in that order as soon as its last piece is seen, whether anybody had
//! to wait or not. (Havelund, "Using Runtime Analysis to Guide Model Checking of Java Programs", 2000, calls it
//! Goodlock.)
//!
//! # What is no report
//! - A circle of which two pieces are one goroutine's, and only its: it is in one place at a time.
//! - One of which two pieces are guarded by a further lock, held each time: they never happen at once. (Held for reading it
//!   keeps nobody apart.)
//! - One that was told before, by its places in the code.
//! - What is taken by `try_lock` (whoever does not wait is in no circle), and by OS threads that are no goroutines.
//!
//! A report says "can", not "will": other means may keep the goroutines apart, such as a channel or a join. Readers count
//! as writers, since a reader waits behind a writer that waits.
//!
//! # Instances, not classes
//! Two locks are the same if they are the same object in memory. Linux's lockdep compares the places where locks are made
//! instead: it sees more, and also reports every program that takes two locks of one kind in an order of its own, by
//! address or by account number, as wrong. Such programs are common in Rust, annotations are not.
//!
//! # Cost
//! Everything here is under one lock, and each locking walks a stack: some microseconds. Without the mode it is the one
//! look at a thread-local that is there for the explorer, too (`observe`).

use super::symbol::{self, Frame};
use super::walk;
use crate::observe::Op;
use crate::sched::watchdog::GoroutineInfo;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Pairs that are remembered; then the watch goes on with what it has.
const MOST_PAIRS: usize = 100_000;
/// Steps of one search for a circle. There can be very many ways through a tangle of locks, all of which cannot come about.
const MOST_STEPS: u32 = 10_000;

/// Where in the code, with the calls under way.
#[derive(Clone)]
struct Place {
    location: &'static Location<'static>,
    stack: Vec<usize>,
}

struct Held {
    lock: usize,
    /// Others may hold it, too.
    shared: bool,
    taken: Place,
}

/// A lock was wanted while another was held.
struct Pair {
    goroutine: GoroutineInfo,
    /// Others did so, too.
    by_several: bool,
    held: Place,
    wanted: Place,
    /// What else was held each time, and not for reading.
    guards: HashSet<usize>,
}

#[derive(Default)]
struct Watch {
    held: HashMap<u64, Vec<Held>>,
    /// Who wants which lock, or waits for it.
    wanted: HashMap<u64, usize>,
    /// By the lock that was held, then by the one that was wanted.
    pairs: HashMap<usize, HashMap<usize, Pair>>,
    count: usize,
    told: HashSet<Vec<&'static Location<'static>>>,
}

static WATCH: LazyLock<Mutex<Watch>> = LazyLock::new(Mutex::default);

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running goroutine.
fn me() -> GoroutineInfo {
    crate::park::with_current(GoroutineInfo::of)
}

/// An operation is about to take effect.
///
/// # Panics
/// The caller wants a lock that it holds.
#[cold]
pub(crate) fn reach(op: Op, lock: usize, location: &'static Location<'static>) {
    match op {
        Op::MutexLock | Op::RwLockRead | Op::RwLockWrite => want(lock, op == Op::RwLockRead, location),
        Op::MutexUnlock | Op::RwLockUnlock => free(lock),
        Op::RwLockDowngrade => downgrade(lock),
        _ => {}
    }
}

/// The running goroutine has taken the lock.
#[cold]
pub(crate) fn taken(lock: usize, shared: bool, location: &'static Location<'static>) {
    let me = me();
    let taken = Place { location, stack: walk::of_caller().addresses().to_vec() };
    let mut watch = watch();
    watch.wanted.remove(&me.id);
    watch.held.entry(me.id).or_default().push(Held { lock, shared, taken });
}

/// A writer becomes a reader.
fn downgrade(lock: usize) {
    let me = me();
    let mut watch = watch();
    let held = watch.held.get_mut(&me.id).into_iter().flatten();
    held.filter(|one| one.lock == lock).for_each(|one| one.shared = true);
}

/// It lets go of it.
#[cold]
pub(crate) fn free(lock: usize) {
    let me = me();
    let mut watch = watch();
    if let Some(held) = watch.held.get_mut(&me.id) {
        if let Some(place) = held.iter().rposition(|one| one.lock == lock) {
            held.remove(place);
        }
        if held.is_empty() {
            watch.held.remove(&me.id);
        }
    }
}

/// The lock is no more: another may come to lie at its address. (Somebody may hold it all the same, by a guard that was
/// forgotten.)
#[cold]
pub(crate) fn forget(lock: usize) {
    let mut watch = watch();
    watch.held.retain(|_, held| {
        held.retain(|one| one.lock != lock);
        !held.is_empty()
    });
    let own = watch.pairs.remove(&lock).map_or(0, |pairs| pairs.len());
    watch.count -= own;
    if watch.count > 0 {
        let others = watch.pairs.values_mut().filter_map(|pairs| pairs.remove(&lock)).count();
        watch.count -= others;
    }
}

fn want(lock: usize, shared: bool, location: &'static Location<'static>) {
    let me = me();
    if !watch().want(lock, &me) {
        return;
    }
    let wanted = Place { location, stack: walk::of_caller().addresses().to_vec() };
    let mut watch = watch();
    if let Some(held) = watch.held.get(&me.id).and_then(|held| held.iter().find(|one| one.lock == lock)) {
        let text = own_lock(&me, shared, &wanted, &held.taken);
        watch.wanted.remove(&me.id);
        drop(watch);
        panic!("{}", text.finish());
    }
    let reports = watch.note(lock, &me, &wanted);
    drop(watch);
    for report in reports {
        crate::report::report(format_args!("{}", report.finish()));
    }
}

/// Who waits for whom, of those that are watched: the one that wants a lock, the one that holds it, and where it took it.
pub(super) fn waits() -> Vec<(u64, u64, &'static Location<'static>)> {
    let watch = watch();
    let mut waits = Vec::new();
    for (&waiter, &lock) in &watch.wanted {
        for (&holder, held) in &watch.held {
            let held = held.iter().filter(|one| one.lock == lock);
            waits.extend(held.map(|one| (waiter, holder, one.taken.location)));
        }
    }
    waits
}

impl Watch {
    /// Notes that it wants the lock. Whether it holds another.
    fn want(&mut self, lock: usize, me: &GoroutineInfo) -> bool {
        self.wanted.insert(me.id, lock);
        self.held.contains_key(&me.id)
    }

    /// Notes what the goroutine holds while it wants `lock`. Returns what there is to tell.
    fn note(&mut self, lock: usize, me: &GoroutineInfo, wanted: &Place) -> Vec<Report> {
        let held: Vec<(usize, Place)> = self.held[&me.id].iter().map(|one| (one.lock, one.taken.clone())).collect();
        let exclusive: HashSet<usize> =
            self.held[&me.id].iter().filter(|one| !one.shared).map(|one| one.lock).collect();
        let mut reports = Vec::new();
        for (other, place) in &held {
            let guards = exclusive.iter().copied().filter(|lock| lock != other).collect();
            if !self.note_pair(*other, lock, me, place, wanted, guards) {
                continue;
            }
            let Some(circle) = self.circle(*other, lock) else { continue };
            let pairs: Vec<&Pair> = circle.iter().map(|&(held, wanted)| &self.pairs[&held][&wanted]).collect();
            let mut places: Vec<_> = pairs.iter().map(|pair| pair.wanted.location).collect();
            let report = order(&pairs);
            places.sort_unstable_by_key(|location| (location.file(), location.line(), location.column()));
            if self.told.insert(places) {
                reports.push(report);
            }
        }
        reports
    }

    /// Whether that is news.
    fn note_pair(
        &mut self,
        held: usize,
        wanted: usize,
        me: &GoroutineInfo,
        held_at: &Place,
        wanted_at: &Place,
        guards: HashSet<usize>,
    ) -> bool {
        let pairs = self.pairs.entry(held).or_default();
        if let Some(known) = pairs.get_mut(&wanted) {
            let is_another = !known.by_several && known.goroutine.id != me.id;
            let guarded = known.guards.len();
            known.by_several |= is_another;
            known.guards.retain(|guard| guards.contains(guard));
            return is_another || known.guards.len() < guarded;
        }
        if self.count >= MOST_PAIRS {
            return false;
        }
        self.count += 1;
        let (held, goroutine) = (held_at.clone(), me.clone());
        pairs.insert(wanted, Pair { goroutine, by_several: false, held, wanted: wanted_at.clone(), guards });
        true
    }

    /// A way back from `wanted` to `held`, which with this pair makes a circle that can come about. All ways are tried: of two to
    /// the same lock one may be guarded.
    fn circle(&self, held: usize, wanted: usize) -> Option<Vec<(usize, usize)>> {
        let mut ways = vec![vec![(held, wanted)]];
        for _ in 0..MOST_STEPS {
            let way = ways.pop()?;
            let last = way[way.len() - 1].1;
            if last == held {
                return Some(way);
            }
            for &next in self.pairs.get(&last).into_iter().flat_map(HashMap::keys) {
                let was_there = way.iter().any(|&(_, lock)| lock == next);
                if !was_there && way.iter().all(|&pair| self.can_be_at_once(pair, (last, next))) {
                    ways.push(way.iter().copied().chain([(last, next)]).collect());
                }
            }
        }
        None
    }

    fn can_be_at_once(&self, one: (usize, usize), other: (usize, usize)) -> bool {
        let [one, other] = [one, other].map(|(held, wanted)| &self.pairs[&held][&wanted]);
        let by_one = !one.by_several && !other.by_several && one.goroutine.id == other.goroutine.id;
        !by_one && one.guards.is_disjoint(&other.guards)
    }
}

// ---- reports ----

/// What is to be told: texts and stacks in turn. The stacks get their names when nothing is locked.
struct Report(Vec<(String, Vec<usize>)>);

impl Report {
    fn finish(self) -> String {
        let mut text = String::new();
        for (line, stack) in self.0 {
            let _ = writeln!(text, "{line}");
            let resolved = symbol::resolve(&stack);
            let frames: Vec<&Frame> = resolved.iter().flat_map(|frames| frames.iter()).collect();
            super::dump::render_text(&frames[symbol::visible(&frames)], &mut text);
        }
        text
    }
}

fn order(pairs: &[&Pair]) -> Report {
    let mut parts = Vec::new();
    let mut head = format!(
        "lisle: {} locks are taken in different orders; when that happens at once, all wait for ever\n",
        pairs.len()
    );
    for pair in pairs {
        let Pair { goroutine, held, wanted, .. } = pair;
        parts.push((format!("{head}{goroutine} wanted a lock at {}:", wanted.location), wanted.stack.clone()));
        parts.push((format!("while it held the one that it had taken at {}:", held.location), held.stack.clone()));
        head = String::new();
    }
    Report(parts)
}

fn own_lock(me: &GoroutineInfo, shared: bool, wanted: &Place, held: &Place) -> Report {
    let why = if shared { " (once a writer waits in between, a reader waits behind it)" } else { "" };
    let first = format!(
        "{me} wants a lock at {} that it holds itself, and would wait for ever{why}; let go of it first, or pass the guard on\nwanted at:",
        wanted.location
    );
    let second = format!("taken at {}:", held.location);
    Report(vec![(first, wanted.stack.clone()), (second, held.stack.clone())])
}
