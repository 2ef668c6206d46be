//! What the operator costs Azure and the API server: little to create, and nothing but shared lists when idle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azureml_tests::sim::arm::workspace_id;
use azureml_tests::team::{LONG, Team, brisk, laid, metric};
use azureml_tests::{Environment, Error, Mark, Result, SimRequest, Until};
use serde_json::{Value, json};

/// The namespace of all of it.
const NAMESPACE: &str = "costs";
/// How many clusters there are when there are many. With the one of before, their list has a second page.
const MANY: usize = 50;
/// How many intervals count as a long rest: more than the ten after which each object is looked at from memory.
const REST: usize = 12;
/// Pages of the list when there are many.
const PAGES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn creating_costs_one_get_and_one_put_and_rest_costs_lists_only() {
    let mut env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    costs(&mut env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("costs::creating_costs_one_get_and_one_put_and_rest_costs_lists_only", 6);
}

async fn costs(env: &mut Environment) -> Result<()> {
    let team = Team::new(env, NAMESPACE)?;
    team.wait_any("Workspace", "research", Until::ready()).await?;
    one_cluster(&team).await?;
    assert!(status_writes(env).await? > 0.0, "the metric counts");
    rest(env, 1, 1).await?;
    restart(env, How::Stopped, 1, 1).await?;
    restart(env, How::Killed, 1, 1).await?;
    many_clusters(&Team { env, namespace: NAMESPACE.into() }).await?;
    rest(env, MANY + 1, PAGES).await?;
    restart(env, How::Stopped, MANY + 1, PAGES).await
}

/// A request of the sort that is shared by all objects of a workspace.
fn is_shared(request: &SimRequest) -> bool {
    let is_token = request.path.ends_with("/oauth2/v2.0/token");
    request.is_list() || is_token
}

fn is_sizes(request: &SimRequest) -> bool {
    request.path.ends_with("/vmSizes")
}

fn methods<'r>(requests: &'r [SimRequest], cluster: &str) -> Vec<&'r str> {
    requests.iter().filter(|request| request.is_about(cluster)).map(|request| request.method.as_str()).collect()
}

async fn one_cluster(team: &Team<'_>) -> Result<()> {
    let mark = team.env.sim.mark().await?;
    team.ready_cluster("one", json!({"tags": {"team": "a"}, "identity": {"type": "SystemAssigned"}})).await?;
    let requests = team.env.sim.since(mark).await?;
    assert_eq!(methods(&requests, "one"), ["GET", "PUT"], "{requests:#?}");
    let sizes = requests.iter().filter(|request| is_sizes(request)).count();
    assert_eq!(sizes, 1, "the region's sizes are read once: {requests:#?}");
    let others: Vec<&SimRequest> = requests
        .iter()
        .filter(|request| !is_shared(request) && !is_sizes(request) && !request.is_about("one"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    Ok(())
}

async fn many_clusters(team: &Team<'_>) -> Result<()> {
    let names: Vec<String> = (0..MANY).map(|number| format!("many{number:02}")).collect();
    let spec = json!({"workspaceRef": {"name": "research"}, "vmSize": "Standard_DS3_v2", "scale": {"maxNodes": 1}});
    let one = json!({"apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster", "spec": spec});
    let named = |name: &String| laid(one.clone(), json!({"metadata": {"name": name, "namespace": NAMESPACE}}));
    let items: Vec<Value> = names.iter().map(named).collect();
    let mark = team.env.sim.mark().await?;
    team.env.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    for of in ["Ready", "InSync"] {
        team.kubectl(&["wait", "amlcc", "--all", &format!("--for=condition={of}"), "--timeout=300s"])?;
    }
    let requests = team.env.sim.since(mark).await?;
    for name in &names {
        assert_eq!(methods(&requests, name), ["GET", "PUT"], "{name}");
    }
    let is_theirs = |request: &SimRequest| names.iter().any(|name| request.is_about(name));
    let sizes = requests.iter().filter(|request| is_sizes(request)).count();
    assert_eq!(sizes, 1, "all of them share one list of sizes, which this life of the operator hadn't read yet");
    let others: Vec<&SimRequest> =
        requests.iter().filter(|request| !is_shared(request) && !is_sizes(request) && !is_theirs(request)).collect();
    assert!(others.is_empty(), "{others:#?}");
    let refused: Vec<&SimRequest> = requests.iter().filter(|request| request.status == 429).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// What the API server has of ours.
fn versions(env: &Environment) -> Result<BTreeMap<String, String>> {
    Team { env, namespace: NAMESPACE.into() }.versions()
}

/// How often this life of the operator has looked at clusters.
async fn looks(env: &mut Environment) -> Result<f64> {
    let metrics = env.operator()?.metrics().await?;
    let clusters: Vec<&str> = metrics.lines().filter(|line| line.contains("ComputeCluster")).collect();
    Ok(metric(&clusters.join("\n"), "azureml_reconciles_total"))
}

async fn wait_for_looks(env: &mut Environment, wanted: f64) -> Result<()> {
    let started = Instant::now();
    loop {
        let seen = looks(env).await?;
        if seen >= wanted {
            return Ok(());
        }
        if started.elapsed() > LONG {
            return Err(Error::TimedOut(format!("the operator has looked at clusters {seen} times, not {wanted}")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn status_writes(env: &mut Environment) -> Result<f64> {
    Ok(metric(&env.operator()?.metrics().await?, "azureml_status_writes_total"))
}

async fn rest(env: &mut Environment, clusters: usize, pages: usize) -> Result<()> {
    let (before, writes, seen) = (versions(env)?, status_writes(env).await?, looks(env).await?);
    let mark = env.sim.mark().await?;
    env.sim.wait_for_lists(mark, REST * pages, LONG).await?;
    // Each object is looked at from memory meanwhile: it isn't merely asleep.
    wait_for_looks(env, seen + clusters as f64).await?;
    let requests = env.sim.since(mark).await?;
    let others: Vec<&SimRequest> = requests.iter().filter(|request| !is_shared(request)).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(versions(env)?, before, "nothing is written to the API server");
    assert_eq!(status_writes(env).await?, writes);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Stopped,
    Killed,
}

async fn restart(env: &mut Environment, how: How, clusters: usize, pages: usize) -> Result<()> {
    let before = versions(env)?;
    assert!(before.len() > clusters, "{before:#?}");
    match how {
        How::Stopped => env.stop_operator()?,
        How::Killed => env.kill_operator()?,
    }
    let mark: Mark = env.sim.mark().await?;
    env.start_operator().await?;
    env.sim.wait_for_lists(mark, 3 * pages, LONG).await?;
    wait_for_looks(env, clusters as f64).await?;
    // And once more, by which time every consequence of the first look would have been written.
    env.sim.wait_for_lists(env.sim.mark().await?, 2 * pages, LONG).await?;
    let requests = env.sim.since(mark).await?;
    let is_workspace =
        |request: &SimRequest| request.method == "GET" && request.path.eq_ignore_ascii_case(&workspace_id());
    let others: Vec<&SimRequest> =
        requests.iter().filter(|request| !is_shared(request) && !is_workspace(request)).collect();
    assert!(others.is_empty(), "{how:?}: {others:#?}");
    assert_eq!(versions(env)?, before, "{how:?}: nothing is written to the API server");
    assert_eq!(status_writes(env).await?, 0.0, "{how:?}");
    Ok(())
}
