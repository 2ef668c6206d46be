//! Deletion in any order ends with Azure as the policies say, and whatever waits says for whom.

use azureml_tests::environment::CREDENTIAL;
use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{LONG, Team, brisk, condition};
use azureml_tests::{Environment, Result, SimRequest, Until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn deletion_works_in_any_order() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = async {
        tokio::try_join!(
            a_namespace_goes_with_all_that_is_in_it(&env),
            a_workspace_waits_for_its_clusters(&env),
            a_secret_waits_for_its_workspace(&env),
            a_secret_that_is_no_longer_used_is_let_go(&env),
            a_secret_of_two_workspaces_waits_for_both(&env),
            a_creation_under_way_is_cut_short(&env),
            one_that_was_just_applied_leaves_nothing(&env),
            one_that_is_gone_already_needs_no_delete(&env),
            one_of_the_same_name_begins_anew(&env),
        )
    };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("deletion::deletion_works_in_any_order", 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_taken_when_asked_for() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    asked_for(&env).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn code(env: &Environment, cluster: &str) -> Result<Value> {
    Ok(env.sim.arm().await?.get(&compute_id(cluster)).await?.body["error"]["code"].clone())
}

/// Has Azure take a cluster's creation and never come to its end.
async fn never_ending(env: &Environment, cluster: &str) -> Result<()> {
    let matches = json!({"method": "PUT", "pathContains": format!("/computes/{cluster}")});
    env.sim.fault(json!({"match": matches, "fault": "operationNeverEnds"})).await.map(drop)
}

fn deleting() -> Until {
    Until::json("its deletion", |object| object["metadata"]["deletionTimestamp"].is_string())
}

async fn a_namespace_goes_with_all_that_is_in_it(env: &Environment) -> Result<()> {
    let team = Team::new(env, "ending")?;
    let names = ["end-a", "end-b", "end-c"];
    for name in names {
        team.cluster(name, json!({"scale": {"minNodes": 1}}))?;
    }
    for name in names {
        team.wait(name, Until::ready()).await?;
    }
    // One more whose creation is under way, and would be for ever.
    never_ending(env, "end-d").await?;
    team.cluster("end-d", json!({}))?;
    team.wait("end-d", Until::field("/status/operation/phase", "Running")).await?;
    env.plane.kubectl(&["delete", "namespace", "ending", "--wait=false"])?;
    env.wait_for("core/Namespace", "", "ending", Until::gone(), LONG).await?;
    for name in names {
        assert_eq!(code(env, name).await?, "ResourceNotFound", "{name}");
        assert_eq!(env.sim.verbs_to(name).await?, ["PUT", "DELETE"], "{name}");
    }
    assert_eq!(code(env, "end-d").await?, "ResourceNotFound");
    assert_eq!(env.sim.verbs_to("end-d").await?, ["PUT", "DELETE"]);
    let deletes = env.sim.requests().await?;
    let detached = |request: &&SimRequest| {
        request.method == "DELETE" && !request.query.contains("underlyingResourceAction=Delete")
    };
    assert_eq!(deletes.iter().find(detached), None, "Detach leaves a hidden cluster behind");
    Ok(())
}

async fn a_workspace_waits_for_its_clusters(env: &Environment) -> Result<()> {
    let team = Team::new(env, "inuse")?;
    team.ready_cluster("inuse", json!({})).await?;
    team.delete("amlws", "research")?;
    let waiting = team.wait_any("Workspace", "research", Until::reason("Ready", "InUse")).await?;
    let message = condition(&waiting, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("ComputeCluster inuse/inuse"), "{message}");
    assert_eq!(condition(&waiting, "Reconciling")["reason"], "InUse", "{}", waiting["status"]);
    team.wait_told("research", "InUse", "ComputeCluster inuse/inuse").await?;
    // Nothing new begins there.
    team.cluster("late", json!({}))?;
    let late = team.wait("late", Until::reason("Ready", "WorkspaceNotReady")).await?;
    assert!(condition(&late, "Ready")["message"].as_str().unwrap().contains("is being deleted"));
    // What lives there lives on until it is deleted itself.
    team.edit("inuse", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("inuse", Until::condition("InSync", "True")).await?;
    team.delete("amlcc", "inuse")?;
    team.wait("inuse", Until::gone()).await?;
    team.wait_any("Workspace", "research", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("inuse").await?, ["PUT", "PATCH", "DELETE"]);
    // One that was never created goes without its Workspace.
    team.delete("amlcc", "late")?;
    team.wait("late", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("late").await?, [""; 0]);
    Ok(())
}

async fn a_secret_waits_for_its_workspace(env: &Environment) -> Result<()> {
    let team = Team::new(env, "keyless")?;
    team.ready_cluster("keyless", json!({})).await?;
    team.delete("secret", CREDENTIAL)?;
    team.wait_any("core/Secret", CREDENTIAL, deleting()).await?;
    team.wait_told(CREDENTIAL, "InUse", "Workspace keyless/research").await?;
    // With it, everything goes on.
    team.edit("keyless", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("keyless", Until::condition("InSync", "True")).await?;
    team.delete("amlws", "research")?;
    team.wait_any("Workspace", "research", Until::reason("Ready", "InUse")).await?;
    team.wait_any("core/Secret", CREDENTIAL, deleting()).await?;
    team.delete("amlcc", "keyless")?;
    team.wait("keyless", Until::gone()).await?;
    team.wait_any("Workspace", "research", Until::gone()).await?;
    team.wait_any("core/Secret", CREDENTIAL, Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("keyless").await?, ["PUT", "PATCH", "DELETE"]);
    Ok(())
}

/// Copies the credential under another name.
fn another_secret(team: &Team<'_>, name: &str) -> Result<()> {
    let text = team.kubectl(&["get", "secret", CREDENTIAL, "-o", "json"])?;
    let secret: Value = serde_json::from_str(&text).unwrap();
    let metadata = json!({"name": name, "namespace": team.namespace});
    let copy = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret["data"]});
    team.env.apply(&copy.to_string())
}

async fn a_secret_that_is_no_longer_used_is_let_go(env: &Environment) -> Result<()> {
    let team = Team::new(env, "rotated")?;
    team.ready_cluster("rotated", json!({})).await?;
    another_secret(&team, "fresh")?;
    team.edit_any("amlws", "research", json!({"spec": {"credentialRef": {"name": "fresh"}}}))?;
    let held = Until::json("our finalizer", |object| object["metadata"]["finalizers"].is_array());
    team.wait_any("core/Secret", "fresh", held).await?;
    team.delete("secret", CREDENTIAL)?;
    team.wait_any("core/Secret", CREDENTIAL, Until::gone()).await?;
    team.edit("rotated", json!({"scale": {"maxNodes": 6}}))?;
    team.wait("rotated", Until::condition("InSync", "True")).await?;
    Ok(())
}

async fn a_secret_of_two_workspaces_waits_for_both(env: &Environment) -> Result<()> {
    let team = Team::new(env, "pair")?;
    team.workspace("second", json!({}))?;
    for name in ["research", "second"] {
        team.wait_any("Workspace", name, Until::ready()).await?;
    }
    team.delete("secret", CREDENTIAL)?;
    team.delete("amlws", "research")?;
    team.wait_any("Workspace", "research", Until::gone()).await?;
    // The other one looks at Azure with it still.
    env.sim.wait_for_a_few_lists().await?;
    team.wait_any("core/Secret", CREDENTIAL, deleting()).await?;
    team.wait_any("Workspace", "second", Until::ready()).await?;
    team.delete("amlws", "second")?;
    team.wait_any("core/Secret", CREDENTIAL, Until::gone()).await?;
    Ok(())
}

async fn a_creation_under_way_is_cut_short(env: &Environment) -> Result<()> {
    let team = Team::new(env, "short")?;
    never_ending(env, "short").await?;
    team.cluster("short", json!({}))?;
    team.wait("short", Until::field("/status/operation/phase", "Running")).await?;
    team.delete("amlcc", "short")?;
    team.wait("short", Until::gone()).await?;
    assert_eq!(code(env, "short").await?, "ResourceNotFound");
    assert_eq!(env.sim.verbs_to("short").await?, ["PUT", "DELETE"]);
    Ok(())
}

async fn one_that_was_just_applied_leaves_nothing(env: &Environment) -> Result<()> {
    let team = Team::new(env, "instant")?;
    for name in ["now-a", "now-b", "now-c"] {
        team.cluster(name, json!({}))?;
        team.delete("amlcc", name)?;
    }
    for name in ["now-a", "now-b", "now-c"] {
        team.wait(name, Until::gone()).await?;
        assert_eq!(code(env, name).await?, "ResourceNotFound", "{name}");
        let all = env.sim.verbs_to(name).await?;
        assert!(all.is_empty() || all == ["PUT", "DELETE"], "{name}: {all:?}");
    }
    Ok(())
}

async fn one_that_is_gone_already_needs_no_delete(env: &Environment) -> Result<()> {
    let team = Team::new(env, "gone")?;
    team.ready_cluster("gone", json!({"driftPolicy": "Report"})).await?;
    env.sim.delete_by_hand("gone").await?;
    team.delete("amlcc", "gone")?;
    team.wait("gone", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("gone").await?, ["PUT"]);
    Ok(())
}

async fn one_of_the_same_name_begins_anew(env: &Environment) -> Result<()> {
    let team = Team::new(env, "again")?;
    let first = team.ready_cluster("again", json!({})).await?;
    team.kubectl(&["delete", "amlcc", "again", "--timeout=150s"])?;
    let second = team.ready_cluster("again", json!({"vmSize": "Standard_D2s_v3"})).await?;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_ne!(second["status"]["azure"]["createdOn"], first["status"]["azure"]["createdOn"]);
    assert_eq!(env.sim.verbs_to("again").await?, ["PUT", "DELETE", "PUT"]);
    let has = env.sim.arm().await?.get(&compute_id("again")).await?.body;
    assert_eq!(has["tags"]["azureml.dev-uid"], second["metadata"]["uid"]);
    Ok(())
}

async fn asked_for(env: &Environment) -> Result<()> {
    let team = Team::without_workspace(env, "asked")?;
    team.workspace("research", json!({"observeInterval": "24h"}))?;
    team.ready_cluster("asked", json!({})).await?;
    let other = json!({"properties": {"properties": {"scaleSettings": {"maxNodeCount": 9}}}});
    env.sim.change_by_hand("asked", other).await?;
    let mark = env.sim.mark().await?;
    team.annotate("asked", "azureml.dev/reconcile-requested-at", "2026-11-23T10:00:00Z")?;
    let echoed = || Until::field("/status/lastHandledReconcileAt", "2026-11-23T10:00:00Z");
    team.wait("asked", echoed()).await?;
    team.wait_told("asked", "DriftCorrected", "spec.scale.maxNodes: 9 → 4").await?;
    team.wait("asked", Until::condition("InSync", "True")).await?;
    assert!(env.sim.since(mark).await?.iter().any(SimRequest::is_list));
    // Answered once, it is answered.
    let asked = team.get("asked")?;
    let mark = env.sim.mark().await?;
    team.edit_any(
        "amlws",
        "research",
        json!({"metadata": {"annotations":
        {"azureml.dev/reconcile-requested-at": "2026-11-23T10:00:00Z"}}}),
    )?;
    team.wait_any("Workspace", "research", echoed()).await?;
    assert!(env.sim.since(mark).await?.iter().any(SimRequest::is_list));
    assert_eq!(team.get("asked")?["status"], asked["status"]);
    Ok(())
}
