//! The first error stops the others.
//!
//! The first error is to be returned at once, and the other jobs are to be told that they need not go on. Here the first
//! job waits to be told.

use lisle::context::{Context, background};

/// A job looks at its context, and stops when that is done.
type Job = Box<dyn FnOnce(&Context) -> Result<(), String> + Send>;

fn run_all(jobs: Vec<Job>) -> Result<(), String> {
    let ctx = background();
    // TODO: `lisle::errgroup` has what is wanted here.
    let handles: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let ctx = ctx.clone();
            lisle::go(move || job(&ctx))
        })
        .collect();
    handles.into_iter().try_for_each(|handle| handle.join().unwrap())
}

fn main() {
    let jobs: Vec<Job> =
        vec![Box::new(|ctx| Err(ctx.wait().to_string())), Box::new(|_| Err("no more room".to_owned()))];
    println!("{:?}", support::run(|| run_all(jobs)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use support::{any, run};

    fn patient() -> Job {
        Box::new(|ctx| ctx.sleep(Duration::from_secs(60)).map_err(|error| error.to_string()))
    }

    #[test]
    fn the_first_error_is_returned_and_stops_the_others() {
        let text = format!("error {}", any(0..1000));
        let expected = text.clone();
        let jobs: Vec<Job> = vec![patient(), Box::new(move |_| Err(text)), patient()];
        assert_eq!(run(move || run_all(jobs)), Err(expected));
    }

    #[test]
    fn without_an_error_all_is_well() {
        assert_eq!(run(|| run_all(vec![Box::new(|_| Ok(())), Box::new(|_| Ok(()))])), Ok(()));
    }
}
