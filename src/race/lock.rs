//! The clock of a lock that only one can hold: what passes from who lets go of it to who takes it next.
//!
//! It lies in the lock, and is its holder's as the data are: no other lock is wanted for it, and nothing is looked up. (In
//! an explorer, and for all other objects, clocks are found by addresses: see `detector`.)

#[cfg(feature = "race")]
pub(crate) use on::LockClock;

#[cfg(feature = "race")]
mod on {
    use crate::race::clock::Clock;
    use crate::race::strand::Strand;
    use std::cell::UnsafeCell;

    /// See the module.
    pub(crate) struct LockClock(UnsafeCell<Clock>);

    // SAFETY: who calls its functions holds the lock.
    unsafe impl Sync for LockClock {}

    impl LockClock {
        pub(crate) const fn new() -> Self {
            Self(UnsafeCell::new(Clock::new()))
        }

        /// What those who held the lock before have done happens before what `me` does from now on.
        ///
        /// # Safety
        /// `me`, who calls, holds the lock.
        pub(in crate::race) unsafe fn taken(&self, me: &Strand) {
            // SAFETY: nobody else touches it, as the caller promises.
            let clock = unsafe { &*self.0.get() };
            if !clock.is_empty() {
                me.with(|present| present.clock.join(clock));
            }
        }

        /// What `me` has done so far happens before what those do who hold the lock afterwards.
        ///
        /// # Safety
        /// As for `taken`, which was called when `me` took the lock.
        pub(in crate::race) unsafe fn leaving(&self, me: &Strand) {
            if !me.is_silent() {
                // SAFETY: as above.
                let clock = unsafe { &mut *self.0.get() };
                // `me` has seen what was in it.
                me.with(|present| clock.copy_from(present.publish()));
            }
        }
    }
}

/// Nothing, without the feature.
#[cfg(not(feature = "race"))]
pub(crate) struct LockClock;

#[cfg(not(feature = "race"))]
impl LockClock {
    pub(crate) const fn new() -> Self {
        Self
    }
}
