//! The Workspace that isn't there, isn't willing, or isn't the one that it was.

use azureml_tests::Until;
use azureml_tests::sim::demo;
use azureml_tests::team::{LONG, WORKSPACE, condition};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Case, Days, SECRET, Weather, all, says};

const CASES: &[&str] =
    &["no-object", "owner", "guest", "not-in-azure", "made-anew", "no-group", "wrong-subscription", "moved"];

#[tokio::test]
async fn clusters_wait_for_their_workspace_and_go_on_when_it_is_back() {
    let days = Days::start(CASES, Weather::default()).await;
    all(vec![
        ("no-object", Box::pin(no_object(days.case("no-object")))),
        ("another-namespace", Box::pin(another_namespace(days.open("owner"), days.case("guest")))),
        ("not-in-azure", Box::pin(not_in_azure(days.open("not-in-azure")))),
        ("made-anew", Box::pin(made_anew(days.open("made-anew")))),
        ("no-group", Box::pin(no_group(days.open("no-group")))),
        ("wrong-subscription", Box::pin(wrong_subscription(days.case("wrong-subscription")))),
        ("moved", Box::pin(moved(days.open("moved")))),
    ])
    .await;
    azureml_promises::held("bad_days::clusters_wait_for_their_workspace_and_go_on_when_it_is_back", 7);
}

