//! [`Group`]: goroutines that work on parts of one task, and the first error among them.
//!
//! The model is Go's `golang.org/x/sync/errgroup`. Two things differ:
//! - There, the group is a pointer that everyone shares. Here the one who may wait has the [`Group`], and all others
//!   have [`Spawner`]s: so the errors have one owner, and a member does not wait for its own end by mistake.
//! - Panics and `exit` have a place: see [`Group::wait`]. (There, a member's panic ends the process, or in later
//!   versions is passed on by `Wait`.)
//!
//! # How it works
//! One short lock guards the count of members, their errors, and the waiters for a free place and for the end. A
//! member that ends hands its place to the first who waits for one, so that nobody is overtaken and the limit holds
//! at every moment. The place is a value (`Member`) that travels with the closure: however the closure ends, run or
//! dropped, its place is given back, and what came of it is noted.
//!
//! Rejected: a semaphore beside a wait group, as in Go. Between the two, a change of the limit could slip in, and
//! `WaitGroup` calls some harmless overlaps of `go` and `wait` misuse.

use crate::atomics::{Mutex, lock};
use crate::context::{self, CancelCause, Context};
use crate::observe::{self, Op};
use crate::park::{WaitReason, Waiter, current, unpark, unpark_all, with_current};
use crate::refused::{Refusal, Refused};
use crate::report::discard_payload;
use crate::spawn::Builder;
use crate::sync::wait_list::{AsWaitList, WaitList, wait_until_taken};
use crate::unwind::{PanicReport, Unwound, catch};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Goroutines that work on parts of one task: waiting for all of them gives the first error.
///
/// ```
/// use lisle::errgroup::Group;
///
/// let group = Group::new();
/// for text in ["1", "2", "drei"] {
///     group.go(move || text.parse::<i32>().map(|number| println!("{number}")));
/// }
/// assert!(group.wait().unwrap_err().to_string().contains("invalid digit"));
/// ```
///
/// If a `Group` is dropped without a wait, its context is cancelled, its members go on, and nobody hears of their
/// errors; panics are reported as those of goroutines that nobody joins.
///
/// Cost of a member: that of a goroutine and some 100 ns.
#[must_use = "errors are lost unless the group is waited for"]
pub struct Group<E> {
    spawner: Spawner<E>,
}

/// The right to start members of a [`Group`], for members and others; see [`Group::spawner`].
pub struct Spawner<E> {
    inner: Arc<Inner<E>>,
}

struct Inner<E> {
    state: Mutex<State<E>>,
    context: Option<GroupContext<E>>,
}

/// The right to end the group's context, and the way to make a cause of an error. The error itself goes to `wait`.
struct GroupContext<E> {
    cancel: CancelCause,
    describe: fn(&E) -> String,
}

struct State<E> {
    /// Places that are taken: members that run, or are about to.
    running: usize,
    /// The goroutines of members that run.
    members: HashSet<u64>,
    limit: usize,
    errors: Vec<E>,
    /// Of panics, and of members that could not run.
    mishaps: Vec<String>,
    /// The group is gone, so mishaps are told on stderr.
    abandoned: bool,
    starters: WaitList<Starter>,
    waiters: WaitList<Waiter>,
}

/// Who waits for a place.
struct Starter(Waiter);

impl<E> AsWaitList<Starter> for State<E> {
    fn as_wait_list(&mut self) -> &mut WaitList<Starter> {
        &mut self.starters
    }
}

impl<E> AsWaitList<Waiter> for State<E> {
    fn as_wait_list(&mut self) -> &mut WaitList<Waiter> {
        &mut self.waiters
    }
}

