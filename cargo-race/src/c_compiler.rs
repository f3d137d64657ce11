//! The program's C and C++, compiled so that ThreadSanitizer sees what it does.
//!
//! Build scripts find their compiler by variables (the crates `cc` and `cmake`, and who follows them). Those of the target
//! name links to this program, which calls the compiler that would have been called: with the flag if the script belongs
//! to the program (cargo tells it by CARGO_CFG_SANITIZE), without if it belongs to a macro or to another script.
//!
//! Rejected: CFLAGS. Both would get them, since programs are built for this very machine, and a script into which such
//! code is linked lacks ThreadSanitizer.

use crate::Failure;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// As build scripts know it.
pub(crate) struct Compiler {
    /// The variable, and, with this before it, that in which what it was is handed on.
    variable: &'static str,
    /// The name of the link, and the compiler if nobody names another.
    name: &'static str,
}

const COMPILERS: [Compiler; 2] = [Compiler { variable: "CC", name: "cc" }, Compiler { variable: "CXX", name: "c++" }];
const HANDED_ON: &str = "CARGO_RACE_";
const FLAGS: [&str; 3] = ["-fsanitize=thread", "-fno-omit-frame-pointer", "-g1"];

/// The variables by which build scripts call us. `target`: the target folder.
pub(crate) fn settings(host: &str, target: &Path) -> Result<Vec<(String, OsString)>, Failure> {
    let folder = target.join("compilers");
    let ours = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let mut settings = Vec::new();
    for Compiler { variable, name } in COMPILERS {
        let link = folder.join(name);
        place_link(&ours, &link).map_err(|error| format!("{} cannot be made: {error}", link.display()))?;
        settings.push((format!("{HANDED_ON}{variable}"), users(variable, host).unwrap_or_else(|| name.into())));
        settings.push((format!("{variable}_{host}"), link.into()));
    }
    Ok(settings)
}

/// In one step, since another call may be using what is there.
fn place_link(to: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(link.parent().unwrap_or(link))?;
    let new = link.with_extension(std::process::id().to_string());
    std::os::unix::fs::symlink(to, &new)?;
    std::fs::rename(&new, link)
}

/// What the user has set, in the order in which the crate `cc` looks for it.
fn users(variable: &str, host: &str) -> Option<OsString> {
    let names = [
        format!("{variable}_{host}"),
        format!("{variable}_{}", host.replace('-', "_")),
        format!("HOST_{variable}"),
        variable.to_owned(),
    ];
    names.iter().find_map(std::env::var_os)
}

/// The compiler as which we are called, if so.
pub(crate) fn called_as(program: &OsStr) -> Option<&'static Compiler> {
    let name = Path::new(program).file_name()?;
    COMPILERS.iter().find(|compiler| compiler.name == name)
}

impl Compiler {
    /// Becomes the compiler.
    pub(crate) fn call(&self, arguments: &[OsString]) -> ExitCode {
        let named = std::env::var(format!("{HANDED_ON}{}", self.variable)).unwrap_or_else(|_| self.name.to_owned());
        let is_programs =
            std::env::var("CARGO_CFG_SANITIZE").is_ok_and(|all| all.split(',').any(|one| one == "thread"));
        let mut command = command(&named);
        command.args(arguments).args(FLAGS.iter().filter(|_| is_programs));
        eprintln!("cargo race: the C compiler {named} could not be started: {}", command.exec());
        ExitCode::from(2)
    }
}

/// `ccache gcc` is a compiler and its wrapper; a path may have spaces in it.
fn command(named: &str) -> Command {
    let mut words = named.split_whitespace();
    match words.next() {
        Some(first) if !Path::new(named).is_file() => {
            let mut command = Command::new(first);
            command.args(words);
            command
        }
        _ => Command::new(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_by_its_name_and_can_be_placed_again() {
        let folder = std::env::temp_dir().join(format!("cargo-race-{}-compilers", std::process::id()));
        for _ in 0..2 {
            let settings = settings("a-host", &folder).unwrap();
            let link = settings.iter().find(|(name, _)| name == "CXX_a-host").unwrap();
            assert_eq!(called_as(&link.1).unwrap().variable, "CXX");
            assert_eq!(std::fs::read_link(&link.1).unwrap(), std::env::current_exe().unwrap());
        }
        assert!(called_as(OsStr::new("/bin/cargo-race")).is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn wrappers_of_compilers_are_called_with_them() {
        let command = command("ccache gcc -m64");
        assert_eq!(command.get_program(), "ccache");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["gcc", "-m64"]);
    }
}
