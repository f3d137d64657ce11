//! What is often tried first, and does not do.
//!
//! Somebody publishes, and nobody takes over: both sides are needed.

use lisle::race::Cell;
use lisle::sync::atomic::{AtomicBool, Ordering};

struct Letter {
    text: Cell<u64>,
    is_sent: AtomicBool,
}

impl Letter {
    fn send(&self, text: u64) {
        self.text.set(text);
        self.is_sent.store(true, Ordering::Release);
    }

    fn read(&self) -> Option<u64> {
        self.is_sent.load(Ordering::Relaxed).then(|| self.text.get())
    }
}

fn main() {
    let letter = Letter { text: Cell::new(0), is_sent: AtomicBool::new(false) };
    letter.send(7);
    println!("{:?}", letter.read());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::any;

    #[test]
    fn whoever_sees_the_flag_sees_the_text() {
        let text = any(1..1000);
        lisle::testing::check(|| {
            let letter = Letter { text: Cell::new(0), is_sent: AtomicBool::new(false) };
            lisle::scope(|s| {
                s.go(|| letter.send(text));
                s.go(|| assert!(letter.read().is_none_or(|seen| seen == text)));
            });
            assert_eq!(letter.read(), Some(text));
        });
    }
}
