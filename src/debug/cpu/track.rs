//! What is kept of one thread while it is sampled, and the signal handler that fills it.
//!
//! # How a signal finds its track
//! A timer's signals carry the track's place in [`TRACKS`]; the track knows its timer and its thread. A SIGPROF that does
//! not match (another's timer, `kill`, one of ours that was on its way when the timer was deleted) goes to the handler
//! that was there before, if there was one.
//!
//! # Who may touch a track
//! | field | who |
//! | --- | --- |
//! | `thread`, `timer`, `stack` | the collector, while no timer is armed and `busy` is false |
//! | `cache`, `labels` | the handler that has set `busy`; the collector while `thread` is nobody |
//! | `ring` | that handler writes, the collector reads |
//!
//! Tracks are never freed, only used again: a late signal must not find nothing.
//!
//! # What the handler does
//! No allocation, no lock, no system call but one (`gettid`). It runs on the thread's alternate stack, and walks the
//! stack only where that has room: lisle's threads have 256 KiB, those of std 8, and a walk takes up to 20. Of other
//! threads there is the address alone, and a mark; there it reads no thread-local either, since in a library that was
//! loaded late the first look at one allocates.

use super::ring::Ring;
use super::timer::Timer;
use crate::debug::labels;
use crate::debug::profile::Labels;
use crate::debug::unwind::{Cache, End, Registers, StackMemory, unwind};
use crate::sched::worker::Worker;
use crate::stack::own_threads;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

const SIGNAL: libc::c_int = libc::SIGPROF;
/// Deeper stacks are cut at the outer end.
const MAX_FRAMES: usize = 192;
/// Room for some seconds of shallow stacks, and for twenty of the deepest.
const RING_WORDS: usize = 4096;
/// What an alternate stack must have for a walk.
const ROOM: usize = 64 * 1024;
/// Threads that can be sampled at once.
pub(super) const MAX_TRACKS: usize = 1024;

static TRACKS: [AtomicPtr<Track>; MAX_TRACKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_TRACKS];

/// What is missing at the outer end of a sample's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Missing {
    Nothing,
    /// The stack is deeper than a sample.
    Deep,
    /// A frame could not be left.
    Lost,
    /// The thread is not lisle's.
    NoRoom,
    /// The goroutine runs on a stack that is not its own.
    ForeignStack,
}

impl Missing {
    pub(super) fn from_word(word: usize) -> Self {
        [Self::Nothing, Self::Deep, Self::Lost, Self::NoRoom, Self::ForeignStack][word]
    }

    /// Stands in the place of the frames.
    pub(super) fn describe(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Deep => Some("[deeper than 192 calls]"),
            Self::Lost => Some("[callers not found: code without unwind tables]"),
            Self::NoRoom => Some("[callers not looked for: a thread that is not lisle's]"),
            Self::ForeignStack => Some("[callers not looked for: a stack that is not the goroutine's]"),
        }
    }
}

/// Labels beyond this are left out of samples.
const LABEL_WORDS: usize = 64;

/// A sample as it goes through the ring: these words, then the labels, then the addresses.
pub(super) struct Head {
    pub(super) missing: Missing,
    /// How many periods it stands for.
    pub(super) weight: usize,
    /// Its number, or 0.
    pub(super) goroutine: usize,
    /// Bytes of its labels.
    labels: usize,
}

impl Head {
    const WORDS: usize = 4;

    fn to_words(&self) -> [usize; Self::WORDS] {
        [self.missing as usize, self.weight, self.goroutine, self.labels]
    }

    /// Takes a record apart: the head, the labels, the addresses.
    pub(super) fn split(record: &[usize]) -> Option<(Self, Labels, &[usize])> {
        let (&[missing, weight, goroutine, labels], rest) = record.split_first_chunk::<{ Self::WORDS }>()?;
        let (words, addresses) = rest.split_at_checked(labels.div_ceil(size_of::<usize>()))?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take(labels).collect();
        let flat = String::from_utf8_lossy(&bytes);
        let pairs = labels::pairs(&flat).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Some((Self { missing: Missing::from_word(missing), weight, goroutine, labels }, pairs, addresses))
    }
}

