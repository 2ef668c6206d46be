//! A cloud that lags behind: its Machine Learning provider offers no api-version as new as ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use azureml_tests::sim::demo;
use azureml_tests::team::{Team, WORKSPACE, brisk, condition, laid};
use azureml_tests::{EnvOptions, Environment, Result, RunDir, SimOptions, SimRequest, Until, binary, operator};
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
    let file = env.plane.dir().path().join("gpu.json");
    let cluster = team.get("gpu")?;
    let manifest = json!({
        "apiVersion": cluster["apiVersion"], "kind": cluster["kind"], "spec": cluster["spec"],
        "metadata": {"name": "gpu", "namespace": "older"},
    });
    std::fs::write(&file, manifest.to_string()).unwrap();
    let program = binary("kubectl-azureml", "kubectl-azureml").unwrap();
    let output = Command::new(program)
        .args(["plan", "-f"])
        .arg(&file)
        .env("KUBECONFIG", env.plane.kubeconfig())
        .envs(operator::environment(&env.sim))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");

    team.delete("amlcc", "gpu")?;
    team.wait("gpu", Until::gone()).await?;
    Ok(())
}
