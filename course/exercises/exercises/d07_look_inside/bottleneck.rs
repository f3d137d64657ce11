//! A bottleneck to find.
//!
//! The goroutine profile counts goroutines with the same stack together: where most of them wait is what the program is short
//! of. But one function may wait at several lines, and each line has a stack of its own. (`go tool pprof -top` adds them up.)

use lisle::channel::Receiver;
use support::Stack;

/// The function in which most goroutines wait. The innermost call of each stack is its first one.
fn bottleneck(profile: &[Stack]) -> Option<&str> {
    // TODO: this is the largest stack.
    let (function, _line) = profile.first()?.calls.first()?;
    Some(function)
}

/// A service: each request goes through these, and each of them waits for two things, one after the other.
#[inline(never)]
fn look_up(connection: &Receiver<()>, answer: &Receiver<()>) {
    let _ = connection.recv();
    let _ = answer.recv();
}

#[inline(never)]
fn store(space: &Receiver<()>, written: &Receiver<()>) {
    let _ = space.recv();
    let _ = written.recv();
}

#[inline(never)]
fn reply(turn: &Receiver<()>, sent: &Receiver<()>) {
    let _ = turn.recv();
    let _ = sent.recv();
}

fn main() {
    let (_sender, never) = lisle::channel::bounded(0);
    let (_, at_once) = lisle::channel::bounded(0);
    for number in 0..100 {
        let (never, at_once) = (never.clone(), at_once.clone());
        lisle::go(move || match number {
            0..40 => store(&never, &never),
            40..70 => look_up(&never, &never),
            70..95 => look_up(&at_once, &never),
            _ => reply(&at_once, &never),
        });
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let profile = support::goroutine_profile();
    println!(
        "{profile:#?}
most wait in {:?}",
        bottleneck(&profile)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::channel::{Sender, bounded};
    use std::time::Duration;
    use support::{any, goroutine_profile, within};

    type Stage = fn(&Receiver<()>, &Receiver<()>);

    /// So many goroutines in the stage that wait for the first thing, and so many that wait for the second one. They end
    /// when the sender is dropped.
    fn fill(stage: Stage, first: u64, second: u64) -> Sender<()> {
        let (sender, never) = bounded(0);
        let (_, at_once) = bounded(0); // its sender is gone
        for place in 0..first + second {
            let (at_once, never) = (at_once.clone(), never.clone());
            lisle::go(move || if place < first { stage(&never, &never) } else { stage(&at_once, &never) });
        }
        sender
    }

    /// The profile once all of them wait where they are to.
    fn profile_of(goroutines: u64, stacks: usize) -> Vec<Stack> {
        loop {
            let profile = goroutine_profile();
            let counted: u64 = profile.iter().map(|stack| stack.count).sum();
            if counted == goroutines && profile.len() == stacks {
                return profile;
            }
        }
    }

    #[test]
    fn all_who_wait_in_a_function_count_at_whichever_line() {
        within(Duration::from_secs(20), || {
            let mut stages: [(&str, Stage); 3] = [("look_up", look_up), ("store", store), ("reply", reply)];
            stages.rotate_left(any(0..3) as usize);
            let [(_, one), (wanted, two), (_, three)] = stages;
            let _full = [fill(one, 40, 0), fill(two, 30, 25), fill(three, 4, 5)];
            let profile = profile_of(104, 5);
            assert_eq!(bottleneck(&profile), Some(wanted), "the bottleneck of {profile:#?}");
        });
        assert_eq!(bottleneck(&[]), None);
    }
}
