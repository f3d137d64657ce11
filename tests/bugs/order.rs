//! Atomicity and order violations: no data race, and still wrong.

pub(crate) mod lost_update {
    use lisle::scope;
    use lisle::sync::atomic::{AtomicUsize, Ordering};

    fn count(add: fn(&AtomicUsize)) {
        let counter = AtomicUsize::new(0);
        scope(|s| {
            s.go(|| add(&counter));
            s.go(|| add(&counter));
        });
        assert_eq!(counter.into_inner(), 2);
    }

    pub(crate) fn buggy() {
        count(|counter| counter.store(counter.load(Ordering::SeqCst) + 1, Ordering::SeqCst));
    }

    pub(crate) fn repaired() {
        count(|counter| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
    }
}

pub(crate) mod check_then_act {
    use lisle::scope;
    use lisle::sync::Mutex;
    use lisle::sync::atomic::{AtomicUsize, Ordering};
    use std::collections::BTreeMap;

    fn load(made: &AtomicUsize) -> u32 {
        made.fetch_add(1, Ordering::SeqCst);
        7
    }

    pub(crate) fn buggy() {
        let (cache, made) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let cached = cache.lock().unwrap().get("key").copied();
                    if cached.is_none() {
                        let value = load(&made);
                        cache.lock().unwrap().insert("key", value);
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1, "loaded twice");
    }

    pub(crate) fn repaired() {
        let (cache, made) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    cache.lock().unwrap().entry("key").or_insert_with(|| load(&made));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}

pub(crate) mod used_before_set {
    use lisle::go;
    use lisle::sync::{Mutex, OnceLock};
    use std::sync::Arc;

    pub(crate) fn buggy() {
        let config = Arc::new(Mutex::new(None));
        let worker = go({
            let config = Arc::clone(&config);
            move || config.lock().unwrap().expect("it is configured")
        });
        *config.lock().unwrap() = Some(7);
        assert_eq!(worker.join().unwrap(), 7);
    }

    pub(crate) fn repaired() {
        let config = Arc::new(OnceLock::new());
        let worker = go({
            let config = Arc::clone(&config);
            move || *config.wait()
        });
        config.set(7).unwrap();
        assert_eq!(worker.join().unwrap(), 7);
    }
}

pub(crate) mod add_in_goroutine {
    use lisle::go;
    use lisle::sync::WaitGroup;
    use lisle::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    pub(crate) fn buggy() {
        let (group, counted) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (group, counted) = (group.clone(), Arc::clone(&counted));
            go(move || {
                group.add(1);
                counted.fetch_add(1, Ordering::SeqCst);
                group.done();
            });
        }
        group.wait();
        assert_eq!(counted.load(Ordering::SeqCst), 2, "not waited for");
    }

    pub(crate) fn repaired() {
        let (group, counted) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            group.add(1);
            let (group, counted) = (group.clone(), Arc::clone(&counted));
            go(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                group.done();
            });
        }
        group.wait();
        assert_eq!(counted.load(Ordering::SeqCst), 2);
    }
}

pub(crate) mod if_for_while {
    use lisle::scope;
    use lisle::sync::{Condvar, Mutex};

    pub(crate) fn buggy() {
        let (queue, changed) = (Mutex::new(Vec::new()), Condvar::new());
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let mut queue = queue.lock().unwrap();
                    if queue.is_empty() {
                        queue = changed.wait(queue).unwrap();
                    }
                    assert_eq!(queue.pop(), Some(1), "nothing is there");
                });
            }
            for _ in 0..2 {
                s.go(|| {
                    queue.lock().unwrap().push(1);
                    changed.notify_all();
                });
            }
        });
    }

    pub(crate) fn repaired() {
        let (queue, changed) = (Mutex::new(Vec::new()), Condvar::new());
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let queue = queue.lock().unwrap();
                    let mut queue = changed.wait_while(queue, |queue| queue.is_empty()).unwrap();
                    assert_eq!(queue.pop(), Some(1));
                });
            }
            for _ in 0..2 {
                s.go(|| {
                    queue.lock().unwrap().push(1);
                    changed.notify_all();
                });
            }
        });
    }
}

pub(crate) mod transfer_in_two_steps {
    use lisle::scope;
    use lisle::sync::Mutex;

    pub(crate) fn buggy() {
        let (a, b) = (Mutex::new(5), Mutex::new(5));
        scope(|s| {
            s.go(|| {
                *a.lock().unwrap() -= 1;
                *b.lock().unwrap() += 1;
            });
            s.go(|| {
                let total = *a.lock().unwrap() + *b.lock().unwrap();
                assert_eq!(total, 10, "money is missing");
            });
        });
    }

    pub(crate) fn repaired() {
        let accounts = Mutex::new((5, 5));
        scope(|s| {
            s.go(|| {
                let mut accounts = accounts.lock().unwrap();
                accounts.0 -= 1;
                accounts.1 += 1;
            });
            s.go(|| {
                let (a, b) = *accounts.lock().unwrap();
                assert_eq!(a + b, 10);
            });
        });
    }
}

/// A list of free places. `head` names the first one, `next` the one behind each.
pub(crate) mod aba {
    use lisle::scope;
    use lisle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    const NONE: usize = 9;

    struct FreeList {
        head: AtomicUsize,
        next: [AtomicUsize; 2],
        used: [AtomicUsize; 2],
        /// Counts changes of the head, in its upper digits; 0: it does not.
        step: usize,
    }

    impl FreeList {
        fn new(step: usize) -> Self {
            let next = [AtomicUsize::new(1), AtomicUsize::new(NONE)];
            Self { head: AtomicUsize::new(0), next, used: Default::default(), step }
        }

        fn take(&self) -> Option<usize> {
            loop {
                let head = self.head.load(SeqCst);
                let place = head % 10;
                if place == NONE {
                    return None;
                }
                let next = self.next[place].load(SeqCst);
                if self.head.compare_exchange(head, self.changed(head, next), SeqCst, SeqCst).is_ok() {
                    assert_eq!(self.used[place].fetch_add(1, SeqCst), 0, "a place was given away twice");
                    return Some(place);
                }
            }
        }

        fn give_back(&self, place: usize) {
            self.used[place].fetch_sub(1, SeqCst);
            loop {
                let head = self.head.load(SeqCst);
                self.next[place].store(head % 10, SeqCst);
                if self.head.compare_exchange(head, self.changed(head, place), SeqCst, SeqCst).is_ok() {
                    return;
                }
            }
        }

        fn changed(&self, head: usize, first: usize) -> usize {
            head / 10 * 10 + 10 * self.step + first
        }
    }

    fn run(step: usize) {
        let free = FreeList::new(step);
        scope(|s| {
            s.go(|| {
                free.take();
                free.take();
            });
            s.go(|| {
                let (a, _b) = (free.take(), free.take());
                a.into_iter().for_each(|a| free.give_back(a));
            });
        });
    }

    pub(crate) fn buggy() {
        run(0);
    }

    pub(crate) fn repaired() {
        run(1);
    }
}

pub(crate) mod try_lock_dropped {
    use lisle::scope;
    use lisle::sync::Mutex;

    pub(crate) fn buggy() {
        let log = Mutex::new(0);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    if let Ok(mut log) = log.try_lock() {
                        *log += 1;
                    }
                });
            }
        });
        assert_eq!(log.into_inner().unwrap(), 2, "an entry was dropped");
    }

    pub(crate) fn repaired() {
        let log = Mutex::new(0);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| *log.lock().unwrap() += 1);
            }
        });
        assert_eq!(log.into_inner().unwrap(), 2);
    }
}
