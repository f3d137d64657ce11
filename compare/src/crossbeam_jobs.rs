//! The jobs on channels in OS threads with crossbeam-channel.

use crate::pin;
use crate::program::Program::{self, Fewer, Run, Skip};
use crate::systems::CROSSBEAM;
use crate::work::{Values, per, primes, survivors};
use crossbeam_channel::{bounded, select};
use std::hint::black_box;
use std::thread;
use std::time::Instant;

pub fn program(job: &str) -> Program {
    match job {
        "ping_pong" => Fewer(50, |n| ping_pong(n, false)),
        "ping_pong_apart" => Fewer(50, |n| ping_pong(n, true)),
        "chan128_1_1" | "threads128" => Run(one_to_one),
        "chan128_4_4" => Fewer(4, |n| four_to_four(128, n)),
        "chan0_4_4" => Fewer(20, |n| four_to_four(0, n)),
        "select3" => Fewer(20, select3),
        "sieve" => Fewer(10, sieve),
        "skynet" => Skip("1,100,000 OS threads, most of them at once"),
        _ => Skip(CROSSBEAM),
    }
}

fn ping_pong(n: usize, apart: bool) -> Values {
    let place = move |index| {
        if apart {
            pin::to_one(index);
        }
    };
    let (ping, pinged) = bounded(0);
    let (pong, ponged) = bounded(0);
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
        for i in 0..n {
            ping.send(i).unwrap();
            black_box(ponged.recv().unwrap());
        }
        per(start, n)
    });
    calling.join().unwrap()
}

fn one_to_one(n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
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

fn four_to_four(capacity: usize, n: usize) -> Values {
    let start = Instant::now();
    let (sender, receiver) = bounded(capacity);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..n / 4).for_each(|i| sender.send(i).unwrap()));
            s.spawn(|| {
                for _ in 0..n / 4 {
                    black_box(receiver.recv().unwrap());
                }
            });
        }
    });
    per(start, n)
}

fn select3(n: usize) -> Values {
    let start = Instant::now();
    let channels = [(); 3].map(|()| bounded(0));
    for (sender, _) in &channels {
        let sender = sender.clone();
        thread::spawn(move || (0..n / 3).for_each(|i| sender.send(i).unwrap()));
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

fn sieve(n: usize) -> Values {
    let start = Instant::now();
    let (sender, mut numbers) = bounded(0);
    thread::spawn(move || (2..=n).for_each(|i| sender.send(i).unwrap()));
    for prime in primes() {
        let (sender, filtered) = bounded(0);
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
