//! Clouds that aren't reached as usual: one that lags behind, whose Machine Learning provider offers no api-version as new
//! as ours, and one behind a proxy.

use std::process::Command;

use azureml_tests::sim::demo;
use azureml_tests::team::{Team, WORKSPACE, brisk, brisk_operator, condition, laid};
use azureml_tests::{
    EnvOptions, Environment, Operator, OperatorStart, Result, RunDir, SimOptions, SimRequest, Tunnel, Until, binary,
    operator,
};
use serde_json::{Value, json};

const NEWEST_HERE: &str = "2024-10-01";

#[tokio::test(flavor = "multi_thread")]
async fn an_older_cloud_is_spoken_to_in_its_own_version() {
    let dir = RunDir::new("world").unwrap();
    let world = dir.path().join("world.yaml");
    let demo: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(SimOptions::default().world).unwrap()).unwrap();
    let offered = json!({"apiVersions": {"*": [NEWEST_HERE, "2024-04-01", "2023-10-01"]}});
    std::fs::write(&world, laid(demo, offered).to_string()).unwrap();
    let sim = SimOptions { world, ..SimOptions::default() };
    let env = Environment::start(EnvOptions { sim, ..brisk() }).await.unwrap_or_else(|error| panic!("{error}"));
    older(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn older(env: &Environment) -> Result<()> {
    let team = Team::new(env, "older")?;
    team.ready_cluster("gpu", json!({})).await?;
    team.edit("gpu", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("gpu", Until::condition("InSync", "True")).await?;
    let ready = team.wait_any("Workspace", WORKSPACE, Until::ready()).await?;
    assert_eq!(condition(&ready, "Ready")["reason"], "Available");

    let all = env.sim.requests().await?;
    let learning =
        all.iter().filter(|request| request.path.eq_ignore_ascii_case("/providers/Microsoft.MachineLearningServices"));
    assert_eq!(learning.count(), 1, "what the cloud offers is read once");
    let ours = format!("/workspaces/{}", demo::WORKSPACE);
    let asked: Vec<_> = all.iter().filter(|request| request.path.contains(&ours)).collect();
    let (spoken, refused): (Vec<&SimRequest>, Vec<&SimRequest>) =
        asked.into_iter().partition(|request| request.query.contains(&format!("api-version={NEWEST_HERE}")));
    assert!(refused.len() <= 3 && refused.iter().all(|request| request.status == 400), "{refused:?}");
    assert!(refused.iter().all(|request| !request.is_write()), "{refused:?}");
    let writes = spoken.iter().filter(|request| request.is_write() && request.is_about("gpu"));
    assert_eq!(writes.map(|request| request.method.as_str()).collect::<Vec<_>>(), ["PUT", "PATCH"]);

    // The command line finds its way as well.
    planned(&team, &operator::environment(&env.sim));

    team.delete("amlcc", "gpu")?;
    team.wait("gpu", Until::gone()).await?;
    Ok(())
}

/// The command line plans the cluster `gpu` with these variables, and finds nothing to do.
fn planned(team: &Team<'_>, variables: &[(String, String)]) {
    let env = team.env;
    let file = env.plane.dir().path().join("gpu.json");
    let cluster = team.get("gpu").unwrap();
    let manifest = json!({
        "apiVersion": cluster["apiVersion"], "kind": cluster["kind"], "spec": cluster["spec"],
        "metadata": {"name": "gpu", "namespace": team.namespace},
    });
    std::fs::write(&file, manifest.to_string()).unwrap();
    let program = binary("kubectl-azureml", "kubectl-azureml").unwrap();
    let output = Command::new(program)
        .args(["plan", "-f"])
        .arg(&file)
        .env("KUBECONFIG", env.plane.kubeconfig())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
}

/// Where Azure is said to be: nothing listens there, so that only the proxy's way leads to azure-sim.
const AZURE: &str = "localhost:9";

/// Azure is reached through the proxy only, the API server as `NO_PROXY` says.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_stands_before_azure() {
    let options = EnvOptions { start: OperatorStart::Later, ..brisk() };
    let env = Environment::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    behind_a_proxy(&env).await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("clouds::a_proxy_stands_before_azure", 4);
}

async fn behind_a_proxy(env: &Environment) -> Result<()> {
    let team = Team::new(env, "proxied")?;
    let tunnel = Tunnel::open().await?;
    let address = |url: &str| url.trim_start_matches("https://").to_string();
    let api_server = address(&env.plane.url());
    tunnel.leads(AZURE, &address(env.sim.url()));
    team.cluster("gpu", json!({}))?;
    for (no_proxy, nodes, targets) in [("127.0.0.1", 5, vec![AZURE]), ("", 6, vec![&*api_server, AZURE])] {
        let azure = format!("https://{AZURE}");
        let variables = [
            ("AZURE_AUTHORITY_HOST", azure.clone()),
            ("AZURE_RESOURCE_MANAGER_ENDPOINT", azure.clone()),
            ("AZURE_RESOURCE_MANAGER_AUDIENCE", azure),
            ("HTTPS_PROXY", tunnel.url()),
            ("NO_PROXY", no_proxy.to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value));
        let mut options = brisk_operator();
        options.env.extend(variables.clone());
        let mark = env.sim.mark().await?;
        let operator = Operator::start(&options, &env.plane, &env.sim).await?;
        team.edit("gpu", json!({"scale": {"maxNodes": nodes}}))?;
        team.wait("gpu", Until::condition("InSync", "True")).await?;
        let requests = env.sim.since(mark).await?;
        for sort in ["/oauth2/v2.0/token", "/computes", "/computes/gpu"] {
            assert!(requests.iter().any(|request| request.path.ends_with(sort)), "no {sort} in {requests:#?}");
        }
        let reached = tunnel.take_connects();
        assert_eq!(reached.keys().map(String::as_str).collect::<Vec<_>>(), targets, "NO_PROXY={no_proxy}");
        operator.stop()?;

        let mut all = operator::environment(&env.sim);
        all.extend(variables);
        tunnel.take_connects();
        planned(&team, &all);
        let reached = tunnel.take_connects();
        assert_eq!(reached.keys().map(String::as_str).collect::<Vec<_>>(), targets, "NO_PROXY={no_proxy}, plan");
    }
    Ok(())
}
