//! The goroutine profiles: the stacks of all goroutines, and of those that can never go on.

use super::{Key, Profile, Shown};
use crate::debug::view::{self, Goroutine};

/// All goroutines, by stack and labels.
pub(crate) fn all() -> Profile {
    let mut profile = Profile::new("goroutine", &[("goroutine", "count")], Shown::CallsOfTheUser);
    view::for_each(|g| profile.add(key(g), [1, 0]));
    profile
}

/// Those that can never go on.
pub(crate) fn leaked() -> Profile {
    let mut profile = Profile::new("goroutineleak", &[("goroutineleak", "count")], Shown::CallsOfTheUser);
    view::for_each_leaked(|g| profile.add(key(g), [1, 0]));
    profile
}

fn key(g: &Goroutine) -> Key {
    // One that has no stack yet, or whose stack could not be read, is told by what is known.
    let mark = g.stack.is_empty().then(|| format!("[{}, created at {}]", g.state, g.created_at));
    Key { stack: g.stack.into(), mark, goroutine: 0, labels: g.labels() }
}
