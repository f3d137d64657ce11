//! The list of those who wait on one side of a channel: doubly linked, through entries that lie in the waiters'
//! own frames. Joining and leaving cost a few plain stores: no allocation, and nothing is copied.
//!
//! # Who may touch an entry's links
//! Whoever holds the channel's lock. `listed` alone is also read by the entry's owner without it: false means that
//! the list has let go of the entry for good (Release there, Acquire here), so that the owner may leave.
//!
//! Rejected: a vector of slots with tickets, as lisle's other primitives have it (`sync::wait_list`). Its entries are
//! moved in and out, 64 bytes each way, and loading in wide words what was just stored in narrow ones stalls the
//! processor: a third of a rendezvous.

use super::wait::{Verdict, Wait, Wish};
use crate::atomics::{AtomicBool, Ordering};
use crate::observe;
use crate::park::{Home, Woken};
use crate::tsan;
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

type Link = Cell<Option<NonNull<Entry>>>;

/// One wait in one list. See `wait.rs` for the life of what it points to.
pub(super) struct Entry {
    wait: Cell<NonNull<Wait>>,
    /// Where the message lies, or where it goes. Of a promise that has been called in: the partner's entry, or null.
    slot: Cell<*mut u8>,
    previous: Link,
    next: Link,
    arm: u32,
    wish: Wish,
    listed: AtomicBool,
    /// Whether the wait stands in several lists.
    is_select: bool,
    /// How often neighbours of others have been preferred, while this one was the first.
    passed_over: Cell<u8>,
}

impl Entry {
    /// The wait must outlive the entry; the slot holds the message, or is for one, as long as the entry is listed.
    #[inline(always)]
    pub(super) fn of_select(wait: &Wait, arm: u32, slot: NonNull<u8>, wish: Wish) -> Self {
        Self {
            wait: Cell::new(NonNull::from(wait)),
            slot: Cell::new(slot.as_ptr()),
            previous: Cell::new(None),
            next: Cell::new(None),
            arm,
            wish,
            listed: AtomicBool::new(false),
            is_select: true,
            passed_over: Cell::new(0),
        }
    }

    /// The receiver whose message this promise has been chosen to deliver; `None`: into the buffer. For the owner, once,
    /// after the verdict.
    pub(super) fn take_partner(&self) -> Option<Claimed> {
        NonNull::new(self.slot.get()).map(|partner| Claimed(partner.cast()))
    }

    #[inline(always)]
    pub(super) fn wait(&self) -> &Wait {
        // SAFETY: it outlives the entry, see `of_select` and `PlainWait::entry`.
        unsafe { self.wait.get().as_ref() }
    }

    #[inline(always)]
    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    #[inline(always)]
    fn claim(&self) -> bool {
        self.wait().claim(self.is_select)
    }

    /// Whether the list may still touch it. For the owner; once false, it stays so.
    #[inline(always)]
    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Claims its own wait for a verdict that comes from elsewhere, from another thread if `apart`. For the owner, while
    /// it is in no list.
    #[inline(always)]
    pub(super) fn claim_itself(&self, apart: bool) -> Claimed {
        self.wait().claim_unlisted(apart);
        Claimed(NonNull::from(self))
    }
}

/// A wait in one list, in one cache line, with the message if it is small (`wait.rs`). It is used where it is made, once.
#[repr(C, align(64))]
pub(super) struct PlainWait {
    entry: Entry,
    wait: Wait,
    message: UnsafeCell<MaybeUninit<u64>>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<PlainWait>() == 64);

/// Whether a message fits into a word.
pub(super) const fn is_small<T>() -> bool {
    size_of::<T>() <= size_of::<u64>() && align_of::<T>() <= align_of::<u64>()
}

impl PlainWait {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let wait = Wait::new();
        let entry = Entry { is_select: false, ..Entry::of_select(&wait, 0, NonNull::dangling(), Wish::Exchange) };
        Self { entry, wait, message: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    #[inline(always)]
    pub(super) fn wait(&self) -> &Wait {
        &self.wait
    }

    /// Where a message lies while it waits: here, or where the caller keeps it.
    #[inline(always)]
    pub(super) fn slot_for<T>(&self, callers: NonNull<T>) -> NonNull<T> {
        if is_small::<T>() { NonNull::from(&self.message).cast() } else { callers }
    }

    /// Its entry, now that it is in its place; to be put into a list, or claimed. The slot is for the message as long as
    /// that lasts.
    #[inline(always)]
    pub(super) fn entry(&self, slot: NonNull<u8>) -> &Entry {
        self.entry.wait.set(NonNull::from(&self.wait));
        self.entry.slot.set(slot.as_ptr());
        &self.entry
    }
}

/// Asks for a cache line that is going to be written. (Read first, it would be fetched twice: to be read, and to be
/// written.)
#[inline(always)]
fn prefetch_to_write(entry: NonNull<Entry>) {
    #[cfg(not(any(miri, loom)))]
    // SAFETY: a prefetch of whatever address neither faults nor changes anything; where a processor does not have this one,
    // it does nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) entry.as_ptr(), options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, loom))]
    let _ = entry;
}

/// An entry whose wait the holder has claimed (what it does with it counts as the channel's, not as the holder's): it is to be ended exactly once, by one of the methods that consume it.
/// Until then its owner stays in its wait.
pub(super) struct Claimed(NonNull<Entry>);

impl Claimed {
    #[inline(always)]
    fn entry(&self) -> &Entry {
        // SAFETY: the owner of a claimed wait keeps the entry in place until the verdict, which consumes this.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(super) fn wish(&self) -> Wish {
        let _quiet = tsan::quiet();
        self.entry().wish
    }

