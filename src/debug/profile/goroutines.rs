//! The goroutine profile: the stacks of all goroutines.

use super::{Key, Profile, Shown};
use crate::debug::view::{self, Goroutine};

/// All goroutines, by stack and labels.
pub(crate) fn all() -> Profile {
    let mut profile = Profile::new("goroutine", &[("goroutine", "count")], Shown::CallsOfTheUser);
    view::for_each(|g| profile.add(key(g), [1, 0]));
    profile
}

fn key(g: &Goroutine) -> Key {
    // One that has no stack yet, or whose stack could not be read, is told by what is known.
    let mark = g.stack.is_empty().then(|| format!("[{}, created at {}]", g.state, g.created_at));
    Key { stack: g.stack.into(), mark, goroutine: 0, labels: g.labels() }
}
