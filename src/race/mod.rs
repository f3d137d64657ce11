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
//! Measured by `cargo bench --bench race`, without and with `--features race`, in turn: medians of five to seven such pairs
//! (of two or three in the first and third line), each itself a median of seven; processor time, of two cores that had other work to varying
//! degrees, on several workers, for programs whose goroutines all have used a variable before, so that clocks pass along.
//!
//! | | without | with | |
//! | --- | ---: | ---: | ---: |
//! | message, no buffer, 1 to 1 | 82 ns | 133 ns | 1.6 times |
//! | message through a buffer of 100, 1 to 1 | 16 ns | 105 ns | 6.5 |
//! | message through a buffer of 100, 4 to 4 | 15 ns | 115 ns | 7.6 |
//! | message without bounds, 4 to 4 | 29 ns | 238 ns | 8.1 |
//! | lock and unlock, alone | 5.9 ns | 30 ns | 5.1 |
//! | the same lock, 2 goroutines | 6.2 ns | 30 ns | 4.9 |
//! | the same lock, 8 goroutines | 7.0 ns | 47 ns | 6.7 |
//! | lock, read, write, unlock; 2 goroutines | 25 ns | 223 ns | 8.9 |
//! | the same, with both cores free | 101 ns | 693 ns | 6.8 |
//! | use a variable, send, receive, use a variable; through a buffer, 4 to 4 | 35 ns | 304 ns | 8.7 |
//! | the same, with both cores free | 88 ns | 654 ns | 7.4 |
//! | start and join | 0.17 µs | 0.42 µs | 2.5 |
//! | start many at once | 0.32 µs | 0.85 µs | 2.6 |
//!
//! On a single core `lock, read, write, unlock` is 12 times as slow (17 and 200 ns, one pair).
//! The first use of a variable after each synchronisation is noted with the calls in which it happens. They are walked once for
//! each place, depth of the stack and thread, and from then on compared: 20 ns instead of 500, and as true.
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
