//! Bugs around channels, contexts and time.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Kubernetes (figure 1 of Tu et al.): the answer comes after the timeout, and nobody takes it.
pub(crate) mod nobody_receives {
    use super::SECOND;
    use lisle::channel::{after, bounded};
    use lisle::time::sleep;
    use lisle::{go, select};

    fn request(capacity: usize) -> Option<u32> {
        let (sender, receiver) = bounded(capacity);
        // In Go a channel is not closed because its receiver has gone: so it is kept open here.
        let kept = receiver.clone();
        go(move || {
            sleep(2 * SECOND);
            sender.send(1).unwrap();
            drop(kept);
        });
        select! {
            recv(receiver) -> answer => answer.ok(),
            recv(after(SECOND)) -> _ => None,
        }
    }

    pub(crate) fn buggy() {
        assert_eq!(request(0), None);
        sleep(5 * SECOND);
    }

    pub(crate) fn repaired() {
        assert_eq!(request(1), None);
        sleep(5 * SECOND);
    }
}

pub(crate) mod nobody_closes {
    use lisle::channel::unbounded;
    use lisle::scope;

    fn sum(keeps_sender: bool) {
        let (sender, receiver) = unbounded();
        scope(|s| {
            for i in 0..2 {
                let sender = sender.clone();
                s.go(move || sender.send(i).unwrap());
            }
            let kept = keeps_sender.then_some(sender);
            assert_eq!(receiver.iter().sum::<i32>(), 1);
            drop(kept);
        });
    }

    pub(crate) fn buggy() {
        sum(true);
    }

    pub(crate) fn repaired() {
        sum(false);
    }
}

/// Boltdb (figure 7 of Tu et al.): one side has the lock and waits for the message, the other the other way round.
pub(crate) mod send_under_lock {
    use lisle::channel::bounded;
    use lisle::scope;
    use lisle::sync::Mutex;

    pub(crate) fn buggy() {
        let (state, (sender, receiver)) = (Mutex::new(0), bounded(0));
        scope(|s| {
            s.go(|| {
                let mut state = state.lock().unwrap();
                *state += 1;
                sender.send(*state).unwrap();
            });
            s.go(|| {
                let _state = state.lock().unwrap();
                receiver.recv().unwrap();
            });
        });
    }

    pub(crate) fn repaired() {
        let (state, (sender, receiver)) = (Mutex::new(0), bounded(0));
        scope(|s| {
            s.go(|| {
                let now = {
                    let mut state = state.lock().unwrap();
                    *state += 1;
                    *state
                };
                sender.send(now).unwrap();
            });
            s.go(|| {
                receiver.recv().unwrap();
                assert_eq!(*state.lock().unwrap(), 1);
            });
        });
    }
}

pub(crate) mod both_send_first {
    use lisle::channel::bounded;
    use lisle::scope;

    fn exchange(capacity: usize) {
        let (to_b, from_a) = bounded(capacity);
        let (to_a, from_b) = bounded(capacity);
        scope(|s| {
            s.go(|| {
                to_b.send("a").unwrap();
                assert_eq!(from_b.recv(), Ok("b"));
            });
            s.go(|| {
                to_a.send("b").unwrap();
                assert_eq!(from_a.recv(), Ok("a"));
            });
        });
    }

    pub(crate) fn buggy() {
        exchange(0);
    }

    pub(crate) fn repaired() {
        exchange(1);
    }
}

pub(crate) mod results_unread {
    use lisle::channel::bounded;
    use lisle::sync::WaitGroup;

    fn run(waits_first: bool) {
        let (group, (results, receiver)) = (WaitGroup::new(), bounded(1));
        for i in 0..2 {
            let results = results.clone();
            group.go(move || results.send(i).unwrap());
        }
        drop(results);
        if waits_first {
            group.wait();
        }
        assert_eq!(receiver.iter().sum::<i32>(), 1);
        group.wait();
    }

    pub(crate) fn buggy() {
        run(true);
    }

    pub(crate) fn repaired() {
        run(false);
    }
}

/// A progress report that nobody has to listen to.
pub(crate) mod default_forgotten {
    use lisle::channel::{Sender, bounded};
    use lisle::{go, select};

    fn run(report: fn(&Sender<u32>, u32)) {
        let (progress, listener) = bounded(1);
        let worker = go(move || {
            for percent in [50, 100] {
                report(&progress, percent);
            }
        });
        // It looks once, and then does something else, but keeps the channel.
        let _ = listener.try_recv();
        std::mem::forget((listener, worker));
    }

    pub(crate) fn buggy() {
        run(|progress, percent| progress.send(percent).unwrap());
    }

    pub(crate) fn repaired() {
        run(|progress, percent| {
            select! {
                send(progress, percent) -> sent => sent.unwrap(),
                default => {}
            }
        });
    }
}

pub(crate) mod context_ignored {
    use lisle::channel::unbounded;
    use lisle::{context, go};

