//! The fault handler: tells a stack overflow from any other fault, and says whose it was.
//!
//! It runs on an alternate stack (the goroutine's own is used up), reads the worker's thread-local pointer
//! and the running goroutine's immutable fields, formats into a fixed buffer, writes with one system call,
//! and aborts. No allocation, no lock. Faults outside the guard of the running goroutine's stack go to the
//! handler that was there before: std's, which reports overflows of OS threads, or the user's.

use super::{GUARD, slab};
use crate::sched::worker::Worker;
use std::borrow::Borrow;
use std::fmt::Write;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::{Once, OnceLock};

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The handlers that were there before ours.
static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Installs the handler, once for the process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    // Once: a handler that the user installs later stays in force.
    INSTALLED.call_once(install_now);
}

fn install_now() {
    PREVIOUS.get_or_init(|| {
        // The previous actions are read before ours are set, so that the handler always finds them.
        SIGNALS.map(|signal| {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: a null action only reads the current one into `before`, for which zero is valid.
            unsafe {
                libc::sigaction(signal, std::ptr::null(), before.as_mut_ptr());
                before.assume_init()
            }
        })
    });
    for signal in SIGNALS {
        // SAFETY: all-zero is a valid sigaction, which is then filled in.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for and is async-signal-safe.
        unsafe {
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler.
    let address = unsafe { (*info).si_addr() }.addr();
    if slab::existing_range().is_some_and(|range| range.contains(address)) {
        Worker::with_current(|worker| {
            if let Some(worker) = worker {
                report_overflow(worker, address);
            }
        });
    }
    chain(signal, info, context);
}

/// Reports and aborts if `address` lies in the guard of the running goroutine's stack.
fn report_overflow(worker: &Worker, address: usize) {
    let Some(g) = worker.running() else { return };
    let (low, high) = g.pinned(worker).stack_bounds.get();
    if !(low - GUARD..low).contains(&address) {
        return;
    }
    let mut text = Line { bytes: [0; 512], length: 0 };
    let _ = write!(text, "\ngoroutine {}", g.id);
    if let Some(name) = g.name() {
        let _ = write!(text, " (\"{name}\")");
    }
    let _ = writeln!(
        text,
        " has overflowed its stack\nstack size: {} KiB (ask for more with Builder::stack_size)\ncreated at {}",
        (high - low).div_ceil(1024),
        g.created_at
    );
    text.write();
    // SAFETY: abort is async-signal-safe.
    unsafe { libc::abort() };
}

fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let index = usize::from(signal != SIGNALS[0]);
    let Some(previous) = PREVIOUS.get().map(|all| all[index]) else { return };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // Back to the default, and return: the instruction faults again and the process dies of it.
            // SAFETY: `previous` is what the system gave us.
            unsafe { libc::sigaction(signal, &previous, std::ptr::null_mut()) };
            // SAFETY: the kernel's siginfo; raise is async-signal-safe.
            if unsafe { (*info).si_code } <= 0 {
                // Sent by a process, not caused by an instruction: nothing would fault again.
                // SAFETY: async-signal-safe.
                unsafe { libc::raise(signal) };
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: SA_SIGINFO handlers have this signature.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: handlers without SA_SIGINFO have this signature.
            let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// A line of text on the stack; what does not fit is cut.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let fits = room.len().min(text.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        Ok(())
    }
}

impl Line {
    fn write(&self) {
        // SAFETY: the buffer is valid for its length; write is async-signal-safe.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.length) };
    }
}

/// Memory for a thread's alternate signal stack. std's 8 KiB would do for this handler, but not for those
/// that walk stacks: these need 6 KiB, in a debug build 20, and more than 64 under AddressSanitizer. Memory is what is
/// touched; below it lies a guard, since a handler that overflows into somebody's memory is not to be found.
///
/// It is reserved by whoever starts the thread: without it the thread does not start, and its creator hears why. (A thread
/// that found out for itself could only end, and those who count on it would wait for ever.)
pub(crate) struct SignalStackMemory {
    start: usize,
}

impl SignalStackMemory {
    const GUARD: usize = 4096;
    const SIZE: usize = 256 * 1024;

    /// # Errors
    /// The system refuses the memory.
    pub(crate) fn reserve() -> io::Result<Self> {
        let refused = || {
            let error = io::Error::last_os_error();
            io::Error::new(error.kind(), format!("no memory for the thread's signal stack: {error}"))
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let length = Self::GUARD + Self::SIZE;
        // SAFETY: a new mapping, which nobody else knows of.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if map == libc::MAP_FAILED {
            return Err(refused());
        }
        let this = Self { start: map.addr() };
        // SAFETY: the upper part of that mapping.
        let usable = unsafe { libc::mprotect(this.stack(), Self::SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        if usable == 0 { Ok(this) } else { Err(refused()) }
    }

    /// Where the part lies that is a stack.
    fn stack(&self) -> *mut libc::c_void {
        std::ptr::without_provenance_mut(self.start + Self::GUARD)
    }
}

impl Drop for SignalStackMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `reserve` made, and it is in force nowhere: a `SignalStack` takes it out of force first.
        unsafe { libc::munmap(std::ptr::without_provenance_mut(self.start), Self::GUARD + Self::SIZE) };
    }
}

const NO_STACK: libc::stack_t = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };

