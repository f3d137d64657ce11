//! Where the threads that lisle starts were created, for the profile `threadcreate`. Threads are few, and starting one takes
//! the system longer than a walk up the stack takes us.

use crate::debug::walk::{Addresses, addresses_of_caller};
use crate::stack::own_threads::current;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The threads that are there, with the calls by which they were created.
static THREADS: Mutex<Vec<(libc::pid_t, Addresses)>> = Mutex::new(Vec::new());

fn threads() -> MutexGuard<'static, Vec<(libc::pid_t, Addresses)>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread is to do that the caller is about to start: while it does so, it is known by the calls that are under way now.
pub(crate) fn noting<R>(body: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let calls = addresses_of_caller();
    move || {
        let thread = current();
        threads().push((thread, calls));
        let _created = Created(thread);
        body()
    }
}

/// A thread that is listed until this is dropped.
struct Created(libc::pid_t);

impl Drop for Created {
    fn drop(&mut self) {
        let mut threads = threads();
        if let Some(place) = threads.iter().position(|(thread, _)| *thread == self.0) {
            threads.swap_remove(place);
        }
    }
}

/// The calls by which this thread was created, if lisle did it.
#[cfg_attr(not(feature = "pprof"), allow(dead_code))]
pub(crate) fn of(thread: libc::pid_t) -> Option<Addresses> {
    threads().iter().find(|(other, _)| *other == thread).map(|(_, addresses)| addresses.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_the_calls_of_its_creation_until_it_ends() {
        let body = noting(|| of(current()).unwrap());
        let (calls, after) = std::thread::spawn(|| (body(), of(current()))).join().unwrap();
        let frames = crate::debug::symbol::resolve(&calls);
        let mut functions = frames.iter().flat_map(|frames| frames.iter().filter_map(|frame| frame.function.as_ref()));
        assert!(functions.any(|name| name.contains("a_thread_has_the_calls_of_its_creation")), "{frames:?}");
        assert!(after.is_none());
    }
}
