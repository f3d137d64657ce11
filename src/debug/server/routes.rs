//! What is where: from a path to its answer.

use super::request::Request;
use super::response::{HTML, JSON, METRICS, Refusal, Response, TEXT};
use super::{api, page};
use crate::debug::profile::kind::{self, ProfileKind};
use crate::debug::{dump, leaked, metrics, symbol};
use std::fmt::Write;
use std::io;
use std::time::Duration;

/// The longest profile, in seconds.
const LONGEST: u64 = 3600;

/// Answers a request.
///
/// # Errors
/// It is refused, or the client went away in the middle of the answer.
pub(super) fn answer(request: &Request, response: &mut Response) -> Result<(), Refusal> {
    let is_allowed = match request.method.as_str() {
        "GET" | "HEAD" => true,
        "POST" => request.path == "/debug/pprof/symbol",
        _ => false,
    };
    if !is_allowed {
        return Err(Refusal::new(405, format!("{} makes no sense here; GET does", request.method)));
    }
    let outcome = match request.path.as_str() {
        "/" | "/debug" => response.redirect("/debug/"),
        "/debug/" => page::send(response),
        "/debug/metrics" => response.send(METRICS, metrics::prometheus().as_bytes()),
        "/debug/vars" => response.send(JSON, metrics::json().to_string().as_bytes()),
        "/debug/pprof" => response.redirect("/debug/pprof/"),
        "/debug/pprof/" => response.send(HTML, index().as_bytes()),
        "/debug/pprof/profile" => return cpu(request, response),
        "/debug/pprof/cmdline" => response.send(TEXT, command_line().as_bytes()),
        "/debug/pprof/symbol" => response.send(TEXT, symbols(request).as_bytes()),
        path => {
            if let Some(name) = path.strip_prefix("/debug/api/") {
                return api::answer(name, request, response);
            }
            let name = path.strip_prefix("/debug/pprof/").ok_or_else(|| not_here(path))?;
            let kind = ProfileKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| unknown(name))?;
            return profile(kind, request, response);
        }
    };
    outcome.map_err(went_away)
}

/// The status is never seen: nobody is there.
pub(super) fn went_away(error: io::Error) -> Refusal {
    Refusal::new(500, error.to_string())
}

fn not_here(path: &str) -> Refusal {
    Refusal::new(404, format!("there is nothing at {path}; see /debug/ and /debug/pprof/"))
}

fn unknown(name: &str) -> Refusal {
    let names: Vec<_> = ProfileKind::ALL.iter().map(|kind| kind.name()).collect();
    Refusal::new(404, format!("unknown profile {name:?}; there are: profile, {}", names.join(", ")))
}

fn profile(kind: ProfileKind, request: &Request, response: &mut Response) -> Result<(), Refusal> {
    let most = if matches!(kind, ProfileKind::Goroutine | ProfileKind::GoroutineLeak) { 2 } else { 1 };
    let debug = request.number("debug", 0, 0..=most)?;
    let seconds = request.number("seconds", 0, 1..=LONGEST)?;
    let failed = |error: io::Error| Refusal::new(500, error.to_string());
    match kind {
        ProfileKind::GoroutineLeak if debug == 2 => {
            let ids = leaked::ids().map_err(failed)?;
            let text = dump::text_of(|id| ids.contains(&id)).map_err(failed)?;
            return response.send(TEXT, text.as_bytes()).map_err(went_away);
        }
        _ if debug == 2 => return api::dump(response),
        _ => {}
    }
    let mut profile = kind.collect().map_err(failed)?;
    if seconds > 0 {
        if !matches!(kind, ProfileKind::Block | ProfileKind::Mutex) {
            let text = format!("seconds makes no sense for {}, which is a look at one moment", kind.name());
            return Err(Refusal::new(400, text));
        }
        kind::wait(Duration::from_secs(seconds), || response.client_is_gone());
        profile = kind.collect().map_err(failed)?.since(&profile);
    }
    let outcome = match debug {
        0 => response.send_file(kind.name(), &profile.encode()),
        _ => response.send(TEXT, profile.text().as_bytes()),
    };
    outcome.map_err(went_away)
}

fn cpu(request: &Request, response: &mut Response) -> Result<(), Refusal> {
    let seconds = request.number("seconds", 30, 1..=LONGEST)?;
    let as_text = request.number("debug", 0, 0..=1)? == 1;
    let profile = take_cpu_profile(seconds, response)?;
    let outcome = match as_text {
        true => response.send(TEXT, profile.text().as_bytes()),
        false => response.send_file("profile", &profile.encode()),
    };
    outcome.map_err(went_away)
}

/// Ends early if the client goes away.
pub(super) fn take_cpu_profile(seconds: u64, response: &Response) -> Result<crate::debug::profile::Profile, Refusal> {
    kind::cpu_profile(Duration::from_secs(seconds), || response.client_is_gone()).map_err(|error| {
        let status = if error.kind() == io::ErrorKind::AlreadyExists { 409 } else { 500 };
        Refusal::new(status, error.to_string())
    })
}

fn command_line() -> String {
    let arguments: Vec<_> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    arguments.join("\0")
}

/// The names of addresses, as the tool asks for them: `0x1000+0x2000`, in the query or in the body.
fn symbols(request: &Request) -> String {
    // How many there are does not matter, only that there are some.
    let mut out = String::from("num_symbols: 1\n");
    let body = String::from_utf8_lossy(&request.body);
    // A + in a query stands for a space.
    let query = request.first_of_query().replace(' ', "+");
    let wanted = if request.method == "POST" { &*body } else { &query };
    for text in wanted.split('+').map(str::trim) {
        let Some(address) = text.strip_prefix("0x").and_then(|digits| usize::from_str_radix(digits, 16).ok()) else {
            continue;
        };
        if let Some(name) = symbol::function_at(address) {
            let _ = writeln!(out, "{text} {name}");
        }
    }
    out
}

/// The page with the profiles' names.
fn index() -> String {
    let mut out = String::from(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>/debug/pprof/</title>\
         <meta name=color-scheme content=\"light dark\"><style>body{font:15px/1.5 system-ui;max-width:50em;margin:2em}\
         td{padding:.2em 1em .2em 0;vertical-align:top}</style>\
         <h1>Profiles</h1><p>For <code>go tool pprof http://ADDRESS/debug/pprof/NAME</code>, or as text. \
         <a href=/debug/>The program at a glance</a>.<table>",
    );
    for kind in ProfileKind::ALL {
        let (name, text) = (kind.name(), kind.describe());
        let _ = write!(out, "<tr><td><a href=\"{name}?debug=1\">{name}</a><td>{text}");
    }
    out.push_str(
        "<tr><td><a href=\"profile?seconds=5\">profile</a><td>Where processor time goes: 100 samples for each second of \
         it. Takes <code>seconds</code> (30); <code>&amp;debug=1</code>: as text. One at a time.\
         <tr><td><a href=\"goroutine?debug=2\">full dump</a><td>The stack of each goroutine.\
         <tr><td><a href=cmdline>cmdline</a><td>The command line, separated by zero bytes.\
         <tr><td>symbol<td>The functions at addresses, for the tool.\
         <tr><td><a href=/debug/metrics>metrics</a><td>Numbers for Prometheus.\
         <tr><td><a href=/debug/vars>vars</a><td>The same as JSON.</table></html>\n",
    );
    out
}
