//! Goroutines for Rust: plain blocking code on lightweight threads, a million of them at once.
//!
//! ```
//! use lisle::{go, sync::WaitGroup, time::sleep};
//! use std::time::Duration;
//!
//! let group = WaitGroup::new();
//! for i in 1..=3 {
//!     group.go(move || {
//!         println!("goroutine {i} starts");
//!         sleep(Duration::from_millis(10)); // others run meanwhile
//!         println!("goroutine {i} ends");
//!     });
//! }
//! group.wait();
//! assert_eq!(go(|| 6 * 7).join().unwrap(), 42);
//! ```
//!
//! There is no `async`, no colour of functions, no macro on `main`, and no `unsafe` in your hands: the
//! runtime starts with the first [`go`](crate::go()). What is written for `std::thread` and `std::sync` moves over by its
//! imports; what is written in Go moves over line by line.
//!
//! | to … | use |
//! | --- | --- |
//! | start a goroutine | [`go`](crate::go()), [`go!`](macro@go), [`Builder`]; [`go_local`] for closures that are not `Send` |
//! | borrow from the caller | [`scope`](scope()) |
//! | wait for others | [`JoinHandle::join`], [`sync::WaitGroup`], [`sync`] |
//! | send messages, wait for one of several | [`channel`], [`select!`] |
//! | wait for time to pass, or do something later | [`time`] |
//! | end work that is not wanted any more | [`context`] |
//! | run parts of a task, and get their first error | [`errgroup`] |
//! | run a loop in parallel, or a pipeline | [`parallel`] |
//! | bound how many tasks run at once | [`pool`], [`sync::Semaphore`] |
//! | do once what many ask for | [`singleflight`] |
//! | hear signals of the system, such as Ctrl-C | [`signal`] |
//! | end a program in good order | [`shutdown`] |
//! | test all that: every interleaving, without waiting for time | [`testing`] |
//! | find data races | [`race`] |
//! | call what blocks a thread | [`blocking`](blocking()) |
//! | see inside a running program | [`debug`] |
//! | know who runs | [`current`], [`num_goroutines`], [`metrics`](metrics()) |
//! | configure | [`Config`], or the environment (`LISLE_WORKERS`, …) |
//!
//! # Before you rely on it
//! Read the page [Contract](contract): what is guaranteed, what nobody can guarantee, and the first rule:
//! **wait on lisle's locks, not on std's**.
//!
//! # Platform
//! Linux on x86-64 is what is tested. Linux 6.13 or later gives a million goroutines on the default limits;
//! older kernels give about 32,000 until `vm.max_map_count` is raised.

// The models use parts of the crate only.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

mod atomics;
pub mod channel;
mod clock;
#[cfg_attr(loom, path = "observe_loom.rs")]
mod observe;
pub mod sync;
#[cfg_attr(lisle_tsan, path = "tsan/on.rs")]
#[cfg_attr(not(lisle_tsan), path = "tsan/off.rs")]
mod tsan;

/// Declares what exists outside the loom models only.
macro_rules! not_under_loom {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

not_under_loom! {
    mod blocking;
    pub mod cell;
    mod compile_fail;
    pub mod context;
    #[doc = include_str!("contract.md")]
    pub mod contract {}
    mod cpu;
    pub mod debug;
    pub mod errgroup;
    mod goroutine;
    mod local;
    mod membarrier;
    mod metrics;
    mod of_thread;
    pub mod parallel;
    mod park;
    mod poll;
    pub mod pool;
    pub mod race;
    mod random;
    mod refused;
    mod report;
    mod runtime;
    mod sched;
    mod scope;
    pub mod shutdown;
    pub mod signal;
    pub mod singleflight;
    mod spawn;
    mod stack;
    pub mod testing;
    mod threads;
    pub mod time;
    mod timer;
    mod unwind;

    pub use crate::{
        blocking::blocking,
        goroutine::{Cancelled, Exited, Goroutine, current, exit, no_switch, park, park_timeout, yield_now},
        local::{AccessError, LocalKey},
        park::WaitReason,
        metrics::{Metrics, WorkerMetrics, metrics},
        refused::{Refusal, Refused},
        runtime::{Config, DeadlockPolicy, PanicPolicy, Runtime, num_goroutines, run},
        sched::watchdog::{GoroutineInfo, StuckKind, StuckReport},
        scope::{Scope, ScopedJoinHandle, scope},
        spawn::{Builder, JoinHandle, LocalJoinHandle, go, go_local},
        stack::{DEFAULT_STACK_SIZE, MAX_STACK_SIZE, MIN_STACK_SIZE},
    };
}

#[cfg(loom)]
#[path = "membarrier_loom.rs"]
mod membarrier;
#[cfg(loom)]
#[path = "park_loom.rs"]
mod park;
/// The protocol files of the scheduler, alone.
#[cfg(loom)]
#[path = "sched"]
mod sched_models {
    pub(crate) mod deque;
    pub(crate) mod idle;
    pub(crate) mod inbox;
    pub(crate) mod life;
}
#[cfg(all(loom, test))]
mod loom_models;
