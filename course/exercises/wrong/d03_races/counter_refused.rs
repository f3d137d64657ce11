//! What is often tried first, and does not do.
//!
//! `move` copies the number: each goroutine counts in a variable of its own, and the one outside stays as it is.

fn count(goroutines: u64, times: u64) -> u64 {
    let counter = 0;
    lisle::scope(|s| {
        for _ in 0..goroutines {
            s.go(move || {
                let mut counter = counter;
                (0..times).for_each(|_| counter += 1);
            });
        }
    });
    counter
}

fn main() {
    println!("{}", count(4, 1000));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn no_addition_is_lost() {
        let (goroutines, times) = (any(2..9), any(10..1000));
        assert_eq!(run(move || count(goroutines, times)), goroutines * times);
    }
}
