//! A goroutine that outlives its owner.
//!
//! A cache has a goroutine that empties it now and then. The cache goes; `testing::assert_no_leaks` finds who has stayed, and
//! the dump in its message says where.

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
        let emptied: Arc<Mutex<HashMap<String, u64>>> = Arc::clone(&entries);
        // TODO: who tells this goroutine that the cache is gone?
        lisle::go(move || {
            loop {
                lisle::time::sleep(forgets_after);
                emptied.lock().unwrap().clear();
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
