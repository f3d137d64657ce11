//! The jobs in OS threads, with std's channels and locks. A thread takes some microseconds to start and some to be
//! woken, so most jobs are done fewer times.

use crate::pin;
use crate::program::Program::{self, Fewer, Run, Skip};
use crate::work::*;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::Instant;

pub fn program(job: &str) -> Program {
    match job {
        "spawn_done" => Fewer(50, spawn_done),
        "spawn_join" => Fewer(50, spawn_join),
        "yield" => Fewer(10, yield_two),
        "park_unpark" => Fewer(50, park_unpark),
        "ping_pong" => Fewer(50, |n| ping_pong(n, false)),
        "ping_pong_apart" => Fewer(50, |n| ping_pong(n, true)),
        "chan128_1_1" | "threads128" => Fewer(2, one_to_one),
        "chan128_4_4" | "chan0_4_4" => Skip("std's channels have one receiver"),
        "select3" => Skip("std has no select"),
        "mutex_1" => Run(|n| mutex(n, 1)),
        "mutex_8" => Run(|n| mutex(n, 8)),
        "rwlock_read" => Run(rwlock_read),
        "sieve" => Fewer(10, sieve),
        "par_map_1m" => Run(par_map),
        "skynet" => Skip("1,100,000 OS threads, most of them at once"),
        "fib" => Skip("a thread for each of 400,000 forks, most of them at once"),
        "sleepers_100k" => Skip("100,000 OS threads at once: beyond the default limits (maps, process ids)"),
        "park_1m" => Skip("1,000,000 OS threads at once: beyond the default limits (maps, process ids)"),
        "wake_latency" => Skip("the kernel preempts; see wake_latency_greedy"),
        "wake_latency_greedy" => Run(wake_latency),
        _ => Skip("the machine's own; see machine"),
    }
}

/// A scope counts its threads as a WaitGroup does. At most a thousand at once.
fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    for first in (0..n).step_by(1000) {
        thread::scope(|s| {
            for _ in first..n.min(first + 1000) {
                s.spawn(|| ());
            }
        });
    }
    per(start, n)
}

fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        black_box(thread::spawn(move || i).join().unwrap());
    }
    per(start, n)
}

fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| (0..n / 2).for_each(|_| thread::yield_now()));
        }
    });
    per(start, n)
}

fn park_unpark(n: usize) -> Values {
    let start = Instant::now();
    // Not told by a channel: that parks, too, and could use up the partner's token.
    let partner = Arc::new(OnceLock::<thread::Thread>::new());
    let one = thread::spawn({
        let partner = Arc::clone(&partner);
        move || {
            for _ in 0..n / 2 {
                thread::park();
                partner.get().unwrap().unpark();
            }
        }
    });
    let first = one.thread().clone();
    let other = thread::spawn(move || {
        partner.set(thread::current()).unwrap();
        for _ in 0..n / 2 {
            first.unpark();
            thread::park();
        }
    });
    one.join().unwrap();
    other.join().unwrap();
    per(start, n)
}

fn ping_pong(n: usize, apart: bool) -> Values {
    fn call(ping: &SyncSender<usize>, ponged: &Receiver<usize>, n: usize) {
        for i in 0..n {
            ping.send(i).unwrap();
            black_box(ponged.recv().unwrap());
        }
    }
    let place = move |index| {
        if apart {
            pin::to_one(index);
        }
    };
    let (ping, pinged) = sync_channel(0);
    let (pong, ponged) = sync_channel(0);
    thread::spawn(move || {
        place(1);
        for i in pinged {
            if pong.send(i).is_err() {
                break;
            }
        }
    });
    let calling = thread::spawn(move || {
        place(0);
        let start = Instant::now();
        call(&ping, &ponged, n);
        per(start, n)
    });
    calling.join().unwrap()
}

fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = sync_channel(128);
    let sending = thread::spawn(move || (0..n).for_each(|i| sender.send(i).unwrap()));
    let receiving = thread::spawn(move || {
        receiver.iter().for_each(|i| {
            black_box(i);
        });
    });
    sending.join().unwrap();
    receiving.join().unwrap();
    per(start, n)
}

fn mutex(n: usize, threads: usize) -> Values {
    let counter = Mutex::new(0_usize);
    let start = Instant::now();
    thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                for _ in 0..n / threads {
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
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
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

fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = sync_channel(0);
    thread::spawn(move || (2..=n).for_each(|i| sender.send(i).unwrap()));
    for prime in primes() {
        let (sender, filtered) = sync_channel(0);
        thread::spawn(move || {
            for i in numbers {
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

/// A thread for each worker; they share the next index.
fn par_map(n: usize) -> Values {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let part = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= n {
                return results;
            }
            results.push((index, small_item(index as u64)));
        }
    };
    let parts = thread::scope(|s| {
        let handles: Vec<_> = (0..workers()).map(|_| s.spawn(part)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    let results = in_order(parts, n);
    let values = per(start, n);
    check_map(&results, n);
    values
}

fn wake_latency(n: usize) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..2 * workers() {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
            }
        });
    }
    let (senders, listeners): (Vec<_>, Vec<_>) = (0..LISTENERS)
        .map(|_| {
            let (sender, receiver) = sync_channel::<Instant>(128);
            (sender, thread::spawn(move || receiver.iter().map(|sent| sent.elapsed()).collect::<Vec<_>>()))
        })
        .unzip();
    let sending = thread::spawn(move || {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
            }
            senders[i % LISTENERS].send(Instant::now()).unwrap();
        }
    });
    sending.join().unwrap();
    let samples = listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect();
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}
