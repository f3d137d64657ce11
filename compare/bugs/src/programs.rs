//! The bugs of lisle's corpus (`tests/bugs/`) that can be written down for `loom` and `shuttle`, too: one source, three
//! times, each with the locks, atomics and threads of one of the three.

/// Makes the programs, of what the module `prelude` beside them has.
macro_rules! programs {
    () => {
        use self::prelude::*;
        use std::sync::Arc;

        fn two(f: impl Fn(usize) + Clone + Send + Sync + 'static) {
            let both = [0, 1].map(|i| {
                let f = f.clone();
                spawn(move || f(i))
            });
            for one in both {
                join(one);
            }
        }

        pub fn double_lock() {
            let lock = Mutex::new(0);
            let once = lock.lock().unwrap();
            let twice = lock.lock().unwrap();
            drop((once, twice));
        }

        pub fn lock_order() {
            let locks = Arc::new([Mutex::new(0), Mutex::new(0)]);
            two(move |i| {
                let _first = locks[i].lock().unwrap();
                let _second = locks[1 - i].lock().unwrap();
            });
        }

        pub fn lock_cycle() {
            let forks = Arc::new([Mutex::new(0), Mutex::new(0), Mutex::new(0)]);
            let all = [0, 1, 2].map(|i| {
                let forks = Arc::clone(&forks);
                spawn(move || {
                    let _first = forks[i].lock().unwrap();
                    let _second = forks[(i + 1) % 3].lock().unwrap();
                })
            });
            for one in all {
                join(one);
            }
        }

        pub fn lost_signal() {
            let pair = Arc::new((Mutex::new(()), Condvar::new()));
            let other = Arc::clone(&pair);
            let notifier = spawn(move || other.1.notify_one());
            drop(pair.1.wait(pair.0.lock().unwrap()).unwrap());
            join(notifier);
        }

        pub fn signal_for_another() {
            let state = Arc::new((Mutex::new(false), Condvar::new()));
            let turn = |to: bool| {
                let state = Arc::clone(&state);
                spawn(move || {
                    let mut full = state.0.lock().unwrap();
                    while *full == to {
                        full = state.1.wait(full).unwrap();
                    }
                    *full = to;
                    state.1.notify_one();
                })
            };
            for one in [turn(false), turn(false), turn(true), turn(true)] {
                join(one);
            }
        }

        pub fn if_for_while() {
            let state = Arc::new((Mutex::new(0), Condvar::new()));
            let consumer = || {
                let state = Arc::clone(&state);
                spawn(move || {
                    let mut count = state.0.lock().unwrap();
                    if *count == 0 {
                        count = state.1.wait(count).unwrap();
                    }
                    assert!(*count > 0, "nothing is there");
                    *count -= 1;
                })
            };
            let producer = || {
                let state = Arc::clone(&state);
                spawn(move || {
                    *state.0.lock().unwrap() += 1;
                    state.1.notify_all();
                })
            };
            for one in [consumer(), consumer(), producer(), producer()] {
                join(one);
            }
        }

        pub fn lost_update() {
            let counter = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&counter);
            two(move |_| count.store(count.load(SeqCst) + 1, SeqCst));
            assert_eq!(counter.load(SeqCst), 2);
        }

        pub fn check_then_act() {
            let state = Arc::new((Mutex::new(false), AtomicUsize::new(0)));
            let shared = Arc::clone(&state);
            two(move |_| {
                let is_there = *shared.0.lock().unwrap();
                if !is_there {
                    shared.1.fetch_add(1, SeqCst);
                    *shared.0.lock().unwrap() = true;
                }
            });
            assert_eq!(state.1.load(SeqCst), 1);
        }

        pub fn used_before_set() {
            let config = Arc::new(Mutex::new(None));
            let shared = Arc::clone(&config);
            let worker = spawn(move || assert_eq!(*shared.lock().unwrap(), Some(7)));
            *config.lock().unwrap() = Some(7);
            join(worker);
        }

        pub fn transfer_in_two_steps() {
            let accounts = Arc::new([Mutex::new(5), Mutex::new(5)]);
            two(move |i| {
                if i == 0 {
                    *accounts[0].lock().unwrap() -= 1;
                    *accounts[1].lock().unwrap() += 1;
                } else {
                    let a = *accounts[0].lock().unwrap();
                    let b = *accounts[1].lock().unwrap();
                    assert_eq!(a + b, 10);
                }
            });
        }

        pub fn close_twice() {
            let place = Arc::new(Mutex::new(Some(())));
            two(move |_| {
                let is_open = place.lock().unwrap().is_some();
                if is_open {
                    place.lock().unwrap().take().expect("close of closed channel");
                }
            });
        }

        pub fn send_after_close() {
            let shared = Arc::new((Mutex::new(Some(())), AtomicUsize::new(0)));
            two(move |i| {
                if i == 0 {
                    if shared.1.load(SeqCst) == 0 {
                        shared.0.lock().unwrap().expect("send on closed channel");
                    }
                } else {
                    shared.1.store(1, SeqCst);
                    shared.0.lock().unwrap().take();
                }
            });
        }

        /// The free list of the corpus.
        struct FreeList {
            head: AtomicUsize,
            next: [AtomicUsize; 2],
            used: [AtomicUsize; 2],
        }

        impl FreeList {
            fn take(&self) -> Option<usize> {
                loop {
                    let head = self.head.load(SeqCst);
                    if head == 9 {
                        return None;
                    }
                    let next = self.next[head].load(SeqCst);
                    if self.head.compare_exchange(head, next, SeqCst, SeqCst).is_ok() {
                        assert_eq!(self.used[head].fetch_add(1, SeqCst), 0, "a place was given away twice");
                        return Some(head);
                    }
                }
            }

            fn give_back(&self, place: usize) {
                self.used[place].fetch_sub(1, SeqCst);
                loop {
                    let head = self.head.load(SeqCst);
                    self.next[place].store(head, SeqCst);
                    if self.head.compare_exchange(head, place, SeqCst, SeqCst).is_ok() {
                        return;
                    }
                }
            }
        }

        pub fn aba() {
            let next = [AtomicUsize::new(1), AtomicUsize::new(9)];
            let used = [AtomicUsize::new(0), AtomicUsize::new(0)];
            let free = Arc::new(FreeList { head: AtomicUsize::new(0), next, used });
            two(move |i| {
                let (a, _b) = (free.take(), free.take());
                if i == 1 {
                    a.into_iter().for_each(|a| free.give_back(a));
                }
            });
        }

        pub fn try_lock_dropped() {
            let log = Arc::new((Mutex::new(()), AtomicUsize::new(0)));
            let shared = Arc::clone(&log);
            two(move |_| {
                if let Ok(_guard) = shared.0.try_lock() {
                    shared.1.fetch_add(1, SeqCst);
                }
            });
            assert_eq!(log.1.load(SeqCst), 2);
        }

        pub const ORDER: &[(&str, fn())] = &[
            ("double_lock", double_lock),
            ("lock_order", lock_order),
            ("lock_cycle", lock_cycle),
            ("lost_signal", lost_signal),
            ("signal_for_another", signal_for_another),
            ("if_for_while", if_for_while),
            ("lost_update", lost_update),
            ("check_then_act", check_then_act),
            ("used_before_set", used_before_set),
            ("transfer_in_two_steps", transfer_in_two_steps),
            ("close_twice", close_twice),
            ("send_after_close", send_after_close),
            ("aba", aba),
            ("try_lock_dropped", try_lock_dropped),
        ];
    };
}

