//! The profiles by name, as the server and [`write_profile`] have them.

use super::{Profile, goroutines, threads};
use crate::debug::dump::on_large_stack;
use crate::debug::{cpu, waits};
use std::io::{self, Write};
use std::time::Duration;

/// A profile that is a look at what is, or at what was counted so far. (The CPU profile takes time: [`CpuProfile`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileKind {
    /// The stacks of all goroutines.
    Goroutine,
    /// The stacks of those goroutines that nothing can wake any more; see [`leaked`](crate::debug::leaked()).
    GoroutineLeak,
    /// Where goroutines waited for others, and for how long; see
    /// [`set_block_profile_rate`](crate::debug::set_block_profile_rate).
    Block,
    /// Who held locks that others waited for; see
    /// [`set_mutex_profile_fraction`](crate::debug::set_mutex_profile_fraction).
    Mutex,
    /// The threads of the process, by the calls that created them, as far as lisle did, and by their names.
    ThreadCreate,
}

impl ProfileKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Goroutine, Self::GoroutineLeak, Self::Block, Self::Mutex, Self::ThreadCreate];

    /// Its name in Go, and at the server.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Goroutine => "goroutine",
            Self::GoroutineLeak => "goroutineleak",
            Self::Block => "block",
            Self::Mutex => "mutex",
            Self::ThreadCreate => "threadcreate",
        }
    }

    /// What it says, in a few words.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Goroutine => "Stacks of all goroutines. debug=2: each by itself, as a panic in Go shows them.",
            Self::GoroutineLeak => {
                "Stacks of goroutines that nothing can wake any more. Makes a copy of the process to find out. debug=2: each by itself."
            }
            Self::Block => "Where goroutines waited for others, and for how long. Off until the program turns it on.",
            Self::Mutex => "Who held locks that others waited for. Off until the program turns it on.",
            Self::ThreadCreate => "Threads of the process, by the calls that created them, and by their names.",
        }
    }

    /// # Errors
    /// Of the search for leaks.
    pub(crate) fn collect(self) -> io::Result<Profile> {
        Ok(match self {
            Self::Goroutine => goroutines::all(),
            Self::GoroutineLeak => goroutines::leaked()?,
            Self::Block => waits::block_profile(),
            Self::Mutex => waits::mutex_profile(),
            Self::ThreadCreate => threads::profile(),
        })
    }
}

/// Writes a profile for `go tool pprof` (protocol buffers, compressed with gzip; function names, files and lines are
/// included, so that the tool needs nothing else). Go's `pprof.Lookup(name).WriteTo(w, 0)`.
///
/// # Errors
/// Of `out`; of [`leaked`](crate::debug::leaked()).
///
/// ```
/// use lisle::debug::{ProfileKind, write_profile};
/// let waiter = lisle::go(lisle::park);
/// let mut bytes = Vec::new(); // or a File: go tool pprof goroutines.pb.gz
/// write_profile(ProfileKind::Goroutine, &mut bytes)?;
/// assert_eq!(bytes[..2], [0x1f, 0x8b]);
/// # waiter.goroutine().unpark();
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_profile(kind: ProfileKind, mut out: impl Write) -> io::Result<()> {
    out.write_all(&on_large_stack(|| Ok(kind.collect()?.encode()))?)
}

/// A CPU profile that is being taken: 100 samples for each second of processor time, of every thread. Go's
/// `pprof.StartCPUProfile` and `StopCPUProfile`.
///
/// A sample has the goroutine's number and labels, and its stack from the goroutine's own closure on. Threads that are
/// not lisle's have no room for a walk: their samples have the innermost function alone, and say so. While it is taken,
/// processor time grows by well under 1 %.
///
/// ```
/// use lisle::debug::CpuProfile;
/// let profile = CpuProfile::start()?;
/// assert!(CpuProfile::start().is_err()); // one at a time
/// let mut bytes = Vec::new(); // or a File: go tool pprof cpu.pb.gz
/// profile.stop(&mut bytes)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct CpuProfile(cpu::Session);

impl CpuProfile {
    /// Begins.
    ///
    /// # Errors
    /// One is being taken already (`AlreadyExists`); the system has no thread or no timers for it.
    pub fn start() -> io::Result<Self> {
        on_large_stack(cpu::Session::start).map(Self)
    }

    /// Ends, and writes what was found, as [`write_profile`] does. Dropping it instead ends it, too, and writes nothing.
    ///
    /// # Errors
    /// Of `out`.
    pub fn stop(self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&on_large_stack(|| Ok(self.0.stop().encode()))?)
    }
}

impl std::fmt::Debug for CpuProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuProfile").finish_non_exhaustive()
    }
}

/// Takes a CPU profile for so long, or until `is_over`.
pub(crate) fn cpu_profile(duration: Duration, is_over: impl Fn() -> bool) -> io::Result<Profile> {
    let session = cpu::Session::start()?;
    wait(duration, is_over);
    Ok(session.stop())
}

/// Blocks the thread for so long, or until `is_over`.
pub(crate) fn wait(duration: Duration, is_over: impl Fn() -> bool) {
    let end = std::time::Instant::now() + duration;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() || is_over() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}
