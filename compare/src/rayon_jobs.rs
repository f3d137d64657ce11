//! rayon: threads that compute and must not wait. It has two of the jobs.

use crate::program::Program::{self, Run, Skip};
use crate::systems::RAYON;
use crate::work::{Values, check_map, fib_size, per, small_item};
use rayon::prelude::*;
use std::time::Instant;

pub fn program(job: &str) -> Program {
    match job {
        "fib" => Run(fork_join),
        "par_map_1m" => Run(par_map),
        _ => Skip(RAYON),
    }
}

fn fork_join(count: usize) -> Values {
    fn fib(n: u32) -> u64 {
        if n < 2 {
            return n.into();
        }
        let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
        a + b
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    std::hint::black_box(fib(n));
    per(start, calls)
}

fn par_map(n: usize) -> Values {
    let start = Instant::now();
    let results: Vec<u64> = (0..n as u64).into_par_iter().map(small_item).collect();
    let values = per(start, n);
    check_map(&results, n);
    values
}