/// Those with data races: shuttle has no detector.
macro_rules! races {
    () => {
        pub fn no_lock() {
            let counter = Arc::new(Variable::new(0));
            two(move |_| counter.set(counter.get() + 1));
        }

        pub fn partial_lock() {
            let shared = Arc::new((Mutex::new(()), Variable::new(0)));
            two(move |i| {
                let _guard = (i == 0).then(|| shared.0.lock().unwrap());
                shared.1.set(shared.1.get() + 1);
            });
        }

        pub fn relaxed_publication() {
            let shared = Arc::new((Variable::new(0), AtomicUsize::new(0)));
            two(move |i| {
                if i == 0 {
                    shared.0.set(7);
                    shared.1.store(1, Relaxed);
                } else if shared.1.load(Acquire) == 1 {
                    shared.0.get();
                }
            });
        }

        pub fn double_checked_lock() {
            let shared = Arc::new((AtomicUsize::new(0), Mutex::new(()), Variable::new(0)));
            two(move |_| {
                if shared.0.load(Relaxed) == 0 {
                    let _guard = shared.1.lock().unwrap();
                    if shared.0.load(Relaxed) == 0 {
                        shared.2.set(7);
                        shared.0.store(1, Release);
                    }
                }
                shared.2.get();
            });
        }

        pub fn reference_count() {
            let shared = Arc::new((AtomicUsize::new(2), Variable::new(7)));
            two(move |_| {
                shared.1.get();
                if shared.0.fetch_sub(1, Relaxed) == 1 {
                    shared.1.set(0);
                }
            });
        }

        pub fn spin_lock() {
            let shared = Arc::new((AtomicUsize::new(0), Variable::new(0)));
            two(move |_| {
                while shared.0.swap(1, Acquire) == 1 {
                    yield_now();
                }
                shared.1.set(shared.1.get() + 1);
                shared.0.store(0, Relaxed);
            });
        }

        pub const RACES: &[(&str, fn())] = &[
            ("no_lock", no_lock),
            ("partial_lock", partial_lock),
            ("relaxed_publication", relaxed_publication),
            ("double_checked_lock", double_checked_lock),
            ("reference_count", reference_count),
            ("spin_lock", spin_lock),
        ];
    };
}
