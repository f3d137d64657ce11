//! Copies of this process's own memory, made by the kernel.
//!
//! What other threads are writing to, or have given back, cannot be read by ordinary means: the one would be a data
//! race, the other a fault. The kernel reads it in our name: it writes the pieces, as they are at that moment and in their
//! order, to a file in memory (`pwritev` to a `memfd`), or says that one cannot be read; and we read the file. Where a sandbox
//! forbids that, `/proc/self/mem` does the same, a piece at a time.
//!
//! Rejected: `process_vm_readv`, which is made for this. It looks each page up in the tables of the process by software, and
//! pins it, since it could be another process's: a dump took half as long again (`examples/dump_many.rs`).

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The kernel takes so many pieces at a time (`IOV_MAX`).
const MOST: usize = 1024;

/// Memory to be copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) from: usize,
    pub(super) length: usize,
}

/// Copies the pieces one behind the other into `into`, and says of each whether it could be read: if not, its place
/// holds zeros.
pub(super) fn copy(pieces: &[Piece], into: &mut Vec<u8>, readable: &mut Vec<bool>) {
    let length = pieces.iter().map(|piece| piece.length).sum();
    if into.capacity() < length {
        forget(into);
        *into = Vec::with_capacity(length);
    }
    into.clear();
    into.resize(length, 0);
    readable.clear();
    readable.resize(pieces.len(), true);
    let mut rest = &mut into[..];
    for (pieces, readable) in pieces.chunks(MOST).zip(readable.chunks_mut(MOST)) {
        let length = pieces.iter().map(|piece| piece.length).sum();
        let (part, later) = std::mem::take(&mut rest).split_at_mut(length);
        rest = later;
        if !by_call(pieces, part) {
            one_by_one(pieces, part, readable);
        }
    }
}

/// Overwrites what was copied: in memory that is given back it would look as if somebody still referred to what it names
/// (`leaked`).
pub(super) fn forget(copied: &mut [u8]) {
    copied.fill(0);
    std::hint::black_box(copied);
}

/// Whether all could be read.
fn by_call(pieces: &[Piece], into: &mut [u8]) -> bool {
    if into.is_empty() {
        return true;
    }
    let from = pieces
        .iter()
        .filter(|piece| piece.length > 0)
        .map(|piece| libc::iovec { iov_base: std::ptr::without_provenance_mut(piece.from), iov_len: piece.length });
    let mut all: Vec<libc::iovec> = Vec::with_capacity(pieces.len());
    all.extend(from);
    let is_copied = through_file(&all, into);
    all.fill(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
    std::hint::black_box(&mut all);
    is_copied
}

fn through_file(from: &[libc::iovec], into: &mut [u8]) -> bool {
    static FILE: Mutex<Option<Through>> = Mutex::new(None);
    let mut through = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    if !through.as_ref().is_some_and(Through::is_ours) {
        let lost = std::mem::replace(&mut *through, Through::new());
        // Whoever has closed it has used the number for something else.
        lost.map(|lost| lost.file.into_raw_fd());
    }
    let Some(Through { file, .. }) = &*through else { return false };
    // The plain call: what watches memory (AddressSanitizer) would have a word with those of the C library.
    // SAFETY: addresses for the kernel to read or to refuse, as many as are said; nothing of ours is written to.
    let written =
        unsafe { libc::syscall(libc::SYS_pwritev, file.as_raw_fd(), from.as_ptr(), from.len(), 0_usize, 0_usize) };
    usize::try_from(written).is_ok_and(|written| written == into.len()) && file.read_exact_at(into, 0).is_ok()
}

/// The file through which the kernel copies.
struct Through {
    file: File,
    inode: (u64, u64),
    /// A fork would share it.
    process: u32,
}

impl Through {
    fn new() -> Option<Self> {
        // SAFETY: a name, and flags.
        let file = unsafe { libc::memfd_create(c"lisle-dump".as_ptr(), libc::MFD_CLOEXEC) };
        // SAFETY: a new descriptor, which is ours.
        let file = (file >= 0).then(|| unsafe { File::from_raw_fd(file) })?;
        Some(Self { inode: inode(&file)?, file, process: std::process::id() })
    }

    /// Daemons close all descriptors that they know nothing of, and then the next file has its number: that must not be
    /// written to.
    fn is_ours(&self) -> bool {
        self.process == std::process::id() && inode(&self.file) == Some(self.inode)
    }
}

fn inode(file: &File) -> Option<(u64, u64)> {
    let about = file.metadata().ok()?;
    Some((about.dev(), about.ino()))
}

fn one_by_one(pieces: &[Piece], into: &mut [u8], readable: &mut [bool]) {
    let mut rest = into;
    for (piece, readable) in pieces.iter().zip(readable) {
        let (part, later) = std::mem::take(&mut rest).split_at_mut(piece.length);
        rest = later;
        *readable = by_call(std::slice::from_ref(piece), part) || by_file(piece.from, part);
        if !*readable {
            part.fill(0);
        }
    }
}

fn by_file(from: usize, into: &mut [u8]) -> bool {
    static MEMORY: OnceLock<Option<File>> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| File::open("/proc/self/mem").ok());
    memory.as_ref().is_some_and(|memory| memory.read_exact_at(into, from as u64).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_copied_in_order_and_what_is_not_there_is_told() {
        let (first, second) = ([1_u8, 2, 3], [4_u8, 5]);
        let piece = |bytes: &[u8]| Piece { from: bytes.as_ptr().expose_provenance(), length: bytes.len() };
        let (mut bytes, mut readable) = (Vec::new(), Vec::new());
        copy(&[piece(&first), Piece { from: 64, length: 2 }, piece(&second)], &mut bytes, &mut readable);
        assert_eq!(bytes, [1, 2, 3, 0, 0, 4, 5]);
        assert_eq!(readable, [true, false, true]);
    }

    #[test]
    fn a_file_that_has_got_the_number_of_ours_is_left_alone() {
        let through = Through::new().unwrap();
        assert!(through.is_ours());
        let other = File::open("/dev/null").unwrap();
        // SAFETY: ours is closed, and the other has its number: what a program can do that closes what it does not know.
        unsafe { libc::dup2(other.as_raw_fd(), through.file.as_raw_fd()) };
        assert!(!through.is_ours());
    }

    #[test]
    fn the_file_gives_the_same() {
        let there = [7_u8; 9];
        let mut copied = [0; 9];
        assert!(by_file(there.as_ptr().expose_provenance(), &mut copied));
        assert_eq!(copied, there);
        assert!(!by_file(64, &mut copied));
    }
}
