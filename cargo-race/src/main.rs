//! `cargo race run|test|build …`: ThreadSanitizer over a whole program, unsafe code and C included.
//!
//! What lisle tells ThreadSanitizer about goroutines stands in `src/tsan/` of lisle. This program sees to the rest:
//!
//! 1. ThreadSanitizer must see every access, std's included: with the std that is shipped most programs without a race
//!    are reported. So std is built anew, once for each version of rustc, from the component rust-src ([`sources`],
//!    [`sysroot`]). Without it nothing is run.
//! 2. cargo is called with the flags, in a target folder of its own ([`command`]). C that build scripts compile gets the
//!    flag, too ([`c_compiler`]).
//! 3. cargo starts each program through this one (its setting `runner`), which has the reports written to a file, and
//!    prints them in words of goroutines ([`runner`], [`report`]). The program's own output is its own.
//! 4. The exit status is 66 if a race was reported, as in Go, whatever cargo says.
//!
//! Rejected: `-Zbuild-std` in the call of cargo (std is built for each profile and set of features, and needs the source
//! within the toolchain's own folder); to read the reports from stderr (where the program writes, too).

mod c_compiler;
mod command;
mod options;
mod report;
mod runner;
mod sources;
mod suppressions;
mod symbolizer;
mod sysroot;
mod toolchain;

use options::{Action, Options};
use std::process::ExitCode;

/// What a program ends with that has had a race; Go's.
const RACE_STATUS: u8 = 66;

/// What could not be done, in words for the user.
type Failure = String;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    if let Some(compiler) = c_compiler::called_as(&program) {
        return compiler.call(&arguments);
    }
    if arguments.first().is_some_and(|first| first == runner::COMMAND) {
        return runner::main(&arguments[1..]);
    }
    match Options::parse(&arguments).and_then(|options| act(&options)) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("cargo race: {text}");
            ExitCode::from(2)
        }
    }
}

fn act(options: &Options) -> Result<ExitCode, Failure> {
    match options.action {
        Action::Help => println!("{}", options::HELP),
        Action::Explain => suppressions::explain(),
        Action::Cargo => return command::run(options),
    }
    Ok(ExitCode::SUCCESS)
}
