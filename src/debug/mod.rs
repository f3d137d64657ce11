//! See inside a running program.
//!
//! # The parts, for those who build on them
//! | file | what |
//! | --- | --- |
//! | `registry` | `visit(Wanted, |&Snapshot| ControlFlow)`: every started goroutine, streaming, from any OS thread, holding nobody up; `unstarted()` |
//! | `unwind` | `unwind(&mut Cache, Registers, &StackMemory, &mut [usize])`: the walk, async-signal-safe after `refresh()` |
//! | `symbol` | `resolve(&[usize])`: functions, files, lines, inlined calls; `visible`: the part that is the user's |
//! | `interrupt` | the stack of a running goroutine, by SIGURG; `registers` of a signal's context |
//! | `labels` | [`with_labels`]; `Text`, `pairs`, `current` |
//! | `copy` | copies of memory that others use, made by the kernel |
//!
//! Signal handlers on workers run on the alternate stack of `stack::overflow::SignalStack`, 64 KiB for all of them.
//! `Scheduler::all`, `all_workers` list who there is.

mod copy;
mod interrupt;
pub(crate) mod labels;
pub(crate) mod registry;
pub(crate) mod symbol;
pub(crate) mod unwind;

pub(crate) use labels::Text;
pub use labels::with_labels;
