//! The atomics, locks and spin hints of every wake-up protocol in one place, and the memory of what is shared by count, so
//! that the loom model checker can stand in for them (`RUSTFLAGS="--cfg loom"`). Protocol code imports from here and is the
//! same source in both worlds.

#[cfg(not(loom))]
pub(crate) use std::{
    alloc::{alloc, dealloc},
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use loom::{
    alloc::{alloc, dealloc},
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

/// Declares constructors that are `const` everywhere but under loom, whose atomics have no `const` `new`.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_fn;

/// Locks one of the runtime's own short critical sections. They hold no user code, so a poisoned one
/// still guards consistent data.
///
/// Under the explorer a goroutine may have been made to wait while it held one. Then it goes first.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> + '_ {
    #[cfg(not(loom))]
    if crate::observe::is_explored() {
        while let Err(std::sync::TryLockError::WouldBlock) = mutex.try_lock() {
            crate::park::yield_now();
        }
    }
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