impl<E: Send + 'static> Group<E> {
    /// A group without members and without a limit.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A group, and a context derived from `ctx` for its members, which is done as soon as a member returns an error or
    /// panics, when `wait` returns, and when the group is dropped. The members are expected to look at it.
    ///
    /// The context's [`cause`](Context::cause) is the text of that error or panic.
    ///
    /// ```
    /// use lisle::{context, errgroup::Group};
    /// let (group, ctx) = Group::with_context(&context::background());
    /// group.go(move || match ctx.wait() {
    ///     context::Error::Cancelled => Err(format!("gave up, because of: {}", ctx.cause().unwrap())),
    ///     error => Err(error.to_string()),
    /// });
    /// group.go(|| Err("no such host".to_string()));
    /// assert_eq!(group.wait_all().unwrap_err(), ["no such host", "gave up, because of: no such host"]);
    /// ```
    pub fn with_context(ctx: &Context) -> (Self, Context)
    where
        E: fmt::Display,
    {
        let (ctx, cancel) = context::with_cancel_cause(ctx);
        (Self::with(Some(GroupContext { cancel, describe: E::to_string })), ctx)
    }

    fn with(context: Option<GroupContext<E>>) -> Self {
        let state = State {
            running: 0,
            members: HashSet::new(),
            limit: usize::MAX,
            errors: Vec::new(),
            mishaps: Vec::new(),
            abandoned: false,
            starters: WaitList::new(),
            waiters: WaitList::new(),
        };
        Self { spawner: Spawner { inner: Arc::new(Inner { state: Mutex::new(state), context }) } }
    }

    /// Starts a member; see [`Spawner::go`].
    ///
    /// # Panics
    /// As [`Spawner::go`].
    #[track_caller]
    pub fn go<F>(&self, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        self.spawner.go(f);
    }

    /// Starts a member if that is possible at once; see [`Spawner::try_go`].
    ///
    /// # Errors
    /// [`Refused`], with the closure: the limit is reached.
    ///
    /// # Panics
    /// As [`Spawner::go`].
    #[track_caller]
    pub fn try_go<F>(&self, f: F) -> Result<(), Refused<F>>
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        self.spawner.try_go(f)
    }

    /// What members and others start further members with.
    ///
    /// ```
    /// use lisle::errgroup::{Group, Spawner};
    /// fn countdown(n: u32, spawner: Spawner<String>) -> Result<(), String> {
    ///     if n == 0 {
    ///         return Err("boom".into());
    ///     }
    ///     let more = spawner.clone();
    ///     spawner.go(move || countdown(n - 1, more));
    ///     Ok(())
    /// }
    /// let group = Group::new();
    /// let spawner = group.spawner();
    /// group.go(move || countdown(3, spawner));
    /// assert_eq!(group.wait(), Err("boom".into()));
    /// ```
    #[must_use]
    pub fn spawner(&self) -> Spawner<E> {
        self.spawner.clone()
    }

    /// Lets at most `limit` members run at the same time from now on. `usize::MAX` is no limit.
    ///
    /// # Panics
    /// If `limit` is 0, since [`go`](Self::go) would wait for ever; if members are running (as in Go).
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        assert!(limit > 0, "a group with a limit of 0 members could never run any: `go` would wait for ever");
        let mut state = lock(&self.spawner.inner.state);
        let running = state.running;
        if running == 0 {
            state.limit = limit;
        }
        drop(state);
        assert!(running == 0, "the limit of a group was changed while {running} of its members were running");
    }

    /// Waits for all members, those that are started meanwhile included.
    ///
    /// A member that ends by [`exit`](crate::exit) counts as done without an error, as in Go.
    ///
    /// # Errors
    /// The first error that a member returned.
    ///
    /// # Panics
    /// If a member panicked: the text names its goroutine (number, name, place of its creation) and repeats its
    /// message. If a member never ran because its runtime was shut down before. Errors are lost then.
    ///
    /// If a member calls it, to which the group was given: it would wait for its own end.
    #[track_caller]
    pub fn wait(self) -> Result<(), E> {
        match self.wait_for_all().into_iter().next() {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }

    /// As [`wait`](Self::wait), but with all errors.
    ///
    /// # Errors
    /// All errors that members returned, in the order in which they did.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// let group = lisle::errgroup::Group::new();
    /// for i in 0..4 {
    ///     group.go(move || if i % 2 == 0 { Ok(()) } else { Err(i) });
    /// }
    /// let mut errors = group.wait_all().unwrap_err();
    /// errors.sort();
    /// assert_eq!(errors, [1, 3]);
    /// ```
    #[track_caller]
    pub fn wait_all(self) -> Result<(), Vec<E>> {
        let errors = self.wait_for_all();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    #[track_caller]
    fn wait_for_all(self) -> Vec<E> {
        let inner = &self.spawner.inner;
        observe::enter(Op::Group, &**inner);
        let is_member = lock(&inner.state).members.contains(&with_current(|g| g.id));
        assert!(!is_member, "a member of a group waits for all members of the group: for its own end");
        let mut state = lock(&inner.state);
        while state.running > 0 {
            let ticket = state.waiters.push_back(current());
            drop(state);
            wait_until_taken::<Waiter>(&inner.state, ticket, WaitReason::WaitGroup, None);
            state = lock(&inner.state);
        }
        observe::acquire(&**inner);
        let (errors, mut mishaps) = (std::mem::take(&mut state.errors), std::mem::take(&mut state.mishaps));
        drop(state);
        match mishaps.len() {
            0 => errors,
            1 => panic!("{}", mishaps.remove(0)),
            count => panic!("{} (and {} more members of the group did not end well)", mishaps.remove(0), count - 1),
        }
    }
}

impl<E: Send + 'static> Spawner<E> {
    /// Starts a member, once there is a place for it: if the group has a limit and so many members run, it waits.
    ///
    /// The member runs on the caller's runtime. Its error, or panic, is kept for [`Group::wait`]. If the group is gone, by
    /// a wait or a drop, the member runs all the same, and nobody hears of its error; a panic is reported as that of a
    /// goroutine that nobody joins.
    ///
    /// A member of a group with a limit should start further members by [`try_go`](Self::try_go): if all members
    /// wait for a place, there never will be one.
    ///
    /// # Panics
    /// If no goroutine can be started; see [`go`](crate::go()).
    #[track_caller]
    pub fn go<F>(&self, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let member = self.inner.wait_for_place();
        member.start(f, Location::caller());
    }

    /// Starts a member if there is a place for it, and nobody waits for one. Never waits.
    ///
    /// # Errors
    /// [`Refused`], with the closure: there is no place.
    ///
    /// # Panics
    /// As [`go`](Self::go).
    #[track_caller]
    pub fn try_go<F>(&self, f: F) -> Result<(), Refused<F>>
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        observe::touch(Op::Group, &*self.inner);
        match self.inner.take_place() {
            Some(member) => {
                member.start(f, Location::caller());
                Ok(())
            }
            None => Err(Refused::new(f, Refusal::Full, "the group's limit of running members is reached")),
        }
    }
}

