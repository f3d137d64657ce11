//! What the programs of all systems share: the work that is done between waits, and the arithmetic of results.
//! `go/work.go` has the same.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What one round measured, in the order of the job's outputs.
pub type Values = Vec<f64>;

/// Nanoseconds an operation.
pub fn per(start: Instant, operations: usize) -> Values {
    vec![start.elapsed().as_nanos() as f64 / operations as f64]
}

/// The number of worker threads that the comparison asks for.
pub fn workers() -> usize {
    std::env::var("COMPARE_WORKERS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// VmRSS + VmPTE of this process, in bytes.
pub fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    ["VmRSS:", "VmPTE:"].iter().filter_map(|name| bytes_of(name, &status)).sum()
}

/// What a file of the kernel's says in KiB beside this name.
pub fn bytes_of(name: &str, text: &str) -> Option<usize> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse::<usize>().ok().map(|kib| kib * 1024)
}

/// The values of `park_1m`: what a start took, what a waiting one takes, what a wake-up took.
pub fn parked(n: usize, start: Duration, bytes: usize, wake: Duration) -> Values {
    [start.as_nanos() as f64, bytes as f64, wake.as_nanos() as f64].map(|value| value / n as f64).to_vec()
}

/// The median, the 99th and the 99.9th percentile, in nanoseconds.
pub fn percentiles(mut samples: Vec<Duration>) -> Values {
    samples.sort();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize].as_nanos() as f64;
    vec![at(0.5), at(0.99), at(0.999)]
}

/// splitmix64's mixing (Steele, Lea, Flood, 2014): some nanoseconds that cannot be optimised away.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn mix_times(times: u32, x: u64) -> u64 {
    (0..times).fold(x, |x, _| mix(x))
}

/// The work on a small item of `par_map_1m`: some 50 ns.
pub fn small_item(x: u64) -> u64 {
    mix_times(16, x)
}

/// A piece of computing between two yields of `wake_latency`: some 10 µs.
pub fn compute_piece() {
    black_box(mix_times(3000, black_box(1)));
}

/// Pieces of computing between two messages of `wake_latency`.
pub const PIECES: usize = 4;
/// Goroutines that wait for messages in `wake_latency`.
pub const LISTENERS: usize = 8;

/// The largest n for which the naive fib(n) makes at most `count` calls, and how many it makes.
pub fn fib_size(count: usize) -> (u32, usize) {
    let (mut n, mut calls, mut next) = (1, 1, 3);
    while next <= count {
        (calls, next) = (next, next + calls + 1);
        n += 1;
    }
    (n, calls)
}

/// A power of ten, and the number of nodes of the tree of tens that has so many leaves.
pub fn skynet_size(leaves: usize) -> (usize, usize) {
    let leaves = 10_usize.pow(leaves.ilog10());
    (leaves, leaves + leaves / 9)
}

/// The first hundred primes: the filters of `sieve`.
pub fn primes() -> Vec<usize> {
    let is_prime = |n: &usize| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..).filter(is_prime).take(100).collect()
}

/// What `sieve` finds among 2..=n: the numbers that none of the primes divides.
pub fn survivors(n: usize) -> usize {
    let primes = primes();
    (2..=n).filter(|i| primes.iter().all(|p| i % p != 0)).count()
}

/// Puts numbered results in order.
pub fn in_order(parts: impl IntoIterator<Item = Vec<(usize, u64)>>, n: usize) -> Vec<u64> {
    let mut all = vec![0; n];
    for (index, value) in parts.into_iter().flatten() {
        all[index] = value;
    }
    all
}

/// Whether `par_map_1m` gave what it should.
pub fn check_map(results: &[u64], n: usize) {
    assert_eq!((results.len(), results[n - 1]), (n, small_item(n as u64 - 1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fib_size_counts_the_calls() {
        fn calls(n: u32) -> usize {
            if n < 2 { 1 } else { 1 + calls(n - 1) + calls(n - 2) }
        }
        for count in [1, 3, 5, 100, 10_000] {
            let (n, made) = fib_size(count);
            assert_eq!(made, calls(n));
            assert!(made <= count && calls(n + 1) > count);
        }
    }

    #[test]
    fn the_hundredth_prime_is_541() {
        assert_eq!(primes().last(), Some(&541));
    }
}
