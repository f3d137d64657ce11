//! An account that pays out more than it has, and one that does not.

use crate::child::{self, MOMENT};
use crate::lesson::{Options, Outcome};
use lisle::sync::Mutex;
use lisle::testing::{Config, Strategy, check};
use lisle::time::sleep;

// ANCHOR: check_then_act
struct Account(Mutex<i64>);

impl Account {
    fn balance(&self) -> i64 {
        *self.0.lock().unwrap()
    }

    fn take(&self, amount: i64) {
        *self.0.lock().unwrap() -= amount;
    }

    /// The question and the act, under one lock.
    fn take_if_covered(&self, amount: i64) -> bool {
        let mut balance = self.0.lock().unwrap();
        let covered = *balance >= amount;
        if covered {
            *balance -= amount;
        }
        covered
    }
}

fn careless(account: &Account) {
    if account.balance() >= 100 {
        sleep(MOMENT); // to think it over: the lock is free, and what we know grows old
        account.take(100);
    }
}
// ANCHOR_END: check_then_act

pub(super) fn check_then_act(_: &Options) -> Outcome {
    let left = after_ten_customers(careless);
    println!(
        "check, then act:    {left} are left of 500{}",
        if left < 0 { ": it paid out more than it had" } else { "" }
    );
    let left = after_ten_customers(|account| {
        account.take_if_covered(100);
    });
    println!("both under a lock:  {left} are left of 500");
    Ok(())
}

fn after_ten_customers(customer: impl Fn(&Account) + Sync) -> i64 {
    let account = Account(Mutex::new(500));
    lisle::scope(|s| {
        for _ in 0..10 {
            s.go(|| customer(&account));
        }
    });
    account.balance()
}

// ANCHOR: explorer
fn hasty(account: &Account) {
    if account.balance() >= 100 {
        account.take(100); // at once: who should come in between?
    }
}

fn two_want_the_same(customer: impl Fn(&Account) + Sync) -> i64 {
    let account = Account(Mutex::new(100));
    lisle::scope(|s| {
        s.go(|| customer(&account));
        s.go(|| customer(&account));
    });
    account.balance()
}

pub(crate) fn explores_payments() {
    check(|| assert!(two_want_the_same(hasty) >= 0, "it paid out more than it had"));
}
// ANCHOR_END: explorer

pub(super) fn explorer(_: &Options) -> Outcome {
    let overdrawn = (0..10_000).filter(|_| two_want_the_same(hasty) < 0).count();
    println!("run 10,000 times as ever: overdrawn {overdrawn} times");

    let explored = lisle::blocking(|| Config::new().explore(|| assert!(two_want_the_same(hasty) >= 0)));
    let failure = explored.expect_err("it can be overdrawn");
    println!("explored: overdrawn in schedule number {}, which is called {}", failure.schedules(), failure.schedule());
    println!("  LISLE_SEED={} cargo run --release -p week7 -- program explores_payments", failure.schedule());
    child::start("explores_payments", &[("LISLE_SEED", failure.schedule()), ("RUST_BACKTRACE", "0")])?;

    let careful = |account: &Account| {
        account.take_if_covered(100);
    };
    let all = Config::new().strategy(Strategy::Exhaustive);
    let explored = lisle::blocking(|| all.explore(|| assert_eq!(two_want_the_same(careful), 0)))?;
    let all = if explored.is_complete { "all that there are" } else { "not all" };
    println!("repaired: nothing was found in {} schedules, {all}", explored.schedules);
    Ok(())
}
