//! The handles: [`Cancel`], [`CancelCause`], [`AfterFunc`].

use super::node::{Call, Node, Outcome, Reaction, cancel};
use super::{Context, Error};
use crate::observe::{self, Op};
use crate::runtime::with_scheduler;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the clones of a handle share.
struct Shared {
    node: Arc<Node>,
    detached: AtomicBool,
}

impl Shared {
    fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node, detached: AtomicBool::new(false) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !*self.detached.get_mut() {
            observe::touch(Op::Cancel, &*self.node);
            cancel(&self.node, Outcome { error: Error::Cancelled, cause: None });
        }
    }
}

/// The right to cancel a context: Go's `CancelFunc`. Dropping the last clone cancels, too, so that no way out of a
/// function leaves work behind that nobody wants: bind it to a name that lives as long as the work.
///
/// **Beware of `let (ctx, _) = …`**: `_` is not a name, so the context is cancelled at the end of that line. Write
/// `_cancel`, or call [`detach`](Self::detach).
///
/// ```
/// use lisle::context;
/// let (ctx, cancel) = context::with_cancel(&context::background());
/// cancel.cancel();
/// assert_eq!(ctx.err(), Some(context::Error::Cancelled));
///
/// let (ctx, _) = context::with_cancel(&context::background());
/// assert!(ctx.err().is_some()); // already!
/// ```
#[must_use = "dropping it cancels the context; to leave that to the parent or the deadline, call `detach`"]
#[derive(Clone)]
pub struct Cancel {
    shared: Arc<Shared>,
}

impl Cancel {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { shared: Shared::new(node) }
    }

    /// Ends the context and all that were derived from it: when this returns, they are done, and [`Context::err`]
    /// is [`Error::Cancelled`] for those that were not done before. It does not wait for what those who use them do
    /// about it. Never waits, never switches. Calling it again does nothing.
    ///
    /// Cost: about 0.3 µs for each context that ends.
    #[track_caller]
    pub fn cancel(&self) {
        observe::touch(Op::Cancel, &*self.shared.node);
        cancel(&self.shared.node, Outcome { error: Error::Cancelled, cause: None });
    }

    /// From now on dropping this handle and its clones does not cancel: only the parent's end, the deadline, or
    /// [`cancel`](Self::cancel) of a clone does.
    pub fn detach(self) {
        self.shared.detached.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&Context::from_node(&self.shared.node)).finish()
    }
}

/// As [`Cancel`], with a reason: Go's `CancelCauseFunc`.
///
/// ```
/// use lisle::context;
/// let (ctx, cancel) = context::with_cancel_cause(&context::background());
/// cancel.cancel("the disk is full");
/// assert_eq!(ctx.err(), Some(context::Error::Cancelled));
/// assert_eq!(ctx.cause().unwrap().to_string(), "the disk is full");
/// ```
#[must_use = "dropping it cancels the context; to leave that to the parent, call `detach`"]
#[derive(Clone)]
pub struct CancelCause {
    shared: Arc<Shared>,
}

impl CancelCause {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { shared: Shared::new(node) }
    }

    /// As [`Cancel::cancel`]. [`Context::cause`] gives `cause` to all whom this ends; whoever was done before keeps
    /// the cause it had. (Dropping the handle cancels without a cause.)
    #[track_caller]
    pub fn cancel(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        observe::touch(Op::Cancel, &*self.shared.node);
        let cause = Some(Arc::from(cause.into()));
        cancel(&self.shared.node, Outcome { error: Error::Cancelled, cause });
    }

    /// As [`Cancel::detach`].
    pub fn detach(self) {
        self.shared.detached.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for CancelCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelCause").field(&Context::from_node(&self.shared.node)).finish()
    }
}

/// Calls `f`, in a goroutine of its own, once `ctx` is done: at once, if it is done already. Go's
/// `context.AfterFunc`.
///
/// The goroutine belongs to the caller's runtime (that of the calling goroutine, or the global one). If that is shut
/// down before, `f` is dropped.
///
/// `f` may have `ctx` itself, or one derived from it, although `ctx` then holds `f` and `f` holds `ctx`: the circle is
/// broken when `ctx` is done, since `f` then leaves it, and when the [`AfterFunc`] stops or is dropped. Only where that
/// was detached, and nothing will ever end `ctx` (its `Cancel` was detached, and there is no deadline and no end of a
/// parent to come), do both stay for good.
///
/// # Panics
/// If the runtime cannot start.
///
/// ```
/// use lisle::{channel, context};
/// let (ctx, cancel) = context::with_cancel(&context::background());
/// let (sender, receiver) = channel::bounded(1);
/// let clean_up = context::after_func(&ctx, move || sender.send("cleaned up").unwrap());
/// cancel.cancel();
/// assert_eq!(receiver.recv(), Ok("cleaned up"));
/// assert!(!clean_up.stop()); // too late
/// ```
#[track_caller]
pub fn after_func<F>(ctx: &Context, f: F) -> AfterFunc
where
    F: FnOnce() + Send + 'static,
{
    let scheduler = match with_scheduler(|scheduler| Ok(Arc::clone(scheduler))) {
        Ok(scheduler) => scheduler,
        Err(error) => panic!("cannot set up a call: {error}"),
    };
    let call = Call { scheduler, created_at: Location::caller(), function: Box::new(f) };
    // The background keeps no calls: a node that never ends does it instead.
    let node = ctx.cancelling_node().cloned().unwrap_or_else(|| Node::canceller_below(None, None));
    let added = node.canceller().map(|canceller| canceller.add_reaction(Reaction::Start(call)));
    match added {
        Some(Ok(id)) => AfterFunc { pending: Some((node, id)) },
        Some(Err(Reaction::Start(call))) => {
            call.start();
            AfterFunc { pending: None }
        }
        Some(Err(Reaction::Wake(_))) | None => unreachable!("a call was added, to a canceller"),
    }
}

/// A call set up by [`after_func`]. Dropping it takes the call back, if it has not been started.
#[must_use = "dropping it takes the call back; to leave it alone, call `detach`"]
pub struct AfterFunc {
    pending: Option<(Arc<Node>, u64)>,
}

impl AfterFunc {
    /// Takes the call back. True: it has been taken back by this call, and will never run. False: it has been
    /// started (perhaps it has not ended: this does not wait for it), or taken back before.
    #[track_caller]
    pub fn stop(&self) -> bool {
        let Some((node, id)) = &self.pending else { return false };
        observe::touch(Op::AfterFunc, &**node);
        // The closure is dropped here, when no lock is held any more.
        node.canceller().and_then(|canceller| canceller.remove_reaction(*id)).is_some()
    }

    /// Leaves the call alone: it runs when the context is done. If that never comes, since all who have the context,
    /// a [`Cancel`] of it, or a context derived from it have gone, the closure is dropped. (Unless it has the
    /// context itself: see [`after_func`].)
    pub fn detach(mut self) {
        self.pending = None;
    }
}

impl Drop for AfterFunc {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}

impl UnwindSafe for Cancel {}
impl RefUnwindSafe for Cancel {}
impl UnwindSafe for CancelCause {}
impl RefUnwindSafe for CancelCause {}
impl UnwindSafe for AfterFunc {}
impl RefUnwindSafe for AfterFunc {}
