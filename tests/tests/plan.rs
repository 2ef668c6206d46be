//! `kubectl azureml plan` before, after and instead of `kubectl apply`: what it says is what the operator then does.

use std::io::Write;
use std::process::{Command, Stdio};

use azureml_tests::environment::CREDENTIAL;
use azureml_tests::team::{Team, VM_SIZE, WORKSPACE, brisk};
use azureml_tests::{Environment, Result, Until, binary, operator};
use serde_json::{Value, json};

/// Exit codes of the command.
const UNCHANGED: i32 = 0;
const CHANGES: i32 = 2;
const REFUSED: i32 = 3;

struct Answer {
    code: Option<i32>,
    plan: Value,
    words: String,
}

fn plan(env: &Environment, manifest: &Value) -> Answer {
    let program = binary("kubectl-azureml", "kubectl-azureml").unwrap();
    let mut child = Command::new(program)
        .args(["plan", "-f", "-", "-o", "json"])
        .env("KUBECONFIG", env.plane.kubeconfig())
        .envs(operator::environment(&env.sim))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"));
    let all = whole["plans"].as_array().unwrap();
    Answer {
        code: output.status.code(),
        plan: all.iter().find(|plan| plan["kind"] == "ComputeCluster").cloned().unwrap_or(Value::Null),
        words,
    }
}

fn cluster(size: &str, max: u32) -> Value {
    json!({
        "apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster",
        "metadata": {"name": "planned", "namespace": "planned"},
        "spec": {"workspaceRef": {"name": WORKSPACE}, "vmSize": size, "scale": {"maxNodes": max}}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_what_happens() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    planned(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn planned(env: &Environment) -> Result<()> {
    let team = Team::new(env, "planned")?;
    team.wait_any("Workspace", WORKSPACE, Until::ready()).await?;
    let mark = env.sim.mark().await?;

    let creation = plan(env, &cluster(VM_SIZE, 4));
    assert_eq!((creation.code, &creation.plan["action"]), (Some(CHANGES), &json!("Create")), "{}", creation.words);
    assert!(env.sim.writes_of("planned", mark).await?.is_empty(), "a plan writes nothing");

    let unknown = plan(env, &cluster("Standard_DS3_v22", 4));
    assert_eq!((unknown.code, &unknown.plan["refusal"]["reason"]), (Some(REFUSED), &json!("VmSizeNotAvailable")));
    assert!(unknown.words.contains(VM_SIZE), "the nearest is named: {}", unknown.words);

    team.cluster("planned", json!({}))?;
    team.wait("planned", Until::ready()).await?;
    let same = plan(env, &cluster(VM_SIZE, 4));
    assert_eq!((same.code, &same.plan["action"]), (Some(UNCHANGED), &json!("None")), "{}", same.words);

    let changed = plan(env, &cluster(VM_SIZE, 6));
    assert_eq!((changed.code, &changed.plan["action"]), (Some(CHANGES), &json!("Update")), "{}", changed.words);
    let told = &changed.plan["changes"][0];
    assert_eq!((&told["field"], &told["from"], &told["to"]), (&json!("spec.scale.maxNodes"), &json!("4"), &json!("6")));

    let other = plan(env, &cluster("Standard_D2_v2", 4));
    assert_eq!(other.code, Some(REFUSED), "{}", other.words);

    // The plan's hash is the one that approves the change when it is applied.
    team.edit("planned", json!({"applyPolicy": "Approved"}))?;
    team.annotate("planned", "azureml.dev/approve", changed.plan["hash"].as_str().unwrap())?;
    let mark = env.sim.mark().await?;
    team.edit("planned", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("planned", Until::condition("InSync", "True")).await?;
    let writes = env.sim.writes_of("planned", mark).await?;
    assert_eq!(writes.iter().map(|write| write.method.as_str()).collect::<Vec<_>>(), ["PATCH"]);

    // A credential that Azure refuses is an error, and no plan.
    let secret = json!({"stringData": {"AZURE_CLIENT_SECRET": "wrong"}});
    team.kubectl(&["patch", "secret", CREDENTIAL, "--type=merge", "-p", &secret.to_string()])?;
    let refused = plan(env, &cluster(VM_SIZE, 7));
    assert_eq!(refused.code, Some(1), "{}", refused.words);
    assert!(refused.words.contains("AADSTS7000215") && !refused.words.contains("\"wrong\""), "{}", refused.words);
    Ok(())
}
