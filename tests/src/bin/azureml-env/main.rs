//! `azureml-env`: a real control plane, azure-sim and the operator on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use azureml_tests::supervise;
use azureml_tests::tools::Tool;
use clap::{Parser, Subcommand};

/// A Kubernetes control plane, azure-sim and the operator on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or build the control plane's programs and print their paths.
    Tools,
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

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("azureml-env: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> azureml_tests::Result<ExitCode> {
    match verb {
        Verb::Tools => {
            for tool in Tool::ALL {
                println!("{:24} {}", tool.name(), tool.find_or_build()?.display());
            }
        }
        Verb::Supervise { hold, command } => {
            return supervise::supervise(&command, hold.as_deref()).map(ExitCode::from);
        }
        Verb::Guard { dir, hold } => supervise::guard(&dir, &hold)?,
    }
    Ok(ExitCode::SUCCESS)
}
