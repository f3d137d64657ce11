//! A busy program to look into while it runs.
//!
//! ```sh
//! cargo run --release --example live -- --addr 127.0.0.1:6060
//! ```
//!
//! Then open http://127.0.0.1:6060/debug/ in a browser, or ask Go's tool:
//!
//! ```sh
//! go tool pprof -top http://127.0.0.1:6060/debug/pprof/profile?seconds=5
//! go tool pprof -http=: http://127.0.0.1:6060/debug/pprof/goroutine
//! ```
//!
//! What goes on: a pool computes primes and fractals, half of the time each; goroutines wait in different places; many
//! want one lock; and one goroutine is leaked (it waits for a message that nobody can send).
//!
//! | option | |
//! | --- | --- |
//! | `--addr ADDRESS` | where to serve; port 0 takes a free one, and the first line says which |
//! | `--waiting NUMBER` | how many goroutines wait besides, 100 if nothing is said |
//! | `--name NAME` | what one of them is called |
//! | `--stuck` | every worker is held up for good; the pages answer all the same |
//! | `--seconds NUMBER` | ends after so long |

use lisle::pool::Pool;
use lisle::sync::{Mutex, WaitGroup};
use lisle::{channel, debug, time};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

struct Options {
    addr: String,
    waiting: usize,
    name: String,
    stuck: bool,
    seconds: Option<u64>,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options =
            Self { addr: "127.0.0.1:6060".into(), waiting: 100, name: "waiter".into(), stuck: false, seconds: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{text:?} is not a number"));
            match argument.as_str() {
                "--addr" => options.addr = value()?,
                "--waiting" => options.waiting = number(value()?)? as usize,
                "--name" => options.name = value()?,
                "--stuck" => options.stuck = true,
                "--seconds" => options.seconds = Some(number(value()?)?),
                _ => {
                    return Err(format!(
                        "{argument:?} is no option; there are --addr, --waiting, --name, --stuck, --seconds"
                    ));
                }
            }
        }
        Ok(options)
    }
}

#[inline(never)]
fn count_primes(below: u64) -> usize {
    (2..below).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

#[inline(never)]
fn fractal(side: u32) -> u32 {
    let escapes = |x: u32, y: u32| {
        let (a, b) = (f64::from(x) / f64::from(side) * 3.0 - 2.0, f64::from(y) / f64::from(side) * 2.0 - 1.0);
        let (mut re, mut im) = (0.0, 0.0);
        (0..200)
            .take_while(|_| {
                (re, im) = (re * re - im * im + a, 2.0 * re * im + b);
                re * re + im * im < 4.0
            })
            .count() as u32
    };
    (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).map(|(x, y)| escapes(x, y)).sum()
}

/// Hands tasks to a pool for ever; each has the label of the tenant that it works for.
fn compute() {
    let pool = Pool::builder().workers(4).queue(8).name("compute").build();
    for turn in 0_u64.. {
        let task = move || {
            let tenant = if turn.is_multiple_of(2) { "blue" } else { "red" };
            debug::with_labels(&[("tenant", tenant)], || {
                if turn.is_multiple_of(2) { black_box(count_primes(60_000) as u32) } else { black_box(fractal(220)) }
            })
        };
        if pool.submit(task).is_err() {
            return;
        }
    }
}

/// Goroutines that wait, each kind in a place of its own.
fn wait_around(options: &Options) {
    let (sender, receiver) = channel::bounded::<u32>(0);
    for n in 0..options.waiting {
        let receiver = receiver.clone();
        let builder = lisle::Builder::new();
        let builder = if n == 0 { builder.name(&options.name) } else { builder };
        builder.go(move || wait_for_message(&receiver)).expect("a goroutine starts");
    }
    lisle::go(move || {
        loop {
            time::sleep(Duration::from_millis(250));
            if sender.send_timeout(1, Duration::from_millis(10)).is_err() {
                // Who waits is slow today.
            }
        }
    });
    let group = WaitGroup::new();
    let guard = group.guard();
    lisle::go(move || group.wait());
    lisle::go(move || {
        let _guard = guard;
        lisle::park();
    });
}

#[inline(never)]
fn wait_for_message(receiver: &channel::Receiver<u32>) {
    while let Ok(number) = receiver.recv() {
        black_box(number);
    }
}

/// A lock that is always held, and always wanted.
fn contend() {
    let lock = Arc::new(Mutex::new(0_u64));
    for _ in 0..4 {
        let lock = Arc::clone(&lock);
        lisle::go(move || {
            loop {
                hold_for_a_while(&lock);
            }
        });
    }
}

#[inline(never)]
fn hold_for_a_while(lock: &Mutex<u64>) {
    let mut count = lock.lock().expect("nobody panics");
    time::sleep(Duration::from_millis(2));
    *count += 1;
}

/// Nobody else has the sender, and the one who has it waits: for itself.
#[inline(never)]
fn leak() {
    let (sender, receiver) = channel::bounded::<()>(0);
    lisle::Builder::new()
        .name("leaked")
        .go(move || {
            let _ = receiver.recv();
            drop(sender);
        })
        .expect("a goroutine starts");
}

/// More goroutines than there are workers hold on to their threads.
fn stick() {
    for _ in 0..2 * lisle::metrics().workers {
        lisle::go(|| {
            loop {
                black_box(count_primes(100_000));
            }
        });
    }
}

fn main() {
    let options = Options::parse().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2);
    });
    let server = debug::serve(&options.addr).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1);
    });
    println!("http://{}/debug/", server.local_addr());
    debug::set_block_profile_rate(Some(Duration::from_micros(100)));
    debug::set_mutex_profile_fraction(1);
    // On a stack of a size of its own, which nobody uses afterwards: in one that goes on another's calls leave holes, and what
    // this goroutine has left in them, the channel's address, would hide the leak.
    lisle::Builder::new().stack_size(512 * 1024).go(leak).expect("a goroutine starts").join().expect("no panic");
    wait_around(&options);
    contend();
    if options.stuck {
        stick();
    } else {
        lisle::go(compute);
    }
    match options.seconds {
        Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            std::thread::park();
        },
    }
}