pub(super) struct Track {
    thread: AtomicI32,
    timer: AtomicI32,
    /// Where the thread's ordinary stack lies; both zero if it is not lisle's.
    stack: (AtomicUsize, AtomicUsize),
    busy: AtomicBool,
    /// None as long as only threads were sampled whose stacks are not walked.
    cache: UnsafeCell<Option<Cache>>,
    /// Room for the labels of one sample. (Not on the stack: std's threads have 8 KiB for handlers.)
    labels: UnsafeCell<[usize; LABEL_WORDS]>,
    pub(super) ring: Ring,
    /// Periods whose samples found no room in the ring.
    pub(super) lost: AtomicU64,
}

// SAFETY: the table above says who may touch `cache`; everything else is atomic.
unsafe impl Sync for Track {}

const NOBODY: i32 = 0;

impl Track {
    /// The track at this place, a new one if there is none. For the collector, of which there is one.
    pub(super) fn at(place: usize) -> &'static Self {
        // SAFETY: null, or leaked below.
        if let Some(track) = unsafe { TRACKS[place].load(Ordering::Acquire).as_ref() } {
            return track;
        }
        let track = Box::leak(Box::new(Self {
            thread: AtomicI32::new(NOBODY),
            timer: AtomicI32::new(-1),
            stack: (AtomicUsize::new(0), AtomicUsize::new(0)),
            busy: AtomicBool::new(false),
            cache: UnsafeCell::new(None),
            labels: UnsafeCell::new([0; LABEL_WORDS]),
            ring: Ring::new(RING_WORDS),
            lost: AtomicU64::new(0),
        }));
        TRACKS[place].store(track, Ordering::Release);
        track
    }

    /// From now on the track is of this thread, whose signals come from `timer`. Whether its stack will be walked.
    pub(super) fn begin(&self, thread: libc::pid_t, timer: &Timer) -> bool {
        // What a profile that came to nothing has left.
        while self.ring.pop().is_some() {}
        self.lost.store(0, Ordering::Relaxed);
        let stack = own_threads::stack_of(thread).unwrap_or(0..0);
        if !stack.is_empty() {
            // SAFETY: the track is nobody's, so no handler uses it.
            unsafe { &mut *self.cache.get() }.get_or_insert_with(Cache::new);
        }
        self.stack.0.store(stack.start, Ordering::Relaxed);
        self.stack.1.store(stack.end, Ordering::Relaxed);
        self.timer.store(timer.id(), Ordering::Relaxed);
        self.thread.store(thread, Ordering::Release);
        !stack.is_empty()
    }

    /// The track is nobody's. A handler may still be at work, and others may come, and find that out.
    pub(super) fn end(&self) {
        self.thread.store(NOBODY, Ordering::SeqCst);
        while self.busy.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    /// Takes a sample of the calling thread, whose track this is, where it was interrupted.
    fn sample(&self, context: &libc::ucontext_t, weight: usize) {
        if self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.thread.load(Ordering::SeqCst) == own_threads::current() {
            // SAFETY: `busy` is ours.
            let cache = unsafe { &mut *self.cache.get() };
            let mut addresses = [0; MAX_FRAMES];
            let (mut head, frames) = self.walk(cache, context, weight, &mut addresses);
            // SAFETY: `busy` is ours.
            let labels = unsafe { &mut *self.labels.get() };
            head.labels = if head.missing == Missing::NoRoom { 0 } else { labels_of_running(labels) };
            let labels = &labels[..head.labels.div_ceil(size_of::<usize>())];
            if !self.ring.push([&head.to_words(), labels, &addresses[..frames]]) {
                self.lost.fetch_add(weight as u64, Ordering::Relaxed);
            }
        }
        self.busy.store(false, Ordering::SeqCst);
    }

    fn walk(
        &self,
        cache: &mut Option<Cache>,
        context: &libc::ucontext_t,
        weight: usize,
        out: &mut [usize; MAX_FRAMES],
    ) -> (Head, usize) {
        let register = |index: libc::c_int| context.uc_mcontext.gregs[index as usize] as usize;
        let from = Registers { pc: register(libc::REG_RIP), sp: register(libc::REG_RSP), bp: register(libc::REG_RBP) };
        out[0] = from.pc;
        let thread = self.stack.0.load(Ordering::Relaxed)..self.stack.1.load(Ordering::Relaxed);
        let has_room = context.uc_stack.ss_flags & libc::SS_DISABLE == 0 && context.uc_stack.ss_size >= ROOM;
        let (true, Some(cache)) = (has_room && !thread.is_empty(), cache) else {
            return (Head { missing: Missing::NoRoom, weight, goroutine: 0, labels: 0 }, 1);
        };
        let (goroutine, own) = running_goroutine();
        let bounds = [own, thread].into_iter().find(|stack| stack.contains(&from.sp));
        let Some(bounds) = bounds else {
            return (Head { missing: Missing::ForeignStack, weight, goroutine, labels: 0 }, 1);
        };
        let in_use = bounds.start.max(from.sp.saturating_sub(128))..bounds.end;
        // SAFETY: the stack that this thread runs on, from where it is in use (with the red zone) to its end.
        let walked = unsafe { unwind(cache, from, &StackMemory::in_place(in_use), out) };
        let missing = match walked.end {
            End::Complete => Missing::Nothing,
            End::Full => Missing::Deep,
            End::Lost => Missing::Lost,
        };
        (Head { missing, weight, goroutine, labels: 0 }, walked.frames.max(1))
    }
}

