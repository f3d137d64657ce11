//! One side of a protocol pays for the fences of both: `membarrier` (Linux 4.14), a fence on every thread of the process.
//!
//! Where one side runs all the time and the other hardly ever, the former uses plain loads and stores, with [`here`]
//! between its store and its load, and the latter calls [`everywhere`] between its own. Then, as if both had a
//! sequentially consistent fence, at least one sees what the other has stored. A call takes some microseconds (13 where it
//! interrupts another processor of a virtual machine).
//!
//! The idea and its name, the asymmetric fence, are known from folly and liburcu.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};
use std::time::Duration;

const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

static AVAILABLE: AtomicBool = AtomicBool::new(false);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Asks the system for it. With other threads about this may take milliseconds: it belongs to where a runtime starts.
pub(crate) fn register() {
    // miri has no such call, and keeps stores back as long as it pleases.
    if !cfg!(miri) && !is_available() && membarrier(REGISTER_PRIVATE_EXPEDITED) {
        AVAILABLE.store(true, Ordering::Release);
    }
}

/// Whether it is wise to begin what will need [`everywhere`]. Not before somebody has registered.
pub(crate) fn is_available() -> bool {
    AVAILABLE.load(Ordering::Acquire)
}

/// The side that runs all the time. It costs nothing: only the compiler is to keep the order.
#[inline(always)]
pub(crate) fn here() {
    compiler_fence(Ordering::SeqCst);
}

/// The other side: a sequentially consistent fence on every thread of the process. It must have been available.
pub(crate) fn everywhere() {
    if !membarrier(PRIVATE_EXPEDITED) {
        outlast_stores();
    }
}

/// The call was granted once and is refused now: somebody has closed the process off since (seccomp). No processor keeps a
/// store to itself for anything like as long as this, and one that was interrupted meanwhile has none left.
#[cold]
fn outlast_stores() {
    AVAILABLE.store(false, Ordering::Release);
    std::thread::sleep(Duration::from_millis(20));
}
