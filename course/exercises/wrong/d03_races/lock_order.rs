//! What is often tried first, and does not do.
//!
//! Giving up the lock in between avoids the deadlock and brings back the race: both see money that is there once.

use lisle::sync::Mutex;
use support::think;

struct Account {
    #[allow(dead_code)]
    number: u64,
    balance: Mutex<i64>,
}

/// Moves an amount, if there is enough; says whether it has.
fn transfer(from: &Account, to: &Account, amount: i64) -> bool {
    let is_covered = *from.balance.lock().unwrap() >= amount;
    think();
    if is_covered {
        *from.balance.lock().unwrap() -= amount;
        *to.balance.lock().unwrap() += amount;
    }
    is_covered
}

fn main() {
    let paid = support::run(|| {
        let [first, second] = [1, 2].map(|number| Account { number, balance: Mutex::new(100) });
        lisle::scope(|s| {
            let two = [s.go(|| transfer(&first, &second, 10)), s.go(|| transfer(&second, &first, 20))];
            two.map(|handle| handle.join().unwrap())
        })
    });
    println!("{paid:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    fn account(number: u64, balance: i64) -> Account {
        Account { number, balance: Mutex::new(balance) }
    }

    #[test]
    fn opposite_transfers_both_come_through() {
        let (a, b) = (any(1..50) as i64, any(50..100) as i64);
        let balances = run(move || {
            let (first, second) = (account(1, 100), account(2, 100));
            lisle::scope(|s| {
                s.go(|| assert!(transfer(&first, &second, a)));
                s.go(|| assert!(transfer(&second, &first, b)));
            });
            (first.balance.into_inner().unwrap(), second.balance.into_inner().unwrap())
        });
        assert_eq!(balances, (100 - a + b, 100 - b + a));
    }

    #[test]
    fn money_that_is_there_once_is_paid_once() {
        let paid = run(|| {
            let (first, second) = (account(1, 100), account(2, 0));
            lisle::scope(|s| {
                let two = [0, 1].map(|_| s.go(|| transfer(&first, &second, 100)));
                two.into_iter().map(|handle| handle.join().unwrap()).filter(|paid| *paid).count()
            })
        });
        assert_eq!(paid, 1, "transfers of all there was");
    }

    #[test]
    fn an_account_may_pay_itself() {
        assert!(run(|| {
            let own = account(1, 100);
            transfer(&own, &own, 50)
        }));
    }
}
