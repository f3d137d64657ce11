//! A race to prove.
//!
//! Somebody suspects that a counter loses additions. `scenario` is to prove it: run by the explorer of schedules, it should
//! fail for a counter that can lose one, and never for one that cannot. As it is, nobody comes in between.

trait Counter: Default + Sync {
    fn add_one(&self);
    fn value(&self) -> u64;
}

/// Panics if an addition was lost.
fn scenario<C: Counter>() {
    let counter = C::default();
    // TODO: two who add at the same time.
    counter.add_one();
    counter.add_one();
    assert_eq!(counter.value(), 2, "an addition was lost");
}

fn main() {
    #[derive(Default)]
    struct Hasty(lisle::sync::atomic::AtomicU64);
    impl Counter for Hasty {
        fn add_one(&self) {
            let seen = self.value();
            self.0.store(seen + 1, std::sync::atomic::Ordering::SeqCst);
        }
        fn value(&self) -> u64 {
            self.0.load(std::sync::atomic::Ordering::SeqCst)
        }
    }
    match lisle::testing::Config::new().explore(scenario::<Hasty>) {
        Ok(report) => println!("nothing was found in {} schedules", report.schedules),
        Err(failure) => println!("{failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use lisle::testing::{Config, FailureKind};

    #[derive(Default)]
    struct Hasty(AtomicU64);

    impl Counter for Hasty {
        fn add_one(&self) {
            let seen = self.0.load(SeqCst);
            self.0.store(seen + 1, SeqCst);
        }
        fn value(&self) -> u64 {
            self.0.load(SeqCst)
        }
    }

    #[derive(Default)]
    struct Careful(AtomicU64);

    impl Counter for Careful {
        fn add_one(&self) {
            self.0.fetch_add(1, SeqCst);
        }
        fn value(&self) -> u64 {
            self.0.load(SeqCst)
        }
    }

    #[test]
    fn the_scenario_proves_that_a_hasty_counter_loses_additions() {
        match Config::new().explore(scenario::<Hasty>) {
            Ok(report) => panic!("it never failed, in {} schedules: who could come in between?", report.schedules),
            Err(failure) => {
                assert_eq!(failure.kind(), FailureKind::Panic, "{failure}");
                assert!(failure.preemptions() > 0, "it fails without anybody coming in between: {failure}");
            }
        }
    }

    #[test]
    fn the_scenario_clears_a_careful_one() {
        if let Err(failure) = Config::new().explore(scenario::<Careful>) {
            panic!("it fails for a counter that loses nothing: {failure}");
        }
    }
}
