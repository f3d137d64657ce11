//! Waits that must not switch: the goroutine keeps its thread until it is woken.
//!
//! While it waits, the thread still serves its inbox and its timers, so that whoever is to wake the
//! goroutine can; but no neighbour runs. Fresh work goes elsewhere: everybody may steal it, and a
//! replacement worker starts if no other is free. The watchdog tells when neighbours wait behind.

use super::g::{G, Pinned, RunState};
use super::worker::Worker;
use std::mem::MaybeUninit;

/// Why a goroutine keeps its thread while it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeepThread {
    /// Inside `no_switch`.
    NoSwitch,
    /// It is unwinding: the panic count and the poisoning of locks belong to the thread.
    Panicking,
    /// It runs on a stack that is not its own (`stacker::grow`, a nested generator).
    ForeignStack,
    /// A thread-local points into a goroutine's stack.
    ThreadLocal,
}

impl KeepThread {
    /// A byte for `WorkerShared`; never 0.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::NoSwitch => 1,
            Self::Panicking => 2,
            Self::ForeignStack => 3,
            Self::ThreadLocal => 4,
        }
    }

    /// What a code means to people.
    pub(crate) fn describe(code: u8) -> Option<&'static str> {
        Some(match code {
            1 => "it is inside no_switch",
            2 => "it is unwinding from a panic",
            3 => "it runs on a stack that is not its own",
            4 => "a thread-local points into a goroutine's stack",
            _ => return None,
        })
    }
}

/// Whether the running goroutine must not switch now.
#[inline(always)]
pub(crate) fn reason_to(worker: &Worker, g: &G, pinned: &Pinned) -> Option<KeepThread> {
    let (low, high) = pinned.stack_bounds.get();
    // Nothing is stored there: only the address is wanted.
    let on_stack = MaybeUninit::<u8>::uninit();
    let sp = on_stack.as_ptr().addr();
    if !(low..high).contains(&sp) {
        return Some(KeepThread::ForeignStack);
    }
    if pinned.no_switch.get() > 0 {
        return Some(KeepThread::NoSwitch);
    }
    if std::thread::panicking() {
        return Some(KeepThread::Panicking);
    }
    if worker.scanner.is_clean() { None } else { look_closely(worker, g) }
}

#[cold]
#[inline(never)]
fn look_closely(worker: &Worker, g: &G) -> Option<KeepThread> {
    let hit = worker.scanner.scan()?;
    worker.scheduler.count_hit(worker, g, hit);
    Some(KeepThread::ThreadLocal)
}

/// Waits for the token without leaving the thread.
#[cold]
pub(crate) fn park_in_place(worker: &Worker, g: &G, pinned: &Pinned, why: KeepThread) {
    crate::observe::with_explorer(|explorer| {
        explorer.cannot_wait_in_place(KeepThread::describe(why.code()).unwrap_or_default());
    });
    crate::park::leave_traces(pinned, RunState::ParkedInPlace);
    worker.shared.begin_keep(why);
    worker.scheduler.provide_runner();
    while !pinned.token.replace(false) {
        worker.poll_others();
        if pinned.token.replace(false) {
            break;
        }
        worker.sleep_in_place();
    }
    worker.shared.end_keep();
    pinned.state.set(RunState::Running);
    debug_assert!(g.is_home(worker));
}
