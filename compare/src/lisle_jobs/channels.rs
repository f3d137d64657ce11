//! The jobs on channels.

use compare::pin;
use compare::work::{Values, per, primes, skynet_size, survivors};
use lisle::channel::{Receiver, Sender, bounded};
use lisle::{go, select};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub fn ping_pong(n: usize) -> Values {
    let start = Instant::now();
    let (ping, pinged) = bounded(0);
    let (pong, ponged) = bounded(0);
    go(move || echo(&pinged, &pong));
    call(&ping, &ponged, n);
    per(start, n)
}

fn call(ping: &Sender<usize>, ponged: &Receiver<usize>, n: usize) {
    for i in 0..n {
        ping.send(i).unwrap();
        black_box(ponged.recv().unwrap());
    }
}

fn echo(pinged: &Receiver<usize>, pong: &Sender<usize>) {
    for i in pinged {
        if pong.send(i).is_err() {
            break;
        }
    }
}

/// The partners wait for each other without letting their worker go, so they must be on different ones; and a
/// goroutine that has started stays where it is.
pub fn ping_pong_apart(n: usize) -> Values {
    let (ping, pinged) = bounded(0);
    let (pong, ponged) = bounded(0);
    let here = Arc::new(AtomicUsize::new(0));
    let part = |index| {
        let here = Arc::clone(&here);
        move || {
            here.fetch_add(1, Ordering::AcqRel);
            while here.load(Ordering::Acquire) < 2 {
                std::hint::spin_loop();
            }
            pin::to_one(index);
            std::thread::current().id()
        }
    };
    let (arrive, arrive_too) = (part(0), part(1));
    let echoing = go(move || {
        let thread = arrive_too();
        echo(&pinged, &pong);
        thread
    });
    let calling = go(move || {
        let thread = arrive();
        let start = Instant::now();
        call(&ping, &ponged, n);
        (thread, per(start, n))
    });
    let (thread, values) = calling.join().unwrap();
    assert_ne!(thread, echoing.join().unwrap(), "the partners should be on two workers");
    values
}

pub fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    go(move || (0..n).for_each(|i| sender.send(i).unwrap()));
    receiver.iter().for_each(|i| {
        black_box(i);
    });
    per(start, n)
}

pub fn four_to_four(capacity: usize, n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(capacity);
    let mut handles = Vec::new();
    for _ in 0..4 {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        handles.push(go(move || (0..n / 4).for_each(|i| sender.send(i).unwrap())));
        handles.push(go(move || {
            for _ in 0..n / 4 {
                black_box(receiver.recv().unwrap());
            }
        }));
    }
    for handle in handles {
        handle.join().unwrap();
    }
    per(start, n)
}

/// lisle's channel between two OS threads.
pub fn between_threads(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    let thread = std::thread::spawn(move || (0..n).for_each(|i| sender.send(i).unwrap()));
    let other = std::thread::spawn(move || {
        receiver.iter().for_each(|i| {
            black_box(i);
        })
    });
    thread.join().unwrap();
    other.join().unwrap();
    per(start, n)
}

pub fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| bounded(0));
    for (sender, _) in &channels {
        // The channels stay open, as in Go: a sender that is done does not make its arm ready.
        let sender = sender.clone();
        go(move || (0..n / 3).for_each(|i| sender.send(i).unwrap()));
    }
    let [(_, a), (_, b), (_, c)] = &channels;
    let mut sum = 0;
    for _ in 0..n / 3 * 3 {
        select! {
            recv(a) -> i => sum += i.unwrap(),
            recv(b) -> i => sum += i.unwrap(),
            recv(c) -> i => sum += i.unwrap(),
        }
    }
    black_box(sum);
    per(start, n)
}

/// Each goroutine starts ten, down to a million leaves, and sums what they send.
pub fn skynet(leaves: usize) -> Values {
    fn node(parent: &Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            return parent.send(number).unwrap();
        }
        let (sender, receiver) = bounded(0);
        for child in 0..10 {
            let sender = sender.clone();
            go(move || node(&sender, number + child * (size / 10), size / 10));
        }
        parent.send((0..10).map(|_| receiver.recv().unwrap()).sum()).unwrap();
    }
    let (leaves, nodes) = skynet_size(leaves);
    let start = Instant::now();
    let (sender, receiver) = bounded(0);
    go(move || node(&sender, 0, leaves));
    assert_eq!(receiver.recv().unwrap(), leaves * (leaves - 1) / 2);
    per(start, nodes)
}

/// The numbers from 2 to n pass a hundred filters, each of which keeps back the multiples of its prime.
pub fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = bounded(0);
    go(move || (2..=n).for_each(|i| sender.send(i).unwrap()));
    for prime in primes() {
        let (sender, filtered) = bounded(0);
        go(move || {
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
