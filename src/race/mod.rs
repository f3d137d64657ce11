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
//! Measured by `cargo bench --bench race`, without and with `--features race`: processor time (of two cores that had other
//! work), on several workers, for programs whose goroutines all have used a variable before, so that clocks pass along.
//!
//! | | without | with | |
//! | --- | ---: | ---: | ---: |
//! | message, no buffer, 1 to 1 | 51 ns | 77 ns | 1.5 times |
//! | message, no buffer, 4 to 4 | 63 ns | 102 ns | 1.6 |
//! | message through a buffer of 100, 1 to 1 | 9.8 ns | 89 ns | 9.1 |
//! | message through a buffer of 100, 4 to 4 | 12.7 ns | 91 ns | 7.1 |
//! | message without bounds, 4 to 4 | 19 ns | 144 ns | 7.6 |
//! | lock and unlock, alone | 5.3 ns | 34 ns | 6.4 |
//! | the same lock, 2 goroutines | 5.5 ns | 48 ns | 8.7 |
//! | the same lock, 8 goroutines | 5.6 ns | 196 ns | 35 |
//! | lock, read, write, unlock | 17 ns | 720 ns | 43 |
//! | use a variable, send, receive, use a variable; through a buffer, 4 to 4 | 25 ns | 910 ns | 36 |
//! | start and join | 0.13 µs | 0.39 µs | 3.0 |
//! | start many at once | 0.24 µs | 1.1 µs | 4.8 |
//!
//! What is dear is the first use of a variable after each synchronisation: its stack is walked. A lock that many want is held
//! for longer with the detector, and so they wait for it more often.
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
mod lock;
pub(crate) mod report;
pub(crate) mod strand;
mod variable;

pub use cell::Cell;
