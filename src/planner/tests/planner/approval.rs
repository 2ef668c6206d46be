//! What holds a plan back, and the hash that lets it go.

use std::collections::BTreeSet;

use azureml_api::common::{AdoptionPolicy, ApplyPolicy, DriftPolicy, ManagementPolicy, ReplacementPolicy};
use azureml_api::status::Origin;
use azureml_planner::{Action, Hold, Lifecycle};
use serde_json::json;

use crate::support::{Case, arm_id, failed, in_sync, live, new_object};

fn approved_policy(case: Case) -> Case {
    case.with(|case| case.policies.apply_policy = ApplyPolicy::Approved)
}

fn approve(case: Case, hash: &str) -> Case {
    case.with(|case| case.approved = Some(hash.to_owned()))
}

fn scale() -> Case {
    in_sync().edit("spec.scale.maxNodes", json!(9))
}

fn stillborn() -> Case {
    in_sync().with(|case| {
        case.observed = failed(live());
        case.applied = None;
        let azure = case.azure.as_mut().unwrap();
        azure.provisioned_on = None;
        azure.origin = Some(Origin::Created);
    })
}

#[test]
fn writes_wait_for_their_hash() {
    let rows = [
        ("creation", new_object(), Action::Create),
        ("update", scale(), Action::Update),
        ("made anew", stillborn(), Action::Replace),
        ("deletion", in_sync().with(|case| case.lifecycle = Lifecycle::Deleted), Action::Delete),
    ];
    for (name, case, action) in rows {
        let automatic = case.plan();
        assert_eq!((automatic.action, automatic.hold), (action, None), "{name}");
        let case = approved_policy(case);
        let waiting = case.plan();
        assert_eq!((waiting.action, waiting.hold), (action, Some(Hold::AwaitingApproval)), "{name}");
        assert_eq!(waiting.hash, automatic.hash, "{name}: policies aren't part of what is approved");
        assert_eq!(approve(case.clone(), &waiting.hash).plan().hold, None, "{name}");
        for wrong in ["", "0000000000000000", &waiting.hash[1..], &waiting.hash.to_uppercase()] {
            if wrong != waiting.hash {
                assert_eq!(approve(case.clone(), wrong).plan().hold, Some(Hold::AwaitingApproval), "{name} {wrong}");
            }
        }
    }
}

#[test]
fn an_approval_is_for_one_plan() {
    let first = approved_policy(scale()).plan();
    let next = approve(approved_policy(in_sync().edit("spec.scale.maxNodes", json!(10))), &first.hash).plan();
    assert_eq!(next.hold, Some(Hold::AwaitingApproval));
}

#[test]
fn what_writes_nothing_needs_no_approval() {
    let rows = [
        in_sync(),
        in_sync().edit("spec.vmSize", json!("Standard_NC6")),
        scale().with(|case| case.policies.management_policy = ManagementPolicy::Observe),
        new_object().with(|case| case.lifecycle = Lifecycle::Deleted),
    ];
    for case in rows {
        let plan = approved_policy(case).plan();
        assert_eq!((plan.writes(), plan.hold), (false, None), "{plan:?}");
    }
}

#[test]
fn paused_objects_are_planned_and_held() {
    for case in [new_object(), scale(), in_sync(), in_sync().with(|case| case.lifecycle = Lifecycle::Deleted)] {
        let free = case.plan();
        let mut paused = case.with(|case| case.policies.paused = true).plan();
        assert_eq!(paused.hold, Some(Hold::Paused));
        paused.hold = None;
        assert_eq!(paused, free, "what is previewed is what happens");
    }
    let both = approved_policy(scale()).with(|case| case.policies.paused = true);
    assert_eq!(both.plan().hold, Some(Hold::Paused));
}

#[test]
fn different_plans_have_different_hashes() {
    let rows = [
        new_object(),
        new_object().with(|case| case.id = arm_id("other")),
        new_object().edit("spec.scale.maxNodes", json!(9)),
        new_object().edit("spec.description", json!("d")),
        new_object().edit("spec.ssh.sshPublicKey", json!("k")),
        in_sync(),
        scale(),
        in_sync().edit("spec.scale.maxNodes", json!(10)),
        scale().drift("properties.properties.scaleSettings.maxNodeCount", json!(5)),
        scale().edit("spec.tags", json!({"a": "b"})),
        stillborn(),
        stillborn().edit("spec.ssh.sshPublicKey", json!("k")),
        stillborn().edit("spec.ssh.adminPasswordSecretRef", json!({"name": "a", "key": "b"})),
        in_sync().with(|case| case.lifecycle = Lifecycle::Deleted),
        in_sync().edit("spec.vmSize", json!("Standard_NC6")),
    ];
    let hashes: BTreeSet<String> = rows.iter().map(|case| case.plan().hash).collect();
    assert_eq!(hashes.len(), rows.len());
    assert!(hashes.iter().all(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
}

/// A value can't be written so that one plan reads like another to the one who approves.
#[test]
fn values_can_not_imitate_other_changes() {
    let tags = |tags| in_sync().edit("spec.tags", tags).plan();
    let two = tags(json!({"a": "1", "b": "2"}));
    let one = tags(json!({"a": "1\nspec.tags[b] (none) -> 2"}));
    assert_eq!((two.changes.len(), one.changes.len()), (2, 1));
    assert_ne!(two.hash, one.hash);
    let arrow = tags(json!({"a] (none) -> (none)": "1"}));
    let plain = tags(json!({"a": "(none)] (none) -> 1"}));
    assert_ne!(arrow.hash, plain.hash);
}

#[test]
fn policies_and_time_are_not_part_of_the_hash() {
    let plain = new_object().plan().hash;
    let case = new_object().with(|case| {
        case.owner.generation = 7;
        case.set_manifest("spec.driftPolicy", json!("Report"));
        case.set_manifest("spec.paused", json!(true));
        case.set_manifest("spec.deletionProtection", json!(true));
        case.policies.adoption_policy = AdoptionPolicy::Adopt;
        case.policies.drift_policy = DriftPolicy::Report;
        case.policies.replacement_policy = ReplacementPolicy::WhenIdle;
        case.id = case.id.to_uppercase().replace("GPU", "gpu");
    });
    assert_eq!(case.plan().hash, plain);
}
