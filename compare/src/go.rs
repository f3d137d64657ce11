//! The Go side: a binary of its own, built with the toolchain that `setup` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The toolchain that `setup` installs, or one on the path.
fn toolchain() -> PathBuf {
    let installed = folder().join(".go/venv/bin/go");
    if installed.exists() { installed } else { PathBuf::from("go") }
}

/// Where `build` puts the binary.
pub fn binary() -> PathBuf {
    folder().join(".go/compare-go")
}

/// Builds it.
///
/// # Errors
/// Why there is no Go side.
pub fn build() -> Result<(), String> {
    let failed = |error: std::io::Error| format!("no Go toolchain (run compare/setup): {error}");
    std::fs::create_dir_all(folder().join(".go")).map_err(failed)?;
    let mut command = Command::new(toolchain());
    command.args(["build", "-o"]).arg(binary()).arg(".").current_dir(folder().join("go"));
    let output = command.output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("it does not build: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// `go version`'s words.
pub fn version() -> Option<String> {
    let output = Command::new(toolchain()).arg("version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
