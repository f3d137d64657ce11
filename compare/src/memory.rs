//! Memory that is there: a virtual machine's host takes back what lay idle for some seconds, and takes microseconds a page to
//! give it again, which would be counted to whichever system comes first, and most to the one that needs most.

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ptr::null_mut;

/// How much, of each kind; half of what there is at most.
const MUCH: usize = 1 << 30;

/// Uses a GiB, and another in huge pages, which may come from elsewhere, and gives both back to the kernel, which then has them
/// at hand.
pub fn make_present() {
    let much = MUCH.min(available() / 2);
    touch(much, false);
    touch(much, true);
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
