//! What a worker sleeps in: its poller. The contract is small, so that another system needs one more file:
//! `wait` returns when `wake` was called, also if that was before; when the deadline has passed; or
//! spuriously. `wake` may be called from any thread, is cheap when repeated, and never blocks.
//!
//! Linux: an epoll instance with an eventfd in it. (Sockets will join it there.)

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

pub(crate) struct Poller {
    epoll: OwnedFd,
    wakeup: OwnedFd,
}

impl Poller {
    /// # Errors
    /// The process has no file descriptor left (two are needed).
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wakeup, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self { epoll, wakeup })
    }

    /// Sleeps until woken, or until `deadline`; `None` is for ever.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(crate::clock::now())));
        let mut events = Vec::with_capacity(1);
        let woken = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
        // An error is EINTR: a spurious return, which the contract allows.
        if woken.is_ok_and(|count| count > 0) {
            let mut count = [0; 8];
            // It may be empty already if it was a spurious event.
            let _ = rustix::io::read(&self.wakeup, &mut count);
        }
    }

    /// Ends the present `wait`, or the next one at once.
    pub(crate) fn wake(&self) {
        // The only error is "the counter is full", and then a wake-up is due anyway.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
