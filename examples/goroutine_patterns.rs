//! The patterns in which goroutines work together, all on the same job: to hash each file below a folder and to count
//! its words. Each must find the same totals, and says how much faster it was than one goroutine.
//!
//! `cargo run --release --example goroutine_patterns`
//! `cargo run --release --example goroutine_patterns -- /usr/include --limit 16`
//! `cargo run --release --example goroutine_patterns -- --pattern graceful-shutdown /usr`
//!
//! The last pattern, graceful shutdown, can be stopped by Ctrl-C (or SIGTERM): it takes in no more files, finishes
//! those that are under way, prints what was done so far, and the exit status is 130 (143 for SIGTERM). Before it has
//! begun, and when pressed once more, Ctrl-C ends the program at once, as always.

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use lisle::channel::{bounded, unbounded};
use lisle::shutdown::Tracker;
use lisle::sync::Semaphore;
use lisle::{context, go, parallel, pool::Pool, signal};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Arguments {
    /// The folder whose files are read. Default: this project. target/ and .git/ are left out.
    folder: Option<PathBuf>,
    /// How many files are worked on at once. Default: twice the number of workers, so that some read while others
    /// compute.
    #[arg(long)]
    limit: Option<usize>,
    /// Shows this pattern only; may be given several times.
    #[arg(long = "pattern")]
    patterns: Vec<Pattern>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pattern {
    WorkerPool,
    ProducerConsumer,
    BoundedParallelism,
    ParallelLoop,
    Pipeline,
    GracefulShutdown,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = arguments.folder.unwrap_or_else(|| {
        // `cargo run` says where the project lies.
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
    });
    let limit = arguments.limit.map_or_else(|| 2 * lisle::metrics().workers, |limit| limit.max(1));
    let outcome = lisle::run(|| show(&folder, limit, &arguments.patterns));
    outcome.unwrap_or_else(|error| {
        eprintln!("{}: {error}", folder.display());
        ExitCode::FAILURE
    })
}

type Show = fn(&Job) -> Totals;

/// What is compared; graceful shutdown comes after these.
const COMPARED: [(Pattern, &str, Show); 5] = [
    (Pattern::WorkerPool, "Worker pool: a fixed number of goroutines run what is handed to them", worker_pool),
    (
        Pattern::ProducerConsumer,
        "Producer and consumers: files are read while others are still being found",
        producer_consumer,
    ),
    (
        Pattern::BoundedParallelism,
        "Bounded parallelism: a goroutine for each file, few of them at work",
        bounded_parallelism,
    ),
    (Pattern::ParallelLoop, "Parallel loop: bounded parallelism in one line", parallel_loop),
    (Pattern::Pipeline, "Pipeline: each stage has goroutines of its own", pipeline),
];

fn show(folder: &Path, limit: usize, patterns: &[Pattern]) -> io::Result<ExitCode> {
    let wanted = |pattern| patterns.is_empty() || patterns.contains(&pattern);
    let job = Job { folder: folder.to_path_buf(), files: Arc::new(find_all(folder)?), limit };
    println!("{} files below {}, at most {limit} at once", job.files.len(), folder.display());
    let compared: Vec<_> = COMPARED.into_iter().filter(|(pattern, ..)| wanted(*pattern)).collect();
    if !compared.is_empty() {
        compare(&job, &compared);
    }
    if wanted(Pattern::GracefulShutdown) { graceful_shutdown(&job) } else { Ok(ExitCode::SUCCESS) }
}

fn compare(job: &Job, patterns: &[(Pattern, &str, Show)]) {
    // Once without looking at the clock: then all find the files in memory.
    one_goroutine(job);
    title("One goroutine, for comparison");
    let (expected, one) = timed(job, one_goroutine);
    println!("{expected}\n{}", seconds(one));
    for (_, text, pattern) in patterns {
        title(text);
        let (totals, time) = timed(job, *pattern);
        assert_eq!(totals, expected, "the patterns must agree");
        println!("same totals; {}, speed-up {:.2}", seconds(time), one.as_secs_f64() / time.as_secs_f64());
    }
    println!(
        "\n{} workers ran all of this; no pattern can be much faster than they are together.",
        lisle::metrics().workers
    );
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

fn timed(job: &Job, pattern: Show) -> (Totals, Duration) {
    let start = Instant::now();
    let totals = pattern(job);
    (totals, start.elapsed())
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

// ---- the job ----

struct Job {
    folder: PathBuf,
    /// In order; the number of a file is its place here.
    files: Arc<Vec<PathBuf>>,
    limit: usize,
}

/// What is to be known of a file.
#[derive(Clone, Copy)]
struct Report {
    digest: blake3::Hash,
    words: u64,
    bytes: u64,
}

/// What is known of all of them.
#[derive(PartialEq, Debug)]
struct Totals {
    files: usize,
    unreadable: usize,
    bytes: u64,
    words: u64,
    /// Of the files' digests, in the order of the files.
    digest: blake3::Hash,
}

impl Totals {
    /// From reports in whatever order, each with the number of its file.
    fn of_numbered(mut reports: Vec<(usize, Option<Report>)>) -> Self {
        reports.sort_unstable_by_key(|(number, _)| *number);
        Self::of(reports.into_iter().map(|(_, report)| report))
    }

    fn of(reports: impl IntoIterator<Item = Option<Report>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut totals = Self { files: 0, unreadable: 0, bytes: 0, words: 0, digest: hasher.finalize() };
        for report in reports {
            totals.files += 1;
            match report {
                Some(Report { digest, words, bytes }) => {
                    hasher.update(digest.as_bytes());
                    totals.words += words;
                    totals.bytes += bytes;
                }
                None => totals.unreadable += 1,
            }
        }
        totals.digest = hasher.finalize();
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files, unreadable, bytes, words, digest } = self;
        let digest = &digest.to_hex()[..16];
        write!(f, "{files} files ({unreadable} unreadable), {words} words in {bytes} bytes, digest {digest}")
    }
}

/// Reads a file on a thread that may be blocked: a read takes what the disk takes, and on a worker it would hold up
/// all goroutines there. `None` if the file cannot be read.
fn read(path: &Path) -> Option<Vec<u8>> {
    lisle::blocking(|| std::fs::read(path)).ok()
}

/// Pure computing: that belongs on a worker.
fn examine(contents: &[u8]) -> Report {
    let words = contents.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    Report { digest: blake3::hash(contents), words: words as u64, bytes: contents.len() as u64 }
}

fn measure(path: &Path) -> Option<Report> {
    read(path).map(|contents| examine(&contents))
}

fn find_all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    lisle::blocking(|| list(folder))?; // that of the folder itself is an error; others are left out
    let mut files = Vec::new();
    find(folder, &mut |path| files.push(path));
    Ok(files)
}

/// Finds files depth-first, sorted in each folder, so that the order is always the same.
fn find(folder: &Path, found: &mut dyn FnMut(PathBuf)) {
    for (path, is_folder) in lisle::blocking(|| list(folder)).unwrap_or_default() {
        if is_folder { find(&path, found) } else { found(path) }
    }
}

/// The files and folders in a folder.
fn list(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let left_out = kind.is_dir() && (entry.file_name() == "target" || entry.file_name() == ".git");
        if (kind.is_file() || kind.is_dir()) && !left_out {
            entries.push((entry.path(), kind.is_dir()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// A bar on a terminal, nothing when piped.
fn progress(job: &Job) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} files ({elapsed})").expect("a template");
    ProgressBar::new(job.files.len() as u64).with_style(style)
}

// ---- the patterns ----

fn one_goroutine(job: &Job) -> Totals {
    let bar = progress(job);
    let totals = Totals::of(bar.wrap_iter(job.files.iter()).map(|path| measure(path)));
    bar.finish_and_clear();
    totals
}

fn worker_pool(job: &Job) -> Totals {
    let bar = progress(job);
    let pool = Pool::builder().workers(job.limit).build();
    // `submit` waits while the queue is full: who hands in cannot run away from those who work.
    let submit = |path: &PathBuf| {
        let path = path.clone();
        pool.submit(move || measure(&path)).expect("the pool is open")
    };
    let handles: Vec<_> = bar.wrap_iter(job.files.iter()).map(submit).collect();
    // Joined in the order of the files, whatever the order in which they were done.
    let totals = Totals::of(handles.into_iter().map(|handle| handle.join().expect("it does not panic")));
    bar.finish_and_clear();
    totals
}

fn producer_consumer(job: &Job) -> Totals {
    let bar = progress(job);
    // Little room: a producer that is too fast waits, and so does a consumer that is.
    let (produce, consume) = bounded(job.limit);
    let (report, reports) = unbounded();
    let folder = job.folder.clone();
    go(move || {
        let mut number = 0;
        find(&folder, &mut |path| {
            // Fails only if all consumers have gone.
            let _ = produce.send((number, path));
            number += 1;
        });
        // Its end drops `produce`, and so ends the consumers' loops.
    });
    for _ in 0..job.limit {
        let (consume, report) = (consume.clone(), report.clone());
        go(move || {
            consume.iter().for_each(|(number, path)| report.send((number, measure(&path))).expect("main listens"))
        });
    }
    drop(report); // the last consumer to end ends our loop
    let totals = Totals::of_numbered(bar.wrap_iter(reports.iter()).collect());
    bar.finish_and_clear();
    totals
}

fn bounded_parallelism(job: &Job) -> Totals {
    let bar = progress(job);
    let places = Semaphore::new(job.limit);
    let (report, reports) = unbounded();
    lisle::scope(|s| {
        for (number, path) in job.files.iter().enumerate() {
            let (places, report, bar) = (&places, report.clone(), &bar);
            s.go(move || {
                // All goroutines exist at once; a place to work have few. One that waits costs a page of memory.
                let _place = places.acquire(1);
                report.send((number, measure(path))).expect("main listens");
                bar.inc(1);
            });
        }
    });
    drop(report);
    bar.finish_and_clear();
    Totals::of_numbered(reports.iter().collect())
}

fn parallel_loop(job: &Job) -> Totals {
    let bar = progress(job);
    let reports = parallel::map(job.limit, bar.wrap_iter(job.files.iter()), |path| measure(path));
    bar.finish_and_clear();
    Totals::of(reports)
}

fn pipeline(job: &Job) -> Totals {
    let bar = progress(job);
    // Ends all stages when we leave, for whatever reason.
    let (ctx, _cancel) = context::with_cancel(&context::background());
    let files = Arc::clone(&job.files);
    let paths = parallel::source(&ctx, (0..files.len()).map(move |number| (number, files[number].clone())));
    let contents = parallel::stage(&ctx, paths, job.limit, |(number, path)| (number, read(&path)));
    let workers = lisle::metrics().workers;
    let reports =
        parallel::stage(&ctx, contents, workers, |(number, contents)| (number, contents.as_deref().map(examine)));
    let totals = Totals::of_numbered(bar.wrap_iter(reports.iter()).collect());
    bar.finish_and_clear();
    totals
}

fn graceful_shutdown(job: &Job) -> io::Result<ExitCode> {
    title("Graceful shutdown: Ctrl-C stops the intake, and what is under way is finished");
    let (ctx, _stop) = signal::notify_context(&context::background(), &[signal::SIGINT, signal::SIGTERM])?;
    let tracker = Tracker::new(&ctx);
    let bar = progress(job);
    let (hand_out, jobs) = bounded::<(usize, PathBuf)>(0);
    let (report, reports) = unbounded();
    for number in 1..=job.limit {
        let (jobs, report, bar, ctx) = (jobs.clone(), report.clone(), bar.clone(), tracker.context().clone());
        let work = move || {
            // Until the intake ends; or, should the shutdown last too long, until the tracker's context does.
            for (number, path) in ctx.iter(&jobs) {
                report.send((number, measure(&path))).expect("main listens");
                bar.inc(1);
            }
        };
        // Refused if the signal has come already.
        let _ = tracker.go_named(format!("worker {number}"), work);
    }
    drop((jobs, report));
    println!("working on {} files; Ctrl-C stops early", job.files.len());
    for (number, path) in job.files.iter().enumerate() {
        if tracker.begun().send(&hand_out, (number, path.clone())).is_err() {
            break;
        }
    }
    drop(hand_out);
    if let Err(late) = tracker.shutdown(Duration::from_secs(60)) {
        eprintln!("{late}");
    }
    bar.finish_and_clear();
    // Without waiting: who is late has the sender still.
    Ok(sum_up(job, &ctx, Totals::of_numbered(reports.try_iter().collect())))
}

fn sum_up(job: &Job, ctx: &context::Context, totals: Totals) -> ExitCode {
    println!("{totals}");
    match ctx.cause().as_deref().and_then(|cause| cause.downcast_ref::<signal::Received>()) {
        Some(received) => {
            let (done, all) = (totals.files, job.files.len());
            println!("stopped early, because the program {received}: {done} of {all} files were done");
            ExitCode::from(u8::try_from(128 + received.signal.number()).unwrap_or(u8::MAX))
        }
        None => {
            println!("done, and no Ctrl-C came");
            ExitCode::SUCCESS
        }
    }
}
