//! The loom models: every interleaving (up to a bound on preemptions) of the wake-up protocols, which are
//! the very sources that run in production, with loom's atomics under them. Run by `ci/loom`.

use crate::park::refuse_to_spin;
use crate::sched_models::idle::{Idle, Sleeper};
use crate::sched_models::inbox::{Inbox, Linked};
use crate::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use loom::thread;
use std::ptr::NonNull;

mod bias;
mod deque;
mod life;
mod mutex;
mod seat;

fn model(body: impl Fn() + Sync + Send + 'static) {
    bounded_model(3, body);
}

/// With fewer preemptions, for models of three threads that do much.
fn bounded_model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

struct Node {
    link: AtomicPtr<Node>,
    value: usize,
}

// SAFETY: the link is a field, used by inboxes alone.
unsafe impl Linked for Node {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

fn node(value: usize) -> NonNull<Node> {
    NonNull::from(Box::leak(Box::new(Node { link: AtomicPtr::new(std::ptr::null_mut()), value })))
}

fn values(inbox: &Inbox<Node>) -> Vec<usize> {
    // SAFETY: each node comes out once, and was leaked by `node`.
    inbox.take().map(|node| unsafe { Box::from_raw(node.as_ptr()) }.value).collect()
}

#[test]
fn inbox_loses_and_doubles_nothing() {
    model(|| {
        let inbox = Arc::new(Inbox::new());
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || {
                    for i in 0..2 {
                        // SAFETY: a new node, alive until it is taken.
                        unsafe { inbox.push(node(10 * producer + i)) };
                    }
                })
            })
            .collect();
        let mut got = values(&inbox);
        for producer in producers {
            producer.join().unwrap();
        }
        got.extend(values(&inbox));
        let of = |producer: usize| got.iter().copied().filter(|v| v / 10 == producer).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec![0, 1], vec![10, 11]), "each producer's in order");
    });
}

#[test]
fn pinned_work_is_never_slept_through() {
    model(|| {
        let inbox = Arc::new(Inbox::new());
        let sleeper = Arc::new(Sleeper::new());
        let eventfd = Arc::new(AtomicBool::new(false));
        let producer = {
            let (inbox, sleeper, eventfd) = (Arc::clone(&inbox), Arc::clone(&sleeper), Arc::clone(&eventfd));
            thread::spawn(move || {
                // SAFETY: a new node, alive until it is taken.
                unsafe { inbox.push(node(1)) };
                if sleeper.must_wake() {
                    eventfd.store(true, Ordering::Release);
                }
            })
        };
        // The worker: announce, look again, sleep only if there is nothing.
        sleeper.announce();
        let sleeps = inbox.is_empty();
        producer.join().unwrap();
        if sleeps {
            assert!(eventfd.load(Ordering::Acquire), "the worker sleeps, work is there, nobody wakes it");
        }
        sleeper.retract();
        assert_eq!(values(&inbox), [1]);
    });
}

/// One producer of fresh work, one worker that was searching and gives up.
#[test]
fn fresh_work_is_never_slept_through() {
    model(|| {
        let idle = Arc::new(Idle::new());
        let work = Arc::new(AtomicUsize::new(0));
        let eventfd = Arc::new(AtomicBool::new(false));
        assert!(idle.try_search(2));
        let producer = {
            let (idle, work, eventfd) = (Arc::clone(&idle), Arc::clone(&work), Arc::clone(&eventfd));
            thread::spawn(move || {
                work.store(1, Ordering::Release);
                if idle.worker_to_wake() == Some(0) {
                    eventfd.store(true, Ordering::Release);
                }
            })
        };
        let must_look = idle.doze(0, true);
        let sleeps = !(must_look && work.load(Ordering::Acquire) == 1);
        if sleeps {
            producer.join().unwrap();
            assert!(eventfd.load(Ordering::Acquire), "the worker sleeps, work is there, nobody wakes it");
        } else {
            producer.join().unwrap();
        }
        if idle.rouse(0) {
            idle.found_work();
        }
        assert!(idle.is_settled());
    });
}

