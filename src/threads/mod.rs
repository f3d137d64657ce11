//! The OS threads of the process, as far as lisle knows them: those that serve it ([`service`]), those of the
//! program that wait in it ([`parker`]), and where those that it starts were created ([`creation`]). Workers are the
//! scheduler's.

pub(crate) mod creation;
pub(crate) mod parker;
pub(crate) mod service;

use std::fs;

/// The numbers of all threads of the process, sorted. `None`: the system does not tell, or not reliably just now.
pub(crate) fn of_process() -> Option<Vec<libc::pid_t>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task").ok()? {
        threads.push(entry.ok()?.file_name().to_str()?.parse().ok()?);
    }
    threads.sort_unstable();
    // A thread that ends while the folder is read can hide another one.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let count: usize = status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()?;
    (count == threads.len()).then_some(threads)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_calling_thread_is_one_of_the_process() {
        let found = (0..1000).find_map(|_| super::of_process()).expect("some time no thread ends meanwhile");
        assert!(found.contains(&crate::stack::own_threads::current()));
    }
}
