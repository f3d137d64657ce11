//! Atomics that can be watched: std's, with std's signatures.
//!
//! Outside of [`testing::check`](crate::testing::check) they are std's, at a compare and a branch more for each operation.
//! Within it each operation is a point at which another goroutine may go first, and the race detector knows what its
//! ordering publishes: with [`Relaxed`](Ordering::Relaxed), nothing. Values are those of a sequentially consistent
//! machine: that a weak ordering can also show *old values* of the atomic itself is what the model checker `loom` is for.
//!
//! ```
//! use lisle::{race::Cell, sync::atomic::{AtomicBool, Ordering}, testing::{Config, FailureKind}};
//! let publish = |ordering| move || {
//!     let (value, ready) = (Cell::new(0), AtomicBool::new(false));
//!     lisle::scope(|s| {
//!         s.go(|| {
//!             value.set(7);
//!             ready.store(true, ordering);
//!         });
//!         s.go(|| if ready.load(Ordering::Acquire) { assert_eq!(value.get(), 7) });
//!     });
//! };
//! assert!(Config::new().explore(publish(Ordering::Release)).is_ok());
//! let failure = Config::new().explore(publish(Ordering::Relaxed)).unwrap_err();
//! assert_eq!(failure.kind(), FailureKind::Race);
//! ```

use crate::observe::{self, Op};
use crate::race::detector::Edge;
use std::fmt;
pub use std::sync::atomic::Ordering;
use std::sync::atomic::{self as real};

#[inline(always)]
#[track_caller]
fn loading<T>(atomic: &T, ordering: Ordering) {
    if observe::touch(Op::Load, atomic) {
        observe::tell(Edge::Load { atomic: observe::address(atomic), ordering });
    }
}

#[inline(always)]
#[track_caller]
fn storing<T>(atomic: &T, ordering: Ordering) {
    if observe::touch(Op::Store, atomic) {
        observe::tell(Edge::Store { atomic: observe::address(atomic), ordering });
    }
}

#[inline(always)]
#[track_caller]
fn modifying<T>(atomic: &T, ordering: Ordering) {
    if observe::touch(Op::Modify, atomic) {
        observe::tell(Edge::Modify { atomic: observe::address(atomic), ordering });
    }
}

/// A compare-exchange: a read-modify-write if it succeeds, else a load.
#[inline(always)]
#[track_caller]
fn exchanging<T, V>(
    atomic: &T,
    success: Ordering,
    failure: Ordering,
    exchange: impl FnOnce() -> Result<V, V>,
) -> Result<V, V> {
    let is_watched = observe::touch(Op::Modify, atomic);
    let result = exchange();
    if is_watched {
        let atomic = observe::address(atomic);
        observe::tell(match &result {
            Ok(_) => Edge::Modify { atomic, ordering: success },
            Err(_) => Edge::Load { atomic, ordering: failure },
        });
    }
    result
}

/// As [`std::sync::atomic::fence`].
#[inline]
#[track_caller]
pub fn fence(ordering: Ordering) {
    if observe::touch(Op::Fence, &()) {
        observe::tell(Edge::Fence(ordering));
    }
    real::fence(ordering);
}

