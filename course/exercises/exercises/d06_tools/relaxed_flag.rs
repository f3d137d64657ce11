//! A flag that publishes nothing.
//!
//! One goroutine writes a value and then sets a flag; another one sees the flag and reads the value. The race detector says
//! that nothing orders the two. (`race::Cell` stands for a variable without protection.)

use lisle::race::Cell;
use lisle::sync::atomic::{AtomicBool, Ordering};

struct Letter {
    text: Cell<u64>,
    is_sent: AtomicBool,
}

impl Letter {
    fn send(&self, text: u64) {
        self.text.set(text);
        // TODO: whoever sees this should see the text, too.
        self.is_sent.store(true, Ordering::Relaxed);
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
