//! The one address range in which all stacks lie, and the slabs carved from it.
//!
//! The range is reserved once, without memory behind it (`PROT_NONE`), and is never given back: the
//! thread-local scan and the fault handler rely on its bounds for the life of the process. Its size is a
//! power of two and its start is aligned to that, 1 TiB if the system allows: four million default stacks.
//! The last page of the range is never carved, so that no stack ends where the range ends; and the page before its start
//! is ours, too, so that nobody else's memory ends where the range begins: a pointer to that end, in a thread-local, would
//! look like one to a goroutine's stack.

use super::{PAGE, StackError};
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

const LARGEST: u32 = 40;
const SMALLEST: u32 = 28;
const SLAB_ALIGN: usize = 2 * 1024 * 1024;

/// The reserved range.
pub(crate) struct Range {
    start: usize,
    /// log2 of its length.
    shift: u32,
    /// What is carved so far, as an offset.
    carved: Mutex<usize>,
}

static RANGE: OnceLock<Result<Range, StackError>> = OnceLock::new();

/// The range, reserved at the first call.
pub(crate) fn range() -> Result<&'static Range, StackError> {
    RANGE.get_or_init(Range::reserve).as_ref().map_err(Clone::clone)
}

/// The range if there is one yet. Async-signal-safe.
pub(crate) fn existing_range() -> Option<&'static Range> {
    RANGE.get()?.as_ref().ok()
}

impl Range {
    fn reserve() -> Result<Self, StackError> {
        let mut errno = 0;
        for shift in (SMALLEST..=LARGEST).rev() {
            match Self::reserve_exactly(shift) {
                Ok(start) => return Ok(Self { start, shift, carved: Mutex::new(0) }),
                Err(error) => errno = error.raw_os_error().unwrap_or(0),
            }
        }
        Err(StackError::Reserve { errno })
    }

    /// Reserves twice the length, and gives back what lies outside the aligned half and the page before it.
    fn reserve_exactly(shift: u32) -> io::Result<usize> {
        let length = 1_usize << shift;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), 2 * length + PAGE, libc::PROT_NONE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = (at.addr() + PAGE).next_multiple_of(length);
        for (from, to) in [(at.addr(), start - PAGE), (start + length, at.addr() + 2 * length + PAGE)] {
            if to > from {
                // SAFETY: a part of the mapping just made, which nobody else knows.
                unsafe { libc::munmap(at.with_addr(from), to - from) };
            }
        }
        Ok(start)
    }

    /// Bounds of the range.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.start, self.start + (1 << self.shift))
    }

    pub(crate) fn shift(&self) -> u32 {
        self.shift
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        (address ^ self.start) >> self.shift == 0
    }

    /// Carves `length` bytes of readable, writable memory, backed on touch.
    pub(crate) fn carve(&self, length: usize) -> Result<usize, StackError> {
        let mut carved = self.carved.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = carved.next_multiple_of(if length >= SLAB_ALIGN { SLAB_ALIGN } else { PAGE });
        let reserved = 1_usize << self.shift;
        if offset + length > reserved - PAGE {
            return Err(StackError::Range { reserved });
        }
        let start = self.start + offset;
        let at = std::ptr::without_provenance_mut(start);
        // SAFETY: the part lies in the range, which is ours, and nothing of it is in use: `carved` only
        // grows, under its lock.
        if unsafe { libc::mprotect(at, length, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            return Err(StackError::Memory { errno });
        }
        // Huge pages would commit 2 MiB where 4 KiB are touched.
        super::guard::use_huge_pages(start, length, false);
        *carved = offset + length;
        Ok(start)
    }
}

/// The system's limit on memory maps, for messages.
pub(crate) fn max_map_count() -> String {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").map_or_else(|_| "?".into(), |text| text.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elses_memory_ends_where_the_range_begins() {
        let (start, _) = range().unwrap().bounds();
        let before = std::ptr::without_provenance_mut(start - PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: it replaces nothing.
        let mapped = unsafe { libc::mmap(before, PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_eq!((mapped, io::Error::last_os_error().raw_os_error()), (libc::MAP_FAILED, Some(libc::EEXIST)));
    }
}
