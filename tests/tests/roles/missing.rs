//! What is told where one action is missing, and that it heals by itself once it is granted.

use azureml_tests::sim::demo;
use azureml_tests::team::{WORKSPACE, condition};
use futures::future::join_all;
use serde_json::json;

use super::stage::{Case, Role, SIZE, Stage, shipped};

const ML: &str = "Microsoft.MachineLearningServices";
const GRANT: &str = "Grant the principal a role with the action";

/// Each action of each shipped role, and the two of what a cluster links to.
pub async fn each_action_that_is_missing_is_told_by_name(stage: &Stage) {
    let rows = [
        (Role::Workspace, "workspaces/read", "no-workspace"),
        (Role::Workspace, "workspaces/computes/read", "no-list"),
        (Role::Workspace, "workspaces/computes/write", "no-write"),
        (Role::Workspace, "workspaces/computes/delete", "no-delete"),
        (Role::Subscription, "locations/vmsizes/read", "no-sizes"),
        (Role::Subscription, "locations/computeoperationsstatus/read", "no-reason"),
        (Role::Subscription, "workspaces/read", "no-proof"),
        (Role::Subscription, "Microsoft.Resources/subscriptions/read", "no-subscription"),
    ];
    for role in Role::ALL {
        let tried = rows.iter().filter(|(of, ..)| *of == role).map(|(_, action, _)| whole(action));
        assert_eq!(tried.collect::<Vec<_>>(), shipped(role).actions, "each action of the role {role:?} has its row");
    }
    let linked = ["no-subnet", "no-identity"];
    let cases = rows.map(|(role, action, case)| one(stage.case(case), role, whole(action)));
    tokio::join!(join_all(cases), join_all(linked.map(|case| link(stage.case(case)))));
    azureml_promises::held("roles::each_action_that_is_missing_is_told_by_name", rows.len() + linked.len());
}

fn whole(action: &str) -> String {
    if action.starts_with("Microsoft.") { action.to_string() } else { format!("{ML}/{action}") }
}

async fn one(case: Case<'_>, role: Role, action: String) {
    let lacking = (role, action.as_str());
    match case.name() {
        "no-workspace" => no_workspace(&case, lacking).await,
        "no-list" => no_list(&case, lacking).await,
        "no-write" => no_write(&case, lacking).await,
        "no-delete" => no_delete(&case, lacking).await,
        "no-sizes" => no_sizes(&case, lacking).await,
        "no-reason" => no_reason(&case, lacking).await,
        "no-proof" => no_proof(&case, lacking).await,
        "no-subscription" => no_subscription(&case, lacking).await,
        other => panic!("no case {other}"),
    }
}

/// The workspace can't be read. The other role grants that, too, for when the workspace is gone: without both it is missed.
async fn no_workspace(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({})).await;
    case.without(&[lacking, (Role::Subscription, lacking.1)]).await;
    // A connection of its own, that has seen nothing.
    case.team.edit_any("amlws", WORKSPACE, json!({"spec": {"observeInterval": "2s"}})).unwrap();
    let words = [lacking.1, &case.workspace_id(), GRANT];
    case.workspace_tells("Ready", "Forbidden", &words).await;
    case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &words).await;
    case.grant().await;
    case.nothing_is_limited().await;
    case.ready("gpu", json!({})).await;
}

/// The list can't be read: nothing is known, and nothing is written.
async fn no_list(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.team.cluster("gpu", json!({})).unwrap();
    let words = [lacking.1, &case.workspace_id(), GRANT];
    case.workspace_tells("Ready", "Forbidden", &words).await;
    case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &words).await;
    case.grant().await;
    case.ready("gpu", json!({})).await;
}

async fn no_write(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.team.cluster("gpu", json!({})).unwrap();
    let object = case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &[lacking.1, &case.id("gpu"), GRANT]).await;
    let reconciling = condition(&object, "Reconciling");
    assert_eq!((&reconciling["status"], &reconciling["reason"]), (&json!("True"), &json!("Forbidden")));
    case.grant().await;
    case.ready("gpu", json!({})).await;
}

async fn no_delete(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({})).await;
    case.team.delete("amlcc", "gpu").unwrap();
    case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &[lacking.1, &case.id("gpu"), GRANT]).await;
    case.grant().await;
    case.gone("gpu").await;
}

