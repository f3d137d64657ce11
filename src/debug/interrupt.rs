//! The stack of a goroutine that runs: its thread is interrupted by a signal, SIGURG as in Go, and walks its own stack.
//!
//! SIGURG is what the kernel ignores by default, and what hardly any program uses. A handler that was there before is
//! called for signals that are not ours; one that is installed later and does not call ours makes running goroutines go
//! without a stack. The handler runs on the worker's alternate stack (`stack::overflow::SignalStack`), takes no lock and
//! allocates nothing.
//!
//! One request at a time. Its word goes IDLE → ASKED → (handler) WRITING → DONE → IDLE; who asked may give up as long as
//! it is ASKED, so that a handler that comes late finds nothing to do.

use super::unwind::{Cache, End, Outcome, Registers, StackMemory, unwind};
use crate::sched::worker::{Worker, WorkerShared};
use crate::tsan;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

const SIGNAL: libc::c_int = libc::SIGURG;
/// How long a thread may take to answer.
const PATIENCE: Duration = Duration::from_millis(20);

const IDLE: u8 = 0;
const ASKED: u8 = 1;
const WRITING: u8 = 2;
const DONE: u8 = 3;

struct Request {
    word: AtomicU8,
    thread: AtomicI32,
    goroutine: AtomicU64,
    /// Made by who asks first, and never freed: a handler may come late.
    cache: AtomicPtr<Cache>,
    answer: UnsafeCell<(Option<Outcome>, [usize; 128])>,
}

// SAFETY: `answer` and what `cache` points to belong to the handler that made the word WRITING until it makes it DONE,
// then to who asked.
unsafe impl Sync for Request {}

static REQUEST: Request = Request {
    word: AtomicU8::new(IDLE),
    thread: AtomicI32::new(0),
    goroutine: AtomicU64::new(0),
    cache: AtomicPtr::new(std::ptr::null_mut()),
    answer: UnsafeCell::new((None, [0; 128])),
};

/// The action that was there before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Walks the stack of this goroutine, which runs on that worker. `None`: it does not any more, or the thread does not
/// answer.
pub(super) fn stack_of(worker: &WorkerShared, goroutine: u64, out: &mut [usize]) -> Option<Outcome> {
    // ThreadSanitizer holds signals back, and then tells handlers of registers that are long gone.
    if tsan::IS_ON {
        return None;
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    install();
    if REQUEST.cache.load(Ordering::Relaxed).is_null() {
        REQUEST.cache.store(Box::leak(Box::new(Cache::new())), Ordering::Relaxed);
    }
    let thread = worker.thread.id();
    REQUEST.thread.store(thread, Ordering::Relaxed);
    REQUEST.goroutine.store(goroutine, Ordering::Relaxed);
    REQUEST.word.store(ASKED, Ordering::Release);
    // SAFETY: no pointers; the thread is one of this process, or there is none and nothing happens.
    let is_sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) } == 0;
    if !wait_for_answer(if is_sent { PATIENCE } else { Duration::ZERO }) {
        return None;
    }
    // SAFETY: the word is DONE: the answer is ours.
    let (outcome, addresses) = unsafe { &*REQUEST.answer.get() };
    let outcome = *outcome;
    if let Some(outcome) = outcome {
        out[..outcome.frames].copy_from_slice(&addresses[..outcome.frames]);
    }
    REQUEST.word.store(IDLE, Ordering::Relaxed);
    outcome
}

fn wait_for_answer(patience: Duration) -> bool {
    // The system's time, whoever asks.
    let start = std::time::Instant::now();
    loop {
        if REQUEST.word.load(Ordering::Acquire) == DONE {
            return true;
        }
        if start.elapsed() > patience
            && REQUEST.word.compare_exchange(ASKED, IDLE, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            return false;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

fn install() {
    PREVIOUS.get_or_init(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all-zero is a valid sigaction, which is then filled in.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for and is async-signal-safe; for `before`, zero is
        // valid.
        unsafe {
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(SIGNAL, &action, before.as_mut_ptr());
            before.assume_init()
        }
    });
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the calling thread's errno, which is put back.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: no pointers.
    let is_meant = REQUEST.thread.load(Ordering::Relaxed) == unsafe { libc::gettid() };
    let is_ours =
        is_meant && REQUEST.word.compare_exchange(ASKED, WRITING, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if is_ours {
        // SAFETY: the word is WRITING: the answer is ours.
        let (outcome, addresses) = unsafe { &mut *REQUEST.answer.get() };
        // SAFETY: the kernel passes the interrupted context to an SA_SIGINFO handler.
        let registers = unsafe { registers(context) };
        *outcome = Worker::with_current(|worker| worker.and_then(|worker| walk(worker, registers, addresses)));
        REQUEST.word.store(DONE, Ordering::Release);
    } else {
        call_previous(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// The registers of interrupted code.
///
/// # Safety
/// `context` is what the kernel passes to an SA_SIGINFO handler.
pub(super) unsafe fn registers(context: *mut libc::c_void) -> Registers {
    // SAFETY: as the caller promises.
    let saved = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let get = |register: libc::c_int| saved[register as usize] as usize;
    Registers { pc: get(libc::REG_RIP), sp: get(libc::REG_RSP), bp: get(libc::REG_RBP) }
}

/// In the handler, on the thread of `worker`.
fn walk(worker: &Worker, from: Registers, addresses: &mut [usize]) -> Option<Outcome> {
    let g = worker.running().filter(|g| g.id == REQUEST.goroutine.load(Ordering::Relaxed))?;
    let (low, high) = g.pinned(worker).stack_bounds.get();
    if !(low..high).contains(&from.sp) {
        // In the scheduler, or on a stack that it has made itself.
        return Some(Outcome { frames: 0, end: End::Lost });
    }
    // SAFETY: made by who asked, and ours while the word is WRITING.
    let cache = unsafe { &mut *REQUEST.cache.load(Ordering::Relaxed) };
    // SAFETY: the live part of the stack that was running, and we are in its way.
    Some(unsafe { unwind(cache, from, &StackMemory::in_place(from.sp & !7..high), addresses) })
}

fn call_previous(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        // What is ignored by default.
        libc::SIG_DFL | libc::SIG_IGN => {}
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
