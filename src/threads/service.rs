//! Threads that serve lisle itself: watchdogs, the delivery of signals, the debug server, idle ones of the blocking pool.
//! While they do so, no goroutine waits for them: the search for deadlocks leaves them out.

use crate::stack::own_threads::current;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that serve, and what they have done besides.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) threads: Vec<libc::pid_t>,
    /// How many calls of the user's code have begun.
    pub(crate) calls: u64,
}

static SERVING: Mutex<Serving> = Mutex::new(Serving { threads: Vec::new(), calls: 0 });

fn serving() -> MutexGuard<'static, Serving> {
    SERVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread is one of these until this is dropped, on the same thread.
pub(crate) struct Service(libc::pid_t);

impl Service {
    pub(crate) fn begin() -> Self {
        let thread = current();
        serving().threads.push(thread);
        Self(thread)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let threads = &mut serving().threads;
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
            serving().threads.extend(self.0);
        }
    }
    let thread = current();
    let mut serving = serving();
    serving.calls += 1;
    let place = serving.threads.iter().position(|&other| other == thread);
    place.map(|place| serving.threads.swap_remove(place));
    drop(serving);
    let _back = Back(place.map(|_| thread));
    f()
}

/// All of them.
pub(crate) fn all() -> Serving {
    serving().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_serves_until_the_guard_is_dropped_but_not_while_it_calls_the_user() {
        let serves = || all().threads.contains(&current());
        let service = Service::begin();
        assert!(serves());
        assert!(!call_user(serves));
        assert!(serves());
        drop(service);
        assert!(!serves());
        assert!(!call_user(serves) && !serves());
    }

    #[test]
    fn who_looks_before_and_after_a_call_of_the_users_code_sees_that_there_was_one() {
        let _service = Service::begin();
        let before = all();
        call_user(|| ());
        let after = all();
        assert!(before.threads.contains(&current()) && after.threads.contains(&current()));
        assert!(before.calls < after.calls);
    }
}
