//! The tree of contexts, and how an end travels down it.
//!
//! Each context but the background is a [`Node`]. A node holds its parent; a parent knows those below it that can be
//! cancelled, and holds none of them. So a context lives as long as somebody has it, or one derived from it, and
//! leaves nothing behind in its parent when it goes.
//!
//! # How an end travels
//! `cancel` walks the tree downwards, with a list of its own instead of recursion: trees are as deep as their users
//! like, and stacks are small. Each node is ended under its own lock, and no two nodes are locked at once: first
//! the outcome is set, then `done` is closed, so that who sees it closed finds the outcome. Wake-ups, starts of
//! goroutines and drops of users' values come after the walk.
//!
//! # Invariants
//! - `outcome` is set once, under the node's lock; `done` is closed ⇔ `outcome` is set, for all who have the lock.
//! - A node whose outcome is set takes no more children, and loses them only as they go, or when all below are ended.
//! - So whoever cancels a node that another is just cancelling finds those children, and walks over them, too:
//!   when `cancel` returns, all below have ended, whoever ended them. (Go holds the locks of the whole way down for
//!   that. Here nobody waits for a walk, and both do some of it.)
//!
//! # Rejected
//! - One lock for a tree: requests that have nothing in common but the server would share it.
//! - A parent that holds its children, as in Go, whose collector finds what is out of reach. Here a lost child would
//!   be a leak.

use super::{Error, Key};
use crate::channel::{self, Receiver, Wakes};
use crate::observe;
use crate::park::{Waiter, unpark};
use crate::runtime::with_scheduler;
use crate::sched::Scheduler;
use crate::sched::deferred::DeferredCall;
use crate::spawn::{Builder, start_accepted};
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

pub(super) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// How a context ended.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) error: Error,
    pub(super) cause: Option<Cause>,
}

/// A context. The way up leads to the background, which is no node.
pub(super) struct Node {
    parent: Option<Arc<Node>>,
    pub(super) role: Role,
}

pub(super) enum Role {
    /// It can end by itself.
    Canceller(Canceller),
    /// It carries a value, and ends with `canceller`, the nearest one above.
    Value { key: TypeId, key_name: &'static str, value: Box<dyn Any + Send + Sync>, canceller: Option<Arc<Node>> },
    /// It never ends.
    Shield,
}

pub(super) struct Canceller {
    pub(super) done: Receiver<Infallible>,
    pub(super) outcome: OnceLock<Outcome>,
    /// The first of its own and its ancestors'.
    pub(super) deadline: Option<Instant>,
    /// The deadline is its own.
    expiry: Option<Expiry>,
    /// Its name among the children of the nearest canceller above.
    id: u64,
    state: Mutex<State>,
}

pub(super) struct Expiry {
    pub(super) at: Instant,
    pub(super) cause: Option<Cause>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    children: BTreeMap<u64, Weak<Node>>,
    reactions: BTreeMap<u64, Reaction>,
    timer: Option<DeferredCall>,
}

/// What is to be done when a context has ended.
pub(super) enum Reaction {
    Start(Call),
    Wake(Waiter),
}

pub(super) struct Call {
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) created_at: &'static Location<'static>,
    pub(super) function: Box<dyn FnOnce() + Send>,
}

impl Call {
    pub(super) fn start(self) {
        start_accepted(Builder::new(), &self.scheduler, self.created_at, self.function);
    }
}

