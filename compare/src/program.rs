//! A job as one system does it.

use crate::work::Values;
use std::process::ExitCode;

/// The status of a round of a job that the system does not have.
pub const NO_SUCH_JOB: u8 = 3;

/// What a system has for a job.
pub enum Program {
    /// The job, given the number of operations.
    Run(fn(usize) -> Values),
    /// The same, with so many times fewer operations: the system takes so long for each that a full round would not
    /// end soon. Values are per operation, so they compare.
    Fewer(usize, fn(usize) -> Values),
    /// Why there is none.
    Skip(&'static str),
}

impl Program {
    /// Does the job, after a smaller round that does not count.
    ///
    /// # Errors
    /// Why the system does not have it.
    pub fn measure(self, count: usize, warm_up: usize) -> Result<Values, &'static str> {
        let (times_fewer, body) = match self {
            Self::Run(body) => (1, body),
            Self::Fewer(times, body) => (times, body),
            Self::Skip(reason) => return Err(reason),
        };
        if warm_up > 0 {
            body((warm_up / times_fewer).max(1));
        }
        Ok(body((count / times_fewer).max(1)))
    }
}

/// Prints what came of a round, or why nothing did, in the protocol between the comparison and its rounds (`child.rs`).
pub fn report(result: &Result<Values, &str>) -> ExitCode {
    match result {
        Ok(values) => {
            println!("{}", values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(" "));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("{reason}");
            ExitCode::from(NO_SUCH_JOB)
        }
    }
}
