//! What is often tried first, and does not do.
//!
//! It looks afterwards and pays back. Meanwhile the account is overdrawn, and customers who could have been paid are turned
//! away.

use lisle::sync::Mutex;
use support::think;

struct Account {
    balance: Mutex<i64>,
}

impl Account {
    /// Pays out, if there is enough; says whether it has.
    fn withdraw(&self, amount: i64) -> bool {
        *self.balance.lock().unwrap() -= amount;
        think();
        if *self.balance.lock().unwrap() < 0 {
            *self.balance.lock().unwrap() += amount; // that was too much: back
            return false;
        }
        true
    }
}

fn main() {
    let account = Account { balance: Mutex::new(100) };
    let paid = lisle::scope(|s| [0, 1].map(|_| s.go(|| account.withdraw(100))).map(|handle| handle.join().unwrap()));
    println!("paid: {paid:?}; left: {}", account.balance.lock().unwrap());
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn it_pays_what_it_has_and_is_never_overdrawn() {
        let (payments, customers) = (any(2..6), 10);
        let (paid, left, lowest) = run(move || {
            let account = Account { balance: Mutex::new(payments as i64 * 100) };
            let lowest = Mutex::new(i64::MAX);
            let paid = lisle::scope(|s| {
                let handles: Vec<_> = (0..customers).map(|_| s.go(|| account.withdraw(100))).collect();
                s.go(|| {
                    for _ in 0..50 {
                        let seen = *account.balance.lock().unwrap();
                        let mut lowest = lowest.lock().unwrap();
                        *lowest = seen.min(*lowest);
                        lisle::yield_now();
                    }
                });
                handles.into_iter().map(|handle| handle.join().unwrap()).filter(|paid| *paid).count()
            });
            (paid, account.balance.into_inner().unwrap(), lowest.into_inner().unwrap())
        });
        assert_eq!(left, 0, "what is left");
        assert_eq!(paid as u64, payments, "payments");
        assert!(lowest >= 0, "the auditor has seen {lowest}");
    }
}
