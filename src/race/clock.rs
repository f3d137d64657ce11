//! Vector clocks (Fidge and Mattern, 1988) and the epochs of FastTrack (Flanagan and Freund, 2009).

/// A moment in the life of one strand: the place of its entry in a clock, and what that showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Epoch {
    pub(crate) strand: u32,
    pub(crate) time: u32,
}

/// For each strand, how much of what it has done happens before a point in the program.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Clock {
    times: Vec<u32>,
}

impl Clock {
    #[cfg(feature = "race")]
    pub(crate) const fn new() -> Self {
        Self { times: Vec::new() }
    }

    pub(crate) fn of(&self, strand: u32) -> u32 {
        self.times.get(strand as usize).copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, strand: u32, time: u32) {
        let index = strand as usize;
        if index >= self.times.len() {
            self.times.resize(index + 1, 0);
        }
        self.times[index] = time;
    }

    /// Whether that moment happens before this clock's point.
    pub(crate) fn has_seen(&self, epoch: Epoch) -> bool {
        epoch.time <= self.of(epoch.strand)
    }

    pub(crate) fn times(&self) -> &[u32] {
        &self.times
    }

    /// As `join`, with these times.
    #[inline]
    pub(crate) fn join_times(&mut self, times: impl ExactSizeIterator<Item = u32>) {
        if times.len() > self.times.len() {
            self.times.resize(times.len(), 0);
        }
        for (mine, theirs) in self.times.iter_mut().zip(times) {
            *mine = (*mine).max(theirs);
        }
    }

    /// All that happens before `other`'s point happens before this one, too.
    #[inline]
    pub(crate) fn join(&mut self, other: &Self) {
        self.join_times(other.times.iter().copied());
    }

    /// Either takes over what the other has seen.
    #[inline]
    pub(crate) fn meet(&mut self, other: &mut Self) {
        let length = self.times.len().max(other.times.len());
        for clock in [&mut *self, &mut *other] {
            if clock.times.len() < length {
                clock.times.resize(length, 0);
            }
        }
        for (mine, theirs) in self.times.iter_mut().zip(&mut other.times) {
            let both = (*mine).max(*theirs);
            (*mine, *theirs) = (both, both);
        }
    }

    /// Becomes a copy of `other`, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.times.clone_from(&other.times);
    }

    /// Whether nothing happens before its point.
    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_clock_has_seen_what_either_has_seen() {
        let (mut a, mut b) = (Clock::default(), Clock::default());
        a.set(0, 3);
        b.set(2, 5);
        a.join(&b);
        assert!(a.has_seen(Epoch { strand: 0, time: 3 }) && a.has_seen(Epoch { strand: 2, time: 5 }));
        assert!(!a.has_seen(Epoch { strand: 1, time: 1 }) && !b.has_seen(Epoch { strand: 0, time: 1 }));
    }
}
