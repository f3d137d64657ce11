//! When nothing in the program can ever go on: the search for deadlocks, and the report.
//!
//! Go's runtime counts its threads that run; when none is left, and no timer, it ends the program with "all goroutines
//! are asleep - deadlock!". A library does not own the process: other threads may wake a goroutine at any time. So lisle
//! looks at all threads of the process, and reports only if it can tell of each that it waits, and for lisle.
//!
//! # What is looked at, and what keeps a program alive
//! | case | how it is known | |
//! | --- | --- | --- |
//! | a goroutine runs, or is ready | its worker does not sleep, or something lies in its inbox | alive |
//! | one has not started, or waits for a stack | created, less ended, less started | alive |
//! | one keeps its thread, or has one of its own, and waits | that thread sleeps as a worker does | waits |
//! | a timer, a deadline, a deferred call | the worker's next timer, the runtime's table | alive |
//! | a blocking call, a foreign function | a thread of the pool that is neither idle nor waits in lisle | alive |
//! | a blocking call for which there is no thread | those that have one decide | |
//! | a blocking call that itself waits in lisle | as any thread of the program | waits |
//! | a foreign function, called by a goroutine | its worker does not sleep | alive |
//! | a signal that somebody listens for | listeners that are not gone | alive |
//! | SIGQUIT for a dump | sets nobody going | waits |
//! | a thread of the program, the main one included | waits in lisle, without a deadline, and nobody woke it | waits |
//! | any other thread: sleeping, reading, one of a library | it is in `/proc/self/task` | alive |
//! | threads that serve lisle (debug server, profiler …) | they have enlisted; none wakes goroutines | waits |
//! | other runtimes of the process, those shut down included | as this one | |
//!
//! "Alive" is told when in doubt: a library's thread that sleeps for ever hides a deadlock (a dump, Ctrl-\\, shows it
//! then). So does an address space without `/proc`.
//!
//! # Why there is no false alarm
//! Nothing is stopped for a look, so one look proves nothing: a goroutine could always be where we are not looking. Two
//! looks do. Each participant (worker, thread) counts: slices and sleeps, or waits. If at both looks all wait, and all
//! counts are the same, then each has waited all the time from its turn in the first look to its turn in the second, so
//! there was a moment, between the looks, at which all waited together, and nobody was there to make a timer, a thread, a
//! listener, or a wake-up. (Threads that serve lisle do not wait. But they count the times that they call the user's code,
//! or do what may set a goroutine going: there was none from the end of the first look to the end of the second.) Wake-ups on their way show: who is woken is marked before its waker goes on to wait itself
//! (the inbox and the `Sleeper` of a worker, the token of a thread), however long the system leaves it without processor.
//!
//! # When it is looked
//! By the watchdog, which is up every 10 ms while a worker is, and has nothing else to do when all sleep. Before it sleeps
//! itself it makes sure that nothing has run since its look: whoever is up then wakes it. (A worker counts as up first, and
//! wakes it second; the other way round the watchdog saw a sleeper whose timer was still to come, and slept on.) It looks again
//! when an OS thread begins a wait ([`thread_waits`]), and, as threads that are not lisle's end without a word, now and
//! then: after 10 ms, 20 ms …, a minute at most.

use super::watchdog::TICK;
use super::worker::WorkerShared;
use super::{Scheduler, all, all_with_stopped};
use crate::debug::{dump, waits_for};
use crate::report::{UnlockedStderr, discard_payload};
use crate::runtime::DeadlockPolicy;
use crate::threads::{self, parker, service};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// More goroutines than these are told folded, and not by who waits for whom.
const MOST_ALONE: u64 = 1000;

/// How often OS threads of the program have begun a wait.
static THREAD_WAITS: AtomicU64 = AtomicU64::new(0);

/// An OS thread begins a wait that only others can end. What was no deadlock a moment ago may be one now.
pub(crate) fn thread_waits() {
    THREAD_WAITS.fetch_add(1, Ordering::SeqCst);
    for scheduler in all() {
        scheduler.note_awake();
    }
}

/// Why it is no deadlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alive {
    /// A worker is up, or about to sleep: it is soon to be seen what comes of it.
    Up,
    /// A worker's timer, a call that waits for a thread: when that ends, a worker gets up, and the watchdog with it.
    Heard,
    /// Another thread, a deferred call, a goroutine that cannot start, a listener: this may end without a word.
    Unheard,
}

/// All who wait, with their counts.
#[derive(PartialEq, Eq)]
struct Observation {
    /// Number of the thread, slices, sleeps.
    workers: Vec<(libc::pid_t, u64, u64)>,
    /// Number of the thread, waits that have ended.
    waiting: Vec<(libc::pid_t, u64)>,
    threads: Vec<libc::pid_t>,
    /// Calls of the user's code by threads that serve lisle.
    calls: u64,
}

