//! [`Cell`]: a variable that nothing protects, without its danger.

use super::identity::Number;
use crate::atomics::{Mutex, lock};
use crate::observe::{self, Op};
use std::fmt;
use std::panic::Location;

/// A variable that goroutines share without any protection, as they can in Go, and cannot in safe Rust: what the race
/// detector looks at, and the explorer of schedules interleaves. For tests of the detectors, for teaching, and to try out
/// whether a protocol (a channel, a flag, a lock beside the data) really orders what it is meant to order.
///
/// It is sound itself: a value is read and written whole, never torn, whoever else uses the cell. What a race does here
/// is what it does in Go to a word: an update may be lost.
///
/// Two uses by different goroutines of which one at least is a [`set`](Self::set), and which nothing orders, are a data
/// race. It is reported by [`testing::check`](crate::testing::check), always; and in ordinary runs, with the feature
/// `race`, as in the [module](super).
///
/// Cost: a short lock, some 10 ns; with the feature `race` some 80 ns for the first use after each synchronisation (a
/// microsecond if the thread has not made such calls before: then the stack is walked), less for further ones.
///
/// ```
/// use lisle::{race::Cell, testing::{Config, FailureKind}};
/// use std::sync::Arc;
/// let failure = Config::new()
///     .explore(|| {
///         let counter = Arc::new(Cell::new(0));
///         let other = lisle::go({
///             let counter = Arc::clone(&counter);
///             move || counter.set(counter.get() + 1)
///         });
///         counter.set(counter.get() + 1);
///         other.join().unwrap();
///     })
///     .unwrap_err();
/// assert_eq!(failure.kind(), FailureKind::Race);
/// ```
pub struct Cell<T> {
    number: Number,
    value: Mutex<T>,
}

impl<T: Copy> Cell<T> {
    /// A variable with this value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { number: Number::new(), value: Mutex::new(value) }
    }

    /// Reads the variable.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T {
        self.note(Op::CellRead);
        *lock(&self.value)
    }

    /// Writes the variable.
    #[inline]
    #[track_caller]
    pub fn set(&self, value: T) {
        self.note(Op::CellWrite);
        *lock(&self.value) = value;
    }

    /// Reads the variable and writes what `f` makes of it: two uses, between which others may come.
    #[inline]
    #[track_caller]
    pub fn update(&self, f: impl FnOnce(T) -> T) {
        self.set(f(self.get()));
    }

    #[inline(always)]
    #[track_caller]
    fn note(&self, op: Op) {
        if observe::touch(op, self) {
            let address = observe::address(self);
            observe::access(&self.number.access(address, op == Op::CellWrite, Location::caller()));
        }
    }
}

impl<T> Cell<T> {
    /// The value; nobody else can use it any more.
    #[must_use]
    pub fn into_inner(self) -> T
    where
        T: Copy,
    {
        *lock(&self.value)
    }
}

impl<T: Copy + Default> Default for Cell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").finish_non_exhaustive()
    }
}
