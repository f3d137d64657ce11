//! The quick start: three goroutines, each sleeps for a second; a `WaitGroup` waits for all of them.
//!
//! `cargo run --release --example quickstart`

use lisle::{sync::WaitGroup, time::sleep};
use std::time::{Duration, Instant};

fn main() {
    let start = Instant::now();
    let group = WaitGroup::new();
    for i in 1..=3 {
        group.go(move || {
            println!("goroutine {i}: starting");
            sleep(Duration::from_secs(1));
            println!("goroutine {i}: done");
        });
    }
    group.wait();
    println!("All goroutines completed, after {:.1} s together.", start.elapsed().as_secs_f64());
}
