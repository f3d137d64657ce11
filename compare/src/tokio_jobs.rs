//! The jobs in tokio: its multi-threaded runtime, its channels and locks. Where tokio has no such channel (many
//! receivers, no buffer), the crates that its users take: async-channel and flume.

use crate::pin;
use crate::program::Program::{self, Fewer, Run, Skip};
use crate::work::*;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, RwLock, mpsc};
use tokio::task::yield_now;

pub fn program(job: &str) -> Program {
    /// In a task, as the other systems' jobs run in a goroutine.
    macro_rules! run {
        ($f:expr) => {
            Run(|n| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(workers())
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async { tokio::spawn($f(n)).await.unwrap() })
            })
        };
    }
    match job {
        "spawn_done" => run!(spawn_done),
        "spawn_join" => run!(spawn_join),
        "yield" => run!(yield_two),
        "park_unpark" => run!(park_unpark),
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

/// What a WaitGroup is to Go, as small as it can be.
#[derive(Clone)]
struct Countdown(Arc<(AtomicUsize, Notify)>);

impl Countdown {
    fn new(count: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(count), Notify::new())))
    }

    fn done(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }

    async fn wait(&self) {
        self.0.1.notified().await;
    }
}

async fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    let group = Countdown::new(n);
    for _ in 0..n {
        let group = group.clone();
        tokio::spawn(async move { group.done() });
    }
    group.wait().await;
    per(start, n)
}

async fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        black_box(tokio::spawn(async move { i }).await.unwrap());
    }
    per(start, n)
}

async fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    let both = [(); 2].map(|()| {
        tokio::spawn(async move {
            for _ in 0..n / 2 {
                yield_now().await;
            }
        })
    });
    for one in both {
        one.await.unwrap();
    }
    per(start, n)
}

/// `Notify` keeps one permit: it is tokio's park and unpark.
async fn park_unpark(n: usize) -> Values {
    let start = Instant::now();
    let notifies = Arc::new([Notify::new(), Notify::new()]);
    let one = tokio::spawn({
        let notifies = Arc::clone(&notifies);
        async move {
            for _ in 0..n / 2 {
                notifies[0].notified().await;
                notifies[1].notify_one();
            }
        }
    });
    let other = tokio::spawn(async move {
        for _ in 0..n / 2 {
            notifies[0].notify_one();
            notifies[1].notified().await;
        }
    });
    one.await.unwrap();
    other.await.unwrap();
    per(start, n)
}

async fn call(ping: mpsc::Sender<usize>, mut ponged: mpsc::Receiver<usize>, n: usize) {
    for i in 0..n {
        ping.send(i).await.unwrap();
        black_box(ponged.recv().await.unwrap());
    }
}

async fn echo(mut pinged: mpsc::Receiver<usize>, pong: mpsc::Sender<usize>) {
    while let Some(i) = pinged.recv().await {
        if pong.send(i).await.is_err() {
            break;
        }
    }
}

async fn ping_pong(n: usize) -> Values {
    let start = Instant::now();
    let (ping, pinged) = mpsc::channel(1);
    let (pong, ponged) = mpsc::channel(1);
    tokio::spawn(echo(pinged, pong));
    call(ping, ponged, n).await;
    per(start, n)
}

/// Two runtimes of one thread each, on processors of their own.
fn ping_pong_apart(n: usize) -> Values {
    let (ping, pinged) = mpsc::channel(1);
    let (pong, ponged) = mpsc::channel(1);
    let on_own_thread = |index| {
        pin::to_one(index);
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    };
    std::thread::spawn(move || on_own_thread(1).block_on(echo(pinged, pong)));
    let calling = std::thread::spawn(move || {
        let runtime = on_own_thread(0);
        let start = Instant::now();
        runtime.block_on(call(ping, ponged, n));
        per(start, n)
    });
    calling.join().unwrap()
}

async fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut receiver) = mpsc::channel(128);
    tokio::spawn(async move {
        for i in 0..n {
            sender.send(i).await.unwrap();
        }
    });
    while let Some(i) = receiver.recv().await {
        black_box(i);
    }
    per(start, n)
}

/// Between OS threads, by the blocking calls of its channels.
fn between_threads(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut receiver) = mpsc::channel(128);
    let sending = std::thread::spawn(move || (0..n).for_each(|i| sender.blocking_send(i).unwrap()));
    let receiving = std::thread::spawn(move || {
        while let Some(i) = receiver.blocking_recv() {
            black_box(i);
        }
    });
    sending.join().unwrap();
    receiving.join().unwrap();
    per(start, n)
}

async fn four_to_four(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = async_channel::bounded(128);
    let mut handles = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        handles.push(tokio::spawn(async move {
            for i in 0..n / 4 {
                sender.send(i).await.unwrap();
            }
        }));
        handles.push(tokio::spawn(async move {
            for _ in 0..n / 4 {
                black_box(receiver.recv().await.unwrap());
            }
        }));
    }
    for handle in handles {
        handle.await.unwrap();
    }
    per(start, n)
}

