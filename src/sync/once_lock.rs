//! [`OnceLock`]: a value that is written once and then read by all.

use super::once::Once;
use crate::atomics::const_fn;
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A cell that is written to once, as [`std::sync::OnceLock`].
///
/// ```
/// use lisle::sync::OnceLock;
/// static NAME: OnceLock<String> = OnceLock::new();
/// assert_eq!(NAME.get_or_init(|| "thread".into()), "thread");
/// assert_eq!(NAME.set("rope".into()), Err("rope".into()));
/// ```
pub struct OnceLock<T> {
    /// Complete exactly when there is a value.
    once: Once,
    /// An `Option`, although `once` knows: so that no `Drop` of ours is needed, which would forbid a value that borrows
    /// from what is declared after the cell (std has the unstable `may_dangle` for that).
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value goes to the thread that takes it out.
unsafe impl<T: Send> Send for OnceLock<T> {}
// SAFETY: readers share `&T`, and one thread may write what another takes.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    const_fn! {
        /// An empty cell.
        #[must_use]
        pub const fn new() -> Self {
            Self { once: Once::new(), value: UnsafeCell::new(None) }
        }
    }

    /// The value, if it is there. Never waits.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: complete means that it is there, and nothing changes it while `&self` lives.
        self.once.is_completed().then(|| unsafe { (*self.value.get()).as_ref().unwrap_unchecked() })
    }

    /// The value, if it is there, to change.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Waits until another has set the value.
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("complete means initialised")
    }

    /// Sets the value. Waits if another is just doing so.
    ///
    /// # Errors
    /// The value given, if there is one already.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("runs once"));
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    /// The value, which `f` makes if there is none. Others wait meanwhile; `f` may wait, too.
    ///
    /// # Panics
    /// If `f` panics; the cell stays empty then. If `f` asks for the very same cell it waits for itself.
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        self.once.call_once_force(|_| {
            let value = f();
            // SAFETY: the once lets one closure run, and nobody reads before it has completed.
            unsafe { *self.value.get() = Some(value) };
        });
        self.get().expect("complete means initialised")
    }

    /// The value, taken out of the cell.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// Takes the value out and leaves the cell empty.
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_completed() {
            return None;
        }
        self.once = Once::new();
        self.value.get_mut().take()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::new, |value| Self::from(value.clone()))
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let _ = cell.set(value);
        cell
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => d.field(value),
            None => d.field(&format_args!("<uninit>")),
        };
        d.finish()
    }
}