impl<E> Inner<E> {
    fn take_place(self: &Arc<Self>) -> Option<Member<E>> {
        let mut state = lock(&self.state);
        if state.running >= state.limit {
            return None;
        }
        state.running += 1;
        Some(Member { inner: Arc::clone(self), unstarted: None, id: None })
    }

    #[track_caller]
    fn wait_for_place(self: &Arc<Self>) -> Member<E> {
        observe::enter(Op::Group, &**self);
        if let Some(member) = self.take_place() {
            return member;
        }
        let mut state = lock(&self.state);
        if state.running < state.limit {
            state.running += 1;
        } else {
            let ticket = state.starters.push_back(Starter(current()));
            drop(state);
            // Who takes us out leaves us a place.
            wait_until_taken::<Starter>(&self.state, ticket, WaitReason::Semaphore, None);
        }
        Member { inner: Arc::clone(self), unstarted: None, id: None }
    }

    /// A member is done: its place goes to the first who waits for one.
    fn give_place_back(&self, member: Option<u64>) {
        if observe::touch(Op::Group, self) {
            observe::release(self);
        }
        let mut state = lock(&self.state);
        if let Some(id) = member {
            state.members.remove(&id);
        }
        if let Some(Starter(next)) = state.starters.pop_front() {
            drop(state);
            return unpark(&next);
        }
        state.running -= 1;
        let waiters = if state.running == 0 { state.waiters.take_all() } else { Vec::new() };
        drop(state);
        unpark_all(waiters);
    }