/// What all atomics have.
macro_rules! atomic {
    ($(#[$meta:meta])* $name:ident $(<$t:ident>)?, $value:ty, $real:ty) => {
        $(#[$meta])*
        #[repr(transparent)]
        pub struct $name $(<$t>)? {
            real: $real,
        }

        impl $(<$t>)? $name $(<$t>)? {
            /// One with this value.
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self { real: <$real>::new(value) }
            }

            /// The value.
            pub fn into_inner(self) -> $value {
                self.real.into_inner()
            }

            /// The value, without synchronisation: `&mut` proves that nobody else has it.
            pub fn get_mut(&mut self) -> &mut $value {
                self.real.get_mut()
            }

            /// Reads the value.
            ///
            /// # Panics
            /// If the ordering is `Release` or `AcqRel`.
            #[inline]
            #[track_caller]
            pub fn load(&self, ordering: Ordering) -> $value {
                loading(self, ordering);
                self.real.load(ordering)
            }

            /// Writes the value.
            ///
            /// # Panics
            /// If the ordering is `Acquire` or `AcqRel`.
            #[inline]
            #[track_caller]
            pub fn store(&self, value: $value, ordering: Ordering) {
                storing(self, ordering);
                self.real.store(value, ordering);
            }

            /// Writes the value, and returns the one before.
            #[inline]
            #[track_caller]
            pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                modifying(self, ordering);
                self.real.swap(value, ordering)
            }

            /// Writes `new` if the value is `current`.
            ///
            /// # Errors
            /// The value, if it is another.
            #[inline]
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                exchanging(self, success, failure, || self.real.compare_exchange(current, new, success, failure))
            }

            /// As [`compare_exchange`](Self::compare_exchange); may fail although the value is `current`.
            ///
            /// # Errors
            /// The value, if nothing was written.
            #[inline]
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                exchanging(self, success, failure, || self.real.compare_exchange_weak(current, new, success, failure))
            }

            /// Writes what `f` makes of the value, as often as others come in between.
            ///
            /// # Errors
            /// The value, if `f` returned `None` for it.
            #[inline]
            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut before = self.load(fetch);
                while let Some(next) = f(before) {
                    match self.compare_exchange_weak(before, next, set, fetch) {
                        Err(now) => before = now,
                        done => return done,
                    }
                }
                Err(before)
            }
        }

        impl $(<$t>)? From<$value> for $name $(<$t>)? {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }

        impl $(<$t>)? fmt::Debug for $name $(<$t>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.real, f)
            }
        }
    };
}

/// Read-modify-writes of one operand.
macro_rules! fetch {
    ($name:ident, $value:ty: $($(#[$meta:meta])* $operation:ident),+) => {
        impl $name {
            $(
                $(#[$meta])*
                /// Returns the value before.
                #[inline]
                #[track_caller]
                pub fn $operation(&self, value: $value, ordering: Ordering) -> $value {
                    modifying(self, ordering);
                    self.real.$operation(value, ordering)
                }
            )+
        }
    };
}

macro_rules! integer {
    ($name:ident, $value:ty, $std:literal) => {
        atomic! {
            #[doc = concat!("As [`", $std, "`].")]
            #[derive(Default)]
            $name, $value, real::$name
        }
        fetch! {
            $name, $value:
            /// Adds, wrapping around.
            fetch_add,
            /// Subtracts, wrapping around.
            fetch_sub,
            /// Bitwise and.
            fetch_and,
            /// Bitwise nand.
            fetch_nand,
            /// Bitwise or.
            fetch_or,
            /// Bitwise exclusive or.
            fetch_xor,
            /// The maximum of both.
            fetch_max,
            /// The minimum of both.
            fetch_min
        }
    };
}

integer!(AtomicU8, u8, "std::sync::atomic::AtomicU8");
integer!(AtomicU16, u16, "std::sync::atomic::AtomicU16");
integer!(AtomicU32, u32, "std::sync::atomic::AtomicU32");
integer!(AtomicU64, u64, "std::sync::atomic::AtomicU64");
integer!(AtomicUsize, usize, "std::sync::atomic::AtomicUsize");
integer!(AtomicI8, i8, "std::sync::atomic::AtomicI8");
integer!(AtomicI16, i16, "std::sync::atomic::AtomicI16");
integer!(AtomicI32, i32, "std::sync::atomic::AtomicI32");
integer!(AtomicI64, i64, "std::sync::atomic::AtomicI64");
integer!(AtomicIsize, isize, "std::sync::atomic::AtomicIsize");

atomic! {
    /// As [`std::sync::atomic::AtomicBool`].
    #[derive(Default)]
    AtomicBool, bool, real::AtomicBool
}
fetch! {
    AtomicBool, bool:
    /// Logical and.
    fetch_and,
    /// Logical nand.
    fetch_nand,
    /// Logical or.
    fetch_or,
    /// Logical exclusive or.
    fetch_xor
}

atomic! {
    /// As [`std::sync::atomic::AtomicPtr`].
    AtomicPtr<T>, *mut T, real::AtomicPtr<T>
}

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}
