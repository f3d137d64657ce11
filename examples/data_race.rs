//! A data race, and what finds it: a counter that two goroutines increment without a lock.
//!
//! ```sh
//! cargo run --example data_race --features race              # reports the race, and exits with status 66
//! cargo run --example data_race --features race -- --fixed   # silent, exits with status 0
//! cargo run --example data_race -- --check                   # without the feature: all interleavings, and which one loses
//! ```
//!
//! Safe Rust does not let two goroutines write the same variable without a lock; `lisle::race::Cell` stands for one that
//! does, as they do in Go, or in unsafe code.

use lisle::go;
use lisle::race::Cell;
use lisle::sync::Mutex;
use std::sync::Arc;

const INCREMENTS: u32 = 3;

fn racy() -> u32 {
    let counter = Arc::new(Cell::new(0));
    let workers = [(); 2].map(|()| {
        let counter = Arc::clone(&counter);
        go(move || {
            for _ in 0..INCREMENTS {
                counter.set(counter.get() + 1); // another may come between the two
            }
        })
    });
    for worker in workers {
        worker.join().unwrap();
    }
    counter.get()
}

fn fixed() -> u32 {
    let counter = Arc::new(Mutex::new(0));
    let workers = [(); 2].map(|()| {
        let counter = Arc::clone(&counter);
        go(move || {
            for _ in 0..INCREMENTS {
                *counter.lock().unwrap() += 1;
            }
        })
    });
    for worker in workers {
        worker.join().unwrap();
    }
    Arc::into_inner(counter).expect("all others have ended").into_inner().unwrap()
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => println!("{} of {} increments were counted", racy(), 2 * INCREMENTS),
        Some("--fixed") => println!("{} of {} increments were counted", fixed(), 2 * INCREMENTS),
        Some("--check") => match lisle::testing::Config::new().explore(|| assert_eq!(racy(), 2 * INCREMENTS)) {
            Ok(report) => println!("nothing was found in {} schedules", report.schedules),
            Err(failure) => println!("{failure}"),
        },
        Some(other) => {
            eprintln!("{other}: it knows --fixed and --check");
            std::process::exit(2);
        }
    }
}
