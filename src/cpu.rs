//! How many workers by default: as Go 1.25 and later, the CPU quota of the cgroup if there is one.
//!
//! The quota is rounded up, and a quota below two still gives two workers, so that one stuck goroutine does
//! not stop everything (`runtime.defaultGOMAXPROCS` in Go). Never more than the cores in the affinity mask.

use std::path::{Path, PathBuf};

pub(crate) fn default_workers() -> usize {
    let cores = affinity();
    match quota() {
        Some(quota) => workers_for(quota, cores),
        None => cores,
    }
}

fn workers_for(quota: f64, cores: usize) -> usize {
    // A quota is a small positive number: the cast cannot lose anything that matters.
    let wanted = quota.ceil() as usize;
    wanted.max(2).min(cores)
}

/// Cores that this process may run on.
fn affinity() -> usize {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid to write to, and its size is given.
    let done = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
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
