//! `azureml-env`: a real control plane, azure-sim and the operator on this machine.

mod demo;
mod interrupt;
mod local;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use azureml_tests::browser::Programs;
use azureml_tests::tools::Tool;
use azureml_tests::{Result, definitions, supervise};
use clap::{Args, Parser, Subcommand};

/// A Kubernetes control plane, azure-sim and the operator on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or build the control plane's programs and print their paths; install the browser that the page is tested with.
    Tools,
    /// Start the environment in the background, print the variables that lead to it, and write them to .local/env.
    Up(Settings),
    /// End the environment that `up` started.
    Down,
    /// Show everything from nothing; fail if a step isn't seen. KEEP=1 leaves the environment up.
    Demo(Settings),
    /// Run the environment until SIGTERM.
    #[command(hide = true)]
    Serve(Settings),
    /// Run a command until it ends or stdin closes, then kill its process group.
    #[command(hide = true)]
    Supervise {
        /// A lock file that is held while the command runs.
        #[arg(long)]
        hold: Option<PathBuf>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Remove a folder when stdin closes and the lock file is free.
    #[command(hide = true)]
    Guard {
        /// The folder.
        dir: PathBuf,
        /// The lock file.
        hold: PathBuf,
    },
}

/// What can be chosen of an environment.
#[derive(Args, Debug, Clone, PartialEq, Eq)]
struct Settings {
    /// How much faster than the clock on the wall azure-sim's time runs.
    #[arg(long, env = "AZUREML_TIME_SCALE", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    time_scale: u32,
    /// The world that azure-sim starts with. Default: src/sim/worlds/demo.yaml.
    #[arg(long, env = "AZUREML_WORLD")]
    world: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("azureml-env: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Tools => {
            for tool in Tool::ALL {
                println!("{:24} {}", tool.name(), tool.find_or_build()?.display());
            }
            for module in definitions::FLUX.into_iter().chain([definitions::MONITORING]) {
                println!("{:24} {}", "definitions", module.find_or_fetch()?.display());
            }
            // What needs it is skipped without, or fails in continuous integration.
            if let Err(error) = Programs::find_or_install() {
                eprintln!("{error}");
            }
        }
        Verb::Up(settings) => {
            interrupt::catch()?;
            up::up(&settings)?;
            print!("{}", up::exports()?);
        }
        Verb::Down => up::down()?,
        Verb::Demo(settings) => {
            interrupt::catch()?;
            demo::demo(&settings)?;
        }
        Verb::Serve(settings) => up::serve(&settings)?,
        Verb::Supervise { hold, command } => {
            return supervise::supervise(&command, hold.as_deref()).map(ExitCode::from);
        }
        Verb::Guard { dir, hold } => supervise::guard(&dir, &hold)?,
    }
    Ok(ExitCode::SUCCESS)
}
