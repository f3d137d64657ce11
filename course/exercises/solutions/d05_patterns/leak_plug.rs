//! The context ends with `fastest`, and `ctx.send` waits for a receiver or for that end.

use lisle::channel::{Receiver, bounded};
use lisle::context::Context;
use lisle::time::sleep;
use std::time::Duration;

fn ask(mirror: u64) -> u64 {
    sleep(Duration::from_millis(10 * mirror));
    mirror
}

/// The first answer, and the channel on which it came.
fn fastest(ctx: &Context, mirrors: Vec<u64>) -> (u64, Receiver<u64>) {
    let (ctx, _cancel) = lisle::context::with_cancel(ctx);
    let (sender, answers) = bounded(0);
    for mirror in mirrors {
        let (ctx, sender) = (ctx.clone(), sender.clone());
        lisle::go(move || ctx.send(&sender, ask(mirror)).is_ok());
    }
    (answers.recv().unwrap(), answers)
}

fn main() {
    let (first, _answers) = fastest(&lisle::context::background(), vec![2, 1, 3]);
    lisle::time::sleep(Duration::from_millis(100));
    println!("mirror {first} was first; {} goroutines are left", lisle::num_goroutines());
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::context::background;
    use support::{any, leaked, run};

    #[test]
    fn the_first_answer_counts() {
        let first = any(1..4);
        let mirrors = vec![first + 9, first, first + 5];
        assert_eq!(run(move || fastest(&background(), mirrors).0), first);
    }

    #[test]
    fn nobody_is_left_over() {
        let left = leaked(|| fastest(&background(), vec![1, 2, 3]));
        assert_eq!(left, 0, "goroutines are left over");
    }
}
