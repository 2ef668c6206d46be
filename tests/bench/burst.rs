//! Many creations at once in one workspace: how long Azure's buckets take, and how long the operator does.

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_tests::fleet::{self, Limits, Site};
use azureml_tests::sim::SimOptions;
use azureml_tests::{EnvOptions, Environment, Error, Result, RunDir, SimRequest};
use jiff::Timestamp;

use crate::report::Report;

const NAMESPACE: &str = "burst";
/// How many regions the clusters of a burst lie in: one is enough for 500.
const REGION: &str = "westeurope";
/// Longer than any burst takes.
const LONGEST: Duration = Duration::from_secs(1800);
/// How many times the bound a burst may take.
const TOLERANCE: f64 = 1.05;

/// Creates clusters at once, and tells how long it took from the first PUT to the last.
///
/// # Errors
/// If the environment fails, or not all clusters are created.
pub async fn measure(which: &str, writes: usize, limits: Limits, report: &mut Report) -> Result<()> {
    let dir = RunDir::new("bench")?;
    let site = Site::new(1, REGION, "burst");
    let world = fleet::world(&dir.path().join("world.json"), std::slice::from_ref(&site), limits)?;
    let sim = SimOptions { world, ..SimOptions::default() };
    let env = Environment::start(EnvOptions { sim, ..EnvOptions::default() }).await?;
    env.namespace(NAMESPACE)?;
    let clusters: Vec<_> = (0..writes).map(|n| site.cluster(NAMESPACE, &format!("burst{n:04}x"))).collect();
    env.apply(&fleet::list(&clusters))?;
    let mark = env.sim.mark().await?;
    // With the Workspace all of them begin.
    env.apply(&fleet::list(&[site.object(NAMESPACE, "60s")]))?;
    let is_put = |request: &SimRequest| request.method == "PUT" && request.status < 400;
    let requests = env.sim.wait_for_requests("PUTs", mark, writes, LONGEST, is_put).await?;
    let puts: Vec<&SimRequest> = requests.iter().filter(|request| is_put(request)).collect();
    let seconds = span(puts.iter().map(|request| request.real))?;
    let bound = (writes as f64 - limits.writes.size) / limits.writes.per_second;
    let title = |what: &str| format!("burst of {writes}, {which}: {what}");
    report.bound(title("first to last PUT"), seconds, "s", bound, TOLERANCE);
    let mut each: BTreeMap<&str, u32> = BTreeMap::new();
    puts.iter().for_each(|request| *each.entry(request.path.as_str()).or_default() += 1);
    let most = each.values().copied().max().unwrap_or_default();
    report.bound(title("most PUTs to one cluster"), f64::from(most), "", 1.0, 1.0);
    env.plane.kubectl(&["-n", NAMESPACE, "wait", "amlcc", "--all", "--for=condition=Ready", "--timeout=600s"])?;
    let requests = env.sim.since(mark).await?;
    let count = |is: &dyn Fn(&SimRequest) -> bool| requests.iter().filter(|request| is(request)).count() as f64;
    report.bound(title("429s"), count(&|request| request.status == 429), "", 0.0, 1.0);
    report.told(title("reads of single clusters"), count(&|request| is_read(request) && !request.is_list()), "");
    report.told(title("pages of lists"), count(&SimRequest::is_list), "");
    Ok(())
}

fn is_read(request: &SimRequest) -> bool {
    request.method == "GET" && request.path.contains("/computes")
}

/// Seconds from the earliest to the latest.
fn span(times: impl Iterator<Item = Timestamp> + Clone) -> Result<f64> {
    match (times.clone().min(), times.max()) {
        (Some(first), Some(last)) => Ok(last.duration_since(first).as_secs_f64()),
        _ => Err(Error::Invalid("there was no request".into())),
    }
}
