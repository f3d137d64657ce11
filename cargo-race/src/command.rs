//! The call of cargo.

use crate::options::Options;
use crate::runner::{self, Tally};
use crate::toolchain::{Toolchain, cargo};
use crate::{Failure, RACE_STATUS, c_compiler, sources, symbolizer, sysroot};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// By which lisle knows that it is built for ThreadSanitizer; and rustix that it is to make its system calls by way of
/// libc, where ThreadSanitizer sees them, and can deliver signals meanwhile.
const CFGS: [&str; 2] = ["--cfg=lisle_tsan", "--cfg=rustix_use_libc"];

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let toolchain = Toolchain::find()?;
    let library = sources::find(&toolchain, options.rust_src.as_deref())?;
    let symbolizer = symbolizer::find(&std::env::var_os("PATH").unwrap_or_default())?;
    let Program { target, lisle } = Program::find(options)?;
    let sysroot = sysroot::build(&toolchain, &library, &target)?;
    let tally = Tally::begin(&target)?;
    let mut command = prepare(&toolchain, &sysroot, &target, &options.cargo)?;
    command.envs(runner::settings(&tally, &symbolizer, lisle, options.raw)?);
    let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    let summary = tally.end();
    if let Some(text) = summary.text() {
        eprintln!("cargo race: {text}");
    }
    if summary.reports > 0 {
        return Ok(ExitCode::from(RACE_STATUS));
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// What cargo knows of the program.
struct Program {
    /// The target folder of ours: other flags than usual, so no cache in common.
    target: PathBuf,
    /// Where lisle's source is.
    lisle: Option<String>,
}

impl Program {
    fn find(options: &Options) -> Result<Self, Failure> {
        let mut command = cargo();
        command.args(["metadata", "--format-version=1"]);
        if let Some(manifest) = options.of_cargo("--manifest-path") {
            command.args(["--manifest-path", &manifest]);
        }
        let output = command.output().map_err(|error| format!("cargo metadata could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cargo metadata makes no sense: {error}"))?;
        let target = match options.of_cargo("--target-dir") {
            Some(named) => std::path::absolute(&named).map_err(|error| format!("--target-dir {named}: {error}"))?,
            None => Path::new(metadata["target_directory"].as_str().unwrap_or("target")).join("race"),
        };
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let lisle = packages.into_iter().find(|package| package["name"] == "lisle");
        let manifest = lisle.and_then(|package| package["manifest_path"].as_str());
        let lisle =
            manifest.and_then(|manifest| manifest.strip_suffix("Cargo.toml")).map(|folder| format!("{folder}src/"));
        Ok(Self { target, lisle })
    }
}

fn prepare(
    toolchain: &Toolchain,
    sysroot: &Path,
    target: &Path,
    arguments: &[std::ffi::OsString],
) -> Result<Command, Failure> {
    let (subcommand, rest) = arguments.split_first().ok_or("no command for cargo")?;
    let ours = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    // A list: there may be spaces in the path.
    let runner = serde_json::json!([ours.to_string_lossy(), runner::COMMAND]);
    let mut command = cargo();
    command.arg("--config").arg(format!("target.{}.runner={runner}", toolchain.host()));
    // An explicit target: without it build scripts and macros would be built with these flags, too.
    command.arg(subcommand).args(["--target", toolchain.host()]).args(rest);
    command.env_remove(format!("CARGO_TARGET_{}_RUNNER", toolchain.host().to_uppercase().replace('-', "_")));
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target);
    command.envs(c_compiler::settings(toolchain.host(), target)?);
    let mut flags: Vec<String> = sysroot::FLAGS.map(str::to_owned).to_vec();
    flags.extend(CFGS.map(str::to_owned));
    flags.push(format!("--sysroot={}", sysroot.display()));
    for name in ["RUSTFLAGS", "RUSTDOCFLAGS"] {
        command.env_remove(name).env(format!("CARGO_ENCODED_{name}"), with_users_flags(name, &flags));
    }
    Ok(command)
}

/// The user's flags of the environment, and ours after them.
fn with_users_flags(name: &str, flags: &[String]) -> String {
    let encoded = std::env::var(format!("CARGO_ENCODED_{name}")).ok();
    let plain = || std::env::var(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join("\x1f");
    let users = encoded.unwrap_or_else(plain);
    let users = users.split('\x1f').filter(|flag| !flag.is_empty());
    users.map(str::to_owned).chain(flags.iter().cloned()).collect::<Vec<_>>().join("\x1f")
}