impl State {
    fn take_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Canceller {
    fn new(id: u64, inherited: Option<Instant>, expiry: Option<Expiry>) -> Self {
        Self {
            done: channel::signal(),
            outcome: OnceLock::new(),
            deadline: expiry.as_ref().map(|expiry| expiry.at).or(inherited),
            expiry,
            id,
            state: Mutex::default(),
        }
    }

    pub(super) fn own_deadline(&self) -> Option<Instant> {
        self.expiry.as_ref().map(|expiry| expiry.at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it react to its end; the result names the reaction. If it has ended already, the reaction comes back.
    pub(super) fn add_reaction(&self, reaction: Reaction) -> Result<u64, Reaction> {
        let mut state = self.lock();
        if self.outcome.get().is_some() {
            return Err(reaction);
        }
        let id = state.take_id();
        state.reactions.insert(id, reaction);
        Ok(id)
    }

    /// Takes a reaction back, unless it is too late. Drop it outside of locks.
    pub(super) fn remove_reaction(&self, id: u64) -> Option<Reaction> {
        self.lock().reactions.remove(&id)
    }

    /// Whether it and all below have ended.
    fn is_settled(&self) -> bool {
        self.outcome.get().is_some() && self.lock().children.is_empty()
    }

    /// Ends this node, if it has not ended, and adds those below to `walk`.
    fn end(&self, outcome: Outcome, walk: &mut Vec<(Arc<Node>, Outcome)>, after: &mut Aftermath) {
        observe::release(self);
        let mut state = self.lock();
        match self.outcome.set(outcome) {
            Ok(()) => {
                after.wakes.push(self.done.core().close_signal());
                after.timers.extend(state.timer.take());
                after.reactions.extend(std::mem::take(&mut state.reactions).into_values());
            }
            Err(too_late) => after.unused.push(too_late),
        }
        if let Some(outcome) = self.outcome.get() {
            let children = state.children.values().filter_map(Weak::upgrade);
            walk.extend(children.map(|child| (child, outcome.clone())));
        }
    }
}

/// What remains to be done when no lock is held.
#[derive(Default)]
struct Aftermath {
    wakes: Vec<Wakes>,
    reactions: Vec<Reaction>,
    timers: Vec<DeferredCall>,
    unused: Vec<Outcome>,
}

impl Aftermath {
    fn run(self) {
        // First of all: they must be done before we can switch.
        self.wakes.into_iter().for_each(Wakes::wake);
        for reaction in self.reactions {
            match reaction {
                Reaction::Start(call) => call.start(),
                Reaction::Wake(waiter) => unpark(&waiter),
            }
        }
        self.timers.into_iter().for_each(|timer| drop(timer.take()));
        drop(self.unused);
    }
}

impl Node {
    /// A node that can be cancelled, below `parent`. If that has ended, so has this.
    pub(super) fn canceller_below(parent: Option<&Arc<Self>>, expiry: Option<Expiry>) -> Arc<Self> {
        let build = |id, inherited| {
            let role = Role::Canceller(Canceller::new(id, inherited, expiry));
            Arc::new(Self { parent: parent.cloned(), role })
        };
        let Some(above) = parent.and_then(|parent| parent.canceller()) else { return build(0, None) };
        let mut state = above.lock();
        let id = state.take_id();
        let node = build(id, above.deadline);
        if above.outcome.get().is_none() {
            state.children.insert(id, Arc::downgrade(&node));
        }
        drop(state);
        if let Some(outcome) = above.outcome.get() {
            cancel(&node, outcome.clone());
        }
        node
    }

    pub(super) fn value_below<K: Key>(parent: Option<&Arc<Self>>, value: K::Value) -> Arc<Self> {
        let role = Role::Value {
            key: TypeId::of::<K>(),
            key_name: std::any::type_name::<K>(),
            value: Box::new(value),
            canceller: parent.and_then(|parent| parent.cancelling_node()).cloned(),
        };
        Arc::new(Self { parent: parent.cloned(), role })
    }

    pub(super) fn shield_below(parent: Option<&Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { parent: parent.cloned(), role: Role::Shield })
    }

    pub(super) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// The node with whose end this one ends: itself, or the nearest such above.
    pub(super) fn cancelling_node(self: &Arc<Self>) -> Option<&Arc<Self>> {
        match &self.role {
            Role::Canceller(_) => Some(self),
            Role::Value { canceller, .. } => canceller.as_ref(),
            Role::Shield => None,
        }
    }

    pub(super) fn canceller(&self) -> Option<&Canceller> {
        match &self.role {
            Role::Canceller(canceller) => Some(canceller),
            // One step: that node is a canceller itself.
            Role::Value { canceller, .. } => canceller.as_ref()?.canceller(),
            Role::Shield => None,
        }
    }

    /// The nearest canceller above.
    fn canceller_above(&self) -> Option<&Canceller> {
        self.parent.as_ref()?.canceller()
    }

    pub(super) fn value<K: Key>(self: &Arc<Self>) -> Option<&K::Value> {
        let mut next = Some(self);
        while let Some(node) = next {
            match &node.role {
                Role::Value { key, value, .. } if *key == TypeId::of::<K>() => return value.downcast_ref(),
                _ => next = node.parent.as_ref(),
            }
        }
        None
    }

    /// Sets up the end at the node's own deadline. Without a runtime that could see to it the node ends now.
    pub(super) fn start_timer(self: &Arc<Self>, at: Instant, created_at: &'static Location<'static>) {
        if at <= crate::clock::now() {
            return self.expire();
        }
        let Some(canceller) = self.canceller().filter(|canceller| canceller.outcome.get().is_none()) else { return };
        let expire = Expire { node: Arc::downgrade(self) };
        let timer = match with_scheduler(|scheduler| scheduler.defer(at, created_at, Box::new(|| expire.run()))) {
            Ok(timer) => timer,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            Err(error) => panic!("cannot keep the deadline of a context: {error}"),
        };
        let mut state = canceller.lock();
        if canceller.outcome.get().is_none() {
            state.timer = Some(timer);
        } else {
            // It has ended meanwhile, before there was a timer to stop.
            drop(state);
            drop(timer.take());
        }
    }

    /// Ends it because of its deadline, or that of the ancestor which has the first.
    pub(super) fn expire(self: &Arc<Self>) {
        let mut next = self.cancelling_node();
        while let Some(node) = next {
            if let Role::Canceller(Canceller { expiry: Some(expiry), .. }) = &node.role {
                let outcome = Outcome { error: Error::DeadlineExceeded, cause: expiry.cause.clone() };
                return cancel(node, outcome);
            }
            next = node.parent.as_ref().and_then(|parent| parent.cancelling_node());
        }
    }

    fn leave_parent(&self) {
        if let Role::Canceller(canceller) = &self.role
            && let Some(above) = self.canceller_above()
        {
            let child = above.lock().children.remove(&canceller.id);
            drop(child);
        }
    }

    /// Cuts it out of the tree, and returns its hold on the parent.
    fn cut(&mut self) -> Option<Arc<Self>> {
        self.leave_parent();
        match &mut self.role {
            Role::Canceller(canceller) => {
                let timer = canceller.lock().timer.take();
                drop(timer.and_then(|timer| timer.take()));
            }
            // The way up holds it, too, so that this is not its end.
            Role::Value { canceller, .. } => drop(canceller.take()),
            Role::Shield => {}
        }
        self.parent.take()
    }
}

impl Drop for Node {
    /// A chain goes link by link, not by recursion.
    fn drop(&mut self) {
        let mut next = self.cut();
        while let Some(mut node) = next.and_then(Arc::into_inner) {
            next = node.cut();
        }
    }
}

/// Ends a node and all below. When it returns, all have ended.
pub(super) fn cancel(root: &Arc<Node>, outcome: Outcome) {
    if root.canceller().is_some_and(Canceller::is_settled) {
        return;
    }
    let mut after = Aftermath::default();
    let mut walked = Vec::new();
    let mut walk = vec![(Arc::clone(root), outcome)];
    while let Some((node, outcome)) = walk.pop() {
        if let Some(canceller) = node.canceller() {
            canceller.end(outcome, &mut walk, &mut after);
        }
        walked.push(node);
    }
    for canceller in walked.iter().filter_map(|node| node.canceller()) {
        let children = std::mem::take(&mut canceller.lock().children);
        drop(children);
    }
    root.leave_parent();
    after.run();
}

/// The deferred call of a deadline. If it is dropped without having run, since the runtime was shut down, the
/// context ends all the same: those who wait for it must not wait for ever.
struct Expire {
    node: Weak<Node>,
}

impl Expire {
    fn run(self) {
        if let Some(node) = self.node.upgrade() {
            node.expire();
        }
    }
}

impl Drop for Expire {
    fn drop(&mut self) {
        // No node, or an end before: as it should be.
        if let Some(node) = self.node.upgrade() {
            cancel(&node, Outcome { error: Error::Cancelled, cause: Some(Arc::new(NoTimekeeper)) });
        }
    }
}

#[derive(Debug)]
struct NoTimekeeper;

impl fmt::Display for NoTimekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("the lisle runtime that kept this context's deadline is shut down")
    }
}

