//! A name for a goroutine.
//!
//! In every report of lisle's a goroutine has its name, if it was given one. These are to be `worker 1`, `worker 2` …

use lisle::JoinHandle;

fn who_am_i() -> String {
    lisle::current().name().unwrap_or("nobody").to_owned()
}

fn start_worker(number: u64) -> JoinHandle<String> {
    // TODO: give it the name `worker` and its number.
    let _ = number;
    lisle::go(who_am_i)
}

fn main() {
    println!("{}", start_worker(7).join().unwrap());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn each_worker_has_its_number_in_its_name() {
        for number in [1, any(2..1000)] {
            let (outside, inside) = run(move || {
                let handle = start_worker(number);
                (handle.goroutine().name().map(str::to_owned), handle.join().unwrap())
            });
            assert_eq!(inside, format!("worker {number}"));
            assert_eq!(outside, Some(inside), "the handle knows it, too");
        }
    }
}
