//! The threads whose signal handlers have room: those with an alternate stack of ours. For each, where its ordinary
//! stack lies, so that a profiler's handler can walk it.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct OwnThread {
    thread: libc::pid_t,
    stack: Range<usize>,
    signal_stack: Range<usize>,
}

static THREADS: Mutex<Vec<OwnThread>> = Mutex::new(Vec::new());

fn threads() -> MutexGuard<'static, Vec<OwnThread>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread's number, as the system has it. Async-signal-safe.
pub(crate) fn current() -> libc::pid_t {
    // SAFETY: no pointers.
    unsafe { libc::gettid() }
}

/// The calling thread becomes one of these.
pub(super) fn enlist(signal_stack: Range<usize>) {
    if let Some(stack) = crate::debug::walk::bounds_of_thread() {
        threads().push(OwnThread { thread: current(), stack, signal_stack });
        #[cfg(feature = "pprof")]
        crate::debug::cpu::thread_begins();
    }
}

/// It is none any more.
pub(super) fn strike_off() {
    let current = current();
    threads().retain(|one| one.thread != current);
}

/// Whether the calling thread is one of these.
pub(crate) fn has_current() -> bool {
    let current = current();
    threads().iter().any(|one| one.thread == current)
}

/// Where the ordinary stack of a thread lies, if it is one of these.
#[cfg_attr(not(feature = "pprof"), allow(dead_code))]
pub(crate) fn stack_of(thread: libc::pid_t) -> Option<Range<usize>> {
    threads().iter().find(|one| one.thread == thread).map(|one| one.stack.clone())
}

/// Where their alternate stacks lie.
pub(crate) fn signal_stacks() -> Vec<Range<usize>> {
    threads().iter().map(|one| one.signal_stack.clone()).collect()
}

/// Where the calling thread's stack lies.
pub(crate) fn bounds_of_current() -> Option<Range<usize>> {
    // SAFETY: all-zero is a valid pthread_attr_t to be filled in.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: the calling thread exists, and the attributes are valid to write to.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) } != 0 {
        return None;
    }
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes were filled in just now; the other two are valid to write to.
    let found = unsafe { libc::pthread_attr_getstack(&attributes, &mut low, &mut size) } == 0;
    // SAFETY: as above; they are not used any more.
    unsafe { libc::pthread_attr_destroy(&mut attributes) };
    found.then(|| low.addr()..low.addr() + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_listed_with_the_stack_that_it_runs_on_while_it_has_a_signal_stack() {
        std::thread::spawn(|| {
            assert_eq!(stack_of(current()), None);
            let memory = crate::stack::overflow::SignalStackMemory::reserve().unwrap();
            let signal_stack = crate::stack::overflow::SignalStack::install(memory);
            let here = 0_u8;
            assert!(stack_of(current()).unwrap().contains(&std::ptr::from_ref(&here).addr()));
            drop(signal_stack);
            assert_eq!(stack_of(current()), None);
        })
        .join()
        .unwrap();
    }
}
