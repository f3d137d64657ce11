//! crate docs follow

mod atomics;
pub mod sync;

#[cfg(loom)]
#[path = "park_loom.rs"]
mod park;

#[cfg(not(loom))]
mod runtime_modules {}

#[cfg(not(loom))]
mod blocking;
mod clock;
#[cfg(not(loom))]
mod cpu;
#[cfg(not(loom))]
mod goroutine;
#[cfg(not(loom))]
mod local;
#[cfg(not(loom))]
mod park;
#[cfg(not(loom))]
mod poll;
#[cfg(not(loom))]
mod runtime;
#[cfg(not(loom))]
mod sched;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
mod spawn;
#[cfg(not(loom))]
mod stack;
#[cfg(not(loom))]
pub mod time;
#[cfg(not(loom))]
mod timer;

#[cfg(not(loom))]
pub use crate::{
    blocking::blocking,
    goroutine::{Cancelled, Exited, Goroutine, current, exit, no_switch, park, park_timeout, yield_now},
    local::{AccessError, LocalKey},
    park::WaitReason,
    runtime::{Config, Metrics, PanicPolicy, Runtime, metrics, num_goroutines, run},
    sched::watchdog::{GoroutineInfo, StuckKind, StuckReport},
    scope::{Scope, ScopedJoinHandle, scope},
    spawn::{Builder, JoinHandle, LocalJoinHandle, go, go_local},
    stack::{DEFAULT_STACK_SIZE, MAX_STACK_SIZE, MIN_STACK_SIZE},
};
