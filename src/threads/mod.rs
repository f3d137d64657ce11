//! The OS threads of the process, as far as lisle knows them: those that serve it ([`service`]), those of the
//! program that wait in it ([`parker`]), and where those that it starts were created ([`creation`]). Workers are the
//! scheduler's.

pub(crate) mod creation;
pub(crate) mod parker;
pub(crate) mod service;

use crate::tsan;
use std::{fs, io, thread};

/// The numbers of the threads of the process, as the system lists them: one that ends meanwhile can hide another.
pub(crate) fn listed() -> io::Result<Vec<libc::pid_t>> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    fs::read_dir("/proc/self/task")?.filter_map(|entry| entry.map(number).transpose()).collect()
}

/// All of them, sorted. `None`: the system does not tell, or not reliably just now.
pub(crate) fn of_process() -> Option<Vec<libc::pid_t>> {
    let mut threads = listed().ok()?;
    threads.sort_unstable();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let count: usize = status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()?;
    (count == threads.len()).then_some(threads)
}

/// Calls `f` on a thread of its own, and blocks the caller's thread meanwhile: for what takes more stack than a goroutine may
/// have. The inner result is what `f` gave, or its panic.
pub(crate) fn beside<R: Send>(name: &str, f: impl FnOnce() -> R + Send) -> io::Result<thread::Result<R>> {
    // The thread's start and end are edges, whoever calls.
    let _loud = tsan::loud();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, f)?;
        // Joined here, not by the scope, which would wait by std's park token.
        Ok(thread.join())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_calling_thread_is_one_of_the_process() {
        let found = (0..1000).find_map(|_| super::of_process()).expect("some time no thread ends meanwhile");
        assert!(found.contains(&crate::stack::own_threads::current()));
    }
}
