//! std, built with ThreadSanitizer: once for each version of the compiler.

use crate::Failure;
use crate::toolchain::{Toolchain, cargo};
use rustc_build_sysroot::{SysrootBuilder, SysrootConfig};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What std and the program are built with.
pub(crate) const FLAGS: [&str; 3] =
    ["-Zsanitizer=thread", "-Cdebuginfo=line-tables-only", "-Cforce-frame-pointers=yes"];

/// The folder for `--sysroot`, in which the std of `library` has been built.
pub(crate) fn build(toolchain: &Toolchain, library: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let folder = target.join(format!("sysroot-{}", toolchain.number()));
    let mut cargo = cargo();
    cargo.env("RUSTC_BOOTSTRAP", "1").stdout(Stdio::inherit()).stderr(Stdio::inherit());
    // What the user set is for the program. A wrapper may know folders that are not there.
    for name in ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }
    let features = ["panic-unwind", "backtrace"].map(str::to_owned).to_vec();
    let built = SysrootBuilder::new(&folder, toolchain.host())
        .sysroot_config(SysrootConfig::WithStd { std_features: features })
        .rustflags(FLAGS)
        .rustc_version(toolchain.version.clone())
        .cargo(cargo)
        .when_build_required(|| {
            eprintln!("cargo race: builds std {} with ThreadSanitizer, once; about a minute", toolchain.number());
        })
        .build_from_source(library);
    built.map_err(|error| format!("std could not be built from {}: {error:#}", library.display()))?;
    check(&folder, toolchain.host())?;
    Ok(folder)
}

/// Nothing is reported with a std that ThreadSanitizer does not see: one that calls it nowhere is refused.
fn check(folder: &Path, host: &str) -> Result<(), Failure> {
    let libraries = folder.join("lib/rustlib").join(host).join("lib");
    let files = std::fs::read_dir(&libraries).into_iter().flatten().flatten().map(|file| file.path());
    let is_std = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    };
    let std = files.into_iter().find(is_std).ok_or_else(|| format!("there is no std in {}", libraries.display()))?;
    let content = std::fs::read(&std).map_err(|error| format!("{} cannot be read: {error}", std.display()))?;
    if contains(&content, b"__tsan_func_entry") {
        return Ok(());
    }
    Err(format!("{} is not built with ThreadSanitizer; delete {} and try again", std.display(), folder.display()))
}

fn contains(content: &[u8], word: &[u8]) -> bool {
    content.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_std_that_is_not_instrumented_is_refused() {
        let folder = std::env::temp_dir().join(format!("cargo-race-{}-sysroot", std::process::id()));
        let libraries = folder.join("lib/rustlib/host/lib");
        std::fs::create_dir_all(&libraries).unwrap();
        assert!(check(&folder, "host").unwrap_err().contains("there is no std in"));
        std::fs::write(libraries.join("libstd-1.rlib"), b"\0nothing of the kind\0").unwrap();
        assert!(check(&folder, "host").unwrap_err().contains("is not built with ThreadSanitizer"));
        std::fs::write(libraries.join("libstd-1.rlib"), b"\0__tsan_func_entry\0").unwrap();
        assert_eq!(check(&folder, "host"), Ok(()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
