//! See inside a running program: profiles that `go tool pprof` reads, numbers for Prometheus, and a server of both. All of
//! it is there in every build with the feature `pprof`, which is on by default, and costs nothing until it is asked for.
//!
//! ```
//! let server = lisle::debug::serve("127.0.0.1:0")?; // in a program, a port: 6060
//! println!("go tool pprof -top http://{}/debug/pprof/profile?seconds=5", server.local_addr());
//! # server.stop();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is served
//! | path | |
//! | --- | --- |
//! | `/debug/` | a page for people: live numbers, goroutines in groups, search, stacks, the workers' load, a flame graph |
//! | `/debug/pprof/` | a page with all of these |
//! | `/debug/pprof/profile?seconds=30` | [`CpuProfile`]: where processor time goes |
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

#[cfg_attr(not(feature = "pprof"), allow(dead_code))]
pub(crate) mod unwind;
#[cfg_attr(not(feature = "pprof"), path = "waits_off.rs")]
pub(crate) mod waits;

/// Declares what the feature `pprof` has.
macro_rules! with_pprof {
    ($($item:item)*) => { $(#[cfg(feature = "pprof")] $item)* };
}

with_pprof! {
    pub(crate) mod cpu;
    mod metrics;
    mod profile;
    mod server;
    mod symbol;
    mod view;
    mod walk;

    pub use metrics::prometheus;
    pub use profile::kind::{CpuProfile, ProfileKind, write_profile};
    pub use server::{Server, ServerConfig, serve};
    pub use waits::{set_block_profile_rate, set_mutex_profile_fraction};
}
