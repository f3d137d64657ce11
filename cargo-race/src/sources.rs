//! Where the source of std is. It must be the very version of the compiler: std uses its unstable features.

use crate::Failure;
use crate::toolchain::Toolchain;
use std::path::{Path, PathBuf};

/// The folder `library` of the source.
pub(crate) fn find(toolchain: &Toolchain, named: Option<&Path>) -> Result<PathBuf, Failure> {
    let number = toolchain.number();
    if let Some(named) = named {
        return accept(named, &number);
    }
    if let Some(named) = std::env::var_os("RUST_SRC").filter(|named| !named.is_empty()) {
        return accept(Path::new(&named), &number);
    }
    find_among(&places(&toolchain.sysroot, &number), &number)
}

/// Where it may have been installed: by rustup, and by Debian.
fn places(sysroot: &Path, number: &str) -> [PathBuf; 2] {
    [sysroot.join("lib/rustlib/src/rust"), PathBuf::from(format!("/usr/src/rustc-{number}"))]
}

fn find_among(places: &[PathBuf], number: &str) -> Result<PathBuf, Failure> {
    let found = places.iter().find_map(|place| accept(place, number).ok());
    found.ok_or_else(|| missing(places, number))
}

fn missing(places: &[PathBuf], number: &str) -> Failure {
    let places: String = places.iter().map(|place| format!("\n    {}", place.display())).collect();
    format!(
        "the source of std is missing. ThreadSanitizer must see what std does; with the std that is shipped it would
report races that are not there. Install the component rust-src:

    rustup component add rust-src

or Debian's package rust-src, of version {number} exactly (apt-get install rust-src), or name a folder that has it:
cargo race --rust-src FOLDER …, or RUST_SRC=FOLDER. It was looked for in:{places}"
    )
}

/// The folder `library` in or at `place`, if it is of this version.
fn accept(place: &Path, number: &str) -> Result<PathBuf, Failure> {
    let folders = [place.to_owned(), place.join("library")];
    let Some(library) = folders.into_iter().find(|folder| folder.join("std/Cargo.toml").is_file()) else {
        return Err(format!("{} has no source of std: there is no library/std/Cargo.toml", place.display()));
    };
    match version_of(&library) {
        Some(other) if other != number => Err(format!(
            "{} is of Rust {other}, and the compiler of {number}: they must be the same",
            library.display()
        )),
        _ => Ok(library),
    }
}

/// What the source around the library says, if it is there. rustup installs what belongs to the compiler.
fn version_of(library: &Path) -> Option<String> {
    let root = library.parent()?;
    let text =
        std::fs::read_to_string(root.join("src/version")).or_else(|_| std::fs::read_to_string(root.join("version")));
    let text = text.ok()?;
    Some(text.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder as of the compiler's source, in the test's own place.
    fn source(name: &str, version: Option<&str>) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cargo-race-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("library/std")).unwrap();
        fs::write(folder.join("library/std/Cargo.toml"), "").unwrap();
        if let Some(version) = version {
            fs::create_dir_all(folder.join("src")).unwrap();
            fs::write(folder.join("src/version"), format!("{version}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn the_source_must_be_of_the_compilers_version() {
        let folder = source("version", Some("1.94.0"));
        assert_eq!(accept(&folder, "1.94.0").unwrap(), folder.join("library"));
        assert_eq!(accept(&folder.join("library"), "1.94.0").unwrap(), folder.join("library"));
        let text = accept(&folder, "1.95.0").unwrap_err();
        assert!(text.contains("is of Rust 1.94.0, and the compiler of 1.95.0"), "{text}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn who_has_none_is_told_what_to_install_and_where_it_was_looked_for() {
        let folder = source("found", None);
        let nowhere = PathBuf::from("/nowhere/lib/rustlib/src/rust");
        assert_eq!(find_among(&[nowhere.clone(), folder.clone()], "1.95.0").unwrap(), folder.join("library"));
        let text = find_among(std::slice::from_ref(&nowhere), "1.95.0").unwrap_err();
        for part in ["rustup component add rust-src", "of version 1.95.0 exactly", "RUST_SRC", "/nowhere/lib"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(accept(&nowhere, "1.95.0").unwrap_err().contains("has no source of std"));
        fs::remove_dir_all(folder).unwrap();
    }
}
