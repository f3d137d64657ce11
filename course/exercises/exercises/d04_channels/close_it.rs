//! The end of a channel.
//!
//! All messages arrive, and then the loop goes on to wait.

use lisle::channel::bounded;

fn collect(producers: u64) -> Vec<u64> {
    let (sender, receiver) = bounded(0);
    for number in 0..producers {
        let sender = sender.clone();
        lisle::go(move || sender.send(number).unwrap());
    }
    // TODO: who still has a sender?
    receiver.iter().collect()
}

fn main() {
    println!("{:?}", support::run(|| collect(3)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn everything_arrives_and_the_loop_ends() {
        for producers in [3, 0, any(4..20)] {
            let mut all = run(move || collect(producers));
            all.sort_unstable();
            assert_eq!(all, (0..producers).collect::<Vec<_>>());
        }
    }
}
