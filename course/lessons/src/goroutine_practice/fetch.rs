//! Getting a page: plainly, with a timeout, and with patience.

use lisle::context::{self, Context, Error};
use lisle::{blocking, debug};
use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Why a link counts as broken.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    Status(u16),
    TimedOut,
    Connection(String),
    /// It was not looked at, as the check as a whole has been called off.
    GivenUp(Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(404) => write!(f, "not found"),
            Self::Status(503) => write!(f, "too busy"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TimedOut => write!(f, "no answer in time"),
            Self::Connection(error) => write!(f, "{error}"),
            Self::GivenUp(error) => write!(f, "given up: {error}"),
        }
    }
}

/// An ordinary client that blocks its thread.
static CLIENT: LazyLock<ureq::Agent> =
    LazyLock::new(|| ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into());

/// Blocks its thread.
fn request(url: &str, timeout: Option<Duration>) -> Result<Vec<String>, Problem> {
    let mut answer = CLIENT.get(url).config().timeout_global(timeout).build().call().map_err(problem)?;
    match answer.status().as_u16() {
        200 => Ok(links(url, &answer.body_mut().read_to_string().map_err(problem)?)),
        status => Err(Problem::Status(status)),
    }
}

fn problem(error: ureq::Error) -> Problem {
    match error {
        ureq::Error::Timeout(_) => Problem::TimedOut,
        error => Problem::Connection(error.to_string()),
    }
}

/// The links of a page. (Good enough for our own site; a real checker would parse HTML.)
fn links(url: &str, page: &str) -> Vec<String> {
    let host = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let targets = page.split("href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    targets.map(|target| format!("{host}{target}")).collect()
}

// ANCHOR: one_by_one
pub(super) fn plainly(_: &Context, url: &str) -> Result<Vec<String>, Problem> {
    blocking(|| request(url, None))
}
// ANCHOR_END: one_by_one

// ANCHOR: timeouts
pub(super) fn in_time(ctx: &Context, url: &str) -> Result<Vec<String>, Problem> {
    ctx.check().map_err(Problem::GivenUp)?;
    let (call, _cancel) = context::with_timeout(ctx, Duration::from_millis(250));
    let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    match (blocking(|| request(url, left)), ctx.err()) {
        (Err(Problem::TimedOut), Some(error)) => Err(Problem::GivenUp(error)), // not the page's fault
        (answer, _) => answer,
    }
}
// ANCHOR_END: timeouts

// ANCHOR: retries
pub(super) fn with_patience(ctx: &Context, url: &str) -> Result<Vec<String>, Problem> {
    let mut pause = Duration::from_millis(20);
    for _ in 0..4 {
        match in_time(ctx, url) {
            Err(Problem::Status(503)) => {}
            other => return other,
        }
        ctx.sleep(pause).map_err(Problem::GivenUp)?;
        pause *= 2; // a server that is busy is not asked more often for that
    }
    in_time(ctx, url)
}
// ANCHOR_END: retries

// ANCHOR: dump
pub(super) fn labelled(ctx: &Context, url: &str) -> Result<Vec<String>, Problem> {
    debug::with_labels(&[("link", url)], || plainly(ctx, url))
}
// ANCHOR_END: dump
