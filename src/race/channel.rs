//! The clocks of a channel: what passes along with its messages.
//!
//! They lie in the channel itself, under its lock: who sends and who receives have that in their hands anyhow, and need no
//! other. At capacity C each of C slots has a clock, as in Go: the k-th send and the k-th receive use the same slot, and so
//! does the send that waits for that receive to free its place. Each takes over what lies there, and leaves its own. (The
//! clocks stay where they are: to move them costs more than to copy what is in them.) Without bounds each message has one.

use super::clock::Clock;
use super::strand::Strand;
use std::collections::VecDeque;

/// See the module. Nothing until somebody who is not silent comes along.
#[derive(Default)]
pub(crate) struct ChannelClocks(Option<Box<Clocks>>);

#[derive(Default)]
struct Clocks {
    /// Whose strands they speak of: a channel may outlive a schedule.
    world: u64,
    slots: Vec<Clock>,
    sends: usize,
    receives: usize,
    /// Of a channel without bounds.
    queue: Queue,
}

/// Clocks in one piece of memory, since each would have one of its own: of each its length, and then its times.
#[derive(Default)]
struct Queue {
    words: VecDeque<u32>,
    clocks: usize,
}

/// So many words are kept when the queue is empty.
const KEPT: usize = 1 << 12;

impl Queue {
    fn push(&mut self, clock: &Clock) {
        let times = clock.times();
        self.words.push_back(times.len() as u32);
        self.words.extend(times);
        self.clocks += 1;
    }

    /// Hands the times of the first clock to `f`.
    fn pop(&mut self, f: impl FnOnce(std::collections::vec_deque::Drain<'_, u32>)) {
        let Some(length) = self.words.pop_front() else { return };
        f(self.words.drain(..length as usize));
        self.clocks -= 1;
        if self.words.is_empty() && self.words.capacity() > KEPT {
            self.words.shrink_to(KEPT);
        }
    }
}

impl ChannelClocks {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Those of this world; none as long as `strand` and all before it had nothing to tell. Then `sends` messages have come.
    fn of_world(&mut self, world: u64, strand: &Strand, sends: usize) -> Option<&mut Clocks> {
        if self.0.as_ref().is_none_or(|clocks| clocks.world != world) {
            if strand.is_silent() {
                return None;
            }
            self.0 = Some(Box::new(Clocks { world, sends, ..Clocks::default() }));
        }
        self.0.as_deref_mut()
    }

    /// There were `before` messages in the buffer.
    pub(super) fn send(&mut self, world: u64, capacity: usize, before: usize, sender: &Strand) {
        let Some(clocks) = self.of_world(world, sender, before) else { return };
        let number = clocks.sends;
        clocks.sends += 1;
        if capacity < usize::MAX {
            return clocks.pass(number % capacity, sender);
        }
        // Those that came before the clocks did have none.
        while clocks.queue.clocks < number - clocks.receives {
            clocks.queue.push(&Clock::default());
        }
        sender.with(|present| clocks.queue.push(present.publish()));
    }

    /// There were `before` messages in the buffer.
    pub(super) fn receive(&mut self, world: u64, capacity: usize, before: usize, receiver: &Strand) {
        let Some(clocks) = self.of_world(world, receiver, before) else { return };
        let number = clocks.receives;
        clocks.receives += 1;
        if capacity < usize::MAX {
            clocks.pass(number % capacity, receiver);
        } else {
            clocks.queue.pop(|times| receiver.with(|present| present.clock.join_times(times)));
        }
    }
}

impl Clocks {
    fn pass(&mut self, slot: usize, strand: &Strand) {
        if slot >= self.slots.len() {
            if strand.is_silent() {
                return;
            }
            self.slots.resize_with(slot + 1, Clock::default);
        }
        let clock = &mut self.slots[slot];
        if !(strand.is_silent() && clock.is_empty()) {
            strand.with(|present| present.publish().meet(clock));
        }
    }
}
