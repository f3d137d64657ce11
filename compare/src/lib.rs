//! What the comparison's binaries share: the table of jobs, the amounts of work, and how a round is run.

pub mod jobs;
pub mod pin;
pub mod program;
pub mod work;
