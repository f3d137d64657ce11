//! The data races in ordinary runs under ThreadSanitizer: `cargo race test --test bugs`. What stands in the documentation of
//! what is found there is held to by this.

use crate::common::{in_child, stderr};
use crate::{BUGS, Bug, Race, bug};
use std::time::{Duration, Instant};

const TEST: &str = "ordinary_runs::data_races_are_reported_and_their_repaired_forms_are_silent";
/// Reported only if both hold the lock at once: else its own atomics have ordered them.
const BY_CHANCE: &str = "read_lock_for_writing";
/// For the child: the bug, and whether its repaired form is wanted.
const NAME: &str = "LISLE_TEST_BUG";
const REPAIRED: &str = "LISLE_TEST_REPAIRED";
/// Some races take a schedule that most runs do not have.
const RUNS: usize = 1_000;
/// One program lets a second go by.
const PATIENCE: Duration = Duration::from_secs(4);

fn is_reported(bug: &Bug, repaired: bool) -> bool {
    let options = std::env::var("TSAN_OPTIONS").unwrap_or_default() + " halt_on_error=1 log_path=stderr";
    let repaired = if repaired { "1" } else { "" };
    let environment = [(NAME, bug.name), (REPAIRED, repaired), ("TSAN_OPTIONS", options.as_str())];
    let output = in_child(TEST, &environment).expect("we are the parent");
    match output.status.code() {
        Some(0) => false,
        Some(66) => true,
        _ => panic!("{}: {:?}: {}", bug.name, output.status, stderr(&output)),
    }
}

#[test]
fn data_races_are_reported_and_their_repaired_forms_are_silent() {
    if let Ok(name) = std::env::var(NAME) {
        let bug = bug(&name);
        let run = if std::env::var(REPAIRED).is_ok_and(|text| text == "1") { bug.repaired } else { bug.buggy };
        let start = Instant::now();
        (0..RUNS).take_while(|_| start.elapsed() < PATIENCE).for_each(|_| run());
        return;
    }
    let races = || BUGS.iter().filter(|bug| bug.shows == [Race]);
    let names = |repaired| -> Vec<_> { races().filter(|bug| is_reported(bug, repaired)).map(|bug| bug.name).collect() };
    assert_eq!(names(true), [""; 0], "repaired, and reported");
    let sure = |name: &&str| *name != BY_CHANCE;
    let found: Vec<_> = names(false).into_iter().filter(sure).collect();
    assert_eq!(found, races().map(|bug| bug.name).filter(sure).collect::<Vec<_>>());
}