async fn four_to_four_unbuffered(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = flume::bounded(0);
    let mut handles = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        handles.push(tokio::spawn(async move {
            for i in 0..n / 4 {
                sender.send_async(i).await.unwrap();
            }
        }));
        handles.push(tokio::spawn(async move {
            for _ in 0..n / 4 {
                black_box(receiver.recv_async().await.unwrap());
            }
        }));
    }
    for handle in handles {
        handle.await.unwrap();
    }
    per(start, n)
}

async fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| mpsc::channel(1));
    let senders: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
    for sender in senders {
        tokio::spawn(async move {
            for i in 0..n / 3 {
                sender.send(i).await.unwrap();
            }
        });
    }
    let [(_open_a, mut a), (_open_b, mut b), (_open_c, mut c)] = channels;
    let mut sum = 0;
    for _ in 0..n / 3 * 3 {
        tokio::select! {
            i = a.recv() => sum += i.unwrap(),
            i = b.recv() => sum += i.unwrap(),
            i = c.recv() => sum += i.unwrap(),
        }
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
            tokio::spawn(async move {
                for _ in 0..n / tasks {
                    *counter.lock().await += 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    per(start, n)
}

async fn rwlock_read(n: usize) -> Values {
    let lock = Arc::new(RwLock::new(0_usize));
    let start = Instant::now();
    let tasks = [(); 8].map(|()| {
        let lock = Arc::clone(&lock);
        tokio::spawn(async move {
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
        task.await.unwrap();
    }
    per(start, n)
}

async fn skynet(leaves: usize) -> Values {
    async fn node(parent: mpsc::Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            return parent.send(number).await.unwrap();
        }
        let (sender, mut receiver) = mpsc::channel(1);
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
    fn spawn_node(parent: mpsc::Sender<usize>, number: usize, size: usize) {
        tokio::spawn(node(parent, number, size));
    }
    let (leaves, nodes) = skynet_size(leaves);
    let start = Instant::now();
    let (sender, mut receiver) = mpsc::channel(1);
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
            let other = tokio::spawn(fib(n - 1));
            fib(n - 2).await + other.await.unwrap()
        })
    }
    let (n, calls) = fib_size(count);
    let start = Instant::now();
    black_box(fib(n).await);
    per(start, calls)
}

async fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = mpsc::channel(1);
    tokio::spawn(async move {
        for i in 2..=n {
            sender.send(i).await.unwrap();
        }
    });
    for prime in primes() {
        let (sender, filtered) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(i) = numbers.recv().await {
                if i % prime != 0 {
                    sender.send(i).await.unwrap();
                }
            }
        });
        numbers = filtered;
    }
    let mut count = 0;
    while numbers.recv().await.is_some() {
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
            tokio::spawn(async move {
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
        parts.push(task.await.unwrap());
    }
    let results = in_order(parts, n);
    let values = per(start, n);
    check_map(&results, n);
    values
}

async fn sleepers(n: usize) -> Values {
    let start = Instant::now();
    let group = Countdown::new(n);
    for i in 0..n {
        let group = group.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1 + i as u64 % 100)).await;
            group.done();
        });
    }
    group.wait().await;
    per(start, 1)
}

async fn park(n: usize) -> Values {
    let before = memory();
    let release = Arc::new(Notify::new());
    let (started, ended) = (Countdown::new(n), Countdown::new(n));
    let start = Instant::now();
    for _ in 0..n {
        let (release, started, ended) = (Arc::clone(&release), started.clone(), ended.clone());
        tokio::spawn(async move {
            // Created before the report: from then on it cannot miss the call.
            let notified = release.notified();
            started.done();
            notified.await;
            ended.done();
        });
    }
    started.wait().await;
    let (start, bytes) = (start.elapsed(), memory() - before);
    let wake = Instant::now();
    release.notify_waiters();
    ended.wait().await;
    parked(n, start, bytes, wake.elapsed())
}

async fn wake_latency(n: usize) -> Values {
    let stop = Arc::new(AtomicBool::new(false));
    compute_until(&stop);
    let (senders, listeners): (Vec<_>, Vec<_>) = (0..LISTENERS)
        .map(|_| {
            let (sender, mut receiver) = mpsc::channel::<Instant>(128);
            let listener = tokio::spawn(async move {
                let mut samples = Vec::new();
                while let Some(sent) = receiver.recv().await {
                    samples.push(sent.elapsed());
                }
                samples
            });
            (sender, listener)
        })
        .unzip();
    let sending = tokio::spawn(async move {
        for i in 0..n {
            for _ in 0..PIECES {
                compute_piece();
                yield_now().await;
            }
            senders[i % LISTENERS].send(Instant::now()).await.unwrap();
        }
    });
    sending.await.unwrap();
    let mut samples = Vec::new();
    for listener in listeners {
        samples.extend(listener.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    percentiles(samples)
}

/// Keeps all workers busy.
fn compute_until(stop: &Arc<AtomicBool>) {
    for _ in 0..2 * workers() {
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                compute_piece();
                yield_now().await;
            }
        });
    }
}
