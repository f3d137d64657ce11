//! Guards, and the batched advice to the kernel that makes a million stacks affordable.
//!
//! Measured on a virtual machine, for each stack: guards one by one 0.8–1.3 µs, in batches 0.55 µs; first
//! touch of a page by a fault 4.5–9 µs, populated in batches 1.7 µs. So stacks are prepared in runs, two
//! system calls for each run.
//!
//! The guard itself is `MADV_GUARD_INSTALL` (Linux 6.13): it marks page-table entries and costs no memory
//! map. It is refused by older kernels and on locked memory (`mlockall` may come into force at any time),
//! hence the decision is made anew for every run: where it is refused, `mprotect` makes the guard and
//! splits the map; where that fails too, there is no stack. An unguarded stack is never handed out.

use super::{GUARD, StackError};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Whether guards are made by `mprotect` although the kernel could do better: `Config::guard` and
/// `LISLE_GUARD=mprotect`, for tests and for kernels that misbehave.
static FORCE_MPROTECT: AtomicBool = AtomicBool::new(false);

pub(crate) fn force_mprotect() {
    FORCE_MPROTECT.store(true, Ordering::Relaxed);
}

/// Makes the lowest `GUARD` bytes of each slot fault when touched. On an error none, some or all of the
/// slots have their guard: it does no harm to install it again.
pub(crate) fn install(slots: &[usize]) -> Result<(), StackError> {
    if !FORCE_MPROTECT.load(Ordering::Relaxed)
        && (advise(slots, |start| (start, GUARD), MADV_GUARD_INSTALL)
            || slots.iter().all(|&start| madvise(start, GUARD, MADV_GUARD_INSTALL)))
    {
        return Ok(());
    }
    slots.iter().try_for_each(|&start| {
        // SAFETY: the guard is a part of a slot that the caller owns and nobody uses yet.
        let done = unsafe { libc::mprotect(std::ptr::without_provenance_mut(start), GUARD, libc::PROT_NONE) };
        if done == 0 {
            return Ok(());
        }
        Err(StackError::Maps { errno: io::Error::last_os_error().raw_os_error().unwrap_or(0) })
    })
}

/// Backs the given parts with memory now, all at once, instead of by a fault each. Best effort: what is
/// not populated faults later.
pub(crate) fn populate(slots: &[usize], part: impl Fn(usize) -> (usize, usize)) {
    advise(slots, part, libc::MADV_POPULATE_WRITE);
}

/// Gives the memory of the given parts back; they read as zero afterwards. Best effort (locked memory
/// stays). Guards that lie within survive.
///
/// # Safety
/// The parts belong to slots that the caller owns and that hold no live stack.
pub(crate) unsafe fn discard(slots: &[usize], part: impl Fn(usize) -> (usize, usize) + Copy) {
    if !advise(slots, part, libc::MADV_DONTNEED) {
        for (start, length) in slots.iter().map(|&slot| part(slot)) {
            madvise(start, length, libc::MADV_DONTNEED);
        }
    }
}

/// Whether the kernel is to back the part with huge pages. Best effort: where there are none, nothing is lost.
pub(crate) fn use_huge_pages(start: usize, length: usize, yes: bool) {
    madvise(start, length, if yes { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE });
}

fn madvise(start: usize, length: usize, advice: libc::c_int) -> bool {
    // SAFETY: the callers name parts of slots that they own and that hold no live data; or, with advice on huge pages,
    // whatever part, since that changes no content.
    unsafe { libc::madvise(std::ptr::without_provenance_mut(start), length, advice) == 0 }
}

/// One `process_madvise` on ourselves for up to 512 parts each. Whether all of it was done.
fn advise(slots: &[usize], part: impl Fn(usize) -> (usize, usize), advice: libc::c_int) -> bool {
    let Some(pidfd) = own_pidfd() else { return false };
    let done = slots.chunks(512).all(|chunk| {
        let parts: Vec<libc::iovec> = chunk
            .iter()
            .map(|&slot| part(slot))
            .map(|(start, len)| libc::iovec { iov_base: std::ptr::without_provenance_mut(start), iov_len: len })
            .collect();
        let total: usize = parts.iter().map(|part| part.iov_len).sum();
        // SAFETY: the vector is valid for the call; the parts are the caller's, as `madvise` above says.
        let advised =
            unsafe { libc::syscall(libc::SYS_process_madvise, pidfd, parts.as_ptr(), parts.len(), advice, 0_usize) };
        usize::try_from(advised) == Ok(total)
    });
    // SAFETY: opened in `own_pidfd` for this call alone.
    unsafe { libc::close(pidfd) };
    done
}

/// A descriptor of this very process. Opened for each run, not cached: after a `fork` a cached one would
/// name the parent, and the advice would hit its memory.
fn own_pidfd() -> Option<libc::c_int> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
    libc::c_int::try_from(fd).ok().filter(|&fd| fd >= 0)
}