    fn note_error(&self, error: E) {
        // Only the first becomes a cause.
        let context = self.context.as_ref().filter(|_| lock(&self.state).is_well());
        let cause = context.map(|context| {
            // `Display` is the user's, and not trusted to return.
            catch(|| (context.describe)(&error))
                .unwrap_or_else(|_| String::from("(an error that panics when displayed)"))
        });
        let mut state = lock(&self.state);
        if state.abandoned {
            // Nobody will take it. Dropped outside the lock, since it is the user's.
            drop(state);
            return drop(error);
        }
        let is_first = state.is_well();
        state.errors.push(error);
        drop(state);
        if is_first {
            self.cancel(cause.unwrap_or_default());
        }
    }

    fn note_mishap(&self, text: String) {
        let mut state = lock(&self.state);
        if state.abandoned {
            drop(state);
            return tell(&text);
        }
        let is_first = state.is_well();
        state.mishaps.push(text.clone());
        drop(state);
        if is_first {
            self.cancel(text);
        }
    }

    fn cancel(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        if let Some(context) = &self.context {
            context.cancel.cancel(cause);
        }
    }
}

impl<E> State<E> {
    /// Nothing went wrong so far.
    fn is_well(&self) -> bool {
        self.errors.is_empty() && self.mishaps.is_empty()
    }
}

/// A mishap of which no `wait` will tell.
fn tell(text: &str) {
    crate::runtime::unheard_panic(format_args!("{text}, and nobody waited for its group"));
}

impl<E> Drop for Group<E> {
    fn drop(&mut self) {
        let mut state = lock(&self.spawner.inner.state);
        state.abandoned = true;
        let (mishaps, errors) = (std::mem::take(&mut state.mishaps), std::mem::take(&mut state.errors));
        drop(state);
        self.spawner.inner.cancel(context::Error::Cancelled);
        mishaps.iter().for_each(|text| tell(text));
        // Outside the lock, since they are the user's, and now, since spawners may live for long.
        drop(errors);
    }
}

/// A place in a group. Dropping it gives the place back.
struct Member<E> {
    inner: Arc<Inner<E>>,
    /// Where the user asked for it, until it has run.
    unstarted: Option<&'static Location<'static>>,
    /// Its goroutine, once it runs.
    id: Option<u64>,
}

impl<E: Send + 'static> Member<E> {
    fn start<F>(mut self, f: F, created_at: &'static Location<'static>)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        self.unstarted = Some(created_at);
        // What the one did whose place it is.
        observe::acquire(&*self.inner);
        if let Err(error) = Builder::new().go_at(created_at, move || self.run(f)) {
            panic!("cannot start a goroutine: {error}");
        }
    }

    fn run(mut self, f: impl FnOnce() -> Result<(), E>) {
        self.unstarted = None;
        let id = with_current(|g| g.id);
        self.id = Some(id);
        lock(&self.inner.state).members.insert(id);
        match catch(f) {
            Ok(Ok(())) | Err(Unwound::Exited) => {}
            Ok(Err(error)) => self.inner.note_error(error),
            Err(Unwound::Panicked(payload)) => {
                self.inner.note_mishap(PanicReport::new(&*payload).to_string());
                discard_payload(payload);
            }
        }
    }
}

impl<E> Drop for Member<E> {
    fn drop(&mut self) {
        if let Some(created_at) = self.unstarted {
            let why = "its goroutine could not be started, or its runtime was shut down before";
            self.inner.note_mishap(format!("a member created at {created_at} never ran: {why}"));
        }
        self.inner.give_place_back(self.id);
    }
}

impl<E: Send + 'static> Default for Group<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for Spawner<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spawner.inner.debug(f.debug_struct("Group"))
    }
}

impl<E> fmt::Debug for Spawner<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.debug(f.debug_struct("Spawner"))
    }
}

impl<E> Inner<E> {
    fn debug(&self, mut output: fmt::DebugStruct<'_, '_>) -> fmt::Result {
        let state = lock(&self.state);
        let (running, limit, errors) = (state.running, state.limit, state.errors.len());
        drop(state);
        output.field("running", &running).field("limit", &limit).field("errors", &errors).finish_non_exhaustive()
    }
}
