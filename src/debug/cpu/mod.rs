//! The CPU profile: where the processor's time goes, by samples.
//!
//! Each thread of the process gets a timer that counts its processor time ([`timer`]), so that a thread is interrupted
//! by its own work only, [`RATE`] times for each second of it. The handler ([`track`]) walks the stack of the goroutine that
//! runs, or of the worker itself, and writes it into a ring; a thread of the profiler's own empties the rings, and looks
//! for new threads and new libraries.
//!
//! Rejected: `setitimer(ITIMER_PROF)`, which interrupts whichever thread the kernel likes, and with more than one busy
//! thread not in proportion; the `pprof` crate, which does that, on the interrupted stack, and walks out of a goroutine
//! into the scheduler.

mod ring;
mod timer;
mod track;

use super::profile::{Key, Profile, Shown};
use crate::stack::own_threads;
use crate::threads::{self, service::Service};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};
use timer::Timer;
use track::{Head, MAX_TRACKS, Track};

/// Samples for each second of processor time, as Go takes them.
pub(crate) const RATE: u32 = 100;
const PERIOD: Duration = Duration::from_millis(1000 / RATE as u64);
/// How often rings are emptied and new threads looked for.
const ROUND: Duration = Duration::from_millis(50);

static ACTIVE: AtomicBool = AtomicBool::new(false);
/// The collector's thread while a profile is being taken.
static COLLECTOR: Mutex<Option<Thread>> = Mutex::new(None);

/// The calling thread, one of lisle's, has just begun: it may not live for long.
pub(crate) fn thread_begins() {
    if ACTIVE.load(Ordering::Acquire)
        && let Some(collector) = &*COLLECTOR.lock().unwrap_or_else(PoisonError::into_inner)
    {
        collector.unpark();
    }
}

/// A profile that is being taken. If it is dropped, it is lost.
pub(crate) struct Session {
    stop: Arc<AtomicBool>,
    collector: Option<JoinHandle<Profile>>,
}

