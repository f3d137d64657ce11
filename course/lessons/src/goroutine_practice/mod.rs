//! Lesson 5: a small real program, grown step by step: a link checker that runs against a site of its own.

mod checker;
mod fetch;
pub(crate) mod look_inside;
mod site;

use crate::lesson::{Lesson, Options, Outcome, Section};
use checker::{Checker, Fetch, Found};
use fetch::{Problem, in_time, plainly, with_patience};
use lisle::context::{Context, background, with_timeout};
use site::Site;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) static LESSON: Lesson = Lesson {
    name: "goroutine_practice",
    title: "a link checker, grown step by step",
    about: "\
A program that finds broken links, from a loop to something one could put to work. It checks a site that
the lesson starts itself, and which misbehaves as sites do.",
    sources: &[
        ("course/lessons/src/goroutine_practice/fetch.rs", include_str!("fetch.rs")),
        ("course/lessons/src/goroutine_practice/mod.rs", include_str!("mod.rs")),
        ("course/lessons/src/goroutine_practice/checker.rs", include_str!("checker.rs")),
        ("course/lessons/src/goroutine_practice/look_inside.rs", include_str!("look_inside.rs")),
    ],
    sections: &[
        Section {
            name: "one_by_one",
            title: "Step 1: one link after the other",
            coming: "A queue of links, a set of those that were seen, and a loop. Each page takes 30 ms.",
            run: one_by_one,
            why: "\
Nearly all of the time is spent waiting for the server. The client is an ordinary blocking library:
`blocking` runs it on a thread for such calls while only this goroutine waits. The three missing pages
are found, which is what the next steps have to find as well.",
        },
        Section {
            name: "all_at_once",
            title: "Step 2: a goroutine for each link",
            coming: "The loop becomes a method that starts a goroutine, and a WaitGroup knows when all is done.",
            run: all_at_once,
            why: "\
Much faster, and wrong: the server refuses more than 16 requests at once, and pages that are fine are
reported as broken. Goroutines are cheap for us; what they ask for is not, for somebody else. (The
semaphore in `look_at` has places for everybody here.)",
        },
        Section {
            name: "bounded",
            title: "Step 3: bounded parallelism",
            coming: "The same checker with 8 places.",
            run: bounded,
            why: "\
All goroutines exist, and 8 of them at a time hold a place, from before the request until after it. The
result is right again, and still several times as fast as the loop. How many is right is not a question
of goroutines but of the server; measure it.",
        },
        Section {
            name: "timeouts",
            title: "Step 4: timeouts",
            coming: "\
From here on there is a page that never answers. First the checker of step 3, at which we look after
0.7 s; then one that gives each request 250 ms.",
            run: timeouts,
            why: "\
Without a timeout one bad page holds up the whole check, and nothing tells that it does. A context with a
timeout goes to each request. A blocking call does not look at contexts, so it is told what is left until
the deadline: whatever waits for the outside world gets a limit. (The server may count more requests than
there are places: it does not know yet that we have given one up.)",
        },
        Section {
            name: "retries",
            title: "Step 5: retries",
            coming: "Four pages are too busy when they are asked first. Now they are asked again, after a pause.",
            run: retries,
            why: "\
The pauses double, so that a server in trouble is not finished off by its clients. They are slept on the
context: a check that has been called off does not go on to wait for its retries. The goroutine keeps its
place meanwhile, which bounds the pressure on the server. What remains broken is broken.",
        },
        Section {
            name: "cancellation",
            title: "Step 6: cancellation",
            coming: "The whole check gets 100 ms, far too little.",
            run: cancellation,
            why: "\
One context at the top, and everything below ends: those that wait for a place, those that pause before a
retry, and those in a request, whose deadline is never later than that of the parent. The answer comes in
time and says what it does not cover; no goroutine is left over.",
        },
        Section {
            name: "dump",
            title: "Step 7: where does it hang? A dump",
            coming: "\
The checker of step 3 hangs again, as in step 4; but now we do not know why. Each request carries its link
as a label, and after 0.5 s we ask for a dump of all goroutines, and look for those with a label.",
            run: look_inside::dump,
            why: "\
A dump is a text: what each goroutine waits for, its labels, its calls down to the line, and who created it.
The link at fault stands there, and so does the line that has no timeout. Of a program that runs elsewhere
you get the whole dump by Ctrl-\\ (or `kill -QUIT`), as in Go, and without ending it from its debug page.",
        },
        Section {
            name: "deadlock",
            title: "Step 8: everybody waits. The report of a deadlock",
            coming: "\
Two goroutines move money between two accounts, in opposite directions, and each takes the lock of its own
side first. The program runs twice, as a process of its own: plainly, and with the order of locks watched.",
            run: look_inside::deadlock,
            why: "\
When nothing can ever go on, the program ends with status 2 and tells where everybody waits, as Go's do. With
LISLE_DEBUG=lockorder it also names the two orders, with the stacks of both; that it does even if nobody had
to wait this time, so run your tests with it. The cure: one order for all, such as that of the accounts' numbers.",
        },
        Section {
            name: "goroutine_profile",
            title: "Step 9: who waits where? The goroutine profile",
            coming: "\
A check with one place only. The program serves its debug pages, as programs in Go do on port 6060, and we
fetch the profile of its goroutines from there: those with the same stack are counted together.",
            run: look_inside::goroutine_profile,
            why: "\
Dozens wait at the same line, for a place: there is the bottleneck. A leak looks the same, with a number that
grows from one look to the next. The page for people is at /debug/ of the same address; try it with
`cargo run --release --example live`.",
        },
        Section {
            name: "cpu_profile",
            title: "Step 10: why is it slow? The CPU profile",
            coming: "\
The checker is to count the words of each page. The pages are long, and it takes far too long. Where does
the time go? A profile of one second tells, before anybody guesses.",
            run: look_inside::cpu_profile,
            why: "\
Nearly all samples are in the search for a word among those known: the time grows with the square of the
page. A hash map counts the same in a fraction of the time. (The profile is of processor time: goroutines
that wait are not in it. For those there are the profiles `block` and `mutex`.)",
        },
    ],
};

