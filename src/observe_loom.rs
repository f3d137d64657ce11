//! `observe` for the loom models: nobody watches. The operations are the same ones.

#[path = "testing/op.rs"]
#[allow(dead_code)]
mod op;

pub(crate) use op::Op;

pub(crate) fn is_on() -> bool {
    false
}

pub(crate) fn enter<T: ?Sized>(_op: Op, _object: &T) -> bool {
    false
}

pub(crate) fn touch<T: ?Sized>(_op: Op, _object: &T) -> bool {
    false
}

pub(crate) fn touch_both<T: ?Sized, U: ?Sized>(_op: Op, _object: &T, _other: &U) {}

pub(crate) fn choose(_count: impl FnOnce() -> usize) -> Option<usize> {
    None
}

pub(crate) fn acquire<T: ?Sized>(_object: &T) {}

pub(crate) fn release<T: ?Sized>(_object: &T) {}

pub(crate) fn locked<T: ?Sized>(_lock: &T) {}

pub(crate) fn locked_shared<T: ?Sized>(_lock: &T) {}

pub(crate) fn lock_dropped<T: ?Sized>(_lock: &T) {}

pub(crate) fn unlocking<T: ?Sized>(_op: Op, _lock: &T) {}

pub(crate) fn notified<T: ?Sized>(_condvar: &T, _heard: bool) {}

pub(crate) fn buffered(_channel: usize, _capacity: usize, _sender: Option<u64>) {}

pub(crate) fn unbuffered(_channel: usize, _capacity: usize, _receiver: Option<u64>) {}

pub(crate) fn handed(_channel: usize, _capacity: usize, _from: Option<u64>, _to: Option<u64>) {}

pub(crate) fn acquire_at(_object: usize) {}

pub(crate) fn release_at(_object: usize) {}

pub(crate) fn forget(_object: usize) {}

pub(crate) fn introduce() {}

pub(crate) fn served() {}

pub(crate) fn is_explored() -> bool {
    false
}

pub(crate) fn unlocking_to_wait<T: ?Sized>(_lock: &T) {}

/// The mutex profile is off.
pub(crate) struct LockWait;

impl LockWait {
    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn end(self) {}
}
