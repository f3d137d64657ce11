//! Threads that serve lisle itself: watchdogs, the delivery of signals, the debug server, idle ones of the blocking pool.
//! While they do so, no goroutine waits for them: the search for deadlocks leaves them out.

use crate::stack::own_threads::current;
use std::sync::{Mutex, MutexGuard, PoisonError};

static THREADS: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

fn threads() -> MutexGuard<'static, Vec<libc::pid_t>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread is one of these until this is dropped, on the same thread.
pub(crate) struct Service(libc::pid_t);

impl Service {
    pub(crate) fn begin() -> Self {
        let thread = current();
        threads().push(thread);
        Self(thread)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut threads = threads();
        if let Some(place) = threads.iter().position(|&thread| thread == self.0) {
            threads.swap_remove(place);
        }
    }
}

/// Calls code of the user's, or what may set a goroutine going, on a thread that serves: meanwhile it is a thread like any other.
pub(crate) fn call_user<R>(f: impl FnOnce() -> R) -> R {
    struct Back(Option<libc::pid_t>);
    impl Drop for Back {
        fn drop(&mut self) {
            threads().extend(self.0);
        }
    }
    let thread = current();
    let place = threads().iter().position(|&other| other == thread);
    let _back = Back(place.map(|_| {
        // Nobody else enters or strikes off this thread.
        threads().retain(|&other| other != thread);
        thread
    }));
    f()
}

/// All of them.
pub(crate) fn all() -> Vec<libc::pid_t> {
    threads().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_serves_until_the_guard_is_dropped_but_not_while_it_calls_the_user() {
        let serves = || all().contains(&current());
        let service = Service::begin();
        assert!(serves());
        assert!(!call_user(serves));
        assert!(serves());
        drop(service);
        assert!(!serves());
        assert!(!call_user(serves) && !serves());
    }
}