/// Two workers go to sleep while a deferred call is set up: one of them sleeps to its time, or is woken.
#[test]
fn a_deferred_call_is_never_slept_through() {
    model(|| {
        let idle = Arc::new(Idle::new());
        let next = Arc::new(AtomicUsize::new(usize::MAX));
        let producer = {
            let (idle, next) = (Arc::clone(&idle), Arc::clone(&next));
            thread::spawn(move || {
                next.fetch_min(1, Ordering::SeqCst);
                idle.worker_to_wake().is_some()
            })
        };
        let go_to_sleep = |index| {
            let (idle, next) = (Arc::clone(&idle), Arc::clone(&next));
            move || {
                let _ = idle.doze(index, false);
                next.load(Ordering::SeqCst) == 1
            }
        };
        let other = thread::spawn(go_to_sleep(1));
        let knows = go_to_sleep(0)();
        let other_knows = other.join().unwrap();
        let woken = producer.join().unwrap();
        assert!(knows || other_knows || woken, "both sleep, and neither knows of the call");
    });
}

/// Two workers go to sleep while work for both comes: the last searcher's rule.
#[test]
fn the_last_searcher_leaves_no_work_behind() {
    model(|| {
        let idle = Arc::new(Idle::new());
        let work = Arc::new(AtomicUsize::new(0));
        let woken = Arc::new(AtomicUsize::new(0));
        assert!(idle.try_search(2));
        let wake = |idle: &Idle, woken: &AtomicUsize| {
            if idle.worker_to_wake().is_some() {
                woken.fetch_add(1, Ordering::AcqRel);
            }
        };
        let producer = {
            let (idle, work, woken) = (Arc::clone(&idle), Arc::clone(&work), Arc::clone(&woken));
            thread::spawn(move || {
                for _ in 0..2 {
                    work.fetch_add(1, Ordering::AcqRel);
                    wake(&idle, &woken);
                }
            })
        };
        // Worker 1 sleeps already or is about to; worker 0 searches, and takes one piece if it finds it.
        let other = {
            let (idle, work) = (Arc::clone(&idle), Arc::clone(&work));
            thread::spawn(move || {
                let must_look = idle.doze(1, false);
                !(must_look && work.load(Ordering::Acquire) > 0)
            })
        };
        let take = || work.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        let looks_again = if take() {
            // What it has taken may last for ever.
            if idle.found_work() && work.load(Ordering::Acquire) > 0 {
                wake(&idle, &woken);
            }
            false
        } else {
            let looks_again = idle.doze(0, true) && work.load(Ordering::Acquire) > 0;
            if looks_again {
                idle.rouse(0);
            }
            looks_again
        };
        producer.join().unwrap();
        let other_sleeps = other.join().unwrap();
        let is_left = other_sleeps && !looks_again && work.load(Ordering::Acquire) > 0;
        assert!(
            !is_left || woken.load(Ordering::Acquire) > 0,
            "both sleep or are busy, work is there, nobody is woken"
        );
    });
}

#[test]
fn rwlock_readers_and_writers_all_get_in() {
    model(|| {
        let value = Arc::new(RwLock::new(0));
        let writer = {
            let value = Arc::clone(&value);
            thread::spawn(move || *value.write().unwrap() += 1)
        };
        let reader = {
            let value = Arc::clone(&value);
            thread::spawn(move || assert!(*value.read().unwrap() <= 2))
        };
        *value.write().unwrap() += 1;
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*value.read().unwrap(), 2);
    });
}

#[test]
fn rwlock_downgrade_lets_readers_in() {
    model(|| {
        let value = Arc::new(RwLock::new(0));
        let reader = {
            let value = Arc::clone(&value);
            thread::spawn(move || *value.read().unwrap())
        };
        let mut guard = value.write().unwrap();
        *guard = 1;
        let shared = crate::sync::RwLockWriteGuard::downgrade(guard);
        assert_eq!(*shared, 1);
        reader.join().unwrap();
    });
}

