//! What a runtime says of itself in numbers.

mod common;

use common::{in_child, stderr};
use lisle::{channel, go};

#[test]
fn metrics_count_what_goroutines_did() {
    let runtime = common::one_worker();
    let before = runtime.metrics();
    runtime.run(|| {
        let (sender, receiver) = channel::bounded::<u32>(0);
        let waiter = go(move || receiver.iter().count());
        for n in 0..10 {
            sender.send(n).unwrap();
        }
        drop(sender);
        assert_eq!(waiter.join().unwrap(), 10);
        lisle::yield_now();
    });
    common::wait_until_empty(&runtime);
    // Who has ended gives its stack back a little later.
    common::until(|| runtime.metrics().started == 0 && runtime.metrics().running == 0);
    let after = runtime.metrics();
    assert_eq!(after.created - before.created, 2);
    assert!(after.parks - before.parks >= 10, "each of ten messages was waited for: {after:?}");
    assert_eq!(after.yields - before.yields, 1);
    assert!(after.slices > after.parks, "{after:?}");
    assert_eq!((after.goroutines, after.started, after.running), (0, 0, 0));
    assert_eq!((after.workers, after.configured_workers, after.per_worker.len()), (1, 1, 1));
    assert!(after.to_string().starts_with("workers=1 "), "{after}");
}

#[test]
fn what_ended_workers_have_counted_is_not_forgotten() {
    let runtime = common::one_worker();
    let before = runtime.metrics().slices;
    for _ in 0..3 {
        let builder = lisle::Builder::new().own_thread(true);
        builder.go_on(&runtime, lisle::yield_now).unwrap().join().unwrap();
    }
    common::until(|| runtime.metrics().own_threads == 0);
    assert!(runtime.metrics().slices >= before + 3);
}

#[test]
fn schedtrace_prints_a_line_at_once_and_others_from_time_to_time() {
    let test = "schedtrace_prints_a_line_at_once_and_others_from_time_to_time";
    if let Some(output) = in_child(test, &[("LISLE_DEBUG", "schedtrace=5"), ("LISLE_WORKERS", "2")]) {
        let text = stderr(&output);
        assert!(output.status.success(), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("SCHED ")).collect();
        assert!(lines.len() >= 3 && lines.iter().all(|line| line.contains("ms: workers=2 ")), "{text}");
        assert!(lines.iter().any(|line| line.contains(" goroutines=3 ")), "{text}");
        return;
    }
    let waiters: Vec<_> = (0..3).map(|_| go(lisle::park)).collect();
    // Until lines were printed that tell of them: nobody here can read what was written.
    std::thread::sleep(std::time::Duration::from_millis(500));
    waiters.iter().for_each(|waiter| waiter.goroutine().unpark());
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}
