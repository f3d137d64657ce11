//! Channels and select between goroutines, between threads, and across the two.

mod common;

use lisle::channel::{self, RecvTimeoutError, Select, SendTimeoutError, TryRecvError, bounded, never, unbounded};
use lisle::{go, select};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn each_message_arrives_once_whatever_the_capacity_and_whoever_talks() {
    for capacity in [0, 1, 7, usize::MAX] {
        let (sender, receiver) = if capacity == usize::MAX { unbounded() } else { bounded(capacity) };
        let (results, all) = unbounded();
        for i in 0..4_u32 {
            let (sender, receiver, results) = (sender.clone(), receiver.clone(), results.clone());
            let send = move || (0..500).for_each(|k| sender.send(1000 * i + k).unwrap());
            let receive = move || receiver.iter().for_each(|message| results.send(message).unwrap());
            if i % 2 == 0 {
                go(send);
                thread::spawn(receive);
            } else {
                thread::spawn(send);
                go(receive);
            }
        }
        drop((sender, receiver, results));
        let received: Vec<u32> = all.iter().collect();
        assert_eq!(received.len(), 2000, "capacity {capacity}");
        assert_eq!(received.into_iter().collect::<HashSet<_>>().len(), 2000, "capacity {capacity}");
    }
}

#[test]
fn a_pair_on_one_worker_exchanges_messages_in_order() {
    common::one_worker().run(|| {
        let (sender, receiver) = bounded(0);
        go(move || (0..1000).for_each(|i| sender.send(i).unwrap()));
        assert!(receiver.iter().eq(0..1000));
    });
}

#[test]
fn a_failed_send_gives_the_message_back() {
    let (sender, receiver) = bounded(1);
    sender.send(String::from("first")).unwrap();
    assert_eq!(sender.try_send(String::from("full")).unwrap_err().into_inner(), "full");
    let late = sender.send_timeout(String::from("late"), Duration::from_millis(1));
    assert_eq!(late, Err(SendTimeoutError::Timeout(String::from("late"))));
    drop(receiver);
    assert_eq!(sender.send(String::from("gone")).unwrap_err().into_inner(), "gone");
}

#[test]
fn closing_wakes_who_waits_on_either_side() {
    let (sender, receiver) = bounded::<i32>(0);
    let waiting = go(move || receiver.recv_timeout(LONG));
    drop(sender);
    assert_eq!(waiting.join().unwrap(), Err(RecvTimeoutError::Disconnected));
    let (sender, receiver) = bounded(0);
    let waiting = go(move || sender.send_timeout(5, LONG));
    drop(receiver);
    assert_eq!(waiting.join().unwrap(), Err(SendTimeoutError::Disconnected(5)));
}

#[test]
fn two_selects_meet_on_a_channel_without_room() {
    let (sender, receiver) = bounded(0);
    let sums = go(move || {
        let mut sum = 0;
        for _ in 0..500 {
            select! {
                recv(receiver) -> message => sum += message.unwrap(),
                recv(never::<i32>()) -> _ => unreachable!(),
            }
        }
        sum
    });
    for _ in 0..500 {
        select! {
            send(sender, 2) -> result => result.unwrap(),
            default(LONG) => panic!("the other select was missed"),
        }
    }
    assert_eq!(sums.join().unwrap(), 1000);
}

#[test]
fn try_recv_takes_the_message_that_a_select_has_promised() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let (sender, receiver) = bounded(0);
        let selecting = go(move || select! { send(sender, 9) -> result => result.is_ok() });
        let start = Instant::now();
        let message = loop {
            match receiver.try_recv() {
                Ok(message) => break message,
                Err(TryRecvError::Empty) => lisle::yield_now(),
                Err(error) => panic!("{error}"),
            }
            assert!(start.elapsed() < LONG);
        };
        assert!(message == 9 && selecting.join().unwrap());
    });
}

#[test]
fn a_message_that_panics_abandons_the_send_and_its_partner_goes_on_waiting() {
    let (sender, receiver) = bounded(0);
    let waiting = go(move || receiver.recv());
    let failing = sender.clone();
    let fails = || -> i32 { panic!("no message") };
    let panicked = go(move || {
        catch_unwind(AssertUnwindSafe(|| {
            select! { send(failing, fails()) -> _ => {} }
        }))
        .is_err()
    });
    assert!(panicked.join().unwrap());
    sender.send(3).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(3));
}

