//! What the copy of the process works with: arrays that are not on the heap, the map of its own memory, and reads that
//! cannot fault. Nothing here allocates or takes a lock: another thread may have held one when the copy was made.

use crate::stack::PAGE;
use std::ops::Range;

pub(super) const WORD: usize = size_of::<usize>();
/// Bytes that are read at a time.
pub(super) const BUFFER: usize = 64 * 1024;

/// An array in memory of its own. Memory is what is written to.
pub(super) struct Array<T: Copy> {
    start: *mut T,
    length: usize,
    room: usize,
}

impl<T: Copy> Array<T> {
    /// `None`: there is no address space for it.
    pub(super) fn new(room: usize) -> Option<Self> {
        Self::map(room, libc::MAP_PRIVATE)
    }

    /// One that copies of the process share, all zero.
    pub(super) fn shared(room: usize) -> Option<Self> {
        let mut this = Self::map(room, libc::MAP_SHARED)?;
        this.length = room;
        Some(this)
    }

    fn map(room: usize, kind: libc::c_int) -> Option<Self> {
        let bytes = Self::bytes(room);
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, kind | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new mapping, which nobody else knows of.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        (start != libc::MAP_FAILED).then_some(Self { start: start.cast(), length: 0, room })
    }

    fn bytes(room: usize) -> usize {
        (room * size_of::<T>()).max(1).next_multiple_of(PAGE)
    }

    /// Where it lies.
    pub(super) fn place(&self) -> Range<usize> {
        self.start.addr()..self.start.addr() + Self::bytes(self.room)
    }

    /// Whether there was room.
    pub(super) fn push(&mut self, value: T) -> bool {
        if self.length == self.room {
            return false;
        }
        // SAFETY: within the mapping, which is ours.
        unsafe { self.start.add(self.length).write(value) };
        self.length += 1;
        true
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        // SAFETY: below the former length, so it was written.
        Some(unsafe { self.start.add(self.length).read() })
    }

    /// From now on there are so many, those that were not pushed being all zero.
    ///
    /// # Safety
    /// All zero is a value of `T`.
    pub(super) unsafe fn fill(&mut self) {
        self.length = self.room;
    }

    pub(super) fn as_slice(&self) -> &[T] {
        // SAFETY: so many were written, or are zero by the promise of `fill` and `shared`; `&self` borrows them.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and `&mut self` borrows them alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl<T: Copy> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: our mapping, of which no borrow is left.
        unsafe { libc::munmap(self.start.cast(), Self::bytes(self.room)) };
    }
}

/// Reads the process's own memory by the kernel's hand: what is not there is told, not faulted on.
pub(in crate::debug) fn read(from: usize, into: &mut [u8]) -> bool {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(from), iov_len: into.len() };
    // SAFETY: the local vector describes `into`; the remote one is an address for the kernel to read or to refuse.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    usize::try_from(copied).is_ok_and(|copied| copied == into.len())
}

/// A word of the process's own memory.
pub(super) fn read_word(from: usize) -> Option<usize> {
    let mut bytes = [0; WORD];
    read(from, &mut bytes).then(|| usize::from_ne_bytes(bytes))
}

/// Calls `f` with each word of the range that can be read.
pub(super) fn each_word(range: Range<usize>, buffer: &mut [u8], mut f: impl FnMut(usize)) {
    let mut read_and_call = |at: usize, length: usize| {
        let words = &mut buffer[..length];
        let is_there = read(at, words);
        if is_there {
            words.chunks_exact(WORD).for_each(|word| f(word.try_into().map_or(0, usize::from_ne_bytes)));
        }
        is_there
    };
    let mut at = range.start.next_multiple_of(WORD);
    while at + WORD <= range.end {
        let page_end = (at & !(PAGE - 1)) + PAGE;
        let length = BUFFER.min(range.end - at) & !(WORD - 1);
        if read_and_call(at, length) {
            at += length;
            continue;
        }
        // Somewhere in it is a page that is not there.
        read_and_call(at, (page_end.min(range.end) - at) & !(WORD - 1));
        at = page_end;
    }
}

