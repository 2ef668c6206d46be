//! Azure's side of least rights: the two role definitions that ship are what the operator needs, no less and no more; and
//! what each of their actions is missed by is told by name.

mod docs;
mod missing;
mod stage;

use std::collections::BTreeSet;

use azureml_tests::SimRequest;
use serde_json::json;

use stage::{Case, Role, SIZE, Stage, shipped};

/// Every case of both tests: each has a workspace, a principal and definitions of its own.
const CASES: &[&str] = &[
    "whole",
    "no-workspace",
    "no-list",
    "no-write",
    "no-delete",
    "no-sizes",
    "no-reason",
    "no-subscription",
    "no-proof",
    "no-subnet",
    "no-identity",
];

/// One environment: a principal with exactly the shipped roles does everything, beside others that each lack one action.
#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_roles_are_what_the_operator_needs() {
    let mut stage = Stage::start(CASES).await;
    let whole = async {
        everything(&stage.case("whole")).await;
    };
    tokio::join!(whole, missing::each_action_that_is_missing_is_told_by_name(&stage));
    missing::a_limit_outlives_a_restart(&mut stage).await;
}

/// Role and action.
type Right = (String, String);

/// What the operator can do in a workspace, with the roles as they ship, uses all that they grant and asks for nothing else.
async fn everything(case: &Case<'_>) {
    case.open();
    // Made, changed in both ways, and set right after somebody else's change.
    case.ready("gpu", json!({"tags": {"team": "a"}})).await;
    case.team.edit("gpu", json!({"scale": {"maxNodes": 3}})).unwrap();
    case.in_sync("gpu").await;
    case.team.edit("gpu", json!({"tags": {"team": "b"}})).unwrap();
    case.in_sync("gpu").await;
    case.sim().post(&format!("compute{}", case.id("gpu")), json!({"tags": {"team": "c"}})).await.unwrap();
    case.team.wait_told("gpu", "DriftCorrected", "team").await.unwrap();
    case.in_sync("gpu").await;
    // Taken over from who made it by hand.
    let theirs = json!({"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": {
        "vmSize": SIZE, "vmPriority": "Dedicated", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4},
    }}});
    let made = case.sim().arm().await.unwrap().put(&case.id("theirs"), theirs).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    case.ready("theirs", json!({"adoptionPolicy": "Adopt", "tags": {"team": "a"}})).await;
    // A creation that fails is made anew.
    case.fault("PUT", "broken", 1).await;
    case.ready("broken", json!({})).await;
    // A size that the region lacks is refused before it is asked for.
    case.team.cluster("elsewhere", json!({"vmSize": "Standard_ND96asr_v4"})).unwrap();
    case.tells("ComputeCluster", "elsewhere", "Ready", "VmSizeNotAvailable", &["doesn't offer"]).await;
    // A deletion that fails: why is told at the operation's own address.
    case.fault("DELETE", "theirs", 1).await;
    case.team.delete("amlcc", "theirs").unwrap();
    case.team.wait_told("theirs", "ProvisioningFailed", "A disk of ours is full").await.unwrap();
    case.gone("theirs").await;
    case.team.delete("amlcc", "gpu").unwrap();
    case.gone("gpu").await;

    let before = case.asked().await;
    let refused: Vec<&SimRequest> =
        before.iter().filter(|request| request.needs.iter().any(|need| need.roles.is_empty())).collect();
    assert!(refused.is_empty(), "needed and not granted: {refused:#?}");
    // The workspace goes, and the role that was given there with it. That the cluster is gone, too, is proven.
    case.remove_workspace().await;
    case.team.delete("amlcc", "broken").unwrap();
    case.gone("broken").await;

    let all = case.asked().await;
    let computes = "Microsoft.MachineLearningServices/workspaces/computes/read";
    for need in all[before.len()..].iter().flat_map(|request| &request.needs) {
        assert!(!need.roles.is_empty() || need.action == computes, "needed and not granted: {need:?}");
    }
    let used: BTreeSet<Right> = all
        .iter()
        .flat_map(|request| &request.needs)
        .flat_map(|need| need.roles.iter().map(|role| (role.clone(), need.action.clone())))
        .collect();
    let granted: BTreeSet<Right> = Role::ALL
        .into_iter()
        .flat_map(|role| shipped(role).actions.into_iter().map(move |action| (case.name_of(role), action)))
        .collect();
    assert_eq!(used, granted, "used and granted aren't the same");
    azureml_promises::held("roles::the_shipped_roles_are_what_the_operator_needs", granted.len());
}
