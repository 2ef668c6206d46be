//! The binary `azureml-operator`.

use std::io::IsTerminal;
use std::process::ExitCode;

use azureml_operator::settings::{Cli, Command, LogFormat, Settings};
use azureml_operator::start;
use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // One TLS provider for the whole process, before anything opens a connection.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("azureml-operator: a TLS provider is already installed");
        return ExitCode::FAILURE;
    }
    let Command::Run(settings) = Cli::parse().command;
    log(&settings);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("azureml-operator: threads can't be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(start::operator(*settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "azureml-operator can't run");
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG` says what is logged; by default our own information and others' warnings.
fn log(settings: &Settings) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,azureml_operator=info,azureml_arm=info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
