//! The profile `threadcreate`: the threads of the process.
//!
//! Go counts them by the stack that created each. Here all are created by lisle or by the program's own
//! `std::thread::spawn`, of which nobody keeps the stack; so they are counted by their names, which say what they are
//! for, with figures left out.

use super::{Key, Profile, Shown};

pub(crate) fn profile() -> Profile {
    let mut profile = Profile::new("threadcreate", &[("threadcreate", "count")], Shown::Everything);
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        // It may have ended meanwhile.
        let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else { continue };
        let kind = name.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        profile.add(Key { mark: Some(format!("thread {kind}")), ..Key::default() }, [1, 0]);
    }
    profile
}
