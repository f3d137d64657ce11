//! What is often tried first, and does not do.
//!
//! The goroutine holds the entries weakly, and ends when they are gone. It finds out after its sleep, a minute later.

use lisle::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Knows for a while what it was told.
struct Cache {
    entries: Arc<Mutex<HashMap<String, u64>>>,
}

impl Cache {
    /// It forgets everything each time that so long has passed.
    fn new(forgets_after: Duration) -> Self {
        let entries = Arc::new(Mutex::new(HashMap::new()));
        let emptied = Arc::downgrade(&entries);
        lisle::go(move || {
            loop {
                lisle::time::sleep(forgets_after);
                let Some(entries) = emptied.upgrade() else { return };
                let mut entries: lisle::sync::MutexGuard<'_, HashMap<String, u64>> = entries.lock().unwrap();
                entries.clear();
            }
        });
        Self { entries }
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
