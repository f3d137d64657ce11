//! What is often tried first, and does not do.
//!
//! The context is asked before anything has happened, and never again.

use lisle::context::{Context, Error};
#[allow(unused_imports)]
use lisle::time::sleep;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(5);

/// How often it had to look.
fn until_ready(ctx: &Context, is_ready: impl Fn() -> bool) -> Result<u64, Error> {
    ctx.check()?;
    let mut looks = 1;
    while !is_ready() {
        sleep(PAUSE);
        looks += 1;
    }
    Ok(looks)
}

fn main() {
    let (ctx, _cancel) = lisle::context::with_timeout(&lisle::context::background(), Duration::from_millis(50));
    println!("{:?}", support::run(move || until_ready(&ctx, || false)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use lisle::context::{background, with_cancel, with_timeout};
    use std::cell::Cell;
    use support::{any, run};

    #[test]
    fn it_looks_until_it_is_ready() {
        let needed = any(2..9);
        let looks = run(move || {
            let looks = Cell::new(0);
            until_ready(&background(), || looks.replace(looks.get() + 1) + 1 >= needed)
        });
        assert_eq!(looks, Ok(needed));
    }

    #[test]
    fn it_stops_at_the_deadline_and_when_it_is_cancelled() {
        let late = run(|| {
            let (ctx, _cancel) = with_timeout(&background(), Duration::from_millis(40));
            until_ready(&ctx, || false)
        });
        assert_eq!(late, Err(Error::DeadlineExceeded));
        let called_off = run(|| {
            let (ctx, cancel) = with_cancel(&background());
            let waiting = lisle::go(move || until_ready(&ctx, || false));
            sleep(Duration::from_millis(20));
            cancel.cancel();
            waiting.join().unwrap()
        });
        assert_eq!(called_off, Err(Error::Cancelled));
    }
}
