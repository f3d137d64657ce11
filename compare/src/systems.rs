//! The systems that are compared, and how a job is run in each.

use crate::work::Values;
use crate::{
    crossbeam_jobs, go, go_lib_jobs, lisle_jobs, machine_jobs, may_jobs, rayon_jobs, smol_jobs, threads, tokio_jobs,
};
use std::path::PathBuf;

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

pub enum Kind {
    /// In this binary.
    Here(fn(&str) -> Program),
    /// A binary of its own, which knows the same jobs.
    Binary(fn() -> Result<PathBuf, String>),
}

pub struct System {
    pub name: &'static str,
    pub kind: Kind,
    /// Why it takes part in a few jobs only. The others are not told one by one.
    pub partial: Option<&'static str>,
}

const fn system(name: &'static str, kind: Kind) -> System {
    System { name, kind, partial: None }
}

const fn partial(name: &'static str, program: fn(&str) -> Program, why: &'static str) -> System {
    System { name, kind: Kind::Here(program), partial: Some(why) }
}

pub const CROSSBEAM: &str = "takes part in the jobs on channels, as what OS threads have best";
pub const RAYON: &str = "takes part where nothing waits: its tasks compute and must not wait for each other";
pub const MACHINE: &str = "has one job, cache_line: what no runtime can go below";

/// lisle first: the ratios are to it.
pub const SYSTEMS: &[System] = &[
    system("lisle", Kind::Here(lisle_jobs::program)),
    system("go", Kind::Binary(go::build)),
    system("tokio", Kind::Here(tokio_jobs::program)),
    system("smol", Kind::Here(smol_jobs::program)),
    system("may", Kind::Here(may_jobs::program)),
    system("go-lib", Kind::Here(go_lib_jobs::program)),
    system("threads", Kind::Here(threads::program)),
    partial("crossbeam", crossbeam_jobs::program, CROSSBEAM),
    partial("rayon", rayon_jobs::program, RAYON),
    partial("machine", machine_jobs::program, MACHINE),
];

pub fn find(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|system| system.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JOBS;

    #[test]
    fn lisle_has_every_job_but_those_that_it_says_it_cannot_do() {
        let Kind::Here(program) = SYSTEMS[0].kind else { panic!("lisle is in this binary") };
        let skipped: Vec<_> =
            JOBS.iter().filter(|job| matches!(program(job.name), Program::Skip(_))).map(|job| job.name).collect();
        assert_eq!(skipped, ["cache_line", "wake_latency_greedy"]);
    }

    #[test]
    fn every_job_but_the_machines_has_two_systems_in_this_binary() {
        for job in JOBS.iter().filter(|job| job.name != "cache_line") {
            let takes_part = |system: &&System| match system.kind {
                Kind::Here(program) => !matches!(program(job.name), Program::Skip(_)),
                Kind::Binary(_) => false,
            };
            assert!(SYSTEMS.iter().filter(takes_part).count() >= 2, "{}", job.name);
        }
    }
}
