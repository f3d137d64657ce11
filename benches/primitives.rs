//! Micro-benchmarks of each primitive, for those who work on it: `cargo bench --bench primitives [FILTER]`.
//!
//! For comparisons with others see `compare/`; for regressions on a noisy machine see `ci/budget`.
//!
//! # How they are made
//! - Everything runs in a goroutine of one worker, so that what is measured is the primitive, not the cache line
//!   between two processors or the kernel's wake-up (`compare` has those). Partners are `go_local`: they live there, too.
//! - An operation of two sides is measured by the turn: one side is the benchmark's closure, the partner waits for it
//!   in a loop and ends when its channel is closed, or its round is over.
//! - What needs two workers (the pool, the parallel loop) gets a runtime of two.
//!
//! divan instead of criterion: a third of the crates to build, and its closures may be called from a goroutine.

use divan::{Bencher, black_box, counter::ItemsCount};
use lisle::channel::{bounded, unbounded};
use lisle::context;
use lisle::sync::{Mutex, RwLock, WaitGroup};
use std::time::Duration;

fn main() {
    // The harness needs more stack than a goroutine has by default.
    let runtime = lisle::Config::new().workers(1).start().expect("the runtime starts");
    let harness = lisle::Builder::new().stack_size(8 << 20).go_on(&runtime, divan::main);
    harness.expect("it starts").join().expect("it ends");
}

#[divan::bench]
fn spawn_join(bencher: Bencher) {
    bencher.bench_local(|| lisle::go(|| black_box(1)).join().unwrap());
}

/// A thousand goroutines that report to a WaitGroup.
#[divan::bench]
fn spawn_thousand(bencher: Bencher) {
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        let group = WaitGroup::new();
        group.add(1000);
        for _ in 0..1000 {
            let group = group.clone();
            lisle::go(move || group.done());
        }
        group.wait();
    });
}

/// A thousand turns of two neighbours.
#[divan::bench]
fn yield_now(bencher: Bencher) {
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        let neighbour = lisle::go_local(|| (0..500).for_each(|_| lisle::yield_now()));
        (0..500).for_each(|_| lisle::yield_now());
        neighbour.join().unwrap();
    });
}

/// A thousand times: wake the partner, and wait to be woken by it.
#[divan::bench]
fn park_unpark(bencher: Bencher) {
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        let waker = lisle::current();
        let partner = lisle::go_local(move || {
            for _ in 0..1000 {
                lisle::park();
                waker.unpark();
            }
        });
        let goroutine = partner.goroutine();
        for _ in 0..1000 {
            goroutine.unpark();
            lisle::park();
        }
        partner.join().unwrap();
    });
}

#[divan::bench_group]
mod locks {
    use super::*;

    #[divan::bench]
    fn mutex(bencher: Bencher) {
        let mutex = Mutex::new(0_u64);
        bencher.bench_local(|| *black_box(&mutex).lock().unwrap() += 1);
    }

    #[divan::bench]
    fn rwlock_read(bencher: Bencher) {
        let lock = RwLock::new(1_u64);
        bencher.bench_local(|| *black_box(&lock).read().unwrap());
    }

    #[divan::bench]
    fn rwlock_write(bencher: Bencher) {
        let lock = RwLock::new(1_u64);
        bencher.bench_local(|| *black_box(&lock).write().unwrap() += 1);
    }

    /// The lock changes its owner at each turn: the holder yields with it, so that the other waits.
    #[divan::bench]
    fn mutex_handed_over(bencher: Bencher) {
        bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
            let mutex = std::rc::Rc::new(Mutex::new(0_u64));
            let turns = |mutex: &Mutex<u64>| {
                for _ in 0..500 {
                    let mut guard = mutex.lock().unwrap();
                    lisle::yield_now();
                    *guard += 1;
                }
            };
            let neighbour = lisle::go_local({
                let mutex = mutex.clone();
                move || turns(&mutex)
            });
            turns(&mutex);
            neighbour.join().unwrap();
        });
    }
}

#[divan::bench_group]
mod channels {
    use super::*;

