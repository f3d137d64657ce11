//! Memory that is there: a virtual machine's host takes back what lay idle for some seconds, and takes microseconds a page to
//! give it again, which would be counted to whichever system comes first, and most to the one that needs most.

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ptr::null_mut;

/// What every job gets.
const LEAST: usize = 1 << 30;

/// Uses so much and a GiB more, or half of what there is, and gives it back to the kernel, which then has it at hand; and of
/// that a GiB in huge pages, which may come from elsewhere, for who asks for those.
pub fn make_present(bytes: usize) {
    let half = available() / 2;
    touch((bytes + LEAST).min(half), false);
    touch(LEAST.min(half), true);
}

fn touch(bytes: usize, in_huge_pages: bool) {
    if bytes == 0 {
        return;
    }
    // SAFETY: a new mapping, of which nobody has an address when it goes.
    unsafe {
        let Ok(memory) = mmap_anonymous(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        else {
            return;
        };
        // Where these fail there is less at hand: that shows in the spread.
        if in_huge_pages {
            let _ = madvise(memory, bytes, Advice::LinuxHugepage);
        }
        let _ = madvise(memory, bytes, Advice::LinuxPopulateWrite);
        munmap(memory, bytes).expect("it was mapped");
    }
}

fn available() -> usize {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    crate::work::bytes_of("MemAvailable:", &meminfo).unwrap_or(0)
}