impl Session {
    /// Begins.
    ///
    /// # Errors
    /// One is being taken already (`AlreadyExists`); there is no thread to be had, or no timers.
    pub(crate) fn start() -> io::Result<Self> {
        if crate::tsan::IS_ON {
            let text = "ThreadSanitizer holds signals back, by which CPU profiles are taken: not under cargo race";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        if ACTIVE.swap(true, Ordering::AcqRel) {
            let text = "a CPU profile is being taken already; there can be one at a time in a process";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let started = Self::start_alone();
        if started.is_err() {
            ACTIVE.store(false, Ordering::Release);
        }
        started
    }

    fn start_alone() -> io::Result<Self> {
        super::unwind::refresh();
        track::install_handler();
        let mut collector = Collector::new();
        collector.find_threads()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("lisle-profiler".into());
        let collector = thread.spawn(move || collector.collect(&stopped))?;
        *COLLECTOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(collector.thread().clone());
        Ok(Self { stop, collector: Some(collector) })
    }

    /// Ends, and returns what was found.
    pub(crate) fn stop(mut self) -> Profile {
        self.end().unwrap_or_else(empty_profile)
    }

    fn end(&mut self) -> Option<Profile> {
        let collector = self.collector.take()?;
        self.stop.store(true, Ordering::Release);
        collector.thread().unpark();
        let profile = collector.join().ok();
        ACTIVE.store(false, Ordering::Release);
        profile
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

fn empty_profile() -> Profile {
    let units = &[("samples", "count"), ("cpu", "nanoseconds")];
    let mut profile = Profile::new("profile", units, Shown::Everything);
    profile.period = Some((units[1], PERIOD.as_nanos() as i64));
    profile
}

/// A thread that is sampled, until this is dropped.
struct Sampled {
    place: usize,
    timer: Timer,
    /// Whether its stack is walked.
    is_own: bool,
}

impl Sampled {
    fn begin(thread: libc::pid_t, place: usize) -> io::Result<Self> {
        let timer = Timer::of_thread(thread, libc::SIGPROF, place)?;
        let is_own = Track::at(place).begin(thread, &timer);
        Ok(Self { place, timer, is_own })
    }

    /// It was looked at when it had only just begun, and not yet made its stack known.
    fn is_outdated(&self, thread: libc::pid_t) -> bool {
        !self.is_own && own_threads::stack_of(thread).is_some()
    }
}

impl Drop for Sampled {
    fn drop(&mut self) {
        Track::at(self.place).end();
    }
}

struct Collector {
    profile: Profile,
    began: Instant,
    /// The thread that empties the rings is not sampled.
    own: libc::pid_t,
    tracked: HashMap<libc::pid_t, Sampled>,
    free: Vec<usize>,
    lost: u64,
    /// Threads that had no timer or no track.
    unsampled: usize,
}

impl Collector {
    fn new() -> Self {
        Self {
            profile: empty_profile(),
            began: Instant::now(),
            own: 0,
            tracked: HashMap::new(),
            free: (0..MAX_TRACKS).rev().collect(),
            lost: 0,
            unsampled: 0,
        }
    }

    fn collect(mut self, stop: &AtomicBool) -> Profile {
        let _service = Service::begin();
        self.own = own_threads::current();
        while !stop.load(Ordering::Acquire) {
            std::thread::park_timeout(ROUND);
            self.tracked.values().map(|one| one.place).collect::<Vec<_>>().into_iter().for_each(|p| self.empty(p));
            super::unwind::refresh();
            // Threads that come and go beyond the limits are sampled as far as that goes.
            let _ = self.find_threads();
        }
        self.tracked.keys().copied().collect::<Vec<_>>().into_iter().for_each(|thread| self.release(thread));
        let Self { mut profile, began, lost, unsampled, .. } = self;
        profile.duration = began.elapsed();
        if lost > 0 {
            profile.comments.push(format!("{lost} samples were lost: the buffers were full"));
        }
        if unsampled > 0 {
            profile.comments.push(format!("{unsampled} threads were not sampled: there were no timers for them"));
        }
        profile
    }

    /// Gives each new thread a timer, and takes back the tracks of those that have ended.
    fn find_threads(&mut self) -> io::Result<()> {
        let alive: HashSet<_> = threads::listed()?.into_iter().collect();
        let is_over = |(thread, one): &(&libc::pid_t, &Sampled)| !alive.contains(thread) || one.is_outdated(**thread);
        let over: Vec<_> = self.tracked.iter().filter(is_over).map(|(&thread, _)| thread).collect();
        over.into_iter().for_each(|thread| self.release(thread));
        self.unsampled = 0;
        let mut failure = None;
        for thread in alive {
            if thread != self.own
                && !self.tracked.contains_key(&thread)
                && let Err(error) = self.track(thread)
            {
                self.unsampled += 1;
                failure = Some(error);
            }
        }
        match failure {
            Some(error) if self.tracked.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    fn track(&mut self, thread: libc::pid_t) -> io::Result<()> {
        let place = *self.free.last().ok_or(io::ErrorKind::QuotaExceeded)?;
        let sampled = Sampled::begin(thread, place)?;
        self.free.pop();
        // Somewhere in the first period, so that short-lived threads count in the mean.
        let first = 1 + u64::from(crate::park::random()) % PERIOD.as_nanos() as u64;
        sampled.timer.start(Duration::from_nanos(first), PERIOD);
        self.tracked.insert(thread, sampled);
        Ok(())
    }

    fn release(&mut self, thread: libc::pid_t) {
        let Some(place) = self.tracked.remove(&thread).map(|one| one.place) else { return };
        self.empty(place);
        self.free.push(place);
    }

    /// Takes over what the handler has written.
    fn empty(&mut self, place: usize) {
        let track = Track::at(place);
        while let Some(record) = track.ring.pop() {
            let Some((head, labels, stack)) = Head::split(&record) else { continue };
            let key = Key {
                stack: stack.into(),
                mark: head.missing.describe().map(Into::into),
                goroutine: head.goroutine as u64,
                labels,
            };
            let weight = i64::try_from(head.weight).unwrap_or(i64::MAX);
            self.profile.add(key, [weight, weight.saturating_mul(PERIOD.as_nanos() as i64)]);
        }
        self.lost += track.lost.swap(0, Ordering::Relaxed);
    }
}
