//! The pattern that ends a program in good order. It can be stopped by Ctrl-C (or SIGTERM): it takes in no more files,
//! finishes those that are under way, prints what was done so far, and the exit status is 130 (143 for SIGTERM). Before
//! it has begun, and when pressed once more, Ctrl-C ends the program at once, as always.

use super::job::{Totals, measure};
use super::{bar, job};
use crate::lesson::{Failure, Options, Outcome};
use lisle::channel::{bounded, unbounded};
use lisle::shutdown::Tracker;
use lisle::{context, signal};
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn graceful_shutdown(options: &Options) -> Outcome {
    let job = job(options)?;
    let bar = bar(&job);
    let (report, reports) = unbounded();
    // ANCHOR: graceful_shutdown
    let (ctx, _stop) = signal::notify_context(&context::background(), &[signal::SIGINT, signal::SIGTERM])?;
    let tracker = Tracker::new(&ctx);
    let (hand_out, jobs) = bounded::<(usize, PathBuf)>(0);
    for number in 1..=job.limit {
        let (jobs, report, bar, ctx) = (jobs.clone(), report.clone(), bar.clone(), tracker.context().clone());
        let work = move || {
            // Until the intake ends; or, should the shutdown last too long, until the tracker's context does.
            for (number, path) in ctx.iter(&jobs) {
                report.send((number, measure(&path))).expect("main listens");
                bar.inc(1);
            }
        };
        let _ = tracker.go_named(format!("worker {number}"), work); // refused if the signal has come already
    }
    // ANCHOR_END: graceful_shutdown
    drop((jobs, report));
    println!("working on {} files; Ctrl-C stops early", job.files.len());
    // ANCHOR: graceful_shutdown
    for (number, path) in job.files.iter().enumerate() {
        if tracker.begun().send(&hand_out, (number, path.clone())).is_err() {
            break;
        }
    }
    drop(hand_out);
    if let Err(late) = tracker.shutdown(Duration::from_secs(60)) {
        eprintln!("{late}");
    }
    // ANCHOR_END: graceful_shutdown
    bar.finish_and_clear();
    // Without waiting: who is late has the sender still.
    sum_up(job.files.len(), &ctx, Totals::of_numbered(reports.try_iter().collect()))
}

fn sum_up(all: usize, ctx: &context::Context, totals: Totals) -> Outcome {
    println!("{totals}");
    match ctx.cause().as_deref().and_then(|cause| cause.downcast_ref::<signal::Received>()) {
        Some(received) => {
            println!("stopped early, because the program {received}: {} of {all} files were done", totals.files);
            Err(Failure::Signal(received.signal))
        }
        None => {
            println!("done, and no Ctrl-C came");
            Ok(())
        }
    }
}
