//! Many clusters at rest: the time to start with them, the memory, and what an interval costs.

use std::time::{Duration, Instant};

use azureml_tests::fleet::{self, Limits, Site};
use azureml_tests::sim::SimOptions;
use azureml_tests::team::metric;
use azureml_tests::{EnvOptions, Environment, Result, RunDir, SimRequest};

use crate::process::Process;
use crate::report::Report;

/// Where they are.
pub const NAMESPACE: &str = "many";
/// Clusters in a workspace.
pub const EACH: usize = 100;
/// azure-sim's page of a list.
const PAGE: usize = 50;
const SUBSCRIPTIONS: usize = 10;
const REGIONS: [&str; 4] = ["westeurope", "northeurope", "swedencentral", "francecentral"];
/// Objects in one `kubectl apply`.
const BATCH: usize = 500;
const LONGEST: Duration = Duration::from_secs(3600);
/// What the design allows for 10,000 objects, and so for fewer.
const MEMORY_MIB: f64 = 100.0;
const START_SECONDS: f64 = 2.0;
const IDLE_PERCENT: f64 = 1.0;

/// Creates the clusters, restarts the operator, and tells what the start and the rest cost.
///
/// # Errors
/// If the environment fails, or not all clusters become Ready.
pub async fn measure(objects: usize, interval: Duration, intervals: u32, report: &mut Report) -> Result<()> {
    let dir = RunDir::new("bench")?;
    let sites: Vec<Site> = (0..objects.div_ceil(EACH)).map(site).collect();
    let world = fleet::world(&dir.path().join("world.json"), &sites, Limits::azure_over(1.0))?;
    let sim = SimOptions { world, ..SimOptions::default() };
    let mut env = Environment::start(EnvOptions { sim, ..EnvOptions::default() }).await?;
    fill(&env, &sites, objects, interval)?;
    let (_, peak) = Process::of(env.operator()?)?.memory()?;
    report.told(format!("{objects} objects created: most memory"), peak, "MiB");

    env.stop_operator()?;
    let mark = env.sim.mark().await?;
    let began = Instant::now();
    env.start_operator().await?;
    let ready = began.elapsed().as_secs_f64();
    report.bound(format!("{objects} objects in sync: start to ready"), ready, "s", START_SECONDS, 1.0);
    let pages = objects.div_ceil(PAGE);
    env.sim.wait_for_requests("first lists", mark, pages, LONGEST, SimRequest::is_list).await?;
    // Each object has been looked at once more, and so has each list.
    let looked = Instant::now();
    while metric(&env.operator()?.metrics().await?, "azureml_reconciles_total") < objects as f64
        && looked.elapsed() < LONGEST
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    report.told(format!("{objects} objects in sync: start to all looked at"), began.elapsed().as_secs_f64(), "s");
    rest(&mut env, objects, &sites, interval, intervals, report).await?;

    let requests = env.sim.since(mark).await?;
    let writes = requests.iter().filter(|request| request.is_write()).count() as f64;
    report.bound(format!("{objects} objects: writes to Azure after a restart"), writes, "", 0.0, 1.0);
    let statuses = metric(&env.operator()?.metrics().await?, "azureml_status_writes_total");
    report.bound(format!("{objects} objects: writes to Kubernetes after a restart"), statuses, "", 0.0, 1.0);
    Ok(())
}

async fn rest(
    env: &mut Environment,
    objects: usize,
    sites: &[Site],
    interval: Duration,
    intervals: u32,
    report: &mut Report,
) -> Result<()> {
    let process = Process::of(env.operator()?)?;
    let (mark, before) = (env.sim.mark().await?, process.cpu()?);
    let window = interval * intervals;
    tokio::time::sleep(window).await;
    let percent = 100.0 * (process.cpu()? - before) / window.as_secs_f64();
    let lists = env.sim.since(mark).await?.iter().filter(|request| request.is_list()).count();
    let (now, peak) = process.memory()?;
    let seconds = interval.as_secs();
    report.bound(format!("{objects} objects at rest: memory"), now, "MiB", MEMORY_MIB, 1.0);
    report.told(format!("{objects} objects at rest: most memory"), peak, "MiB");
    report.bound(
        format!("{objects} objects at rest, looked at every {seconds} s: CPU"),
        percent,
        "% of a core",
        IDLE_PERCENT,
        1.0,
    );
    let pages = objects.div_ceil(PAGE).max(sites.len()) as f64;
    let each = lists as f64 / f64::from(intervals);
    // One list may fall on either side of the window's ends.
    report.bound(
        format!("{objects} objects in {} workspaces: list pages an interval", sites.len()),
        each,
        "",
        pages,
        1.0 + 1.0 / f64::from(intervals),
    );
    Ok(())
}

/// One of the workspaces.
pub fn site(n: usize) -> Site {
    let subscription = u32::try_from(n % SUBSCRIPTIONS).unwrap_or_default() + 1;
    Site::new(subscription, REGIONS[n % REGIONS.len()], &format!("many{n:03}"))
}

/// Creates the clusters and waits until they are as they should be.
///
/// # Errors
/// If they don't become so.
pub fn fill(env: &Environment, sites: &[Site], objects: usize, interval: Duration) -> Result<()> {
    env.namespace(NAMESPACE)?;
    let every = format!("{}s", interval.as_secs());
    let workspaces: Vec<_> = sites.iter().map(|site| site.object(NAMESPACE, &every)).collect();
    env.apply(&fleet::list(&workspaces))?;
    let clusters: Vec<_> = (0..objects).map(|n| sites[n / EACH].cluster(NAMESPACE, &format!("many{n:05}x"))).collect();
    for batch in clusters.chunks(BATCH) {
        env.apply(&fleet::list(batch))?;
    }
    for condition in ["Ready", "InSync"] {
        let condition = format!("--for=condition={condition}");
        env.plane.kubectl(&["-n", NAMESPACE, "wait", "amlcc", "--all", &condition, "--timeout=3600s"])?;
    }
    Ok(())
}
