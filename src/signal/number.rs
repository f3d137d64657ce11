//! [`Signal`]: a signal that can be listened for. Others cannot be represented, so that a wrong number is
//! refused where it enters the program, and nowhere else.

use std::fmt;

/// A signal for which a program can listen. Compares equal to the constants of the module
/// [`signal`](crate::signal), and can be matched with them.
///
/// ```
/// use lisle::signal::{SIGINT, SIGTERM, Signal};
/// assert_eq!(Signal::try_from(15), Ok(SIGTERM));
/// assert_eq!((SIGINT.number(), SIGINT.to_string()), (2, String::from("SIGINT")));
/// assert!(Signal::try_from(9).is_err()); // SIGKILL cannot be caught
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// Declares the constants and the table of names in one go.
macro_rules! signals {
    ($($name:ident: $what:literal;)*) => {
        $(#[doc = $what] pub const $name: Signal = Signal(libc::$name);)*

        const NAMES: &[(Signal, &str)] = &[$(($name, stringify!($name))),*];
    };
}

signals! {
    SIGHUP: "The terminal has gone; by custom also: read the configuration again. Default: ends the process.";
    SIGINT: "Ctrl-C. Default: ends the process.";
    SIGQUIT: "Ctrl-\\\\. Default: ends the process with a core dump.";
    SIGABRT: "Somebody asks for an abort. `std::process::abort` ends the process all the same. Default: core dump.";
    SIGUSR1: "For the program's own purposes. Default: ends the process.";
    SIGUSR2: "For the program's own purposes. Default: ends the process.";
    SIGPIPE: "A write to a pipe that nobody reads. Rust programs ignore it.";
    SIGALRM: "The alarm of `alarm(2)`. Default: ends the process.";
    SIGTERM: "Somebody asks the program to end: `kill`, service managers. Default: ends the process.";
    SIGCHLD: "A child process has ended or stopped. Default: nothing.";
    SIGCONT: "The process goes on after a stop. Default: nothing more than that.";
    SIGTSTP: "Ctrl-Z. Default: stops the process.";
    SIGTTIN: "A read from the terminal in the background. Default: stops the process.";
    SIGTTOU: "A write to the terminal in the background. Default: stops the process.";
    SIGURG: "Urgent data on a socket. Default: nothing.";
    SIGXCPU: "The limit of processor time is passed. Default: ends the process with a core dump.";
    SIGXFSZ: "The limit of a file's size is passed. Default: ends the process with a core dump.";
    SIGVTALRM: "The alarm of a virtual clock. Default: ends the process.";
    SIGPROF: "The alarm of a profiling clock. Default: ends the process.";
    SIGWINCH: "The terminal's size has changed. Default: nothing.";
}

impl Signal {
    /// The number by which the system knows it. By custom of shells, a process that a signal has ended has the
    /// exit status 128 plus this number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Signal {
    type Error = UnsupportedSignal;

    fn try_from(number: i32) -> Result<Self, UnsupportedSignal> {
        let known = NAMES.iter().find(|(signal, _)| signal.0 == number);
        known.map(|&(signal, _)| signal).ok_or(UnsupportedSignal { number })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(signal, _)| signal == self).map_or("a signal", |&(_, name)| name);
        f.pad(name)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number that is not that of a [`Signal`]. Its text says why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UnsupportedSignal {
    /// The number.
    pub number: i32,
}

impl fmt::Display for UnsupportedSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match number {
            libc::SIGKILL => write!(f, "signal {number} (SIGKILL) cannot be caught: the system does not allow it"),
            libc::SIGSTOP => write!(f, "signal {number} (SIGSTOP) cannot be caught: the system does not allow it"),
            libc::SIGSEGV | libc::SIGBUS => {
                write!(
                    f,
                    "signal {number} reports a fault of the program itself; lisle's report of stack overflows owns it"
                )
            }
            libc::SIGILL | libc::SIGFPE | libc::SIGTRAP => {
                write!(f, "signal {number} reports a fault of the program itself, which cannot go on after it")
            }
            // Those below SIGRTMIN are the C library's own.
            32..=64 => write!(f, "signal {number} is a real-time signal; lisle listens for the standard ones only"),
            1..=31 => write!(f, "signal {number} is not one that lisle listens for"),
            _ => write!(f, "{number} is not the number of a signal"),
        }
    }
}

impl std::error::Error for UnsupportedSignal {}
