//! Maps whose keys are addresses, or numbers that are given one after the other.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Multiplies addresses and numbers, which is enough for keys that nobody chooses (Fibonacci hashing, Knuth).
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = scatter(self.0 ^ value).rotate_left(26);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

pub(crate) type ByAddress<V> = HashMap<usize, V, BuildHasherDefault<AddressHasher>>;

/// Its high bits depend on all of the value.
pub(super) fn scatter(value: u64) -> u64 {
    value.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
