//! Whether the caller runs in a signal handler, where a dump cannot be made: what it has interrupted may hold the allocator's
//! locks, or ours, so that it would wait for itself for ever.
//!
//! The system does not tell, but what it leaves behind does: a handler runs on the thread's alternate stack, or else it has
//! returned to an address of the C library's, the *restorer*, which stands on the stack above it and nowhere else; and its
//! signal is blocked meanwhile. A stack is searched for that address only if any signal is blocked, so that a leftover on the
//! stack of an ordinary thread is not taken for it. Not found out: a handler on the ordinary stack with `SA_NODEFER`.
//!
//! All of this may be done in a handler: no locks, no allocations.

use super::leaked::memory::read;
use crate::stack::PAGE;
use std::ffi::c_int;

const WORD: usize = size_of::<usize>();
/// So much of a stack is searched.
const DEPTH: usize = 1024 * 1024;

/// Whether a handler is among the caller's callers. `frame` lies in the frame of the caller: no trace of what is done here is
/// above it.
#[inline(never)]
pub(super) fn is_above(frame: *const u8) -> bool {
    is_on_alternate_stack() || (is_any_signal_blocked() && restorer().is_some_and(|address| finds(frame, address)))
}

fn is_on_alternate_stack() -> bool {
    // SAFETY: all-zero is a valid value.
    let mut present: libc::stack_t = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `present` is ours to write to.
    unsafe { libc::sigaltstack(std::ptr::null(), &mut present) };
    present.ss_flags & libc::SS_ONSTACK != 0
}

fn is_any_signal_blocked() -> bool {
    // SAFETY: all-zero is a valid value.
    let mut blocked: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `blocked` is ours to write to.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut blocked) };
    // SAFETY: a set that the system has filled in.
    signals().any(|signal| unsafe { libc::sigismember(&blocked, signal) } == 1)
}

fn signals() -> std::ops::RangeInclusive<c_int> {
    1..=64
}

/// To where handlers return. `None`: there are no handlers.
fn restorer() -> Option<usize> {
    /// As the kernel has it on x86-64.
    #[repr(C)]
    #[derive(Default)]
    struct Action {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    signals().find_map(|signal| {
        let mut action = Action::default();
        let none = std::ptr::null::<Action>();
        // SAFETY: only asks; `action` is what the kernel writes, with a mask of 8 bytes.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, &raw mut action, 8_usize) };
        (action.restorer != 0).then_some(action.restorer)
    })
}

/// Whether the word stands on the stack, from `from` on. The kernel reads it in our name: where the stack ends is not known.
fn finds(from: *const u8, word: usize) -> bool {
    let mut bytes = [0; PAGE];
    let start = from.addr().next_multiple_of(WORD);
    let mut at = start;
    while at < start.saturating_add(DEPTH) {
        // Page by page: one can be read or not.
        let page = &mut bytes[..PAGE - at % PAGE];
        if !read(at, page) {
            return false;
        }
        if page.chunks_exact(WORD).any(|bytes| bytes == word.to_ne_bytes()) {
            return true;
        }
        at += page.len();
    }
    false
}
