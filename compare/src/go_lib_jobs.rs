//! The jobs in go-lib: a port of Go's scheduler and channels to Rust. Its locks are std's. A channel ends when it is
//! closed; that its last sender goes away does not close it.

use crate::program::Program::{self, Fewer, Run, Skip};
use crate::work::*;
use go_lib::chan::{Sender, chan};
use go_lib::sync::{Mutex, RwLock, WaitGroup};
use go_lib::{go, gosched, select};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub fn program(job: &str) -> Program {
    match job {
        "spawn_done" => Fewer(4, spawn_done),
        "spawn_join" => Fewer(4, spawn_join),
        "yield" => Run(yield_two),
        "park_unpark" => Skip("go-lib has no such call, as Go"),
        "ping_pong" => Run(ping_pong),
        "ping_pong_apart" => Skip("goroutines move, and nothing keeps two of them apart"),
        "chan128_1_1" => Run(one_to_one),
        "chan128_4_4" => Run(|n| four_to_four(128, n)),
        "chan0_4_4" => Run(|n| four_to_four(0, n)),
        "threads128" => Skip("its channels are for goroutines"),
        "select3" => Run(select3),
        "mutex_1" => Run(|n| mutex(n, 1)),
        "mutex_8" => Run(|n| mutex(n, 8)),
        "rwlock_read" => Run(rwlock_read),
        "skynet" => Run(skynet),
        "fib" => Run(fork_join),
        "sieve" => Run(sieve),
        "par_map_1m" => Run(par_map),
        "sleepers_100k" => Run(sleepers),
        "park_1m" => Run(park),
        "wake_latency" => Run(|n| wake_latency(n, true)),
        "wake_latency_greedy" => Run(|n| wake_latency(n, false)),
        _ => Skip("the machine's own; no runtime takes part"),
    }
}

#[go_lib::main]
fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    let group = Arc::new(WaitGroup::new());
    for _ in 0..n {
        group.add(1);
        let group = Arc::clone(&group);
        go!(move || group.done());
    }
    group.wait();
    per(start, n)
}

#[go_lib::main]
fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        let (result, joined) = chan(0);
        go!(move || result.send(i));
        black_box(joined.recv());
    }
    per(start, n)
}

#[go_lib::main]
fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    let group = Arc::new(WaitGroup::new());
    for _ in 0..2 {
        group.add(1);
        let group = Arc::clone(&group);
        go!(move || {
            (0..n / 2).for_each(|_| gosched());
            group.done();
        });
    }
    group.wait();
    per(start, n)
}

#[go_lib::main]
fn ping_pong(n: usize) -> Values {
    let start = Instant::now();
    let (ping, pinged) = chan(0);
    let (pong, ponged) = chan(0);
    go!(move || {
        while let Some(i) = pinged.recv() {
            pong.send(i);
        }
    });
    for i in 0..n {
        ping.send(i);
        black_box(ponged.recv());
    }
    per(start, n)
}

#[go_lib::main]
fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = chan(128);
    go!(move || {
        (0..n).for_each(|i| sender.send(i));
        sender.close();
    });
    while let Some(i) = receiver.recv() {
        black_box(i);
    }
    per(start, n)
}

#[go_lib::main]
fn four_to_four(capacity: usize, n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = chan(capacity);
    let group = Arc::new(WaitGroup::new());
    group.add(8);
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        let (sent, received) = (Arc::clone(&group), Arc::clone(&group));
        go!(move || {
            (0..n / 4).for_each(|i| sender.send(i));
            sent.done();
        });
        go!(move || {
            for _ in 0..n / 4 {
                black_box(receiver.recv());
            }
            received.done();
        });
    }
    group.wait();
    per(start, n)
}

#[go_lib::main]
fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| chan(0));
    for (sender, _) in &channels {
        let sender = sender.clone();
        go!(move || (0..n / 3).for_each(|i| sender.send(i)));
    }
    let [(_open_a, a), (_open_b, b), (_open_c, c)] = channels;
    let mut sum: usize = 0;
    for _ in 0..n / 3 * 3 {
        select! {
            recv(a) -> i => { sum += i.unwrap(); }
            recv(b) -> i => { sum += i.unwrap(); }
            recv(c) -> i => { sum += i.unwrap(); }
        }
    }
    black_box(sum);
    per(start, n)
}

#[go_lib::main]
fn mutex(n: usize, goroutines: usize) -> Values {
    let counter = Mutex::new(0_usize);
    let start = Instant::now();
    go_lib::scope(|s| {
        for _ in 0..goroutines {
            s.go(|| {
                for _ in 0..n / goroutines {
                    *counter.lock().unwrap() += 1;
                }
            });
        }
    });
    per(start, n)
}

