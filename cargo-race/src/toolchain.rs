//! The compiler, and what ThreadSanitizer needs of it.

use crate::Failure;
use rustc_version::VersionMeta;
use std::path::PathBuf;
use std::process::Command;

pub(crate) struct Toolchain {
    pub(crate) version: VersionMeta,
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    /// Looks at the compiler that cargo will use here.
    pub(crate) fn find() -> Result<Self, Failure> {
        let version = VersionMeta::for_command(rustc()).map_err(|error| format!("rustc does not answer: {error}"))?;
        let output = rustc().args(["--print", "sysroot"]).output();
        let output = output.map_err(|error| format!("rustc does not answer: {error}"))?;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let toolchain = Self { version, sysroot };
        toolchain.check()?;
        Ok(toolchain)
    }

    pub(crate) fn host(&self) -> &str {
        &self.version.host
    }

    /// As Debian and the folders of the compiler's source have it: 1.95.0.
    pub(crate) fn number(&self) -> String {
        self.version.semver.to_string()
    }

    fn check(&self) -> Result<(), Failure> {
        if self.host() != "x86_64-unknown-linux-gnu" {
            return Err(format!("{} is not supported: only x86_64-unknown-linux-gnu is tested", self.host()));
        }
        let libraries = self.sysroot.join("lib/rustlib").join(self.host()).join("lib");
        let files = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
        if files.map(|file| file.file_name()).any(|name| name.to_string_lossy().ends_with("_rt.tsan.a")) {
            return Ok(());
        }
        Err(format!(
            "this toolchain has no ThreadSanitizer: there is no librustc-*_rt.tsan.a in {}. Those of rustup have it",
            libraries.display()
        ))
    }
}

pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
