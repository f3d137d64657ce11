//! Looks into the program: for the exercises in which something has to be found before it can be mended.

use crate::{LIMIT, later_than, within_or};
use lisle::debug::Format;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Runs `f` as a goroutine, and gives back its result.
///
/// # Panics
/// If `f` does, with its message; or if it has not ended after 3 seconds: with a dump of all goroutines.
#[track_caller]
pub fn dump_if_late<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let too_late = || {
        let mut dump = Vec::new();
        lisle::debug::dump_to(&mut dump, Format::Folded).expect("a dump");
        let dump = String::from_utf8_lossy(&dump);
        let goroutines = dump.split("\n\nthread ").next().unwrap_or_default();
        panic!(
            "after {LIMIT:?} it still waits. This is the dump, those with the same stack told once:\n\n{goroutines}\n"
        )
    };
    within_or(later_than(LIMIT), || lisle::run(f), too_late)
}

/// Runs `f` as a goroutine, and gives back its result.
///
/// # Panics
/// If `f` does, with its message; or if it has not ended after 3 seconds of processor time: with a CPU profile of the next one.
#[track_caller]
pub fn profile_if_late<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let too_late = || {
        let top: Vec<_> = cpu_profile().into_iter().take(5).collect();
        let top: String = top.iter().map(|(name, time)| format!("{:>8} ms  {name}\n", time.as_millis())).collect();
        panic!("after {LIMIT:?} of processor time it still computes. This is the CPU profile of a second:\n\n{top}")
    };
    let start = processor_time();
    within_or(|| processor_time() - start >= LIMIT, || lisle::run(f), too_late)
}

/// Of this process so far. (On a busy machine the clock on the wall says nothing of a program.)
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // Behind the name, in parentheses, the twelfth and the thirteenth are those in the program and in the kernel.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Stacks that are the same. It prints itself as `count: function line, called by function line …`.
pub struct Stack {
    /// How many goroutines have it; in a CPU profile, nanoseconds.
    pub count: u64,
    /// The functions of the exercise, with the line that each has got to; the innermost first.
    pub calls: Vec<(String, u32)>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<_> = self.calls.iter().map(|(function, line)| format!("{function} {line}")).collect();
        write!(f, "{}: {}", self.count, calls.join(", called by "))
    }
}

/// The goroutine profile, without those that do not go through the exercise: most numerous first.
///
/// # Panics
/// If the profile cannot be had.
#[must_use]
pub fn goroutine_profile() -> Vec<Stack> {
    stacks(&get("/debug/pprof/goroutine?debug=1"))
}

/// How much processor time each function of the exercise takes in a second, with what it calls elsewhere; most first.
///
/// # Panics
/// If the profile cannot be had.
#[must_use]
pub fn cpu_profile() -> Vec<(String, Duration)> {
    let mut times = BTreeMap::<String, u64>::new();
    for stack in stacks(&get("/debug/pprof/profile?seconds=1&debug=1")) {
        let (function, _) = &stack.calls[0];
        *times.entry(function.clone()).or_default() += stack.count;
    }
    let mut times: Vec<_> = times.into_iter().map(|(name, nanos)| (name, Duration::from_nanos(nanos))).collect();
    times.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
    times
}

/// A page of the program's own debug server.
fn get(page: &str) -> String {
    let server = lisle::debug::serve("127.0.0.1:0").expect("a server");
    let address = server.local_addr();
    let mut connection = TcpStream::connect(address).expect("a connection");
    write!(connection, "GET {page} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    server.stop();
    assert!(answer.lines().next().is_some_and(|status| status.contains(" 200 ")), "{page}: {answer}");
    answer
}

/// Each stack is a line `count … @ address …`, and below it a line `# address function file:line` for each call.
fn stacks(profile: &str) -> Vec<Stack> {
    let parse = |stack: &str| {
        let (count, _) = stack.lines().find_map(|line| line.split_once(" @ "))?;
        let count = count.split(' ').next()?.parse().ok()?;
        let calls: Vec<_> = stack.lines().filter_map(call).collect();
        (!calls.is_empty()).then_some(Stack { count, calls })
    };
    profile.split("\n\n").filter_map(parse).collect()
}

/// A call of the exercise's own functions, without the path in front of the name.
fn call(line: &str) -> Option<(String, u32)> {
    let mut columns = line.strip_prefix("#\t")?.split('\t').skip(1);
    let (function, place) = (columns.next()?, columns.next()?);
    let (file, line) = place.rsplit_once(':')?;
    let function = function.trim_end_matches("::{{closure}}");
    let is_ours = ["exercises/", "solutions/", "wrong/"].iter().any(|folder| file.contains(&format!("{folder}d0")));
    is_ours.then(|| Some((function.rsplit("::").next()?.to_owned(), line.parse().ok()?)))?
}
