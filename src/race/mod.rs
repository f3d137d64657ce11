//! The race detector: finds uses of shared variables that nothing orders.
//!
//! A *data race*: two goroutines (or threads) use the same variable, one of them at least writes, and nothing makes one
//! use happen before the other. In Rust the compiler forbids them in safe code, so what is looked at is what the compiler
//! cannot judge: unsafe code that promises to synchronise on its own, through [`cell::UnsafeCell`](crate::cell), and
//! stand-ins for unprotected variables, [`Cell`].
//!
//! The detector knows what orders goroutines (channels, with their capacities; locks; joins; atomics by their orderings;
//! …), and keeps a vector clock for each (the algorithm is FastTrack: Flanagan and Freund, 2009). So a race is found when
//! it is possible in the order in which things happened, even if the uses were far apart in time; and what is reported is
//! a race indeed, if all that synchronises the two is lisle's. What it cannot see is an order made by other means: a
//! `std::sync::Mutex`, std's atomics, the end of an OS thread. Use lisle's [`sync`](crate::sync) instead.
//!
//! # Where it works
//! - Within [`testing::check`](crate::testing::check), always. There all interleavings are tried, too.
//! - In ordinary runs with the cargo feature `race`: `cargo test --features race`. Reports go to stderr in Go's format,
//!   and a process that has had one exits with status 66. The environment variable `LISLE_RACE` is Go's `GORACE`:
//!   `LISLE_RACE="halt_on_error=1 log_path=races exitcode=1"`.
//!
//! Without the feature, and outside of `check`, nothing is looked at, and what is paid is a compare and a branch at most.
//!
//! For whole programs, with all their unsafe code and their C, there is `cargo race run|test|build`: ThreadSanitizer, to
//! which goroutines are explained. It sees [`Cell`] and [`cell::UnsafeCell`](crate::cell), too.
//!
//! # What the feature costs
//! Measured by `cargo bench --bench race` on two shared cores that had other work, so roughly: a message without a buffer
//! takes twice as long (85 and 165 ns), through a buffer 3 to 13 times (10 to 19, and 65 to 125 ns), an uncontended lock 7 to
//! 12 times, to start a goroutine and join it 1 µs instead of 0.1 to 0.3, since the stack of its creation is walked. All
//! clocks are under one lock: several workers that send at once wait for each other there, 20 to 80 times as long, and
//! who starts many goroutines at once takes 14 to 18 times.
//! Clocks have four bytes for each goroutine, of those that lived at the same time, that has used variables which are
//! looked at; who only passes messages has none. Of goroutines that have ended, and whose accesses nobody is known to have
//! seen, 1,024 are remembered for sure.
//!
//! ```text
//! ==================
//! WARNING: DATA RACE
//! Write at 0x7f05f4000d80 by goroutine 3:
//!   examples/data_race.rs:34:22
//!
//! Previous write at 0x7f05f4000d80 by goroutine 2:
//!   examples/data_race.rs:34:22
//!
//! Goroutine 3 (running) created at:
//!   examples/data_race.rs:31:13
//! ...
//! ==================
//! ```

mod address;
mod cell;
mod channel;
mod clock;
pub(crate) mod detector;
pub(crate) mod identity;
pub(crate) mod report;
pub(crate) mod strand;
mod variable;

pub use cell::Cell;