    /// Where the message lies, or where it goes: its claimer's to use until the verdict.
    #[inline(always)]
    pub(super) fn slot(&self) -> NonNull<u8> {
        let _quiet = tsan::quiet();
        // SAFETY: no promise that has been called in: it is claimed, and this would have consumed it.
        unsafe { NonNull::new_unchecked(self.entry().slot.get()) }
    }

    /// Whether it waits where the caller runs.
    pub(super) fn is_neighbour(&self) -> bool {
        let _quiet = tsan::quiet();
        self.entry().wait().home == Home::current()
    }

    /// The goroutine, or thread, that waits.
    pub(super) fn waiter(&self) -> &observe::Partner {
        let _quiet = tsan::quiet();
        self.entry().wait().waiter()
    }

    /// Ends the wait without an exchange: `Closed`, `Ready` or `Retry`.
    #[inline(always)]
    pub(super) fn dismiss(self, verdict: Verdict) -> Woken {
        debug_assert!(matches!(verdict, Verdict::Closed | Verdict::Ready | Verdict::Retry));
        // SAFETY: no message is spoken of.
        unsafe { self.finish(verdict) }
    }

    /// The message has been taken out of the slot, or put into it.
    ///
    /// # Safety
    /// It has.
    #[inline(always)]
    pub(super) unsafe fn done(self) -> Woken {
        // SAFETY: as the caller says.
        unsafe { self.finish(Verdict::Done) }
    }

    /// Writes the message, and ends the wait of a receiver.
    ///
    /// # Safety
    /// `T` is the channel's type of message.
    #[inline(always)]
    pub(super) unsafe fn deliver<T>(self, message: T) -> Woken {
        let _quiet = tsan::quiet();
        // SAFETY: a claimed receiver's slot is made for a T.
        unsafe { self.slot().cast::<T>().write(message) };
        // SAFETY: just written.
        unsafe { self.done() }
    }

    /// A promise is called in, for `partner`, or for the buffer.
    #[inline(always)]
    pub(super) fn choose(self, partner: Option<Claimed>) -> Woken {
        let _quiet = tsan::quiet();
        self.entry().slot.set(partner.map_or(std::ptr::null_mut(), |partner| partner.0.as_ptr().cast()));
        // SAFETY: a promise is no message; the partner has been set before.
        unsafe { self.finish(Verdict::Chosen) }
    }