impl std::error::Error for NoTimekeeper {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{AfterFunc, Cancel, after_func, background, with_cancel, with_timeout, with_value};
    use std::time::Duration;

    struct Depth;

    impl Key for Depth {
        type Value = usize;
    }

    #[test]
    fn a_parent_keeps_nothing_of_children_and_calls_that_are_gone() {
        const HOUR: Duration = Duration::from_secs(3600);
        let (parent, _cancel) = with_cancel(&background());
        for round in 0..100 {
            let (child, cancel) = with_timeout(&with_value::<Depth>(&parent, 1), HOUR);
            let (grandchild, cancel_grandchild) = with_cancel(&child);
            drop(after_func(&parent, || ()));
            after_func(&child, || ()).detach();
            match round % 3 {
                0 => cancel.cancel(),
                1 => drop(cancel),
                _ => cancel.detach(),
            }
            drop((child, cancel_grandchild, grandchild));
        }
        let state = parent.canceller().expect("it can be cancelled").lock();
        assert!(state.children.is_empty() && state.reactions.is_empty());
    }

    #[test]
    fn a_call_that_has_its_own_context_goes_with_it_in_all_cases_but_one() {
        let alive = |end: fn(Cancel, AfterFunc)| {
            let (parent, cancel_parent) = with_cancel(&background());
            let (ctx, cancel) = with_cancel(&parent);
            let node = Arc::downgrade(ctx.cancelling_node().expect("it can be cancelled"));
            let own = ctx.clone();
            let call = after_func(&ctx, move || assert!(own.err().is_some()));
            drop(ctx);
            end(cancel, call);
            let before = node.strong_count() > 0;
            cancel_parent.cancel();
            let start = Instant::now();
            while node.strong_count() > 0 {
                assert!(start.elapsed() < Duration::from_secs(20), "it stays after its end");
                crate::yield_now();
            }
            before
        };
        assert!(!alive(|cancel, call| {
            cancel.detach();
            assert!(call.stop());
        }));
        assert!(!alive(|cancel, call| {
            cancel.detach();
            drop(call);
        }));
        assert!(alive(|cancel, call| {
            cancel.detach();
            call.detach();
        }));
        alive(|cancel, call| {
            call.detach();
            cancel.cancel();
        });
    }
}
