//! Lesson 1: what a goroutine is.

use crate::lesson::{Lesson, Options, Outcome, Section};
use crate::{child, measure};
use lisle::sync::{Mutex, WaitGroup};
use lisle::{go, time::sleep};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) static LESSON: Lesson = Lesson {
    name: "goroutine_basics",
    title: "what a goroutine is",
    about: "\
A goroutine is a call that runs beside its caller. It is written as plain blocking code, costs a
fraction of a thread, and is started by one word.",
    sources: &[("course/lessons/src/goroutine_basics.rs", include_str!("goroutine_basics.rs"))],
    sections: &[
        Section {
            name: "starting",
            title: "Starting a goroutine",
            coming: "A function is called, then run as a goroutine. The two are told apart by their numbers.",
            run: starting,
            why: "\
`go` takes a closure, returns at once, and gives a handle. `join` waits for the end and hands over
what the closure returned: a goroutine is a function call whose result comes later. In Go there is no
handle; a result has to be sent over a channel.",
        },
        Section {
            name: "anonymous",
            title: "Anonymous goroutines",
            coming: "Three closures without a name compute squares, each after a pause of another length.",
            run: anonymous,
            why: "\
`go!{ … }` is short for `go(move || { … })`. `move` makes the closure own what it uses, so that it may
live longer than the function that started it. The results come in the order in which they are joined,
not in the order in which they were ready.",
        },
        Section {
            name: "loop_variable",
            title: "Pitfall: a loop variable that all closures share",
            coming: "\
In Go before 1.22 all turns of a loop had one variable, and goroutines started in it mostly saw its last
value. Here are a loop whose closures own their value, and one that shares a variable on purpose.",
            run: loop_variable,
            why: "\
`move` copies `i` into each closure: there is nothing to forget. Without `move` the program does not
compile, since the closure would borrow a variable that may be gone before it runs (see
race_conditions, section refused_borrow). Sharing has to be asked for, here by a static atomic; then
each goroutine sees whatever value the variable has at the time it runs, as in old Go.",
        },
        Section {
            name: "life_cycle",
            title: "Life cycle",
            coming: "A goroutine is created, waits, is woken, and ends. Another one ends itself half-way.",
            run: life_cycle,
            why: "\
A goroutine is fresh until a worker starts it, then runs until it waits for something, is ready again
when it is woken, and so on until its closure returns, panics or calls `exit`. One that waits holds a
page of memory and no thread. Nobody can end it from outside: it has to be asked (see contexts, in
goroutine_patterns).",
        },
        Section {
            name: "scheduling",
            title: "Scheduling",
            coming: "Two goroutines on one thread take turns.",
            run: scheduling,
            why: "\
A few worker threads run all goroutines, one for each core by default. One goroutine runs until it waits
or yields; it is never interrupted, so a long computation should call `yield_now` now and then. One that
has started stays on its thread for good, which is why it may hold an `Rc` across a wait. `go_local`
starts one on the same worker, to see them take turns; with `go`, another worker may take it.",
        },
        Section {
            name: "against_threads",
            title: "Goroutines against OS threads, measured now",
            coming: "The claims about goroutines, in figures of this machine.",
            run: against_threads,
            why: "\
Starting a thread is a system call, and the kernel picks who runs next. Starting a goroutine puts a closure
into a queue, and a switch saves a handful of registers and jumps. Memory is counted as VmRSS + VmPTE of
/proc/self/status; the kernel's own structures for each thread, some 16 KiB, are not in it. The switch of
goroutines is a yield between two on one worker; that of threads, two on one core that hand a turn to each
other. Rules of thumb such as `2 KB against 2 MB` are about address space that is set aside, which costs
next to nothing until it is touched. How many there can be is, for goroutines, a question of memory
(--goroutines 1000000 takes some 5 GB); for threads, of the system's limits (ulimit -u).",
        },
    ],
};

fn greet(name: &str) -> String {
    format!("hello from {name}, which is goroutine {}", lisle::current().id())
}

fn starting(_: &Options) -> Outcome {
    // ANCHOR: starting
    println!("{}", greet("main"));
    let handle = go(|| greet("another")); // it runs beside us from here on
    println!("{}", handle.join().expect("it does not panic"));
    // ANCHOR_END: starting
    Ok(())
}

