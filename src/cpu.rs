//! The processors: how many workers they carry, and what a thread gets of them.
//!
//! The default number of workers follows Go 1.25 and later: the CPU quota of the cgroup if there is one.
//! The quota is rounded up, and a quota below two still gives two workers, so that one stuck goroutine does
//! not stop everything (`runtime.defaultGOMAXPROCS` in Go). Never more than the cores in the affinity mask.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// An OS thread, as others may observe it.
#[derive(Default)]
pub(crate) struct ObservedThread {
    clock: AtomicI32,
    id: AtomicI32,
}

impl ObservedThread {
    /// From now on this is the calling thread.
    pub(crate) fn become_current(&self) {
        let mut clock = 0;
        // SAFETY: the calling thread exists, and `clock` is valid to write to.
        unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
        self.clock.store(clock, Ordering::Relaxed);
        // SAFETY: no pointers.
        self.id.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    }

    /// The kernel's number of it; 0 before there was one.
    pub(crate) fn id(&self) -> i32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Time that it has used; zero if it has ended. Some 300 ns.
    pub(crate) fn cpu_time(&self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid to write to; an unknown clock is an error that leaves it zero.
        unsafe { libc::clock_gettime(self.clock.load(Ordering::Relaxed), &mut time) };
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// Whether it runs, or would if the kernel let it: it does not wait for anything. Some microseconds.
    pub(crate) fn is_runnable(&self) -> bool {
        let path = format!("/proc/self/task/{}/stat", self.id.load(Ordering::Relaxed));
        // The state comes after the name, which stands in parentheses and may hold some itself (proc(5)).
        let stat = std::fs::read(path).unwrap_or_default();
        let end_of_name = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
        stat[end_of_name..].starts_with(b") R")
    }
}

pub(crate) fn default_workers() -> usize {
    let cores = affinity(THIS_THREAD);
    match quota() {
        Some(quota) => workers_for(quota, cores),
        None => cores,
    }
}

/// Whether two threads of this process can run at the same time.
pub(crate) fn is_parallel() -> bool {
    static IS_PARALLEL: OnceLock<bool> = OnceLock::new();
    *IS_PARALLEL.get_or_init(any_thread_may_choose)
}

/// Whether the caller, or the process's first thread, may run on several cores. Not the caller alone: who asks first may
/// be a thread that has bound itself to one core, and its partner to another.
fn any_thread_may_choose() -> bool {
    affinity(THIS_THREAD) > 1 || affinity(std::process::id().cast_signed()) > 1
}

const THIS_THREAD: libc::pid_t = 0;

fn workers_for(quota: f64, cores: usize) -> usize {
    // A quota is a small positive number: the cast cannot lose anything that matters.
    let wanted = quota.ceil() as usize;
    wanted.max(2).min(cores)
}

/// Cores that a thread may run on.
fn affinity(thread: libc::pid_t) -> usize {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid to write to, and its size is given.
    let done = unsafe { libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), &mut set) };
    if done != 0 {
        return std::thread::available_parallelism().map_or(1, usize::from);
    }
    // SAFETY: reads the set that was just filled.
    usize::try_from(unsafe { libc::CPU_COUNT(&set) }).unwrap_or(1).max(1)
}

/// The tightest quota on the way from our cgroup to the root, in cores.
fn quota() -> Option<f64> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut tightest: Option<f64> = None;
    for directory in directories(&membership) {
        let v2 = std::fs::read_to_string(directory.join("cpu.max")).ok().and_then(|text| parse_max(&text));
        let v1 = || {
            let read = |file: &str| std::fs::read_to_string(directory.join(file)).ok()?.trim().parse::<f64>().ok();
            ratio(read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
        };
        if let Some(quota) = v2.or_else(v1) {
            tightest = Some(tightest.map_or(quota, |least| least.min(quota)));
        }
    }
    tightest
}

/// The directories that can hold a quota for a process with this `/proc/self/cgroup`.
fn directories(membership: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let root = if controllers.is_empty() {
            Path::new("/sys/fs/cgroup")
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            Path::new("/sys/fs/cgroup/cpu")
        } else {
            continue;
        };
        let own = root.join(path.trim_start_matches('/'));
        all.extend(own.ancestors().take_while(|directory| directory.starts_with(root)).map(PathBuf::from));
    }
    all
}

/// `cpu.max` of cgroup v2: "quota period" in microseconds, or "max period".
fn parse_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_up_but_never_above_the_cores_nor_below_two() {
        assert_eq!(workers_for(0.5, 8), 2);
        assert_eq!(workers_for(2.1, 8), 3);
        assert_eq!(workers_for(64.0, 8), 8);
        assert_eq!(workers_for(0.5, 1), 1);
    }

    #[test]
    fn a_thread_on_a_core_of_its_own_does_not_hide_the_others() {
        let before = any_thread_may_choose();
        std::thread::spawn(move || {
            let mut here = rustix::thread::CpuSet::new();
            here.set(rustix::thread::sched_getcpu());
            rustix::thread::sched_setaffinity(None, &here).unwrap();
            assert_eq!(affinity(THIS_THREAD), 1);
            assert_eq!(any_thread_may_choose(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn quotas_are_read_in_both_forms_of_cgroups() {
        assert_eq!(parse_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_max("max 100000\n"), None);
        assert_eq!(ratio(-1.0, 100_000.0), None);
        let v2 = directories("0::/system.slice/app.service\n");
        assert_eq!(v2[0], Path::new("/sys/fs/cgroup/system.slice/app.service"));
        assert_eq!(v2.last().unwrap(), Path::new("/sys/fs/cgroup"));
        let v1 = directories("5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n");
        assert_eq!(v1[0], Path::new("/sys/fs/cgroup/cpu/docker/x"));
    }
}
