//! The profile `threadcreate`: the threads of the process, by the calls that created each, as in Go, and by their names, with
//! figures left out. Those that lisle has not started (`main`, the program's own `std::thread::spawn`) have their names alone:
//! nobody keeps the calls.

use super::{Key, Profile, Shown};
use crate::threads::{self, creation};

pub(crate) fn profile() -> Profile {
    let mut profile = Profile::new("threadcreate", &[("threadcreate", "count")], Shown::Everything);
    for thread in threads::listed().unwrap_or_default() {
        // It may have ended meanwhile.
        let Ok(name) = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")) else { continue };
        let kind = name.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        let stack = creation::of(thread).map(|addresses| addresses[..].into()).unwrap_or_default();
        profile.add(Key { stack, mark: Some(format!("thread {kind}")), ..Key::default() }, [1, 0]);
    }
    profile
}
