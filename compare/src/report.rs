//! The results as text, Markdown and JSON.

use crate::machine;
use crate::results::{Apart, Ratio, Row};
use serde_json::{Value, json};
use std::fmt::Write;

/// Rows of one output, lisle's first.
pub fn groups(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.job == b.job)
}

/// Reorders what a job gave, system by system, to output by output.
pub fn by_output(mut rows: Vec<Row>) -> Vec<Row> {
    let order: Vec<_> = rows.iter().map(|row| row.job).collect();
    let place = |row: &Row| order.iter().position(|job| *job == row.job);
    rows.sort_by_key(place);
    rows
}

fn lisle_of(group: &[Row]) -> Option<&Row> {
    group.iter().find(|row| row.system == "lisle")
}

fn number(value: f64) -> String {
    let decimals = if value < 100.0 { 1 } else { 0 };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_once('.').map_or((&plain[..], None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

/// How many times lisle's cost the row's is, and what that means. One round has no spread, so it gives no verdict.
fn verdict_in(group: &[Row], row: &Row) -> String {
    let lisle = lisle_of(group).filter(|_| row.system != "lisle");
    let Some(ratio) = lisle.and_then(|lisle| Ratio::of(lisle, row)) else { return String::new() };
    let range = format!("{:.2}x ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high);
    match row.values.len() {
        1 => format!("{:.2}x", ratio.median),
        _ if ratio.is_tie() => range + " tie",
        _ if ratio.median > 1.0 => range + " lisle ahead",
        _ => range + " lisle behind",
    }
}

/// A line for each system. That a system takes part in a few jobs only is not told for each of the others.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for group in groups(rows) {
        for row in group.iter().filter(|row| !is_of_another_kind(row)) {
            _ = writeln!(out, "{}", line(group, row));
        }
    }
    if let Some(apart) = rows.first().and_then(|row| row.apart) {
        let range = range(apart);
        _ = writeln!(out, "{:<25} meanwhile a cache line took {range} ns to the other processor and back", "");
    }
    out
}

fn range(apart: Apart) -> String {
    format!("{} to {}", number(apart.least), number(apart.most))
}

fn is_of_another_kind(row: &Row) -> bool {
    let partial = crate::systems::find(row.system).and_then(|system| system.partial);
    row.skipped.is_some() && row.skipped.as_deref() == partial
}

fn line(group: &[Row], row: &Row) -> String {
    let name = format!("{:<25} {:<10}", row.job, row.system);
    let (Some(median), Some(min), Some(max)) = (row.median(), row.min(), row.max()) else {
        return format!("{name} skipped: {}", row.skipped.as_deref().unwrap_or("no rounds"));
    };
    let (median, range) = (number(median), format!("{}..{}", number(min), number(max)));
    let verdict = verdict_in(group, row);
    let instructions = row.instructions.map_or_else(String::new, |count| format!("  {count:.0} instructions"));
    let line = format!("{name} {median:>14} {:<14} {range:<26} {verdict}{instructions}", row.unit);
    line.trim_end().to_owned()
}

/// How far `ping_pong_apart` is from the machine's own limit.
pub fn cache_line_note(rows: &[Row]) -> Option<String> {
    let median = |job, system| rows.iter().find(|row| row.job == job && row.system == system)?.median();
    let line = median("cache_line", "machine")?;
    let apart: Vec<_> = rows
        .iter()
        .filter(|row| row.job == "ping_pong_apart")
        .filter_map(|row| Some(format!("{} {:.1}", row.system, row.median()? / line)))
        .collect();
    (!apart.is_empty()).then(|| {
        format!(
            "A cache line goes to the other processor and back in {} ns. A round trip of ping_pong_apart takes so many of them: {}.",
            number(line),
            apart.join(", ")
        )
    })
}

pub fn json(rows: &[Row]) -> Value {
    let object = |row: &Row| {
        json!({
            "job": row.job, "system": row.system, "unit": row.unit,
            "median": row.median(), "min": row.min(), "max": row.max(), "rounds": row.values.len(),
            "instructions": row.instructions, "skipped": row.skipped,
            "cache_line": row.apart.map(|apart| json!({ "least": apart.least, "most": apart.most })),
        })
    };
    rows.iter().map(object).collect()
}

pub fn markdown(rows: &[Row], rounds: usize, workers: usize) -> String {
    let mut systems: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| !row.values.is_empty()) {
        if !systems.contains(&row.system) {
            systems.push(row.system);
        }
    }
    systems.sort_by_key(|name| crate::systems::SYSTEMS.iter().position(|system| system.name == *name));
    let mut out = format!(
        "# Results\n\nMade by `cargo run --release -- --md FILE` in this folder: {rounds} rounds, {workers} workers, medians.\n\n\
         {}\nIn brackets: how many times lisle's cost that is; `=` marks a tie, a lead that is smaller than the spread.\n\n",
        machine::description()
    );
    _ = writeln!(out, "| job | unit | {} |", systems.join(" | "));
    _ = writeln!(out, "| --- | --- |{}", " ---: |".repeat(systems.len()));
    for group in groups(rows) {
        let cells = systems.iter().map(|name| cell(group, name)).collect::<Vec<_>>().join(" | ");
        _ = writeln!(out, "| {} | {} | {cells} |", group[0].job, group[0].unit);
    }
    if let Some(note) = cache_line_note(rows) {
        _ = writeln!(out, "\n{note}");
    }
    out + &spreads(rows) + &skipped(rows)
}

fn cell(group: &[Row], system: &str) -> String {
    let Some(row) = group.iter().find(|row| row.system == system) else { return "–".into() };
    let Some(median) = row.median() else { return "–".into() };
    match lisle_of(group).and_then(|lisle| Ratio::of(lisle, row)) {
        Some(_) if system == "lisle" => format!("**{}**", number(median)),
        Some(ratio) => format!("{} ({:.2}{})", number(median), ratio.median, if ratio.is_tie() { " =" } else { "" }),
        None => number(median),
    }
}

fn spreads(rows: &[Row]) -> String {
    let mut out = String::from(
        "\n## Spread\n\nThe last column: what a cache line took meanwhile to the other processor and back, ns.\n\n\
         | job | system | median | least | most | ratio, and its range | instructions | cache line |\n\
         | --- | --- | ---: | ---: | ---: | --- | ---: | ---: |\n",
    );
    for group in groups(rows) {
        for row in group {
            let (Some(median), Some(min), Some(max)) = (row.median(), row.min(), row.max()) else { continue };
            let verdict = verdict_in(group, row);
            let instructions = row.instructions.map_or_else(|| "–".into(), |count| format!("{count:.0}"));
            let (median, min, max) = (number(median), number(min), number(max));
            let (job, system) = (row.job, row.system);
            let apart = row.apart.map_or_else(|| "–".into(), range);
            _ = writeln!(out, "| {job} | {system} | {median} | {min} | {max} | {verdict} | {instructions} | {apart} |");
        }
    }
    if let Err(error) = crate::child::instruction_counter() {
        _ = writeln!(out, "\nInstructions: not counted, since the kernel does not give them here ({error}).");
    }
    out
}

fn skipped(rows: &[Row]) -> String {
    let mut out = String::from("\n## Skipped\n\n| system | jobs | reason |\n| --- | --- | --- |\n");
    let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for row in rows {
        let Some(why) = &row.skipped else { continue };
        match reasons.iter_mut().find(|(system, reason, _)| *system == row.system && reason == why) {
            Some((.., jobs)) => jobs.push(row.job),
            None => reasons.push((row.system, why, vec![row.job])),
        }
    }
    for (system, reason, jobs) in reasons {
        _ = writeln!(out, "| {system} | {} | {} |", jobs.join(", "), reason.replace('|', "\\|"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([1.25, 99.96, 1234.5, 1_000_000.0].map(number), ["1.2", "100.0", "1,234", "1,000,000"]);
    }
}
