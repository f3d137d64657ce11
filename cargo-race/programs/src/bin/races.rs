//! A counter that goroutines add to, in unsafe code or in C: with a race, or with a lock.
//!
//! ```sh
//! cargo race run -p race-programs --bin races -- one-worker           # or: c. Reports the race, status 66
//! cargo race run -p race-programs --bin races -- one-worker --fixed   # silent, status 0
//! ```

use lisle::sync::Mutex;
use lisle::yield_now;
use std::cell::UnsafeCell;
use std::process::ExitCode;
use std::sync::Arc;

const GOROUTINES: u64 = 2;
/// Of each goroutine.
const ADDITIONS: u64 = 10;

/// What is counted with.
trait Counter: Send + Sync + 'static {
    fn add(&self);
    fn get(&self) -> u64;
}

/// In unsafe code of Rust's.
#[derive(Default)]
struct Cell(UnsafeCell<u64>);

// SAFETY: it is not: that who uses it holds a lock is for the program to see to, or not.
unsafe impl Sync for Cell {}

impl Counter for Cell {
    fn add(&self) {
        // SAFETY: see above.
        unsafe { *self.0.get() += 1 };
    }

    fn get(&self) -> u64 {
        // SAFETY: see above.
        unsafe { *self.0.get() }
    }
}

unsafe extern "C" {
    fn counter_add();
    fn counter_get() -> std::ffi::c_ulong;
}

/// In C.
struct InC;

impl Counter for InC {
    fn add(&self) {
        // SAFETY: it takes nothing; that the caller holds a lock is for the program to see to, or not.
        unsafe { counter_add() };
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { counter_get() }
    }
}

/// Has goroutines add, with a lock around each addition or without, and returns what was counted. They take turns on one
/// worker, so that nothing is lost in either case; the race is there all the same.
fn count(counter: impl Counter, with_lock: bool) -> std::io::Result<u64> {
    let runtime = lisle::Config::new().workers(1).start()?;
    let (counter, lock) = (Arc::new(counter), Arc::new(Mutex::new(())));
    let adders: Vec<_> = (0..GOROUTINES)
        .map(|_| {
            let (counter, lock) = (Arc::clone(&counter), Arc::clone(&lock));
            runtime.go(move || {
                for _ in 0..ADDITIONS {
                    let guard = with_lock.then(|| lock.lock().unwrap());
                    counter.add();
                    drop(guard);
                    yield_now();
                }
            })
        })
        .collect();
    for adder in adders {
        adder.join().expect("it does not panic");
    }
    Ok(counter.get())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_lock = arguments.iter().any(|argument| argument == "--fixed");
    let counted = match arguments.first().map(String::as_str) {
        Some("one-worker") => count(Cell::default(), with_lock),
        Some("c") => count(InC, with_lock),
        _ => {
            eprintln!("usage: races one-worker|c [--fixed]");
            return ExitCode::from(2);
        }
    };
    match counted {
        Ok(counted) => println!("{counted} of {} additions were counted", GOROUTINES * ADDITIONS),
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
