//! Blocking bugs around locks and what is waited for.

/// Vault: a method that locks calls another one that does.
pub(crate) mod double_lock {
    use lisle::sync::Mutex;

    struct Account {
        balance: Mutex<i32>,
    }

    impl Account {
        fn balance(&self) -> i32 {
            *self.balance.lock().unwrap()
        }

        fn withdraw(&self, amount: i32) {
            let mut balance = self.balance.lock().unwrap();
            if self.balance() >= amount {
                *balance -= amount;
            }
        }

        fn withdraw_locking_once(&self, amount: i32) {
            let mut balance = self.balance.lock().unwrap();
            if *balance >= amount {
                *balance -= amount;
            }
        }
    }

    pub(crate) fn buggy() {
        Account { balance: Mutex::new(10) }.withdraw(3);
    }

    pub(crate) fn repaired() {
        let account = Account { balance: Mutex::new(10) };
        account.withdraw_locking_once(3);
        assert_eq!(account.balance(), 7);
    }
}

pub(crate) mod lock_order {
    use lisle::scope;
    use lisle::sync::Mutex;

    fn transfer(from: &Mutex<i32>, to: &Mutex<i32>) {
        let mut from = from.lock().unwrap();
        let mut to = to.lock().unwrap();
        *from -= 1;
        *to += 1;
    }

    pub(crate) fn buggy() {
        let (a, b) = (Mutex::new(5), Mutex::new(5));
        scope(|s| {
            s.go(|| transfer(&a, &b));
            s.go(|| transfer(&b, &a));
        });
    }

    pub(crate) fn repaired() {
        let (a, b) = (Mutex::new(5), Mutex::new(5));
        scope(|s| {
            s.go(|| transfer(&a, &b));
            s.go(|| {
                // The same order, whichever way the money goes.
                let (mut a, mut b) = (a.lock().unwrap(), b.lock().unwrap());
                *a += 1;
                *b -= 1;
            });
        });
        assert_eq!((a.into_inner().unwrap(), b.into_inner().unwrap()), (5, 5));
    }
}

/// Dijkstra's philosophers, three of them.
pub(crate) mod lock_cycle {
    use lisle::scope;
    use lisle::sync::Mutex;

    fn dine(seats: [(usize, usize); 3]) {
        let forks = [(); 3].map(|()| Mutex::new(()));
        scope(|s| {
            for (first, second) in seats {
                let (first, second) = (&forks[first], &forks[second]);
                s.go(move || {
                    let _first = first.lock().unwrap();
                    let _second = second.lock().unwrap();
                });
            }
        });
    }

    pub(crate) fn buggy() {
        dine([(0, 1), (1, 2), (2, 0)]);
    }

    pub(crate) fn repaired() {
        dine([(0, 1), (1, 2), (0, 2)]);
    }
}

/// As Go's `RWMutex`, lisle's lets no reader in while a writer waits.
pub(crate) mod recursive_read {
    use lisle::scope;
    use lisle::sync::RwLock;

    pub(crate) fn buggy() {
        let config = RwLock::new(1);
        scope(|s| {
            s.go(|| {
                let outer = config.read().unwrap();
                let inner = config.read().unwrap();
                assert_eq!(*outer, *inner);
            });
            s.go(|| *config.write().unwrap() += 1);
        });
    }

    pub(crate) fn repaired() {
        let config = RwLock::new(1);
        scope(|s| {
            s.go(|| {
                let only = config.read().unwrap();
                assert!(*only > 0);
            });
            s.go(|| *config.write().unwrap() += 1);
        });
    }
}

pub(crate) mod wait_under_lock {
    use lisle::sync::{Mutex, WaitGroup};
    use std::sync::Arc;

    fn work(waits_under_lock: bool) {
        let (log, group) = (Arc::new(Mutex::new(0)), WaitGroup::new());
        let worker = Arc::clone(&log);
        group.go(move || *worker.lock().unwrap() += 1);
        if waits_under_lock {
            let log = log.lock().unwrap();
            group.wait();
            drop(log);
        } else {
            group.wait();
            assert_eq!(*log.lock().unwrap(), 1);
        }
    }

    pub(crate) fn buggy() {
        work(true);
    }

    pub(crate) fn repaired() {
        work(false);
    }
}

pub(crate) mod done_forgotten {
    use lisle::go;
    use lisle::sync::WaitGroup;
    use lisle::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    /// Whether it fails depends on who comes first.
    fn step(taken: &AtomicBool) -> Result<(), ()> {
        if taken.swap(true, Ordering::SeqCst) { Err(()) } else { Ok(()) }
    }

