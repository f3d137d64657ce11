//! A timer that counts the processor time of one thread and sends that thread a signal.
//!
//! By the system calls, since what the kernel calls the timer comes with each signal.

use std::io;
use std::time::Duration;

pub(super) struct Timer {
    id: libc::c_int,
}

impl Timer {
    /// For the thread `tid` of this process. Its signals carry `value`. It does not run yet.
    ///
    /// # Errors
    /// The thread has ended, or the system has no more timers for us (they count as pending signals: `ulimit -i`).
    pub(super) fn of_thread(tid: libc::pid_t, signal: libc::c_int, value: usize) -> io::Result<Self> {
        // The kernel's name for the clock of a thread's processor time (MAKE_THREAD_CPUCLOCK).
        const PER_THREAD: i32 = 4;
        const BY_SCHEDULER: i32 = 2;
        let clock = (!tid << 3) | PER_THREAD | BY_SCHEDULER;
        // SAFETY: all-zero is a valid sigevent, which is then filled in.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_value.sival_ptr = std::ptr::without_provenance_mut(value);
        event.sigev_notify_thread_id = tid;
        let mut id = 0;
        // SAFETY: both pointers are valid during the call.
        let done = unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut id) };
        if done == 0 { Ok(Self { id }) } else { Err(io::Error::last_os_error()) }
    }

    /// As the kernel puts it into the signals.
    pub(super) fn id(&self) -> libc::c_int {
        self.id
    }

    /// From now on a signal each `period` of processor time, the first after `first`.
    pub(super) fn start(&self, first: Duration, period: Duration) {
        let time = |duration: Duration| libc::timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: duration.subsec_nanos().into(),
        };
        let times = libc::itimerspec { it_value: time(first), it_interval: time(period) };
        let none = std::ptr::null_mut::<libc::itimerspec>();
        // SAFETY: the timer is ours, and the pointer is valid during the call. Nothing can fail with valid times.
        unsafe { libc::syscall(libc::SYS_timer_settime, self.id, 0, &raw const times, none) };
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.id) };
    }
}