    /// # Safety
    /// What the verdict says is true.
    #[inline(always)]
    unsafe fn finish(self, verdict: Verdict) -> Woken {
        let _quiet = tsan::quiet();
        let (wait, arm) = (self.entry().wait.get(), self.entry().arm);
        // SAFETY: claimed, and ended once, since this is consumed.
        unsafe { Wait::finish(wait, verdict, arm) }
    }
}

/// How often the first may be passed over for a neighbour.
const PASSES: u8 = 16;
/// So many are looked at for a neighbour.
const LOOKED_AT: usize = 4;

/// Those who wait, in the order of their coming.
///
/// They are served in that order, but for one thing: among the first few a neighbour of the caller's is preferred,
/// a bounded number of times. Between neighbours a message costs a tenth of what it costs between threads,
/// and where senders and receivers live on several workers each finds partners on its own.
pub(super) struct Waiters {
    first: Option<NonNull<Entry>>,
    last: Option<NonNull<Entry>>,
}

// SAFETY: the list lies under its channel's lock, and so does the right to touch what it points to.
unsafe impl Send for Waiters {}

impl Waiters {
    pub(super) const fn new() -> Self {
        Self { first: None, last: None }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// # Safety
    /// The owner keeps the entry, its wait and its slot in place until the entry is listed no more, and if it was
    /// claimed, until the verdict. It is in no list, and its wait is armed.
    #[inline(always)]
    pub(super) unsafe fn push_back(&mut self, entry: &Entry) {
        let this = NonNull::from(entry);
        entry.listed.store(true, Ordering::Relaxed);
        entry.previous.set(self.last);
        entry.next.set(None);
        match self.last {
            // SAFETY: a listed entry is in place, and its links are ours under the lock.
            Some(last) => unsafe { last.as_ref() }.next.set(Some(this)),
            None => self.first = Some(this),
        }
        self.last = Some(this);
    }

    /// As `push_back`, before all others.
    ///
    /// # Safety
    /// As there, of the entry that it has.
    #[cold]
    pub(super) unsafe fn push_front(&mut self, plain: NonNull<PlainWait>) {
        // SAFETY: in place, as the caller says.
        let entry = unsafe { &plain.as_ref().entry };
        let this = NonNull::from(entry);
        entry.listed.store(true, Ordering::Relaxed);
        entry.previous.set(None);
        entry.next.set(self.first);
        match self.first {
            // SAFETY: a listed entry is in place, and its links are ours under the lock.
            Some(first) => unsafe { first.as_ref() }.previous.set(Some(this)),
            None => self.last = Some(this),
        }
        self.first = Some(this);
    }

    /// Takes an entry out, if it is in. False: somebody has taken it out before.
    ///
    /// # Safety
    /// If the entry is in a list, it is in this one.
    #[inline]
    pub(super) unsafe fn remove(&mut self, entry: &Entry) -> bool {
        let listed = entry.listed.load(Ordering::Relaxed);
        if listed {
            // SAFETY: as the caller says.
            unsafe { self.unlink(NonNull::from(entry)) };
        }
        listed
    }

    /// A pointer and not a reference: an argument that is a reference must be good until the function returns, but
    /// the owner may leave as soon as the entry is listed no more.
    ///
    /// # Safety
    /// The entry is in this list. It must not be touched afterwards, unless it is claimed.
    #[inline(always)]
    unsafe fn unlink(&mut self, entry: NonNull<Entry>) {
        // SAFETY: listed, hence in place until the last line.
        let entry = unsafe { entry.as_ref() };
        let (previous, next) = (entry.previous.get(), entry.next.get());
        match previous {
            // SAFETY: a listed entry is in place, and its links are ours under the lock.
            Some(previous) => unsafe { previous.as_ref() }.next.set(next),
            None => self.first = next,
        }
        match next {
            // SAFETY: as above.
            Some(next) => unsafe { next.as_ref() }.previous.set(previous),
            None => self.last = previous,
        }
        entry.listed.store(false, Ordering::Release);
    }

    /// Takes out one that can still be claimed, and does not only watch: the first, or a neighbour near to it. Those that
    /// cannot have been chosen elsewhere.
    #[inline(always)]
    pub(super) fn claim_partner(&mut self) -> Option<Claimed> {
        loop {
            let mut pointer = self.first?;
            prefetch_to_write(pointer);
            // SAFETY: listed, hence in place.
            let first = unsafe { pointer.as_ref() };
            if first.next.get().is_some() && first.wait().home != Home::current() {
                pointer = Self::prefer_neighbour(first);
            }
            // SAFETY: as above.
            if unsafe { pointer.as_ref() }.wish == Wish::Watch {
                pointer = self.behind_watchers()?;
            }
            // SAFETY: it is in this list.
            if let Some(claimed) = unsafe { self.claim(pointer) } {
                return Some(claimed);
            }
        }
    }

    /// Takes out the first one that can still be claimed. Those that cannot have been chosen elsewhere.
    pub(super) fn claim_first(&mut self) -> Option<Claimed> {
        loop {
            let first = self.first?;
            // SAFETY: it is in this list.
            if let Some(claimed) = unsafe { self.claim(first) } {
                return Some(claimed);
            }
        }
    }

    /// # Safety
    /// The entry is in this list. It must not be touched afterwards, unless it is claimed.
    #[inline(always)]
    unsafe fn claim(&mut self, entry: NonNull<Entry>) -> Option<Claimed> {
        // First the claim: once unlisted, an entry that is not claimed may be gone.
        // SAFETY: listed, hence in place.
        let is_claimed = unsafe { entry.as_ref() }.claim();
        // SAFETY: as the caller says.
        unsafe { self.unlink(entry) };
        is_claimed.then_some(Claimed(entry))
    }

    #[cold]
    #[inline(never)]
    fn behind_watchers(&self) -> Option<NonNull<Entry>> {
        self.iter().find(|entry| entry.wish != Wish::Watch).map(NonNull::from)
    }

    #[inline(never)]
    fn prefer_neighbour(first: &Entry) -> NonNull<Entry> {
        let (here, passed_over) = (Home::current(), first.passed_over.get());
        let mut next = first.next.get();
        for _ in 1..LOOKED_AT {
            let Some(pointer) = next else { break };
            // SAFETY: listed, hence in place.
            let entry = unsafe { pointer.as_ref() };
            if entry.wait().home == here && entry.wish != Wish::Watch && passed_over < PASSES {
                first.passed_over.set(passed_over + 1);
                return pointer;
            }
            next = entry.next.get();
        }
        NonNull::from(first)
    }

    /// All that wait, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: listed, hence in place as long as the list is borrowed.
            let entry = unsafe { next?.as_ref() };
            next = entry.next.get();
            Some(entry)
        })
    }

    /// Claims and takes out all that only watch.
    pub(super) fn claim_watchers(&mut self, mut each: impl FnMut(Claimed)) {
        let mut next = self.first;
        while let Some(pointer) = next {
            // SAFETY: listed, hence in place.
            let entry = unsafe { pointer.as_ref() };
            next = entry.next.get();
            if entry.wish == Wish::Watch {
                // SAFETY: it is in this list.
                unsafe { self.claim(pointer) }.map(&mut each);
            }
        }
    }
}
