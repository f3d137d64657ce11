//! What is often tried first, and does not do.
//!
//! All have the same name, so a report would not say which one it was.

use lisle::JoinHandle;

fn who_am_i() -> String {
    lisle::current().name().unwrap_or("nobody").to_owned()
}

fn start_worker(_number: u64) -> JoinHandle<String> {
    lisle::Builder::new().name("worker 1").go(who_am_i).unwrap()
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
