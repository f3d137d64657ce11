//! Which processors a process or thread may use.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// How many processors this thread may use.
pub fn cores() -> usize {
    allowed().len()
}

/// From now on this thread, and what it starts, uses the first `count` of the processors that it may use.
pub fn to_first(count: usize) {
    restrict(allowed().into_iter().take(count.max(1)));
}

/// From now on this thread uses one of the processors that it may use. With fewer than asked for, it goes round.
pub fn to_one(index: usize) {
    let allowed = allowed();
    restrict(allowed.get(index % allowed.len().max(1)).copied());
}

fn restrict(cpus: impl IntoIterator<Item = usize>) {
    let mut set = CpuSet::new();
    cpus.into_iter().for_each(|cpu| set.set(cpu));
    // Where the system refuses, it decides itself: figures are noisier, nothing else.
    let _ = sched_setaffinity(None, &set);
}
