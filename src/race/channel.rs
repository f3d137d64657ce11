//! The clocks of a channel: what passes along with its messages.
//!
//! They lie in the channel itself, under its lock: who sends and who receives have that in their hands anyhow, and need no
//! other. At capacity C each of C slots has a clock, as in Go: the k-th send and the k-th receive use the same slot, and so
//! does the send that waits for that receive to free its place. Each takes over what lies there, and leaves its own. (The
//! clocks stay where they are: to move them costs more than to copy what is in them.) Without bounds each message has one.

use super::clock::Clock;
use super::strand::Strand;
use std::collections::VecDeque;

/// See the module. Nothing until somebody watches.
#[derive(Default)]
pub(crate) struct ChannelClocks(Option<Box<Clocks>>);

#[derive(Default)]
struct Clocks {
    /// Whose strands they speak of: a channel may outlive a schedule.
    world: u64,
    slots: Vec<Clock>,
    sends: usize,
    receives: usize,
    /// Of a channel without bounds; and some that have passed, for their memory.
    queue: VecDeque<Clock>,
    spare: Vec<Clock>,
}

/// So many clocks are kept for their memory.
const SPARE: usize = 8;

impl ChannelClocks {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    fn of_world(&mut self, world: u64) -> &mut Clocks {
        let clocks = self.0.get_or_insert_default();
        if clocks.world != world {
            **clocks = Clocks { world, ..Clocks::default() };
        }
        clocks
    }

    pub(super) fn send(&mut self, world: u64, capacity: usize, sender: &Strand) {
        let clocks = self.of_world(world);
        let number = clocks.sends;
        clocks.sends += 1;
        if capacity == usize::MAX {
            let mut clock = clocks.spare.pop().unwrap_or_default();
            clock.copy_from(sender.present().publish());
            clocks.queue.push_back(clock);
        } else {
            clocks.pass(number % capacity, sender);
        }
    }

    pub(super) fn receive(&mut self, world: u64, capacity: usize, receiver: &Strand) {
        let clocks = self.of_world(world);
        let number = clocks.receives;
        clocks.receives += 1;
        if capacity < usize::MAX {
            clocks.pass(number % capacity, receiver);
        } else if let Some(clock) = clocks.queue.pop_front() {
            receiver.present().clock.join(&clock);
            if clocks.spare.len() < SPARE {
                clocks.spare.push(clock);
            }
        }
    }
}

impl Clocks {
    fn pass(&mut self, slot: usize, strand: &Strand) {
        let mut present = strand.present();
        let clock = present.publish();
        if slot >= self.slots.len() {
            if clock.is_empty() {
                return;
            }
            self.slots.resize_with(slot + 1, Clock::default);
        }
        clock.meet(&mut self.slots[slot]);
    }
}
