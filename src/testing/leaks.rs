//! [`assert_no_leaks`]: a test that leaves no goroutine behind.
//!
//! Which goroutines are the closure's is told by a label (`debug::labels`): goroutines inherit those of who creates them,
//! however far down. So tests may run beside each other in one process, which checks that compare "before" with "after"
//! cannot stand.
//!
//! A goroutine that has not started cannot be seen. So an empty look counts only if none had to start before and after
//! it, and none was created meanwhile; or, where other tests create goroutines all the time, if looks were empty for a
//! quarter of a second.

use crate::debug::{dump, registry, with_labels};
use crate::sched;
use crate::sched::watchdog::GoroutineInfo;
use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Empty looks in a row, during so long, count whatever others do.
const EMPTY_LOOKS: u32 = 10;
const EMPTY_FOR: Duration = Duration::from_millis(250);

/// Calls `f`, and then expects that no goroutine is left which was created by it, or by one of those. Returns what `f`
/// returns.
///
/// Those that are about to end have a second to do so; see [`LeakCheck`] for more time, and for goroutines that may stay.
/// Goroutines that tests beside this one create do not matter. It is for ordinary runs, with their one interleaving:
/// [`check`](crate::testing::check) looks for goroutines that are left over in each of its schedules, without a wait. Those
/// of a [`scope`](crate::scope()) cannot be left over.
///
/// (In the spirit of Go's `go.uber.org/goleak`.)
///
/// # Panics
/// If goroutines are left: the message has the dump of each. If `f` panics, with its payload.
///
/// ```
/// let sum = lisle::testing::assert_no_leaks(|| {
///     let (sender, receiver) = lisle::channel::bounded(0);
///     lisle::go(move || (1..=3).try_for_each(|n| sender.send(n)));
///     receiver.iter().sum::<i32>()
/// });
/// assert_eq!(sum, 6);
/// ```
///
/// ```should_panic
/// use lisle::channel::bounded;
///
/// lisle::testing::assert_no_leaks(|| {
///     let (sender, receiver) = bounded(0);
///     lisle::go(move || (1..=3).try_for_each(|n| sender.send(n)));
///     assert_eq!(receiver.recv(), Ok(1));
///     std::mem::forget(receiver); // somebody keeps it, and the sender waits for ever
/// });
/// ```
#[track_caller]
pub fn assert_no_leaks<R>(f: impl FnOnce() -> R) -> R {
    LeakCheck::new().run(f)
}

type Ignore = Box<dyn Fn(&GoroutineInfo) -> bool>;

/// [`assert_no_leaks`], with its settings.
///
/// ```
/// use lisle::testing::LeakCheck;
/// use std::time::Duration;
///
/// LeakCheck::new()
///     .grace(Duration::from_secs(5))
///     .ignore(|goroutine| goroutine.name.as_deref() == Some("metrics"))
///     .run(|| lisle::go(|| 1).join().unwrap());
/// ```
pub struct LeakCheck {
    grace: Duration,
    ignored: Vec<Ignore>,
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for LeakCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeakCheck").field("grace", &self.grace).finish_non_exhaustive()
    }
}

impl LeakCheck {
    /// With a grace of one second, and nothing ignored.
    #[must_use]
    pub fn new() -> Self {
        Self { grace: GRACE, ignored: Vec::new() }
    }

    /// How long goroutines may take to end after the closure.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Goroutines for which `f` says yes may stay. Several of these add up.
    #[must_use]
    pub fn ignore(mut self, f: impl Fn(&GoroutineInfo) -> bool + 'static) -> Self {
        self.ignored.push(Box::new(f));
        self
    }

    /// See [`assert_no_leaks`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        static CHECKS: AtomicU64 = AtomicU64::new(1);
        let caller = Location::caller();
        let mark = format!("leak check {}", CHECKS.fetch_add(1, Ordering::Relaxed));
        let result = with_labels(&[(&mark, &caller.to_string())], f);
        let left = self.wait(&mark);
        assert!(left.is_empty(), "{}", told(&left, caller, self.grace));
        result
    }

    /// Waits for the end of all that have the label. Returns those that have not ended in time.
    fn wait(&self, mark: &str) -> Vec<u64> {
        let start = crate::time::now();
        let (mut pause, mut empty_looks, mut empty_since) = (FIRST_PAUSE, 0, start);
        loop {
            let before = Created::so_far();
            let left = self.living(mark);
            let now = crate::time::now();
            if left.is_empty() {
                empty_looks += 1;
            } else {
                (empty_looks, empty_since) = (0, now);
            }
            let is_quiet = || before.is_some() && before == Created::so_far();
            if left.is_empty() && (empty_looks >= EMPTY_LOOKS && now - empty_since >= EMPTY_FOR || is_quiet()) {
                return left;
            }
            let waited = now - start;
            if waited >= self.grace && !left.is_empty() {
                return left;
            }
            crate::time::sleep(pause);
            // Longer after a long time, which may be virtual.
            pause = (2 * pause).min(LONGEST_PAUSE.max(waited / 4));
        }
    }

    fn living(&self, mark: &str) -> Vec<u64> {
        let look = || {
            let mut found = Vec::new();
            registry::visit(registry::Wanted::default(), |one| {
                if one.has_label(mark) {
                    found.push(one.info());
                }
                ControlFlow::Continue(())
            });
            Ok(found)
        };
        let mut found = dump::on_large_stack(look).expect("a thread to look for goroutines");
        found.retain(|one| !self.ignored.iter().any(|ignore| ignore(one)));
        found.into_iter().map(|one| one.id).collect()
    }
}

/// How many goroutines each runtime has created.
#[derive(PartialEq, Eq)]
struct Created(Vec<u64>);

impl Created {
    /// `None`: some of them have not started, and cannot be seen.
    fn so_far() -> Option<Self> {
        let counts = sched::all().into_iter().map(|scheduler| {
            let created = scheduler.total(|counters| &counters.spawned);
            (scheduler.unstarted() == 0).then_some(created)
        });
        counts.collect::<Option<_>>().map(Self)
    }
}

fn told(left: &[u64], caller: &Location<'_>, grace: Duration) -> String {
    let stacks = dump::text_of(|id| left.contains(&id)).unwrap_or_else(|error| error.to_string());
    format!(
        "{} goroutine(s) that were created in the closure at {caller} are left over, {grace:?} after its end:\n\n{stacks}",
        left.len()
    )
}
