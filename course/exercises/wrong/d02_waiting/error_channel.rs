//! What is often tried first, and does not do.
//!
//! It works for one error, and hangs at the second.

use lisle::channel::bounded;
use lisle::sync::WaitGroup;

fn failures(jobs: Vec<u64>) -> Vec<u64> {
    let group = WaitGroup::new();
    let (failed, errors) = bounded(1);
    for job in jobs {
        let failed = failed.clone();
        group.go(move || {
            if job % 2 == 1 {
                failed.send(job).unwrap();
            }
        });
    }
    drop(failed);
    group.wait();
    errors.iter().collect()
}

fn main() {
    println!("{:?}", support::run(|| failures(vec![1, 2, 3])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn every_failure_is_told() {
        for count in [1, 2, any(3..20)] {
            let jobs: Vec<_> = (0..2 * count).collect();
            let mut failed = run(move || failures(jobs));
            failed.sort_unstable();
            assert_eq!(failed, (0..count).map(|n| 2 * n + 1).collect::<Vec<_>>());
        }
    }
}
