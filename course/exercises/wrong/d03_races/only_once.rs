//! What is often tried first, and does not do.
//!
//! All get the same value, and all have loaded one: that was what should not happen.

use lisle::sync::Mutex;

#[derive(Default)]
struct Settings {
    text: Mutex<Option<String>>,
}

impl Settings {
    fn get(&self, load: impl Fn() -> String) -> String {
        if let Some(text) = &*self.text.lock().unwrap() {
            return text.clone();
        }
        let loaded = load();
        // Perhaps somebody was faster: then theirs counts.
        self.text.lock().unwrap().get_or_insert(loaded).clone()
    }
}

fn main() {
    let settings = Settings::default();
    println!("{} {}", settings.get(|| "first".to_owned()), settings.get(|| "second".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use support::{any, run, think};

    #[test]
    fn it_is_loaded_once_and_all_have_the_same() {
        let secret = any(0..1_000_000);
        let (loads, texts) = run(move || {
            let (settings, loads) = (Settings::default(), AtomicU64::new(0));
            let load = || {
                think();
                format!("{secret}, load {}", loads.fetch_add(1, Ordering::Relaxed))
            };
            let texts: Vec<_> = lisle::scope(|s| {
                let handles: Vec<_> = (0..5).map(|_| s.go(|| settings.get(load))).collect();
                handles.into_iter().map(|handle| handle.join().unwrap()).collect()
            });
            (loads.into_inner(), texts)
        });
        assert_eq!(texts, vec![format!("{secret}, load 0"); 5]);
        assert_eq!(loads, 1, "loads");
    }
}
