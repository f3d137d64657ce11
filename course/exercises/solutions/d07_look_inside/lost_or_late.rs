//! `leaked` looks through the memory of the process: who waits for something that only the lost could bring is lost, too.

/// The numbers of the goroutines that wait for something which nobody can bring any more.
fn wait_for_ever() -> Vec<u64> {
    let leaks = lisle::debug::leaked().expect("the system allows a look");
    leaks.iter().map(|leak| leak.goroutine.id).collect()
}

fn main() {
    let (sender, receiver) = lisle::channel::bounded::<u64>(0);
    lisle::go(move || receiver.recv()); // gets its message at the end
    lisle::go(|| {
        let (sender, receiver) = lisle::channel::bounded::<u64>(0);
        let _ = receiver.recv(); // waits for itself
        drop(sender);
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    println!("for ever: {:?}", wait_for_ever());
    sender.send(1).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::WaitReason::ChannelReceive;
    use lisle::channel::{Sender, bounded};
    use std::time::Duration;
    use support::{any, within};

    /// One that waits for itself. (In a function of its own, whose frame is gone when it is looked for.)
    #[inline(never)]
    fn lost() -> lisle::Goroutine {
        let (sender, receiver) = bounded::<u64>(0);
        let handle = lisle::go(move || {
            let _ = receiver.recv();
            drop(sender);
        });
        handle.goroutine().clone()
    }

    /// One that waits for a message which may come.
    #[inline(never)]
    fn patient() -> (lisle::Goroutine, Sender<u64>) {
        let (sender, receiver) = bounded::<u64>(0);
        (lisle::go(move || receiver.recv()).goroutine().clone(), sender)
    }

    fn waits(goroutine: &lisle::Goroutine) -> u64 {
        while goroutine.wait_reason() != ChannelReceive {
            std::thread::yield_now();
        }
        goroutine.id()
    }

    #[test]
    fn who_can_still_be_woken_is_not_lost() {
        within(Duration::from_secs(20), || {
            let patient: Vec<_> = (0..any(2..6)).map(|_| patient()).collect();
            let mut lost: Vec<_> = (0..any(2..6)).map(|_| waits(&lost())).collect();
            lost.sort_unstable();
            let patient: Vec<_> = patient.iter().map(|(goroutine, sender)| (waits(goroutine), sender)).collect();
            loop {
                let found = wait_for_ever();
                for (goroutine, _) in &patient {
                    assert!(!found.contains(goroutine), "goroutine {goroutine} has a sender, who may still send");
                }
                if lost.iter().all(|goroutine| found.contains(goroutine)) {
                    assert_eq!(found, lost);
                    return;
                }
            }
        });
    }
}
