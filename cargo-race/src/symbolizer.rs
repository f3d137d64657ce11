//! The program that gives ThreadSanitizer the names of addresses. Without it stacks are bare numbers, and suppressions,
//! which are names, do nothing.

use crate::Failure;
use std::ffi::OsStr;
use std::path::PathBuf;

const NAMES: [&str; 2] = ["llvm-symbolizer", "addr2line"];

/// One that is on the path; with a version in its name, as Debian has them, if need be.
pub(crate) fn find(path: &OsStr) -> Result<PathBuf, Failure> {
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    let plain = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let versioned = || {
        let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let is_one = |name: &str| name.strip_prefix("llvm-symbolizer-").is_some_and(|rest| rest.parse::<u32>().is_ok());
        entries.filter(|entry| is_one(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).max()
    };
    plain(NAMES[0]).or_else(versioned).or_else(|| plain(NAMES[1])).ok_or_else(|| {
        "no program that gives addresses their names: reports would be bare numbers, and known false ones be reported. \
         Install llvm-symbolizer (package llvm) or addr2line (package binutils)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_on_the_path_is_taken_and_its_absence_is_told() {
        let folder = std::env::temp_dir().join(format!("cargo-race-{}-symbolizer", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(find(folder.as_os_str()).unwrap_err().contains("Install llvm-symbolizer"));
        for name in ["addr2line", "llvm-symbolizer-19", "llvm-symbolizer"] {
            std::fs::write(folder.join(name), "").unwrap();
            assert_eq!(find(folder.as_os_str()).unwrap(), folder.join(name));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
