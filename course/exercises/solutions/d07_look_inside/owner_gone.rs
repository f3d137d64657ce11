//! The cache owns the right to cancel, which cancels when it is dropped; the goroutine sleeps by the context.

use lisle::context::{Cancel, background, with_cancel};
use lisle::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Knows for a while what it was told.
struct Cache {
    entries: Arc<Mutex<HashMap<String, u64>>>,
    _cancel: Cancel,
}

impl Cache {
    /// It forgets everything each time that so long has passed.
    fn new(forgets_after: Duration) -> Self {
        let entries = Arc::new(Mutex::new(HashMap::new()));
        let emptied: Arc<Mutex<HashMap<String, u64>>> = Arc::clone(&entries);
        let (ctx, _cancel) = with_cancel(&background());
        lisle::go(move || {
            while ctx.sleep(forgets_after).is_ok() {
                emptied.lock().unwrap().clear();
            }
        });
        Self { entries, _cancel }
    }

    fn put(&self, key: &str, value: u64) {
        self.entries.lock().unwrap().insert(key.to_owned(), value);
    }

    fn get(&self, key: &str) -> Option<u64> {
        self.entries.lock().unwrap().get(key).copied()
    }
}

fn main() {
    lisle::testing::assert_no_leaks(|| {
        let cache = Cache::new(Duration::from_secs(60));
        cache.put("answer", 42);
        println!("{:?}", cache.get("answer"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::testing::assert_no_leaks;
    use support::{any, within, within_limit};

    #[test]
    fn a_cache_that_is_gone_leaves_nobody_behind() {
        within(Duration::from_secs(20), || {
            assert_no_leaks(|| {
                let value = any(0..1000);
                let cache = Cache::new(Duration::from_secs(60));
                cache.put("a", value);
                assert_eq!(cache.get("a"), Some(value));
            });
        });
    }

    #[test]
    fn it_forgets_again_and_again() {
        within_limit(|| {
            let cache = Cache::new(Duration::from_millis(5));
            for value in 0..3 {
                cache.put("a", value);
                while cache.get("a").is_some() {
                    std::thread::yield_now();
                }
            }
        });
    }
}
