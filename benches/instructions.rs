//! What the instruction budget counts: one loop a run, `instructions LOOP COUNT`. `ci/budget` runs each under
//! callgrind and compares the instructions of one turn with `benches/budget.txt`.
//!
//! Instructions, unlike nanoseconds, do not depend on what else the machine does, so that a regression is seen on a
//! shared machine. They know nothing of cache misses, mispredicted branches and locked instructions: times stay the
//! measure of what is fast; this one tells that a path has become longer.
//!
//! # What makes the counts repeat
//! - One worker (`LISLE_WORKERS=1`, set by `ci/budget`): no thief, hence no race that goes one way or the other.
//! - The loop itself is a goroutine: an OS thread that waits would spin a little, or not.
//! - A loop runs once before it counts, so that stacks and queues have grown.
//!
//! So the counts of a binary agree to a thousandth, run for run. Another compiler gives others.
//!
//! # How the loop is told from the rest
//! callgrind can collect "while this function is on the stack", which means little when the function switches stacks.
//! It can also set all counters to zero when a function is entered, and write them down when another is entered: so
//! the loop stands between calls of `measuring_begins` and `measuring_ends`.

use lisle::channel::{Receiver, Sender, bounded};
use lisle::select;
use lisle::sync::{Mutex, WaitGroup};
use std::hint::black_box;
use std::sync::atomic::Ordering;

/// A name, and what is done so many times.
type Loop = (&'static str, fn(usize));

const LOOPS: &[Loop] = &[
    ("spawn_join", spawn_join),
    ("spawn_done", spawn_done),
    ("yield", yield_now),
    ("park_unpark", park_unpark),
    ("send_recv_0", |count| send_recv(0, count)),
    ("send_recv_128", |count| send_recv(128, count)),
    ("select_3", select_3),
    ("lock_unlock", lock_unlock),
    ("lock_waited", lock_waited),
    ("atomic_add", |count| {
        let counter = lisle::sync::atomic::AtomicUsize::new(0);
        for _ in 0..count {
            black_box(&counter).fetch_add(1, Ordering::Relaxed);
        }
    }),
    // What that costs more than this is the price of being watched in tests.
    ("atomic_add_std", |count| {
        let counter = std::sync::atomic::AtomicUsize::new(0);
        for _ in 0..count {
            black_box(&counter).fetch_add(1, Ordering::Relaxed);
        }
    }),
];

fn spawn_join(count: usize) {
    for i in 0..count {
        black_box(lisle::go(move || i).join().unwrap());
    }
}

/// One turn: a goroutine of a group that is waited for when there are a hundred.
fn spawn_done(count: usize) {
    let group = WaitGroup::new();
    for _ in 0..count / 100 {
        for i in 0..100 {
            group.go(move || {
                black_box(i);
            });
        }
        group.wait();
    }
}

/// One turn: a yield, with a neighbour that does the same.
fn yield_now(count: usize) {
    let neighbour = lisle::go_local(move || (0..count / 2).for_each(|_| lisle::yield_now()));
    (0..count / 2).for_each(|_| lisle::yield_now());
    neighbour.join().unwrap();
}

/// One turn: the loop wakes its partner, and parks until it is woken in turn.
fn park_unpark(count: usize) {
    let waker = lisle::current();
    let partner = lisle::go_local(move || {
        for _ in 0..count {
            lisle::park();
            waker.unpark();
        }
    });
    let partner_handle = partner.goroutine();
    for _ in 0..count {
        partner_handle.unpark();
        lisle::park();
    }
    partner.join().unwrap();
}

/// One turn: a message from one goroutine to another.
fn send_recv(capacity: usize, count: usize) {
    let (sender, receiver): (Sender<usize>, Receiver<usize>) = bounded(capacity);
    let other = lisle::go_local(move || (0..count).for_each(|i| sender.send(i).unwrap()));
    for _ in 0..count {
        black_box(receiver.recv().unwrap());
    }
    other.join().unwrap();
}

/// One turn: a message on one of three channels, each with a sender of its own.
fn select_3(count: usize) {
    let channels = [(); 3].map(|()| bounded(0));
    let senders = channels.each_ref().map(|(sender, _)| {
        let sender: Sender<usize> = sender.clone();
        lisle::go_local(move || (0..count / 3).for_each(|i| sender.send(i).unwrap()))
    });
    let [(_, a), (_, b), (_, c)] = &channels;
    for _ in 0..count / 3 * 3 {
        let message = select! { recv(a) -> i => i, recv(b) -> i => i, recv(c) -> i => i };
        black_box(message.unwrap());
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

fn lock_unlock(count: usize) {
    let counter = Mutex::new(0_usize);
    for _ in 0..count {
        *black_box(&counter).lock().unwrap() += 1;
    }
}

/// One turn: the lock is taken, and held across a yield, so that three neighbours wait for it.
fn lock_waited(count: usize) {
    let counter = std::rc::Rc::new(Mutex::new(0_usize));
    let take_turns = move || {
        for _ in 0..count / 4 {
            let mut counter = counter.lock().unwrap();
            lisle::yield_now();
            *counter += 1;
        }
    };
    let neighbours: Vec<_> = (0..3).map(|_| lisle::go_local(take_turns.clone())).collect();
    take_turns();
    neighbours.into_iter().for_each(|neighbour| neighbour.join().unwrap());
}

#[inline(never)]
fn measuring_begins() {
    black_box(());
}

#[inline(never)]
fn measuring_ends() {
    black_box(0);
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, count] = &arguments[..] else {
        // Without arguments (`cargo bench`, `cargo test --benches`): the names, one a line.
        return LOOPS.iter().for_each(|(name, _)| println!("{name}"));
    };
    let count = count.parse().expect("a number");
    let (_, body) = LOOPS.iter().find(|(known, _)| known == name).expect("a known loop");
    lisle::run(|| {
        body(count);
        measuring_begins();
        body(count);
        measuring_ends();
    });
}
