//! Two who change one variable.
//!
//! This does not compile yet, and in Go it would lose additions. Make it compile without losing any.

fn count(goroutines: u64, times: u64) -> u64 {
    // TODO: a counter that may be shared.
    let mut counter = 0;
    lisle::scope(|s| {
        for _ in 0..goroutines {
            s.go(|| (0..times).for_each(|_| counter += 1));
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
