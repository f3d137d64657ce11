//! What is going on in there: a dump, and the profiles that a program serves.

use super::checker::Checker;
use super::fetch::{labelled, plainly};
use super::site::Site;
use crate::child;
use crate::lesson::{Failure, Options, Outcome};
use lisle::context::{background, with_cancel};
use lisle::sync::{Mutex, WaitGroup};
use lisle::{blocking, debug, go, parallel, time::sleep};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) fn dump(_: &Options) -> Outcome {
    let site = Site::start()?;
    // ANCHOR: dump
    let checker = Checker::new(&background(), 8, labelled);
    let page = site.all();
    let hanging = go(move || checker.check(&page));
    sleep(Duration::from_millis(500));
    let dump = debug::dump();
    for goroutine in dump.split("\n\n").filter(|text| text.contains("link:")) {
        println!("{goroutine}");
    }
    // ANCHOR_END: dump
    drop(site); // which ends the wait
    hanging.join().expect("no panic");
    Ok(())
}

/// Ends in a deadlock.
pub(crate) fn deadlocks() {
    // ANCHOR: deadlock
    let (ours, theirs) = (Arc::new(Mutex::new(100)), Arc::new(Mutex::new(100)));
    lisle::run(|| {
        let group = WaitGroup::new();
        for (from, to) in [(Arc::clone(&ours), Arc::clone(&theirs)), (theirs, ours)] {
            group.go(move || {
                let mut from = from.lock().unwrap();
                sleep(Duration::from_millis(20)); // the other one has time to do the same
                let mut to = to.lock().unwrap();
                (*from, *to) = (*from - 10, *to + 10);
            });
        }
        group.wait();
    });
    // ANCHOR_END: deadlock
}

pub(super) fn deadlock(_: &Options) -> Outcome {
    println!("week7 program deadlocks");
    child::start("deadlocks", &[])?;
    println!("LISLE_DEBUG=lockorder week7 program deadlocks");
    child::start("deadlocks", &[("LISLE_DEBUG", "lockorder")])?;
    Ok(())
}

pub(super) fn goroutine_profile(_: &Options) -> Outcome {
    let site = Site::start()?;
    let checker = Checker::new(&background(), 1, plainly);
    let page = site.index();
    let slow = go(move || checker.check(&page));
    sleep(Duration::from_millis(200));
    // ANCHOR: goroutine_profile
    let server = debug::serve("127.0.0.1:0")?; // in a program of yours: 127.0.0.1:6060
    let profile = get(&format!("http://{}/debug/pprof/goroutine?debug=1", server.local_addr()))?;
    // ANCHOR_END: goroutine_profile
    println!("{}", of_this_lesson(&profile));
    drop(site);
    slow.join().expect("no panic");
    server.stop();
    Ok(())
}

/// A page, as text.
fn get(url: &str) -> Result<String, Failure> {
    println!("GET {url}");
    Ok(blocking(|| ureq::get(url).config().proxy(None).build().call()?.body_mut().read_to_string())?)
}

/// The head of a profile, and its stacks that go through this lesson, with the calls in it.
fn of_this_lesson(profile: &str) -> String {
    let mut stacks = profile.split("\n\n");
    let mut shown = stacks.next().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    for stack in profile.split("\n\n") {
        let calls: Vec<_> = stack.lines().filter(|line| line.contains("goroutine_practice::")).collect();
        if let (Some((count, _)), false) = (stack.split_once(" @ "), calls.is_empty()) {
            let count = count.rsplit('\n').next().unwrap_or_default();
            let goroutines = if count == "1" { "goroutine" } else { "goroutines" };
            shown += &format!("\n{count} {goroutines} in\n  {}", calls.join("\n  "));
        }
    }
    shown
}

// ANCHOR: cpu_profile
/// How often each word stands on the page.
fn count_words(page: &str) -> Vec<(&str, usize)> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for word in page.split(' ') {
        match find_word(&mut counts, word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts
}

#[inline(never)]
fn find_word<'a, 'b>(counts: &'a mut [(&'b str, usize)], word: &str) -> Option<&'a mut (&'b str, usize)> {
    counts.iter_mut().find(|(known, _)| *known == word)
}

fn count_words_by_hash(page: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    page.split(' ').for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}
// ANCHOR_END: cpu_profile

/// Long pages with many different words.
fn long_pages() -> Vec<String> {
    let words = if cfg!(debug_assertions) { 1_500 } else { 6_000 };
    (0..8).map(|page| (0..words).map(|n| format!("word{} ", n * (page + 1) % words)).collect()).collect()
}

pub(super) fn cpu_profile(_: &Options) -> Outcome {
    let pages: Arc<Vec<String>> = Arc::new(long_pages());
    let server = debug::serve("127.0.0.1:0")?;
    let url = format!("http://{}/debug/pprof/profile?seconds=1", server.local_addr());
    let (ctx, stop) = with_cancel(&background());
    let counted = Arc::clone(&pages);
    // ANCHOR: cpu_profile
    let busy = go(move || {
        while ctx.err().is_none() {
            parallel::for_each(4, &*counted, |page| _ = black_box(count_words(page)));
        }
    });
    let profile = get(&format!("{url}&debug=1"))?; // without debug=1: for `go tool pprof`
    // ANCHOR_END: cpu_profile
    print_top(&profile);
    ask_go(&url);
    stop.cancel();
    busy.join().expect("no panic");
    server.stop();
    let (slow, fast) =
        (time(|| _ = black_box(count_words(&pages[0]))), time(|| _ = black_box(count_words_by_hash(&pages[0]))));
    println!("one page: {slow:.1?}; with a hash map: {fast:.1?}");
    Ok(())
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// How much time each function of this lesson took, with what it calls in libraries.
fn print_top(profile: &str) {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    println!("{}", profile.lines().next().unwrap_or_default());
    for stack in profile.split("\n\n") {
        let nanos = stack.lines().find_map(|line| line.split_once(" @ ")?.0.split(' ').next()?.parse::<u64>().ok());
        let own = stack.lines().find(|line| line.contains("goroutine_practice::"));
        let function = own.and_then(|line| line.split('\t').nth(2)).unwrap_or("(elsewhere)");
        *times.entry(function.trim_end_matches("::{{closure}}")).or_default() += nanos.unwrap_or(0) / 1_000_000;
    }
    let mut sorted: Vec<_> = times.into_iter().collect();
    sorted.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
    sorted.iter().take(4).for_each(|(function, time)| println!("{time:>6} ms  {function}"));
}

/// The same by Go's own tool, if it is there.
fn ask_go(url: &str) {
    println!("go tool pprof -top '{url}'");
    let output = blocking(|| Command::new("go").args(["tool", "pprof", "-top", "-nodecount=4", url]).output());
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).lines().for_each(|line| println!("    {line}")),
        Err(error) => println!("    (Go is not at hand, {error}: the text above says the same.)"),
    }
}
