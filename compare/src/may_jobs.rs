//! The jobs in may: coroutines with stacks of 32 KiB, which move between threads. It has no bounded channels.

use crate::program::Program::{self, Fewer, Run, Skip};
use crate::work::*;
use may::coroutine::{Coroutine, park as park_coroutine, scope, sleep, yield_now};
use may::go;
use may::sync::mpsc::{Sender, channel};
use may::sync::{Mutex, RwLock, WaitGroup};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const NO_BOUND: &str = "may has no bounded channels";

pub fn program(job: &str) -> Program {
    /// In a coroutine.
    macro_rules! body {
        ($f:expr) => {
            |n| {
                may::config().set_workers(workers());
                go!(move || $f(n)).join().unwrap()
            }
        };
    }
    macro_rules! run {
        ($f:expr) => {
            Run(body!($f))
        };
    }
    match job {
        "spawn_done" => run!(spawn_done),
        "spawn_join" => Fewer(20, body!(spawn_join)),
        "yield" => run!(yield_two),
        "park_unpark" => run!(park_unpark),
        "ping_pong" => run!(ping_pong),
        "ping_pong_apart" => Skip("coroutines move, and nothing keeps two of them apart"),
        "chan128_1_1" | "chan128_4_4" | "chan0_4_4" | "threads128" => Skip(NO_BOUND),
        "select3" => run!(select3),
        "mutex_1" => run!(|n| mutex(n, 1)),
        "mutex_8" => run!(|n| mutex(n, 8)),
        "rwlock_read" => run!(rwlock_read),
        "skynet" => run!(skynet),
        "fib" => run!(fork_join),
        "sieve" => run!(sieve),
        "par_map_1m" => run!(par_map),
        "sleepers_100k" => run!(sleepers),
        "park_1m" => run!(park),
        "wake_latency" => run!(wake_latency),
        "wake_latency_greedy" => Skip("coroutines are not preempted: one that never yields keeps its worker"),
        _ => Skip("the machine's own; no runtime takes part"),
    }
}

fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    let group = WaitGroup::new();
    for _ in 0..n {
        let group = group.clone();
        go!(move || drop(group));
    }
    group.wait();
    per(start, n)
}

fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        black_box(go!(move || i).join().unwrap());
    }
    per(start, n)
}

fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    let both = [(); 2].map(|()| go!(move || (0..n / 2).for_each(|_| yield_now())));
    for one in both {
        one.join().unwrap();
    }
    per(start, n)
}

fn park_unpark(n: usize) -> Values {
    let start = Instant::now();
    let partner = Arc::new(OnceLock::<Coroutine>::new());
    let one = go!({
        let partner = Arc::clone(&partner);
        move || {
            for _ in 0..n / 2 {
                park_coroutine();
                partner.get().unwrap().unpark();
            }
        }
    });
    let first = one.coroutine().clone();
    let other = go!(move || {
        partner.set(may::coroutine::current()).unwrap();
        for _ in 0..n / 2 {
            first.unpark();
            park_coroutine();
        }
    });
    one.join().unwrap();
    other.join().unwrap();
    per(start, n)
}

fn ping_pong(n: usize) -> Values {
    let start = Instant::now();
    let (ping, pinged) = channel();
    let (pong, ponged) = channel();
    go!(move || {
        for i in pinged.iter() {
            if pong.send(i).is_err() {
                break;
            }
        }
    });
    for i in 0..n {
        ping.send(i).unwrap();
        black_box(ponged.recv().unwrap());
    }
    per(start, n)
}

/// `may::select!` starts a coroutine for each arm and each time, and a message that a losing arm has taken by then is
/// lost. So this is the completion queue on which it is built: a coroutine for each arm, whose events are polled.
fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| channel());
    let senders: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
    for sender in senders {
        go!(move || (0..n / 3).for_each(|i| sender.send(i).unwrap()));
    }
    let sum = AtomicUsize::new(0);
    let add = |i: usize| _ = sum.fetch_add(i, Ordering::Relaxed);
    let [(_open_a, a), (_open_b, b), (_open_c, c)] = &channels;
    may::cqueue::scope(|queue| {
        may::cqueue_add!(queue, 0, i = a.recv() => add(i.unwrap()));
        may::cqueue_add!(queue, 1, i = b.recv() => add(i.unwrap()));
        may::cqueue_add!(queue, 2, i = c.recv() => add(i.unwrap()));
        for _ in 0..n / 3 * 3 {
            queue.poll(None).unwrap();
        }
    });
    let values = per(start, n);
    assert_eq!(sum.into_inner(), 3 * (0..n / 3).sum::<usize>());
    values
}

