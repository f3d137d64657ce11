//! Waiting for goroutines: a `WaitGroup` from its first use to the cases in which programs go wrong.
//!
//! `cargo run --release --example waitgroups`
//! `cargo run --release --example waitgroups -- /usr/include`

use clap::Parser;
use lisle::channel::{self, RecvTimeoutError};
use lisle::errgroup::Group;
use lisle::sync::{Semaphore, WaitGroup};
use lisle::{Builder, context, go, time::sleep};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Arguments {
    /// The folder whose files are counted. Default: this project, without target/ and .git/.
    folder: Option<PathBuf>,
}

fn main() {
    let folder = Arguments::parse().folder.unwrap_or_else(|| {
        // `cargo run` says where the project lies.
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
    });
    lisle::run(|| {
        fundamentals();
        coordinating_many();
        dynamic_work(&folder);
        cleanup();
        errors_through_a_channel();
        errors_through_a_group();
    });
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

fn fundamentals() {
    title("Fundamentals: count, start, wait");
    let group = WaitGroup::new();
    let start = Instant::now();
    for name in ["download", "unpack", "install"] {
        // `go` adds one to the counter now, and takes it away when the goroutine has ended.
        group.go(move || {
            sleep(Duration::from_millis(30));
            println!("{name}: done");
        });
    }
    println!("all three are started; the counter is not zero: {group:?}");
    group.wait();
    let together = start.elapsed() < Duration::from_millis(90);
    println!("and now it is: {group:?}");
    println!("they slept 30 ms each, {} the other", if together { "one beside" } else { "one after" });
}

fn coordinating_many() {
    title("Coordinating many: all start together, all are waited for");
    const MANY: u64 = 10_000;
    let (ready, gate, done) = (WaitGroup::new(), WaitGroup::new(), WaitGroup::new());
    let sum = Arc::new(AtomicU64::new(0));
    gate.add(1); // the gate is a group of one, for which many wait
    ready.add(i32::try_from(MANY).expect("not that many"));
    for i in 1..=MANY {
        let (ready, gate, sum) = (ready.clone(), gate.clone(), Arc::clone(&sum));
        done.go(move || {
            ready.done();
            gate.wait();
            sum.fetch_add(i, Ordering::Relaxed);
        });
    }
    ready.wait();
    println!("{MANY} goroutines wait at the gate; their sum so far: {}", sum.load(Ordering::Relaxed));
    gate.done();
    done.wait();
    // What each did before its `done` is seen after `wait`: there is no race here.
    println!("after the gate opened: {} = {MANY} * {} / 2", sum.load(Ordering::Relaxed), MANY + 1);
}

/// What the goroutines that walk a tree share.
#[derive(Default)]
struct Tree {
    group: WaitGroup,
    folders: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

fn dynamic_work(folder: &Path) {
    title("Dynamic work: goroutines that find more work");
    let tree = Arc::new(Tree::default());
    // As many folders at once as are read in parallel; the other goroutines wait, which costs next to nothing.
    let places = Arc::new(Semaphore::new(8));
    visit(folder.to_path_buf(), &tree, &places);
    tree.group.wait();
    println!(
        "{} folders, {} files, {} bytes, with a goroutine for each folder",
        tree.folders.load(Ordering::Relaxed),
        tree.files.load(Ordering::Relaxed),
        tree.bytes.load(Ordering::Relaxed)
    );
    println!("rule: who finds work adds it before it is done itself, so the counter cannot be zero too early");
}

fn visit(folder: PathBuf, tree: &Arc<Tree>, places: &Arc<Semaphore>) {
    let (shared, places) = (Arc::clone(tree), Arc::clone(places));
    tree.group.go(move || {
        shared.folders.fetch_add(1, Ordering::Relaxed);
        let place = places.acquire(1);
        // The call may block its thread for as long as the disk takes: not on a worker.
        let entries = lisle::blocking(|| list(&folder)).unwrap_or_default();
        drop(place);
        for (path, size) in entries {
            match size {
                Some(size) => {
                    shared.files.fetch_add(1, Ordering::Relaxed);
                    shared.bytes.fetch_add(size, Ordering::Relaxed);
                }
                None => visit(path, &shared, &places),
            }
        }
    });
}

/// What is in a folder, with the sizes of files; `None` for folders.
fn list(folder: &Path) -> std::io::Result<Vec<(PathBuf, Option<u64>)>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            entries.push((entry.path(), Some(entry.metadata()?.len())));
        } else if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
            entries.push((entry.path(), None));
        }
    }
    Ok(entries)
}

