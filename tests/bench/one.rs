//! One cluster at a time: how long the operator takes beside Azure.

use std::time::{Duration, Instant};

use azureml_tests::fleet::{self, Limits, Site};
use azureml_tests::sim::SimOptions;
use azureml_tests::{EnvOptions, Environment, Result, RunDir, Until};

use crate::report::Report;

const NAMESPACE: &str = "one";
/// How many are created, one after the other.
const TIMES: usize = 10;
/// azure-sim's creation takes 90 s, and its time runs this much faster.
const SCALE: u32 = 60;
const AZURES_OWN: f64 = 90.0 / SCALE as f64;
/// One look at the list while an operation is under way (--fastest-poll), and a second for all the rest.
const BOUND: f64 = 3.0;
const WITHIN: Duration = Duration::from_secs(120);

/// Creates clusters one by one and tells the time from `kubectl apply` to Ready.
///
/// # Errors
/// If the environment fails, or a cluster doesn't become Ready.
pub async fn measure(report: &mut Report) -> Result<()> {
    let dir = RunDir::new("bench")?;
    let site = Site::new(1, "westeurope", "one");
    let world = fleet::world(&dir.path().join("world.json"), std::slice::from_ref(&site), Limits::azure_over(1.0))?;
    let sim = SimOptions { world, time_scale: SCALE, ..SimOptions::default() };
    let env = Environment::start(EnvOptions { sim, ..EnvOptions::default() }).await?;
    env.namespace(NAMESPACE)?;
    env.apply(&fleet::list(&[site.object(NAMESPACE, "60s")]))?;
    env.wait_for("Workspace", NAMESPACE, &site.workspace, Until::ready(), WITHIN).await?;
    let mut waits = Vec::new();
    for n in 0..TIMES {
        let name = format!("one{n:02}x");
        env.apply(&fleet::list(&[site.cluster(NAMESPACE, &name)]))?;
        let began = Instant::now();
        env.wait_for("ComputeCluster", NAMESPACE, &name, Until::ready(), WITHIN).await?;
        waits.push(began.elapsed().as_secs_f64() - AZURES_OWN);
    }
    waits.sort_by(f64::total_cmp);
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part).round() as usize];
    report.bound("manifest to Ready beyond Azure's own time: median", at(0.5), "s", BOUND, 1.0);
    report.told("manifest to Ready beyond Azure's own time: longest", at(1.0), "s");
    Ok(())
}
