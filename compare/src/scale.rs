//! `compare scale`: how the cost of an operation grows with the number of goroutines, workers and waiters. It writes a
//! table, a plot for each series, and a sentence for each that is computed from the figures.

use crate::child::Round;
use crate::jobs;
use crate::machine;
use crate::plot::{self, Curve};
use crate::results::{Field, Row};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// What the points of a series are.
enum Axis {
    /// The job's count.
    Count,
    /// The workers; the job's count is this.
    Workers(usize),
}

struct Series {
    name: &'static str,
    /// What one reads at the axis.
    size: &'static str,
    job: &'static str,
    axis: Axis,
    points: &'static [usize],
}

const STARTED: &[usize] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const PARKED: &[usize] = &[1_000, 10_000, 100_000, 500_000, 1_000_000, 2_000_000];
const WORKERS: &[usize] = &[1, 2, 4, 8, 16, 32, 64];
const WAITERS: &[usize] = &[1, 10, 100, 1_000, 10_000];

const SERIES: &[Series] = &[
    Series { name: "started", size: "goroutines started at once", job: "started", axis: Axis::Count, points: STARTED },
    Series { name: "parked", size: "goroutines that wait", job: "park_1m", axis: Axis::Count, points: PARKED },
    Series {
        name: "workers_spawn",
        size: "workers",
        job: "spawn_done",
        axis: Axis::Workers(1_000_000),
        points: WORKERS,
    },
    Series {
        name: "workers_channel",
        size: "workers",
        job: "chan128_4_4",
        axis: Axis::Workers(2_000_000),
        points: WORKERS,
    },
    Series { name: "workers_mutex", size: "workers", job: "mutex_8", axis: Axis::Workers(5_000_000), points: WORKERS },
    Series {
        name: "waiters_channel",
        size: "goroutines that wait on one channel",
        job: "waiters_channel",
        axis: Axis::Count,
        points: WAITERS,
    },
    Series {
        name: "waiters_mutex",
        size: "goroutines that want one mutex",
        job: "waiters_mutex",
        axis: Axis::Count,
        points: WAITERS,
    },
];

pub struct Settings<'a> {
    pub field: Field,
    pub only: &'a str,
    pub rounds: usize,
    pub workers: usize,
    pub quick: bool,
    pub folder: &'a Path,
}

/// Measures all series and writes `SCALE.md` and the plots into the folder.
pub fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(settings.folder)?;
    let mut out = format!(
        "# Scale\n\nMade by `cargo run --release -- scale` in `compare/`: {} rounds, medians, {} workers where they do not vary.\n\n{}",
        settings.rounds,
        settings.workers,
        machine::description()
    );
    for series in SERIES.iter().filter(|series| series.name.contains(settings.only)) {
        let measured = measure(series, settings);
        for output in 0..measured.first().map_or(0, |(_, outputs)| outputs.len()) {
            write_series(series, output, &measured, settings.folder, &mut out)?;
        }
    }
    let file = settings.folder.join("SCALE.md");
    std::fs::write(&file, out)?;
    println!("written: {} and its plots", file.display());
    Ok(())
}

/// For each point, for each output of the job, the rows of the systems.
type Measured = Vec<(usize, Vec<Vec<Row>>)>;

fn measure(series: &Series, settings: &Settings) -> Measured {
    let job = jobs::find(series.job).expect("a known job");
    // A smoke test goes to a hundredth of the size.
    let largest = series.points.last().copied().unwrap_or(0);
    let within =
        |point: &&usize| !settings.quick || matches!(series.axis, Axis::Workers(_)) || **point <= largest / 100;
    let measure_point = |&point: &usize| {
        let (count, workers) = match series.axis {
            Axis::Count => (point, settings.workers),
            Axis::Workers(count) => (if settings.quick { count / 100 } else { count }, point),
        };
        let round = Round { count, warm_up: 0, workers, patience: Duration::from_secs(120) };
        let rows = settings.field.measure(job, settings.rounds, &round);
        eprint!("{}", crate::report::text(&rows).replace(job.name, &format!("{} {point}", series.name)));
        let of_output = |name: &str| rows_of(&rows, name);
        (point, job.outputs.iter().map(|output| of_output(output.name)).collect())
    };
    series.points.iter().filter(within).map(measure_point).collect()
}

