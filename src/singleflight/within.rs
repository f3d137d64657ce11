//! [`Group::run_within`]: shared work that each may stop waiting for.
//!
//! If the work ran in the goroutine of the first who asks, it would end with the first one's context, although others
//! want it. So it runs in a goroutine of its own, under a context of its own, which carries the values of the first
//! one's. Those who wait are counted under the lock of the map. Who goes away last takes the call out of the map and
//! cancels that context, in this order: nobody can join work that is about to give up.

use super::{Call, Ending, Group, Lead, Outcome, Role, remove};
use crate::atomics::lock;
use crate::context::{self, Context};
use crate::park::with_current;
use crate::report::discard_payload;
use crate::select_biased;
use crate::spawn::Builder;
use crate::unwind::{PanicReport, Unwound, catch, whoami};
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

impl<K, V> Group<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// As [`run`](Self::run), for as long as `ctx` is not done. If nobody is about the work, `f` does it in a goroutine
    /// of its own, on the caller's runtime, under a context that has the values of `ctx` but not its end: it is
    /// cancelled when *all* who wait for the result have gone away, or when `f` has returned.
    ///
    /// Calls of `run` and `run_within` for the same key share their work. Work that was begun by `run` goes on when all
    /// others have gone.
    ///
    /// Cost: without others, about 1 µs more than `f`.
    ///
    /// # Errors
    /// If `ctx` is done: at the start, even if there is a result; or before there is one.
    ///
    /// # Panics
    /// - If the work panics, whoever's it is: the text names the goroutine, and repeats its message. (If nobody waits
    ///   for it any more, it is reported as the panic of a goroutine that nobody joins.)
    /// - If `f` asks for its own key.
    /// - If no goroutine can be started.
    ///
    /// [`exit`](crate::exit) in `f` ends the caller that `f` came from, as if it had called `f` itself; one of the
    /// others does the work with a closure of its own.
    ///
    /// ```
    /// use lisle::{context, singleflight::Group};
    /// use std::time::Duration;
    /// let group = Group::new();
    /// let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_millis(5));
    /// let outcome = group.run_within(&ctx, "slow", |ctx| ctx.sleep(Duration::from_secs(3600)));
    /// assert_eq!(outcome, Err(context::Error::DeadlineExceeded));
    /// ```
    #[track_caller]
    pub fn run_within<F>(&self, ctx: &Context, key: K, f: F) -> Result<Outcome<V>, context::Error>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        let created_at = Location::caller();
        let key = Arc::new(key);
        let mut f = Some(f);
        loop {
            ctx.check()?;
            let (call, is_ours) = match self.enter(&key) {
                Role::Leader(lead) => {
                    (lead.start(ctx, f.take().expect("who leads does not come back here"), created_at), true)
                }
                Role::Follower(call) => (call, false),
            };
            select_biased! {
                recv(call.over) -> _ => {}
                recv(ctx.done()) -> _ => {
                    self.leave(&key, &call);
                    ctx.check()?;
                }
            }
            match call.ending() {
                Ending::Done(outcome) => return Ok(outcome.clone()),
                Ending::Panicked(report) => panic!("the shared work failed: {report}"),
                Ending::Exited if is_ours => crate::exit(),
                Ending::NeverRan if is_ours => panic!("the shared work never ran: its runtime was shut down before"),
                Ending::Exited | Ending::NeverRan => {}
            }
        }
    }

    /// One who waits goes away.
    fn leave(&self, key: &K, call: &Arc<Call<V>>) {
        let mut calls = lock(&self.calls);
        let is_last = call.waiting.fetch_sub(1, Relaxed) == 1;
        let entry = if is_last { remove(&mut calls, key, call) } else { None };
        drop(calls);
        drop(entry);
        if let Some(cancel) = call.cancel.get().filter(|_| is_last) {
            cancel.cancel();
        }
    }
}

impl<K, V> Lead<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Starts the work in a goroutine.
    fn start<F>(self, ctx: &Context, f: F, created_at: &'static Location<'static>) -> Arc<Call<V>>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        let call = Arc::clone(&self.call);
        let (ctx, cancel) = context::with_cancel(&context::without_cancel(ctx));
        // In time: as long as the caller has not gone away, nobody is the last to do so.
        let _ = call.cancel.set(cancel);
        let started = Builder::new().go_at(created_at, move || self.work_for_others(&ctx, f));
        started.map(drop).unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"));
        call
    }

    fn work_for_others(mut self, ctx: &Context, f: impl FnOnce(&Context) -> V) {
        self.call.leader.store(with_current(|g| g.id), Relaxed);
        match catch(|| f(ctx)) {
            Ok(value) => {
                let shared = self.retire() > 1;
                self.end(Ending::Done(Outcome { value, shared }));
            }
            Err(Unwound::Exited) => self.end(Ending::Exited),
            Err(Unwound::Panicked(payload)) => {
                self.retire();
                let is_heard = self.call.waiting.load(Relaxed) > 0;
                self.end(Ending::Panicked(PanicReport::new(&*payload)));
                if is_heard {
                    discard_payload(payload);
                } else {
                    crate::runtime::unjoined_panic(whoami(), payload);
                }
            }
        }
        self.call.cancel.get().into_iter().for_each(context::Cancel::cancel);
    }
}
