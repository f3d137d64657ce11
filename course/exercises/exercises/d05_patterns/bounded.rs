//! Many goroutines, few at work.
//!
//! A goroutine for each job is fine; that all of them work at once is not. At most `limit` should, and as many may.

/// Something to do.
type Job = Box<dyn FnOnce() + Send>;

fn run_all(jobs: Vec<Job>, limit: usize) {
    // TODO: `limit` places.
    let _ = limit;
    lisle::scope(|s| {
        for job in jobs {
            s.go(job);
        }
    });
}

fn main() {
    let job = |n| -> Job { Box::new(move || println!("job {n}")) };
    run_all((1..=4).map(job).collect(), 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use support::{any, run, think};

    /// Jobs that count how many there are at once: how many were done, and the most at once.
    fn measure(limit: usize, jobs: usize) -> (usize, usize) {
        let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let job = |_| -> Job {
            let counts = Arc::clone(&counts);
            Box::new(move || {
                let [now, most, done] = &*counts;
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                think();
                now.fetch_sub(1, Relaxed);
                done.fetch_add(1, Relaxed);
            })
        };
        run_all((0..jobs).map(job).collect(), limit);
        (counts[2].load(Relaxed), counts[1].load(Relaxed))
    }

    #[test]
    fn as_many_as_allowed_work_at_once() {
        for limit in [1, 3, any(4..10) as usize] {
            let (done, most) = run(move || measure(limit, 30));
            assert_eq!(done, 30, "jobs done");
            assert_eq!(most, limit, "at work at once");
        }
    }
}
