//! Whether checks go on. A goroutine that blocks its thread by other means than lisle's blocks all others of the check,
//! perhaps for ever, and nothing can end that from outside. So one thread of the process looks at each check once a
//! second, and tells of those that are stuck.

use crate::report::report;
use crate::stack::own_threads;
use crate::threads::service::Service;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one looks whether an explorer goes on.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks without a step it is told.
const PATIENCE: u32 = 5;
/// The same if the thread was in a system call each time.
const PATIENCE_IN_A_CALL: u32 = 2;

/// What an explorer shows.
pub(crate) struct Pulse {
    thread: libc::pid_t,
    steps: AtomicU64,
    goroutine: AtomicU64,
    location: AtomicPtr<Location<'static>>,
}

impl Pulse {
    /// That of the calling thread.
    pub(super) fn of_current() -> Self {
        Self {
            thread: own_threads::current(),
            steps: AtomicU64::new(0),
            goroutine: AtomicU64::new(0),
            location: AtomicPtr::default(),
        }
    }

    pub(super) fn show(&self, goroutine: u64, location: &'static Location<'static>) {
        self.goroutine.store(goroutine, Relaxed);
        self.location.store(std::ptr::from_ref(location).cast_mut(), Relaxed);
    }

    pub(super) fn step(&self) {
        // One thread writes.
        self.steps.store(self.steps.load(Relaxed) + 1, Relaxed);
    }
}

/// A check that is looked at.
struct Looked {
    pulse: Arc<Pulse>,
    seen: u64,
    looks: u32,
    calls: u32,
    is_told: bool,
}

struct Watch {
    checks: Vec<Looked>,
    has_thread: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { checks: Vec::new(), has_thread: false });

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A check is looked at until this is dropped.
pub(super) struct Watched(Arc<Pulse>);

impl Watched {
    /// If the system refuses the thread, nobody looks.
    pub(super) fn begin(pulse: &Arc<Pulse>) -> Self {
        let pulse = Arc::clone(pulse);
        let (mut watch, seen) = (watch(), pulse.steps.load(Relaxed));
        watch.checks.push(Looked { pulse: Arc::clone(&pulse), seen, looks: 0, calls: 0, is_told: false });
        if !watch.has_thread {
            let builder = std::thread::Builder::new().name(String::from("lisle-checks"));
            watch.has_thread = builder.spawn(look_each_second).is_ok();
        }
        Self(pulse)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        watch().checks.retain(|check| !Arc::ptr_eq(&check.pulse, &self.0));
    }
}

/// Until there is nothing to look at: the next check starts another thread.
fn look_each_second() {
    let _service = Service::begin();
    loop {
        std::thread::sleep(LOOK);
        let mut watch = watch();
        if watch.checks.is_empty() {
            watch.has_thread = false;
            return;
        }
        let stuck: Vec<String> = watch.checks.iter_mut().filter_map(Looked::look).collect();
        drop(watch);
        stuck.iter().for_each(|text| report(format_args!("{text}")));
    }
}

impl Looked {
    /// What is to be told of it.
    fn look(&mut self) -> Option<String> {
        let steps = self.pulse.steps.load(Relaxed);
        if steps != self.seen {
            (self.seen, self.looks, self.calls, self.is_told) = (steps, 0, 0, false);
            return None;
        }
        let call = system_call(self.pulse.thread);
        self.looks += 1;
        self.calls = if call.is_some() { self.calls + 1 } else { 0 };
        let is_stuck = self.looks >= PATIENCE || self.calls >= PATIENCE_IN_A_CALL;
        if !is_stuck || self.is_told {
            return None;
        }
        self.is_told = true;
        Some(self.describe(call.filter(|_| self.calls == self.looks)))
    }

    fn describe(&self, call: Option<i64>) -> String {
        // SAFETY: null, or the address of a `&'static Location`.
        let place = unsafe { self.pulse.location.load(Relaxed).as_ref() };
        let place = place.map_or_else(|| String::from("its start"), Location::to_string);
        let seconds = u64::from(self.looks) * LOOK.as_secs();
        let who = self.pulse.goroutine.load(Relaxed);
        let why = match call {
            None => String::from(
                "It computes, or waits for what is not lisle's, in turns. If it computes, so be it; if it waits for another \
                 goroutine, it waits for ever.",
            ),
            Some(libc::SYS_futex) => String::from(
                "It waits for what is not lisle's: a std::sync::Mutex, perhaps, that another goroutine holds across an \
                 operation of lisle's, or the end of a thread. If it waits for another goroutine, it waits for ever: use \
                 lisle::sync, and lisle::go instead of threads.",
            ),
            Some(call) => format!(
                "It is in the system call {}. Real input and output keep the one thread that all goroutines of a check \
                 share: if another of them is to answer, it waits for ever. Put channels in place of sockets, files and \
                 processes here, or test this part outside of a check.",
                name_of(call)
            ),
        };
        format!("lisle: goroutine {who} of a check has gone no further than {place} for {seconds} s. {why}")
    }
}

/// The system call in which that thread waits. None: it runs, or nobody tells.
fn system_call(thread: libc::pid_t) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    // "running", or "-1 …" if it waits elsewhere than in a call (proc_pid_syscall(5)).
    text.split_whitespace().next()?.parse().ok().filter(|&number| number >= 0)
}

fn name_of(call: i64) -> String {
    const NAMES: [(i64, &str); 20] = [
        (libc::SYS_read, "read"),
        (libc::SYS_readv, "readv"),
        (libc::SYS_pread64, "pread64"),
        (libc::SYS_write, "write"),
        (libc::SYS_writev, "writev"),
        (libc::SYS_recvfrom, "recvfrom"),
        (libc::SYS_recvmsg, "recvmsg"),
        (libc::SYS_sendto, "sendto"),
        (libc::SYS_sendmsg, "sendmsg"),
        (libc::SYS_accept, "accept"),
        (libc::SYS_accept4, "accept4"),
        (libc::SYS_connect, "connect"),
        (libc::SYS_poll, "poll"),
        (libc::SYS_ppoll, "ppoll"),
        (libc::SYS_epoll_wait, "epoll_wait"),
        (libc::SYS_wait4, "wait4"),
        (libc::SYS_waitid, "waitid"),
        (libc::SYS_nanosleep, "nanosleep"),
        (libc::SYS_clock_nanosleep, "clock_nanosleep"),
        (libc::SYS_flock, "flock"),
    ];
    let known = NAMES.iter().find(|(number, _)| *number == call);
    known.map_or_else(|| format!("number {call}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_in_a_system_call_is_seen_there() {
        let (number, numbered) = std::sync::mpsc::channel();
        let (_kept, never) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            number.send(own_threads::current()).unwrap();
            never.recv()
        });
        let number = numbered.recv().unwrap();
        while system_call(number) != Some(libc::SYS_futex) {
            std::thread::yield_now();
        }
        assert_eq!(system_call(own_threads::current()).map(name_of).as_deref(), Some("read"));
        drop(_kept);
        assert!(thread.join().unwrap().is_err());
    }
}
