//! Starts one program for cargo, and prints its reports as they come.
//!
//! ThreadSanitizer writes them to files, one for each process, whose names begin with ours: programs that the program
//! starts write theirs there, too.

use crate::report::{Event, Reader, Told};
use crate::{Failure, RACE_STATUS};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The hidden sub-command by which cargo calls.
pub(crate) const COMMAND: &str = "__run";
const FOLDER: &str = "CARGO_RACE_REPORTS";
const RAW: &str = "CARGO_RACE_RAW";
const LISLE: &str = "CARGO_RACE_LISLE";
const OPTIONS: &str = "TSAN_OPTIONS";
/// What is meant for cargo and not for the program, which may call cargo itself.
const FOR_CARGO: [&str; 4] =
    ["RUSTC_BOOTSTRAP", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"];
/// How often new reports are looked for while the program runs.
const INTERVAL: Duration = Duration::from_millis(50);

/// What was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) reports: u64,
    /// How many were not, since a pattern of `--explain` says that they are no races.
    pub(crate) suppressed: u64,
}

impl Summary {
    pub(crate) fn text(self) -> Option<String> {
        let plural = |count| if count == 1 { "" } else { "s" };
        let suppressed = match self.suppressed {
            0 => String::new(),
            count => format!("{count} known false report{} not shown (cargo race --explain)", plural(count)),
        };
        match self.reports {
            0 if self.suppressed == 0 => None,
            0 => Some(suppressed),
            count if self.suppressed == 0 => Some(format!("{count} report{}", plural(count))),
            count => Some(format!("{count} report{}; {suppressed}", plural(count))),
        }
    }
}

/// The folder in which the runners of one call leave what they saw.
pub(crate) struct Tally(PathBuf);

impl Tally {
    pub(crate) fn begin(target: &Path) -> Result<Self, Failure> {
        ignore_interrupts();
        let folder = target.join(format!("reports-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Adds up what was left, and tidies up.
    pub(crate) fn end(self) -> Summary {
        let mut sum = Summary::default();
        for file in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            if file.file_name().to_string_lossy().starts_with("summary-")
                && let Some((reports, suppressed)) = text.split_once(' ')
            {
                sum.reports += reports.parse::<u64>().unwrap_or(0);
                sum.suppressed += suppressed.parse::<u64>().unwrap_or(0);
            }
        }
        // What remains does no harm, and lies in the target folder.
        let _ = fs::remove_dir_all(&self.0);
        sum
    }
}

/// The environment that makes ThreadSanitizer write where runners read.
///
/// `lisle`: where lisle's source is, if it is used.
pub(crate) fn settings(
    tally: &Tally,
    symbolizer: &Path,
    lisle: Option<String>,
    raw: bool,
) -> Result<Vec<(&'static str, OsString)>, Failure> {
    let users = std::env::var(OPTIONS).unwrap_or_default();
    if users.contains("log_path=") {
        return Err("TSAN_OPTIONS has log_path: cargo race reads the reports itself, and writes them to stderr".into());
    }
    // The last word counts, and is the user's.
    let options = format!(
        "exitcode={RACE_STATUS} atexit_sleep_ms=0 print_suppressions=1 external_symbolizer_path={} {users}",
        quoted(symbolizer)
    );
    let mut settings = vec![(OPTIONS, options.into()), (FOLDER, tally.0.clone().into_os_string())];
    settings.extend(lisle.map(|lisle| (LISLE, lisle.into())));
    if raw {
        settings.push((RAW, "1".into()));
    }
    Ok(settings)
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// A program, with its reports.
struct Run {
    folder: PathBuf,
    /// What the names of its files begin with.
    prefix: String,
    read: BTreeMap<OsString, (u64, Reader)>,
    raw: bool,
    lisle: Option<String>,
    summary: Summary,
}

/// As cargo calls: the program and its arguments.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let Some((program, rest)) = arguments.split_first() else {
        eprintln!("cargo race: no program");
        return ExitCode::from(2);
    };
    let Some(folder) = std::env::var_os(FOLDER) else {
        eprintln!("cargo race: {FOLDER} is not set: this is called by cargo race, through cargo");
        return ExitCode::from(2);
    };
    let run = Run {
        folder: folder.into(),
        prefix: format!("log-{}", std::process::id()),
        read: BTreeMap::new(),
        raw: std::env::var_os(RAW).is_some(),
        lisle: std::env::var(LISLE).ok(),
        summary: Summary::default(),
    };
    run.run(program, rest)
}

/// An interrupt from the terminal is for the program: its end and its reports are waited for.
fn ignore_interrupts() {
    let noted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, noted).expect("SIGINT may be handled");
}