/// Sizes aren't known: clusters are made all the same, and a wrong size is told by Azure, later.
async fn no_sizes(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({"vmSize": SIZE})).await;
    let subscription = format!("/subscriptions/{}", demo::SUBSCRIPTION);
    let words = ["VM size", "after the cluster is made", lacking.1, &subscription, "grant it a role that has it"];
    case.workspace_tells("Limited", "Forbidden", &words).await;
    case.team.wait_told(WORKSPACE, "Limited", "VM size").await.unwrap();
    case.team.cluster("wrong", json!({"vmSize": "Standard_ND96asr_v4"})).unwrap();
    case.tells("ComputeCluster", "wrong", "Ready", "VmSizeNotAvailable", &["not a supported VM size"]).await;
}

/// What [`no_sizes`] ended with stands over a restart, without a write, until the right is there.
pub async fn a_limit_outlives_a_restart(stage: &mut Stage) {
    let before = stage.case("no-sizes").workspace_tells("Limited", "Forbidden", &["VM size"]).await;
    stage.restart_operator().await;
    let case = stage.case("no-sizes");
    case.lists(4).await;
    let after = case.workspace_tells("Limited", "Forbidden", &["VM size"]).await;
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"], "{after:#}");
    case.grant().await;
    case.nothing_is_limited().await;
}

/// Why a deletion failed isn't known: that is said, with what would tell it.
async fn no_reason(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({})).await;
    case.fault("DELETE", "gpu", -1).await;
    case.team.delete("amlcc", "gpu").unwrap();
    let subscription = format!("/subscriptions/{}", demo::SUBSCRIPTION);
    let words = ["tried again by itself", "The reason can't be read", lacking.1, &subscription, GRANT];
    case.tells("ComputeCluster", "gpu", "Ready", "OperationFailed", &words).await;
    let words = ["why an operation failed", lacking.1, &subscription, "grant it a role that has it"];
    case.workspace_tells("Limited", "Forbidden", &words).await;
    case.grant().await;
    case.nothing_is_limited().await;
    case.tells("ComputeCluster", "gpu", "Ready", "ProvisioningFailed", &["A disk of ours is full"]).await;
    case.end_faults().await;
    case.gone("gpu").await;
}

/// The workspace is gone, and its role with it: without the right to look for it nobody can say that it is.
async fn no_proof(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({})).await;
    case.remove_workspace().await;
    case.team.delete("amlcc", "gpu").unwrap();
    let words = [lacking.1, &case.workspace_id(), GRANT];
    case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &words).await;
    case.workspace_tells("Ready", "Forbidden", &words).await;
    case.grant().await;
    case.workspace_tells("Ready", "WorkspaceMissingInAzure", &["was not found"]).await;
    case.gone("gpu").await;
}

/// The workspace is not found, and whether that is so because of the subscription can't be known.
async fn no_subscription(case: &Case<'_>, lacking: (Role, &str)) {
    case.without(&[lacking]).await;
    case.open();
    case.ready("gpu", json!({})).await;
    case.remove_workspace().await;
    case.team.delete("amlcc", "gpu").unwrap();
    let subscription = format!("/subscriptions/{}", demo::SUBSCRIPTION);
    case.tells("ComputeCluster", "gpu", "Ready", "Forbidden", &[lacking.1, &subscription, GRANT]).await;
    case.grant().await;
    case.gone("gpu").await;
}

/// What a cluster links to needs a role there: neither of the shipped ones grants it.
async fn link(case: Case<'_>) {
    let group = format!("/subscriptions/{}/resourceGroups/{}", demo::SUBSCRIPTION, demo::RESOURCE_GROUP);
    let (spec, action, at, role) = match case.name() {
        "no-subnet" => {
            let subnet = format!("{group}/providers/Microsoft.Network/virtualNetworks/net/subnets/nodes");
            let action = "Microsoft.Network/virtualNetworks/subnets/join/action";
            (json!({"subnetId": subnet}), action, subnet, "Network Contributor")
        }
        _ => {
            let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes");
            let action = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";
            let spec = json!({"identity": {"type": "UserAssigned", "userAssignedIds": [identity]}});
            (spec, action, identity, "Managed Identity Operator")
        }
    };
    case.open();
    case.team.cluster("gpu", spec.clone()).unwrap();
    let words = [action, at.as_str(), GRANT];
    case.tells("ComputeCluster", "gpu", "Ready", "AccessToLinkedResourceDenied", &words).await;
    case.assign(role, &at).await;
    case.ready("gpu", spec).await;
}