/// The calling thread's alternate signal stack, in force until dropped; then that is which was before. If somebody puts
/// another into force meanwhile, or none, it remains so: the one that was before may be gone.
pub(crate) struct SignalStack<M: Borrow<SignalStackMemory> = SignalStackMemory> {
    memory: M,
    before: libc::stack_t,
    /// It stays on its thread.
    _not_send: PhantomData<*const ()>,
}

impl<M: Borrow<SignalStackMemory>> SignalStack<M> {
    /// It is dropped, not forgotten, by who has only borrowed the memory.
    pub(crate) fn install(memory: M) -> Self {
        let start = memory.borrow().stack();
        let stack = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: SignalStackMemory::SIZE };
        let mut before = NO_STACK;
        // SAFETY: the memory stays where it is until `drop` has taken it out of force; `before` is valid to write to.
        unsafe { libc::sigaltstack(&stack, &mut before) };
        super::own_threads::enlist(start.addr()..start.addr() + SignalStackMemory::SIZE);
        Self { memory, before, _not_send: PhantomData }
    }
}

impl<M: Borrow<SignalStackMemory>> Drop for SignalStack<M> {
    fn drop(&mut self) {
        super::own_threads::strike_off();
        let mut now = NO_STACK;
        // SAFETY: only asks, and `now` is valid to write to.
        unsafe { libc::sigaltstack(std::ptr::null(), &mut now) };
        if now.ss_sp == self.memory.borrow().stack() {
            // SAFETY: no handler is running on ours: we are running, on the thread's own stack. The memory goes after this.
            // What was there before is as good as it was: who lets it go takes it out of force, and would have taken ours.
            unsafe { libc::sigaltstack(&self.before, std::ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force() -> *mut libc::c_void {
        let mut now = NO_STACK;
        // SAFETY: only asks.
        unsafe { libc::sigaltstack(std::ptr::null(), &mut now) };
        now.ss_sp
    }

    #[test]
    fn the_signal_stack_that_was_before_is_in_force_again_unless_somebody_has_taken_ours_out_of_force() {
        let [outer, inner] = [(); 2].map(|()| SignalStackMemory::reserve().unwrap());
        let others = in_force();
        let before = SignalStack::install(&outer);
        drop(SignalStack::install(&inner));
        assert_eq!(in_force(), outer.stack());
        let ours = SignalStack::install(&inner);
        // SAFETY: what was in force before any of these.
        unsafe { libc::sigaltstack(&before.before, std::ptr::null_mut()) };
        drop(ours);
        assert_eq!(in_force(), others);
        drop(before);
        assert_eq!(in_force(), others);
    }
}
