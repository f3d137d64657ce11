//! An account that pays out more than it has, and one that does not.

use crate::lesson::{Options, Outcome};
use lisle::sync::Mutex;

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
        lisle::yield_now(); // to think it over: the lock is free, and what we know grows old
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
