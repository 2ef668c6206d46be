//! `azureml-bench`: what the operator does in how long and with how much, beside what Azure's limits allow.
//!
//! It runs the binaries of this workspace (AZUREML_BIN_DIR) against a real API server and azure-sim on loopback. Nothing else
//! should run on the machine meanwhile; a missed bound ends it with an error, so that a slow change is seen.

mod burst;
mod many;
mod one;
mod page;
mod process;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azureml_tests::fleet::Limits;
use azureml_tests::{Result, checkout};
use clap::{Parser, ValueEnum};

use report::Report;

/// Measures the operator against azure-sim.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What is measured; all of it if nothing is named.
    #[arg(value_enum)]
    what: Vec<What>,
    /// How many clusters are created at once.
    #[arg(long, default_value_t = 300)]
    writes: usize,
    /// How many clusters rest, a hundred to a workspace.
    #[arg(long, default_value_t = 1000)]
    objects: usize,
    /// How many seconds lie between two looks at a resting workspace.
    #[arg(long, default_value_t = 60)]
    interval: u64,
    /// How many intervals of rest are measured.
    #[arg(long, default_value_t = 2)]
    intervals: u32,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Creations at once, under Azure's buckets.
    Burst,
    /// The same under buckets a tenth of the size.
    Tenth,
    /// From one manifest to Ready.
    One,
    /// Many objects at rest: memory, start, idle cost.
    Many,
    /// As many viewers of the page as may look: memory.
    Page,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = match measure(&arguments).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", report.table());
    let path = arguments.json.unwrap_or_else(|| checkout().join(".local/bench/figures.json"));
    match report.write(&path) {
        Ok(()) => println!("\n{}", path.display()),
        Err(error) => eprintln!("{error}"),
    }
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let all = [What::Burst, What::One, What::Many, What::Page, What::Tenth];
    let chosen = all.into_iter().filter(|what| arguments.what.is_empty() || arguments.what.contains(what));
    let mut report = Report::new();
    for what in chosen {
        eprintln!("measuring: {what:?}");
        match what {
            What::Burst => {
                burst::measure("Azure's buckets", arguments.writes, Limits::azure_over(1.0), &mut report).await?
            }
            What::Tenth => {
                burst::measure("a tenth of them", arguments.writes, Limits::azure_over(10.0), &mut report).await?
            }
            What::One => one::measure(&mut report).await?,
            What::Many => {
                let interval = Duration::from_secs(arguments.interval);
                many::measure(arguments.objects, interval, arguments.intervals, &mut report).await?;
            }
            What::Page => {
                page::measure(arguments.objects, Duration::from_secs(arguments.interval), &mut report).await?;
            }
        }
    }
    Ok(report)
}
