//! A schedule as text: what `LISLE_SEED` and `replay` take, and failures print.
//!
//! The scheduler of the explorer has a *plain order*: whoever runs goes on as long as it can, then the one that has been
//! ready for longest. A schedule is written as its deviations from that, each named by who ran, how many steps it had
//! done, and what was chosen instead. So the text is short when there are few preemptions, and a deviation keeps its
//! meaning when others are taken away, which is how failures are shrunk.
//!
//! | text | meaning |
//! | --- | --- |
//! | `random-1f` | a random walk from this seed |
//! | `pct3-1f-40` | PCT of depth 3, from this seed, for a program of about 40 steps |
//! | `robin2` | round robin, two steps each |
//! | `plain` | no deviations |
//! | `1.4-3,3.1=2` | after its 4th step goroutine 1 lets goroutine 3 run; goroutine 3 chooses its second value after its first |

use std::fmt;

/// After so many steps of this goroutine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Moment {
    pub(crate) goroutine: u64,
    pub(crate) step: u32,
}

/// What is chosen there, other than in the plain order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// Which goroutine runs.
    Run(u64),
    /// Which of several ready operations a select takes.
    Value(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deviation {
    pub(crate) at: Moment,
    pub(crate) choice: Choice,
}

/// All that is needed to run a schedule again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Schedule {
    Random { seed: u64 },
    Pct { depth: u32, seed: u64, length: u64 },
    RoundRobin { quantum: u32 },
    Deviations(Vec<Deviation>),
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random { seed } => write!(f, "random-{seed:x}"),
            Self::Pct { depth, seed, length } => write!(f, "pct{depth}-{seed:x}-{length}"),
            Self::RoundRobin { quantum } => write!(f, "robin{quantum}"),
            Self::Deviations(list) if list.is_empty() => f.write_str("plain"),
            Self::Deviations(list) => {
                for (index, Deviation { at, choice }) in list.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}.{}", at.goroutine, at.step)?;
                    match choice {
                        Choice::Run(id) => write!(f, "-{id}")?,
                        Choice::Value(value) => write!(f, "={value}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl Schedule {
    /// Whether it lets time go on while goroutines could run (`Config::eager_time`).
    pub(crate) fn chooses_time(&self) -> bool {
        let is_clock = |deviation: &Deviation| deviation.choice == Choice::Run(super::run::CLOCK);
        matches!(self, Self::Deviations(list) if list.iter().any(is_clock))
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "plain" {
            return Some(Self::Deviations(Vec::new()));
        }
        if let Some(seed) = text.strip_prefix("random-") {
            return Some(Self::Random { seed: u64::from_str_radix(seed, 16).ok()? });
        }
        if let Some(rest) = text.strip_prefix("pct") {
            let mut parts = rest.split('-');
            let depth = parts.next()?.parse().ok()?;
            let seed = u64::from_str_radix(parts.next()?, 16).ok()?;
            let length = parts.next()?.parse().ok()?;
            return parts.next().is_none().then_some(Self::Pct { depth, seed, length });
        }
        if let Some(quantum) = text.strip_prefix("robin") {
            return Some(Self::RoundRobin { quantum: quantum.parse().ok().filter(|&quantum| quantum > 0)? });
        }
        text.split(',').map(Deviation::parse).collect::<Option<_>>().map(Self::Deviations)
    }
}

impl Deviation {
    fn parse(text: &str) -> Option<Self> {
        let (goroutine, rest) = text.split_once('.')?;
        let at = |step: &str| Some(Moment { goroutine: goroutine.parse().ok()?, step: step.parse().ok()? });
        match (rest.split_once('-'), rest.split_once('=')) {
            (Some((step, id)), None) => Some(Self { at: at(step)?, choice: Choice::Run(id.parse().ok()?) }),
            (None, Some((step, value))) => Some(Self { at: at(step)?, choice: Choice::Value(value.parse().ok()?) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let at = Moment { goroutine: 3, step: 17 };
        let deviations = vec![
            Deviation { at, choice: Choice::Run(12) },
            Deviation { at: Moment { goroutine: 0, step: 1 }, choice: Choice::Value(2) },
        ];
        for schedule in [
            Schedule::Random { seed: 0xfeed },
            Schedule::Pct { depth: 4, seed: u64::MAX, length: 90 },
            Schedule::RoundRobin { quantum: 7 },
            Schedule::Deviations(Vec::new()),
            Schedule::Deviations(deviations),
        ] {
            assert_eq!(Schedule::parse(&schedule.to_string()), Some(schedule));
        }
        for nonsense in ["", "random", "random-xyz", "pct3", "pct3-1", "robin0", "1.2", "1-2", "1.2-3-4x"] {
            assert_eq!(Schedule::parse(nonsense), None, "{nonsense}");
        }
    }
}