#[test]
fn condvar_notification_between_unlock_and_park_is_kept() {
    model(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let notifier = {
            let pair = Arc::clone(&pair);
            thread::spawn(move || {
                *pair.0.lock().unwrap() = true;
                pair.1.notify_one();
            })
        };
        let mut ready = pair.0.lock().unwrap();
        while !*ready {
            ready = pair.1.wait(ready).unwrap();
        }
        drop(ready);
        notifier.join().unwrap();
    });
}

#[test]
fn wait_group_wakes_its_waiters_at_zero() {
    model(|| {
        let group = WaitGroup::new();
        let data = Arc::new(AtomicUsize::new(0));
        group.add(2);
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (group, data) = (group.clone(), Arc::clone(&data));
                thread::spawn(move || {
                    data.fetch_add(1, Ordering::Relaxed);
                    group.done();
                })
            })
            .collect();
        group.wait();
        assert_eq!(data.load(Ordering::Relaxed), 2);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn semaphore_serves_in_order_and_loses_no_permit() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let others: Vec<_> = [1, 2]
            .map(|wanted| {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || drop(semaphore.acquire(wanted)))
            })
            .into();
        drop(semaphore.acquire(2));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn once_runs_once_and_all_see_it() {
    model(|| {
        let once = Arc::new((Once::new(), AtomicUsize::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let once = Arc::clone(&once);
                thread::spawn(move || {
                    once.0.call_once(|| {
                        once.1.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(once.1.load(Ordering::Relaxed), 1);
                })
            })
            .collect();
        once.0.wait();
        assert_eq!(once.1.load(Ordering::Relaxed), 1);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn barrier_lets_all_through_with_one_leader() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait().is_leader())
        };
        let own = barrier.wait().is_leader();
        assert!(own != other.join().unwrap());
    });
}

#[test]
fn channel_rendezvous_hands_over_and_close_is_seen() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || sender.send(7).unwrap());
        assert_eq!(receiver.recv(), Ok(7));
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    });
}

/// A waiter spins first; the other side goes away while it turns from spinning to sleeping.
#[test]
fn channel_close_reaches_a_receiver_that_spins_or_sleeps() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded::<i32>(0);
        let other = thread::spawn(move || drop(sender));
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    });
}

#[test]
fn channel_send_that_times_out_gives_its_message_back_or_has_given_it() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || receiver.try_recv().is_ok());
        let soon = std::time::Instant::now();
        let sent = sender.send_deadline(7, soon).is_ok();
        assert_eq!(other.join().unwrap(), sent);
    });
}

#[test]
fn channel_two_selects_meet() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || {
            let mut select = crate::channel::Select::new();
            select.send(&sender);
            select.select().send(&sender, 7).unwrap();
        });
        let mut select = crate::channel::Select::new();
        select.recv(&receiver);
        assert_eq!(select.select().recv(&receiver), Ok(7));
        other.join().unwrap();
    });
}

/// A select's send is chosen and abandoned while another sender waits: the receiver gets that one's message.
#[test]
fn channel_promise_that_is_broken_strands_nobody() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(1);
        let other = {
            let sender = sender.clone();
            thread::spawn(move || sender.send(7).unwrap())
        };
        let mut select = crate::channel::Select::new();
        select.send(&sender);
        if let Ok(operation) = select.try_select() {
            abandon(operation);
        }
        drop(select);
        drop(sender);
        assert_eq!(receiver.recv(), Ok(7));
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    });
}

#[test]
fn channel_select_that_times_out_loses_no_message() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || sender.try_send(7).is_ok());
        let soon = std::time::Instant::now();
        let mut select = crate::channel::Select::new();
        select.recv(&receiver);
        let received = match select.select_deadline(soon) {
            Ok(operation) => operation.recv(&receiver).is_ok(),
            Err(_) => false,
        };
        assert_eq!(other.join().unwrap(), received);
    });
}

