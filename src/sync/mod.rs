//! Locks and other ways to wait for each other: std's, with std's signatures and poisoning, and Go's.
//!
//! All of them work between goroutines, between OS threads, and across the two. What waits is a goroutine,
//! not its worker: use these instead of [`std::sync`]'s wherever the holder of a lock may wait for anything
//! while it holds it.
//!
//! | type | model |
//! | --- | --- |
//! | [`Mutex`], [`RwLock`], [`Condvar`], [`Once`], [`OnceLock`], [`LazyLock`], [`Barrier`] | `std::sync` |
//! | [`WaitGroup`], [`Semaphore`] | Go's `sync` and `x/sync` |
//! | [`atomic`] | `std::sync::atomic`, for tests that watch |
//! | [`Arc`], [`Weak`], [`PoisonError`] and its kin | std's own, so that `use std::sync::{Arc, Mutex}` moves as a whole |
//!
//! Not here: `std::sync::mpsc` (see [`channel`](crate::channel), whose interface is crossbeam-channel's), and
//! `Condvar::wait_timeout_ms`, which std has deprecated.
//!
//! Each operation that may wait counts against the goroutine's budget: after 256 of them in a row without
//! a wait it lets its neighbours run. `try_…`, unlocking, notifying and dropping never switch.

#[cfg(not(loom))]
pub mod atomic;
mod back_off;
mod barrier;
mod condvar;
mod lazy_lock;
mod mutex;
mod once;
mod once_lock;
mod poison;
mod raw_mutex;
mod rwlock;
mod semaphore;
mod wait_group;
pub(crate) mod wait_list;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{OwnedPermit, Permit, Semaphore};
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};
pub use wait_group::{WaitGroup, WaitGuard};
