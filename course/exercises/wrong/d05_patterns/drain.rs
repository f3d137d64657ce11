//! What is often tried first, and does not do.
//!
//! `begin` closes the door and does not wait for those inside.

#[allow(unused_imports)]
use lisle::context::background;
#[allow(unused_imports)]
use lisle::shutdown::Tracker;
use lisle::sync::Mutex;
use lisle::time::sleep;
use std::sync::Arc;
use std::time::Duration;

fn work(job: u64, done: &Mutex<Vec<u64>>) {
    sleep(Duration::from_millis(50));
    done.lock().unwrap().push(job);
}

struct Server {
    tracker: Tracker,
    done: Arc<Mutex<Vec<u64>>>,
}

impl Server {
    fn new() -> Self {
        Self { tracker: Tracker::new(&background()), done: Arc::default() }
    }

    /// Whether the job will be done.
    fn accept(&self, job: u64) -> bool {
        let done = Arc::clone(&self.done);
        self.tracker.go(move || work(job, &done)).is_ok()
    }

    /// Refuses new jobs, finishes those that were accepted, and says which were done.
    fn shut_down(&self) -> Vec<u64> {
        self.tracker.begin(); // no new ones from here on
        self.done.lock().unwrap().clone()
    }
}

fn main() {
    let server = Server::new();
    let accepted: Vec<_> = (1..=3).map(|job| server.accept(job)).collect();
    println!("accepted: {accepted:?}; done: {:?}", server.shut_down());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any_numbers, run};

    #[test]
    fn what_was_accepted_is_done_and_nothing_else_is_accepted() {
        let jobs = any_numbers(2..9);
        let mut expected = jobs.clone();
        let (accepted, mut done, late) = run(move || {
            let server = Server::new();
            let accepted = jobs.into_iter().all(|job| server.accept(job));
            (accepted, server.shut_down(), server.accept(0))
        });
        assert!(accepted, "before the shutdown all jobs are accepted");
        expected.sort_unstable();
        done.sort_unstable();
        assert_eq!(done, expected, "jobs done at the end of the shutdown");
        assert!(!late, "a job was accepted after the shutdown");
    }
}
