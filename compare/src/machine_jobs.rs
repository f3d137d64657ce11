//! The machine itself: what no runtime can go below.

use crate::pin;
use crate::program::Program::{self, Run, Skip};
use crate::systems::MACHINE;
use crate::work::{Values, per};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub fn program(job: &str) -> Program {
    match job {
        "cache_line" if pin::cores() < 2 => Skip("needs two processors"),
        "cache_line" => Run(cache_line),
        _ => Skip(MACHINE),
    }
}

/// Two threads on two processors answer each other through one word: the round trip of a cache line.
fn cache_line(n: usize) -> Values {
    let word = AtomicUsize::new(0);
    let wait_for = |value| {
        while word.load(Ordering::Acquire) != value {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|s| {
        s.spawn(|| {
            pin::to_one(1);
            for i in 0..n {
                wait_for(2 * i + 1);
                word.store(2 * i + 2, Ordering::Release);
            }
        });
        s.spawn(|| {
            pin::to_one(0);
            let start = Instant::now();
            for i in 0..n {
                word.store(2 * i + 1, Ordering::Release);
                wait_for(2 * i + 2);
            }
            per(start, n)
        })
        .join()
        .expect("it ends")
    })
}