    fn run(looks: bool) {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let (requests, inbox) = unbounded::<u32>();
        go(move || if looks { while ctx.recv(&inbox).is_ok() {} } else { while inbox.recv().is_ok() {} });
        requests.send(1).unwrap();
        cancel.cancel();
        // Somebody else keeps the sender, as a registry would.
        std::mem::forget(requests);
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

/// Docker (figure 10 of Tu et al.). A channel of Go's is closed by a call, which panics the second time; here the last
/// sender lies in a place from which it is taken.
pub(crate) mod close_twice {
    use lisle::channel::{Sender, bounded};
    use lisle::scope;
    use lisle::sync::{Mutex, Once};

    fn close(place: &Mutex<Option<Sender<()>>>) {
        let sender = place.lock().unwrap().take();
        drop(sender.expect("close of closed channel"));
    }

    fn is_open(place: &Mutex<Option<Sender<()>>>) -> bool {
        place.lock().unwrap().is_some()
    }

    pub(crate) fn buggy() {
        let (sender, _receiver) = bounded(0);
        let place = Mutex::new(Some(sender));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    if is_open(&place) {
                        close(&place);
                    }
                });
            }
        });
    }

    pub(crate) fn repaired() {
        let (sender, _receiver) = bounded(0);
        let (place, once) = (Mutex::new(Some(sender)), Once::new());
        scope(|s| {
            for _ in 0..2 {
                s.go(|| once.call_once(|| close(&place)));
            }
        });
    }
}

pub(crate) mod send_after_close {
    use lisle::channel::bounded;
    use lisle::scope;
    use lisle::sync::Mutex;
    use lisle::sync::atomic::{AtomicBool, Ordering};

    pub(crate) fn buggy() {
        let (sender, _receiver) = bounded(1);
        let (place, closed) = (Mutex::new(Some(sender)), AtomicBool::new(false));
        scope(|s| {
            s.go(|| {
                if !closed.load(Ordering::SeqCst) {
                    let sender = place.lock().unwrap().clone();
                    sender.expect("send on closed channel").send(1).unwrap();
                }
            });
            s.go(|| {
                closed.store(true, Ordering::SeqCst);
                drop(place.lock().unwrap().take());
            });
        });
    }

    pub(crate) fn repaired() {
        let (sender, _receiver) = bounded(1);
        let place = Mutex::new(Some(sender));
        scope(|s| {
            s.go(|| {
                if let Some(sender) = &*place.lock().unwrap() {
                    sender.try_send(1).unwrap();
                }
            });
            s.go(|| drop(place.lock().unwrap().take()));
        });
    }
}

/// Figure 11 of Tu et al.: when both are ready, a select takes either.
pub(crate) mod select_ignores_stop {
    use lisle::channel::unbounded;
    use lisle::sync::atomic::{AtomicBool, Ordering};
    use lisle::{scope, select, select_biased};

    fn run(biased: bool) {
        let (work, jobs) = unbounded();
        let (stop, stopped) = unbounded();
        let told = AtomicBool::new(false);
        scope(|s| {
            s.go(|| {
                told.store(true, Ordering::SeqCst);
                stop.send(()).unwrap();
            });
            work.send(()).unwrap();
            let asked_to_stop = told.load(Ordering::SeqCst) && !stopped.is_empty();
            let did = if biased {
                select_biased! {
                    recv(stopped) -> _ => false,
                    recv(jobs) -> _ => true,
                }
            } else {
                select! {
                    recv(stopped) -> _ => false,
                    recv(jobs) -> _ => true,
                }
            };
            assert!(!(asked_to_stop && did), "work was done after the stop");
        });
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

pub(crate) mod last_message_lost {
    use lisle::channel::unbounded;
    use lisle::sync::atomic::{AtomicBool, Ordering};
    use lisle::{scope, yield_now};

    pub(crate) fn buggy() {
        let ((sender, receiver), finished) = (unbounded(), AtomicBool::new(false));
        let received = scope(|s| {
            s.go(|| {
                sender.send(1).unwrap();
                finished.store(true, Ordering::SeqCst);
            });
            let mut received = 0;
            while !finished.load(Ordering::SeqCst) {
                received += receiver.try_iter().count();
                yield_now();
            }
            received
        });
        assert_eq!(received, 1, "a message was lost");
    }

    pub(crate) fn repaired() {
        let (sender, receiver) = unbounded();
        let received = scope(|s| {
            s.go(move || sender.send(1).unwrap());
            receiver.iter().count()
        });
        assert_eq!(received, 1);
    }
}

/// Chabbi and Ramanathan, "mixed use of message passing and shared memory": a future with a timeout.
pub(crate) mod late_result {
    use super::SECOND;
    use lisle::channel::bounded;
    use lisle::go;
    use lisle::race::Cell;
    use lisle::time::sleep;
    use std::sync::Arc;

    pub(crate) fn buggy() {
        let (result, (sender, receiver)) = (Arc::new(Cell::new(0)), bounded(1));
        let future = Arc::clone(&result);
        let worker = go(move || {
            sleep(SECOND);
            future.set(7);
            let _ = sender.send(());
        });
        let _ = receiver.recv_timeout(SECOND);
        result.get(); // whether or not there is a result
        worker.join().unwrap();
    }

    pub(crate) fn repaired() {
        let (sender, receiver) = bounded(1);
        let worker = go(move || {
            sleep(SECOND);
            let _ = sender.send(7);
        });
        if let Ok(result) = receiver.recv_timeout(SECOND) {
            assert_eq!(result, 7);
        }
        worker.join().unwrap();
    }
}
