//! Who may refer to a Workspace: its own namespace, all of them, or those with the right labels.

use azureml_tests::sim::arm::compute_id;
use azureml_tests::team::{Team, brisk, condition};
use azureml_tests::{Environment, Result, Until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_lets_in_whom_it_names() {
    let env = Environment::start(brisk()).await.unwrap_or_else(|error| panic!("{error}"));
    let cases =
        async { tokio::try_join!(same_and_all(&env), selected_by_labels(&env), an_unclear_rule_is_refused(&env)) };
    cases.await.unwrap_or_else(|error| panic!("{error}"));
}

/// A cluster of a namespace that refers to another's Workspace.
fn refer(from: &Team<'_>, to: &Team<'_>, cluster: &str) -> Result<()> {
    from.cluster(cluster, json!({"workspaceRef": {"namespace": to.namespace}}))
}

fn allow(team: &Team<'_>, rule: Value) -> Result<()> {
    team.edit_any("amlws", "research", json!({"spec": {"allowedNamespaces": rule}}))
}

fn label(env: &Environment, namespace: &str, label: &str) -> Result<()> {
    env.plane.kubectl(&["label", "namespace", namespace, "--overwrite", label]).map(drop)
}

fn refused() -> Until {
    Until::reason("Ready", "WorkspaceNotAllowed")
}

async fn same_and_all(env: &Environment) -> Result<()> {
    let (host, guest) = (Team::new(env, "host")?, Team::without_workspace(env, "guest")?);
    host.wait_any("Workspace", "research", Until::ready()).await?;
    refer(&guest, &host, "visitor")?;
    let outside = guest.wait("visitor", refused()).await?;
    let message = condition(&outside, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("Workspace host/research") && message.contains("namespace guest"), "{message}");
    assert!(message.contains("allowedNamespaces"), "{message}");
    assert_eq!(condition(&outside, "Reconciling")["status"], "True", "it heals by itself: {}", outside["status"]);
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("visitor").await?, [""; 0]);

    allow(&host, json!({"from": "All"}))?;
    guest.wait("visitor", Until::ready()).await?;
    guest.wait("visitor", Until::condition("InSync", "True")).await?;

    // Leave that is withdrawn stops writes, not deletion.
    allow(&host, json!({"from": "Same"}))?;
    guest.wait("visitor", refused()).await?;
    guest.edit("visitor", json!({"scale": {"maxNodes": 6}}))?;
    guest.wait("visitor", refused()).await?;
    env.sim.wait_for_a_few_lists().await?;
    assert_eq!(env.sim.verbs_to("visitor").await?, ["PUT"]);
    guest.delete("amlcc", "visitor")?;
    guest.wait("visitor", Until::gone()).await?;
    assert_eq!(env.sim.verbs_to("visitor").await?, ["PUT", "DELETE"]);
    let gone = env.sim.arm().await?.get(&compute_id("visitor")).await?.body;
    assert_eq!(gone["error"]["code"], "ResourceNotFound");
    Ok(())
}

async fn selected_by_labels(env: &Environment) -> Result<()> {
    let (host, guest) = (Team::new(env, "labelled")?, Team::without_workspace(env, "member")?);
    allow(&host, json!({"from": "Selector", "selector": {"matchLabels": {"team": "ml"}}}))?;
    host.wait_any("Workspace", "research", Until::ready()).await?;
    refer(&guest, &host, "member")?;
    guest.wait("member", refused()).await?;
    label(env, "member", "team=web")?;
    env.sim.wait_for_a_few_lists().await?;
    guest.wait("member", refused()).await?;
    assert_eq!(env.sim.verbs_to("member").await?, [""; 0]);
    label(env, "member", "team=ml")?;
    guest.wait("member", Until::ready()).await?;
    label(env, "member", "team-")?;
    guest.wait("member", refused()).await?;
    // Its own namespace needs no label.
    host.ready_cluster("own-one", json!({})).await?;
    // Expressions work as Kubernetes has them.
    let expressions = json!([{"key": "team", "operator": "DoesNotExist"}]);
    allow(&host, json!({"from": "Selector", "selector": {"matchLabels": null, "matchExpressions": expressions}}))?;
    guest.wait("member", Until::ready()).await?;
    guest.wait("member", Until::condition("InSync", "True")).await?;
    assert_eq!(env.sim.verbs_to("member").await?, ["PUT"]);
    Ok(())
}

async fn an_unclear_rule_is_refused(env: &Environment) -> Result<()> {
    let team = Team::new(env, "unclear")?;
    for rule in [json!({"from": "Selector"}), json!({"from": "All", "selector": {"matchLabels": {"a": "b"}}})] {
        let text = allow(&team, rule.clone()).unwrap_err().to_string();
        assert!(text.contains("spec.allowedNamespaces.selector goes with from: Selector"), "{rule}: {text}");
    }
    Ok(())
}
