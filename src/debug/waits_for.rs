//! Who waits for whom, as far as that is known without asking more of running goroutines: joins, by what each goroutine
//! knows of the one that waits for its end; and locks, while their order is watched (`lock_order`). An ordinary lock does
//! not know its holder, and a channel not who could send.

use super::lock_order;
use super::registry::{Wanted, visit};
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::ControlFlow;

/// A line for each such wait, in order of the goroutines that wait; those of threads first.
pub(crate) fn told() -> String {
    let mut names = HashMap::new();
    let mut by_address = HashMap::new();
    let mut joins = Vec::new();
    visit(Wanted::default(), |one| {
        let name = one.name.map_or_else(String::new, |name| format!(" ({name:?})"));
        names.insert(one.id, format!("goroutine {}{name}", one.id));
        by_address.insert(one.address, one.id);
        if one.joiner != 0 {
            joins.push((one.joiner, one.id));
        }
        ControlFlow::Continue(())
    });
    let name = |id: &u64| names.get(id).cloned().unwrap_or_else(|| format!("goroutine {id}"));
    let mut waits: Vec<(Option<u64>, String)> = Vec::new();
    for (joiner, joined) in joins {
        // Stand-ins of threads are not among the goroutines.
        waits.push((by_address.get(&joiner).copied(), format!("waits for the end of {}", name(&joined))));
    }
    for (waiter, holder, taken_at) in lock_order::waits() {
        let text = format!("waits for a lock that {} has taken at {taken_at}", name(&holder));
        waits.push((Some(waiter), text));
    }
    waits.sort();
    let mut text = String::new();
    for (waiter, what) in &waits {
        let waiter = waiter.as_ref().map_or_else(|| "a thread".into(), name);
        let _ = writeln!(text, "{waiter} {what}");
    }
    text
}
