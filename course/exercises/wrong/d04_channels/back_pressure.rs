//! What is often tried first, and does not do.
//!
//! A number that was right once. How much room there is, is up to the caller.

use lisle::channel::{Receiver, Sender};

fn queue(_room: usize) -> (Sender<u64>, Receiver<u64>) {
    lisle::channel::bounded(10)
}

fn main() {
    let (sender, receiver) = queue(2);
    let sent = (0..10).take_while(|item| sender.try_send(*item).is_ok()).count();
    println!("{sent} of 10 items have found room, {} wait", receiver.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run, think};

    #[test]
    fn the_queue_fills_up_to_its_room_and_no_further() {
        for room in [10, any(1..9) as usize, any(11..50) as usize] {
            let (longest, received) = run(move || {
                let (sender, receiver) = queue(room);
                lisle::go(move || (0..100).for_each(|item| sender.send(item).unwrap()));
                let (mut longest, mut received) = (0, 0);
                loop {
                    think(); // the consumer is slow
                    longest = longest.max(receiver.len());
                    match receiver.recv() {
                        Ok(_) => received += 1,
                        Err(_) => return (longest, received),
                    }
                }
            });
            assert_eq!(received, 100);
            assert_eq!(longest, room, "the longest queue, with room for {room}");
        }
    }
}
