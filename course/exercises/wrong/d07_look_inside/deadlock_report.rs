//! What is often tried first, and does not do.
//!
//! With room for announcements nobody waits to send. The printer still waits to receive, with the book in its hands.

use lisle::channel::bounded;
use lisle::sync::Mutex;

/// Prints the orders in their order, while they come in.
fn print_shop(orders: Vec<u64>) -> Vec<u64> {
    let book = Mutex::new(Vec::new());
    let (announce, announced) = bounded(1000);
    lisle::scope(|s| {
        s.go(|| {
            for order in orders {
                book.lock().unwrap().push(order);
                announce.send(()).unwrap();
            }
            drop(announce); // no more are to come
        });
        let printer = s.go(|| {
            let mut printed = Vec::new();
            loop {
                let mut book = book.lock().unwrap();
                if announced.recv().is_err() {
                    break;
                }
                printed.push(book.remove(0));
            }
            printed
        });
        printer.join().unwrap()
    })
}

fn main() {
    println!("{:?}", lisle::run(|| print_shop(vec![1, 2, 3])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn what_is_ordered_is_printed_in_every_schedule() {
        let orders = vec![any(1..1000), any(1..1000), any(1..1000)];
        lisle::testing::check(|| assert_eq!(print_shop(orders.clone()), orders));
    }

    #[test]
    fn a_busy_shop_goes_on_and_one_without_orders_closes() {
        let orders: Vec<_> = (0..any(1500..2000)).collect();
        assert_eq!(
            run({
                let orders = orders.clone();
                move || print_shop(orders)
            }),
            orders
        );
        assert!(run(|| print_shop(Vec::new())).is_empty());
    }
}