    pub(crate) fn buggy() {
        let (group, taken) = (WaitGroup::new(), Arc::new(AtomicBool::new(false)));
        group.add(2);
        for _ in 0..2 {
            let (group, taken) = (group.clone(), Arc::clone(&taken));
            go(move || {
                step(&taken)?;
                group.done();
                Ok::<(), ()>(())
            });
        }
        group.wait();
    }

    pub(crate) fn repaired() {
        let (group, taken) = (WaitGroup::new(), Arc::new(AtomicBool::new(false)));
        for _ in 0..2 {
            let (guard, taken) = (group.guard(), Arc::clone(&taken));
            go(move || {
                let _done_at_the_end = guard;
                step(&taken)
            });
        }
        group.wait();
    }
}

/// Docker: the wait stood a line too high.
pub(crate) mod wait_in_loop {
    use lisle::go;
    use lisle::sync::WaitGroup;

    fn start(group: &WaitGroup) {
        let group = group.clone();
        go(move || group.done());
    }

    pub(crate) fn buggy() {
        let group = WaitGroup::new();
        group.add(2);
        for _ in 0..2 {
            start(&group);
            group.wait();
        }
    }

    pub(crate) fn repaired() {
        let group = WaitGroup::new();
        group.add(2);
        for _ in 0..2 {
            start(&group);
        }
        group.wait();
    }
}

pub(crate) mod lost_signal {
    use lisle::sync::{Condvar, Mutex};
    use lisle::{go, scope};
    use std::sync::Arc;

    pub(crate) fn buggy() {
        let pair = Arc::new((Mutex::new(()), Condvar::new()));
        let other = Arc::clone(&pair);
        go(move || other.1.notify_one());
        drop(pair.1.wait(pair.0.lock().unwrap()).unwrap());
    }

    pub(crate) fn repaired() {
        let (ready, changed) = (Mutex::new(false), Condvar::new());
        scope(|s| {
            s.go(|| {
                *ready.lock().unwrap() = true;
                changed.notify_one();
            });
            drop(changed.wait_while(ready.lock().unwrap(), |ready| !*ready).unwrap());
        });
    }
}

/// A buffer for one message, two that fill it and two that empty it, all waiting in one place.
pub(crate) mod signal_for_another {
    use lisle::scope;
    use lisle::sync::{Condvar, Mutex};

    fn run(notify: fn(&Condvar)) {
        let (full, changed) = (Mutex::new(false), Condvar::new());
        let turn = |to: bool| {
            let mut full = full.lock().unwrap();
            while *full == to {
                full = changed.wait(full).unwrap();
            }
            *full = to;
            notify(&changed);
        };
        scope(|s| {
            for to in [false, false, true, true] {
                s.go(move || turn(to));
            }
        });
    }

    pub(crate) fn buggy() {
        run(Condvar::notify_one);
    }

    pub(crate) fn repaired() {
        run(Condvar::notify_all);
    }
}

pub(crate) mod barrier_one_short {
    use lisle::scope;
    use lisle::sync::Barrier;
    use lisle::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) fn buggy() {
        let (barrier, attempts) = (Barrier::new(3), AtomicUsize::new(0));
        scope(|s| {
            for _ in 0..3 {
                s.go(|| {
                    if attempts.fetch_add(1, Ordering::SeqCst) == 2 {
                        return; // the third has nothing to do
                    }
                    barrier.wait();
                });
            }
        });
    }

    pub(crate) fn repaired() {
        let (barrier, attempts) = (Barrier::new(3), AtomicUsize::new(0));
        scope(|s| {
            for _ in 0..3 {
                s.go(|| {
                    attempts.fetch_add(1, Ordering::SeqCst);
                    barrier.wait();
                });
            }
        });
    }
}

pub(crate) mod permits_in_parts {
    use lisle::scope;
    use lisle::sync::Semaphore;

    pub(crate) fn buggy() {
        let memory = Semaphore::new(2);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let _first = memory.acquire(1);
                    let _second = memory.acquire(1);
                });
            }
        });
    }

    pub(crate) fn repaired() {
        let memory = Semaphore::new(2);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| drop(memory.acquire(2)));
            }
        });
    }
}

pub(crate) mod once_within_once {
    use lisle::sync::OnceLock;

    pub(crate) fn buggy() {
        let value = OnceLock::new();
        value.get_or_init(|| 1 + *value.get_or_init(|| 1));
    }

    pub(crate) fn repaired() {
        let (value, part) = (OnceLock::new(), OnceLock::new());
        assert_eq!(*value.get_or_init(|| 1 + *part.get_or_init(|| 1)), 2);
    }
}
