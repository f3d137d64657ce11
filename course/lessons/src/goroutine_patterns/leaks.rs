//! Goroutines that nobody waits for and that wait for nobody who comes; and how a context ends them.

use crate::child::{self, MOMENT};
use crate::lesson::{Options, Outcome};
use lisle::channel::{Receiver, bounded};
use lisle::context::{self, Context};
use lisle::testing::Config;
use lisle::{go, time::sleep};
use std::time::Duration;

fn ask(mirror: u64) -> String {
    sleep(Duration::from_millis(mirror));
    format!("the answer of mirror {mirror}")
}

// ANCHOR: leaks
fn leaky_search() -> (String, Receiver<String>) {
    let (answer, answers) = bounded(0);
    for mirror in 1..=3 {
        let answer = answer.clone();
        go(move || answer.send(ask(mirror))); // waits for a receiver: who is second, for ever
    }
    (answers.recv().expect("three are sent"), answers)
}

fn clean_search(ctx: &Context) -> (String, Receiver<String>) {
    let (ctx, _cancel) = context::with_cancel(ctx); // cancelled on the way out, whichever it is
    let (answer, answers) = bounded(0);
    for mirror in 1..=3 {
        let (ctx, answer) = (ctx.clone(), answer.clone());
        go(move || ctx.send(&answer, ask(mirror)).is_ok());
    }
    (answers.recv().expect("three are sent"), answers)
}
// ANCHOR_END: leaks

pub(super) fn leaks(_: &Options) -> Outcome {
    let before = settled();
    let mut kept = Vec::new();
    for _ in 0..100 {
        kept.push(leaky_search().1);
    }
    println!("after 100 leaky searches: {} goroutines are left over", settled() - before);
    kept.clear(); // without a receiver, `send` fails, and they end
    let before = settled();
    for _ in 0..100 {
        kept.push(clean_search(&context::background()).1);
    }
    println!("after 100 clean searches: {} goroutines are left over", settled() - before);
    drop(kept);
    println!("and as the explorer would find it, in a test:");
    leak_check();
    println!("and as any test would, in a process of its own: week7 program leaves_goroutines");
    child::start("leaves_goroutines", &[("RUST_BACKTRACE", "0")])?;
    Ok(())
}

/// How many goroutines there are, once it has been as many for a while: on a busy machine they need longer to end.
fn settled() -> usize {
    let mut count = lisle::num_goroutines();
    let mut looks = 0;
    while looks < 10 {
        sleep(MOMENT / 2);
        let now = lisle::num_goroutines();
        looks = if now == count { looks + 1 } else { 0 };
        count = now;
    }
    count
}

// ANCHOR: leaks
/// Fails, and says who was left behind.
pub(crate) fn leaves_goroutines() {
    let (_, _kept) = lisle::testing::assert_no_leaks(leaky_search);
}
// ANCHOR_END: leaks

fn leak_check() {
    // ANCHOR: leaks
    fn searched<T>(answer_and_receiver: T) {
        std::mem::forget(answer_and_receiver); // somebody keeps the receiver
        sleep(MOMENT); // until the slow mirrors have answered, too; time is virtual here
    }
    let leaky = lisle::blocking(|| Config::new().explore(|| searched(leaky_search())));
    let clean = lisle::blocking(|| Config::new().explore(|| searched(clean_search(&context::background()))));
    // ANCHOR_END: leaks
    match leaky {
        Ok(report) => println!("leaky: nothing was found in {} schedules", report.schedules),
        Err(failure) => failure.message().lines().for_each(|line| println!("    {line}")),
    }
    match clean {
        Ok(report) => println!("clean: nothing was found in {} schedules", report.schedules),
        Err(failure) => println!("clean: {}", failure.message()),
    }
}
