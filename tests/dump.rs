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
    let origin = text.lines().rev().nth(1).unwrap();
    assert!(origin.starts_with("created by dump::a_waiting_goroutine_shows_reason"), "{text}");
    assert!(origin.ends_with(&format!("}} in goroutine {creator_id}")), "by a closure: {text}");
    assert!(text.ends_with(&format!("\n\ttests/dump.rs:{line}")), "{text}");
    drop(sender);
    waiting.join().unwrap();
    // It ends a little after `join` has its result.
    until(|| (!dump().contains(&format!("goroutine {id} ["))).then_some(()));
}

fn waits() {
    lisle::park();
}

#[inline(never)]
fn starts_a_function() -> (lisle::Goroutine, u32) {
    (go(waits).goroutine(), line!())
}

#[inline(always)]
fn starts_one_and_is_inlined() -> (lisle::Goroutine, u32) {
    let line = line!() + 4;
    #[rustfmt::skip]
    let started = Builder::new()
        .name("by a builder")
        .go(waits);
    (started.unwrap().goroutine(), line)
}

#[inline(never)]
fn starts_anything<T: Send + 'static>(value: T) -> (lisle::Goroutine, u32) {
    let keeps = move || {
        lisle::park();
        drop(value);
    };
    (lisle::go(keeps).goroutine(), line!())
}

#[track_caller]
fn starts_in_the_name_of_its_caller() -> lisle::Goroutine {
    go(|| lisle::park()).goroutine()
}

#[inline(never)]
fn calls_one_that_does() -> (lisle::Goroutine, u32) {
    (starts_in_the_name_of_its_caller(), line!())
}

#[test]
fn a_goroutine_names_the_function_that_created_it() {
    let started = [
        ("dump::starts_a_function", starts_a_function()),
        ("dump::starts_one_and_is_inlined", starts_one_and_is_inlined()),
        ("dump::starts_anything", starts_anything(7_u8)),
        ("dump::calls_one_that_does", calls_one_that_does()),
    ];
    for (function, (goroutine, line)) in started {
        let text = part(goroutine.id(), |text| text.contains("[park"));
        let mut origin = text.lines().skip_while(|line| !line.starts_with("created by "));
        assert!(origin.next().unwrap().starts_with(&format!("created by {function}")), "{text}");
        assert_eq!(origin.next().unwrap(), format!("\ttests/dump.rs:{line}"), "{text}");
        goroutine.unpark();
    }
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
    assert!(found[0]["scope"].is_number() && found[0]["scope"] == found[1]["scope"], "{found:?}");
    assert_eq!(found[0]["complete"], true);
    let stack = found[0]["stack"].as_array().unwrap();
    assert!(stack.iter().any(|frame| frame["function"].as_str().unwrap().ends_with("receive")), "{stack:?}");
    drop(sender);
    outer.join().unwrap();
}

/// The scopes in a dump, by the line where they were opened.
fn scopes_by_line(json: &serde_json::Value) -> std::collections::HashMap<u32, serde_json::Value> {
    let scopes = json["scopes"].as_array().unwrap();
    let line = |scope: &serde_json::Value| {
        let (file, line) = scope["opened_at"].as_str().unwrap().split_once(':').unwrap();
        (file == "tests/dump.rs").then(|| line.parse().unwrap())
    };
    scopes.iter().filter_map(|scope| Some((line(scope)?, scope.clone()))).collect()
}

