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

pub(crate) fn locked<T: ?Sized>(_lock: &T, _clock: &LockClock) {}

pub(crate) fn locked_shared<T: ?Sized>(_lock: &T, _clock: &LockClock) {}

pub(crate) fn lock_dropped<T: ?Sized>(_lock: &T) {}

pub(crate) fn unlocking<T: ?Sized>(_op: Op, _lock: &T, _clock: &LockClock) {}

pub(crate) fn notified<T: ?Sized>(_condvar: &T, _heard: bool) {}

/// Who sends or receives.
pub(crate) use crate::park::Token as Partner;

pub(crate) struct ChannelClocks;

impl ChannelClocks {
    pub(crate) const fn none() -> Self {
        Self
    }
}

#[allow(dead_code)]
pub(crate) struct Channel<'a> {
    pub(crate) address: usize,
    pub(crate) capacity: usize,
    pub(crate) length: usize,
    pub(crate) clocks: &'a mut ChannelClocks,
}

pub(crate) fn buffered(_channel: Channel<'_>, _sender: Option<&Partner>) {}

pub(crate) fn unbuffered(_channel: Channel<'_>) {}

pub(crate) fn handed(_channel: Channel<'_>, _from: Option<&Partner>, _to: Option<&Partner>) {}

pub(crate) fn acquire_at(_object: usize) {}

pub(crate) fn release_at(_object: usize) {}

pub(crate) fn forget(_object: usize) {}

pub(crate) fn introduce() {}

pub(crate) fn served() {}

pub(crate) fn is_explored() -> bool {
    false
}

/// What passes along with a lock.
pub(crate) struct LockClock;

impl LockClock {
    pub(crate) const fn new() -> Self {
        Self
    }
}

pub(crate) fn unlocking_to_wait<T: ?Sized>(_lock: &T, _clock: &LockClock) {}

/// The mutex profile is off.
pub(crate) struct LockWait;

impl LockWait {
    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn end(self) {}
}
