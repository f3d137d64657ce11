//! Data races. `race::Cell` stands for a variable of Go's, or for one of unsafe code's.

pub(crate) mod no_lock {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;

    pub(crate) fn buggy() {
        let counter = Cell::new(0);
        scope(|s| {
            s.go(|| counter.set(counter.get() + 1));
            s.go(|| counter.set(counter.get() + 1));
        });
    }

    pub(crate) fn repaired() {
        let (lock, counter) = (Mutex::new(()), Cell::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let _guard = lock.lock().unwrap();
                    counter.set(counter.get() + 1);
                });
            }
        });
        assert_eq!(counter.get(), 2);
    }
}

pub(crate) mod partial_lock {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;

    fn run(all_lock: bool) {
        let (lock, state) = (Mutex::new(()), Cell::new(0));
        scope(|s| {
            s.go(|| {
                let _guard = lock.lock().unwrap();
                state.set(state.get() + 1);
            });
            s.go(|| {
                // A fast way, "which only reads".
                let _guard = all_lock.then(|| lock.lock().unwrap());
                state.get()
            });
        });
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

/// A mutex passed by value: in Go a copy, which locks nothing for anybody else.
pub(crate) mod lock_copied {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;

    fn add(lock: &Mutex<()>, counter: &Cell<u32>) {
        let _guard = lock.lock().unwrap();
        counter.set(counter.get() + 1);
    }

    pub(crate) fn buggy() {
        let counter = Cell::new(0);
        scope(|s| {
            for _ in 0..2 {
                s.go(|| add(&Mutex::new(()), &counter));
            }
        });
    }

    pub(crate) fn repaired() {
        let (lock, counter) = (Mutex::new(()), Cell::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| add(&lock, &counter));
            }
        });
        assert_eq!(counter.get(), 2);
    }
}

pub(crate) mod read_lock_for_writing {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::RwLock;

    fn run(exclusive: bool) {
        let (lock, hits) = (RwLock::new(()), Cell::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    let _shared = (!exclusive).then(|| lock.read().unwrap());
                    let _exclusive = exclusive.then(|| lock.write().unwrap());
                    hits.set(hits.get() + 1); // it only counts
                });
            }
        });
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

pub(crate) mod loop_variable {
    use lisle::race::Cell;
    use lisle::scope;

    pub(crate) fn buggy() {
        let i = Cell::new(0);
        scope(|s| {
            while i.get() < 2 {
                s.go(|| i.get());
                i.set(i.get() + 1);
            }
        });
    }

    pub(crate) fn repaired() {
        let i = Cell::new(0);
        scope(|s| {
            while i.get() < 2 {
                let own = i.get();
                s.go(move || own);
                i.set(own + 1);
            }
        });
    }
}

pub(crate) mod error_variable {
    use lisle::race::Cell;
    use lisle::scope;

    pub(crate) fn buggy() {
        let err = Cell::new(None::<u32>);
        scope(|s| {
            let worker = s.go(|| err.set(Some(1)));
            err.set(None); // of another call, meanwhile
            worker.join().unwrap();
            err.get()
        });
    }

    pub(crate) fn repaired() {
        let err = Cell::new(None::<u32>);
        scope(|s| {
            let worker = s.go(|| Some(1));
            err.set(None);
            err.set(worker.join().unwrap());
            assert_eq!(err.get(), Some(1));
        });
    }
}

/// What `append` changes is more than one word.
pub(crate) mod slice_header {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;

    struct Slice {
        pointer: Cell<usize>,
        length: Cell<usize>,
    }

