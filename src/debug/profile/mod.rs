//! Profiles: how often, or for how long, the program was at which stack.
//!
//! A [`Profile`] is a table from stacks and labels to numbers, whatever it was that was counted: samples of the
//! processor, goroutines, waits. Those who collect ([`cpu`](super::cpu), [`goroutines`], [`waits`](super::waits), [`threads`])
//! fill it with addresses, since looking them up takes time and memory; those who write ([`encode`] for `go tool pprof`,
//! [`text`] for people, [`tree`] for flame graphs) look them up, each once.
//!
//! A table does not grow beyond [`LIMIT`] entries: what comes after counts for one entry without a stack, which says so.

mod encode;
pub(crate) mod goroutines;
pub(crate) mod kind;
mod mapped;
mod proto;
pub(crate) mod stacks;
mod text;
pub(crate) mod threads;
pub(crate) mod tree;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Keys and values.
pub(crate) type Labels = Vec<(String, String)>;

/// The most entries of one profile: some 30 MB with deep stacks.
pub(crate) const LIMIT: usize = 100_000;

/// What was counted, and in which unit: two words as pprof has them.
pub(crate) type Unit = (&'static str, &'static str);

/// Where, and on whose behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Addresses as `unwind` gives them, the innermost first.
    pub(crate) stack: Box<[usize]>,
    /// Stands in the place of frames that are missing, at the outer end.
    pub(crate) mark: Option<String>,
    /// A goroutine's number, or 0.
    pub(crate) goroutine: u64,
    pub(crate) labels: Labels,
}

/// Which frames are shown. What lies below a goroutine's own closure never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The inside of lisle, too: processor time is spent there.
    Everything,
    /// Of lisle only what the user has called: it waits there, whatever it does inside.
    CallsOfTheUser,
}

pub(crate) struct Profile {
    /// As the server has it: `goroutine`, `profile`, …
    pub(crate) name: &'static str,
    /// What the numbers are; the last one is what is shown if nobody asks for another.
    pub(crate) units: &'static [Unit],
    /// What lies between two samples, if samples were taken.
    pub(crate) period: Option<(Unit, i64)>,
    pub(crate) shown: Shown,
    pub(crate) began: SystemTime,
    pub(crate) duration: Duration,
    /// As many numbers as there are units; the others are zero.
    pub(crate) samples: HashMap<Key, [i64; 2]>,
    pub(crate) comments: Vec<String>,
}

impl Profile {
    pub(crate) fn new(name: &'static str, units: &'static [Unit], shown: Shown) -> Self {
        Self {
            name,
            units,
            period: None,
            shown,
            began: SystemTime::now(),
            duration: Duration::ZERO,
            samples: HashMap::new(),
            comments: Vec::new(),
        }
    }

    /// Adds to the numbers of a stack.
    pub(crate) fn add(&mut self, key: Key, values: [i64; 2]) {
        let is_full = self.samples.len() >= LIMIT && !self.samples.contains_key(&key);
        let key = if is_full {
            Key { mark: Some(format!("[beyond {LIMIT} different stacks]")), ..Key::default() }
        } else {
            key
        };
        let numbers = self.samples.entry(key).or_default();
        for (number, value) in numbers.iter_mut().zip(values) {
            *number = number.saturating_add(value);
        }
    }

    /// What has come since `earlier`, a profile of the same kind.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (key, numbers) in &mut self.samples {
            let before = earlier.samples.get(key).copied().unwrap_or_default();
            *numbers = [numbers[0] - before[0], numbers[1] - before[1]];
        }
        self.samples.retain(|_, numbers| *numbers != [0, 0]);
        self.duration = self.began.duration_since(earlier.began).unwrap_or_default();
        self.began = earlier.began;
        self
    }

    /// The sum of one of the numbers.
    pub(crate) fn total(&self, unit: usize) -> i64 {
        self.samples.values().fold(0, |sum: i64, numbers| sum.saturating_add(numbers[unit]))
    }

    /// The stacks, those with the largest last number first; among equals, in an order that stays the same.
    pub(crate) fn sorted(&self) -> Vec<(&Key, &[i64; 2])> {
        let last = self.units.len() - 1;
        let mut all: Vec<_> = self.samples.iter().collect();
        all.sort_by(|(a, x), (b, y)| y[last].cmp(&x[last]).then_with(|| a.cmp(b)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: usize) -> Key {
        Key { stack: Box::new([address]), ..Key::default() }
    }

    #[test]
    fn numbers_of_one_stack_add_up_and_a_difference_has_what_came_since() {
        let mut profile = Profile::new("test", &[("a", "count"), ("b", "count")], Shown::Everything);
        profile.add(key(1), [1, 10]);
        let mut later = Profile::new("test", profile.units, Shown::Everything);
        later.add(key(1), [1, 10]);
        later.add(key(1), [2, 5]);
        profile.add(key(2), [7, 0]);
        later.add(key(2), [7, 0]);
        later.add(key(3), [1, 1]);
        assert_eq!(later.total(0), 11);
        let since = later.since(&profile);
        assert_eq!(since.sorted(), [(&key(1), &[2, 5]), (&key(3), &[1, 1])]);
    }

    #[test]
    fn a_profile_with_too_many_stacks_counts_the_rest_in_one_entry() {
        let mut profile = Profile::new("test", &[("a", "count")], Shown::Everything);
        (0..LIMIT + 5).for_each(|address| profile.add(key(address), [1, 0]));
        assert_eq!(profile.samples.len(), LIMIT + 1);
        assert_eq!(profile.total(0), i64::try_from(LIMIT + 5).unwrap());
        let (rest, numbers) = profile.sorted()[0];
        assert!(rest.mark.as_ref().unwrap().contains("different stacks"));
        assert_eq!(numbers[0], 5);
    }
}