#[test]
fn arms_that_lose_keep_their_messages() {
    let (a, receive_a) = bounded(1);
    let (b, receive_b) = bounded(1);
    for i in 0..200 {
        a.send(i).unwrap();
        b.send(i).unwrap();
        let other = select! {
            recv(receive_a) -> message => { assert_eq!(message, Ok(i)); &receive_b }
            recv(receive_b) -> message => { assert_eq!(message, Ok(i)); &receive_a }
        };
        assert_eq!(other.try_recv(), Ok(i));
    }
}

#[test]
fn ready_arms_are_chosen_evenly() {
    for ready in [&[0, 1, 2], &[0, 1, 6], &[0, 8, 9], &[11, 12, 19]] {
        for arms in [3, 7, 10, 20] {
            if ready.iter().all(|&index| index < arms) {
                assert_chosen_evenly(ready, arms);
            }
        }
    }
}

/// Of so many arms these are ready.
fn assert_chosen_evenly(ready: &[usize], arms: usize) {
    let each = 1000;
    let channels: Vec<_> = (0..arms).map(|_| unbounded()).collect();
    for &index in ready {
        (0..each * ready.len()).for_each(|i| channels[index].0.send(i).unwrap());
    }
    let mut hits = vec![0; arms];
    for _ in 0..each * ready.len() {
        let mut select = Select::new();
        for (_, receiver) in &channels {
            select.recv(receiver);
        }
        let operation = select.select();
        let index = operation.index();
        hits[index] += 1;
        operation.recv(&channels[index].1).unwrap();
    }
    assert!(ready.iter().all(|&index| (800..1200).contains(&hits[index])), "{hits:?}");
}

