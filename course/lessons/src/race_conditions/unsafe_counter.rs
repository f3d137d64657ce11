//! A data race in unsafe code, for the detector to find. It is run by the explorer only, whose goroutines share one
//! thread: so nothing undefined happens while it is found.
#![allow(unsafe_code)]

use crate::child;
use crate::lesson::{Options, Outcome};
use lisle::cell::UnsafeCell;
use lisle::sync::Mutex;
use lisle::testing::Config;

// ANCHOR: unsafe_code
struct Counter(UnsafeCell<u64>);

// SAFETY: that is the bug: nothing keeps two goroutines from adding at once.
unsafe impl Sync for Counter {}

impl Counter {
    fn add_one(&self) {
        // SAFETY: nobody else uses it meanwhile; or so it is hoped.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}
// ANCHOR_END: unsafe_code

pub(super) fn unsafe_code(_: &Options) -> Outcome {
    let racy = || {
        let counter = Counter(UnsafeCell::new(0));
        lisle::scope(|s| {
            s.go(|| counter.add_one());
            s.go(|| counter.add_one());
        });
    };
    match lisle::blocking(|| Config::new().explore(racy)) {
        Ok(report) => println!("nothing was found in {} schedules", report.schedules),
        Err(failure) => child::print_race(&failure.message()),
    }
    let locked = || {
        let (counter, lock) = (Counter(UnsafeCell::new(0)), Mutex::new(()));
        let add = || {
            let _guard = lock.lock().unwrap();
            counter.add_one();
        };
        lisle::scope(|s| {
            s.go(add);
            s.go(add);
        });
    };
    let report = lisle::blocking(|| Config::new().explore(locked))?;
    println!("with a lock around it: nothing was found in {} schedules", report.schedules);
    Ok(())
}
