//! What the rounds gave: medians, spreads, ratios.

use crate::child::{self, Outcome, Round};
use crate::jobs::Job;
use crate::systems::{Kind, System};
use std::collections::BTreeMap;
use std::time::Duration;

/// One output of one job in one system.
pub struct Row {
    pub job: &'static str,
    pub system: &'static str,
    pub unit: &'static str,
    /// Of all rounds, sorted; empty if there are none.
    pub values: Vec<f64>,
    /// Instructions of the whole process by operation, warm-up included: the median of the rounds.
    pub instructions: Option<f64>,
    /// Why there are no values.
    pub skipped: Option<String>,
    /// How far apart the processors were meanwhile: see [`Field::measure`].
    pub apart: Option<Apart>,
}

/// What a cache line takes to the other processor and back, in nanoseconds, at the least and at the most.
#[derive(Clone, Copy)]
pub struct Apart {
    pub least: f64,
    pub most: f64,
}

impl Row {
    pub fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    pub fn min(&self) -> Option<f64> {
        self.values.first().copied()
    }

    pub fn max(&self) -> Option<f64> {
        self.values.last().copied()
    }
}

/// Of sorted values; of an even number of them the mean of the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let (&low, &high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(low, high))
}

/// How many times lisle's cost another's is, and between which bounds that lies.
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    pub fn of(lisle: &Row, other: &Row) -> Option<Self> {
        let ratio = |other: Option<f64>, lisle: Option<f64>| Some(other? / lisle?);
        Some(Self {
            median: ratio(other.median(), lisle.median())?,
            low: ratio(other.min(), lisle.max())?,
            high: ratio(other.max(), lisle.min())?,
        })
    }

    /// The lead is smaller than the spread: between the worst round of one and the best of the other it is gone.
    pub fn is_tie(&self) -> bool {
        self.low <= 1.0 && 1.0 <= self.high
    }
}

const SETTLE: Duration = Duration::from_millis(30);

/// The systems that take part, and why others do not.
pub struct Field {
    pub present: Vec<&'static System>,
    pub absent: BTreeMap<&'static str, String>,
}

impl Field {
    /// Builds what has to be built.
    pub fn gather(systems: Vec<&'static System>) -> Self {
        let mut field = Self { present: Vec::new(), absent: BTreeMap::new() };
        for system in systems {
            match system.kind {
                Kind::Binary { build, .. } => match build() {
                    Ok(()) => field.present.push(system),
                    Err(why) => _ = field.absent.insert(system.name, why),
                },
                Kind::Here(_) => field.present.push(system),
            }
        }
        field
    }

    /// All rounds of a job in all systems, one system after the other in each round, so that whatever else the machine
    /// does hits all of them. Each round begins with another, so that none always runs after the same one. A system
    /// that fails once is not asked again.
    ///
    /// Before each round and after the last it is measured how far apart the processors are: a virtual machine's are put now
    /// on two cores that are near to each other, now on two that are not, and what two workers share costs accordingly.
    pub fn measure(&self, job: &Job, rounds: usize, round: &Round) -> Vec<Row> {
        let mut samples: BTreeMap<&str, Samples> = BTreeMap::new();
        let mut distances = Vec::new();
        for (&name, why) in &self.absent {
            samples.entry(name).or_default().skipped = Some(why.clone());
        }
        for round_number in 0..rounds {
            distances.extend(distance(round));
            let (before, first) = self.present.split_at(round_number % self.present.len().max(1));
            for system in first.iter().chain(before) {
                let samples = samples.entry(system.name).or_default();
                if samples.skipped.is_some() {
                    continue;
                }
                match run(system, job, round) {
                    Outcome::Measured { values, instructions } => samples.rounds.push((values, instructions)),
                    Outcome::None(why) => samples.skipped = Some(why),
                }
            }
        }
        distances.extend(distance(round));
        let least = distances.iter().copied().reduce(f64::min);
        let apart = least.zip(distances.iter().copied().reduce(f64::max)).map(|(least, most)| Apart { least, most });
        let all = crate::systems::SYSTEMS.iter().filter_map(|system| Some((system.name, samples.get(system.name)?)));
        all.flat_map(|(name, samples)| samples.rows(name, job, round, apart)).collect()
    }
}

/// One round, after what is to make it like the others.
fn run(system: &System, job: &Job, round: &Round) -> Outcome {
    let is_full = round.count >= job.count;
    // The one before has ended, but the kernel may still be tearing down its memory.
    std::thread::sleep(SETTLE);
    if is_full {
        crate::memory::make_present();
    }
    let first = child::run(system, job, round);
    if is_full && job.fills_memory && matches!(first, Outcome::Measured { .. }) {
        std::thread::sleep(SETTLE);
        return child::run(system, job, round);
    }
    first
}

/// In nanoseconds, by a short run of the job `cache_line`.
fn distance(round: &Round) -> Option<f64> {
    if round.workers < 2 {
        return None;
    }
    let (system, job) = (crate::systems::find("machine")?, crate::jobs::find("cache_line")?);
    match child::run(system, job, &Round { count: 100_000, warm_up: 10_000, ..*round }) {
        Outcome::Measured { values, .. } => values.first().copied(),
        Outcome::None(_) => None,
    }
}

#[derive(Default)]
struct Samples {
    rounds: Vec<(Vec<f64>, Option<f64>)>,
    skipped: Option<String>,
}

impl Samples {
    fn rows(&self, system: &'static str, job: &Job, round: &Round, apart: Option<Apart>) -> Vec<Row> {
        // A system that failed in one round has no figures.
        let rounds = if self.skipped.is_some() { &[][..] } else { &self.rounds[..] };
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let operations = (round.count + round.warm_up) as f64;
        let instructions = sorted(rounds.iter().filter_map(|(_, count)| Some((*count)? / operations)).collect());
        let row = |(index, output): (usize, &crate::jobs::Output)| Row {
            job: output.name,
            system,
            unit: output.unit,
            values: sorted(rounds.iter().map(|(values, _)| values[index]).collect()),
            instructions: median(&instructions),
            skipped: self.skipped.clone(),
            apart,
        };
        job.outputs.iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> Row {
        Row {
            job: "j",
            system: "s",
            unit: "ns",
            values: values.to_vec(),
            instructions: None,
            skipped: None,
            apart: None,
        }
    }

    #[test]
    fn a_lead_within_the_spread_is_a_tie() {
        let ours = row(&[9.0, 10.0, 12.0]);
        assert!(Ratio::of(&ours, &row(&[11.0, 13.0, 14.0])).unwrap().is_tie());
        let clear = Ratio::of(&ours, &row(&[13.0, 20.0, 21.0])).unwrap();
        assert!(!clear.is_tie());
        assert_eq!(clear.median, 2.0);
    }

    #[test]
    fn medians() {
        assert_eq!(row(&[1.0, 2.0, 9.0]).median(), Some(2.0));
        assert_eq!(row(&[1.0, 2.0]).median(), Some(1.5));
        assert_eq!(row(&[]).median(), None);
    }
}
