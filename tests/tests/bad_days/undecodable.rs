//! Stored objects that don't have the shape of their kind, as an older or newer definition may leave them.

use azureml_tests::Environment;
use azureml_tests::team::{WORKSPACE, condition};
use serde_json::{Value, json};

use super::support::{Days, Weather, all};

/// Lets a definition take anything under spec, or puts it back as it was.
fn loosen(env: &Environment, plural: &str) -> Value {
    let name = format!("{plural}.azureml.dev");
    let before: Value =
        serde_json::from_str(&env.plane.kubectl(&["get", "crd", &name, "-o", "json"]).unwrap()).unwrap();
    let mut loose = before["spec"]["versions"].clone();
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    loose[0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "properties": {"spec": anything, "status": anything}});
    set(env, plural, loose);
    before["spec"]["versions"].clone()
}

fn set(env: &Environment, plural: &str, versions: Value) {
    let patch = json!([{"op": "replace", "path": "/spec/versions", "value": versions}]).to_string();
    env.plane.kubectl(&["patch", "crd", &format!("{plural}.azureml.dev"), "--type=json", "-p", &patch]).unwrap();
}

/// Applies until the API server has taken the new definition in.
async fn apply(env: &Environment, object: Value) {
    let began = std::time::Instant::now();
    while let Err(error) = env.apply(&object.to_string()) {
        assert!(began.elapsed() < azureml_tests::team::LONG, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "azureml.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

#[tokio::test]
async fn what_can_not_be_decoded_is_told_and_holds_nobody_up() {
    let days = Days::start(&["odd", "even"], Weather::default()).await;
    let (odd, even) = (days.open("odd"), days.open("even"));
    let good = odd.made("good", json!({})).await;
    odd.made("later-bad", json!({})).await;

    let clusters = loosen(&days.env, "computeclusters");
    let reference = json!({"name": WORKSPACE});
    let spec = |scale: Value| json!({"workspaceRef": reference, "vmSize": "Standard_DS3_v2", "scale": scale});
    apply(&days.env, object("ComputeCluster", "odd", "bad", spec(json!({"maxNodes": "many"})))).await;
    apply(&days.env, object("ComputeCluster", "odd", "nothing", json!({}))).await;
    let patch = json!({"spec": {"scale": "none"}});
    odd.team.edit_any("amlcc", "later-bad", patch).unwrap();
    let patch = json!({"status": {"operation": "a text"}}).to_string();
    odd.team.kubectl(&["patch", "amlcc", "good", "--subresource=status", "--type=merge", "-p", &patch]).unwrap();
    set(&days.env, "computeclusters", clusters);

    let told =
        odd.tells("bad", "Undecodable", &["isn't a valid ComputeCluster", "many", "correct it and apply it again"]);
    assert_eq!(condition(&told.await, "Stalled")["reason"], "Undecodable");
    odd.tells("nothing", "Undecodable", &["workspaceRef"]).await;
    odd.tells("later-bad", "Undecodable", &["none"]).await;
    // Others go on, the bad ones' neighbours included, and nothing is written for the bad ones.
    all(vec![
        ("neighbour", Box::pin(async { drop(odd.made("neighbour", json!({})).await) })),
        ("elsewhere", Box::pin(async { drop(even.made("gpu", json!({})).await) })),
    ])
    .await;
    assert!(odd.writes("bad").await.is_empty() && odd.writes("nothing").await.is_empty());
    assert_eq!(odd.writes("later-bad").await, ["PUT 201"]);

    // Corrected, they go on as if nothing had been; one that can't be read can still be deleted.
    odd.cluster("bad", json!({}));
    odd.ready("bad").await;
    odd.edit("later-bad", json!({"scale": {"maxNodes": 4}}));
    odd.ready("later-bad").await;
    assert_eq!(odd.writes("bad").await, ["PUT 201"]);
    assert_eq!(odd.writes("later-bad").await, ["PUT 201"]);
    odd.delete("amlcc", "nothing");
    odd.gone("nothing").await;
    // A status that can't be read is told too, and nothing is done on a guess.
    odd.tells("good", "Undecodable", &["a text"]).await;
    let patch = json!({"status": {"operation": null}}).to_string();
    odd.team.kubectl(&["patch", "amlcc", "good", "--subresource=status", "--type=merge", "-p", &patch]).unwrap();
    odd.edit("good", json!({"scale": {"maxNodes": 3}}));
    let after = odd.ready("good").await;
    assert_eq!(after["status"]["azure"]["createdOn"], good["status"]["azure"]["createdOn"]);
    assert_eq!(odd.writes("good").await, ["PUT 201", "PATCH 200"]);
}

#[tokio::test]
async fn a_workspace_that_can_not_be_decoded_stops_only_its_own() {
    let days = Days::start(&["odd", "even"], Weather::default()).await;
    let (odd, even) = (days.open("odd"), days.open("even"));
    odd.made("gpu", json!({})).await;
    let workspaces = loosen(&days.env, "workspaces");
    let began = std::time::Instant::now();
    while odd.team.edit_any("amlws", WORKSPACE, json!({"spec": {"observeInterval": 5}})).is_err() {
        assert!(began.elapsed() < azureml_tests::team::LONG);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    set(&days.env, "workspaces", workspaces);
    odd.told("Workspace", WORKSPACE, "Undecodable", &["isn't a valid Workspace", "correct it and apply it again"])
        .await;
    odd.tells("gpu", "WorkspaceNotReady", &["Workspace odd/research can't be read"]).await;
    even.made("gpu", json!({})).await;
    odd.team.edit_any("amlws", WORKSPACE, json!({"spec": {"observeInterval": "1s"}})).unwrap();
    odd.workspace_ready().await;
    odd.ready("gpu").await;
    assert_eq!(odd.writes("gpu").await, ["PUT 201"]);
}