async fn no_object(case: Case<'_>) {
    case.namespace();
    case.credential(SECRET);
    case.cluster("gpu", json!({}));
    let words = ["Workspace no-object/research doesn't exist", "create it"];
    let object = case.tells("gpu", "WorkspaceNotFound", &words).await;
    assert_eq!(condition(&object, "Reconciling")["status"], "True", "{object:#}");
    case.workspace(json!({}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

/// `guest` has a cluster in `owner`'s workspace: refused, let in, shut out again, let in by a label, and deleted while
/// it is shut out.
async fn another_namespace(owner: Case<'_>, guest: Case<'_>) {
    guest.namespace();
    let reference = json!({"workspaceRef": {"name": WORKSPACE, "namespace": "owner"}});
    guest.cluster("gpu", reference.clone());
    let words = ["Workspace owner/research", "doesn't let namespace guest", "allowedNamespaces"];
    guest.tells("gpu", "WorkspaceNotAllowed", &words).await;
    owner.lists(2).await;
    assert!(owner.writes("gpu").await.is_empty());
    owner.workspace(json!({"allowedNamespaces": {"from": "All"}}));
    guest.ready("gpu").await;
    assert_eq!(owner.writes("gpu").await, ["PUT 201"]);

    let by_label = json!({"from": "Selector", "selector": {"matchLabels": {"ml": "yes"}}});
    owner.workspace(json!({"allowedNamespaces": by_label}));
    guest.tells("gpu", "WorkspaceNotAllowed", &["doesn't let namespace guest"]).await;
    guest.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    guest.tells("gpu", "WorkspaceNotAllowed", &["doesn't let namespace guest"]).await;
    owner.lists(2).await;
    assert_eq!(owner.writes("gpu").await, ["PUT 201"]);
    guest.env().plane.kubectl(&["label", "namespace", "guest", "ml=yes"]).unwrap();
    guest.ready("gpu").await;
    assert_eq!(owner.writes("gpu").await, ["PUT 201", "PATCH 200"]);

    guest.env().plane.kubectl(&["label", "namespace", "guest", "ml-"]).unwrap();
    guest.tells("gpu", "WorkspaceNotAllowed", &["doesn't let namespace guest"]).await;
    guest.delete("amlcc", "gpu");
    guest.gone("gpu").await;
    assert_eq!(owner.writes("gpu").await, ["PUT 201", "PATCH 200", "DELETE 202"]);
}

/// Makes a workspace in Azure, as a person would, and waits until it is there.
async fn make_workspace(case: &Case<'_>, group: &str, name: &str) {
    let arm = case.env().sim.arm().await.unwrap();
    let subscription = demo::SUBSCRIPTION;
    let parts = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers");
    let body = json!({"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {
        "storageAccount": format!("{parts}/Microsoft.Storage/storageAccounts/store"),
        "keyVault": format!("{parts}/Microsoft.KeyVault/vaults/vault"),
        "applicationInsights": format!("{parts}/Microsoft.Insights/components/insights"),
    }});
    let id = format!("{parts}/Microsoft.MachineLearningServices/workspaces/{name}");
    let answer = arm.put(&id, body).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let began = std::time::Instant::now();
    while arm.get(&id).await.unwrap().status != 200 {
        assert!(began.elapsed() < LONG, "the workspace {name} is not made");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Takes something away in Azure at once, as an administrator's script would.
async fn remove(case: &Case<'_>, id: &str) {
    case.env().sim.call(Method::DELETE, &format!("compute{id}"), None).await.unwrap();
}

async fn not_in_azure(case: Case<'_>) {
    remove(&case, &case.workspace_id()).await;
    case.until("Workspace", WORKSPACE, missing(&["not-in-azure-ws", "not found"])).await;
    case.cluster("gpu", json!({}));
    case.tells("gpu", "WorkspaceMissingInAzure", &["not-in-azure-ws"]).await;
    assert!(case.writes("gpu").await.is_empty());
    make_workspace(&case, demo::RESOURCE_GROUP, &case.azure).await;
    case.workspace_ready().await;
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

fn missing(words: &[&str]) -> Until {
    super::support::tells("Ready", "WorkspaceMissingInAzure", words)
}

/// Deleted by hand and made again: another workspace of the same name, whose clusters aren't the old ones.
async fn made_anew(case: Case<'_>) {
    let before = case.made("gpu", json!({"tags": {"team": "a"}})).await;
    case.made("leaving", json!({})).await;
    remove(&case, &case.workspace_id()).await;
    case.tells("gpu", "WorkspaceMissingInAzure", &["made-anew-ws"]).await;
    case.until("Workspace", WORKSPACE, missing(&["made-anew-ws"])).await;
    // What is proven gone with its workspace needs no write to go.
    case.delete("amlcc", "leaving");
    case.gone("leaving").await;
    make_workspace(&case, demo::RESOURCE_GROUP, &case.azure).await;
    let after = case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PUT 201"]);
    assert_eq!(case.writes("leaving").await, ["PUT 201"]);
    let of = |object: &Value, member: &str| object["status"]["azure"][member].clone();
    assert_ne!(of(&before, "workspaceId"), of(&after, "workspaceId"));
    assert_ne!(of(&before, "createdOn"), of(&after, "createdOn"));
    let (_, live) = case.azure_has(&case.id("gpu")).await;
    assert_eq!(live["tags"]["team"], "a");
}

async fn no_group(case: Case<'_>) {
    let group = format!("/subscriptions/{}/resourceGroups/lost-rg", demo::SUBSCRIPTION);
    let arm = case.env().sim.arm().await.unwrap();
    let make_group = || arm.put_group(&group);
    make_group().await;
    make_workspace(&case, "lost-rg", &case.azure).await;
    case.delete("amlws", WORKSPACE);
    case.until("Workspace", WORKSPACE, Until::gone()).await;
    case.workspace(json!({"resourceGroup": "lost-rg"}));
    case.made("gpu", json!({})).await;
    case.made("leaving", json!({})).await;

    let answer = arm.delete(&format!("{group}?api-version=2021-04-01")).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let words = ["lost-rg", "resource group"];
    case.until("Workspace", WORKSPACE, missing(&words)).await;
    case.tells("gpu", "WorkspaceMissingInAzure", &words).await;
    case.delete("amlcc", "leaving");
    case.gone("leaving").await;
    make_group().await;
    // Its name is still taken by the deleted one, which could be recovered.
    let buried = format!("{group}/providers/Microsoft.MachineLearningServices/workspaces/{}", case.azure);
    let purged = arm.delete(&format!("{buried}?forceToPurge=true")).await.unwrap();
    assert!(purged.status.is_success(), "{purged:?}");
    make_workspace(&case, "lost-rg", &case.azure).await;
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PUT 201"]);
    let leaving = case.writes("leaving").await;
    assert_eq!(leaving[0], "PUT 201");
    assert!(leaving[1..].iter().all(|write| write.starts_with("DELETE")), "{leaving:?}");
}

trait Group {
    async fn put_group(&self, id: &str);
}

impl Group for azureml_tests::sim::arm::Arm {
    async fn put_group(&self, id: &str) {
        let answer =
            self.put(&format!("{id}?api-version=2021-04-01"), json!({"location": "westeurope"})).await.unwrap();
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

async fn wrong_subscription(case: Case<'_>) {
    case.namespace();
    case.credential(SECRET);
    let wrong = "00000000-0000-0000-0000-00000000dead";
    case.workspace(json!({"subscriptionId": wrong}));
    case.told("Workspace", WORKSPACE, "SubscriptionNotFound", &[wrong, "Check the subscription id"]).await;
    case.cluster("gpu", json!({}));
    case.tells("gpu", "SubscriptionNotFound", &["Check the subscription id"]).await;
    // The field can't be changed: the Workspace is made anew, and the cluster goes on with it.
    case.delete("amlws", WORKSPACE);
    case.until("Workspace", WORKSPACE, Until::gone()).await;
    case.workspace(json!({}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

/// The Workspace object is made anew for another workspace: what was made in the first one isn't made in the second.
async fn moved(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    // As by a person who takes the finalizer off because the deletion waits for the cluster.
    case.delete("amlws", WORKSPACE);
    case.told("Workspace", WORKSPACE, "InUse", &["moved/gpu"]).await;
    case.team.edit_any("amlws", WORKSPACE, json!({"metadata": {"finalizers": null}})).unwrap();
    case.until("Workspace", WORKSPACE, Until::gone()).await;
    case.workspace(json!({"azureName": demo::WORKSPACE}));
    let words = [&*case.azure, demo::WORKSPACE, "point the Workspace back"];
    let object = case.tells("gpu", "WorkspaceChanged", &words).await;
    assert_eq!(condition(&object, "Stalled")["status"], "True", "{object:#}");
    // Its own deletion reaches the cluster where it lives.
    case.delete("amlcc", "gpu");
    case.gone("gpu").await;
    let about = |request: &azureml_tests::SimRequest| request.is_write() && request.path.contains(demo::WORKSPACE);
    let elsewhere = case.env().sim.requests().await.unwrap().into_iter().find(about);
    assert_eq!(elsewhere, None);
    assert_eq!(case.writes("gpu").await, ["PUT 201", "DELETE 202"]);
    case.until("Workspace", WORKSPACE, says("its status", |object| object["status"].is_object())).await;
}
