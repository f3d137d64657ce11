//! An early return.
//!
//! With a text that is no number among them, `wait` never returns.

use lisle::sync::WaitGroup;
use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::think;

fn add_numbers(texts: Vec<String>) -> u64 {
    let (group, total) = (WaitGroup::new(), Arc::new(AtomicU64::new(0)));
    for text in texts {
        group.add(1);
        let (group, total) = (group.clone(), Arc::clone(&total));
        lisle::go(move || -> Result<(), ParseIntError> {
            think();
            // TODO: whatever happens here, the group should hear of the end.
            let number: u64 = text.parse()?;
            total.fetch_add(number, Ordering::Relaxed);
            group.done();
            Ok(())
        });
    }
    group.wait();
    total.load(Ordering::Relaxed)
}

fn main() {
    let texts = ["1", "two", "3"].map(str::to_owned).to_vec();
    println!("{}", support::run(|| add_numbers(texts)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any_numbers, run};

    #[test]
    fn texts_that_are_no_numbers_are_left_out() {
        let numbers = any_numbers(3..9);
        let expected: u64 = numbers.iter().sum();
        let mut texts: Vec<_> = numbers.iter().map(u64::to_string).collect();
        texts.insert(1, "drei".to_owned());
        assert_eq!(run(move || add_numbers(texts)), expected);
    }
}