fn cleanup() {
    title("Cleanup: guards cannot be forgotten");
    let careless = WaitGroup::new();
    careless.add(1);
    let group = careless.clone();
    go(move || parse("not a number").map(|_| group.done())); // the way out by an error forgets `done`
    println!("add and done, with an early return between: {}", waits_for_ever(&careless));
    careless.done();

    let careful = WaitGroup::new();
    for way in ["returns", "returns early", "panics", "calls exit"] {
        let guard = careful.guard();
        let goroutine = Builder::new().name(way).go(move || {
            let _guard = guard; // `done` when it goes out of scope, on whatever way
            match way {
                "returns early" => return parse("not a number").map(drop),
                // As `panic!`, without the message on stderr.
                "panics" => std::panic::resume_unwind(Box::new("an accident")),
                "calls exit" => lisle::exit(),
                _ => {}
            }
            Ok(())
        });
        let ended = goroutine.expect("a goroutine").join();
        println!("a guard in one that {way:<14} {}", if ended.is_ok() { "joined: Ok" } else { "joined: Err" });
    }
    careful.wait();
    println!("all four are waited for: {careful:?}");
}

fn parse(text: &str) -> Result<i32, std::num::ParseIntError> {
    text.parse()
}

/// As far as a program can tell: it looks for 50 ms.
fn waits_for_ever(group: &WaitGroup) -> &'static str {
    let (waited, result) = channel::bounded::<()>(0);
    let group = group.clone();
    go(move || {
        group.wait();
        drop(waited);
    });
    match result.recv_timeout(Duration::from_millis(50)) {
        Err(RecvTimeoutError::Timeout) => "wait still waits after 50 ms, and would for ever",
        _ => "wait returned",
    }
}

const JOBS: u32 = 6;

fn job(number: u32) -> Result<u32, String> {
    sleep(Duration::from_millis(u64::from(5 * number)));
    if number % 3 == 2 { Err(format!("job {number} failed")) } else { Ok(number * number) }
}

fn errors_through_a_channel() {
    title("Errors, through a channel sized to the work");
    let group = WaitGroup::new();
    // Room for an error of each job: none of them ever waits to send, though nobody receives before all are done.
    let (failed, errors) = channel::bounded(JOBS as usize);
    for number in 0..JOBS {
        let failed = failed.clone();
        group.go(move || {
            if let Err(error) = job(number) {
                failed.send(error).expect("main holds the receiver");
            }
        });
    }
    drop(failed); // or the loop over the errors would wait for ours
    group.wait();
    let errors: Vec<_> = errors.iter().collect();
    println!("{} of {JOBS} failed; the first: {}", errors.len(), errors[0]);
}

fn errors_through_a_group() {
    title("Errors, through an errgroup: the first one stops the others");
    let (group, ctx) = Group::<String>::with_context(&context::background());
    let stopped = Arc::new(AtomicU64::new(0));
    for number in 0..JOBS {
        let (ctx, stopped) = (ctx.clone(), Arc::clone(&stopped));
        group.go(move || {
            job(number)?;
            // A second, long step, which nobody needs after an error.
            if ctx.sleep(Duration::from_secs(20)).is_err() {
                stopped.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    let start = Instant::now();
    let error = group.wait().expect_err("two jobs fail");
    let in_time = start.elapsed() < Duration::from_secs(10);
    println!("wait gives the first error: {error}");
    println!(
        "{} others were told to stop, {}",
        stopped.load(Ordering::Relaxed),
        if in_time { "and did" } else { "in vain" }
    );
}
