//! A corpus of concurrency bugs, each in a buggy and a repaired form: what the tools of `lisle::testing` find of them.
//!
//! The classes are those of two studies of real bugs in Go programs: Tu, Liu, Song and Zhang, "Understanding Real-World
//! Concurrency Bugs in Go" (ASPLOS 2019), and Chabbi and Ramanathan, "A Study of Real-World Data Races in Golang" (PLDI
//! 2022); and some classics of lock-free code.
//!
//! `src/testing/bugs.md`, which the documentation shows, is written by
//! `LISLE_RENEW=1 cargo test --release --test bugs table` from what is measured here.

mod blocking;
#[cfg(lisle_tsan)]
#[path = "../common/mod.rs"]
mod common;
mod messages;
mod order;
#[cfg(lisle_tsan)]
mod ordinary_runs;
mod races;

use lisle::testing::FailureKind::{self, Deadlock, LeftOver, LostWakeup, Panic, Race};
use lisle::testing::{Config, Strategy};

/// One bug.
struct Bug {
    name: &'static str,
    /// What it is, in a few words.
    class: &'static str,
    /// How it may show.
    shows: &'static [FailureKind],
    buggy: fn(),
    repaired: fn(),
}

/// The modules' programs, with what is said of them.
macro_rules! bugs {
    ($($module:ident { $($name:ident: $class:literal, $($shows:ident)|+;)+ })+) => {
        const BUGS: &[Bug] = &[
            $($(Bug {
                name: stringify!($name),
                class: $class,
                shows: &[$($shows),+],
                buggy: $module::$name::buggy,
                repaired: $module::$name::repaired,
            },)+)+
        ];

        /// Each program is a test of its own.
        mod found {
            $($(
                #[test]
                fn $name() {
                    super::assert_found(stringify!($name));
                }
            )+)+
        }

        mod silent_when_repaired {
            $($(
                #[test]
                fn $name() {
                    super::assert_silent(stringify!($name));
                }
            )+)+
        }
    };
}

bugs! {
    blocking {
        double_lock: "a method locks what its caller holds", Deadlock;
        lock_order: "two locks, taken in either order", Deadlock;
        lock_cycle: "three locks in a circle", Deadlock;
        recursive_read: "a second read lock behind a waiting writer", Deadlock;
        wait_under_lock: "waiting for workers that need the lock one holds", Deadlock;
        done_forgotten: "no `done` on the way of an error", Deadlock;
        wait_in_loop: "`wait` within the loop that starts the work", Deadlock;
        lost_signal: "a notification before the wait, and no state", LostWakeup;
        signal_for_another: "one condition variable, `notify_one`, two conditions", Deadlock | LostWakeup;
        barrier_one_short: "one of those whom a barrier waits for gives up", Deadlock;
        permits_in_parts: "permits acquired one by one", Deadlock;
        once_within_once: "an initialiser that asks for its own value", Deadlock;
    }
    messages {
        nobody_receives: "the receiver has run into its timeout", LeftOver;
        nobody_closes: "a sender is kept, so the loop over messages never ends", Deadlock;
        send_under_lock: "a send under a lock that the receiver takes first", Deadlock;
        both_send_first: "two that send to each other before they receive", Deadlock;
        results_unread: "waiting for the workers before reading their results", Deadlock;
        default_forgotten: "a send that should give up if nobody listens", LeftOver;
        context_ignored: "a goroutine that does not look at its context", LeftOver;
        close_twice: "two that close the same channel", Panic;
        send_after_close: "a look at `closed`, then a send", Panic;
        select_ignores_stop: "a select that takes work although it was told to stop", Panic;
        last_message_lost: "a loop that ends by a flag, with a message in the channel", Panic;
        late_result: "a result written after the timeout, beside the channel", Race;
    }
    order {
        lost_update: "load, add, store", Panic;
        check_then_act: "a look under the lock, the deed under the lock, not in one", Panic;
        used_before_set: "a goroutine uses what its starter sets later", Panic;
        add_in_goroutine: "`add` within the goroutine that is waited for", Panic;
        if_for_while: "`if` instead of `while` around a condition variable's wait", Panic;
        transfer_in_two_steps: "two locks, one after the other: money in neither account", Panic;
        aba: "compare-exchange on a value that went away and came back", Panic;
        try_lock_dropped: "work that is skipped when the lock is taken", Panic;
    }
    races {
        no_lock: "no lock at all", Race;
        partial_lock: "a lock on one of two ways", Race;
        lock_copied: "each works with a lock of its own", Race;
        read_lock_for_writing: "a write under a shared lock", Race;
        loop_variable: "goroutines share the variable of a loop", Race;
        error_variable: "goroutine and starter share one `err`", Race;
        slice_header: "pointer and length change while another reads them", Race;
        map_insert: "an unprotected map: slots and their count", Race;
        relaxed_publication: "a relaxed flag publishes a value", Race;
        double_checked_lock: "double-checked locking with a relaxed load", Race;
        reference_count: "a relaxed decrement before the value is dropped", Race;
        spin_lock: "a spin lock that is left with a relaxed store", Race;
    }
}

