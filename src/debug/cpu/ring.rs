//! A bounded queue of records between a signal handler and the thread that collects.
//!
//! One producer, the handler of one thread, and one consumer. A record is a run of words with its length before it; the
//! two positions count words for ever and are taken modulo the size. Neither side waits, allocates or locks. What does
//! not fit is not written, and the producer counts it.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Ring {
    words: Box<[AtomicUsize]>,
    /// Where the producer writes next.
    head: AtomicUsize,
    /// Where the consumer reads next.
    tail: AtomicUsize,
}

impl Ring {
    pub(super) fn new(words: usize) -> Self {
        assert!(words.is_power_of_two());
        let words = (0..words).map(|_| AtomicUsize::new(0)).collect();
        Self { words, head: AtomicUsize::new(0), tail: AtomicUsize::new(0) }
    }

    fn word(&self, position: usize) -> &AtomicUsize {
        &self.words[position & (self.words.len() - 1)]
    }

    /// Adds a record. Whether there was room. Async-signal-safe.
    pub(super) fn push(&self, parts: [&[usize]; 3]) -> bool {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let head = self.head.load(Ordering::Relaxed);
        let used = head.wrapping_sub(self.tail.load(Ordering::Acquire));
        if self.words.len() - used < length + 1 {
            return false;
        }
        self.word(head).store(length, Ordering::Relaxed);
        for (place, &word) in parts.into_iter().flatten().enumerate() {
            self.word(head.wrapping_add(1 + place)).store(word, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(length + 1), Ordering::Release);
        true
    }

    /// Takes the oldest record.
    pub(super) fn pop(&self) -> Option<Vec<usize>> {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail == self.head.load(Ordering::Acquire) {
            return None;
        }
        let length = self.word(tail).load(Ordering::Relaxed);
        let read = |place| self.word(tail.wrapping_add(1 + place)).load(Ordering::Relaxed);
        let record = (0..length).map(read).collect();
        self.tail.store(tail.wrapping_add(length + 1), Ordering::Release);
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_in_order_and_what_does_not_fit_is_refused() {
        let ring = Ring::new(8);
        for turn in 0..100 {
            assert!(ring.push([&[turn], &[turn + 1], &[turn + 2]]));
            assert!(ring.push([&[7], &[], &[]]));
            assert!(!ring.push([&[1], &[2], &[]]), "2 of 8 words are free");
            assert_eq!(ring.pop(), Some(vec![turn, turn + 1, turn + 2]));
            assert_eq!(ring.pop(), Some(vec![7]));
            assert_eq!(ring.pop(), None);
        }
    }
}
