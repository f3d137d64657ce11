//! The jobs that compute.

use compare::work::{
    LISTENERS, PIECES, Values, check_map, compute_piece, fib_size, per, percentiles, small_item, workers,
};
use lisle::channel::bounded;
use lisle::{go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub fn fork_join(count: usize) -> Values {
    fn fib(n: u32) -> u64 {
        if n < 2 {
            return n.into();
        }
        let other = go(move || fib(n - 1));
        fib(n - 2) + other.join().unwrap()
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    std::hint::black_box(fib(n));
    per(start, calls)
}

pub fn par_map(n: usize) -> Values {
    let start = Instant::now();
    let results = lisle::parallel::map(workers(), 0..n as u64, small_item);
    let values = per(start, n);
    check_map(&results, n);
    values
}

/// While all workers compute, one of the computing goroutines sends the time to a listener now and then, who says how
/// old it is.
pub fn wake_latency(n: usize) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..2 * workers() {
        let stop = Arc::clone(&stop);
        go(move || {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
                yield_now();
            }
        });
    }
    let (senders, listeners): (Vec<_>, Vec<_>) = (0..LISTENERS)
        .map(|_| {
            let (sender, receiver) = bounded::<Instant>(128);
            (sender, go(move || receiver.iter().map(|sent| sent.elapsed()).collect::<Vec<_>>()))
        })
        .unzip();
    let sending = go(move || {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
                yield_now();
            }
            senders[i % LISTENERS].send(Instant::now()).unwrap();
        }
    });
    sending.join().unwrap();
    let samples = listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect();
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}