    /// A thousand messages from a goroutine to its neighbour.
    #[divan::bench(args = [0, 1, 128])]
    fn messages(bencher: Bencher, capacity: usize) {
        bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
            let (sender, receiver) = bounded(capacity);
            lisle::go_local(move || (0..1000).for_each(|i| sender.send(i).unwrap()));
            receiver.iter().sum::<usize>()
        });
    }

    #[divan::bench]
    fn messages_unbounded(bencher: Bencher) {
        bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
            let (sender, receiver) = unbounded();
            lisle::go_local(move || (0..1000).for_each(|i| sender.send(i).unwrap()));
            receiver.iter().sum::<usize>()
        });
    }

    /// Nobody waits: into the buffer and out of it.
    #[divan::bench]
    fn buffered_send_recv(bencher: Bencher) {
        let (sender, receiver) = bounded(1);
        bencher.bench_local(|| {
            sender.send(1).unwrap();
            receiver.recv().unwrap()
        });
    }

    /// A thousand messages, each of which one of three senders brings.
    #[divan::bench]
    fn select_of_three(bencher: Bencher) {
        bencher.counter(ItemsCount::new(999_usize)).bench_local(|| {
            let channels = [(); 3].map(|()| bounded(0));
            for (sender, _) in &channels {
                let sender = sender.clone();
                lisle::go_local(move || (0..333).for_each(|i| sender.send(i).unwrap()));
            }
            let [(_, a), (_, b), (_, c)] = &channels;
            let mut sum = 0;
            for _ in 0..999 {
                lisle::select! {
                    recv(a) -> i => sum += i.unwrap(),
                    recv(b) -> i => sum += i.unwrap(),
                    recv(c) -> i => sum += i.unwrap(),
                }
            }
            sum
        });
    }

    #[divan::bench]
    fn select_with_default(bencher: Bencher) {
        let ((_a_sender, a), (_b_sender, b)) = (bounded::<u32>(0), bounded::<u32>(0));
        bencher.bench_local(|| {
            lisle::select! {
                recv(a) -> _ => 1,
                recv(b) -> _ => 2,
                default => 3,
            }
        });
    }
}

#[divan::bench_group]
mod timers {
    use super::*;

    /// Set up and stopped before it is due, as timeouts mostly are.
    #[divan::bench]
    fn timer_stopped(bencher: Bencher) {
        bencher.bench_local(|| lisle::time::Timer::new(Duration::from_secs(60)).stop());
    }

    #[divan::bench]
    fn after_func_stopped(bencher: Bencher) {
        bencher.bench_local(|| lisle::time::after_func(Duration::from_secs(60), || ()).stop());
    }

    /// A wait with a timeout that ends before.
    #[divan::bench]
    fn recv_timeout(bencher: Bencher) {
        let (sender, receiver) = bounded(1);
        bencher.bench_local(|| {
            sender.send(1).unwrap();
            receiver.recv_timeout(Duration::from_secs(60)).unwrap()
        });
    }
}

#[divan::bench_group]
mod contexts {
    use super::*;

    #[divan::bench]
    fn derive_cancel(bencher: Bencher) {
        let root = context::background();
        bencher.bench_local(|| {
            let (ctx, cancel) = context::with_cancel(&root);
            cancel.cancel();
            ctx
        });
    }

    /// Below a context that can itself end, so that the child enters its parent's list.
    #[divan::bench]
    fn derive_cancel_child(bencher: Bencher) {
        let (parent, _cancel_parent) = context::with_cancel(&context::background());
        bencher.bench_local(|| {
            let (ctx, cancel) = context::with_cancel(&parent);
            cancel.cancel();
            ctx
        });
    }

    #[divan::bench]
    fn derive_with_timeout(bencher: Bencher) {
        let root = context::background();
        bencher.bench_local(|| context::with_timeout(&root, Duration::from_secs(60)));
    }

    /// The end of a parent with a thousand children.
    #[divan::bench]
    fn cancel_thousand_children(bencher: Bencher) {
        let make = || {
            let (parent, cancel) = context::with_cancel(&context::background());
            let children: Vec<_> = (0..1000).map(|_| context::with_cancel(&parent)).collect();
            (cancel, children)
        };
        bencher.counter(ItemsCount::new(1000_usize)).with_inputs(make).bench_local_values(|(cancel, children)| {
            cancel.cancel();
            children
        });
    }

    #[divan::bench]
    fn check(bencher: Bencher) {
        let (ctx, _cancel) = context::with_cancel(&context::background());
        bencher.bench_local(|| black_box(&ctx).check());
    }
}

#[divan::bench_group]
mod parallel {
    use super::*;
    use lisle::pool::Pool;

    /// A thousand tasks handed to a pool of two goroutines of this worker, and joined.
    #[divan::bench]
    fn pool_submit_join(bencher: Bencher) {
        let pool = Pool::builder().workers(2).queue(128).build();
        bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
            let handles: Vec<_> = (0..1000_u64).map(|i| pool.submit(move || i).unwrap()).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).sum::<u64>()
        });
    }

    /// Ten thousand small items on a runtime of two workers.
    #[divan::bench]
    fn map_items(bencher: Bencher) {
        let runtime = lisle::Config::new().workers(2).start().unwrap();
        bencher
            .counter(ItemsCount::new(10_000_usize))
            .bench_local(|| runtime.run(|| lisle::parallel::map(2, 0..10_000_u64, |i| black_box(i) * i).len()));
    }

    /// The same items, a hundred at a time.
    #[divan::bench]
    fn map_slices(bencher: Bencher) {
        let runtime = lisle::Config::new().workers(2).start().unwrap();
        let items: Vec<u64> = (0..10_000).collect();
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| {
            runtime.run(|| {
                let square = |slice: &[u64]| slice.iter().map(|&i| black_box(i) * i).sum::<u64>();
                lisle::parallel::map(2, items.chunks(100), square).len()
            })
        });
    }
}