fn anonymous(_: &Options) -> Outcome {
    // ANCHOR: anonymous
    let handles: Vec<_> = (1..=3)
        .map(|i| {
            lisle::go! {
                sleep(Duration::from_millis(10 * (4 - i)));
                i * i
            }
        })
        .collect();
    let squares: Vec<u64> = handles.into_iter().map(|handle| handle.join().expect("no panic")).collect();
    println!("squares computed by three closures: {squares:?}");
    // ANCHOR_END: anonymous
    Ok(())
}

fn loop_variable(_: &Options) -> Outcome {
    // ANCHOR: loop_variable
    let seen = Arc::new(Mutex::new(Vec::new()));
    let group = WaitGroup::new();
    for i in 1..=3 {
        let seen = Arc::clone(&seen);
        group.go(move || seen.lock().unwrap().push(i)); // an `i` of its own
    }
    group.wait();
    seen.lock().unwrap().sort_unstable();
    println!("each closure owns its i:      {:?}", seen.lock().unwrap());

    static SHARED: AtomicUsize = AtomicUsize::new(0);
    seen.lock().unwrap().clear();
    for i in 1..=3 {
        SHARED.store(i, Ordering::Relaxed);
        let seen = Arc::clone(&seen);
        group.go(move || {
            sleep(child::MOMENT); // by now the loop is over
            seen.lock().unwrap().push(SHARED.load(Ordering::Relaxed));
        });
    }
    group.wait();
    println!("all read one shared variable: {:?}", seen.lock().unwrap());
    // ANCHOR_END: loop_variable
    Ok(())
}

fn life_cycle(_: &Options) -> Outcome {
    let before = lisle::num_goroutines();
    // ANCHOR: life_cycle
    let handle = lisle::Builder::new().name("worker").go(lisle::park)?;
    let worker = handle.goroutine();
    println!("created:  {worker:?}");
    while worker.wait_reason() != lisle::WaitReason::Park {
        sleep(Duration::from_millis(1));
    }
    println!("waiting:  it is in `{}`, and costs no thread", worker.wait_reason());
    worker.unpark();
    handle.join().expect("no panic");
    // ANCHOR_END: life_cycle
    println!("ended:    {} goroutine left, which is main", lisle::num_goroutines() - before + 1);
    // ANCHOR: life_cycle
    let failed = go(|| lisle::exit()).join().expect_err("it exits");
    println!("and one that ended itself: {}", failed.downcast_ref::<lisle::Exited>().expect("Exited"));
    // ANCHOR_END: life_cycle
    Ok(())
}

fn scheduling(_: &Options) -> Outcome {
    println!("{} workers run all goroutines", lisle::metrics().workers);
    // ANCHOR: scheduling
    let steps = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let two = ["A", "B"].map(|name| {
        let steps = std::rc::Rc::clone(&steps);
        lisle::go_local(move || {
            for step in 1..=3 {
                steps.borrow_mut().push(format!("{name}{step}"));
                lisle::yield_now();
            }
        })
    });
    two.into_iter().for_each(|handle| handle.join().expect("no panic"));
    println!("two that yield after each step: {}", steps.borrow().join(" "));
    // ANCHOR_END: scheduling
    Ok(())
}

fn against_threads(options: &Options) -> Outcome {
    // ANCHOR: against_threads
    let ours = measure::goroutines(options.goroutines);
    let theirs = lisle::blocking(|| measure::threads(options.threads)).map_err(crate::lesson::Failure::Error)?;
    // ANCHOR_END: against_threads
    println!("{:<28}{:>16}{:>16}{:>10}", "", "goroutine", "OS thread", "ratio");
    let row = |what: &str, a: f64, b: f64, unit: &str| {
        println!("{what:<28}{:>16}{:>16}{:>9.0}x", format!("{a:.0} {unit}"), format!("{b:.0} {unit}"), b / a);
    };
    println!("{:<28}{:>16}{:>16}", "at once", ours.count, theirs.count);
    row("memory of a waiting one", ours.bytes, theirs.bytes, "B");
    row("to create it, let it wait", ours.create, theirs.create, "ns");
    row("to switch to another", ours.switch, theirs.switch, "ns");
    Ok(())
}
