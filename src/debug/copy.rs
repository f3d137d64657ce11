//! Copies of this process's own memory, made by the kernel.
//!
//! What other threads are writing to, or have given back, cannot be read by ordinary means: the one would be a data
//! race, the other a fault. The kernel reads it in our name (`process_vm_readv`): it gives whatever bytes are there, in
//! the order of the pieces asked for, or says that there are none. Where a sandbox forbids the call, `/proc/self/mem`
//! does the same, a piece at a time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

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
    let remote = pieces
        .iter()
        .filter(|piece| piece.length > 0)
        .map(|piece| libc::iovec { iov_base: std::ptr::without_provenance_mut(piece.from), iov_len: piece.length });
    let mut all: Vec<libc::iovec> = Vec::with_capacity(pieces.len());
    all.extend(remote);
    let mut remote = all;
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: the local vector describes `into`, which is ours to write to; the remote ones are addresses for the kernel
    // to read or to refuse, as many as are said.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, remote.as_ptr(), remote.len() as _, 0) };
    remote.fill(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
    std::hint::black_box(&mut remote);
    usize::try_from(copied).is_ok_and(|copied| copied == into.len())
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
    fn the_file_gives_the_same() {
        let there = [7_u8; 9];
        let mut copied = [0; 9];
        assert!(by_file(there.as_ptr().expose_provenance(), &mut copied));
        assert_eq!(copied, there);
        assert!(!by_file(64, &mut copied));
    }
}
