//! See inside a running program: dumps of all goroutines, profiles that `go tool pprof` reads, numbers for Prometheus, and
//! a server of all that. It is there in every build, and costs next to nothing until it is asked for.
//!
//! # Dumps
//! [`dump()`] gives all goroutines with what they do, what they wait for and where, in the form of Go's dumps; [`dump_to`]
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
//! created by server::accept in goroutine 7
//!         src/main.rs:24
//! ```
//!
//! ## What a dump costs
//! Nothing is kept for dumps, and nobody is stopped for one: each goroutine is copied by the kernel, and copied again if
//! it went on meanwhile. A goroutine that *runs* is interrupted for some microseconds by SIGURG, so that it can show its
//! stack; a system call that it is in may return `EINTR`. (A program that installs a handler of its own for SIGURG and
//! does not call the one that was there, or blocks the signal, gets running goroutines without their stacks.) So a dump is
//! not one moment of the whole program: each goroutine is told as it was at one moment. Those that have not started come after
//! the others, with what they will run and who created them (those that capture more than some 200 bytes are counted). Behind the goroutines stand the OS threads that wait in lisle, such as a `main` that joins.
//!
//! The first dump reads the debug information of the program, which takes some milliseconds, and in debug builds much
//! longer. The release profile has names of functions without it; files, lines and inlined functions need
//! `debug = "line-tables-only"` or more. So does the function that created a goroutine, to be exact; without, it is the one in
//! which the closure is written.
//!
//! ## From where
//! From any goroutine or thread, also while all workers are stuck, within a panic and its hook, and while holding whatever
//! locks. **Not from a signal handler**: it takes locks and allocates. It says so there, on stderr and by its error, and does
//! nothing (unless the handler was installed with `SA_NODEFER`, which it cannot see); have a thread do it
//! ([`signal::notify`](crate::signal::notify)).
//!
//! # Deadlocks
//! When nothing in the process can ever go on, the program ends with status 2, after
//! `fatal error: all goroutines are asleep - deadlock!` and a dump, as in Go; see
//! [`Config::deadlock`](crate::Config::deadlock) for what counts as one. Behind the dump stands who waits for whom, as far as
//! it is known: joins, and locks while their order is watched. Two locks that are taken in different orders can
//! become one: [`Config::lint_lock_order`](crate::Config::lint_lock_order), `LISLE_DEBUG=lockorder`, finds them before.
//!
//! # Leaks
//! [`leaked()`] tells goroutines that nothing in the program can wake any more.
//! [`testing::assert_no_leaks`](crate::testing::assert_no_leaks) tells, in a test, those that are left behind.
//!
//! # Profiles and pages
//! All of this is in the feature `pprof`, which is on by default.
//!
//! ```
//! let server = lisle::debug::serve("127.0.0.1:0")?; // in a program, a port: 6060
//! println!("go tool pprof -top http://{}/debug/pprof/profile?seconds=5", server.local_addr());
//! # server.stop();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! ## What is served
//! | path | |
//! | --- | --- |
//! | `/debug/` | a page for people: live numbers, goroutines in groups, search, stacks, the workers' load, a flame graph |
//! | `/debug/pprof/` | a page with all of these |
//! | `/debug/pprof/profile?seconds=30` | [`CpuProfile`]: where processor time goes; `&debug=1`: as text, for those without Go |
//! | `/debug/pprof/NAME` | the [`ProfileKind`] of this name; `?debug=1`: as text |
//! | `/debug/pprof/goroutine?debug=2` | the stack of each goroutine, as text |
//! | `/debug/pprof/NAME?seconds=5` | for those that count: what comes in so many seconds |
//! | `/debug/pprof/cmdline`, `symbol` | what the tool asks for besides |
//! | `/debug/metrics`, `/debug/vars` | [`prometheus`], and the same numbers as JSON |
//!
//! The server has threads of its own, so that it answers when every worker is stuck. It answers this machine only, unless
//! [`ServerConfig`] says otherwise. Wrong requests get a status and a sentence: an unknown profile 404, a number that
//! makes no sense 400, a second CPU profile at a time 409, another host's name 403. A client that goes away ends what it
//! had asked for.
//!
//! Without a server: [`write_profile`], [`CpuProfile`], [`prometheus`], [`metrics`](crate::metrics()); and
//! [`LISLE_DEBUG=schedtrace=1000`](crate::Config::schedtrace).
//!
//! The names, forms and meanings are those of Go's `net/http/pprof` and `runtime/pprof`.

mod copy;
mod creator;
pub(crate) mod dump;
mod interrupt;
pub(crate) mod known_walks;
pub(crate) mod labels;
pub(crate) mod leaked;
pub(crate) mod lock_order;
pub(crate) mod registry;
mod scopes;
mod signal_handler;
pub(crate) mod symbol;
mod threads;
mod unstarted;
pub(crate) mod unwind;
#[cfg_attr(not(feature = "pprof"), path = "waits_off.rs")]
pub(crate) mod waits;
pub(crate) mod waits_for;
pub(crate) mod walk;

pub use dump::{Format, dump, dump_to};
pub(crate) use labels::Text;
pub use labels::with_labels;
pub use leaked::{Leak, leaked};

/// Declares what the feature `pprof` has.
macro_rules! with_pprof {
    ($($item:item)*) => { $(#[cfg(feature = "pprof")] $item)* };
}

with_pprof! {
    pub(crate) mod cpu;
    mod metrics;
    mod profile;
    mod server;
    mod view;

    pub use metrics::prometheus;
    pub use profile::kind::{CpuProfile, ProfileKind, write_profile};
    pub use server::{Server, ServerConfig, serve};
    pub use waits::{set_block_profile_rate, set_mutex_profile_fraction};
}
