//! Labels: pairs of texts that a goroutine carries, and its children after it.
//!
//! They lie flat in one shared text, `key NUL value NUL …`, so that a dump can copy them in one piece while their
//! goroutine goes on.

use crate::of_thread::of_thread as of_this_thread;
use crate::sched::g::G;
use crate::sched::worker::Worker;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{Ordering, compiler_fence};

/// A shared text that may be absent. Where its bytes lie stands in fields of their own, since dumps read them without
/// the help of `Arc`.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Text {
    pub(super) start: *const u8,
    pub(super) length: usize,
    owner: Option<Arc<str>>,
}

// SAFETY: `start` points into `owner`, which may be shared.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

impl Text {
    pub(crate) const fn none() -> Self {
        Self { start: std::ptr::null(), length: 0, owner: None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(crate) fn shared(&self) -> Option<Arc<str>> {
        self.owner.clone()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.owner.is_none()
    }
}

impl Default for Text {
    #[inline]
    fn default() -> Self {
        Self::none()
    }
}

impl From<Option<Arc<str>>> for Text {
    fn from(owner: Option<Arc<str>>) -> Self {
        let (start, length) = owner.as_ref().map_or((std::ptr::null(), 0), |text| (text.as_ptr(), text.len()));
        Self { start, length, owner }
    }
}

/// Those of the running goroutine, if it has any.
#[inline]
pub(crate) fn of(worker: &Worker, g: &G) -> Option<Arc<str>> {
    g.pinned(worker).labels.borrow().owner.clone()
}

/// Those of the calling thread, which runs no goroutine, if it has any.
#[cold]
pub(crate) fn of_thread() -> Option<Arc<str>> {
    let place = &of_this_thread().labels;
    let labels = place.take();
    place.set(labels.clone());
    labels
}

/// Copies the bytes of those of `g`, which the caller has interrupted, into `out`: as many whole pairs as there is room
/// for. Returns how many bytes. For handlers of signals; nothing is copied if they are just being replaced.
#[cfg(feature = "pprof")]
pub(super) fn copy_to(worker: &Worker, g: &G, out: &mut [usize]) -> usize {
    const WORD: usize = size_of::<usize>();
    let Ok(labels) = g.pinned(worker).labels.try_borrow() else { return 0 };
    let flat = labels.as_str().unwrap_or_default().as_bytes();
    let ends = flat.iter().enumerate().filter(|&(_, &byte)| byte == 0).map(|(index, _)| index + 1);
    // The second NUL ends a pair.
    let length = ends.skip(1).step_by(2).take_while(|&end| end <= out.len() * WORD).last().unwrap_or(0);
    for (word, bytes) in out.iter_mut().zip(flat[..length].chunks(WORD)) {
        let mut padded = [0; WORD];
        padded[..bytes.len()].copy_from_slice(bytes);
        *word = usize::from_ne_bytes(padded);
    }
    length
}

/// Replaces what the running goroutine has. A signal handler on its thread finds it borrowed meanwhile.
fn replace_own(place: &RefCell<Text>, labels: Text) -> Text {
    let mut own = place.borrow_mut();
    compiler_fence(Ordering::SeqCst);
    let before = std::mem::replace(&mut *own, labels);
    compiler_fence(Ordering::SeqCst);
    before
}

/// Makes them the caller's, and returns those that it had.
fn replace(labels: Text) -> Text {
    Worker::with_current(|worker| match crate::park::running(worker) {
        Some((worker, g)) => replace_own(&g.pinned(worker).labels, labels),
        None => Text::from(of_this_thread().labels.replace(labels.owner)),
    })
}

/// Calls `f` with these labels added to the caller's: pairs of a key and a value. (Go's `pprof.Do`.) A label replaces
/// one with the same key.
///
/// Goroutines that are created meanwhile have them, too, for as long as they live; so have theirs. On return, or when `f`
/// panics, the caller has its former labels again. On a plain OS thread it works as well, for the goroutines that it
/// creates. Labels show in dumps and in samples of profiles. A NUL in a text becomes U+FFFD.
///
/// Cost: some allocations here; one more for each goroutine that inherits labels.
///
/// ```
/// use lisle::debug::with_labels;
///
/// let child = with_labels(&[("request", "17")], || lisle::go(|| 17));
/// assert_eq!(child.join().unwrap(), 17);
/// ```
pub fn with_labels<R>(labels: &[(&str, &str)], f: impl FnOnce() -> R) -> R {
    let merged = merge(current().as_deref().unwrap_or_default(), labels);
    within(Some(merged), f)
}

/// The caller's.
pub(crate) fn current() -> Option<Arc<str>> {
    Worker::with_current(|worker| match crate::park::running(worker) {
        Some((worker, g)) => of(worker, g),
        None => of_thread(),
    })
}

/// Calls `f` with these labels instead of the caller's.
pub(crate) fn within<R>(labels: Option<Arc<str>>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Text>);
    impl Drop for Restore {
        fn drop(&mut self) {
            drop(self.0.take().map(replace));
        }
    }
    let _restore = Restore(Some(replace(Text::from(labels))));
    f()
}

fn merge(present: &str, added: &[(&str, &str)]) -> Arc<str> {
    let is_replaced = |key: &str| added.iter().any(|(other, _)| clean(other) == key);
    let kept = pairs(present).filter(|(key, _)| !is_replaced(key)).map(|(key, value)| (key.into(), value.into()));
    let mut all: Vec<(String, String)> = kept.collect();
    for (key, value) in added {
        all.retain(|(present, _)| *present != clean(key));
        all.push((clean(key), clean(value)));
    }
    all.sort();
    all.into_iter().map(|(key, value)| format!("{key}\0{value}\0")).collect::<String>().into()
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The pairs in a flat text of labels.
pub(crate) fn pairs(flat: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = flat.split('\0');
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_replaced_and_cleaned() {
        let first = merge("", &[("b", "1"), ("a", "x\0y")]);
        assert_eq!(pairs(&first).collect::<Vec<_>>(), [("a", "x\u{fffd}y"), ("b", "1")]);
        let second = merge(&first, &[("b", "2"), ("c", "")]);
        assert_eq!(pairs(&second).collect::<Vec<_>>(), [("a", "x\u{fffd}y"), ("b", "2"), ("c", "")]);
    }
}
