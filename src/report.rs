//! Messages to stderr that cannot fail, and the guard of what must not unwind.

use std::fmt;
use std::io::Write;
use std::os::fd::AsFd;

/// Prints a line to stderr. Unlike `eprintln!` it does not panic when stderr is gone: it is called where a
/// panic would end a wait during which others borrow the stack. It is a single write, since stderr has no
/// buffer: a process that ends meanwhile, or another that shares the terminal, does not cut a line in two.
pub(crate) fn report(line: fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// stderr without its lock, for what ends the process: a goroutine that will never go on may hold that.
pub(crate) struct UnlockedStderr;

impl Write for UnlockedStderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::write(std::io::stderr().as_fd(), bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Ends the process if it is dropped by a panic; forget it on the way out.
pub(crate) struct AbortOnUnwind(pub(crate) &'static str);

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        report(format_args!("lisle: a panic in {}, where others may borrow the stack: aborting", self.0));
        std::process::abort();
    }
}

/// Drops a panic's payload, whose destructor may panic in turn, again and again.
pub(crate) fn discard_payload(payload: Box<dyn std::any::Any + Send>) {
    if let Err(next) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(next);
    }
}
