//! What is often tried first, and does not do.
//!
//! If there is no plate for the pot, wait a little, and try again. But the plate of the pan is kept meanwhile.

use lisle::sync::Semaphore;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::think;

/// Cooks one dish, which takes two plates of the stove.
fn cook(plates: &Semaphore) {
    let pan = plates.acquire(1);
    think();
    let pot = loop {
        match plates.try_acquire(1) {
            Some(pot) => break pot,
            None => lisle::time::sleep(std::time::Duration::from_millis(1)),
        }
    };
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