/// The number of the goroutine that runs on this thread, and where its stack lies.
fn running_goroutine() -> (usize, Range<usize>) {
    Worker::with_current(|worker| {
        let running = crate::park::running(worker);
        running.map_or((0, 0..0), |(worker, g)| {
            let (low, high) = g.pinned(worker).stack_bounds.get();
            (g.id as usize, low..high)
        })
    })
}

/// Copies the labels of the goroutine that runs on this thread, and returns how many bytes these are.
fn labels_of_running(out: &mut [usize]) -> usize {
    Worker::with_current(|worker| crate::park::running(worker).map_or(0, |(worker, g)| labels::copy_to(worker, g, out)))
}

/// The handler that was there before ours.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Sees to it that the handler is in force. It stays: a signal may be on its way when the last timer is deleted, and
/// SIGPROF's default is to end the process.
pub(super) fn install_handler() {
    // SAFETY: all-zero is a valid sigaction, to be filled in by the system here …
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: … which only reads the present one.
    unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &mut now) };
    let ours = handle as extern "C" fn(_, _, _) as usize;
    if now.sa_sigaction == ours {
        return;
    }
    let _ = PREVIOUS.set(now);
    // SAFETY: as above, filled in here.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for and is async-signal-safe. All signals wait for its
    // end, so that no other handler needs room on the same stack.
    unsafe {
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(SIGNAL, &action, std::ptr::null_mut());
    }
}

/// The beginning of a `siginfo_t` of a timer (`SI_TIMER`), as the kernel's interface has it on 64-bit systems.
#[repr(C)]
struct TimerInfo {
    head: [libc::c_int; 4],
    timer: libc::c_int,
    overrun: libc::c_int,
    value: usize,
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is the thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler.
    let is_timer = unsafe { (*info).si_code } == libc::SI_TIMER;
    // SAFETY: as long as a siginfo, and all bit patterns are valid; meaningful if it is a timer's.
    let timer = unsafe { &*info.cast::<TimerInfo>() };
    match is_timer.then(|| track_of(timer)).flatten() {
        // SAFETY: the kernel passes a valid context.
        Some(track) => track.sample(unsafe { &*context.cast() }, 1 + usize::try_from(timer.overrun).unwrap_or(0)),
        None => chain(signal, info, context),
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

fn track_of(info: &TimerInfo) -> Option<&'static Track> {
    // SAFETY: null, or a track that was leaked.
    let track = unsafe { TRACKS.get(info.value)?.load(Ordering::Acquire).as_ref() }?;
    (track.timer.load(Ordering::Relaxed) == info.timer).then_some(track)
}

fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        // The default would end the process, for a signal that may be a late one of ours.
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
