//! How a closure of the user's ended, for those who run it in the name of others.
//!
//! A closure that was handed to a group, a pool or a map may panic or call [`exit`](crate::exit). Neither may
//! strand those who wait for it, and neither may end a goroutine that has other closures to run. So such closures
//! are called by [`catch`], and what came of it is told to the right ones: the payload where there is one who takes
//! it ([`Handle::join`](crate::pool::Handle::join)), a [`PanicReport`] where there are several.

use crate::sched::watchdog::GoroutineInfo;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Why a closure did not return.
pub(crate) enum Unwound {
    /// By [`exit`](crate::exit).
    Exited,
    /// By a panic with this payload.
    Panicked(Box<dyn Any + Send>),
}

impl From<Box<dyn Any + Send>> for Unwound {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        if payload.is::<crate::Exited>() { Self::Exited } else { Self::Panicked(payload) }
    }
}

impl Unwound {
    /// Lets the caller end as the closure did.
    pub(crate) fn resume(self) -> ! {
        match self {
            Self::Exited => crate::exit(),
            Self::Panicked(payload) => resume_unwind(payload),
        }
    }
}

/// Calls `f`. A panic, or `exit`, in it ends `f` only: the goroutine goes on as if nothing had been.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Unwound> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let unwound = Unwound::from(payload);
        if matches!(unwound, Unwound::Exited) {
            crate::park::stay();
        }
        unwound
    })
}

/// What a panic said.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(what it said is not a text)",
    }
}

/// A panic in words: who, and what was said. Any number can be told, unlike the payload, of which there is one.
#[derive(Clone, Debug)]
pub(crate) struct PanicReport {
    who: String,
    message: String,
}

impl PanicReport {
    /// Of a panic that the caller has just caught.
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        Self { who: whoami(), message: message_of(payload).to_owned() }
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.who, self.message)
    }
}

/// The caller, for a report.
pub(crate) fn whoami() -> String {
    crate::park::with_current(|g| match (g.is_thread(), g.name()) {
        (false, _) => GoroutineInfo::of(g).to_string(),
        (true, Some(name)) => format!("thread \"{name}\""),
        (true, None) => String::from("a thread"),
    })
}
