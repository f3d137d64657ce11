//! Dumps: what a user sees of the goroutines of a running program.

mod common;

use common::{in_child, stderr};
use lisle::debug::{Format, dump, dump_to, with_labels};
use lisle::{Builder, WaitReason, channel, go};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed().as_secs() < 30, "it never came to that");
        std::thread::yield_now();
    }
}

fn wait_for(goroutine: &lisle::Goroutine, reason: WaitReason) {
    until(|| (goroutine.wait_reason() == reason).then_some(()));
}

fn dump_as(format: Format) -> String {
    let mut bytes = Vec::new();
    dump_to(&mut bytes, format).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The part of a dump that tells of one goroutine, once it is there and satisfies `is_right`.
fn part(id: u64, is_right: impl Fn(&str) -> bool) -> String {
    let start = format!("goroutine {id} [");
    until(|| {
        let dump = dump();
        dump.split("\n\n").find(|part| part.starts_with(&start) && is_right(part)).map(String::from)
    })
}

#[inline(never)]
fn receive(receiver: &channel::Receiver<u32>) {
    let _ = std::hint::black_box(receiver.recv());
}

#[inline(always)]
fn inlined(receiver: &channel::Receiver<u32>) {
    receive(receiver);
    std::hint::black_box(());
}

#[test]
fn a_waiting_goroutine_shows_reason_name_labels_calls_and_origin() {
    let (sender, receiver) = channel::bounded(0);
    let line = line!() + 1;
    let start = || go(move || Builder::new().name("con\"sumer").go(move || inlined(&receiver)).unwrap());
    let creator = with_labels(&[("request", "17"), ("user", "x")], start);
    let creator_id = creator.goroutine().id();
    let waiting = creator.join().unwrap();
    let id = waiting.goroutine().id();
    let text = part(id, |text| text.contains("chan receive"));
    let header = format!(r#"goroutine {id} [chan receive, name "con\"sumer", labels {{request:17, user:x}}]:"#);
    assert_eq!(text.lines().next().unwrap(), header);
    assert!(text.contains("receive(...)\n\t"), "{text}");
    assert!(text.contains("tests/dump.rs:"), "{text}");
    assert!(text.contains("inlined(...)\n"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains("recv"), "the call into lisle is shown: {text}");
    assert!(!text.contains("switch_out") && !text.contains("stack_init_trampoline"), "its inside is not: {text}");
    let origin = format!("created by lisle::go in goroutine {creator_id}\n\ttests/dump.rs:{line}");
    assert!(text.ends_with(&origin), "{text}");
    drop(sender);
    waiting.join().unwrap();
    // It ends a little after `join` has its result.
    until(|| (!dump().contains(&format!("goroutine {id} ["))).then_some(()));
}

#[inline(never)]
fn spin(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_dump_shows_stuck_workers_and_who_waits_behind_them() {
    let runtime = common::one_worker();
    let stop = Arc::new(AtomicBool::new(false));
    let waiting = runtime.go(|| lisle::park());
    wait_for(&waiting.goroutine(), WaitReason::Park);
    let computes = runtime.go({
        let stop = Arc::clone(&stop);
        move || spin(&stop)
    });
    let text = part(computes.goroutine().id(), |text| text.contains("spin(...)"));
    assert!(text.contains(" [running]:"), "{text}");
    part(waiting.goroutine().id(), |text| text.contains("[park]:"));
    stop.store(true, Ordering::Relaxed);
    computes.join().unwrap();

    let lock = Arc::new(std::sync::Mutex::new(()));
    let guard = lock.lock().unwrap();
    let blocked = runtime.go({
        let lock = Arc::clone(&lock);
        move || drop(lock.lock().unwrap())
    });
    part(blocked.goroutine().id(), |text| text.contains("sync") && text.contains("mutex"));
    drop(guard);
    blocked.join().unwrap();
    waiting.goroutine().unpark();
    waiting.join().unwrap();
}

#[test]
fn goroutines_dump_from_goroutines_on_small_stacks_and_from_panics() {
    let small = Builder::new().stack_size(16 * 1024).go(dump).unwrap();
    assert!(small.join().unwrap().contains("[running]:"));
    struct DumpOnDrop(mpsc::Sender<String>);
    impl Drop for DumpOnDrop {
        fn drop(&mut self) {
            self.0.send(dump()).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    let panics = go(move || {
        let _dump = DumpOnDrop(tell);
        std::panic::resume_unwind(Box::new(()));
    });
    let id = panics.goroutine().id();
    assert!(panics.join().is_err());
    assert!(told.recv().unwrap().contains(&format!("goroutine {id} [running]:")));
}

#[test]
fn a_goroutine_with_a_thread_of_its_own_is_locked_to_it() {
    let own = Builder::new().own_thread(true).go(|| lisle::park()).unwrap();
    part(own.goroutine().id(), |text| text.contains("[park, locked to thread]"));
    own.goroutine().unpark();
    own.join().unwrap();
    let keeps = go(|| lisle::no_switch(lisle::park));
    let text = part(keeps.goroutine().id(), |text| text.contains("[park, keeps its thread: it is inside no_switch]"));
    assert!(text.contains("no_switch"), "{text}");
    keeps.goroutine().unpark();
    keeps.join().unwrap();
}

#[test]
fn identical_stacks_fold_with_their_number() {
    let (sender, receiver) = channel::bounded::<u32>(0);
    let all: Vec<_> = (0..50)
        .map(|_| {
            let receiver = receiver.clone();
            go(move || receive(&receiver))
        })
        .collect();
    all.iter().for_each(|one| wait_for(&one.goroutine(), WaitReason::ChannelReceive));
    until(|| {
        let text = dump_as(Format::Folded);
        text.split("\n\n")
            .any(|part| part.starts_with("50 goroutines [chan receive]") && part.contains("receive(...)"))
            .then_some(())
    });
    drop(sender);
    all.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn the_json_form_is_json_and_tells_the_tree() {
    let (sender, receiver) = channel::bounded::<u32>(0);
    let outer = go(move || {
        lisle::scope(|scope| {
            for name in ["a\"\\\n", "b"] {
                Builder::new().name(name).go_scoped(scope, || receive(&receiver)).unwrap();
            }
        });
    });
    let id = outer.goroutine().id();
    let found = until(|| {
        let json: serde_json::Value = serde_json::from_str(&dump_as(Format::Json)).unwrap();
        assert!(json["unstarted"].is_number());
        let all = json["goroutines"].as_array().unwrap();
        let children = all.iter().filter(|one| one["creator"] == id && one["reason"] == "chan receive");
        let children: Vec<serde_json::Value> = children.cloned().collect();
        (children.len() == 2).then_some(children)
    });
    let mut names: Vec<&str> = found.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a\"\\\n", "b"]);
    assert!(found[0]["scope"].is_string() && found[0]["scope"] == found[1]["scope"], "{found:?}");
    assert_eq!(found[0]["complete"], true);
    let stack = found[0]["stack"].as_array().unwrap();
    assert!(stack.iter().any(|frame| frame["function"].as_str().unwrap().ends_with("receive")), "{stack:?}");
    drop(sender);
    outer.join().unwrap();
}

#[test]
fn labels_are_inherited_replaced_and_taken_back() {
    let label_of_child = || {
        let child = go(|| lisle::park());
        let id = child.goroutine().id();
        let text = part(id, |text| text.contains("[park"));
        child.goroutine().unpark();
        child.join().unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let run = move || {
        let inner = with_labels(&[("a", "1"), ("b", "1")], || with_labels(&[("a", "2")], label_of_child));
        assert!(inner.contains("labels {a:2, b:1}"), "{inner}");
        assert!(!label_of_child().contains("labels"));
        let _ = std::panic::catch_unwind(|| with_labels(&[("a", "1")], || std::panic::resume_unwind(Box::new(()))));
        assert!(!label_of_child().contains("labels"), "a panic takes them back, too");
    };
    run();
    go(run).join().unwrap();
}

#[test]
fn dumps_are_right_while_goroutines_come_and_go() {
    const WORKERS: usize = 8;
    let total = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let stop = Arc::new(AtomicBool::new(false));
    let churning: Vec<_> = (0..WORKERS)
        .map(|_| {
            go(move || {
                for _ in 0..total / WORKERS {
                    let child = Builder::new().name("short-lived").go(lisle::yield_now).unwrap();
                    child.join().unwrap();
                }
            })
        })
        .collect();
    let dumps = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                for line in dump().lines().filter(|line| line.starts_with("goroutine ") && line.contains("name")) {
                    let is_known =
                        ["short-lived", "con\\\"sumer", "a\\\"", "\"b\""].iter().any(|name| line.contains(name));
                    assert!(is_known, "{line}");
                }
                count += 1;
            }
            count
        }
    });
    churning.into_iter().for_each(|one| one.join().unwrap());
    stop.store(true, Ordering::Relaxed);
    assert!(dumps.join().unwrap() > 0);
}

#[test]
fn a_goroutine_that_waits_is_dumped_with_a_deep_stack() {
    #[inline(never)]
    fn deep(depth: u32) {
        let frame = std::hint::black_box([depth; 64]);
        if depth == 0 {
            lisle::park()
        } else {
            deep(depth - 1)
        }
        std::hint::black_box(frame);
    }
    let handle = go(|| deep(50));
    let text = part(handle.goroutine().id(), |text| text.contains("[park]"));
    assert!(text.matches("deep(...)").count() == 51, "{text}");
    handle.goroutine().unpark();
    handle.join().unwrap();
}

fn quit_myself() {
    // SAFETY: sends a signal to this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn sigquit_dumps_and_ends_with_status_2_even_if_all_workers_are_stuck() {
    let name = "sigquit_dumps_and_ends_with_status_2_even_if_all_workers_are_stuck";
    if let Some(output) = in_child(name, &[("LISLE_WORKERS", "1")]) {
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("SIGQUIT: quit\n\ngoroutine "), "{text}");
        assert!(text.contains("spin_for_ever(...)"), "{text}");
        return;
    }
    static SPINS: AtomicBool = AtomicBool::new(false);
    #[inline(never)]
    fn spin_for_ever() {
        loop {
            SPINS.store(true, Ordering::Relaxed);
        }
    }
    let _stuck = go(spin_for_ever);
    while !SPINS.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    quit_myself();
}

#[test]
fn sigquit_is_the_programs_if_it_asks_for_it() {
    if let Some(output) = in_child("sigquit_is_the_programs_if_it_asks_for_it", &[]) {
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    go(|| ()).join().unwrap();
    let quit = lisle::signal::notify(&[lisle::signal::SIGQUIT]).unwrap();
    // SAFETY: sends a signal to this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
    assert_eq!(quit.recv().unwrap(), lisle::signal::SIGQUIT);
}

#[test]
fn sigquit_keeps_its_default_action_on_demand() {
    if let Some(output) = in_child("sigquit_keeps_its_default_action_on_demand", &[("LISLE_SIGQUIT", "default")]) {
        assert_eq!(output.status.signal(), Some(libc::SIGQUIT), "{}", stderr(&output));
        return;
    }
    go(|| ()).join().unwrap();
    quit_myself();
}
