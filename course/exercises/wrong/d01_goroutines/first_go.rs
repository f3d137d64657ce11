//! What is often tried first, and does not do.
//!
//! A goroutine is started, but the result comes from a second, ordinary call: what `go` gave back was thrown away.

use std::sync::Mutex;

/// The goroutines in which `double` ran.
static RAN_IN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Twice the number, and the goroutine that found it out.
fn double(n: u64) -> (u64, u64) {
    let goroutine = lisle::current().id();
    RAN_IN.lock().unwrap().push(goroutine);
    (2 * n, goroutine)
}

fn double_elsewhere(n: u64) -> (u64, u64) {
    lisle::go(move || double(n));
    double(n)
}

fn main() {
    println!("{:?}", double_elsewhere(21));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn it_runs_in_a_goroutine_of_its_own() {
        let n = any(1..1_000_000);
        let (caller, (doubled, goroutine)) = run(move || (lisle::current().id(), double_elsewhere(n)));
        assert_eq!(doubled, 2 * n);
        assert_ne!(goroutine, caller, "it ran in the caller's own goroutine");
        assert!(RAN_IN.lock().unwrap().contains(&goroutine), "`double` did not run in goroutine {goroutine}");
    }
}