#[test]
fn nested_scopes_are_told_as_a_tree() {
    let (sender, receiver) = channel::bounded::<u32>(0);
    let first = line!() + 2;
    let owner = go(move || {
        lisle::scope(|outer| {
            let receiver = &receiver;
            outer.go(move || {
                lisle::scope(|inner| drop(inner.go(|| receive(receiver))));
            });
            lisle::scope(|_empty| {
                lisle::scope(|beside| drop(beside.go(|| receive(receiver))));
            });
        });
    });
    let [outer, inner, empty, beside] = [first, first + 3, first + 5, first + 6];
    let (json, scopes) = until(|| {
        let json: serde_json::Value = serde_json::from_str(&dump_as(Format::Json)).unwrap();
        let scopes = scopes_by_line(&json);
        // A scope is there before its goroutine, and a goroutine counts as the scope's before it has started.
        let all = json["goroutines"].as_array().unwrap();
        let waits = |id: &serde_json::Value| all.iter().any(|one| one["id"] == *id && one["reason"] == "chan receive");
        let has_one_that_waits = |line| waits(&scopes.get(line)?["goroutines"][0]).then_some(());
        let are_all_there = scopes.contains_key(&outer) && scopes.contains_key(&empty);
        let members = [&inner, &beside].into_iter().all(|line| has_one_that_waits(line).is_some());
        (are_all_there && members).then_some((json, scopes))
    });
    let of = |line: u32| &scopes[&line];
    let id = owner.goroutine().id();
    assert_eq!(of(outer)["owner"], id);
    assert!(of(outer)["parent"].is_null());
    assert_eq!(of(inner)["parent"], of(outer)["id"], "opened by a goroutine of the outer one");
    assert_eq!(of(inner)["owner"], of(outer)["goroutines"][0]);
    assert_eq!(of(empty)["parent"], of(outer)["id"], "opened by the owner of the outer one");
    assert_eq!((&of(empty)["owner"], &of(empty)["goroutines"]), (&id.into(), &serde_json::json!([])));
    assert_eq!(of(beside)["parent"], of(empty)["id"]);
    let member = &of(beside)["goroutines"][0];
    let all = json["goroutines"].as_array().unwrap();
    let member = all.iter().find(|one| one["id"] == *member).unwrap();
    assert_eq!((&member["scope"], &member["creator"]), (&of(beside)["id"], &id.into()));
    let order = |line: u32| json["scopes"].as_array().unwrap().iter().position(|scope| scope == of(line)).unwrap();
    assert!(order(outer) < order(inner) && order(outer) < order(empty) && order(empty) < order(beside));
    drop(sender);
    owner.join().unwrap();
}

#[test]
#[cfg_attr(
    feature = "sanitizer",
    ignore = "there goroutine objects lie where the sanitizer wants them, and are only counted"
)]
fn goroutines_that_have_not_started_are_shown_with_what_they_will_run() {
    const COUNT: usize = 3;
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let runtime = common::one_worker();
    let creator = runtime.go({
        let stop = Arc::clone(&stop);
        move || {
            let start = || Builder::new().name("later").go_local(waits).unwrap();
            let later: Vec<_> = with_labels(&[("k", "v")], || (0..COUNT).map(|_| start()).collect());
            tell.send(later.iter().map(|one| one.goroutine()).collect::<Vec<_>>()).unwrap();
            // Its worker's thread is taken: they can start nowhere.
            spin(&stop);
            later.into_iter().for_each(|one| one.join().unwrap());
        }
    });
    let later = told.recv().unwrap();
    for goroutine in &later {
        let text = part(goroutine.id(), |_| true);
        let header = format!("goroutine {} [runnable, not started, name \"later\", labels {{k:v}}]:", goroutine.id());
        assert!(text.starts_with(&header), "{text}");
        assert!(text.contains("it will run dump::waits\n"), "{text}");
        assert!(text.contains(&format!(" in goroutine {}\n\ttests/dump.rs:", creator.goroutine().id())), "{text}");
    }
    let folded = dump_as(Format::Folded);
    assert!(folded.contains(&format!("{COUNT} goroutines [runnable, not started]")), "{folded}");
    let json: serde_json::Value = serde_json::from_str(&dump_as(Format::Json)).unwrap();
    let all = json["goroutines"].as_array().unwrap();
    assert!(all.iter().any(|one| one["id"] == later[0].id() && one["state"] == "unstarted"));
    stop.store(true, Ordering::Relaxed);
    for goroutine in later {
        part(goroutine.id(), |text| text.contains("[park"));
        goroutine.unpark();
    }
    creator.join().unwrap();
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
                    let is_known = ["short-lived", "con\\\"sumer", "a\\\"", "\"b\"", "later", "by a builder"]
                        .iter()
                        .any(|name| line.contains(name));
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
    // A sanitizer makes frames many times as large.
    let handle = Builder::new().stack_size(1 << 20).go(|| deep(50)).unwrap();
    let text = part(handle.goroutine().id(), |text| text.contains("[park]"));
    assert!(text.matches("deep(...)").count() == 51, "{text}");
    handle.goroutine().unpark();
    handle.join().unwrap();
}

/// What the JSON form says of a goroutine, once it is so.
fn json_of(id: u64, is_right: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    until(|| {
        let json: serde_json::Value = serde_json::from_str(&dump_as(Format::Json)).unwrap();
        let all = json["goroutines"].as_array().unwrap();
        all.iter().find(|one| one["id"] == id && is_right(one)).cloned()
    })
}