impl Run {
    fn run(mut self, program: &OsStr, arguments: &[OsString]) -> ExitCode {
        ignore_interrupts();
        let options = std::env::var(OPTIONS).unwrap_or_default();
        let log = quoted(&self.folder.join(&self.prefix));
        let mut command = Command::new(program);
        command.args(arguments).env(OPTIONS, format!("{options} log_path={log}")).env_remove(RAW);
        for name in FOR_CARGO {
            command.env_remove(name);
        }
        let status = match command.spawn() {
            Ok(child) => self.follow(child),
            Err(error) => {
                eprintln!("cargo race: {} could not be started: {error}", program.display());
                return ExitCode::from(2);
            }
        };
        let Summary { reports, suppressed } = self.summary;
        let file = self.folder.join(format!("summary-{}", std::process::id()));
        if let Err(error) = fs::write(&file, format!("{reports} {suppressed}")) {
            eprintln!("cargo race: {} cannot be written: {error}", file.display());
        }
        exit_code(status)
    }

    fn follow(&mut self, mut child: Child) -> Option<ExitStatus> {
        loop {
            let status = child.try_wait();
            // After the status, so that nothing comes later than the last look.
            self.look();
            match status {
                Ok(None) => std::thread::sleep(INTERVAL),
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
            }
        }
    }

    /// Prints what is new in the files.
    fn look(&mut self) {
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = file.file_name();
            if name.to_string_lossy().strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.')) {
                let (position, reader) = self.read.entry(name).or_default();
                let new = read_from(&file.path(), position);
                let events = reader.read(&new);
                let lisle = self.lisle.as_deref();
                for event in events {
                    show(&event, self.raw, lisle, &mut self.summary);
                }
            }
        }
    }
}

fn read_from(path: &Path, position: &mut u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(path)
        && file.seek(SeekFrom::Start(*position)).is_ok()
        && file.read_to_end(&mut bytes).is_ok()
    {
        *position += bytes.len() as u64;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn show(event: &Event, raw: bool, lisle: Option<&str>, summary: &mut Summary) {
    let text = match event {
        Event::Report(report) => {
            summary.reports += 1;
            if raw { report.raw() } else { Told { report, lisle }.to_string() }
        }
        Event::Suppressed(count) => {
            summary.suppressed += count;
            return;
        }
        Event::Other(line) => line.clone(),
    };
    // One write, so that the program's own lines do not come in between.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

fn exit_code(status: Option<ExitStatus>) -> ExitCode {
    let Some(status) = status else { return ExitCode::FAILURE };
    // As a shell tells of a signal.
    let code = status.code().unwrap_or_else(|| {
        let signal = status.signal().unwrap_or(0);
        eprintln!("cargo race: the program was ended by signal {signal}");
        128 + signal
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runners_leave_is_added_up_and_told() {
        let folder = std::env::temp_dir().join(format!("cargo-race-{}-tally", std::process::id()));
        let tally = Tally::begin(&folder).unwrap();
        assert_eq!(Tally(folder.join("none")).end().text(), None);
        fs::write(tally.0.join("summary-1"), "2 0").unwrap();
        fs::write(tally.0.join("summary-2"), "0 1").unwrap();
        fs::write(tally.0.join("log-1.7"), "9 9").unwrap();
        let summary = tally.end();
        assert_eq!(summary, Summary { reports: 2, suppressed: 1 });
        let text = summary.text().unwrap();
        assert_eq!(text, "2 reports; 1 known false report not shown (cargo race --explain)");
        fs::remove_dir_all(folder).unwrap();
    }
}
