//! What the page asks for: goroutines in groups, those that match, one with its stack, and a flame graph.
//!
//! Every answer is bounded, however many goroutines there are: the server groups and counts, and sends the first few.

use super::request::Request;
use super::response::{JSON, Refusal, Response, TEXT};
use super::routes::{take_cpu_profile, went_away};
use crate::debug::view::{self, Goroutine};
use crate::debug::{Format, dump_to};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

/// The most groups, and the most goroutines, of one answer.
const MOST: usize = 200;
/// The longest profile for a flame graph, in seconds.
const LONGEST: u64 = 60;

/// Answers what is at `/debug/api/` by this name.
pub(super) fn answer(name: &str, request: &Request, response: &mut Response) -> Result<(), Refusal> {
    let body = match name {
        "groups" => groups(),
        "goroutines" => goroutines(request),
        "goroutine" => goroutine(request)?,
        "flame" => flame(request, response)?,
        _ => return Err(Refusal::new(404, format!("there is no {name:?} here"))),
    };
    response.send(JSON, body.to_string().as_bytes()).map_err(went_away)
}

/// The stack of each goroutine as text, one after the other.
pub(super) fn dump(response: &mut Response) -> Result<(), Refusal> {
    response.stream(TEXT, |out| dump_to(out, Format::Text)).map_err(went_away)
}

#[derive(Default)]
struct Group {
    count: u64,
    oldest: Duration,
}

/// Goroutines by what they wait for and where they were created, the largest groups first.
fn groups() -> Value {
    let mut groups: HashMap<(String, &'static Location<'static>), Group> = HashMap::new();
    view::for_each_without_stack(|g| {
        let group = groups.entry((g.state.to_string(), g.created_at)).or_default();
        group.count += 1;
        group.oldest = group.oldest.max(g.waited.unwrap_or_default());
    });
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|((s, a), x), ((t, b), y)| y.count.cmp(&x.count).then_with(|| (s, a).cmp(&(t, b))));
    let left_off = groups.len().saturating_sub(MOST);
    let group = |((state, site), group): ((String, &Location), Group)| {
        json!({
            "state": state,
            "site": site.to_string(),
            "count": group.count,
            "oldest_seconds": group.oldest.as_secs_f64(),
        })
    };
    let shown: Vec<Value> = groups.into_iter().take(MOST).map(group).collect();
    json!({ "groups": shown, "left_off": left_off })
}

/// Those of one group, or those that hold the text that is looked for.
fn goroutines(request: &Request) -> Value {
    let wanted = request.get("q").unwrap_or_default().trim().to_lowercase();
    let (state, site) = (request.get("state"), request.get("site"));
    let mut matches = 0_u64;
    let mut shown = Vec::new();
    view::for_each_without_stack(|g| {
        let is_in_group = state.is_none_or(|state| g.state.to_string() == state)
            && site.is_none_or(|site| g.created_at.to_string() == site);
        if !is_in_group || !holds(g, &wanted) {
            return;
        }
        matches += 1;
        if shown.len() < MOST {
            shown.push(describe(g));
        }
    });
    json!({ "matches": matches, "shown": shown })
}

/// Whether a goroutine's number, name, labels, state or site has the text.
fn holds(g: &Goroutine, wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    wanted.is_empty()
        || g.id.to_string() == wanted
        || g.name.is_some_and(has)
        || has(&g.state.to_string())
        || has(&g.created_at.to_string())
        || g.labels().iter().any(|(key, value)| has(&format!("{key}={value}")))
}

fn describe(g: &Goroutine) -> Value {
    json!({
        "id": g.id,
        "name": g.name,
        "state": g.state.to_string(),
        "seconds": g.waited.map_or(0.0, |waited| waited.as_secs_f64()),
        "site": g.created_at.to_string(),
        "creator": g.creator,
        "labels": g.labels(),
    })
}

fn goroutine(request: &Request) -> Result<Value, Refusal> {
    let id = request.number("id", 0, 0..=u64::MAX)?;
    if id == 0 {
        return Err(Refusal::new(400, "the id of a goroutine is wanted"));
    }
    view::with_one(id, |g| {
        let mut value = describe(g);
        let frame = |(function, place): (String, String)| json!({ "function": function, "place": place });
        value["frames"] = view::frames(g).into_iter().map(frame).collect();
        value["note"] = g.note.into();
        value
    })
    .ok_or_else(|| Refusal::new(404, format!("there is no goroutine {id} (any more)")))
}

fn flame(request: &Request, response: &Response) -> Result<Value, Refusal> {
    let seconds = request.number("seconds", 5, 1..=LONGEST)?;
    let profile = take_cpu_profile(seconds, response)?;
    Ok(json!({ "tree": profile.tree(), "seconds": profile.duration.as_secs_f64() }))
}