fn rows_of(rows: &[Row], output: &str) -> Vec<Row> {
    let copy = |row: &Row| Row { values: row.values.clone(), skipped: row.skipped.clone(), ..*row };
    rows.iter().filter(|row| row.job == output).map(copy).collect()
}

fn write_series(
    series: &Series,
    output: usize,
    measured: &Measured,
    folder: &Path,
    out: &mut String,
) -> Result<(), Box<dyn Error>> {
    let first = &measured[0].1[output];
    let Some(sample) = first.first() else { return Ok(()) };
    let part = sample.job.strip_prefix(series.job).unwrap_or_default();
    let part = if part.is_empty() { sample.job.strip_prefix("park_1m").unwrap_or_default() } else { part };
    let name = format!("{}{part}", series.name);
    let systems: Vec<&'static str> = first.iter().map(|row| row.system).collect();
    _ = writeln!(out, "\n## {name}, {}\n\n| {} | {} |", sample.unit, series.size, systems.join(" | "));
    _ = writeln!(out, "| ---: |{}", " ---: |".repeat(systems.len()));
    let mut curves: Vec<Curve> = systems.iter().map(|&system| (system, Vec::new())).collect();
    for (point, outputs) in measured {
        let mut cells = Vec::new();
        for (row, (_, points)) in outputs[output].iter().zip(&mut curves) {
            match (row.median(), row.min(), row.max()) {
                (Some(median), Some(min), Some(max)) => {
                    points.push((*point as f64, median));
                    cells.push(format!("{median:.1} ({min:.1} to {max:.1})"));
                }
                _ => cells.push(row.skipped.clone().unwrap_or_else(|| "–".into())),
            }
        }
        _ = writeln!(out, "| {point} | {} |", cells.join(" | "));
    }
    curves.retain(|(_, points)| !points.is_empty());
    for (system, points) in &curves {
        _ = writeln!(out, "\n{}", sentence(system, series, sample.unit, points));
    }
    if !curves.is_empty() {
        plot::growth(&name, series.size, sample.unit, &curves, &folder.join(format!("{name}.svg")))?;
        _ = writeln!(out, "\n![{name}]({name}.svg)");
    }
    Ok(())
}

/// What the curve says: the cost of one at both ends, the least and the most, and, where the size is a number of
/// things to do, the power with which the whole grows.
fn sentence(system: &str, series: &Series, unit: &str, points: &[(f64, f64)]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let (at_least, least) = points.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).expect("not empty");
    let most = points[at_least..].iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("not empty");
    let shape = if most.1 <= FLAT * least.1 {
        format!("flat: nowhere behind its least, {:.1}, more than {FLAT} times that", least.1)
    } else {
        format!("NOT flat: after its least, {:.1} at {}, it rises to {:.1} at {}", least.1, least.0, most.1, most.0)
    };
    let power = match series.axis {
        Axis::Count => format!("; all together grow with the power {:.2}", 1.0 + slope(points)),
        Axis::Workers(_) => String::new(),
    };
    let (from, to, size) = (first.0, last.0, series.size);
    format!(
        "{system}: from {from} to {to} {size}, one goes from {:.1} to {:.1} {unit}; {shape}{power}.",
        first.1, last.1
    )
}

/// What is within this factor of its least counts as flat.
const FLAT: f64 = 2.0;

/// The least-squares line through the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|log| log.0), mean(|log| log.1));
    let both: f64 = logs.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let own: f64 = logs.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    if own == 0.0 { 0.0 } else { both / own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_the_exponent() {
        let points: Vec<_> = [1.0_f64, 10.0, 100.0].iter().map(|&x| (x, 3.0 * x.powf(0.5))).collect();
        assert!((slope(&points) - 0.5).abs() < 1e-9);
        assert!(sentence("lisle", &SERIES[0], "ns", &points).contains("NOT flat"));
        assert!(!sentence("lisle", &SERIES[0], "ns", &[(1.0, 9.0), (10.0, 5.0), (20.0, 5.5)]).contains("NOT"));
    }
}