#[test]
fn a_wait_is_not_older_than_its_goroutine_on_a_thread_that_had_others_before() {
    let runtime = common::one_worker();
    let own_thread = || Builder::new().own_thread(true);
    for _ in 0..3 {
        let before =
            own_thread().go_on(&runtime, || (0..20).for_each(|_| lisle::time::sleep(Duration::from_millis(20))));
        before.unwrap().join().unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    let start = Instant::now();
    let waits = own_thread().go_on(&runtime, || lisle::park()).unwrap();
    let json = json_of(waits.goroutine().id(), |one| one["reason"] == "park");
    let waited = json["waited_seconds"].as_u64().unwrap();
    assert!(waited <= start.elapsed().as_secs(), "{json}");
    waits.goroutine().unpark();
    waits.join().unwrap();
}

#[test]
fn a_goroutine_that_waits_on_a_stack_not_its_own_does_not_pass_for_whole() {
    let handle = go(|| stacker::grow(256 * 1024, || lisle::park()));
    let id = handle.goroutine().id();
    let json = json_of(id, |one| one["reason"] == "park");
    assert!(json["complete"] == false && json["keeps_thread"].is_string(), "{json}");
    let text = part(id, |text| text.contains("[park"));
    assert!(text.contains("the rest of the stack could not be read"), "{text}");
    handle.goroutine().unpark();
    handle.join().unwrap();
}

#[test]
fn a_panic_hook_dumps() {
    if let Some(output) = in_child("a_panic_hook_dumps", &[]) {
        let text = stderr(&output);
        assert!(output.status.success() && text.contains("panics_here(...)"), "{text}");
        return;
    }
    #[inline(never)]
    fn panics_here() {
        panic!("on purpose");
    }
    std::panic::set_hook(Box::new(|_| eprintln!("{}", dump())));
    assert!(go(panics_here).join().is_err());
}

#[test]
fn a_goroutine_dumps_while_it_holds_locks_and_while_it_writes_a_dump() {
    struct Nested(Vec<u8>);
    impl std::io::Write for Nested {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                self.0.extend(dump().as_bytes());
            }
            self.0.extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let holds = go(|| {
        let lock = lisle::sync::Mutex::new(());
        let table = lisle::sync::RwLock::new(());
        let (_guard, _read) = (lock.lock().unwrap(), table.read().unwrap());
        let stderr = std::io::stderr().lock();
        let mut nested = Nested(Vec::new());
        dump_to(&mut nested, Format::Text).unwrap();
        drop(stderr);
        String::from_utf8(nested.0).unwrap()
    });
    let id = holds.goroutine().id();
    let text = holds.join().unwrap();
    assert!(text.matches(&format!("goroutine {id} [running]:")).count() == 2, "{text}");
}

#[test]
fn a_signal_handler_is_told_why_there_is_no_dump() {
    if let Some(output) = in_child("a_signal_handler_is_told_why_there_is_no_dump", &[]) {
        let text = stderr(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("no dump from within a signal handler").count(), 5, "{text}");
        return;
    }
    static REFUSED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    extern "C" fn handle(_: libc::c_int) {
        let refused = dump_to(&mut std::io::sink(), Format::Text);
        if refused.is_err_and(|error| error.kind() == std::io::ErrorKind::Unsupported) {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
    }
    extern "C" fn handle_as_text(_: libc::c_int) {
        if dump().is_empty() {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let install = |handler: extern "C" fn(libc::c_int), flags| {
        // SAFETY: all-zero is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        // SAFETY: the handlers have the right signature, and do nothing that a handler may not.
        unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    };
    let raise = || {
        // SAFETY: a signal that has a handler.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert!(dump().contains("goroutine "), "outside of the handler there is one");
    };
    let on_goroutine = || go(raise).join().unwrap();
    let waits = go(|| lisle::park());
    // Else it may be on its way from those that have not started to those that have.
    until(|| dump().contains("[park").then_some(()));
    install(handle, 0);
    raise();
    on_goroutine();
    install(handle, libc::SA_ONSTACK);
    raise();
    on_goroutine();
    install(handle_as_text, 0);
    raise();
    assert_eq!(REFUSED.load(Ordering::Relaxed), 5);
    waits.goroutine().unpark();
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
