//! [`leaked`]: goroutines that nothing in the program can wake any more.
//!
//! Go 1.27 asks its collector: a goroutine that waits is in use only if what it waits for can be reached from something
//! in use (the idea: Saioc et al., "Dynamic Partial Deadlock Detection and Recovery via Garbage Collection", ASPLOS 2025).
//! Rust has no collector, but memory can be looked at as a conservative collector does (Boehm and Weiser, 1988), once: any
//! word that could be an address counts as one.
//!
//! # How
//! 1. The process makes a copy of itself (`clone` without sharing, as `fork` does): all of memory at nearly one moment, while
//!    the program goes on. (The kernel marks page after page as to be copied, which takes some milliseconds for each
//!    gigabyte; but a processor that is writing to a page learns of that at the end.) Only the asking thread exists in the copy, and it uses no lock and no allocator.
//! 2. In the copy, everything that is not the heap, and not the stack of a goroutine, is in use: statics, threads' stacks
//!    and thread-locals, memory of other allocators. So are goroutines that run, are ready, sleep, or have a deadline.
//! 3. From there all that can be reached is in use: blocks of glibc's heap, as their headers tell them; goroutine objects;
//!    and the stacks of goroutines, if anything in use refers to the goroutine or its stack. A channel, a lock, a group that
//!    is in use does so for all who wait there: their entries are in its list.
//! 4. Goroutines that wait and were not reached are leaked. That is done twice, at two moments; what is told was so at both.
//!
//! # Who counts as one who may wake
//! lisle's own books, a join handle, a slot of a queue that a goroutine has left long ago: many know a goroutine's address
//! and will never wake it. Whoever waits is therefore listed under another word, the address and one
//! ([`Waiter`](crate::park::Waiter)), and only that word counts, besides addresses on its stack. Workers' own stacks are not
//! looked at: no code of the user's runs there. (While goroutines have not started they are, since those may lie there.)
//!
//! # Cost
//! The copy costs what `fork` does, some milliseconds for each gigabyte of memory in use, during which the asking thread
//! waits and the others run on; afterwards each page that they write to is copied first. The copy then reads all memory in
//! use, about a gigabyte a second, on a processor of its own.

mod heap;
mod mark;
pub(super) mod memory;

use super::dump;
use super::registry::{self, State, Wanted};
use crate::park::WaitReason;
use crate::sched;
use crate::sched::task_memory;
use crate::sched::watchdog::GoroutineInfo;
use crate::stack::cache::{self, Carved};
use crate::stack::{GUARD, RESERVED, own_threads, slab};
use memory::Array;
use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Blocks that can be waiting to be looked at.
const WORK: usize = 1 << 24;
/// Between the two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// A copy that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A goroutine that nothing can wake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// Who it is, and where it was created.
    pub goroutine: GoroutineInfo,
    /// What it waits for.
    pub reason: WaitReason,
    /// For how long, at the least.
    pub waited: Duration,
}

impl std::fmt::Display for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waits for ever ({}), since {:?}", self.goroutine, self.reason, self.waited)
    }
}

/// Goroutines that wait for others, on a channel, a lock, a group, a join, and that nothing in the program can wake any more:
/// whatever could is itself held only by such goroutines. (Go's `goroutineleak` profile.) By their numbers.
///
/// **What is proved**: at two moments, some milliseconds apart, no word in the memory of the process that is or may be in
/// use was an address from which the goroutine can be reached. So it will wait for ever, provided that nobody keeps the
/// address in another form (exclusive-or'ed, compressed, with a tag in its high bits), in a file, in memory shared with
/// another process or kept from copies (`MADV_DONTFORK`), or, at both moments, in a register of an OS thread and nowhere in
/// memory, or on its way from one place in memory to another just while the system copied both. (A goroutine that waits has
/// its registers on its stack. A thread of the program's own that sleeps in the system for long could have one that no
/// function on the way has saved; that is rare, and cannot be seen from here.)
///
/// **What is guessed**: nothing. In doubt a goroutine is *not* told: if a stale copy of the address lies anywhere that is
/// looked at, such as an unused slot in the frame of the function that made the channel and still runs, or in a
/// block of memory that was given back; and if memory is not glibc's `malloc`'s, whatever lies in it counts as in
/// use. So a leak may stay unseen for a while; a list that is empty proves nothing. Who waits in
/// [`park`](crate::park()) is never told.
///
/// The program goes on meanwhile. From any goroutine or thread; calls come one after the other. Costs some 10 ms, and a
/// second for each gigabyte of memory in use, on another processor; see the sources.
///
/// # Errors
/// The system refuses a copy of the process (`fork`), memory for it, or to read its own memory (`process_vm_readv`,
/// `/proc/self/maps`, `/proc/self/pagemap`); or it takes longer than two minutes; or the program runs under `cargo race`.
///
/// ```
/// # #[inline(never)] fn make() {
/// let (sender, receiver) = lisle::channel::bounded::<u32>(0);
/// lisle::go(move || {
///     let _ = receiver.recv(); // waits for itself: nobody else has the sender
///     drop(sender);
/// });
/// # }
/// # make();
/// # while lisle::metrics().parks == 0 { std::thread::yield_now(); }
/// for leak in lisle::debug::leaked()? {
///     println!("{leak}"); // goroutine 1 created at src/main.rs:3:8 waits for ever (chan receive), since 10ms
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn leaked() -> io::Result<Vec<Leak>> {
    dump::on_large_stack(|| {
        let ids = ids()?;
        let mut leaks = Vec::new();
        registry::visit(Wanted::default(), |one| {
            if let State::Waiting(reason) = one.state
                && ids.contains(&one.id)
            {
                leaks.push(Leak { goroutine: one.info(), reason, waited: one.lasting });
            }
            ControlFlow::Continue(())
        });
        leaks.sort_by_key(|leak| leak.goroutine.id);
        Ok(leaks)
    })
}

