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

        pub fn wait_under_lock() {
            let log = Arc::new(Mutex::new(0));
            let shared = Arc::clone(&log);
            let worker = spawn(move || *shared.lock().unwrap() += 1);
            let held = log.lock().unwrap();
            join(worker);
            drop(held);
        }

        /// A reader behind a writer that waits, where the lock lets none in.
        pub fn recursive_read() {
            let config = Arc::new(RwLock::new(1));
            two(move |i| {
                if i == 0 {
                    let outer = config.read().unwrap();
                    let inner = config.read().unwrap();
                    assert_eq!(*outer, *inner);
                } else {
                    *config.write().unwrap() += 1;
                }
            });
        }

        /// Of a lock and a condition variable: not all three have it.
        struct Count {
            value: Mutex<usize>,
            changed: Condvar,
        }

        impl Count {
            fn of(value: usize) -> Arc<Self> {
                Arc::new(Self { value: Mutex::new(value), changed: Condvar::new() })
            }

            fn add(&self) {
                *self.value.lock().unwrap() += 1;
                self.changed.notify_all();
            }

            fn take(&self) {
                let mut value = self.value.lock().unwrap();
                while *value == 0 {
                    value = self.changed.wait(value).unwrap();
                }
                *value -= 1;
            }

            fn done(&self) {
                *self.value.lock().unwrap() -= 1;
                self.changed.notify_all();
            }

            fn wait_for_zero(&self) {
                let mut value = self.value.lock().unwrap();
                while *value > 0 {
                    value = self.changed.wait(value).unwrap();
                }
            }
        }

        pub fn done_forgotten() {
            let (group, taken) = (Count::of(2), Arc::new(AtomicUsize::new(0)));
            for _ in 0..2 {
                let (group, taken) = (Arc::clone(&group), Arc::clone(&taken));
                spawn(move || {
                    if taken.swap(1, SeqCst) == 0 {
                        group.done();
                    }
                });
            }
            group.wait_for_zero();
        }

        pub fn wait_in_loop() {
            let group = Count::of(2);
            for _ in 0..2 {
                let worker = Arc::clone(&group);
                spawn(move || worker.done());
                group.wait_for_zero();
            }
        }

        pub fn add_in_goroutine() {
            let (group, counted) = (Count::of(0), Arc::new(AtomicUsize::new(0)));
            for _ in 0..2 {
                let (group, counted) = (Arc::clone(&group), Arc::clone(&counted));
                spawn(move || {
                    group.add();
                    counted.fetch_add(1, SeqCst);
                    group.done();
                });
            }
            group.wait_for_zero();
            assert_eq!(counted.load(SeqCst), 2, "not waited for");
        }

        pub fn permits_in_parts() {
            let memory = Count::of(2);
            two(move |_| {
                memory.take();
                memory.take();
                memory.add();
                memory.add();
            });
        }

        pub fn context_ignored() {
            let (requests, inbox) = channel::<u32>();
            spawn(move || while inbox.recv().is_ok() {});
            requests.send(1).unwrap();
            // Somebody else keeps the sender, as a registry would.
            std::mem::forget(requests);
        }

        pub fn last_message_lost() {
            let ((sender, receiver), finished) = (channel(), Arc::new(AtomicUsize::new(0)));
            let flag = Arc::clone(&finished);
            let worker = spawn(move || {
                sender.send(1).unwrap();
                flag.store(1, SeqCst);
            });
            let mut received = 0;
            while finished.load(SeqCst) == 0 {
                while receiver.try_recv().is_ok() {
                    received += 1;
                }
                yield_now();
            }
            join(worker);
            assert_eq!(received, 1, "a message was lost");
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
            ("wait_under_lock", wait_under_lock),
            ("recursive_read", recursive_read),
            ("done_forgotten", done_forgotten),
            ("wait_in_loop", wait_in_loop),
            ("add_in_goroutine", add_in_goroutine),
            ("permits_in_parts", permits_in_parts),
            ("context_ignored", context_ignored),
            ("last_message_lost", last_message_lost),
        ];
    };
}

