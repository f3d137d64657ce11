//! Has a data race in unsafe code, on purpose: the lesson race_conditions runs it by `cargo race`. Nothing in it tells
//! lisle's own detector of the two uses.
//! `cargo run -p cargo-race -- race run -p support --example plain_counter`

use std::cell::UnsafeCell;

// ANCHOR: cargo_race
struct Counter(UnsafeCell<u64>); // std's own, as anybody's crate has it

// SAFETY: that is the bug: nothing keeps two goroutines from adding at once.
unsafe impl Sync for Counter {}

impl Counter {
    fn add_one(&self) {
        // SAFETY: nobody else uses it meanwhile; or so it is hoped.
        unsafe { *self.0.get() += 1 };
    }
}

fn main() {
    let counter = Counter(UnsafeCell::new(0));
    lisle::scope(|s| {
        s.go(|| counter.add_one());
        s.go(|| counter.add_one());
    });
    println!("{} of 2", counter.0.into_inner());
}
// ANCHOR_END: cargo_race
