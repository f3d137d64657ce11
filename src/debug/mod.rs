//! See inside a running program.
//!
//! [`dump`] gives all goroutines with what they do, what they wait for and where, in the form of Go's dumps; [`dump_to`]
//! writes them to a file, folded or as JSON; Ctrl-\\ (SIGQUIT) prints them to stderr and ends the process with status 2,
//! as Go's runtime does (not if the program listens for SIGQUIT by [`signal`](crate::signal), nor with
//! [`Config::dump_on_quit`](crate::Config::dump_on_quit)`(false)` or `LISLE_SIGQUIT=default`).
//!
//! ```
//! let (_sender, receiver) = lisle::channel::bounded::<u32>(0);
//! let waiting = lisle::Builder::new().name("consumer").go(move || receiver.recv()).unwrap();
//! # let goroutine = waiting.goroutine();
//! # while goroutine.wait_reason() != lisle::WaitReason::ChannelReceive { std::thread::yield_now(); }
//! let dump = lisle::debug::dump();
//! assert!(dump.contains("[chan receive, name \"consumer\"]"), "{dump}");
//! ```
//!
//! ```text
//! goroutine 18 [chan receive, 5 minutes, name "consumer", labels {request:17}]:
//! <lisle::channel::receiver::Receiver<u32>>::recv(...)
//!         /home/me/.cargo/registry/src/…/lisle/src/channel/receiver.rs:79
//! server::consume(...)
//!         /home/me/server/src/main.rs:31
//! created by lisle::go in goroutine 7
//!         src/main.rs:24
//! ```
//!
//! # What it costs
//! Nothing is kept for dumps, and nobody is stopped for one: each goroutine is copied by the kernel, and copied again if
//! it went on meanwhile. A goroutine that *runs* is interrupted for some microseconds by SIGURG, so that it can show its
//! stack; a system call that it is in may return `EINTR`. (A program that installs a handler of its own for SIGURG and
//! does not call the one that was there, or blocks the signal, gets running goroutines without their stacks.) So a dump is
//! not one moment of the whole program: each goroutine is told as it was at one moment. Those that have not started yet are
//! counted.
//!
//! The first dump reads the debug information of the program, which takes some milliseconds, and in debug builds much
//! longer. The release profile has names of functions without it; files, lines and inlined functions need
//! `debug = "line-tables-only"` or more.
//!
//! # From where
//! From any goroutine or thread, also while all workers are stuck, and within a panic. **Not from a signal handler**: it
//! takes locks and allocates; have a thread do it ([`signal::notify`](crate::signal::notify)).
//!
//! # The parts, for those who build on them
//! | file | what |
//! | --- | --- |
//! | `registry` | `visit(Wanted, |&Snapshot| ControlFlow)`: every started goroutine, streaming, from any OS thread, holding nobody up; `unstarted()` |
//! | `unwind` | `unwind(&mut Cache, Registers, &StackMemory, &mut [usize])`: the walk, async-signal-safe after `refresh()` |
//! | `symbol` | `resolve(&[usize])`: functions, files, lines, inlined calls; `visible`: the part that is the user's |
//! | `interrupt` | the stack of a running goroutine, by SIGURG; `registers` of a signal's context |
//! | `labels` | [`with_labels`]; `Text`, `pairs`, `current` |
//! | `dump` | the forms of dumps; SIGQUIT |
//! | `copy` | copies of memory that others use, made by the kernel |
//!
//! Signal handlers on workers run on the alternate stack of `stack::overflow::SignalStack`, 64 KiB for all of them.
//! `Scheduler::all`, `all_workers` list who there is.

mod copy;
pub(crate) mod dump;
mod interrupt;
pub(crate) mod labels;
pub(crate) mod registry;
pub(crate) mod symbol;
pub(crate) mod unwind;

pub(crate) use labels::Text;
pub use dump::{Format, dump, dump_to};
pub use labels::with_labels;
