//! Goroutines as profiles and pages look at them: what they need of the registry, in one place.
//!
//! Nothing here is done: each function is to be made of the registry's scan, of its leaks, and of its labels.

use std::io::{self, Write};
use std::panic::Location;
use std::time::Duration;

/// One goroutine, while it is looked at.
pub(super) struct Goroutine<'a> {
    pub(super) id: u64,
    pub(super) creator: u64,
    pub(super) name: Option<&'a str>,
    /// `running`, `runnable`, `chan receive`, …
    pub(super) state: &'a str,
    /// For how long it has waited, if that is known.
    pub(super) waited: Option<Duration>,
    pub(super) created_at: &'static Location<'static>,
    /// Addresses as `unwind` gives them. Empty if there are none, or if they were not asked for.
    pub(super) stack: &'a [usize],
    /// Why the stack is not there, or not whole.
    pub(super) note: Option<&'static str>,
}

impl Goroutine<'_> {
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        unimplemented!("the labels of the goroutine")
    }
}

/// Calls `f` with each goroutine of the process and its stack.
pub(super) fn for_each(_f: impl FnMut(&Goroutine)) {
    unimplemented!("the registry's scan")
}

/// As `for_each`, with those that can never go on.
pub(super) fn for_each_leaked(_f: impl FnMut(&Goroutine)) {
    unimplemented!("debug::leaked")
}

/// As `for_each`, without stacks: no goroutine is held up.
pub(super) fn for_each_without_stack(_f: impl FnMut(&Goroutine)) {
    unimplemented!("the registry's scan")
}

/// Calls `f` with one goroutine and its stack, if it exists.
pub(super) fn with_one<R>(_id: u64, _f: impl FnOnce(&Goroutine) -> R) -> Option<R> {
    unimplemented!("the registry's look-up")
}

/// The functions of a goroutine's stack that tell the user something, each with its file and line.
pub(super) fn frames(g: &Goroutine) -> Vec<(String, String)> {
    use super::profile::Shown;
    use super::profile::stacks::Names;
    let key = super::profile::Key { stack: g.stack.into(), ..Default::default() };
    let names = Names::of(std::iter::once(&key));
    let calls = names.calls(&key.stack, Shown::CallsOfTheUser);
    let frames = calls.iter().flat_map(|call| names.frames(call).iter().map(move |frame| (call, frame)));
    let named = frames.map(|(call, frame)| {
        let place = frame.file.as_ref().map(|file| format!("{file}:{}", frame.line.unwrap_or(0)));
        (names.function(frame, call.address), place.unwrap_or_default())
    });
    named.collect()
}

/// The dump of all goroutines as text.
pub(super) fn write_dump(_out: &mut dyn Write) -> io::Result<()> {
    unimplemented!("debug::dump")
}