#[test]
fn channel_close_wakes_a_receiver_after_the_last_message() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(1);
        let other = thread::spawn(move || {
            sender.send(7).unwrap();
        });
        assert_eq!(receiver.recv(), Ok(7));
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    });
}

/// loom tells of memory that is freed twice, or by none.
#[test]
fn channel_is_freed_by_the_later_of_its_two_sides() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(1);
        let another = sender.clone();
        let first = thread::spawn(move || another.send(7).is_ok());
        let second = thread::spawn(move || drop(receiver));
        drop(sender);
        first.join().unwrap();
        second.join().unwrap();
        drop(crate::channel::by_clock(None, None, false));
    });
}

/// It joins its channels for a moment only, and may be taken at its word meanwhile.
#[test]
fn channel_select_that_only_tries_keeps_the_promise_that_it_made() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || receiver.try_recv().is_ok());
        let mut select = crate::channel::Select::new();
        select.send(&sender);
        select.send(&sender);
        let sent = match select.try_select() {
            Ok(operation) => operation.send(&sender, 7).is_ok(),
            Err(_) => false,
        };
        assert_eq!(other.join().unwrap(), sent);
    });
}

/// A receiver whose time is up while a select has it as its partner, and then has no message for it after all.
#[test]
fn channel_receiver_that_was_promised_a_message_in_vain_leaves_at_its_deadline() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded::<i32>(0);
        let soon = std::time::Instant::now();
        let other = thread::spawn(move || receiver.recv_deadline(soon).is_err());
        let mut select = crate::channel::Select::new();
        select.send(&sender);
        if let Ok(operation) = select.try_select() {
            abandon(operation);
        }
        assert!(other.join().unwrap());
    });
}

#[test]
fn channel_receiver_follows_a_clock_that_is_set_earlier() {
    model(|| {
        let receiver = crate::channel::by_clock(None, None, false);
        let clock = receiver.clone();
        let other = thread::spawn(move || receiver.recv().is_ok());
        clock.core().set_clock(Some(std::time::Instant::now()), None);
        assert!(other.join().unwrap());
    });
}

#[test]
fn channel_who_watches_is_told_of_a_partner() {
    model(|| {
        let (sender, receiver) = crate::channel::bounded(0);
        let other = thread::spawn(move || receiver.recv());
        let mut select = crate::channel::Select::new();
        select.send(&sender);
        assert_eq!(select.ready(), 0);
        sender.send(7).unwrap();
        assert_eq!(other.join().unwrap(), Ok(7));
    });
}

/// A select that receives from both.
fn receiving(channels: [&crate::channel::Receiver<i32>; 2]) -> crate::channel::Select<'_> {
    let mut select = crate::channel::Select::new();
    for channel in channels {
        select.recv(channel);
    }
    select
}

/// Two channels, and a select that stands in both: whoever takes it from one of them leaves it dead in the other. It
/// spins before it sleeps, and says so before it stands in the first, or only before the second.
#[test]
fn channel_select_on_two_channels_gets_one_message_and_loses_none() {
    for refusals in 0..3 {
        bounded_model(2, move || {
            let (first, from_first) = crate::channel::bounded(0);
            let (second, from_second) = crate::channel::bounded(0);
            let others = [first, second].map(|sender| thread::spawn(move || sender.send(7).unwrap()));
            let mut select = receiving([&from_first, &from_second]);
            refuse_to_spin(refusals);
            let operation = select.select();
            let (chosen, other) =
                if operation.index() == 0 { (&from_first, &from_second) } else { (&from_second, &from_first) };
            assert_eq!(operation.recv(chosen), Ok(7));
            assert_eq!(other.recv(), Ok(7));
            for other in others {
                other.join().unwrap();
            }
        });
    }
}

