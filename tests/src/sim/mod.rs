//! azure-sim as a process, its `/_sim/` side for tests, and a person's hands on the Azure side.

pub mod arm;
mod client;
mod log;

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use self::client::unreachable;
pub use self::client::{SimClient, SimRequest};
pub use self::log::Mark;
use crate::controlplane::still_starting;
use crate::process::{Spec, Supervised};
use crate::{Error, Result, RunDir, cargo, files};

/// What the demo's world holds (`src/sim/worlds/demo.yaml`).
pub mod demo {
    /// The subscription.
    pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
    /// The resource group, in West Europe.
    pub const RESOURCE_GROUP: &str = "ml-rg";
    /// The workspace.
    pub const WORKSPACE: &str = "research-ws";
    /// The tenant of the subscription and the principals.
    pub const TENANT: &str = "00000000-0000-0000-0000-0000000000aa";
    /// A principal with the role Contributor on the subscription.
    pub const CLIENT: &str = "00000000-0000-0000-0000-0000000000c1";
    /// That principal's secret, which is good for nothing else.
    pub const CLIENT_SECRET: &str = "demo-only-not-a-secret";
}

/// Whether azure-sim limits requests as Azure Resource Manager does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Throttle {
    /// With Azure's token buckets.
    #[default]
    On,
    /// Not at all.
    Off,
}

/// How azure-sim is started.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// The world that it starts with.
    pub world: PathBuf,
    /// How much faster than the clock on the wall its time runs.
    pub time_scale: u32,
    /// Whether it limits requests.
    pub throttle: Throttle,
    /// Makes its choices repeatable.
    pub seed: u64,
    /// Flags that are added, such as `--sparse-lists`.
    pub flags: Vec<String>,
}

impl Default for SimOptions {
    /// The demo's world, sixty times faster than the wall, throttled, with a fixed seed.
    fn default() -> Self {
        SimOptions {
            world: files::checkout().join("src/sim/worlds/demo.yaml"),
            time_scale: 60,
            throttle: Throttle::On,
            seed: 1,
            flags: Vec::new(),
        }
    }
}

/// A running azure-sim, with all that its [`SimClient`] can do. Dropping it ends the process.
pub struct Sim {
    process: Option<Supervised>,
    program: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
    client: SimClient,
}

impl Sim {
    /// Starts azure-sim on a free port, and returns once it listens. Its state and its CA live in the run's folder.
    ///
    /// # Errors
    /// If it can't be built, or ends instead of listening; the error holds the end of its log.
    pub async fn start(options: &SimOptions, dir: &RunDir) -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| cargo::binary("azure-sim", "azure-sim")).await;
        let program =
            program.map_err(|error| Error::Invalid(format!("the build of azure-sim broke off: {error}")))??;
        let ca = dir.path().join("azure-sim-ca.pem");
        let args = arguments(options, &ca, &dir.path().join("azure-sim-state.json"));
        let (process, url) = launch(&program, &args, "127.0.0.1:0", dir).await?;
        let log = process.log().to_path_buf();
        let client = SimClient::new(&url, &ca)?;
        Ok(Sim { process: Some(process), program, args, log, client })
    }

    /// Everything that it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Ends it with SIGTERM: Azure is away until [`Self::start_again`].
    ///
    /// # Errors
    /// If the operating system doesn't tell its end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Starts it again on the same port, with the state that it had. Does nothing if it runs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self, dir: &RunDir) -> Result<()> {
        if self.process.is_none() {
            let listen = self.url().trim_start_matches("https://").to_string();
            let (process, url) = launch(&self.program, &self.args, &listen, dir).await?;
            self.process = Some(process);
            // The CA may be a new one.
            self.client = SimClient::new(&url, self.client.ca())?;
        }
        Ok(())
    }

    /// [`Self::stop`] and [`Self::start_again`].
    ///
    /// # Errors
    /// As those.
    pub async fn restart(&mut self, dir: &RunDir) -> Result<()> {
        self.stop()?;
        self.start_again(dir).await
    }
}

impl Deref for Sim {
    type Target = SimClient;

    fn deref(&self) -> &SimClient {
        &self.client
    }
}

fn arguments(options: &SimOptions, ca: &Path, state: &Path) -> Vec<OsString> {
    let throttle = match options.throttle {
        Throttle::On => "on",
        Throttle::Off => "off",
    };
    let mut args: Vec<OsString> = vec!["--ca-out".into(), ca.into(), "--world".into(), options.world.clone().into()];
    args.extend(["--state".into(), state.into()]);
    args.extend(["--time-scale".into(), options.time_scale.to_string().into()]);
    args.extend(["--throttle".into(), throttle.into(), "--seed".into(), options.seed.to_string().into()]);
    args.extend(options.flags.iter().map(Into::into));
    args
}

/// Starts the process and waits for its line `listening https://…`.
async fn launch(program: &Path, args: &[OsString], listen: &str, dir: &RunDir) -> Result<(Supervised, String)> {
    // After a restart the log holds the lines of the earlier life too.
    let before = listening_lines(&dir.path().join("azure-sim.log")).len();
    let spec = Spec::new("azure-sim", program).args(["serve", "--listen", listen]).args(args);
    let mut process = Supervised::start(&spec, dir)?;
    let started = Instant::now();
    loop {
        if let Some(url) = listening_lines(process.log()).get(before) {
            return Ok((process, url.clone()));
        }
        still_starting(&mut process, started, "it has not said where it listens")?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn listening_lines(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| line.strip_prefix("listening ")).map(|url| url.trim().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_whole_lines_only() {
        let path = std::env::temp_dir().join(format!("azureml-listening-{}", std::process::id()));
        for (text, want) in [
            ("listening https://127.0.0.1:1\n", vec!["https://127.0.0.1:1"]),
            ("listening https://127.0.0.1:12", vec![]),
            ("x\nlistening https://a:1\ny\nlistening https://a:2\n", vec!["https://a:1", "https://a:2"]),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(listening_lines(&path), want, "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
