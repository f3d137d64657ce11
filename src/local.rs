//! Goroutine-local variables: [`goroutine_local!`](crate::goroutine_local) and [`LocalKey`].
//!
//! The values of one goroutine live in a short list, each counted by itself: a use keeps its value alive even
//! if the goroutine ends meanwhile (a generator can carry the use over to a neighbour). They are dropped at
//! the end of the goroutine, on its own stack, the latest first. On a plain OS thread the list hangs on the
//! thread.
//!
//! An initialiser that parks is harmless here, unlike in `thread_local!`: nobody but this goroutine can
//! reach the slot. One that recurses into its own variable keeps the first value that was stored.

use crate::sched::g::G;
use crate::sched::worker::Worker;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A key and its value.
type Local = (usize, Rc<dyn Any>);

/// The list of one goroutine or thread. Keys are addresses of `LocalKey` statics.
pub(crate) struct Locals {
    // A pointer-sized Option while nobody uses it: most goroutines have no locals.
    #[expect(clippy::box_collection, reason = "one word, not three, for the many that have none")]
    values: RefCell<Option<Box<Vec<Local>>>>,
    gone: Cell<bool>,
}

impl Locals {
    pub(crate) const fn new() -> Self {
        Self { values: RefCell::new(None), gone: Cell::new(false) }
    }

    fn find(&self, key: usize) -> Option<Rc<dyn Any>> {
        let values = self.values.borrow();
        let (_, value) = values.as_ref()?.iter().find(|(k, _)| *k == key)?;
        Some(Rc::clone(value))
    }

    fn insert(&self, key: usize, value: Rc<dyn Any>) -> Rc<dyn Any> {
        self.values.borrow_mut().get_or_insert_default().push((key, Rc::clone(&value)));
        value
    }

    /// The goroutine ends: `clear`, at no cost for those that have none.
    #[inline(always)]
    fn end(&self) {
        self.gone.set(true);
        if self.values.borrow().is_some() {
            self.clear();
        }
    }

    /// Drops all values, the latest first. Destructors may still use the earlier ones, but make no new
    /// ones: a destructor that brings itself back would never end.
    fn clear(&self) {
        self.gone.set(true);
        loop {
            let latest = self.values.borrow_mut().as_mut().and_then(|values| values.pop());
            let Some((_, value)) = latest else { break };
            // A destructor that panics must not stop the others, nor escape: the goroutine's result is
            // decided already. The panic hook has told it.
            let _loud = crate::tsan::loud();
            let dropped = catch_unwind(AssertUnwindSafe(move || drop(value)));
            if let Err(payload) = dropped {
                crate::report::discard_payload(payload);
            }
        }
        *self.values.borrow_mut() = None;
    }
}

impl Drop for Locals {
    fn drop(&mut self) {
        // On a thread's end; a goroutine has cleared its list before, at home.
        self.clear();
    }
}

thread_local! {
    static OF_THREAD: Locals = const { Locals::new() };
}

/// Drops the locals of `g`, which is running and about to end.
#[inline(always)]
pub(crate) fn drop_current(g: &G) {
    Worker::with_current(|worker| {
        if let Some(pinned) = worker.and_then(|worker| g.pinned_at(worker)) {
            pinned.locals.end();
        }
    });
}

fn with_locals<R>(f: impl FnOnce(&Locals) -> R) -> Result<R, AccessError> {
    Worker::with_current(|worker| match crate::park::running(worker) {
        Some((worker, g)) => Ok(f(&g.pinned(worker).locals)),
        None => OF_THREAD.try_with(f).map_err(|_| AccessError),
    })
}

/// A variable of which each goroutine has its own value. Made by [`goroutine_local!`](crate::goroutine_local).
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

/// The error of [`LocalKey::try_with`]: the goroutine is ending and its locals are gone already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a goroutine-local variable was used after the goroutine's locals were dropped")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Calls `f` with this goroutine's value, which is made at the first use. `f` may park.
    ///
    /// # Panics
    /// If the goroutine is ending and its locals are gone; see [`try_with`](Self::try_with).
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `f` with this goroutine's value, which is made at the first use.
    ///
    /// # Errors
    /// [`AccessError`] if the goroutine is ending and its locals are gone.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let key = std::ptr::from_ref(self).addr();
        let found = match with_locals(|locals| locals.find(key))? {
            Some(found) => found,
            None => {
                if with_locals(|locals| locals.gone.get())? {
                    return Err(AccessError);
                }
                let fresh = (self.init)();
                // The initialiser may have stored a value by using this very variable: that one stays.
                match with_locals(|locals| locals.find(key))? {
                    Some(found) => found,
                    None => with_locals(|locals| locals.insert(key, Rc::new(fresh)))?,
                }
            }
        };
        Ok(f(found.downcast_ref().expect("a key has one type")))
    }
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// Declares goroutine-local variables, as [`std::thread_local!`] declares thread-local ones.
///
/// A `thread_local!` is shared by all goroutines of a worker; a `goroutine_local!` belongs to one
/// goroutine alone, and its value is dropped when that goroutine ends. On plain OS threads it behaves as a
/// thread-local. Cost: a search through the goroutine's few locals.
///
/// ```
/// use std::cell::Cell;
/// lisle::goroutine_local! {
///     /// The request that this goroutine serves.
///     static REQUEST: Cell<u64> = Cell::new(0);
/// }
/// REQUEST.with(|request| request.set(7));
/// let other = lisle::go(|| REQUEST.with(|request| request.get())).join().unwrap();
/// assert_eq!((other, REQUEST.with(|request| request.get())), (0, 7));
/// ```
#[macro_export]
macro_rules! goroutine_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident : $type:ty = $init:expr);+ $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::LocalKey<$type> = {
                fn init() -> $type { $init }
                $crate::LocalKey::new(init)
            };
        )+
    };
}
