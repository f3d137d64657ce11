//! The inbox: how other threads hand a started goroutine back to its home worker.
//!
//! A multi-producer, single-drainer stack of intrusively linked nodes (Treiber, 1986). Producers push with
//! one compare-exchange; the home worker takes the whole chain with one swap, so a node is never popped
//! singly and the ABA problem cannot arise. The chain comes out newest first; `take` turns it round, so
//! goroutines become ready in the order in which they were woken.
//!
//! Invariant: a node is in at most one inbox at a time. `G::wake` guarantees it: only the thread that set
//! the PENDING bit pushes, and only the drainer clears it, after it has read the link.

use crate::atomics::{AtomicPtr, Ordering};
use std::ptr::{self, NonNull};

/// What can stand in an inbox.
///
/// # Safety
/// `link` returns the same atomic for the same node for as long as the inbox holds the node, and nothing
/// else writes to it meanwhile.
pub(crate) unsafe trait Linked: Sized {
    fn link(&self) -> &AtomicPtr<Self>;
}

pub(crate) struct Inbox<N> {
    head: AtomicPtr<N>,
}

impl<N: Linked> Inbox<N> {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether a drain might find something. A plain load: the sleep protocol in `idle` says when a
    /// stale answer is harmless.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::SeqCst).is_null()
    }

    /// Adds a node.
    ///
    /// # Safety
    /// The node stays alive until the drainer has taken it, and stands in no other inbox.
    pub(crate) unsafe fn push(&self, node: NonNull<N>) {
        // SAFETY: alive, as the caller promises.
        let link = unsafe { node.as_ref() }.link();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            // SeqCst, not just Release: the push is the first half of the Dekker pair with the worker's
            // "I am about to sleep" (see idle.rs).
            match self.head.compare_exchange_weak(head, node.as_ptr(), Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all nodes, oldest first.
    pub(crate) fn take(&self) -> Drain<N> {
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::SeqCst);
        let mut oldest: *mut N = ptr::null_mut();
        while let Some(node) = NonNull::new(newest) {
            // SAFETY: nodes in the chain are alive until taken, and the swap made them ours alone.
            let link = unsafe { node.as_ref() }.link();
            newest = link.load(Ordering::Relaxed);
            link.store(oldest, Ordering::Relaxed);
            oldest = node.as_ptr();
        }
        Drain { next: oldest }
    }
}

/// The nodes of one `take`. Each is the caller's as it comes out.
pub(crate) struct Drain<N> {
    next: *mut N,
}

impl<N: Linked> Iterator for Drain<N> {
    type Item = NonNull<N>;

    fn next(&mut self) -> Option<NonNull<N>> {
        let node = NonNull::new(self.next)?;
        // SAFETY: not handed out yet, hence still ours and alive. The link is read before the node is
        // handed out, since its owner may push it again at once.
        self.next = unsafe { node.as_ref() }.link().load(Ordering::Relaxed);
        Some(node)
    }
}
