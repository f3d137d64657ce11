//! Runs the same jobs in lisle and in its rivals, in turn, each in a process of its own on the same processors, and
//! prints the medians, the ratios and their ranges. See `README.md`.

mod child;
mod crossbeam_jobs;
mod go;
mod go_lib_jobs;
mod lisle;
mod machine;
mod machine_jobs;
mod may_jobs;
mod memory;
mod plot;
mod rayon_jobs;
mod report;
mod results;
mod scale;
mod smol_jobs;
mod systems;
mod threads;
mod tokio_jobs;

use compare::{jobs, pin, program, work};

use clap::{Args, Parser, Subcommand};
use results::Field;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use systems::{SYSTEMS, System};

#[derive(Parser)]
#[command(about = "The same work in lisle and in its rivals, side by side")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    choice: Choice,
    /// Writes the results as a JSON list.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the results as Markdown, with machine and versions.
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Writes a plot of the ratios.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Args)]
struct Choice {
    /// Only the jobs whose name, or that of one of their rows, contains this.
    #[arg(long, default_value = "", global = true)]
    only: String,
    /// Only these systems, with commas between them.
    #[arg(long, value_delimiter = ',', global = true)]
    systems: Vec<String>,
    /// Rounds of each job.
    #[arg(long, default_value_t = 5, global = true)]
    rounds: usize,
    /// Worker threads of each system, and the processors that they share.
    #[arg(long, default_value_t = 2, global = true)]
    workers: usize,
    /// A hundredth of the work, one round: to see that it runs, not for figures.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Measures how costs grow: goroutines started and parked, workers, waiters. Compares lisle and Go.
    Scale {
        /// Where SCALE.md and its plots go.
        #[arg(long, default_value = "scale")]
        folder: PathBuf,
    },
    /// Runs one job in this process (used by the comparison itself).
    #[command(hide = true)]
    Run { system: String, job: String, count: usize, warm_up: usize },
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Action::Run { system, job, count, warm_up }) => {
            let system = systems::find(system).ok_or("no such system")?;
            let job = jobs::find(job).ok_or("no such job")?;
            return Ok(child::run_here(system, job, *count, *warm_up));
        }
        Some(Action::Scale { folder }) => {
            let choice = &arguments.choice;
            let default = [String::from("lisle"), String::from("go")];
            let names = if choice.systems.is_empty() { &default[..] } else { &choice.systems };
            scale::run(&scale::Settings {
                field: Field::gather(chosen(names)?),
                only: &choice.only,
                rounds: if choice.quick { 1 } else { choice.rounds },
                workers: choice.workers,
                quick: choice.quick,
                folder,
            })?;
        }
        None => compare(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The systems of these names, in the order of the table; all, if there are no names.
fn chosen(names: &[String]) -> Result<Vec<&'static System>, String> {
    if let Some(unknown) = names.iter().find(|name| systems::find(name).is_none()) {
        let known: Vec<_> = SYSTEMS.iter().map(|system| system.name).collect();
        return Err(format!("no system is called {unknown}; there are {}", known.join(", ")));
    }
    let is_chosen = |system: &&System| names.is_empty() || names.iter().any(|name| name == system.name);
    Ok(SYSTEMS.iter().filter(is_chosen).collect())
}

/// The jobs whose name, or that of a row that they give, contains `part`.
fn jobs_named(part: &str) -> Result<Vec<&'static jobs::Job>, String> {
    let is_named =
        |job: &&jobs::Job| job.name.contains(part) || job.outputs.iter().any(|output| output.name.contains(part));
    let named: Vec<_> = jobs::JOBS.iter().filter(is_named).collect();
    if named.is_empty() {
        let known: Vec<_> = jobs::JOBS.iter().map(|job| job.name).collect();
        return Err(format!("no job's name contains {part}; there are {}", known.join(", ")));
    }
    Ok(named)
}

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let choice = &arguments.choice;
    let jobs = jobs_named(&choice.only)?;
    let field = Field::gather(chosen(&choice.systems)?);
    for (system, why) in &field.absent {
        println!("{system}: skipped, {why}");
    }
    for system in &field.present {
        if let Some(why) = system.partial {
            println!("{}: {why}", system.name);
        }
    }
    if let Err(error) = child::instruction_counter() {
        println!("instruction counts: skipped, the kernel does not give them here ({error})");
    }
    let rounds = if choice.quick { 1 } else { choice.rounds.max(1) };
    let mut rows = Vec::new();
    for job in jobs {
        let less = |count: usize| if choice.quick { count.div_ceil(100) } else { count };
        let patience = Duration::from_secs(if choice.quick { 20 } else { 60 });
        let (count, warm_up) = (less(job.count), less(job.warm_up));
        let round = child::Round { count, warm_up, workers: choice.workers, patience };
        let measured = report::by_output(field.measure(job, rounds, &round));
        print!("{}", report::text(&measured));
        rows.extend(measured);
    }
    if let Some(note) = report::cache_line_note(&rows) {
        println!("{note}");
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&report::json(&rows))?)?;
    }
    if let Some(file) = &arguments.md {
        std::fs::write(file, report::markdown(&rows, rounds, choice.workers))?;
    }
    if let Some(file) = &arguments.svg {
        plot::ratios(&rows, file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_chosen_by_the_names_in_the_table_and_a_choice_of_nothing_is_told() {
        assert_eq!(jobs_named("mutex").unwrap().len(), 2);
        assert_eq!(jobs_named("park_1m_start").unwrap()[0].name, "park_1m");
        assert!(
            jobs_named("mutexes").err().unwrap().starts_with("no job's name contains mutexes; there are spawn_done, ")
        );
        assert!(chosen(&["gopher".into()]).err().unwrap().starts_with("no system is called gopher"));
    }
}
