//! What ThreadSanitizer costs: one program that is bound by a channel, one that computes, in time of the processor, which
//! depends little on what else the machine does; `message` or `product` after `--` for one of them. The same numbers without
//! `cargo race` are what they are held against.
//!
//! ```sh
//! cargo run --release -p race-programs --bin costs
//! cargo race run --release -p race-programs --bin costs
//! ```

use lisle::channel::bounded;
use std::hint::black_box;
use std::time::Duration;

const MESSAGES: u32 = 10_000;
/// Rows and columns of the matrices.
const SIZE: usize = 160;
const ROUNDS: usize = 5;

/// Two goroutines of one worker, a message each way, without a buffer.
fn ping_pong() {
    let runtime = lisle::Config::new().workers(1).start().expect("a runtime");
    runtime.run(|| {
        let (ping, pinged) = bounded(0);
        let (pong, ponged) = bounded(0);
        let partner = lisle::go(move || pinged.iter().try_for_each(|number: u32| pong.send(number)));
        for number in 0..MESSAGES / 2 {
            ping.send(number).expect("it is received");
            assert_eq!(ponged.recv(), Ok(number));
        }
        drop(ping);
        partner.join().expect("it does not panic").expect("all were received");
    });
}

/// A product of matrices, a row for each goroutine.
fn multiply() {
    let numbers: Vec<f64> = (0..SIZE * SIZE).map(|at| at as f64).collect();
    let mut product = vec![0.0; SIZE * SIZE];
    lisle::scope(|scope| {
        for (row, out) in product.chunks_mut(SIZE).enumerate() {
            let numbers = &numbers;
            scope.go(move || {
                for (column, cell) in out.iter_mut().enumerate() {
                    let terms = (0..SIZE).map(|at| numbers[row * SIZE + at] * numbers[at * SIZE + column]);
                    *cell = terms.sum();
                }
            });
        }
    });
    black_box(product);
}

/// The fastest of some rounds.
fn fastest(program: fn()) -> Duration {
    (0..ROUNDS).map(|_| time(program)).min().expect("there are rounds")
}

fn time(program: fn()) -> Duration {
    let start = used();
    program();
    used() - start
}

/// What all threads of the process have used of the processors.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the place that it is given, and nowhere else.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every process has this clock");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if "message".starts_with(&wanted) {
        println!("a message without a buffer: {:.0} ns", fastest(ping_pong).as_secs_f64() * 1e9 / f64::from(MESSAGES));
    }
    if "product".starts_with(&wanted) {
        println!("a product of {SIZE} by {SIZE}: {:.2} ms", fastest(multiply).as_secs_f64() * 1e3);
    }
}
