//! The job that all patterns do: to hash each file below a folder, and to count its words.

use lisle::blocking;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct Job {
    pub(super) folder: PathBuf,
    /// In order; the number of a file is its place here.
    pub(super) files: Arc<Vec<PathBuf>>,
    pub(super) limit: usize,
}

/// What is to be known of a file.
#[derive(Clone, Copy)]
pub(super) struct Report {
    digest: blake3::Hash,
    words: u64,
    bytes: u64,
}

/// What is known of all of them.
#[derive(PartialEq, Debug)]
pub(super) struct Totals {
    pub(super) files: usize,
    unreadable: usize,
    bytes: u64,
    words: u64,
    /// Of the files' digests, in the order of the files.
    digest: blake3::Hash,
}

impl Totals {
    /// From reports in whatever order, each with the number of its file.
    pub(super) fn of_numbered(mut reports: Vec<(usize, Option<Report>)>) -> Self {
        reports.sort_unstable_by_key(|(number, _)| *number);
        Self::of(reports.into_iter().map(|(_, report)| report))
    }

    pub(super) fn of(reports: impl IntoIterator<Item = Option<Report>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut totals = Self { files: 0, unreadable: 0, bytes: 0, words: 0, digest: hasher.finalize() };
        for report in reports {
            totals.files += 1;
            match report {
                Some(Report { digest, words, bytes }) => {
                    hasher.update(digest.as_bytes());
                    totals.words += words;
                    totals.bytes += bytes;
                }
                None => totals.unreadable += 1,
            }
        }
        totals.digest = hasher.finalize();
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files, unreadable, bytes, words, digest } = self;
        let digest = &digest.to_hex()[..16];
        write!(f, "{files} files ({unreadable} unreadable), {words} words in {bytes} bytes, digest {digest}")
    }
}

/// Reads a file on a thread that may be blocked: a read takes what the disk takes, and on a worker it would hold up
/// all goroutines there. `None` if the file cannot be read.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    blocking(|| std::fs::read(path)).ok()
}

/// Pure computing: that belongs on a worker.
pub(super) fn examine(contents: &[u8]) -> Report {
    let words = contents.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    Report { digest: blake3::hash(contents), words: words as u64, bytes: contents.len() as u64 }
}

pub(super) fn measure(path: &Path) -> Option<Report> {
    read(path).map(|contents| examine(&contents))
}

pub(super) fn find_all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    blocking(|| list(folder))?; // that of the folder itself is an error; others are left out
    let mut files = Vec::new();
    find(folder, &mut |path| files.push(path));
    Ok(files)
}

/// Finds files depth-first, sorted in each folder, so that the order is always the same.
pub(super) fn find(folder: &Path, found: &mut dyn FnMut(PathBuf)) {
    for (path, is_folder) in blocking(|| list(folder)).unwrap_or_default() {
        if is_folder { find(&path, found) } else { found(path) }
    }
}

/// The files and folders in a folder.
fn list(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // Hidden ones as well: among them is the file in which the progress of the course is kept meanwhile.
        let left_out =
            kind.is_dir() && entry.file_name() == "target" || entry.file_name().as_encoded_bytes().starts_with(b".");
        if (kind.is_file() || kind.is_dir()) && !left_out {
            entries.push((entry.path(), kind.is_dir()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}
