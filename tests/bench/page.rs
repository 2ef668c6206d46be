//! Viewers of the page: the memory that their streams take.

use std::time::Duration;

use azureml_tests::environment::Install;
use azureml_tests::fleet::{self, Limits};
use azureml_tests::sim::SimOptions;
use azureml_tests::{EnvOptions, Environment, Error, Result, RunDir};
use serde_json::json;

use crate::many::{self, EACH, NAMESPACE};
use crate::process::Process;
use crate::report::Report;

/// What the operator lets look at a time.
const VIEWERS: usize = 32;
/// As without any of them.
const MEMORY_MIB: f64 = 100.0;
/// Snapshots are taken in, and what made them is given back.
const SETTLED: Duration = Duration::from_secs(5);

/// Lets as many look at the clusters as may.
///
/// # Errors
/// If the environment fails, not all clusters become Ready, or a viewer isn't let in.
pub async fn measure(objects: usize, interval: Duration, report: &mut Report) -> Result<()> {
    let dir = RunDir::new("bench-page")?;
    let sites: Vec<_> = (0..objects.div_ceil(EACH)).map(many::site).collect();
    let world = fleet::world(&dir.path().join("world.json"), &sites, Limits::azure_over(1.0))?;
    let sim = SimOptions { world, ..SimOptions::default() };
    let install = Install::Chart(json!({"page": {"enabled": true}}));
    let mut env = Environment::start(EnvOptions { sim, install, ..EnvOptions::default() }).await?;
    many::fill(&env, &sites, objects, interval)?;
    // What the creations took is no part of it.
    env.stop_operator()?;
    env.start_operator().await?;
    tokio::time::sleep(SETTLED).await;
    env.plane.kubectl(&["-n", NAMESPACE, "create", "serviceaccount", "viewer"])?;
    let subject = format!("--serviceaccount={NAMESPACE}:viewer");
    let role = ["create", "clusterrolebinding", "viewer", "--clusterrole=azureml-operator-view"];
    env.plane.kubectl(&[&role[..], &[&subject]].concat())?;
    let token = env.plane.kubectl(&["-n", NAMESPACE, "create", "token", "viewer"])?;
    let process = Process::of(env.operator()?)?;
    let (before, _) = process.memory()?;
    let url = format!("{}/page/events", env.operator()?.admin_url());
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| failed(&error))?;
    let mut open = tokio::task::JoinSet::new();
    for _ in 0..VIEWERS {
        let answer = client.get(&url).bearer_auth(token.trim()).send().await.map_err(|error| failed(&error))?;
        let mut answer = answer.error_for_status().map_err(|error| failed(&error))?;
        answer.chunk().await.map_err(|error| failed(&error))?;
        open.spawn(async move { while let Ok(Some(_)) = answer.chunk().await {} });
    }
    tokio::time::sleep(SETTLED).await;
    // One change goes to all of them, and every row is looked at for it.
    let change = ["-n", NAMESPACE, "annotate", "amlcc", "many00000x", "seen=now"];
    env.plane.kubectl(&change)?;
    tokio::time::sleep(SETTLED).await;
    let (now, most) = process.memory()?;
    report.told(format!("{objects} objects, no viewer: memory"), before, "MiB");
    report.bound(format!("{objects} objects, {VIEWERS} viewers: memory"), now, "MiB", MEMORY_MIB, 1.0);
    report.told(format!("{objects} objects, {VIEWERS} viewers: most memory"), most, "MiB");
    Ok(())
}

fn failed(error: &reqwest::Error) -> Error {
    Error::Invalid(format!("the page: {error}"))
}
