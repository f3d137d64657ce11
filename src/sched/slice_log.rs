//! Since when a goroutine has waited, without a look at the clock at each park.
//!
//! Slices of a worker have numbers, and a goroutine knows that of its last one. The watchdog takes down now and then how
//! many have ended. So a goroutine has waited at least since the first note that counts its slice among the ended ones.
//! Notes of the same second replace each other; when there are too many, every other one of the older half goes, so that
//! what is long ago is known less exactly.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const APART: Duration = Duration::from_secs(1);
const MOST: usize = 2048;

/// How many slices had ended at which time, the oldest first.
#[derive(Default)]
pub(crate) struct SliceLog(Mutex<Vec<(u64, Instant)>>);

impl SliceLog {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By `now`, the slices up to this number have ended.
    pub(crate) fn note(&self, ended: u64, now: Instant) {
        let mut notes = self.lock();
        if notes.last().is_some_and(|&(before, _)| before >= ended) {
            return;
        }
        if let [.., (_, before), _] = notes[..]
            && now.saturating_duration_since(before) < APART
        {
            notes.pop();
        }
        notes.push((ended, now));
        if notes.len() > MOST {
            let mut index = 0;
            notes.retain(|_| {
                index += 1;
                index > MOST / 2 || index % 2 == 0
            });
        }
    }

    /// Slices are counted anew.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// How long ago, at the least, this slice ended.
    pub(crate) fn since(&self, slice: u64) -> Duration {
        let notes = self.lock();
        let first = notes.partition_point(|&(ended, _)| ended < slice);
        notes.get(first).map_or(Duration::ZERO, |&(_, at)| crate::clock::now().saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_as_old_as_the_first_note_after_it_began() {
        let log = SliceLog::default();
        let second = |n| Duration::from_secs(n);
        let base = Instant::now().checked_sub(second(100)).unwrap();
        log.note(5, base);
        log.note(5, base + second(10));
        log.note(9, base + second(20));
        let about = |slice, seconds: u64| log.since(slice).as_secs().abs_diff(seconds) <= 5;
        assert!(about(5, 100) && about(6, 80) && about(9, 80), "{:?}", log.since(6));
        assert_eq!(log.since(10), Duration::ZERO);
    }

    #[test]
    fn notes_are_thinned_and_stay_in_order() {
        let log = SliceLog::default();
        let base = Instant::now();
        for n in 1..20_000 {
            log.note(n, base + Duration::from_secs(n));
        }
        let notes = log.lock();
        assert!(notes.len() <= MOST && notes.is_sorted());
        assert_eq!(notes.last().unwrap().0, 19_999);
    }
}
