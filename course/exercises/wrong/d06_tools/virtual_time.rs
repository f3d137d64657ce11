//! What is often tried first, and does not do.
//!
//! The number of calls is right for an hour, and for nothing else.

use std::time::Duration;

/// Calls until that succeeds, or until the patience is over; the last error.
fn retry<T>(_patience: Duration, mut call: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut pause = Duration::from_secs(1);
    for _ in 0..65 {
        match call() {
            Err(_) => lisle::time::sleep(pause),
            outcome => return outcome,
        }
        pause = (2 * pause).min(Duration::from_secs(60));
    }
    call()
}

fn main() {
    let mut calls = 0;
    let outcome = lisle::testing::virtual_time(|| {
        retry(Duration::from_secs(3600), || {
            calls += 1;
            if calls == 20 { Ok("it worked at last") } else { Err("not yet".to_owned()) }
        })
    });
    println!("{outcome:?}, after {calls} calls");
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{any, within_limit};

    #[test]
    fn it_gives_up_when_the_patience_is_over() {
        for minutes in [60, any(61..500)] {
            let patience = Duration::from_secs(60 * minutes);
            let (outcome, took) = within_limit(move || {
                lisle::testing::virtual_time(|| {
                    let begin = lisle::time::now();
                    (retry(patience, || Err::<(), _>("no".to_owned())), lisle::time::now() - begin)
                })
            });
            assert_eq!(outcome, Err("no".to_owned()));
            let late = took.checked_sub(patience).expect("not before the patience is over");
            assert!(late <= Duration::from_secs(60), "a patience of {minutes} minutes took {took:?}");
        }
    }

    #[test]
    fn it_stops_at_the_first_success() {
        let needed = any(1..50);
        let calls = within_limit(move || {
            lisle::testing::virtual_time(|| {
                let mut calls = 0;
                retry(Duration::from_secs(3600), || {
                    calls += 1;
                    if calls == needed { Ok(calls) } else { Err("not yet".to_owned()) }
                })
            })
        });
        assert_eq!(calls, Ok(needed));
    }
}