/// The watchdog's memory of the search.
pub(super) struct Search {
    seen: Option<Observation>,
    pause: Duration,
    again: Option<Instant>,
    thread_waits: u64,
    /// What the watchdog's own runtime had done by the last look.
    activity: u64,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { seen: None, pause: TICK, again: None, thread_waits: 0, activity: 0 }
    }

    /// Looks, and ends the program if nothing in it can ever go on. Returns after which time to look again, if nobody
    /// wakes the watchdog before.
    pub(super) fn look(&mut self, own: &Scheduler, now: Instant) -> Option<Duration> {
        self.activity = own.activity();
        let thread_waits = THREAD_WAITS.load(Ordering::SeqCst);
        if std::mem::replace(&mut self.thread_waits, thread_waits) != thread_waits {
            self.pause = TICK;
            self.again = None;
        }
        if let Some(again) = self.again.filter(|&again| now < again) {
            return Some(again - now);
        }
        self.again = None;
        let schedulers = all_with_stopped();
        if schedulers.iter().any(|scheduler| scheduler.config.deadlock == DeadlockPolicy::Ignore) {
            return None;
        }
        match observe(&schedulers) {
            Ok(observation) => {
                if self.seen.as_ref() == Some(&observation) {
                    end_program(&schedulers);
                }
                self.seen = Some(observation);
                self.pause = TICK;
                Some(TICK)
            }
            Err(alive) => {
                self.seen = None;
                self.pause_after(alive, now)
            }
        }
    }

    fn pause_after(&mut self, alive: Alive, now: Instant) -> Option<Duration> {
        let pause = std::mem::replace(&mut self.pause, TICK);
        match alive {
            Alive::Up => Some(TICK),
            Alive::Heard => None,
            Alive::Unheard => {
                self.pause = LONGEST_PAUSE.min(2 * pause);
                self.again = Some(now + pause);
                Some(pause)
            }
        }
    }

    /// Whether a thread has begun to wait since the last look, or a worker was up: the watchdog, which was up as well, was
    /// not woken for that. To be asked once it has announced its own sleep.
    pub(super) fn is_outdated(&self, own: &Scheduler) -> bool {
        THREAD_WAITS.load(Ordering::SeqCst) != self.thread_waits || own.activity() != self.activity
    }
}

fn observe(schedulers: &[Arc<Scheduler>]) -> Result<Observation, Alive> {
    let mut workers = Vec::new();
    for scheduler in schedulers {
        scheduler.observe_workers(&mut workers)?;
    }
    let idle = crate::blocking::idle_threads().ok_or(Alive::Heard)?;
    if crate::signal::delivery::is_awaited() {
        return Err(Alive::Unheard);
    }
    let mut waiting = Vec::new();
    for one in parker::waiting() {
        if one.has_deadline {
            return Err(Alive::Unheard);
        }
        waiting.push((one.thread, one.ended));
    }
    // Last: whoever is not in one of these lists is alive.
    let threads = threads::of_process().ok_or(Alive::Unheard)?;
    let serving = service::all();
    let is_known = |thread: &libc::pid_t| {
        serving.threads.contains(thread)
            || idle.contains(thread)
            || workers.iter().any(|(worker, ..)| worker == thread)
            || waiting.iter().any(|(waits, _)| waits == thread)
    };
    let is_all = threads.iter().all(is_known);
    is_all.then_some(Observation { workers, waiting, threads, calls: serving.calls }).ok_or(Alive::Unheard)
}

impl Scheduler {
    /// Changes whenever a goroutine has run.
    fn activity(&self) -> u64 {
        self.total(|counters| &counters.slices)
    }

    /// Adds the workers, if all of them sleep and nothing is there to wake one.
    fn observe_workers(&self, into: &mut Vec<(libc::pid_t, u64, u64)>) -> Result<(), Alive> {
        let dedicated = self.dedicated_workers();
        let first = into.len();
        for worker in self.workers().iter().chain(dedicated) {
            into.push(worker.observe()?);
        }
        fence(Ordering::SeqCst);
        // A thread that has only just been started, or is about to end, is no worker of the table.
        if into.len() - first != self.threads() || self.idle.searching() > 0 {
            return Err(Alive::Up);
        }
        if self.first_deferred().is_some() || self.unstarted() > 0 { Err(Alive::Unheard) } else { Ok(()) }
    }
}

impl WorkerShared {
    fn observe(&self) -> Result<(libc::pid_t, u64, u64), Alive> {
        if !self.is_asleep() || self.has_deliveries() {
            return Err(Alive::Up);
        }
        if self.counters.next_timer.load(Ordering::Relaxed) != 0 {
            return Err(Alive::Heard);
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Ok((self.thread.id(), count(&self.counters.slices), count(&self.counters.sleeps)))
    }
}

/// Prints what Go prints, and ends the program as Go does.
fn end_program(schedulers: &[Arc<Scheduler>]) -> ! {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    while BEGUN.swap(true, Ordering::SeqCst) {
        // Another runtime's watchdog has seen it, too, and is about to end the process.
        std::thread::sleep(LONGEST_PAUSE);
    }
    // Whatever goes wrong in the telling, the program ends.
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tell(schedulers)));
    told.err().into_iter().for_each(discard_payload);
    dump::end_program()
}

fn tell(schedulers: &[Arc<Scheduler>]) {
    let mut stderr = UnlockedStderr;
    let _ = stderr.write_all(b"fatal error: all goroutines are asleep - deadlock!\n\n");
    let goroutines: u64 = schedulers.iter().map(|scheduler| scheduler.live()).sum();
    let format = if goroutines > MOST_ALONE { dump::Format::Folded } else { dump::Format::Text };
    let _ = dump::dump_to(&mut stderr, format);
    if goroutines <= MOST_ALONE {
        let _ = stderr.write_all(waits_for::told().as_bytes());
    }
}
