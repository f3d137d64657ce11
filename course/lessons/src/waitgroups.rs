//! Lesson 2: waiting for goroutines.

use crate::child;
use crate::lesson::{Failure, Lesson, Options, Outcome, Section};
use lisle::channel::{self, RecvTimeoutError};
use lisle::errgroup::Group;
use lisle::sync::{Semaphore, WaitGroup};
use lisle::{Builder, context, go, time::sleep};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) static LESSON: Lesson = Lesson {
    name: "waitgroups",
    title: "waiting for goroutines",
    about: "\
A goroutine that nobody waits for may never come to its end. From the first `wait` to the cases in which
programs go wrong: errors, panics, and work that finds more work.",
    sources: &[("course/lessons/src/waitgroups.rs", include_str!("waitgroups.rs"))],
    sections: &[
        Section {
            name: "forgetting_to_wait",
            title: "Pitfall: forgetting to wait",
            coming: "A program starts three goroutines and returns from `main`. It runs as a process of its own.",
            run: forgetting_to_wait,
            why: "\
When `main` returns, the process ends, and with it every goroutine: as in Go, nobody waits unless you say
so. None of the three had come to its line. A JoinHandle, a WaitGroup or a scope is how to say so; a
scope cannot be left before its goroutines have ended.",
        },
        Section {
            name: "fundamentals",
            title: "Fundamentals: count, start, wait",
            coming: "Three goroutines sleep for 30 ms each, and one WaitGroup waits for all of them.",
            run: fundamentals,
            why: "\
A WaitGroup is a counter for which one can wait to be zero. `group.go(f)` adds one before the goroutine
starts, and takes it away when it has ended. Adding inside the goroutine would be too late: `wait` might
find a zero before anybody has begun.",
        },
        Section {
            name: "coordinating_many",
            title: "Coordinating many: all start together, all are waited for",
            coming: "Ten thousand goroutines meet at a gate, which is opened for all at once.",
            run: coordinating_many,
            why: "\
The gate is a WaitGroup, too: a group of one for which many wait. What each goroutine did before its
`done` is seen by whoever returns from `wait`, so the sum is read without a race.",
        },
        Section {
            name: "dynamic_work",
            title: "Dynamic work: goroutines that find more work",
            coming: "A goroutine for each folder of a real tree; how many there will be, nobody knows beforehand.",
            run: dynamic_work,
            why: "\
Who finds work adds it before it is done itself, so the counter cannot be zero too early. The semaphore
lets 8 folders be read at a time; the other goroutines wait, which costs a page of memory each. Reading a
folder may block its thread for as long as the disk takes: `blocking` lets another thread do that.",
        },
        Section {
            name: "cleanup",
            title: "Cleanup: guards cannot be forgotten",
            coming: "A `done` that an early return skips; then a guard, in goroutines that end in four ways.",
            run: cleanup,
            why: "\
Go's answer is `defer wg.Done()`, which has to be written each time. A guard is a value: it takes one off
the counter when it goes out of scope, by whatever way: return, `?`, panic, `exit`. `group.go` holds one
for you.",
        },
        Section {
            name: "errors_through_a_channel",
            title: "Errors, through a channel sized to the work",
            coming: "Six jobs, of which two fail. Each sends its error; all are waited for.",
            run: errors_through_a_channel,
            why: "\
The channel has room for an error of each job, so that no goroutine ever waits to send, though nobody
receives before all are done. With less room, the goroutine that finds no place would wait for a receiver
that waits for the goroutine: a deadlock.",
        },
        Section {
            name: "errors_through_a_group",
            title: "Errors, through an errgroup: the first one stops the others",
            coming: "The same jobs, each with a long second step that is pointless once another has failed.",
            run: errors_through_a_group,
            why: "\
The first error is what `wait` returns, and it cancels the group's context. The others notice, since they
sleep by `ctx.sleep` and not by `sleep`; a goroutine that looks at no context cannot be stopped.",
        },
    ],
};

// ANCHOR: forgetting_to_wait
pub(crate) fn forgets_to_wait() {
    for i in 1..=3 {
        go(move || {
            sleep(Duration::from_millis(10));
            println!("goroutine {i} is done");
        });
    }
    println!("main is done");
}
// ANCHOR_END: forgetting_to_wait

fn forgetting_to_wait(_: &Options) -> Outcome {
    let text = child::start("forgets_to_wait", &[])?;
    println!("Lines from the three goroutines: {}.", text.matches("goroutine").count());
    Ok(())
}

fn fundamentals(_: &Options) -> Outcome {
    let start = Instant::now();
    // ANCHOR: fundamentals
    let group = WaitGroup::new();
    for name in ["download", "unpack", "install"] {
        group.go(move || {
            sleep(Duration::from_millis(30));
            println!("{name}: done");
        });
    }
    println!("all three are started; the counter is not zero: {group:?}");
    group.wait();
    println!("and now it is: {group:?}");
    // ANCHOR_END: fundamentals
    let took = start.elapsed().as_millis();
    if took < 30 {
        println!("after {took} ms already, so nobody has waited for them: see section forgetting_to_wait");
    } else {
        println!("they slept 30 ms each, one beside the other: {took} ms for all");
    }
    Ok(())
}

