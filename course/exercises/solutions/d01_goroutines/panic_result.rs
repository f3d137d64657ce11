//! `join` gives the panic as an `Err`; nothing has to be foreseen.

#[allow(unused_imports)]
use support::message;

fn divide(a: i32, b: i32) -> Result<i32, String> {
    lisle::go(move || a / b).join().map_err(|payload| message(&*payload))
}

fn main() {
    println!("{:?}, {:?}", divide(7, 2), divide(7, 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, run};

    #[test]
    fn quotients_come_back() {
        let (a, b) = (any(1..1000) as i32, any(1..10) as i32);
        assert_eq!(run(move || divide(a, b)), Ok(a / b));
    }

    #[test]
    fn every_panic_becomes_an_error() {
        assert_eq!(run(|| divide(7, 0)), Err("attempt to divide by zero".to_owned()));
        assert_eq!(run(|| divide(i32::MIN, -1)), Err("attempt to divide with overflow".to_owned()));
    }
}
