//! The command line.

use crate::{
    clock::Clock,
    journal,
    ml::ctx::{Assumed, Lists, Options, Throttling, UnknownFields},
    net::{self, Files},
    sim::Sim,
    world::World,
};
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

/// An Azure Resource Manager for development and tests.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a world over HTTPS.
    Serve(Box<Serve>),
}

#[derive(clap::Args)]
struct Serve {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the certificate authority (PEM) that clients must trust to this file.
    #[arg(long)]
    ca_out: PathBuf,
    /// World file (YAML or JSON).
    #[arg(long)]
    world: PathBuf,
    /// Keep the state (and, beside it, the certificates) here and go on from it at the next start.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Virtual seconds to a real one.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// Count requests as ARM does.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    throttle: Switch,
    /// Seed of guids and of chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lists of computes carry no live fields.
    #[arg(long)]
    sparse_lists: bool,
    /// Drop unknown fields silently instead of refusing them.
    #[arg(long)]
    lenient: bool,
    /// Make in-place changes of which it is only assumed that Azure refuses them.
    #[arg(long)]
    allow_assumed: bool,
    /// Further names for the serving certificate.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Run the command line to its end.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn run(cli: Cli) -> Result<(), String> {
    let Command::Serve(args) = cli.command;
    serve(*args).await
}

async fn serve(args: Serve) -> Result<(), String> {
    if !(args.time_scale.is_finite() && args.time_scale > 0.0) {
        return Err(format!("--time-scale {} must be a number above 0", args.time_scale));
    }
    let sim = Arc::new(Mutex::new(build(&args)?));
    let tls = args.state.as_deref().map(|p| net::beside(p, ".tls.json"));
    let identity = net::identity(tls.as_deref(), &args.names)?;
    std::fs::write(&args.ca_out, &identity.ca)
        .map_err(|e| format!("cannot write the CA to {}: {e}", args.ca_out.display()))?;
    let listener =
        TcpListener::bind(args.listen).await.map_err(|e| format!("cannot listen on {}: {e}", args.listen))?;
    let at = listener.local_addr().map_err(|e| e.to_string())?;
    let store = match &args.state {
        Some(path) => Some(net::Store::start(sim.clone(), Files::at(path)).await?),
        None => None,
    };
    println!("listening https://{at}");
    tokio::select! {
        ended = net::serve(listener, &identity, sim, store) => ended.map(|_| ()),
        stopped = stopped() => stopped,
    }
}

/// Wait for the signal to end. Nothing is left to do then: what was answered is already in the state's file.
async fn stopped() -> Result<(), String> {
    let mut term = signal(SignalKind::terminate()).map_err(|e| format!("cannot listen for SIGTERM: {e}"))?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn build(args: &Serve) -> Result<Sim, String> {
    let at = |path: &Path, e: String| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(&args.world).map_err(|e| at(&args.world, e.to_string()))?;
    let world = World::parse(&text).map_err(|e| at(&args.world, e))?;
    let options = Options {
        unknown_fields: if args.lenient { UnknownFields::Dropped } else { UnknownFields::Refused },
        lists: if args.sparse_lists { Lists::Sparse } else { Lists::Full },
        assumed: if args.allow_assumed { Assumed::Allowed } else { Assumed::Refused },
        throttling: match args.throttle {
            Switch::On => Throttling::On,
            Switch::Off => Throttling::Off,
        },
    };
    let clock = Clock::system(args.time_scale);
    let kept = args.state.as_deref().map_or(Ok(None), |path| Files::at(path).load())?;
    let sim = match kept {
        None => Sim::new(world, options, args.seed, clock),
        Some((state, entries)) => Sim::resume(world, options, state, clock).map(|mut sim| {
            journal::replay(&mut sim, entries);
            sim
        }),
    };
    sim.map_err(|e| at(&args.world, e))
}