#[test]
fn a_timeout_that_races_with_a_partner_loses_no_message() {
    let (sender, receiver) = bounded(0);
    let sent = go(move || (0..300).filter(|&i| sender.send_timeout(i, Duration::from_micros(20)).is_ok()).count());
    let mut received = 0;
    loop {
        match receiver.recv_timeout(Duration::from_micros(20)) {
            Ok(_) => received += 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert_eq!(sent.join().unwrap(), received);
}

#[test]
fn wrong_use_is_told() {
    let panic = catch_unwind(|| bounded::<u64>(usize::MAX / 4)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains(&(usize::MAX / 4).to_string()));
    let panic = catch_unwind(|| bounded::<u64>(usize::MAX)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains(&usize::MAX.to_string()), "it is not unbounded");
    let panic = catch_unwind(|| drop(Select::new().select())).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("no operations"));
    assert!(channel::after(Duration::ZERO).recv().is_ok());
}

#[test]
fn two_arms_on_one_channel_are_chosen_evenly_also_by_a_partner_that_comes_later() {
    let runtime = common::one_worker();
    runtime.run(|| {
        let (sender, receiver) = bounded(0);
        let zeros = go(move || receiver.iter().filter(|&message| message == 0).count());
        for _ in 0..1000 {
            select! {
                send(sender, 0) -> result => result.unwrap(),
                send(sender, 1) -> result => result.unwrap(),
            }
        }
        drop(sender);
        let zeros = zeros.join().unwrap();
        assert!((400..600).contains(&zeros), "{zeros}");
    });
}

#[test]
fn a_select_with_default_finds_the_message_that_moves_between_its_channels() {
    const ROUNDS: usize = 20_000;
    let ((first, from_first), (second, from_second)) = (bounded(1), bounded(1));
    let ((start, started), (end, ended)) = (bounded(0), bounded(0));
    thread::scope(|s| {
        let (from_first, from_second) = (&from_first, &from_second);
        let looking = s.spawn(move || {
            for _ in 0..ROUNDS {
                start.send(()).unwrap();
                first.send(1).unwrap();
                // From now on there is always a message in one of the two.
                select! {
                    recv(from_first) -> _ => {}
                    recv(from_second) -> _ => {}
                    default => return false,
                }
                end.send(()).unwrap();
                let _ = from_second.try_recv();
            }
            true
        });
        for () in started {
            second.send(1).unwrap();
            let _ = from_first.try_recv();
            let _ = ended.recv();
        }
        assert!(looking.join().unwrap(), "no message was found, although there was one all the time");
    });
}

/// Counts itself while it is there. Too large to lie in a select's own frame, and aligned beyond what it has there.
#[repr(align(64))]
struct Counted(Arc<AtomicIsize>);

impl Counted {
    fn new(alive: &Arc<AtomicIsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(std::ptr::from_ref(self).is_aligned());
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic stands between what was chosen and its message.
fn abandon(operation: channel::SelectedOperation<'_>) {
    let abandoned = catch_unwind(AssertUnwindSafe(move || {
        let _operation = operation;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(abandoned.is_err());
}

/// Does whatever can be done with two channels, by turns. Returns how many messages it has sent, less those received.
fn mixed_operations(
    (a, from_a): (channel::Sender<Counted>, channel::Receiver<Counted>),
    (b, from_b): (channel::Sender<Counted>, channel::Receiver<Counted>),
    alive: &Arc<AtomicIsize>,
    mut seed: u32,
    rounds: u32,
) -> isize {
    const SHORT: Duration = Duration::from_micros(30);
    let mut balance = 0;
    for _ in 0..rounds {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let message = || Counted::new(alive);
        balance += match (seed >> 16) % 10 {
            0 => isize::from(a.send_timeout(message(), SHORT).is_ok()),
            1 => -isize::from(from_a.recv_timeout(SHORT).is_ok()),
            2 => isize::from(b.try_send(message()).is_ok()),
            3 => -isize::from(from_b.try_recv().is_ok()),
            4 => select! {
                send(a, message()) -> sent => isize::from(sent.is_ok()),
                recv(from_b) -> received => -isize::from(received.is_ok()),
                default(SHORT) => 0,
            },
            5 => select! {
                send(b, message()) -> sent => isize::from(sent.is_ok()),
                recv(from_a) -> received => -isize::from(received.is_ok()),
                default => 0,
            },
            6 => select! {
                recv(from_a) -> received => -isize::from(received.is_ok()),
                recv(from_b) -> received => -isize::from(received.is_ok()),
                default(SHORT) => 0,
            },
            7 => {
                let mut select = Select::new();
                select.send(&a);
                select.send(&b);
                if let Ok(operation) = select.select_timeout(SHORT) {
                    abandon(operation);
                }
                0
            }
            8 => {
                let mut select = Select::new();
                select.recv(&from_a);
                select.send(&b);
                match select.ready_timeout(SHORT) {
                    Ok(0) => -isize::from(from_a.try_recv().is_ok()),
                    Ok(_) => isize::from(b.try_send(message()).is_ok()),
                    Err(_) => 0,
                }
            }
            _ => select! {
                send(a, message()) -> sent => isize::from(sent.is_ok()),
                recv(from_a) -> received => -isize::from(received.is_ok()),
                send(b, message()) -> sent => isize::from(sent.is_ok()),
                default(SHORT) => 0,
            },
        };
    }
    balance
}

#[test]
fn whatever_is_mixed_no_message_is_lost_or_doubled() {
    for capacity in [0, 1, 3] {
        let alive = Arc::new(AtomicIsize::new(0));
        let (a, b) = (bounded(capacity), bounded(capacity));
        let mixed = |seed| {
            let (a, b, alive) = (a.clone(), b.clone(), alive.clone());
            move || mixed_operations(a, b, &alive, seed, 3000)
        };
        let threads: Vec<_> = (0..3).map(|seed| thread::spawn(mixed(seed))).collect();
        let goroutines: Vec<_> = (3..9).map(|seed| go(mixed(seed))).collect();
        let balance = threads.into_iter().map(|thread| thread.join().unwrap()).sum::<isize>()
            + goroutines.into_iter().map(|goroutine| goroutine.join().unwrap()).sum::<isize>();
        assert_eq!(usize::try_from(balance).unwrap(), a.1.len() + b.1.len(), "capacity {capacity}");
        for (sender, _) in [&a, &b] {
            let mut sent = 0;
            while sender.try_send(Counted::new(&alive)).is_ok() {
                sent += 1;
            }
            assert!(sent <= capacity);
            assert_eq!(sender.len(), capacity, "room is lost");
        }
        drop((a, b));
        assert_eq!(alive.load(Ordering::Relaxed), 0, "capacity {capacity}");
    }
}

#[test]
fn a_timer_that_is_set_anew_reaches_one_of_those_who_wait_however_they_wait() {
    let timer = lisle::time::Timer::new(LONG);
    let (count, counted) = unbounded();
    let (stop, stopped) = bounded::<()>(0);
    let plain = |timer: channel::Receiver<Instant>, count: channel::Sender<()>, stopped: channel::Receiver<()>| {
        move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                if timer.recv_timeout(Duration::from_millis(3)).is_ok() {
                    count.send(()).unwrap();
                }
            }
        }
    };
    let selecting = |timer: channel::Receiver<Instant>, count: channel::Sender<()>, stopped: channel::Receiver<()>| {
        move || loop {
            select! {
                recv(timer) -> _ => count.send(()).unwrap(),
                recv(stopped) -> _ => break,
            }
        }
    };
    let watching = |timer: channel::Receiver<Instant>, count: channel::Sender<()>, stopped: channel::Receiver<()>| {
        move || loop {
            let mut select = Select::new();
            select.recv(&timer);
            select.recv(&stopped);
            if select.ready() == 1 {
                break;
            }
            if timer.try_recv().is_ok() {
                count.send(()).unwrap();
            }
        }
    };
    let ends = || (timer.receiver().clone(), count.clone(), stopped.clone());
    let with = |(t, c, s)| (go(plain(t, c, s)), ends());
    let (first, (t, c, s)) = with(ends());
    let goroutines = [first, go(selecting(t, c, s)), {
        let (t, c, s) = ends();
        go(watching(t, c, s))
    }];
    let threads = {
        let ((a, b, c), (d, e, f), (g, h, i)) = (ends(), ends(), ends());
        [thread::spawn(plain(a, b, c)), thread::spawn(selecting(d, e, f)), thread::spawn(watching(g, h, i))]
    };
    for round in 0..500 {
        timer.reset(LONG);
        timer.stop();
        timer.reset(LONG);
        timer.reset(Duration::from_micros(50 * (round % 3)));
        assert_eq!(counted.recv_timeout(LONG), Ok(()), "round {round}");
        assert!(counted.is_empty() && !timer.stop(), "round {round}: two got one message");
    }
    drop(stop);
    goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_try_inside_no_switch_does_not_wait_for_a_neighbour_that_cannot_run() {
    common::one_worker().run(|| {
        let (sender, receiver) = bounded(0);
        let selecting = go(move || select! { send(sender, 9) -> result => result.is_ok() });
        lisle::yield_now();
        lisle::no_switch(|| {
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            select! {
                recv(receiver) -> _ => panic!("nobody could send"),
                recv(never::<i32>()) -> _ => unreachable!(),
                default => {}
            }
        });
        assert_eq!(receiver.recv_timeout(LONG), Ok(9));
        assert!(selecting.join().unwrap());
    });
}

#[test]
fn a_biased_select_keeps_its_order_when_an_operation_is_removed() {
    let channels = [(); 3].map(|()| {
        let (sender, receiver) = unbounded();
        sender.send(()).unwrap();
        (sender, receiver)
    });
    let mut select = Select::new_biased();
    for (_, receiver) in &channels {
        select.recv(receiver);
    }
    select.remove(0);
    assert_eq!(select.ready(), 1);
}

/// A channel of this capacity, all of it set aside for selects that have no message yet.
fn all_reserved(capacity: usize, then: impl FnOnce(channel::Sender<u32>, &channel::Receiver<u32>)) {
    let (sender, receiver) = bounded(capacity);
    let selecting = sender.clone();
    let begin = || {
        let mut select = Select::new();
        select.send(&selecting);
        select.try_select().unwrap()
    };
    let mut reserved: Vec<_> = (0..capacity).map(|_| begin()).collect();
    then(sender, &receiver);
    reserved.drain(..).for_each(|operation| operation.send(&selecting, 0).unwrap());
    assert_eq!(receiver.try_iter().count(), capacity);
}

#[test]
fn room_that_is_set_aside_for_a_select_does_not_keep_others_apart() {
    let runtime = common::one_worker();
    for capacity in [1, 2] {
        runtime.run(|| {
            all_reserved(capacity, |sender, receiver| {
                let selecting = sender.clone();
                let sent = go(move || sender.send_timeout(1, LONG));
                lisle::yield_now();
                assert_eq!(receiver.recv_timeout(LONG), Ok(1), "a sender waited");
                assert_eq!(sent.join().unwrap(), Ok(()));
                let sent = go(move || select! { send(selecting, 2) -> sent => sent, default(LONG) => Ok(()) });
                lisle::yield_now();
                select! {
                    recv(receiver) -> message => assert_eq!(message, Ok(2), "a select waited to send"),
                    default(LONG) => panic!("a select that waits to send was missed"),
                }
                sent.join().unwrap().unwrap();
            });
            all_reserved(capacity, |sender, receiver| {
                let receiver = receiver.clone();
                let received = go(move || receiver.recv_timeout(LONG));
                lisle::yield_now();
                assert!(sender.try_send(3).is_ok(), "a receiver waits");
                assert_eq!(received.join().unwrap(), Ok(3));
            });
            all_reserved(capacity, |sender, receiver| {
                let sent = go(move || sender.send_timeout(4, LONG));
                lisle::yield_now();
                assert_eq!(receiver.try_recv(), Ok(4), "a sender waits");
                assert_eq!(sent.join().unwrap(), Ok(()));
            });
        });
    }
}

#[test]
fn who_watches_for_room_that_is_set_aside_is_told_of_a_partner() {
    common::one_worker().run(|| {
        all_reserved(1, |sender, receiver| {
            let watched = go(move || {
                let mut select = Select::new();
                select.send(&sender);
                let ready = select.ready_timeout(LONG);
                sender.try_send(5).unwrap();
                ready
            });
            lisle::yield_now();
            assert_eq!(receiver.recv_timeout(LONG), Ok(5));
            assert_eq!(watched.join().unwrap(), Ok(0));
        });
        all_reserved(1, |sender, receiver| {
            let watching = receiver.clone();
            let watched = go(move || {
                let mut select = Select::new();
                select.recv(&watching);
                (select.ready_timeout(LONG), watching.try_recv())
            });
            lisle::yield_now();
            sender.send_timeout(6, LONG).unwrap();
            assert_eq!(watched.join().unwrap(), (Ok(0), Ok(6)));
        });
    });
}

#[test]
fn who_watches_is_told_of_a_select_that_comes_to_wait() {
    common::one_worker().run(|| {
        let (sender, receiver) = bounded(0);
        let watched = go(move || {
            let mut select = Select::new();
            select.recv(&receiver);
            (select.ready(), receiver.recv_timeout(LONG))
        });
        lisle::yield_now();
        select! {
            send(sender, 7) -> sent => sent.unwrap(),
            default(LONG) => panic!("nobody came"),
        }
        assert_eq!(watched.join().unwrap(), (0, Ok(7)));

        let (sender, receiver) = bounded(0);
        let watched = go(move || {
            let mut select = Select::new();
            select.send(&sender);
            (select.ready(), sender.send_timeout(8, LONG))
        });
        lisle::yield_now();
        select! {
            recv(receiver) -> received => assert_eq!(received, Ok(8)),
            default(LONG) => panic!("nobody came"),
        }
        assert_eq!(watched.join().unwrap(), (0, Ok(())));
    });
}

#[test]
fn the_body_of_an_arm_may_change_and_drop_what_the_arms_name() {
    let (sender, mut receiver) = bounded(1);
    let (other, others) = bounded::<u32>(1);
    sender.send(1).unwrap();
    drop(sender);
    let mut turns = 0;
    while turns < 2 {
        select! {
            recv(receiver) -> message => match message {
                Ok(_) => turns += 1,
                Err(_) => {
                    turns += 1;
                    receiver = never();
                }
            },
            recv(others) -> _ => unreachable!(),
        }
    }
    select! {
        recv(receiver) -> _ => unreachable!(),
        send(other, 5) -> sent => {
            sent.unwrap();
            drop(other);
        }
    }
    select! {
        recv(receiver) -> _ => unreachable!(),
        default => drop(receiver),
    }
    assert_eq!(others.recv(), Ok(5));
}

#[test]
fn the_place_of_a_message_is_large_enough_whatever_it_was_for_before() {
    let (_wide, receive_wide) = bounded::<u128>(1);
    let (long, receive_long) = bounded::<[u64; 4]>(1);
    long.send([1, 2, 3, 4]).unwrap();
    let mut operation = channel::Operation::default();
    let mut select = Select::new();
    select.recv(&receive_wide);
    assert!(select.try_select_into(&mut operation).is_err());
    let mut select = Select::new();
    select.recv(&receive_long);
    select.select_into(&mut operation);
    assert_eq!(operation.recv(&receive_long), Ok([1, 2, 3, 4]));
    assert!(catch_unwind(AssertUnwindSafe(|| operation.recv(&receive_long))).is_err(), "it is completed");
}

#[test]
fn a_select_that_is_forgotten_with_room_set_aside_costs_that_room_and_nothing_else() {
    const MESSAGES: u32 = 1000;
    let (sender, receiver) = bounded(1);
    let mut select = Select::new();
    select.send(&sender);
    std::mem::forget(select.try_select().unwrap());
    let sending = sender.clone();
    let sent = go(move || (0..MESSAGES).all(|i| sending.send_timeout(i, LONG).is_ok()));
    (0..MESSAGES).for_each(|i| assert_eq!(receiver.recv_timeout(LONG), Ok(i)));
    assert!(sent.join().unwrap());
}

#[test]
fn a_select_may_be_used_as_one_that_borrows_for_less_long() {
    fn shorten<'short, 'long: 'short>(select: Select<'long>, _: &'short i32) -> Select<'short> {
        select
    }
    let (sender, receiver) = unbounded();
    sender.send(7).unwrap();
    let mut select = Select::new();
    select.recv(&receiver);
    let local = 1;
    let mut shortened = shorten(select, &local);
    assert_eq!(shortened.select().recv(&receiver), Ok(7));
}

#[test]
fn errors_say_what_crossbeams_do() {
    let (sender, receiver) = bounded(1);
    let zero = Duration::ZERO;
    let shown = |error: &dyn std::error::Error| (error.to_string(), format!("{error:?}"));
    let expect = |error: &dyn std::error::Error, text: &str, debug: &str| {
        assert_eq!(shown(error), (text.to_owned(), debug.to_owned()));
    };
    expect(&receiver.try_recv().unwrap_err(), "receiving on an empty channel", "Empty");
    expect(&receiver.recv_timeout(zero).unwrap_err(), "timed out waiting on receive operation", "Timeout");
    let mut select = Select::new();
    select.recv(&receiver);
    expect(&select.try_select().unwrap_err(), "all operations in select would block", "TrySelectError");
    expect(&select.select_timeout(zero).unwrap_err(), "timed out waiting on select", "SelectTimeoutError");
    sender.send(1).unwrap();
    expect(&sender.try_send(2).unwrap_err(), "sending on a full channel", "Full(..)");
    let timeout = sender.send_timeout(2, zero).unwrap_err();
    expect(&timeout, "timed out waiting on send operation", "SendTimeoutError(..)");
    drop(receiver);
    const NO_RECEIVER: &str = "sending on a disconnected channel";
    expect(&sender.send(2).unwrap_err(), NO_RECEIVER, "SendError(..)");
    expect(&sender.try_send(2).unwrap_err(), NO_RECEIVER, "Disconnected(..)");
    expect(&sender.send_timeout(2, zero).unwrap_err(), NO_RECEIVER, "SendTimeoutError(..)");
    let (sender, receiver) = unbounded::<i32>();
    drop(sender);
    const NO_SENDER: &str = "receiving on an empty and disconnected channel";
    expect(&receiver.recv().unwrap_err(), NO_SENDER, "RecvError");
    expect(&receiver.try_recv().unwrap_err(), NO_SENDER, "Disconnected");
    expect(&receiver.recv_timeout(zero).unwrap_err(), "channel is empty and disconnected", "Disconnected");
}

mod what_a_select_that_does_not_compile_says {
    use lisle::{select, select_biased};

    /// Takes the compiler's place, and gives the message back.
    macro_rules! compile_error {
        ($message:expr) => {
            $message
        };
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(select! {}, "a `select!` needs an operation, or it would wait for ever");
        assert_eq!(select_biased! {}, "a `select_biased!` needs an operation, or it would wait for ever");
        const NO_RESULT: &str = "a `default` has no result: write `default => body` or `default(timeout) => body`";
        assert_eq!(select! { default(timeout) -> _ => 1 }, NO_RESULT);
        assert_eq!(select! { default -> _ => 1 }, NO_RESULT);
        assert_eq!(select! { recv(receiver) -> _ => "", default => "", default() -> _ => "" }, NO_RESULT);
        let found = |message: &str, arm: &str| {
            assert!(message.replace(' ', "").ends_with(&format!("found`{arm}`")), "{message}");
        };
        found(select! { default: 1 }, "default:1");
        found(select! { default(timeout): 1 }, "default(timeout):1");
        found(select! { default => }, "default=>");
        found(select! { recv(receiver) => 1 }, "recv(receiver)=>1");
        found(select! { receive(receiver) -> _ => 1 }, "receive(receiver)->_=>1");
        found(select! { recv(receiver) -> _ => "a"; default => 1 }, ";default=>1");
        let once = "there can be only one `default` in a `select!`";
        assert_eq!(select! { default => "", default(timeout) => "" }, once);
    }
}