#[go_lib::main]
fn rwlock_read(n: usize) -> Values {
    let lock = RwLock::new(0_usize);
    let start = Instant::now();
    go_lib::scope(|s| {
        for _ in 0..8 {
            s.go(|| {
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

#[go_lib::main]
fn skynet(leaves: usize) -> Values {
    fn node(parent: &Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            return parent.send(number);
        }
        let (sender, receiver) = chan(0);
        for child in 0..10 {
            let sender = sender.clone();
            go!(move || node(&sender, number + child * (size / 10), size / 10));
        }
        parent.send((0..10).map(|_| receiver.recv().unwrap()).sum());
    }
    let (leaves, nodes) = skynet_size(leaves);
    let start = Instant::now();
    let (sender, receiver) = chan(0);
    go!(move || node(&sender, 0, leaves));
    assert_eq!(receiver.recv().unwrap(), leaves * (leaves - 1) / 2);
    per(start, nodes)
}

#[go_lib::main]
fn fork_join(count: usize) -> Values {
    fn fib(n: u32) -> u64 {
        if n < 2 {
            return n.into();
        }
        let (result, joined) = chan(1);
        go!(move || result.send(fib(n - 1)));
        fib(n - 2) + joined.recv().unwrap()
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    black_box(fib(n));
    per(start, calls)
}

#[go_lib::main]
fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = chan(0);
    go!(move || {
        (2..=n).for_each(|i| sender.send(i));
        sender.close();
    });
    for prime in primes() {
        let (sender, filtered) = chan(0);
        go!(move || {
            while let Some(i) = numbers.recv() {
                if i % prime != 0 {
                    sender.send(i);
                }
            }
            sender.close();
        });
        numbers = filtered;
    }
    let mut count = 0;
    while numbers.recv().is_some() {
        count += 1;
    }
    let values = per(start, n);
    assert_eq!(count, survivors(n));
    values
}

/// A goroutine for each worker; they share the next index.
#[go_lib::main]
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
    let parts = go_lib::scope(|s| {
        let handles: Vec<_> = (0..workers()).map(|_| s.go(part)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    let results = in_order(parts, n);
    let values = per(start, n);
    check_map(&results, n);
    values
}

#[go_lib::main]
fn sleepers(n: usize) -> Values {
    let start = Instant::now();
    let group = Arc::new(WaitGroup::new());
    for i in 0..n {
        group.add(1);
        let group = Arc::clone(&group);
        go!(move || {
            go_lib::sleep(Duration::from_millis(1 + i as u64 % 100));
            group.done();
        });
    }
    group.wait();
    per(start, 1)
}

#[go_lib::main]
fn park(n: usize) -> Values {
    let before = memory();
    let (close, release) = chan::<()>(0);
    let (started, ended) = (Arc::new(WaitGroup::new()), Arc::new(WaitGroup::new()));
    let start = Instant::now();
    for _ in 0..n {
        started.add(1);
        ended.add(1);
        let (release, started, ended) = (release.clone(), Arc::clone(&started), Arc::clone(&ended));
        go!(move || {
            started.done();
            release.recv();
            ended.done();
        });
    }
    started.wait();
    let (start, bytes) = (start.elapsed(), memory() - before);
    let wake = Instant::now();
    close.close();
    ended.wait();
    parked(n, start, bytes, wake.elapsed())
}

#[go_lib::main]
fn wake_latency(n: usize, yields: bool) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    compute_until(&stop, yields);
    let (collect, collected) = chan(LISTENERS);
    let senders: Vec<_> = (0..LISTENERS)
        .map(|_| {
            let (sender, receiver) = chan::<Instant>(128);
            let collect = collect.clone();
            go!(move || {
                let mut samples = Vec::new();
                while let Some(sent) = receiver.recv() {
                    samples.push(sent.elapsed());
                }
                collect.send(samples);
            });
            sender
        })
        .collect();
    go!(move || {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
                if yields {
                    gosched();
                }
            }
            senders[i % LISTENERS].send(Instant::now());
        }
        senders.iter().for_each(Sender::close);
    });
    let samples = (0..LISTENERS).flat_map(|_| collected.recv().unwrap()).collect();
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}

/// Keeps all workers busy.
fn compute_until(stop: &Arc<AtomicBool>, yields: bool) {
    for _ in 0..2 * workers() {
        let stop = Arc::clone(stop);
        go!(move || {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
                if yields {
                    gosched();
                }
            }
        });
    }
}
