//! The jobs on channels; see `jobs.rs`.

use crate::jobs::report;
use lisle::channel::{Sender, bounded};
use lisle::{go, select};
use std::hint::black_box;
use std::time::Instant;

pub fn ping_pong(n: usize) {
    let start = Instant::now();
    let (ping, pinged) = bounded(0);
    let (pong, ponged) = bounded(0);
    go(move || {
        for i in pinged {
            if pong.send(i).is_err() {
                break;
            }
        }
    });
    for i in 0..n {
        ping.send(i).unwrap();
        black_box(ponged.recv().unwrap());
    }
    report("ping_pong", start, n);
}

pub fn chan128_1_1(n: usize) {
    let start = Instant::now();
    let (sender, receiver) = bounded(128);
    go(move || (0..n).for_each(|i| sender.send(i).unwrap()));
    receiver.iter().for_each(|i| {
        black_box(i);
    });
    report("chan128_1_1", start, n);
}

pub fn four_to_four(name: &str, capacity: usize, n: usize) {
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
    report(name, start, n);
}

pub fn select3(n: usize) {
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
    report("select3", start, n);
}

/// Each goroutine starts ten, down to a million leaves, and sums what they send.
pub fn skynet(leaves: usize) {
    fn node(parent: Sender<usize>, number: usize, size: usize) {
        if size == 1 {
            parent.send(number).unwrap();
            return;
        }
        let (sender, receiver) = bounded(0);
        for child in 0..10 {
            let sender = sender.clone();
            go(move || node(sender, number + child * (size / 10), size / 10));
        }
        parent.send((0..10).map(|_| receiver.recv().unwrap()).sum()).unwrap();
    }
    let leaves = 10_usize.pow(leaves.ilog10());
    let start = Instant::now();
    let (sender, receiver) = bounded(0);
    go(move || node(sender, 0, leaves));
    assert_eq!(receiver.recv().unwrap(), leaves * (leaves - 1) / 2);
    report("skynet", start, leaves + leaves / 9);
}

/// Between OS threads, against crossbeam-channel: prints both.
pub fn threads128(n: usize) {
    let turns = [(); 3].map(|()| {
        let start = Instant::now();
        let (sender, receiver) = crossbeam_channel::bounded(128);
        let thread = std::thread::spawn(move || (0..n).for_each(|i| sender.send(i).unwrap()));
        std::thread::spawn(move || {
            receiver.iter().for_each(|i| {
                black_box(i);
            })
        })
        .join()
        .unwrap();
        thread.join().unwrap();
        let crossbeam = start.elapsed();
        let start = Instant::now();
        let (sender, receiver) = bounded(128);
        let thread = std::thread::spawn(move || (0..n).for_each(|i| sender.send(i).unwrap()));
        std::thread::spawn(move || {
            receiver.iter().for_each(|i| {
                black_box(i);
            })
        })
        .join()
        .unwrap();
        thread.join().unwrap();
        (crossbeam, start.elapsed())
    });
    let [_, _, (crossbeam, lisle)] = turns;
    println!("threads128 {:.3}", lisle.as_nanos() as f64 / n as f64);
    println!("threads128_crossbeam {:.3}", crossbeam.as_nanos() as f64 / n as f64);
}