/// The only sender goes away while the select turns from spinning to sleeping, or joins.
#[test]
fn channel_close_reaches_a_select_that_spins_or_sleeps() {
    for (refusals, watches) in [(0, false), (1, false), (0, true), (1, true)] {
        model(move || {
            let (_open, from_open) = crate::channel::bounded::<i32>(0);
            let (sender, receiver) = crate::channel::bounded::<i32>(0);
            let other = thread::spawn(move || drop(sender));
            let mut select = receiving([&from_open, &receiver]);
            refuse_to_spin(refusals);
            if watches {
                assert_eq!(select.ready(), 1);
            } else {
                assert!(select.select().recv(&receiver).is_err());
            }
            other.join().unwrap();
        });
    }
}

/// It has left in the locks that there is nothing; whoever sends has to take that back.
#[test]
fn channel_select_that_found_nothing_before_sees_what_came_since() {
    bounded_model(2, || {
        let (_open, from_open) = crate::channel::bounded::<i32>(0);
        let (sender, receiver) = crate::channel::bounded(1);
        let mut select = receiving([&from_open, &receiver]);
        assert!(select.try_select().is_err());
        let other = thread::spawn(move || sender.send(7).unwrap());
        let early = select.try_select().map(|operation| operation.recv(&receiver));
        other.join().unwrap();
        let message = early.unwrap_or_else(|_| {
            let operation = select.try_select().expect("the message is there");
            operation.recv(&receiver)
        });
        assert_eq!(message, Ok(7));
        assert!(select.select().recv(&receiver).is_err(), "the sender is gone");
    });
}

/// It gives up from wherever it is: joining, spinning, about to sleep, or claimed by one of two.
#[test]
fn channel_select_on_two_channels_that_times_out_loses_no_message() {
    for refusals in 0..2 {
        bounded_model(2, move || {
            let (first, from_first) = crate::channel::bounded(0);
            let (second, from_second) = crate::channel::bounded(0);
            let others = [first, second].map(|sender| thread::spawn(move || sender.try_send(7).is_ok()));
            let mut select = receiving([&from_first, &from_second]);
            refuse_to_spin(refusals);
            let received = match select.select_deadline(std::time::Instant::now()) {
                Ok(operation) if operation.index() == 0 => operation.recv(&from_first).is_ok(),
                Ok(operation) => operation.recv(&from_second).is_ok(),
                Err(_) => false,
            };
            let sent = others.map(|other| usize::from(other.join().unwrap()));
            assert_eq!(sent.iter().sum::<usize>(), usize::from(received));
        });
    }
}

/// Each wants to send to the other and to receive from it: one message goes over, and neither waits on.
#[test]
fn channel_two_selects_that_want_both_from_each_other_meet_once() {
    fn meet(to: &crate::channel::Sender<i32>, from: &crate::channel::Receiver<i32>, send_first: bool) -> bool {
        let mut select = crate::channel::Select::new();
        let (send, _receive) = if send_first {
            (select.send(to), select.recv(from))
        } else {
            let receive = select.recv(from);
            (select.send(to), receive)
        };
        let operation = select.select();
        if operation.index() == send {
            operation.send(to, 7).unwrap();
            return true;
        }
        assert_eq!(operation.recv(from), Ok(7));
        false
    }
    for (send_first, refusals) in [(true, 0), (false, 0), (true, 1), (false, 1)] {
        model(move || {
            let (there, from_there) = crate::channel::bounded(0);
            let (back, from_back) = crate::channel::bounded(0);
            let other = {
                let (back, from_there) = (back.clone(), from_there.clone());
                thread::spawn(move || meet(&back, &from_there, send_first))
            };
            refuse_to_spin(refusals);
            let sent = meet(&there, &from_back, true);
            assert!(sent != other.join().unwrap(), "one has sent, and the other received");
        });
    }
}

/// Drops the operation as a panic before its message would.
fn abandon(operation: crate::channel::SelectedOperation<'_>) {
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(operation)));
    assert!(broken.is_err());
}