/// A part of the address space.
#[derive(Clone, Copy)]
pub(super) struct Map {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Belongs to no file.
    pub(super) anonymous: bool,
    /// The part that `brk` makes longer.
    pub(super) is_heap: bool,
}

/// What can refer to something and is the process's own, by address; a heap begins a part of its own. `None`: it cannot be
/// told.
pub(super) fn maps(into: &mut Array<Map>, text: &mut Array<u8>) -> Option<()> {
    read_file(c"/proc/self/maps", text)?;
    for line in text.as_slice().split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let Some(mut map) = parse(line)? else { continue };
        while let Some(at) = super::heap::begins_within(&map) {
            into.push(Map { end: at, ..map }).then_some(())?;
            map.start = at;
        }
        into.push(map).then_some(())?;
    }
    Some(())
}

/// `start-end perms offset dev inode path`, see proc(5). `Some(None)`: not of interest.
fn parse(line: &[u8]) -> Option<Option<Map>> {
    let mut fields = line.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let mut bounds = fields.next()?.split(|&byte| byte == b'-');
    let (start, end) = (hex(bounds.next()?)?, hex(bounds.next()?)?);
    let access = fields.next()?;
    let path = fields.nth(3).unwrap_or_default();
    // What is of a file and cannot be written to is as it was in the file.
    let may_refer = access.starts_with(b"rw") || access.starts_with(b"r") && path.is_empty();
    if !may_refer || access.get(3) != Some(&b'p') {
        return Some(None);
    }
    Some(Some(Map { start, end, anonymous: path.is_empty(), is_heap: path == b"[heap]" }))
}

fn hex(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | (digit as char).to_digit(16)? as usize))
}

fn read_file(path: &std::ffi::CStr, into: &mut Array<u8>) -> Option<()> {
    // SAFETY: a C string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    into.length = 0;
    let whole = loop {
        let room = into.room - into.length;
        // SAFETY: behind what was read there are so many bytes of ours.
        let read = unsafe { libc::read(file, into.start.add(into.length).cast(), room) };
        match usize::try_from(read) {
            Ok(0) => break room > 0,
            Ok(read) => into.length += read,
            Err(_) => break false,
        }
    };
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    whole.then_some(())
}

/// Says that where memory is short, this process is the first to be ended.
pub(super) fn be_expendable() {
    let score = b"1000";
    // SAFETY: a C string.
    let file = unsafe { libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if file >= 0 {
        // SAFETY: so many bytes of ours; opened above. If it fails, the system chooses as it always does.
        unsafe {
            libc::write(file, score.as_ptr().cast(), score.len());
            libc::close(file);
        }
    }
}

/// Calls `f` with each run of pages of `map` that hold something: a reservation may be many times larger than memory.
pub(super) fn each_present(map: Range<usize>, mut f: impl FnMut(Range<usize>)) -> Option<()> {
    // SAFETY: a C string.
    let file = unsafe { libc::open(c"/proc/self/pagemap".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut entries = [0_u64; 512];
    let mut page = map.start / PAGE;
    let end = map.end / PAGE;
    let mut run: Option<Range<usize>> = None;
    let mut complete = true;
    while page < end && complete {
        let count = entries.len().min(end - page);
        let offset = libc::off_t::try_from(page * 8).unwrap_or(libc::off_t::MAX);
        // SAFETY: so many bytes of ours.
        let read = unsafe { libc::pread(file, entries.as_mut_ptr().cast(), count * 8, offset) };
        complete = usize::try_from(read).is_ok_and(|read| read == count * 8);
        for (index, entry) in entries[..count].iter().enumerate() {
            // Present, or swapped out.
            if entry >> 62 == 0 {
                run.take().into_iter().for_each(&mut f);
                continue;
            }
            let start = (page + index) * PAGE;
            let before = run.get_or_insert(start..start);
            before.end = start + PAGE;
        }
        page += count;
    }
    run.into_iter().for_each(f);
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    complete.then_some(())
}
