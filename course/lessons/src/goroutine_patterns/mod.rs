//! Lesson 4: the patterns in which goroutines work together, all on the same job: to hash each file below a folder and
//! to count its words. Each must find the same totals, and says how much faster it was than one goroutine.

mod job;
pub(crate) mod leaks;
mod shutdown;

use crate::lesson::{Failure, Lesson, Options, Outcome, Section};
use crate::measure::progress;
use indicatif::ProgressBar;
use job::{Job, Totals, examine, find, find_all, measure, read};
use lisle::channel::{bounded, unbounded};
use lisle::sync::Semaphore;
use lisle::{context, go, parallel, pool::Pool};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) static LESSON: Lesson = Lesson {
    name: "goroutine_patterns",
    title: "how goroutines work together",
    about: "\
One job, done in the usual patterns: each file below a folder is hashed and its words are counted. All
must find the same totals; each says how much faster it was than one goroutine.",
    sources: &[
        ("course/lessons/src/goroutine_patterns/mod.rs", include_str!("mod.rs")),
        ("course/lessons/src/goroutine_patterns/leaks.rs", include_str!("leaks.rs")),
        ("course/lessons/src/goroutine_patterns/shutdown.rs", include_str!("shutdown.rs")),
    ],
    sections: &[
        Section {
            name: "worker_pool",
            title: "Worker pool: a fixed number of goroutines run what is handed to them",
            coming: "A closure for each file is handed to a pool, and the results are joined in order.",
            run: |options| compare(options, worker_pool),
            why: "\
`submit` waits while the queue is full: who hands in work cannot run away from those who do it. The
handles are joined in the order of the files, whatever the order in which they were done.",
        },
        Section {
            name: "producer_consumer",
            title: "Producer and consumers: files are read while others are still being found",
            coming: "One goroutine walks the tree and sends paths; several receive them and work.",
            run: |options| compare(options, producer_consumer),
            why: "\
The channel has little room: a producer that is too fast waits, and so does a consumer that is. Nobody
tells the consumers that it is over: the producer's end drops the last sender, which closes the channel
and ends their loops. In Go the producer would have to call `close`.",
        },
        Section {
            name: "bounded_parallelism",
            title: "Bounded parallelism: a goroutine for each file, few of them at work",
            coming: "All goroutines are started at once, and queue up at a semaphore.",
            run: |options| compare(options, bounded_parallelism),
            why: "\
Goroutines are cheap, what they use is not: open files, connections, memory. So the limit belongs to the
resource and not to the goroutines. One that waits costs a page of memory; the permit comes back when
it is dropped, also by a panic.",
        },
        Section {
            name: "parallel_loop",
            title: "Parallel loop: bounded parallelism in one line",
            coming: "The same as a loop whose bodies run side by side.",
            run: |options| compare(options, parallel_loop),
            why: "\
`parallel::map` behaves as the plain loop would: results in order, and if bodies panic, the panic of the
lowest index. Use it where the number of things is known and the rest of the program is not concerned.",
        },
        Section {
            name: "pipeline",
            title: "Pipeline: each stage has goroutines of its own",
            coming: "Paths flow through a stage that reads and a stage that computes.",
            run: |options| compare(options, pipeline),
            why: "\
Each stage has as many goroutines as suit its work: many where the disk is waited for, one a core where
it is computed. All stages have the context; when it is cancelled (here: dropped at the end of the
function, for whatever reason) they end, and nobody waits for a message that will not come. Each item
pays for its messages from stage to stage: where the items are as small as these files, a pipeline can
take longer than one goroutine. Its place is where each stage has something to do.",
        },
        Section {
            name: "leaks",
            title: "Pitfall: goroutines that never end",
            coming: "\
A search asks three mirrors and takes the first answer. The leaky way forgets the two others; the clean
way gives all three a context and cancels it.",
            run: leaks::leaks,
            why: "\
After the first answer nobody receives any more. In the leaky version the others wait for a receiver for
ever: two goroutines more with each search, each with its stack and all it holds. `ctx.send` waits for a
receiver or for the end of the context, whichever comes first, so cancelling is enough to end them. (Had
the receiver been dropped, `send` would have failed instead: in Rust the leak takes a receiver that is
kept somewhere. In Go it is the normal case.) `testing::check` finds who is left over at the end of a
test, in each interleaving, and names where each was started and where it waits; `assert_no_leaks` does the
same for one ordinary run, in any test that you have.",
        },
        Section {
            name: "graceful_shutdown",
            title: "Graceful shutdown: Ctrl-C stops the intake, and what is under way is finished",
            coming: "Workers take files until all are done, or until you press Ctrl-C (try it with /usr).",
            run: shutdown::graceful_shutdown,
            why: "\
Ctrl-C cancels a context. Who brings in work looks at `tracker.begun()` and stops; who works finishes
what it has. `shutdown` waits for them, and names those that are late, with the place where they wait.
The exit status is 130 (143 for SIGTERM), so that the caller of the program knows.",
        },
    ],
};

/// The job on this folder, and what one goroutine finds.
struct Baseline {
    job: Job,
    totals: Totals,
}

fn job(options: &Options) -> Result<Job, Failure> {
    let limit = options.limit.map_or_else(|| 2 * lisle::metrics().workers, |limit| limit.max(1));
    let folder = options.folder.clone();
    let files =
        find_all(&folder).map_err(|error: io::Error| Failure::Error(format!("{}: {error}", folder.display())))?;
    Ok(Job { folder, files: Arc::new(files), limit })
}