/// All room is set aside for a select that has no message yet.
fn with_all_room_set_aside(
    body: impl FnOnce(&crate::channel::Sender<i32>, crate::channel::Receiver<i32>, crate::channel::SelectedOperation<'_>),
) {
    let (sender, receiver) = crate::channel::bounded(1);
    let mut select = crate::channel::Select::new();
    select.send(&sender);
    body(&sender, receiver, select.try_select().unwrap());
}

#[test]
fn channel_room_that_is_set_aside_keeps_nobody_apart() {
    model(|| {
        with_all_room_set_aside(|sender, receiver, operation| {
            let sending = {
                let sender = sender.clone();
                thread::spawn(move || sender.send(7).unwrap())
            };
            assert_eq!(receiver.recv(), Ok(7));
            operation.send(sender, 8).unwrap();
            sending.join().unwrap();
            assert_eq!(receiver.try_recv(), Ok(8));
        });
    });
}

#[test]
fn channel_room_that_a_select_gives_back_goes_to_who_waits_for_it() {
    model(|| {
        with_all_room_set_aside(|sender, receiver, operation| {
            let sending = {
                let sender = sender.clone();
                thread::spawn(move || sender.send(7).unwrap())
            };
            abandon(operation);
            sending.join().unwrap();
            assert_eq!((receiver.len(), receiver.try_recv()), (1, Ok(7)));
        });
    });
}

#[test]
fn channel_room_that_a_select_gives_back_goes_to_another_select() {
    model(|| {
        with_all_room_set_aside(|sender, receiver, operation| {
            let sending = {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut select = crate::channel::Select::new();
                    select.send(&sender);
                    select.select().send(&sender, 7).unwrap();
                })
            };
            abandon(operation);
            assert_eq!(receiver.recv(), Ok(7));
            sending.join().unwrap();
        });
    });
}

/// The clock calls a select back that may at this moment be given a message by another channel: it gets both in the end.
#[test]
fn channel_select_that_a_timer_calls_back_loses_neither_the_tick_nor_a_message() {
    bounded_model(2, || {
        let timer = crate::channel::by_clock(None, None, false);
        let (sender, messages) = crate::channel::bounded(0);
        let setting = {
            let timer = timer.clone();
            thread::spawn(move || timer.core().set_clock(Some(std::time::Instant::now()), None))
        };
        let sending = thread::spawn(move || sender.send(7).unwrap());
        let mut got = [false; 2];
        while got != [true; 2] {
            let mut select = crate::channel::Select::new();
            let never = crate::channel::never();
            select.recv(if got[0] { &never } else { &timer });
            if !got[1] {
                select.recv(&messages);
            }
            let operation = select.select();
            let index = operation.index();
            assert!(if index == 0 { operation.recv(&timer).is_ok() } else { operation.recv(&messages) == Ok(7) });
            got[index] = true;
        }
        assert!(!setting.join().unwrap(), "there was no time before");
        sending.join().unwrap();
    });
}

/// Two select a timer whose time comes: its one tick goes to one of them.
#[test]
fn channel_timer_that_is_set_gives_one_tick_to_one_of_those_who_select() {
    fn got_the_tick(timer: &crate::channel::Receiver<std::time::Instant>) -> bool {
        let never = crate::channel::never::<i32>();
        let mut select = crate::channel::Select::new();
        select.recv(timer);
        select.recv(&never);
        match select.select_deadline(std::time::Instant::now()) {
            Ok(operation) => operation.recv(timer).is_ok(),
            Err(_) => false,
        }
    }
    model(|| {
        let timer = crate::channel::by_clock(None, None, false);
        let other = {
            let timer = timer.clone();
            thread::spawn(move || got_the_tick(&timer))
        };
        timer.core().set_clock(Some(std::time::Instant::now()), None);
        let here = got_the_tick(&timer);
        let there = other.join().unwrap();
        assert_eq!([here, there].iter().filter(|&&got| got).count() + timer.try_iter().count(), 1);
    });
}