/// Their numbers. Not from a goroutine, whose stack may be too small.
pub(crate) fn ids() -> io::Result<HashSet<u64>> {
    if crate::tsan::IS_ON {
        let text = "ThreadSanitizer keeps memory of its own for all that the program has: no leaks are looked for under \
                    cargo race";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let first = look()?;
    if first.is_empty() {
        return Ok(first);
    }
    std::thread::sleep(PAUSE);
    let second = look()?;
    Ok(first.intersection(&second).copied().collect())
}

/// What the copy has to know, made before: it cannot take locks.
struct Process {
    runs: Vec<Carved>,
    /// All stacks of goroutines lie in here.
    stacks: Range<usize>,
    /// Chunks of goroutine objects, with the size of these.
    objects: Vec<(Range<usize>, usize)>,
    /// Memory that refers to goroutines and means nothing by it: starts and ends, sorted.
    hidden: Vec<(usize, usize)>,
    freed_key: Option<usize>,
    results: Range<usize>,
    /// Where the stack of the copy's own doings begins.
    stack_of_copy: Cell<usize>,
}

impl Process {
    fn new(results: &Array<u64>, runs: Vec<Carved>) -> io::Result<Self> {
        let (start, end) = slab::range()?.bounds();
        let mut this = Self {
            runs,
            stacks: start..end,
            objects: task_memory::chunks(),
            hidden: Vec::new(),
            freed_key: heap::freed_key(),
            results: results.place(),
            stack_of_copy: Cell::new(0),
        };
        let mut hidden = own_threads::signal_stacks();
        let schedulers = sched::all_with_stopped();
        if schedulers.iter().all(|scheduler| scheduler.unstarted() == 0) {
            for scheduler in &schedulers {
                hidden.extend(scheduler.own_stacks());
                hidden.extend(scheduler.rings());
            }
        }
        this.hidden = hidden.into_iter().map(|range| (range.start, range.end)).collect();
        this.hidden.sort_unstable();
        Ok(this)
    }

    fn slots(&self) -> usize {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// The number of the slot on whose stack an address lies. (Those of guards stand for slots, in lists of these.)
    fn slot_of(&self, address: usize) -> Option<usize> {
        let mut first = 0;
        for run in &self.runs {
            if (run.start..run.start + run.count * run.slot).contains(&address) {
                let offset = address - run.start;
                let is_on_stack = (GUARD..run.slot - RESERVED).contains(&(offset % run.slot));
                return is_on_stack.then_some(first + offset / run.slot);
            }
            first += run.count;
        }
        None
    }
}

/// One look, at one moment.
fn look() -> io::Result<HashSet<u64>> {
    let runs = cache::carved();
    let slots: usize = runs.iter().map(|run| run.count).sum();
    // The last one says whether it has been done.
    let mut results = Array::<u64>::shared(slots + 1).ok_or_else(io::Error::last_os_error)?;
    let process = Process::new(&results, runs)?;
    let child = copy_process(|| {
        // From here on the stack is the copy's own.
        let here = 0_u8;
        process.stack_of_copy.set(std::ptr::from_ref(&here).addr());
        if let Some((done, leaked)) = results.as_mut_slice().split_last_mut()
            && mark::run(&process, leaked).is_some()
        {
            *done = 1;
        }
    })?;
    wait_for(child)?;
    let (done, leaked) = results.as_slice().split_last().expect("one more than slots");
    if *done == 0 {
        return Err(io::Error::other(
            "the copy of the process could not read its memory, or had no room for its notes",
        ));
    }
    Ok(leaked.iter().copied().filter(|&id| id != 0).collect())
}

/// Makes a copy of the process, in which `f` is called and nothing else happens.
fn copy_process(f: impl FnOnce()) -> io::Result<libc::pid_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the sets are valid to write to. Handlers must not run in the copy: they would write to what it shares.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    // SAFETY: no pointers.
    let parent = unsafe { libc::getpid() };
    // SAFETY: no memory is shared and no stack is given: this is `fork`, without a signal at the child's end and without
    // the handlers that libraries have set up for forks.
    let child = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if child == 0 {
        // It has all open files of the program, whose ends would stay open for as long as it lives.
        // SAFETY: no pointers.
        let is_orphan = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            libc::getppid() != parent
        };
        if !is_orphan {
            memory::be_expendable();
            f();
        }
        // SAFETY: ends the copy, without any handlers.
        unsafe { libc::_exit(0) };
    }
    let error = io::Error::last_os_error();
    // SAFETY: filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    if child < 0 { Err(error) } else { Ok(child as libc::pid_t) }
}

fn wait_for(child: libc::pid_t) -> io::Result<()> {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: our child, of which nobody else knows; `status` is valid to write to.
        match unsafe { libc::waitpid(child, &mut status, libc::__WALL | libc::WNOHANG) } {
            0 if start.elapsed() > PATIENCE => {
                // SAFETY: as above.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            0 => std::thread::sleep(Duration::from_micros(500)),
            _ if libc::WIFEXITED(status) => return Ok(()),
            _ if start.elapsed() > PATIENCE => {
                let text = format!("the copy of the process was not done with its memory after {PATIENCE:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            _ => return Err(io::Error::other(format!("the copy of the process ended with status {status:#x}"))),
        }
    }
}
