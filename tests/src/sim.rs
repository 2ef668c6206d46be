//! azure-sim as a process, its `/_sim/` side for tests, and a person's hands on the Azure side.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::arm::Arm;
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

/// A running azure-sim. Dropping it ends the process.
pub struct Sim {
    process: Option<Supervised>,
    program: PathBuf,
    args: Vec<OsString>,
    url: String,
    ca: PathBuf,
    log: PathBuf,
    http: reqwest::Client,
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
        let http = http_client(&ca)?;
        Ok(Sim { process: Some(process), program, args, url, ca, log, http })
    }

    /// Its address, which is also Entra's there and the audience of its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate that its clients must trust, as a PEM file.
    pub fn ca(&self) -> &Path {
        &self.ca
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
            let listen = self.url.trim_start_matches("https://").to_string();
            let (process, _) = launch(&self.program, &self.args, &listen, dir).await?;
            self.process = Some(process);
            self.http = http_client(&self.ca)?;
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

    /// Azure Resource Manager, as the demo's principal sees it: for what a person does in the portal.
    ///
    /// # Errors
    /// If the principal gets no token.
    pub async fn arm(&self) -> Result<Arm> {
        Arm::sign_in(self.http.clone(), &self.url, demo::CLIENT, demo::CLIENT_SECRET).await
    }

    /// The requests that azure-sim has answered since its start or [`Self::clear_requests`], the oldest first.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn requests(&self) -> Result<Vec<Value>> {
        let answer = self.call(Method::GET, "requests", None).await?;
        match answer {
            Value::Array(requests) => Ok(requests),
            Value::Object(mut page) => match page.remove("value") {
                Some(Value::Array(requests)) => Ok(requests),
                _ => Err(Error::Invalid("azure-sim's /_sim/requests holds no list".into())),
            },
            other => Err(Error::Invalid(format!("azure-sim's /_sim/requests is no list: {other}"))),
        }
    }

    /// Forgets the requests.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn clear_requests(&self) -> Result<()> {
        self.call(Method::DELETE, "requests", None).await.map(drop)
    }

    /// Adds a fault (docs/azure-sim.md tells what one holds).
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn fault(&self, fault: Value) -> Result<Value> {
        self.call(Method::POST, "faults", Some(fault)).await
    }

    /// Removes all faults.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.call(Method::DELETE, "faults", None).await.map(drop)
    }

    /// All that azure-sim holds, with what Azure would not show.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn state(&self) -> Result<Value> {
        self.call(Method::GET, "state", None).await
    }

    /// Any other `POST /_sim/{path}`.
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let what = format!("{method} /_sim/{path}");
        let mut request = self.http.request(method, format!("{}/_sim/{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| unreachable(&what, &error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreachable(&what, &error))?;
        if !status.is_success() {
            return Err(Error::Http(format!("azure-sim answered {what} with {status}: {text}")));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text)
            .map_err(|error| Error::Http(format!("azure-sim answered {what} with no JSON ({error}): {text}")))
    }
}

/// An error of the transport, with its causes: reqwest's own text leaves the cause out.
pub(crate) fn unreachable(what: &str, error: &reqwest::Error) -> Error {
    let mut text = format!("{what}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Error::Http(text)
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

/// A client that trusts this CA and no other, and goes through no proxy.
fn http_client(ca: &Path) -> Result<reqwest::Client> {
    let bad = |error: &dyn std::fmt::Display| Error::Invalid(format!("azure-sim's CA {}: {error}", ca.display()));
    let certificate = reqwest::Certificate::from_pem(files::read(ca)?.as_bytes()).map_err(|error| bad(&error))?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).timeout(Duration::from_secs(60));
    client.build().map_err(|error| bad(&error))
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
