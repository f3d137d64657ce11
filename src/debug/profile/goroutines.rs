//! The goroutine profile: the stacks of all goroutines.

use super::{Key, Profile, Shown};
use crate::debug::view::{self, Goroutine};
use std::io;

/// All goroutines, by stack and labels.
pub(crate) fn all() -> Profile {
    let mut profile = Profile::new("goroutine", &[("goroutine", "count")], Shown::CallsOfTheUser);
    view::for_each(|g| profile.add(key(g), [1, 0]));
    profile
}

/// Those that nothing can wake any more.
///
/// # Errors
/// See `debug::leaked`.
pub(crate) fn leaked() -> io::Result<Profile> {
    let ids = crate::debug::dump::on_large_stack(crate::debug::leaked::ids)?;
    let mut profile = Profile::new("goroutineleak", &[("goroutineleak", "count")], Shown::CallsOfTheUser);
    view::for_each(|g| {
        if ids.contains(&g.id) {
            profile.add(key(g), [1, 0]);
        }
    });
    Ok(profile)
}

fn key(g: &Goroutine) -> Key {
    // One that has no stack yet, or whose stack could not be read, is told by what is known.
    let mark = g.stack.is_empty().then(|| format!("[{}, created at {}]", g.state, g.created_at));
    Key { stack: g.stack.into(), mark, goroutine: 0, labels: g.labels() }
}