fn mutex(n: usize, coroutines: usize) -> Values {
    let counter = Mutex::new(0_usize);
    let start = Instant::now();
    scope(|s| {
        for _ in 0..coroutines {
            go!(s, || {
                for _ in 0..n / coroutines {
                    *counter.lock().unwrap() += 1;
                }
            });
        }
    });
    per(start, n)
}

fn rwlock_read(n: usize) -> Values {
    let lock = RwLock::new(0_usize);
    let start = Instant::now();
    scope(|s| {
        for _ in 0..8 {
            go!(s, || {
                for i in 0..n / 8 {
                    if i % 1000 == 999 {
                        *lock.write().unwrap() += 1;
                    } else {
                        black_box(*lock.read().unwrap());
                    }
                }
            });
        }
    });
    per(start, n)
}

fn skynet(leaves: usize) -> Values {
    fn node(parent: &Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            return parent.send(number).unwrap();
        }
        let (sender, receiver) = channel();
        for child in 0..10 {
            let sender = sender.clone();
            go!(move || node(&sender, number + child * (size / 10), size / 10));
        }
        parent.send((0..10).map(|_| receiver.recv().unwrap()).sum()).unwrap();
    }
    let (leaves, nodes) = skynet_size(leaves);
    let start = Instant::now();
    let (sender, receiver) = channel();
    go!(move || node(&sender, 0, leaves));
    assert_eq!(receiver.recv().unwrap(), leaves * (leaves - 1) / 2);
    per(start, nodes)
}

fn fork_join(count: usize) -> Values {
    fn fib(n: u32) -> u64 {
        if n < 2 {
            return n.into();
        }
        let other = go!(move || fib(n - 1));
        fib(n - 2) + other.join().unwrap()
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    black_box(fib(n));
    per(start, calls)
}

fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = channel();
    go!(move || (2..=n).for_each(|i| sender.send(i).unwrap()));
    for prime in primes() {
        let (sender, filtered) = channel();
        go!(move || {
            for i in numbers.iter() {
                if i % prime != 0 {
                    sender.send(i).unwrap();
                }
            }
        });
        numbers = filtered;
    }
    let count = numbers.iter().count();
    let values = per(start, n);
    assert_eq!(count, survivors(n));
    values
}

/// A coroutine for each worker; they share the next index.
fn par_map(n: usize) -> Values {
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let coroutines: Vec<_> = (0..workers())
        .map(|_| {
            let next = Arc::clone(&next);
            go!(move || {
                let mut results = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= n {
                        return results;
                    }
                    results.push((index, small_item(index as u64)));
                }
            })
        })
        .collect();
    let results = in_order(coroutines.into_iter().map(|one| one.join().unwrap()), n);
    let values = per(start, n);
    check_map(&results, n);
    values
}

fn sleepers(n: usize) -> Values {
    let start = Instant::now();
    let group = WaitGroup::new();
    for i in 0..n {
        let group = group.clone();
        go!(move || {
            sleep(Duration::from_millis(1 + i as u64 % 100));
            drop(group);
        });
    }
    group.wait();
    per(start, 1)
}

/// They wait for a lock that the main coroutine holds for writing.
fn park(n: usize) -> Values {
    let before = memory();
    let release = Arc::new(RwLock::new(()));
    let held = release.write().unwrap();
    let (started, ended) = (WaitGroup::new(), WaitGroup::new());
    let start = Instant::now();
    for _ in 0..n {
        let (release, started, ended) = (Arc::clone(&release), started.clone(), ended.clone());
        go!(move || {
            drop(started);
            drop(release.read().unwrap());
            drop(ended);
        });
    }
    started.wait();
    let (start, bytes) = (start.elapsed(), memory() - before);
    let wake = Instant::now();
    drop(held);
    ended.wait();
    parked(n, start, bytes, wake.elapsed())
}

/// Those that compute start last: workers that always have something to run take no new coroutines.
fn wake_latency(n: usize) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    let (senders, listeners): (Vec<_>, Vec<_>) = (0..LISTENERS)
        .map(|_| {
            let (sender, receiver) = channel::<Instant>();
            (sender, go!(move || receiver.iter().map(|sent| sent.elapsed()).collect::<Vec<_>>()))
        })
        .unzip();
    let sending = go!(move || {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
                yield_now();
            }
            senders[i % LISTENERS].send(Instant::now()).unwrap();
        }
    });
    for _ in 0..2 * workers() {
        let stop = Arc::clone(&stop);
        go!(move || {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
                yield_now();
            }
        });
    }
    sending.join().unwrap();
    let samples = listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect();
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}
