//! The models of `sched::life`: who owns a goroutine's result, and who frees it.

use super::model;
use crate::sched_models::life::Life;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use loom::thread;

/// A goroutine object: its life, and what that guards.
struct Living {
    life: Life,
    result: UnsafeCell<Option<usize>>,
    taken: AtomicUsize,
    freed: AtomicUsize,
}

impl Living {
    fn new() -> Arc<Self> {
        let result = UnsafeCell::new(None);
        Arc::new(Self { life: Life::new(), result, taken: AtomicUsize::new(0), freed: AtomicUsize::new(0) })
    }

    fn set_result(&self) {
        // SAFETY: before it has finished the result is the goroutine's; loom checks that.
        self.result.with_mut(|result| unsafe { *result = Some(7) });
    }

    fn take_result(&self) {
        // SAFETY: who is told so owns the result; loom checks that.
        assert_eq!(self.result.with_mut(|result| unsafe { (*result).take() }), Some(7));
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self) {
        if self.life.release() {
            self.free();
        }
    }

    fn free(&self) {
        // Whatever anybody did with it comes before.
        // SAFETY: nobody else has a reference; loom checks that.
        self.result.with_mut(|result| unsafe { *result = None });
        self.freed.fetch_add(1, Ordering::Relaxed);
    }

    /// The goroutine's end.
    fn end(&self, joiner_is_neighbour: bool) {
        self.set_result();
        let mut seen = self.life.look();
        while !seen.is_detached() {
            match self.life.finish(seen, joiner_is_neighbour && seen.has_joiner()) {
                Ok(()) => break,
                Err(now) => seen = now,
            }
        }
        if seen.is_detached() {
            self.take_result();
        }
        if !(joiner_is_neighbour && self.life.release_to_neighbour()) {
            self.release();
        }
    }

    fn assert_over(&self, taken: usize) {
        assert_eq!(self.taken.load(Ordering::Relaxed), taken);
        assert_eq!(self.freed.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn life_gives_the_result_to_the_goroutine_or_to_the_handle_and_frees_once() {
    model(|| {
        let living = Living::new();
        living.life.add_reference();
        let ending = {
            let living = Arc::clone(&living);
            thread::spawn(move || living.end(false))
        };
        let waker = {
            let living = Arc::clone(&living);
            thread::spawn(move || living.release())
        };
        if !living.life.detach() {
            living.take_result();
            living.release();
        }
        ending.join().unwrap();
        waker.join().unwrap();
        living.assert_over(1);
    });
}

#[test]
fn life_that_is_waited_for_ends_with_the_joiner_whether_neighbour_or_not() {
    for neighbour in [false, true] {
        model(move || {
            let living = Living::new();
            living.life.add_reference();
            let waker = {
                let living = Arc::clone(&living);
                thread::spawn(move || living.release())
            };
            living.life.announce_joiner();
            let join = |living: &Living| {
                while !living.life.is_finished() {
                    thread::yield_now();
                }
                living.take_result();
                living.release();
            };
            if neighbour {
                // One after the other on one thread, as two goroutines of one worker.
                living.end(true);
                join(&living);
            } else {
                let joining = {
                    let living = Arc::clone(&living);
                    thread::spawn(move || join(&living))
                };
                living.end(false);
                joining.join().unwrap();
            }
            waker.join().unwrap();
            living.assert_over(1);
        });
    }
}

#[test]
fn life_of_a_fresh_goroutine_is_unshared_only_after_all_others_are_done_with_it() {
    model(|| {
        let living = Living::new();
        let handle = {
            let living = Arc::clone(&living);
            thread::spawn(move || {
                // SAFETY: as for a waker that comes before the start; loom checks that nobody is there meanwhile.
                living.result.with_mut(|result| unsafe { *result = Some(7) });
                assert!(living.life.detach());
            })
        };
        // (A loop, since loom takes a load before the other's load and exchange for independent of them.)
        while !living.life.is_unshared() {
            thread::yield_now();
        }
        living.take_result();
        handle.join().unwrap();
    });
}

/// Who ends a wait names the waiter afterwards by a reference that it took before (`WakeTarget::end_wait`). The waiter, which
/// is joined by a neighbour, ends at once.
#[test]
fn life_sees_the_reference_of_who_has_ended_its_wait() {
    model(|| {
        let living = Living::new();
        let verdict = Arc::new(AtomicBool::new(false));
        let waker = {
            let (living, verdict) = (Arc::clone(&living), Arc::clone(&verdict));
            thread::spawn(move || {
                living.life.add_reference();
                verdict.store(true, Ordering::Release);
                assert_eq!(living.freed.load(Ordering::Relaxed), 0);
                living.release();
            })
        };
        living.life.announce_joiner();
        while !verdict.load(Ordering::Acquire) {
            thread::yield_now();
        }
        living.end(true);
        assert!(living.life.is_finished());
        living.take_result();
        living.release();
        waker.join().unwrap();
        living.assert_over(1);
    });
}

/// The wake word beside the life, as `G::start` and `unpark` use them.
#[test]
fn life_of_a_fresh_goroutine_loses_no_token() {
    const STARTED: u8 = 1;
    const PENDING: u8 = 2;
    model(|| {
        let living = Living::new();
        living.life.add_reference();
        let wake = Arc::new(AtomicU8::new(0));
        let waker = {
            let (living, wake) = (Arc::clone(&living), Arc::clone(&wake));
            thread::spawn(move || {
                let before = wake.fetch_or(PENDING, Ordering::AcqRel);
                living.release();
                before & STARTED == 0
            })
        };
        let handle = {
            let living = Arc::clone(&living);
            thread::spawn(move || assert!(living.life.detach()))
        };
        let before = if living.life.is_unshared() {
            let before = wake.load(Ordering::Relaxed);
            wake.store(STARTED, Ordering::Release);
            before
        } else {
            wake.swap(STARTED, Ordering::AcqRel)
        };
        handle.join().unwrap();
        assert_eq!(before & PENDING != 0, waker.join().unwrap(), "a token is lost, or doubled");
        living.end(false);
        living.assert_over(1);
    });
}

/// `G::joiner` is read by who sees JOINER, at first or by failing to finish.
#[test]
fn life_with_a_joiner_says_who_it_is() {
    model(|| {
        let living = Living::new();
        let joiner = Arc::new(UnsafeCell::new(0_usize));
        let joining = {
            let (living, joiner) = (Arc::clone(&living), Arc::clone(&joiner));
            thread::spawn(move || {
                if !living.life.is_finished() {
                    // SAFETY: the handle's owner's until JOINER is set; loom checks that.
                    joiner.with_mut(|joiner| unsafe { *joiner = 5 });
                    living.life.announce_joiner();
                    while !living.life.is_finished() {
                        thread::yield_now();
                    }
                }
                living.take_result();
                living.release();
            })
        };
        living.set_result();
        let mut seen = living.life.look();
        loop {
            if seen.has_joiner() {
                // SAFETY: JOINER is set; loom checks that it has been written before.
                joiner.with(|joiner| assert_eq!(unsafe { *joiner }, 5));
            }
            match living.life.finish(seen, false) {
                Ok(()) => break,
                Err(now) => seen = now,
            }
        }
        living.release();
        joining.join().unwrap();
        living.assert_over(1);
    });
}
