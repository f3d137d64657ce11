//! [`LazyLock`]: a value that is made at its first use.

use super::once::Once;
use crate::atomics::const_fn;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// What there is: the closure until it runs, the value after it has completed, neither after a panic.
union Content<T, F> {
    init: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
}

/// A value that is made at its first use, as [`std::sync::LazyLock`]. Others wait meanwhile, and the
/// initialiser may wait, too: with std's, that would block the whole worker.
///
/// ```
/// use lisle::sync::LazyLock;
/// static TABLE: LazyLock<Vec<u32>> = LazyLock::new(|| (0..3).collect());
/// assert_eq!(TABLE.len(), 3);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    content: UnsafeCell<Content<T, F>>,
}

// SAFETY: one thread runs the closure, all share the value.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}
// (Send comes by itself: both are owned.)
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    const_fn! {
        /// One that will be made by `f`.
        #[must_use]
        pub const fn new(f: F) -> Self {
            Self { once: Once::new(), content: UnsafeCell::new(Content { init: ManuallyDrop::new(f) }) }
        }
    }

    /// The value, made now if it was not yet.
    ///
    /// # Panics
    /// If the initialiser panics, now or before.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        if !this.once.is_completed() {
            this.make();
        }
        // SAFETY: complete means that the content is the value, which stays.
        unsafe { &(*this.content.get()).value }
    }

    /// The value to change, made now if it was not yet.
    ///
    /// # Panics
    /// If the initialiser panics, now or before.
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        // SAFETY: complete means that the content is the value, and `&mut` that nobody else has it.
        unsafe { &mut this.content.get_mut().value }
    }

    #[cold]
    #[track_caller]
    fn make(&self) {
        let mut poisoned = false;
        self.once.call_once_force(|state| {
            if state.is_poisoned() {
                poisoned = true;
                return state.poison();
            }
            // SAFETY: the once lets one closure run, the first of all: the content is the initialiser.
            // If that panics, the once is poisoned, and the content is nothing from then on.
            let content = unsafe { &mut *self.content.get() };
            // SAFETY: as above; it is taken out once.
            let init = unsafe { ManuallyDrop::take(&mut content.init) };
            let value = init();
            content.value = ManuallyDrop::new(value);
        });
        assert!(!poisoned, "LazyLock instance has previously been poisoned");
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. Never waits.
    ///
    /// ```
    /// use lisle::sync::LazyLock;
    /// let lazy = LazyLock::new(|| 6 * 7);
    /// assert_eq!(LazyLock::get(&lazy), None);
    /// assert_eq!(*lazy, 42);
    /// assert_eq!(LazyLock::get(&lazy), Some(&42));
    /// ```
    #[must_use]
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        // SAFETY: complete means that the content is the value, which stays.
        this.once.is_completed().then(|| unsafe { &*(*this.content.get()).value })
    }

    /// The value to change, if it has been made.
    #[must_use]
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // SAFETY: complete means that the content is the value, and `&mut` that nobody else has it.
        this.once.is_completed().then(|| unsafe { &mut *this.content.get_mut().value })
    }
}

impl<T, F> Drop for LazyLock<T, F> {
    fn drop(&mut self) {
        let content = self.content.get_mut();
        match self.once.state() {
            // SAFETY: complete: the content is the value.
            (true, _) => unsafe { ManuallyDrop::drop(&mut content.value) },
            // Poisoned: it is nothing.
            (_, true) => {}
            // SAFETY: never ran (nobody can be running it now): the content is the initialiser.
            _ => unsafe { ManuallyDrop::drop(&mut content.init) },
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_tuple("LazyLock");
        if self.once.is_completed() {
            // SAFETY: complete means that the content is the value.
            d.field(unsafe { &*(*self.content.get()).value });
        } else {
            d.field(&format_args!("<uninit>"));
        }
        d.finish()
    }
}
