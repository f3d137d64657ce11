//! Week 7: goroutines. Five lessons, each a program that shows what it does while it does it.
//!
//! `cargo run --release -p week7` shows the lessons, and how far you are.
//! `cargo run --release -p week7 -- goroutine_basics` runs one of them.
//!
//! How it is made: a lesson (`lesson.rs`) is a list of sections. Each section says what is coming, prints the lines of
//! its own source between the comments `ANCHOR: name` and `ANCHOR_END: name`, runs them, and says why they did what they
//! did. There is no second copy of the code: what you read is what runs. The book takes its code from the same places.

mod child;
mod goroutine_basics;
mod goroutine_patterns;
mod goroutine_practice;
mod lesson;
mod measure;
mod menu;
mod progress;
mod race_conditions;
mod screen;
mod waitgroups;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};
use lesson::{Lesson, Options, Selection};
use std::path::PathBuf;
use std::process::ExitCode;

/// Week 7: goroutines. Without a lesson: shows all of them, and how far you are.
#[derive(Parser)]
#[command(name = "week7", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    lesson: Option<Command>,
    /// Lists the sections of all lessons.
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Starting goroutines, closures, life cycle and scheduling; goroutines against threads, measured
    #[command(name = "goroutine_basics", alias = "1")]
    GoroutineBasics {
        #[command(flatten)]
        sections: Sections,
        /// How many goroutines wait at once in the comparison with threads.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
        goroutines: u32,
        /// How many OS threads are set against them.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        threads: u32,
    },
    /// Waiting for goroutines: fundamentals, coordination, cleanup, errors, work that makes more work
    #[command(name = "waitgroups", alias = "2")]
    WaitGroups {
        #[command(flatten)]
        sections: Sections,
        /// The folder whose files are counted. Default: this project, without target/ and what is hidden.
        folder: Option<PathBuf>,
    },
    /// Data races and what is left of them in Rust, the tools that find it; mutex or channel, measured
    #[command(name = "race_conditions", alias = "3")]
    RaceConditions {
        #[command(flatten)]
        sections: Sections,
    },
    /// Worker pool, producer and consumers, bounded parallelism, pipeline, leaks, graceful shutdown
    #[command(name = "goroutine_patterns", alias = "4")]
    GoroutinePatterns {
        #[command(flatten)]
        sections: Sections,
        /// The folder whose files are read. Default: this project, without target/ and what is hidden.
        folder: Option<PathBuf>,
        /// How many files are worked on at once. Default: twice the number of workers, so that some read while others
        /// compute.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// A link checker, grown step by step: bounded parallelism, timeouts, retries, cancellation, dump, profiles
    #[command(name = "goroutine_practice", alias = "5")]
    GoroutinePractice {
        #[command(flatten)]
        sections: Sections,
    },
    /// Runs one of the small programs that a lesson starts as a process of its own
    #[command(name = "program", hide = true)]
    Program { name: String },
}

#[derive(Args)]
struct Sections {
    /// Runs this section only; may be given several times.
    #[arg(long = "section", value_name = "NAME")]
    sections: Vec<String>,
    /// Lists the sections, and runs none.
    #[arg(long)]
    list: bool,
    /// Does not wait for Enter between sections. (It never does when the output is no terminal.)
    #[arg(long)]
    no_pause: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    if arguments.list {
        lesson::ALL.into_iter().for_each(lesson::list);
        return ExitCode::SUCCESS;
    }
    match arguments.lesson {
        None => menu::show(),
        Some(Command::Program { name }) => child::run(&name),
        Some(command) => {
            let (lesson, sections, options) = command.split();
            if sections.list {
                lesson::list(lesson);
                return ExitCode::SUCCESS;
            }
            lesson::show(lesson, &Selection { names: sections.sections, pauses: !sections.no_pause }, &options)
        }
    }
}

/// Says what is wrong with the command line. A lesson that is not there is told with those that are.
fn refuse(error: &clap::Error) -> ExitCode {
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) {
        eprintln!("there is no lesson `{name}`. There are:");
        for (number, lesson) in (1..).zip(lesson::ALL) {
            eprintln!("  {number}  {:<20} {}", lesson.name, lesson.title);
        }
        eprintln!("For example: cargo run --release -p week7 -- {}", lesson::ALL[0].name);
        return ExitCode::from(2);
    }
    // Help goes to stdout, and is no error.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

impl Command {
    fn split(self) -> (&'static Lesson, Sections, Options) {
        let mut options = Options::default();
        match self {
            Self::GoroutineBasics { sections, goroutines, threads } => {
                options.goroutines = goroutines as usize;
                options.threads = threads as usize;
                (&goroutine_basics::LESSON, sections, options)
            }
            Self::WaitGroups { sections, folder } => {
                options.folder = folder.unwrap_or(options.folder);
                (&waitgroups::LESSON, sections, options)
            }
            Self::RaceConditions { sections } => (&race_conditions::LESSON, sections, options),
            Self::GoroutinePatterns { sections, folder, limit } => {
                options.folder = folder.unwrap_or(options.folder);
                options.limit = limit;
                (&goroutine_patterns::LESSON, sections, options)
            }
            Self::GoroutinePractice { sections } => (&goroutine_practice::LESSON, sections, options),
            Self::Program { .. } => unreachable!("it is no lesson"),
        }
    }
}
