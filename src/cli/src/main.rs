//! `kubectl azureml`: what applying manifests would do in Azure, before anything happens.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod azure;
mod credential;
mod kubernetes;
mod manifests;
mod output;
mod plan;
mod problem;
mod run;

use std::io::Write;
use std::process::ExitCode;

use args::{Cli, Command, Format, PlanArgs};
use clap::Parser;
use clap::error::ErrorKind;
use output::{Style, json, text};
use tracing_subscriber::EnvFilter;

/// Exit code of an error; see the help of `plan` for all.
const ERROR: u8 = 1;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let Command::Plan(args) = cli.command;
    // One TLS provider for the whole process, before anything opens a connection.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail(&args, "a TLS provider is already installed");
    }
    // Quiet unless RUST_LOG asks.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&args, &format!("threads can't be started: {error}")),
    };
    match runtime.block_on(run::plan(&args)) {
        Ok(report) => {
            let printed = match args.output {
                Format::Text => text::render(&report, Style::of_stdout()),
                Format::Json => format!("{:#}\n", json::render(&report)),
            };
            print(&printed, report.exit_code())
        }
        Err(error) => fail(&args, &error.to_string()),
    }
}

/// A wrong command line is an error as any other: clap's own code for it, 2, means something else here.
fn unparsed(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    ExitCode::from(if asked { 0 } else { ERROR })
}

fn fail(args: &PlanArgs, message: &str) -> ExitCode {
    eprintln!("error: {message}");
    match args.output {
        Format::Text => ExitCode::from(ERROR),
        Format::Json => print(&format!("{:#}\n", json::failure(message)), ERROR),
    }
}

/// A reader that goes away early, such as `head`, doesn't change the outcome.
fn print(text: &str, code: u8) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}
