//! The command line. What is cargo's is passed on as it is.

use crate::Failure;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Looks for data races in a program of goroutines by ThreadSanitizer, unsafe code and C included.

Usage: cargo race [--rust-src FOLDER] [--raw] run|test|build [options of cargo]
       cargo race --explain

  --rust-src FOLDER  where the source of std is, if not in the toolchain (also: the variable RUST_SRC)
  --raw              prints reports as ThreadSanitizer writes them
  --explain          lists what is not reported although ThreadSanitizer sees a race, and why
  --help             this text

A process that has had a race ends with status 66, and so does cargo race. TSAN_OPTIONS is passed on, for example
TSAN_OPTIONS=\"halt_on_error=1 history_size=7\". The first run builds std, which takes a minute or so.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Help,
    Explain,
    Cargo,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) action: Action,
    pub(crate) rust_src: Option<PathBuf>,
    /// Whether reports stay as they are.
    pub(crate) raw: bool,
    /// The sub-command of cargo and what follows it.
    pub(crate) cargo: Vec<OsString>,
}

impl Options {
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, Failure> {
        let mut options = Self { action: Action::Help, rust_src: None, raw: false, cargo: Vec::new() };
        let mut rest = arguments.iter();
        // As a sub-command of cargo's the first argument is our own name.
        if arguments.first().is_some_and(|first| first == "race") {
            rest.next();
        }
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("--help" | "-h") => return Ok(Self { action: Action::Help, ..options }),
                Some("--explain") => options.action = Action::Explain,
                Some("--raw") => options.raw = true,
                Some("--rust-src") => {
                    let folder = rest.next().ok_or("--rust-src needs a folder")?;
                    options.rust_src = Some(folder.into());
                }
                Some("run" | "r" | "test" | "t" | "build" | "b") => {
                    options.action = Action::Cargo;
                    options.cargo.push(argument.clone());
                    options.cargo.extend(rest.cloned());
                    break;
                }
                _ => return Err(format!("{} is not known here\n\n{HELP}", argument.display())),
            }
        }
        options.check_target()?;
        Ok(options)
    }

    /// The value of one of cargo's options, up to `--`.
    pub(crate) fn of_cargo(&self, name: &str) -> Option<String> {
        let mut arguments = self.cargo.iter().map(|argument| argument.to_string_lossy());
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                return None;
            }
            if argument == name {
                return arguments.next().map(|value| value.into_owned());
            }
            if let Some(value) = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
        None
    }

    fn check_target(&self) -> Result<(), Failure> {
        match self.of_cargo("--target") {
            None => Ok(()),
            Some(target) => {
                Err(format!("--target {target} cannot be given: programs are built for this machine, and run on it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_cargos_is_passed_on_in_order() {
        let options = parse("race --raw --rust-src /src test --release --test sync -- --raw name").unwrap();
        assert!(options.raw && options.action == Action::Cargo);
        assert_eq!(options.rust_src.as_deref(), Some(std::path::Path::new("/src")));
        assert_eq!(options.cargo, ["test", "--release", "--test", "sync", "--", "--raw", "name"]);
        assert_eq!(options.of_cargo("--test").as_deref(), Some("sync"));
        assert_eq!(options.of_cargo("--raw"), None);
    }

    #[test]
    fn without_a_command_there_is_help_and_unknown_words_are_refused() {
        assert_eq!(parse("race").unwrap().action, Action::Help);
        assert_eq!(parse("--explain").unwrap().action, Action::Explain);
        assert!(parse("race bench").unwrap_err().contains("bench is not known"));
        assert!(parse("race run --target=x86_64-unknown-linux-musl").unwrap_err().contains("musl cannot be given"));
        assert!(parse("race run -- --target x").is_ok());
    }
}
