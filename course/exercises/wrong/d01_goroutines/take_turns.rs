//! What is often tried first, and does not do.
//!
//! Yielding once lets the other one begin, and then each runs to its end.

use std::cell::RefCell;
use std::rc::Rc;

type Log = Rc<RefCell<Vec<String>>>;

fn steps(name: &str, log: &Log) {
    lisle::yield_now();
    for step in 1..=3 {
        log.borrow_mut().push(format!("{name}{step}"));
    }
}

fn main() {
    let log = lisle::run(|| {
        let log = Log::default();
        let two = ["A", "B"].map(|name| {
            let log = Rc::clone(&log);
            lisle::go_local(move || steps(name, &log))
        });
        two.into_iter().for_each(|handle| handle.join().unwrap());
        log.take()
    });
    println!("{}", log.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::run;

    fn two(first: &'static str, second: &'static str) -> Vec<String> {
        let log = Log::default();
        let handles = [first, second].map(|name| {
            let log = Rc::clone(&log);
            lisle::go_local(move || steps(name, &log))
        });
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        log.take()
    }

    #[test]
    fn their_steps_alternate() {
        assert_eq!(run(|| two("A", "B")), ["A1", "B1", "A2", "B2", "A3", "B3"]);
        assert_eq!(run(|| two("tick", "tock")), ["tick1", "tock1", "tick2", "tock2", "tick3", "tock3"]);
    }
}
