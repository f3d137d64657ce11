//! The lisle side: a binary of its own, `lisle_jobs/main.rs`.
//!
//! Of its own, since lisle looks at the thread-locals of the whole program at each wait: in one binary with them it
//! would pay for its rivals' (552 bytes of thread-locals, where a program of lisle's has 184).

use std::path::PathBuf;
use std::process::Command;

/// Where cargo puts it: beside this one.
pub fn binary() -> PathBuf {
    std::env::current_exe().expect("the kernel knows this binary").with_file_name("compare-lisle")
}

/// Builds it, as this binary was built.
///
/// # Errors
/// Why it does not build.
pub fn build() -> Result<(), String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--bin", "compare-lisle"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() { Ok(()) } else { Err("it does not build".into()) }
}
