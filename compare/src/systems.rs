//! The systems that are compared, and how a job is run in each.

use crate::program::Program;
use crate::{
    crossbeam_jobs, go, go_lib_jobs, lisle, machine_jobs, may_jobs, rayon_jobs, smol_jobs, threads, tokio_jobs,
};
use std::path::PathBuf;

pub enum Kind {
    /// In this binary.
    Here(fn(&str) -> Program),
    /// A binary of its own, which knows the same jobs: where it is, and how to build it.
    Binary { path: fn() -> PathBuf, build: fn() -> Result<(), String> },
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
    system("lisle", Kind::Binary { path: lisle::binary, build: lisle::build }),
    system("go", Kind::Binary { path: go::binary, build: go::build }),
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
    fn every_job_but_the_machines_has_a_rival_in_this_binary() {
        for job in JOBS.iter().filter(|job| job.name != "cache_line") {
            let takes_part = |system: &&System| match system.kind {
                Kind::Here(program) => !matches!(program(job.name), Program::Skip(_)),
                Kind::Binary { .. } => false,
            };
            assert!(SYSTEMS.iter().filter(takes_part).count() >= 1, "{}", job.name);
        }
    }
}