    fn run(locks_readers: bool) {
        let slice = Slice { pointer: Cell::new(0), length: Cell::new(0) };
        let lock = Mutex::new(());
        scope(|s| {
            s.go(|| {
                let _guard = lock.lock().unwrap();
                slice.pointer.set(1);
                slice.length.set(1);
            });
            s.go(|| {
                let _guard = locks_readers.then(|| lock.lock().unwrap());
                let (pointer, length) = (slice.pointer.get(), slice.length.get());
                assert!(!locks_readers || pointer == length);
            });
        });
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

pub(crate) mod map_insert {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;

    #[derive(Default)]
    struct Map {
        slots: [Cell<Option<u32>>; 2],
        count: Cell<usize>,
    }

    impl Map {
        fn insert(&self, key: u32) {
            self.slots[key as usize].set(Some(key));
            self.count.set(self.count.get() + 1);
        }
    }

    fn run(locks: bool) {
        let (map, lock) = (Map::default(), Mutex::new(()));
        scope(|s| {
            for key in 0..2 {
                let (map, lock) = (&map, &lock);
                s.go(move || {
                    // Different keys, "so nothing can happen".
                    let _guard = locks.then(|| lock.lock().unwrap());
                    map.insert(key);
                });
            }
        });
    }

    pub(crate) fn buggy() {
        run(false);
    }

    pub(crate) fn repaired() {
        run(true);
    }
}

pub(crate) mod relaxed_publication {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::atomic::{AtomicBool, Ordering};

    fn run(ordering: Ordering) {
        let (value, ready) = (Cell::new(0), AtomicBool::new(false));
        scope(|s| {
            s.go(|| {
                value.set(7);
                ready.store(true, ordering);
            });
            s.go(|| {
                if ready.load(Ordering::Acquire) {
                    assert_eq!(value.get(), 7);
                }
            });
        });
    }

    pub(crate) fn buggy() {
        run(Ordering::Relaxed);
    }

    pub(crate) fn repaired() {
        run(Ordering::Release);
    }
}

pub(crate) mod double_checked_lock {
    use lisle::race::Cell;
    use lisle::scope;
    use lisle::sync::Mutex;
    use lisle::sync::atomic::{AtomicBool, Ordering};

    fn run(load: Ordering) {
        let (made, lock, value) = (AtomicBool::new(false), Mutex::new(()), Cell::new(0));
        let get = || {
            if !made.load(load) {
                let _guard = lock.lock().unwrap();
                if !made.load(Ordering::Relaxed) {
                    value.set(7);
                    made.store(true, Ordering::Release);
                }
            }
            value.get()
        };
        scope(|s| {
            s.go(|| assert_eq!(get(), 7));
            s.go(|| assert_eq!(get(), 7));
        });
    }

    pub(crate) fn buggy() {
        run(Ordering::Relaxed);
    }

    pub(crate) fn repaired() {
        run(Ordering::Acquire);
    }
}

/// An `Arc` whose last owner does not know what the others did.
pub(crate) mod reference_count {
    use lisle::cell::UnsafeCell;
    use lisle::scope;
    use lisle::sync::atomic::{AtomicUsize, Ordering};

    struct Shared {
        owners: AtomicUsize,
        value: UnsafeCell<u32>,
    }

    // SAFETY: owners read the value, and the last one alone changes it, if the count orders them.
    unsafe impl Sync for Shared {}

    impl Shared {
        fn use_and_drop(&self, ordering: Ordering) {
            // SAFETY: an owner is left.
            self.value.with(|value| assert_eq!(unsafe { *value }, 7));
            if self.owners.fetch_sub(1, ordering) == 1 {
                // SAFETY: no owner is left. (That their reads come before is what the ordering is for.)
                self.value.with_mut(|value| unsafe { *value = 0 });
            }
        }
    }

    fn run(ordering: Ordering) {
        let shared = Shared { owners: AtomicUsize::new(2), value: UnsafeCell::new(7) };
        scope(|s| {
            for _ in 0..2 {
                s.go(|| shared.use_and_drop(ordering));
            }
        });
    }

    pub(crate) fn buggy() {
        run(Ordering::Relaxed);
    }

    pub(crate) fn repaired() {
        run(Ordering::AcqRel);
    }
}

pub(crate) mod spin_lock {
    use lisle::race::Cell;
    use lisle::sync::atomic::{AtomicBool, Ordering};
    use lisle::{scope, yield_now};

    fn run(unlock: Ordering) {
        let (taken, counter) = (AtomicBool::new(false), Cell::new(0));
        scope(|s| {
            for _ in 0..2 {
                s.go(|| {
                    while taken.swap(true, Ordering::Acquire) {
                        yield_now();
                    }
                    counter.set(counter.get() + 1);
                    taken.store(false, unlock);
                });
            }
        });
        assert_eq!(counter.get(), 2);
    }

    pub(crate) fn buggy() {
        run(Ordering::Relaxed);
    }

    pub(crate) fn repaired() {
        run(Ordering::Release);
    }
}
