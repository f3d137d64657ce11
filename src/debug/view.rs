//! Goroutines as profiles and pages look at them: what they need of the registry, in one place.

use super::labels;
use super::registry::{self, Snapshot, State, Wanted};
use super::unstarted;
use super::unwind::End;
use std::ops::ControlFlow;
use std::panic::Location;
use std::time::Duration;

/// One goroutine, while it is looked at.
pub(super) struct Goroutine<'a> {
    pub(super) id: u64,
    pub(super) creator: u64,
    pub(super) name: Option<&'a str>,
    /// `running`, `runnable`, `chan receive`, …
    pub(super) state: State,
    /// For how long it has waited, if it does.
    pub(super) waited: Option<Duration>,
    pub(super) created_at: &'static Location<'static>,
    /// Addresses as `unwind` gives them. Empty if there are none, or if they were not asked for.
    pub(super) stack: &'a [usize],
    /// Why the stack is not there, or not whole.
    pub(super) note: Option<&'static str>,
    labels: &'a str,
}

impl<'a> Goroutine<'a> {
    fn of(one: &Snapshot<'a>) -> Self {
        Self {
            id: one.id,
            creator: one.creator,
            name: one.name,
            state: one.state,
            waited: matches!(one.state, State::Waiting(_)).then_some(one.lasting),
            created_at: one.created_at,
            stack: one.addresses,
            note: note(one),
            labels: one.labels,
        }
    }

    pub(super) fn labels(&self) -> Vec<(String, String)> {
        labels::pairs(self.labels).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

fn note(one: &Snapshot) -> Option<&'static str> {
    match (one.state, one.end) {
        (State::Running, _) if one.addresses.is_empty() => Some("it runs, and its thread did not show its stack"),
        (State::Runnable, _) if one.addresses.is_empty() => Some("it has not run yet"),
        (State::Unstarted, _) => Some("it has not started"),
        (_, End::Complete) => None,
        (_, End::Full) => Some("there are more calls"),
        (_, End::Lost) => Some("the rest of the stack could not be read"),
    }
}

const WITH_STACKS: Wanted = Wanted { stacks: true, interrupt: true, scopes: false };
const WITHOUT_STACKS: Wanted = Wanted { stacks: false, interrupt: false, scopes: false };

/// Calls `f` with each goroutine of the process and its stack.
pub(super) fn for_each(f: impl FnMut(&Goroutine)) {
    visit(WITH_STACKS, f);
}

/// As `for_each`, without stacks: in a third of the time, and no thread is interrupted.
pub(super) fn for_each_without_stack(f: impl FnMut(&Goroutine)) {
    visit(WITHOUT_STACKS, f);
}

fn visit(wanted: Wanted, mut f: impl FnMut(&Goroutine)) {
    let mut look = |one: &Snapshot<'_>| {
        f(&Goroutine::of(one));
        ControlFlow::Continue(())
    };
    let mut scopes = registry::visit(wanted, &mut look);
    unstarted::visit(&mut scopes, look);
}

/// Calls `f` with one goroutine and its stack, if it exists.
pub(super) fn with_one<R>(id: u64, f: impl FnOnce(&Goroutine) -> R) -> Option<R> {
    let mut f = Some(f);
    let mut result = None;
    registry::visit_one(WITH_STACKS, id, |one| result = f.take().map(|f| f(&Goroutine::of(one))));
    result
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
