//! From the signal handler to those who listen: one thread, one list.
//!
//! signal-hook's handler, which runs on whatever thread the kernel picks, sets a flag for the signal and writes a
//! byte to a pipe. A thread of ours reads the pipe and tells the listeners. It depends on no worker, so that Ctrl-C
//! works while all of them are stuck. Of the user's code it runs destructors only, those of the values of a context
//! that nobody else has any more; if one panics, the thread goes on.
//!
//! # Invariants
//! - `STATE.default` has an entry for each signal whose handler is installed, and handlers stay installed.
//! - A listener is in the list before the handler for its signals is there.
//! - Nobody is woken, and nothing is dropped that could wake somebody, while `STATE` is locked.
//!
//! # When nobody listens any more
//! A receiver is a plain one, and does not tell when it is dropped. So the thread finds out at the next signal:
//! if every listener for it has gone, it does what the kernel would have done before the handler was there.
//! That may come some microseconds later than from the kernel, which matters to nobody who presses Ctrl-C.
//!
//! Rejected: a receiver type of lisle's own that takes the handler away when it is dropped. It would have to be
//! unwrapped for each `select!`, and taking a handler away cannot be done without a race against those of other
//! libraries, which signal-hook leaves installed for that reason.

use super::listener::{Listener, Told};
use super::{SIGQUIT, Signal};
use crate::report::discard_payload;
use crate::threads::service::{self, Service};
use signal_hook::iterator::{Handle, Signals};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

struct State {
    /// Installs handlers; there once the thread runs.
    handle: Option<Handle>,
    /// Whether the signal had its default action before our handler was installed. If not, it was ignored
    /// (`nohup`; SIGPIPE in Rust programs), or somebody else's handler was there, which ours calls each time.
    default: BTreeMap<Signal, bool>,
    /// SIGQUIT dumps all goroutines if nobody listens for it.
    dumps: bool,
    listeners: Vec<Listener>,
}

static STATE: Mutex<State> =
    Mutex::new(State { handle: None, default: BTreeMap::new(), dumps: false, listeners: Vec::new() });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a listener, and installs handlers for its signals.
pub(super) fn listen(listener: Listener) -> io::Result<()> {
    let mut state = state();
    let gone: Vec<_> = state.listeners.extract_if(.., |listener| listener.has_gone()).collect();
    let installed = listener.signals().iter().try_for_each(|&signal| state.install(signal));
    let refused = match installed {
        Ok(()) => {
            state.listeners.push(listener);
            None
        }
        Err(_) => Some(listener),
    };
    drop(state);
    drop((gone, refused));
    installed
}

/// From now on SIGQUIT, if nobody listens for it, and if nobody has ignored it or handles it already, dumps all goroutines
/// and ends the process.
pub(crate) fn dump_on_quit() -> io::Result<()> {
    let mut state = state();
    if state.dumps || !state.default.contains_key(&SIGQUIT) && !has_default_action(SIGQUIT)? {
        return Ok(());
    }
    state.install(SIGQUIT)?;
    state.dumps = true;
    Ok(())
}

impl State {
    fn install(&mut self, signal: Signal) -> io::Result<()> {
        if self.default.contains_key(&signal) {
            return Ok(());
        }
        let handle = match &self.handle {
            Some(handle) => handle,
            None => self.handle.insert(start_thread()?),
        };
        let has_default = has_default_action(signal)?;
        handle.add_signal(signal.number())?;
        self.default.insert(signal, has_default);
        Ok(())
    }
}

fn start_thread() -> io::Result<Handle> {
    let mut signals = Signals::new::<[i32; 0], i32>([])?;
    let handle = signals.handle();
    let deliver_all = move || {
        let _service = Service::begin();
        let signals = signals.forever().filter_map(|number| Signal::try_from(number).ok());
        signals.for_each(|signal| service::call_user(|| deliver(signal)));
    };
    thread::Builder::new().name("lisle-signals".into()).spawn(deliver_all)?;
    Ok(handle)
}

/// Reads the process's masks: the way to ask for an action without the means to change it.
fn has_default_action(signal: Signal) -> io::Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bit = 1_u64 << (signal.number() - 1);
    let mask = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
    };
    match (mask("SigIgn:"), mask("SigCgt:")) {
        (Some(ignored), Some(caught)) => Ok((ignored | caught) & bit == 0),
        _ => Err(io::Error::other("/proc/self/status does not tell which signals are ignored")),
    }
}

/// Tells all who listen for it. The list is out of the lock meanwhile; who begins to listen now listens for the
/// next signal.
fn deliver(signal: Signal) {
    let listeners = std::mem::take(&mut state().listeners);
    let mut heard = false;
    let mut staying = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let told = listener.tell(signal);
        heard |= matches!(told, Told::Stays | Told::Leaves);
        match told {
            Told::Unconcerned | Told::Stays => staying.push(listener),
            Told::Leaves | Told::HasGone => drop_safely(listener),
        }
    }
    let mut state = state();
    state.listeners.append(&mut staying);
    let has_default = state.default.get(&signal) == Some(&true);
    let dumps = state.dumps && signal == SIGQUIT;
    drop(state);
    if !heard && has_default {
        if dumps {
            crate::debug::dump::quit();
        }
        // For a number of its table, which ours all are, it does not fail.
        let _ = signal_hook::low_level::emulate_default_handler(signal.number());
    }
}

/// Whether somebody listens, so that a signal can set the program going. (While one is being delivered the thread that
/// does so is seen instead.)
pub(crate) fn is_awaited() -> bool {
    state().listeners.iter().any(|listener| !listener.has_gone())
}

/// Its context may be the last to hold values of the user's, whose destructors may panic.
fn drop_safely(listener: Listener) {
    let dropped = catch_unwind(AssertUnwindSafe(move || drop(listener)));
    dropped.err().into_iter().for_each(discard_payload);
}
