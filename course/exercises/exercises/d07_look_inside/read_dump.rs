//! A dump to read.
//!
//! Dishes are cooked beside each other on a stove with few plates, and the kitchen comes to a stop. A dump says where each
//! goroutine waits, at which line: those with the same line are of the same mind.

use lisle::sync::Semaphore;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::think;

/// Cooks one dish, which takes two plates of the stove.
fn cook(plates: &Semaphore) {
    // TODO: at which of these lines do they wait, and what does each of them have already?
    let pan = plates.acquire(1);
    think();
    let pot = plates.acquire(1);
    think();
    drop((pan, pot));
}

/// Cooks them all beside each other, and says how many.
fn dinner(dishes: u64, plates: usize) -> u64 {
    let plates = Semaphore::new(plates);
    let done = AtomicU64::new(0);
    lisle::scope(|s| {
        for _ in 0..dishes {
            s.go(|| {
                cook(&plates);
                done.fetch_add(1, Relaxed);
            });
        }
    });
    done.into_inner()
}

fn main() {
    println!("{} dishes", support::dump_if_late(|| dinner(4, 3)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use support::{any, dump_if_late};

    #[test]
    fn all_dishes_get_done_on_a_stove_of_any_size() {
        assert_eq!(dump_if_late(|| dinner(7, 3)), 7);
        let plates = any(4..8);
        assert_eq!(dump_if_late(move || dinner(2 * plates, plates as usize)), 2 * plates);
    }

    #[test]
    fn a_dish_has_two_plates_while_it_is_cooked() {
        let free = dump_if_late(|| {
            let (plates, least) = (Semaphore::new(4), AtomicUsize::new(4));
            lisle::scope(|s| {
                let cook = s.go(|| cook(&plates));
                while !cook.is_finished() {
                    least.fetch_min(plates.available(), SeqCst);
                    lisle::yield_now();
                }
            });
            (least.into_inner(), plates.available())
        });
        assert_eq!(free, (2, 4), "plates that are free: while one cooks, and afterwards");
    }
}
