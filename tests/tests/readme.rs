//! The README's one line installs the operator.

use azureml_tests::environment::Install;
use azureml_tests::team::{Team, brisk};
use azureml_tests::{EnvOptions, Environment, OperatorStart, Result, chart, checkout};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn its_one_line_installs_what_makes_a_cluster_ready() {
    let readme = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let lines: Vec<&str> = readme.lines().map(str::trim).filter(|line| line.starts_with("helm install ")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    installed(lines[0]).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn installed(line: &str) -> Result<()> {
    let options = EnvOptions { install: Install::Nothing, start: OperatorStart::Later, ..brisk() };
    let mut env = Environment::start(options).await?;
    let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
    chart::helm(env.plane.dir().path(), Some(&env.plane.kubeconfig()), &arguments)?;
    env.plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    env.start_operator().await?;
    Team::new(&env, "ml")?.ready_cluster("cpu-prep", json!({})).await.map(drop)
}