/// Made once for all patterns.
fn baseline(options: &Options) -> Result<&'static Baseline, Failure> {
    static BASELINE: OnceLock<Baseline> = OnceLock::new();
    if BASELINE.get().is_none() {
        let job = job(options)?;
        println!("{} files below {}, at most {} at once", job.files.len(), job.folder.display(), job.limit);
        let totals = one_goroutine(&job); // from here on all find the files in memory
        println!("one goroutine: {totals}");
        BASELINE.get_or_init(|| Baseline { job, totals });
    }
    Ok(BASELINE.get().expect("it has just been made"))
}

/// Of the best of some runs each, in turn with one goroutine: a machine has other things to do, too.
fn compare(options: &Options, pattern: fn(&Job) -> Totals) -> Outcome {
    let Baseline { job, totals: expected } = baseline(options)?;
    let (mut one, mut many, mut rounds) = (Duration::MAX, Duration::MAX, 0);
    let start = Instant::now();
    while rounds == 0 || rounds < 10 && start.elapsed() < Duration::from_millis(500) {
        for (best, shape) in [(&mut one, one_goroutine as fn(&Job) -> Totals), (&mut many, pattern)] {
            let (totals, time) = timed(job, shape);
            assert_eq!(totals, *expected, "the patterns must agree");
            *best = time.min(*best);
        }
        rounds += 1;
    }
    let (one, many) = (one.as_secs_f64(), many.as_secs_f64());
    let workers = lisle::metrics().workers;
    println!(
        "same totals; {one:.3} s by one goroutine, {many:.3} s with {workers} workers, speed-up {:.2}",
        one / many
    );
    println!("(the shortest of {rounds} each, in turn)");
    Ok(())
}

fn timed(job: &Job, pattern: fn(&Job) -> Totals) -> (Totals, Duration) {
    let start = Instant::now();
    let totals = pattern(job);
    (totals, start.elapsed())
}

fn bar(job: &Job) -> ProgressBar {
    progress(job.files.len() as u64, "files")
}

fn one_goroutine(job: &Job) -> Totals {
    let bar = bar(job);
    let totals = Totals::of(bar.wrap_iter(job.files.iter()).map(|path| measure(path)));
    bar.finish_and_clear();
    totals
}

fn worker_pool(job: &Job) -> Totals {
    let bar = bar(job);
    // ANCHOR: worker_pool
    let pool = Pool::builder().workers(job.limit).build();
    let handles: Vec<_> = bar
        .wrap_iter(job.files.iter().cloned())
        .map(|path| pool.submit(move || measure(&path)).expect("the pool is open"))
        .collect();
    let totals = Totals::of(handles.into_iter().map(|handle| handle.join().expect("it does not panic")));
    // ANCHOR_END: worker_pool
    bar.finish_and_clear();
    totals
}

fn producer_consumer(job: &Job) -> Totals {
    let bar = bar(job);
    let folder = job.folder.clone();
    // ANCHOR: producer_consumer
    let (produce, consume) = bounded(job.limit);
    let (report, reports) = unbounded();
    go(move || {
        let mut number = 0;
        find(&folder, &mut |path| {
            let _ = produce.send((number, path)); // fails only if all consumers have gone
            number += 1;
        });
    });
    for _ in 0..job.limit {
        let (consume, report) = (consume.clone(), report.clone());
        go(move || {
            consume.iter().for_each(|(number, path)| report.send((number, measure(&path))).expect("main listens"))
        });
    }
    drop(report); // the last consumer to end ends our loop
    let totals = Totals::of_numbered(bar.wrap_iter(reports.iter()).collect());
    // ANCHOR_END: producer_consumer
    bar.finish_and_clear();
    totals
}

fn bounded_parallelism(job: &Job) -> Totals {
    let bar = bar(job);
    // ANCHOR: bounded_parallelism
    let places = Semaphore::new(job.limit);
    let (report, reports) = unbounded();
    lisle::scope(|s| {
        for (number, path) in job.files.iter().enumerate() {
            let (places, report, bar) = (&places, report.clone(), &bar);
            s.go(move || {
                let _place = places.acquire(1);
                report.send((number, measure(path))).expect("main listens");
                bar.inc(1);
            });
        }
    });
    drop(report);
    let totals = Totals::of_numbered(reports.iter().collect());
    // ANCHOR_END: bounded_parallelism
    bar.finish_and_clear();
    totals
}

fn parallel_loop(job: &Job) -> Totals {
    let bar = bar(job);
    // ANCHOR: parallel_loop
    let reports = parallel::map(job.limit, bar.wrap_iter(job.files.iter()), |path| measure(path));
    // ANCHOR_END: parallel_loop
    bar.finish_and_clear();
    Totals::of(reports)
}

fn pipeline(job: &Job) -> Totals {
    let bar = bar(job);
    let files = Arc::clone(&job.files);
    // ANCHOR: pipeline
    let (ctx, _cancel) = context::with_cancel(&context::background());
    let paths = parallel::source(&ctx, (0..files.len()).map(move |number| (number, files[number].clone())));
    let contents = parallel::stage(&ctx, paths, job.limit, |(number, path)| (number, read(&path)));
    let workers = lisle::metrics().workers;
    let reports =
        parallel::stage(&ctx, contents, workers, |(number, contents)| (number, contents.as_deref().map(examine)));
    let totals = Totals::of_numbered(bar.wrap_iter(reports.iter()).collect());
    // ANCHOR_END: pipeline
    bar.finish_and_clear();
    totals
}
