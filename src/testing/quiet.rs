//! Panics in a check: kept off stderr, since most belong to schedules that nobody asked to see, and taken down for the
//! report.

use super::explorer::Explorer;
use crate::sched::worker::Worker;
use crate::unwind::message_of;
use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// What the last panic on this thread said, and where.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sees to it that panics on explorers' threads are not printed. Those of other threads go to the hook that was there.
///
/// Not on a thread that panics: there hooks cannot be changed. Then panics are printed, unless an earlier check came here.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_quiet = crate::observe::with_explorer(Explorer::prints_panics) == Some(false);
            // Where none runs it is a panic of the explorer's own, which nobody else tells of.
            if !is_quiet || Worker::with_current(|worker| worker.and_then(Worker::running).is_none()) {
                return before(info);
            }
            let message = message_of(info.payload());
            let place = info.location().map_or(String::new(), |place| format!(" at {place}"));
            crate::observe::with_explorer(|explorer| explorer.note_panic(message));
            let _ = LAST.try_with(|last| *last.borrow_mut() = Some(format!("panicked{place}:\n{message}")));
        }));
    });
}

/// A panic whose payload has arrived, in words.
pub(super) fn told_of(id: u64, payload: &(dyn Any + Send)) -> String {
    let who = if id == 1 { String::from("the test") } else { format!("goroutine {id}") };
    let message = message_of(payload);
    // In a late destructor of a thread-local there is none.
    let told = LAST.try_with(|last| last.borrow_mut().take()).ok().flatten().filter(|told| told.ends_with(message));
    match told {
        Some(told) => format!("{who} {told}"),
        // It came by `resume_unwind`: no hook was called.
        None if payload.is::<crate::Exited>() => format!("{who} ended by lisle::exit, which nobody expected"),
        None => format!("{who} panicked: {message}"),
    }
}
