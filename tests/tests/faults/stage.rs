//! Where the cells are played: one environment, with a principal, a workspace and a region for each of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azureml_tests::sim::demo;
use azureml_tests::team::brisk;
use azureml_tests::{EnvOptions, Environment, RunDir, SimClient, SimOptions, wait};
use futures::{FutureExt, StreamExt};
use kube::Api;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::cell::Cell;
use super::expected;
use super::history::History;
use super::log::Log;
use super::rows::Fault;
use super::steps::Step;

/// The namespace of all cells.
pub const NAMESPACE: &str = "faults";
/// Each principal's secret, which is good for nothing else.
pub const SECRET: &str = "demo-only-not-a-secret-here";

/// What the cells share.
pub struct Stage {
    pub sim: Arc<SimClient>,
    pub log: Log,
    pub history: History,
    pub clusters: Api<DynamicObject>,
    pub workspaces: Api<DynamicObject>,
    pub secrets: Api<DynamicObject>,
}

/// A cell's principal.
pub fn principal(at: usize) -> String {
    format!("00000000-0000-0000-0002-{at:012}")
}

/// A cell's workspace in Azure.
pub fn workspace(at: usize) -> String {
    format!("w-{at}")
}

/// A cell's region: a provider throttles by region.
pub fn region(at: usize) -> String {
    format!("region{at}")
}

fn world(cells: usize) -> Value {
    let text = std::fs::read_to_string(SimOptions::default().world).unwrap();
    let mut world: Value = serde_yaml_ng::from_str(&text).unwrap();
    // The workspaces of a page are one cluster each: two are two pages.
    world["pageSize"] = json!(1);
    world["regions"] = json!([]);
    for region in (0..cells).map(region).chain(["westeurope".into(), "northeurope".into()]) {
        let quotas = json!({"standardDSv2Family": 100});
        let one = json!({"name": region, "displayName": region, "sizes": ["Standard_DS3_v2"], "quotas": quotas});
        world["regions"].as_array_mut().unwrap().push(one);
    }
    for at in 0..cells {
        world["workspaces"].as_array_mut().unwrap().push(json!({
            "subscription": demo::SUBSCRIPTION, "resourceGroup": demo::RESOURCE_GROUP, "name": workspace(at),
            "location": region(at),
        }));
        world["principals"].as_array_mut().unwrap().push(json!({
            "clientId": principal(at), "tenant": demo::TENANT, "name": workspace(at), "secret": SECRET,
            "roles": [{"scope": format!("/subscriptions/{}", demo::SUBSCRIPTION), "role": "Contributor"}],
        }));
    }
    world
}

async fn start(cells: usize) -> (Environment, RunDir) {
    let dir = RunDir::new("world").unwrap();
    let path = dir.path().join("world.yaml");
    std::fs::write(&path, world(cells).to_string()).unwrap();
    let mut options = EnvOptions { sim: SimOptions { world: path, ..SimOptions::default() }, ..brisk() };
    options.operator.flags = [
        ("--consistency-window", expected::WINDOW),
        ("--retry-base", expected::RETRY_BASE),
        ("--retry-longest", expected::RETRY_LONGEST),
        ("--fastest-poll", expected::FASTEST_POLL),
    ]
    .map(|(flag, lasts)| (flag.to_string(), format!("{}s", lasts.as_secs())))
    .to_vec();
    options.operator.flags.push(("--concurrency".into(), "128".into()));
    (Environment::start(options).await.unwrap_or_else(|error| panic!("{error}")), dir)
}

/// Plays all cells, so many at once, and tells which failed.
pub async fn run(cells: Vec<(Fault, Step)>, at_once: usize) -> Vec<String> {
    let (env, _world) = start(cells.len()).await;
    let metadata = json!({"name": NAMESPACE});
    env.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string()).unwrap();
    let client = env.plane.client();
    let api = |kind: &'static str| {
        let client = client.clone();
        async move { wait::api(&client, kind, NAMESPACE).await.unwrap() }
    };
    let clusters = api("ComputeCluster").await;
    let sim = Arc::new(SimClient::new(env.sim.url(), env.sim.ca()).unwrap());
    let stage = Stage {
        log: Log::read(sim.clone()),
        sim,
        history: History::record(clusters.clone()),
        clusters,
        workspaces: api("Workspace").await,
        secrets: api("core/Secret").await,
    };
    let began = Instant::now();
    let stage = &stage;
    let played = cells.into_iter().enumerate().map(|(at, (fault, step))| async move {
        let name = format!("{} at {step:?}", fault.name);
        let from = Instant::now();
        let end = AssertUnwindSafe(Cell::new(stage, at, fault, step).play()).catch_unwind().await;
        let failed = match end {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(format!("{name}: {why}")),
            Err(_) => Some(format!("{name}: panicked, see above")),
        };
        let seconds = from.elapsed().as_secs();
        match &failed {
            None => eprintln!("ok {name}: {seconds} s"),
            Some(why) => eprintln!("FAILED {seconds} s: {why}"),
        }
        failed
    });
    let failed = futures::stream::iter(played).buffer_unordered(at_once).collect::<Vec<_>>().await;
    eprintln!("all cells: {} s", began.elapsed().as_secs());
    failed.into_iter().flatten().collect()
}

/// How long a wait may take on a machine that is busy with other things.
pub const LONG: Duration = Duration::from_secs(240);