/// Those that need what loom has not: channels with a capacity, or whose receivers learn that they are closed; barriers;
/// `Once`.
macro_rules! messages {
    () => {
        pub fn nobody_closes() {
            let (sender, receiver) = channel();
            for i in 0..2 {
                let sender = sender.clone();
                spawn(move || sender.send(i).unwrap());
            }
            let mut sum = 0;
            while let Ok(i) = receiver.recv() {
                sum += i;
            }
            assert_eq!(sum, 1);
            drop(sender);
        }

        pub fn send_under_lock() {
            let (sender, receiver) = sync_channel(0);
            let state = Arc::new(Mutex::new(0));
            let (first, second) = (Arc::clone(&state), state);
            let one = spawn(move || {
                let mut state = first.lock().unwrap();
                *state += 1;
                sender.send(*state).unwrap();
            });
            let other = spawn(move || {
                let _state = second.lock().unwrap();
                receiver.recv().unwrap();
            });
            join(one);
            join(other);
        }

        pub fn both_send_first() {
            let (to_b, from_a) = sync_channel(0);
            let (to_a, from_b) = sync_channel(0);
            let a = spawn(move || {
                to_b.send("a").unwrap();
                assert_eq!(from_b.recv(), Ok("b"));
            });
            let b = spawn(move || {
                to_a.send("b").unwrap();
                assert_eq!(from_a.recv(), Ok("a"));
            });
            join(a);
            join(b);
        }

        pub fn results_unread() {
            let (results, receiver) = sync_channel(1);
            let workers = [0, 1].map(|i| {
                let results = results.clone();
                spawn(move || results.send(i).unwrap())
            });
            drop(results);
            for worker in workers {
                join(worker);
            }
            assert_eq!(receiver.iter().sum::<i32>(), 1);
        }

        pub fn default_forgotten() {
            let (progress, listener) = sync_channel(1);
            spawn(move || {
                for percent in [50, 100] {
                    progress.send(percent).unwrap();
                }
            });
            let _ = listener.try_recv();
            std::mem::forget(listener);
        }

        pub fn barrier_one_short() {
            let shared = Arc::new((Barrier::new(3), AtomicUsize::new(0)));
            let all = [(); 3].map(|()| {
                let shared = Arc::clone(&shared);
                spawn(move || {
                    if shared.1.fetch_add(1, SeqCst) < 2 {
                        shared.0.wait();
                    }
                })
            });
            for one in all {
                join(one);
            }
        }

        pub fn once_within_once() {
            let once = Once::new();
            once.call_once(|| once.call_once(|| ()));
        }

        pub const MESSAGES: &[(&str, fn())] = &[
            ("nobody_closes", nobody_closes),
            ("send_under_lock", send_under_lock),
            ("both_send_first", both_send_first),
            ("results_unread", results_unread),
            ("default_forgotten", default_forgotten),
            ("barrier_one_short", barrier_one_short),
            ("once_within_once", once_within_once),
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

        /// Each with a lock of its own.
        pub fn lock_copied() {
            let counter = Arc::new(Variable::new(0));
            two(move |_| {
                let copy = Mutex::new(());
                let _guard = copy.lock().unwrap();
                counter.set(counter.get() + 1);
            });
        }

        pub fn read_lock_for_writing() {
            let shared = Arc::new((RwLock::new(()), Variable::new(0)));
            two(move |_| {
                let _guard = shared.0.read().unwrap();
                shared.1.set(shared.1.get() + 1);
            });
        }

        pub fn loop_variable() {
            let i = Arc::new(Variable::new(0));
            while i.get() < 2 {
                let shared = Arc::clone(&i);
                spawn(move || shared.get());
                i.set(i.get() + 1);
            }
        }

        pub fn error_variable() {
            let err = Arc::new(Variable::new(0));
            let shared = Arc::clone(&err);
            let worker = spawn(move || shared.set(1));
            err.set(0);
            join(worker);
            err.get();
        }

        pub fn slice_header() {
            let slice = Arc::new((Mutex::new(()), Variable::new(0), Variable::new(0)));
            two(move |i| {
                if i == 0 {
                    let _guard = slice.0.lock().unwrap();
                    slice.1.set(1);
                    slice.2.set(1);
                } else {
                    (slice.1.get(), slice.2.get());
                }
            });
        }

        pub fn map_insert() {
            let map = Arc::new(([Variable::new(0), Variable::new(0)], Variable::new(0)));
            two(move |key| {
                map.0[key].set(1);
                map.1.set(map.1.get() + 1);
            });
        }

        pub const RACES: &[(&str, fn())] = &[
            ("no_lock", no_lock),
            ("partial_lock", partial_lock),
            ("relaxed_publication", relaxed_publication),
            ("double_checked_lock", double_checked_lock),
            ("reference_count", reference_count),
            ("spin_lock", spin_lock),
            ("lock_copied", lock_copied),
            ("read_lock_for_writing", read_lock_for_writing),
            ("loop_variable", loop_variable),
            ("error_variable", error_variable),
            ("slice_header", slice_header),
            ("map_insert", map_insert),
        ];
    };
}
