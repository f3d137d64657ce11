//! The jobs in smol: its global executor of `SMOL_THREADS` threads, its channels (async-channel) and locks. Where smol
//! has no such channel (no buffer): flume.

use crate::pin;
use crate::program::Program::{self, Fewer, Run, Skip};
use crate::work::*;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{race, yield_now};
use smol::lock::{Mutex, OnceCell, RwLock};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub fn program(job: &str) -> Program {
    /// In a task, as the other systems' jobs run in a goroutine.
    macro_rules! run {
        ($f:expr) => {
            Run(|n| smol::block_on(smol::spawn($f(n))))
        };
    }
    match job {
        "spawn_done" => run!(spawn_done),
        "spawn_join" => run!(spawn_join),
        "yield" => run!(yield_two),
        "park_unpark" => Skip("its tasks have wakers, but nothing that keeps a wake-up for later"),
        "ping_pong" => run!(ping_pong),
        "ping_pong_apart" => Fewer(50, ping_pong_apart),
        "chan128_1_1" => run!(one_to_one),
        "chan128_4_4" => run!(four_to_four),
        "chan0_4_4" => run!(four_to_four_unbuffered),
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
        "wake_latency_greedy" => Skip("tasks are not preempted: one that never yields keeps its worker"),
        "threads128" => Run(between_threads),
        _ => Skip("the machine's own; no runtime takes part"),
    }
}

/// What a WaitGroup is to Go, as small as it can be: the last one sends.
#[derive(Clone)]
struct Countdown {
    left: Arc<AtomicUsize>,
    over: Sender<()>,
}

impl Countdown {
    fn new(count: usize) -> (Self, Receiver<()>) {
        let (over, wait) = bounded(1);
        (Self { left: Arc::new(AtomicUsize::new(count)), over }, wait)
    }

    fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = self.over.try_send(());
        }
    }
}

async fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    let (group, all) = Countdown::new(n);
    for _ in 0..n {
        let group = group.clone();
        smol::spawn(async move { group.done() }).detach();
    }
    all.recv().await.unwrap();
    per(start, n)
}

async fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        black_box(smol::spawn(async move { i }).await);
    }
    per(start, n)
}

async fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    let both = [(); 2].map(|()| {
        smol::spawn(async move {
            for _ in 0..n / 2 {
                yield_now().await;
            }
        })
    });
    for one in both {
        one.await;
    }
    per(start, n)
}

async fn call(ping: Sender<usize>, ponged: Receiver<usize>, n: usize) {
    for i in 0..n {
        ping.send(i).await.unwrap();
        black_box(ponged.recv().await.unwrap());
    }
}

async fn echo(pinged: Receiver<usize>, pong: Sender<usize>) {
    while let Ok(i) = pinged.recv().await {
        if pong.send(i).await.is_err() {
            break;
        }
    }
}

async fn ping_pong(n: usize) -> Values {
    let start = Instant::now();
    let (ping, pinged) = bounded(1);
    let (pong, ponged) = bounded(1);
    smol::spawn(echo(pinged, pong)).detach();
    call(ping, ponged, n).await;
    per(start, n)
}

/// Two threads, each of which drives its side alone, on processors of their own.
fn ping_pong_apart(n: usize) -> Values {
    let (ping, pinged) = bounded(1);
    let (pong, ponged) = bounded(1);
    std::thread::spawn(move || {
        pin::to_one(1);
        smol::block_on(echo(pinged, pong));
    });
    let calling = std::thread::spawn(move || {
        pin::to_one(0);
        let start = Instant::now();
        smol::block_on(call(ping, ponged, n));
        per(start, n)
    });
    calling.join().unwrap()
}

async fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    smol::spawn(async move {
        for i in 0..n {
            sender.send(i).await.unwrap();
        }
    })
    .detach();
    while let Ok(i) = receiver.recv().await {
        black_box(i);
    }
    per(start, n)
}

/// Between OS threads, by the blocking calls of its channels.
fn between_threads(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    let sending = std::thread::spawn(move || (0..n).for_each(|i| sender.send_blocking(i).unwrap()));
    let receiving = std::thread::spawn(move || {
        while let Ok(i) = receiver.recv_blocking() {
            black_box(i);
        }
    });
    sending.join().unwrap();
    receiving.join().unwrap();
    per(start, n)
}

async fn four_to_four(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    let mut handles = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        handles.push(smol::spawn(async move {
            for i in 0..n / 4 {
                sender.send(i).await.unwrap();
            }
        }));
        handles.push(smol::spawn(async move {
            for _ in 0..n / 4 {
                black_box(receiver.recv().await.unwrap());
            }
        }));
    }
    for handle in handles {
        handle.await;
    }
    per(start, n)
}

async fn four_to_four_unbuffered(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = flume::bounded(0);
    let mut handles = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        handles.push(smol::spawn(async move {
            for i in 0..n / 4 {
                sender.send_async(i).await.unwrap();
            }
        }));
        handles.push(smol::spawn(async move {
            for _ in 0..n / 4 {
                black_box(receiver.recv_async().await.unwrap());
            }
        }));
    }
    for handle in handles {
        handle.await;
    }
    per(start, n)
}

async fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| bounded(1));
    let senders: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
    for sender in senders {
        smol::spawn(async move {
            for i in 0..n / 3 {
                sender.send(i).await.unwrap();
            }
        })
        .detach();
    }
    let [(_open_a, a), (_open_b, b), (_open_c, c)] = channels;
    let mut sum = 0;
    for _ in 0..n / 3 * 3 {
        sum += race(a.recv(), race(b.recv(), c.recv())).await.unwrap();
    }
    black_box(sum);
    per(start, n)
}

async fn mutex(n: usize, tasks: usize) -> Values {
    let counter = Arc::new(Mutex::new(0_usize));
    let start = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let counter = Arc::clone(&counter);
            smol::spawn(async move {
                for _ in 0..n / tasks {
                    *counter.lock().await += 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    per(start, n)
}

async fn rwlock_read(n: usize) -> Values {
    let lock = Arc::new(RwLock::new(0_usize));
    let start = Instant::now();
    let tasks = [(); 8].map(|()| {
        let lock = Arc::clone(&lock);
        smol::spawn(async move {
            for i in 0..n / 8 {
                if i % 1000 == 999 {
                    *lock.write().await += 1;
                } else {
                    black_box(*lock.read().await);
                }
            }
        })
    });
    for task in tasks {
        task.await;
    }
    per(start, n)
}

async fn skynet(leaves: usize) -> Values {
    async fn node(parent: Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            return parent.send(number).await.unwrap();
        }
        let (sender, receiver) = bounded(1);
        for child in 0..10 {
            spawn_node(sender.clone(), number + child * (size / 10), size / 10);
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += receiver.recv().await.unwrap();
        }
        parent.send(sum).await.unwrap();
    }
    // A function of its own, since an `async fn` cannot be the proof that itself is Send.
    fn spawn_node(parent: Sender<usize>, number: usize, size: usize) {
        smol::spawn(node(parent, number, size)).detach();
    }
    let (leaves, nodes) = skynet_size(leaves);
    let start = Instant::now();
    let (sender, receiver) = bounded(1);
    spawn_node(sender, 0, leaves);
    assert_eq!(receiver.recv().await.unwrap(), leaves * (leaves - 1) / 2);
    per(start, nodes)
}

async fn fork_join(count: usize) -> Values {
    fn fib(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            if n < 2 {
                return n.into();
            }
            let other = smol::spawn(fib(n - 1));
            fib(n - 2).await + other.await
        })
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    black_box(fib(n).await);
    per(start, calls)
}

async fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = bounded(1);
    smol::spawn(async move {
        for i in 2..=n {
            sender.send(i).await.unwrap();
        }
    })
    .detach();
    for prime in primes() {
        let (sender, filtered) = bounded(1);
        smol::spawn(async move {
            while let Ok(i) = numbers.recv().await {
                if i % prime != 0 {
                    sender.send(i).await.unwrap();
                }
            }
        })
        .detach();
        numbers = filtered;
    }
    let mut count = 0;
    while numbers.recv().await.is_ok() {
        count += 1;
    }
    let values = per(start, n);
    assert_eq!(count, survivors(n));
    values
}

/// A task for each worker; they share the next index.
async fn par_map(n: usize) -> Values {
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..workers())
        .map(|_| {
            let next = Arc::clone(&next);
            smol::spawn(async move {
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
    let mut parts = Vec::new();
    for task in tasks {
        parts.push(task.await);
    }
    let results = in_order(parts, n);
    let values = per(start, n);
    check_map(&results, n);
    values
}

async fn sleepers(n: usize) -> Values {
    let start = Instant::now();
    let (group, all) = Countdown::new(n);
    for i in 0..n {
        let group = group.clone();
        smol::spawn(async move {
            smol::Timer::after(Duration::from_millis(1 + i as u64 % 100)).await;
            group.done();
        })
        .detach();
    }
    all.recv().await.unwrap();
    per(start, 1)
}

async fn park(n: usize) -> Values {
    let before = memory();
    let release = Arc::new(OnceCell::new());
    let ((started, all_started), (ended, all_ended)) = (Countdown::new(n), Countdown::new(n));
    let start = Instant::now();
    for _ in 0..n {
        let (release, started, ended) = (Arc::clone(&release), started.clone(), ended.clone());
        smol::spawn(async move {
            started.done();
            release.wait().await;
            ended.done();
        })
        .detach();
    }
    all_started.recv().await.unwrap();
    let (start, bytes) = (start.elapsed(), memory() - before);
    let wake = Instant::now();
    release.set(()).await.unwrap();
    all_ended.recv().await.unwrap();
    parked(n, start, bytes, wake.elapsed())
}

async fn wake_latency(n: usize) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    compute_until(&stop);
    let (senders, listeners): (Vec<_>, Vec<_>) = (0..LISTENERS)
        .map(|_| {
            let (sender, receiver) = bounded::<Instant>(128);
            let listener = smol::spawn(async move {
                let mut samples = Vec::new();
                while let Ok(sent) = receiver.recv().await {
                    samples.push(sent.elapsed());
                }
                samples
            });
            (sender, listener)
        })
        .unzip();
    let sending = smol::spawn(async move {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
                yield_now().await;
            }
            senders[i % LISTENERS].send(Instant::now()).await.unwrap();
        }
    });
    sending.await;
    let mut samples = Vec::new();
    for listener in listeners {
        samples.extend(listener.await);
    }
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}

/// Keeps all workers busy.
fn compute_until(stop: &Arc<AtomicBool>) {
    for _ in 0..2 * workers() {
        let stop = Arc::clone(stop);
        smol::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
                yield_now().await;
            }
        })
        .detach();
    }
}
