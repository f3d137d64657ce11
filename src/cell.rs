//! [`UnsafeCell`]: std's, with its uses told to the race detector.
//!
//! The convention is that of the crate `loom`: the pointer is lent to a closure, by [`with`](UnsafeCell::with) for
//! reading and by [`with_mut`](UnsafeCell::with_mut) for writing, so that each use has a beginning and an end. Unsafe code
//! that is written against this type is checked by [`testing::check`](crate::testing::check), and in ordinary runs with the
//! feature `race`. Otherwise the cell is std's, of the same size, and each use costs a compare and a branch more.

use crate::observe::{self, Op};
use crate::race::identity::Place;
use std::fmt;
use std::panic::Location;

/// A [`std::cell::UnsafeCell`] whose uses are watched for data races.
///
/// As std's it is not `Sync`: who shares it says so, and synchronises.
///
/// ```
/// use lisle::{cell::UnsafeCell, sync::atomic::{AtomicBool, Ordering}};
///
/// /// Hands over one value, from one goroutine to another.
/// struct HandOver<T> { value: UnsafeCell<Option<T>>, ready: AtomicBool }
/// // SAFETY: the value is used by its giver before `ready` is set, by its taker afterwards.
/// unsafe impl<T: Send> Sync for HandOver<T> {}
///
/// impl<T> HandOver<T> {
///     fn give(&self, value: T) {
///         // SAFETY: not ready yet, so the taker does not look.
///         self.value.with_mut(|slot| unsafe { *slot = Some(value) });
///         self.ready.store(true, Ordering::Release); // Relaxed here is a data race, and reported
///     }
///     fn take(&self) -> Option<T> {
///         // SAFETY: ready, so the giver has done.
///         self.ready.load(Ordering::Acquire).then(|| self.value.with_mut(|slot| unsafe { (*slot).take() }))?
///     }
/// }
///
/// lisle::testing::check(|| {
///     let place = HandOver { value: UnsafeCell::new(None), ready: AtomicBool::new(false) };
///     lisle::scope(|s| {
///         s.go(|| place.give(7));
///         s.go(|| assert!(matches!(place.take(), None | Some(7))));
///     });
/// });
/// ```
// C: the place is at the cell's own address.
#[repr(C)]
pub struct UnsafeCell<T: ?Sized> {
    place: Place,
    value: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { place: Place::new(), value: std::cell::UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Lends the pointer for reading: the caller promises that nobody writes meanwhile, and the detector looks whether
    /// that is so.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.note(Op::CellRead);
        f(self.value.get())
    }

    /// Lends the pointer for reading and writing: the caller promises that nobody else uses it meanwhile, and the
    /// detector looks whether that is so.
    #[inline]
    #[track_caller]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.note(Op::CellWrite);
        f(self.value.get())
    }

    /// The value, without a look at anybody: `&mut` proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[inline(always)]
    #[track_caller]
    fn note(&self, op: Op) {
        if observe::touch(op, self) {
            let address = observe::address(self);
            observe::access(&self.place.access(address, op == Op::CellWrite, Location::caller()));
        }
    }
}

impl<T: Default> Default for UnsafeCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for UnsafeCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsafeCell").finish_non_exhaustive()
    }
}