/// Schedules in which a repaired form must be silent.
const SILENT: u64 = 10_000;
/// Seeds of which the median is taken.
const SEEDS: u64 = 20;

fn bug(name: &str) -> &'static Bug {
    BUGS.iter().find(|bug| bug.name == name).expect("it is in the list")
}

#[track_caller]
fn assert_found(name: &str) {
    let bug = bug(name);
    let failure = Config::new().explore(bug.buggy).expect_err("the bug is found");
    assert!(bug.shows.contains(&failure.kind()), "{failure}");
    let again = std::panic::catch_unwind(|| lisle::testing::replay(failure.schedule(), bug.buggy));
    assert!(again.is_err(), "its schedule shows it again: {failure}");
}

#[track_caller]
fn assert_silent(name: &str) {
    // ThreadSanitizer looks at fewer: it sees the same in all of them, and takes long.
    let part = if cfg!(lisle_tsan) {
        200
    } else if cfg!(debug_assertions) {
        10
    } else {
        1
    };
    let schedules = SILENT / part;
    Config::new().iterations(schedules).check(bug(name).repaired);
}

/// Schedules until the bug is found, the median of some seeds; `None` where one seed does not find it.
fn median(bug: &Bug, strategy: Strategy) -> Option<u64> {
    let found = |seed| {
        let config = Config::new().strategy(strategy).seed(seed).iterations(SILENT).shrink(false);
        config.explore(bug.buggy).err().map(|failure| failure.schedules())
    };
    let mut counts = (1..=SEEDS).map(found).collect::<Option<Vec<u64>>>()?;
    counts.sort_unstable();
    Some(counts[counts.len() / 2])
}

fn table() -> String {
    let mut table = String::from(
        "| bug | | shows as | mixed | random | PCT, depth 3 | exhaustive |\n| --- | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for bug in BUGS {
        let strategies = [Strategy::Mixed, Strategy::Random, Strategy::Pct { depth: 3 }, Strategy::Exhaustive];
        let medians = strategies.map(|strategy| median(bug, strategy).map_or(String::from("–"), |m| m.to_string()));
        let shows: Vec<String> = bug.shows.iter().map(ToString::to_string).collect();
        let row = format!("| `{}` | {} | {} | {} |\n", bug.name, bug.class, shows.join(", "), medians.join(" | "));
        table.push_str(&row);
    }
    table
}

/// Numbers are the same on every machine: so the documentation can be held to them.
#[test]
#[cfg_attr(lisle_tsan, ignore = "the same numbers as without ThreadSanitizer, in hours")]
fn the_table_of_the_documentation_is_what_is_measured() {
    const BEGIN: &str = "<!-- table -->\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/bugs.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (head, tail) = page.split_once(BEGIN).expect("a mark where the table begins");
    let (written, rest) = tail.split_once("\n\n").unwrap_or((tail.trim_end(), ""));
    let measured = table();
    if std::env::var_os("LISLE_RENEW").is_some() {
        let rest = if rest.is_empty() { String::new() } else { format!("\n{rest}") };
        std::fs::write(&path, format!("{head}{BEGIN}{measured}{rest}")).expect("the page can be written");
    } else {
        assert_eq!(written.trim_end(), measured.trim_end(), "renew it: see the top of this file");
    }
    assert!(BUGS.len() >= 30);
}