const MANY: u64 = 10_000;

fn coordinating_many(_: &Options) -> Outcome {
    // ANCHOR: coordinating_many
    let (ready, gate, done) = (WaitGroup::new(), WaitGroup::new(), WaitGroup::new());
    let sum = Arc::new(AtomicU64::new(0));
    gate.add(1);
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
    println!("after the gate opened: {} = {MANY} * {} / 2", sum.load(Ordering::Relaxed), MANY + 1);
    // ANCHOR_END: coordinating_many
    Ok(())
}

/// What the goroutines that walk a tree share.
#[derive(Default)]
struct Tree {
    group: WaitGroup,
    folders: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    unreadable: AtomicU64,
}

fn dynamic_work(options: &Options) -> Outcome {
    let folder = &options.folder;
    list(folder).map_err(|error| Failure::Error(format!("{}: {error}", folder.display())))?;
    let tree = Arc::new(Tree::default());
    let places = Arc::new(Semaphore::new(8));
    visit(folder.clone(), &tree, &places);
    tree.group.wait();
    println!(
        "{} folders, {} files, {} bytes, with a goroutine for each folder",
        tree.folders.load(Ordering::Relaxed),
        tree.files.load(Ordering::Relaxed),
        tree.bytes.load(Ordering::Relaxed)
    );
    match tree.unreadable.load(Ordering::Relaxed) {
        0 => {}
        unreadable => println!("{unreadable} of the folders could not be read"),
    }
    Ok(())
}

// ANCHOR: dynamic_work
fn visit(folder: PathBuf, tree: &Arc<Tree>, places: &Arc<Semaphore>) {
    let (shared, places) = (Arc::clone(tree), Arc::clone(places));
    tree.group.go(move || {
        shared.folders.fetch_add(1, Ordering::Relaxed);
        let place = places.acquire(1);
        let entries = lisle::blocking(|| list(&folder));
        drop(place);
        let Ok(entries) = entries else {
            shared.unreadable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for (path, size) in entries {
            match size {
                Some(size) => {
                    shared.files.fetch_add(1, Ordering::Relaxed);
                    shared.bytes.fetch_add(size, Ordering::Relaxed);
                }
                None => visit(path, &shared, &places), // a folder: more work
            }
        }
    });
}
// ANCHOR_END: dynamic_work

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

fn cleanup(_: &Options) -> Outcome {
    // ANCHOR: cleanup
    let careless = WaitGroup::new();
    careless.add(1);
    let group = careless.clone();
    go(move || parse("not a number").map(|_| group.done())); // the way out by an error forgets `done`
    println!("add and done, with an early return between: {}", waits_for_ever(&careless));
    // ANCHOR_END: cleanup
    careless.done();
    // ANCHOR: cleanup
    let careful = WaitGroup::new();
    for way in ["returns", "returns early", "panics", "calls exit"] {
        let guard = careful.guard();
        let goroutine = Builder::new().name(way).go(move || {
            let _guard = guard;
            match way {
                "returns early" => return parse("not a number").map(drop),
                "panics" => std::panic::resume_unwind(Box::new("an accident")), // a panic, without its message
                "calls exit" => lisle::exit(),
                _ => {}
            }
            Ok(())
        });
        let ended = goroutine?.join();
        println!("a guard in one that {way:<14} {}", if ended.is_ok() { "joined: Ok" } else { "joined: Err" });
    }
    careful.wait();
    println!("all four are waited for: {careful:?}");
    // ANCHOR_END: cleanup
    Ok(())
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
    match result.recv_timeout(child::MOMENT) {
        Err(RecvTimeoutError::Timeout) => "wait still waits after 50 ms, and would for ever",
        _ => "wait returned",
    }
}

const JOBS: u32 = 6;

fn job(number: u32) -> Result<u32, String> {
    sleep(Duration::from_millis(u64::from(5 * number)));
    if number % 3 == 2 { Err(format!("job {number} failed")) } else { Ok(number * number) }
}

fn errors_through_a_channel(_: &Options) -> Outcome {
    // ANCHOR: errors_through_a_channel
    let group = WaitGroup::new();
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
    // ANCHOR_END: errors_through_a_channel
    Ok(())
}

fn errors_through_a_group(_: &Options) -> Outcome {
    let stopped = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    // ANCHOR: errors_through_a_group
    let (group, ctx) = Group::<String>::with_context(&context::background());
    for number in 0..JOBS {
        let (ctx, stopped) = (ctx.clone(), Arc::clone(&stopped));
        group.go(move || {
            job(number)?;
            if ctx.sleep(Duration::from_secs(20)).is_err() {
                stopped.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    let error = group.wait().expect_err("two jobs fail");
    // ANCHOR_END: errors_through_a_group
    let in_time = start.elapsed() < Duration::from_secs(10);
    println!("wait gives the first error: {error}");
    println!(
        "{} others were told to stop, {}",
        stopped.load(Ordering::Relaxed),
        if in_time { "and did" } else { "in vain" }
    );
    Ok(())
}
