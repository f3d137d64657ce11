//! What is asked for by pages: a flame graph.

use super::request::Request;
use super::response::{JSON, Refusal, Response};
use super::routes::{take_cpu_profile, went_away};
use serde_json::{Value, json};

/// The longest profile for a flame graph, in seconds.
const LONGEST: u64 = 60;

/// Answers what is at `/debug/api/` by this name.
pub(super) fn answer(name: &str, request: &Request, response: &mut Response) -> Result<(), Refusal> {
    let body = match name {
        "flame" => flame(request, response)?,
        _ => return Err(Refusal::new(404, format!("there is no {name:?} here"))),
    };
    response.send(JSON, body.to_string().as_bytes()).map_err(went_away)
}

fn flame(request: &Request, response: &Response) -> Result<Value, Refusal> {
    let seconds = request.number("seconds", 5, 1..=LONGEST)?;
    let profile = take_cpu_profile(seconds, response)?;
    Ok(json!({ "tree": profile.tree(), "seconds": profile.duration.as_secs_f64() }))
}