fn tell(found: &Found, site: &Site, start: Instant) {
    println!("{found}");
    println!("{:.2} s; at most {} requests at once", start.elapsed().as_secs_f64(), site.most_at_once());
}

fn one_by_one(_: &Options) -> Outcome {
    let site = Site::start()?;
    let start = Instant::now();
    // ANCHOR: one_by_one
    let (mut queue, mut seen) = (vec![site.index()], BTreeSet::from([site.index()]));
    let mut broken = BTreeMap::new();
    while let Some(link) = queue.pop() {
        match plainly(&background(), &link) {
            Ok(links) => queue.extend(links.into_iter().filter(|link| seen.insert(link.clone()))),
            Err(problem) => drop(broken.insert(link, problem)),
        }
    }
    // ANCHOR_END: one_by_one
    tell(&Found { links: seen.len(), checked: seen.len(), broken }, &site, start);
    Ok(())
}

/// Checks with so many places, and tells what came of it.
fn check(site: &Site, start: &str, ctx: &Context, at_once: usize, fetch: Fetch) -> Found {
    let clock = Instant::now();
    let found = Checker::new(ctx, at_once, fetch).check(start);
    tell(&found, site, clock);
    found
}

fn all_at_once(_: &Options) -> Outcome {
    let site = Site::start()?;
    check(&site, &site.index(), &background(), usize::MAX >> 4, plainly);
    Ok(())
}

fn bounded(_: &Options) -> Outcome {
    let site = Site::start()?;
    // ANCHOR: bounded
    let found = check(&site, &site.index(), &background(), 8, plainly);
    // ANCHOR_END: bounded
    found.broken.iter().for_each(|(link, problem)| println!("    {link}: {problem}"));
    Ok(())
}

fn timeouts(_: &Options) -> Outcome {
    let site = Site::start()?;
    let hanging = Checker::new(&background(), 8, plainly);
    let (checker, page) = (Arc::clone(&hanging), site.all());
    let handle = lisle::go(move || checker.check(&page));
    lisle::time::sleep(Duration::from_millis(700));
    let state = if handle.is_finished() { "it has ended" } else { "it still waits, and would for ever" };
    println!("without timeouts: {}; {state}", hanging.found());
    drop(site); // which ends that wait
    handle.join().expect("no panic");

    let site = Site::start()?;
    println!("with timeouts:");
    // ANCHOR: timeouts
    check(&site, &site.all(), &background(), 8, in_time);
    // ANCHOR_END: timeouts
    Ok(())
}

fn retries(_: &Options) -> Outcome {
    let site = Site::start()?;
    // ANCHOR: retries
    let found = check(&site, &site.all(), &background(), 8, with_patience);
    // ANCHOR_END: retries
    let busy = found.broken.values().filter(|problem| matches!(problem, Problem::Status(503))).count();
    println!("too busy in the end: {busy}");
    Ok(())
}

fn cancellation(_: &Options) -> Outcome {
    let site = Site::start()?;
    let before = lisle::num_goroutines();
    // ANCHOR: cancellation
    let (ctx, _cancel) = with_timeout(&background(), Duration::from_millis(100));
    let found = check(&site, &site.all(), &ctx, 8, with_patience);
    println!("not covered: {} links, since {}", found.links - found.checked, ctx.wait());
    // ANCHOR_END: cancellation
    drop(site);
    let begun = Instant::now();
    while lisle::num_goroutines() >= before && begun.elapsed() < Duration::from_secs(2) {
        lisle::time::sleep(Duration::from_millis(1)); // the site's own goroutines are ending
    }
    println!("goroutines left over: {}", (lisle::num_goroutines() + 1).saturating_sub(before));
    Ok(())
}
