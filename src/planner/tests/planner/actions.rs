//! What a plan comes down to, from what Azure has, what is remembered and the policies.

use azureml_api::common::{DriftPolicy, ManagementPolicy};
use azureml_api::condition::Reason;
use azureml_api::fields::{remove, set};
use azureml_planner::{Action, Observed};
use serde_json::json;

use crate::support::{Case, arm_id, bodies, body, brief, changes, in_sync, message, new_object};

type Row = (&'static str, Case, Action, &'static [&'static str], Option<Reason>);

fn lost(observed: Observed, policy: DriftPolicy) -> Case {
    in_sync().with(|case| {
        case.observed = observed;
        case.policies.drift_policy = policy;
    })
}

fn state(case: Case, state: &str) -> Case {
    case.drift("properties.provisioningState", json!(state))
}

fn sizes(case: Case, sizes: &[&str]) -> Case {
    case.with(|case| case.facts.vm_sizes = Some(sizes.iter().map(|&size| size.to_owned()).collect()))
}

fn observe(case: Case) -> Case {
    case.with(|case| case.policies.management_policy = ManagementPolicy::Observe)
}

#[test]
fn what_is_there_and_what_is_wanted_decide() {
    let rows: Vec<Row> = vec![
        ("absent, new", new_object(), Action::Create, &["create"], None),
        (
            "unknown, new",
            new_object().with(|c| c.observed = Observed::Unknown),
            Action::Wait,
            &["wait"],
            Some(Reason::Pending),
        ),
        (
            "unknown though known before",
            in_sync().with(|c| c.observed = Observed::Unknown),
            Action::Wait,
            &["wait"],
            Some(Reason::Pending),
        ),
        ("absent, Observe", observe(new_object()), Action::Refuse, &["refuse"], Some(Reason::NotInAzure)),
        (
            "gone, Observe",
            observe(in_sync()).with(|c| c.observed = Observed::Gone),
            Action::Refuse,
            &["refuse"],
            Some(Reason::NotInAzure),
        ),
        ("in sync", in_sync(), Action::None, &[], None),
        ("in sync, Observe", observe(in_sync()), Action::None, &[], None),
        ("differs, Observe", observe(in_sync()).edit("spec.scale.maxNodes", json!(9)), Action::Report, &[], None),
        ("lost, Correct", lost(Observed::Absent, DriftPolicy::Correct), Action::Create, &["create"], None),
        ("proven lost, Correct", lost(Observed::Gone, DriftPolicy::Correct), Action::Create, &["create"], None),
        (
            "lost, Report",
            lost(Observed::Absent, DriftPolicy::Report),
            Action::Refuse,
            &["refuse"],
            Some(Reason::NotInAzure),
        ),
        (
            "never there, Report",
            new_object().with(|c| c.policies.drift_policy = DriftPolicy::Report),
            Action::Create,
            &["create"],
            None,
        ),
        ("Creating", state(in_sync(), "Creating"), Action::Wait, &["wait"], Some(Reason::WaitingForAzure)),
        ("Updating", state(in_sync(), "Updating"), Action::Wait, &["wait"], Some(Reason::WaitingForAzure)),
        ("Deleting", state(in_sync(), "Deleting"), Action::Wait, &["wait"], Some(Reason::WaitingForAzure)),
        (
            "Updating while the manifest changes",
            state(in_sync(), "Updating").edit("spec.scale.maxNodes", json!(9)),
            Action::Wait,
            &["wait"],
            Some(Reason::WaitingForAzure),
        ),
        ("Unknown is a state that has ended", state(in_sync(), "Unknown"), Action::None, &[], None),
        (
            "no state is Succeeded",
            in_sync().with(|c| remove(c.live_mut(), "properties.provisioningState")),
            Action::None,
            &[],
            None,
        ),
        ("size offered", sizes(new_object(), &["STANDARD_DS3_V2"]), Action::Create, &["create"], None),
        ("sizes not known", sizes(new_object(), &[]), Action::Create, &["create"], None),
        (
            "size not offered",
            sizes(new_object(), &["Standard_DS4_v2"]),
            Action::Refuse,
            &["refuse"],
            Some(Reason::VmSizeNotAvailable),
        ),
        ("size no longer offered, but there", sizes(in_sync(), &["Standard_DS4_v2"]), Action::None, &[], None),
        (
            "name that Azure allows no more",
            new_object().with(|c| c.id = arm_id("gpu-4")),
            Action::Refuse,
            &["refuse"],
            Some(Reason::InvalidName),
        ),
        (
            "name of 25 characters",
            new_object().with(|c| c.id = arm_id(&"a".repeat(25))),
            Action::Refuse,
            &["refuse"],
            Some(Reason::InvalidName),
        ),
        ("old name that is there", in_sync().with(|c| c.id = arm_id("gpu-4")), Action::None, &[], None),
    ];
    for (name, case, action, steps, reason) in rows {
        let plan = case.plan();
        assert_eq!(brief(&plan), (action, steps.to_vec(), reason), "{name}: {plan:?}");
    }
}

#[test]
fn a_creation_says_the_manifest_and_the_owner_and_nothing_else() {
    let case = new_object().edit("spec.tags", json!({"team": "vision"})).edit("spec.location", json!("northeurope"));
    assert_eq!(
        *body(&case.plan()),
        json!({
            "location": "westeurope",
            "tags": {"team": "vision", "azureml.dev-owner": "prod/ComputeCluster/ml/gpu", "azureml.dev-uid": "uid-1"},
            "properties": {
                "computeType": "AmlCompute",
                "computeLocation": "northeurope",
                "properties": {"vmSize": "Standard_DS3_v2", "scaleSettings": {"maxNodeCount": 4}}
            }
        })
    );
}

#[test]
fn losing_a_cluster_is_told_as_drift_with_its_cost() {
    let plan = lost(Observed::Absent, DriftPolicy::Correct).plan();
    assert!(plan.drift);
    assert!(plan.side_effects.iter().any(|text| text.contains("was deleted in Azure")), "{:?}", plan.side_effects);
    assert!(lost(Observed::Gone, DriftPolicy::Report).plan().drift);
    assert!(!new_object().plan().drift);
}

#[test]
fn one_that_never_worked_is_not_lost() {
    let case = in_sync().with(|case| {
        case.observed = Observed::Absent;
        case.policies.drift_policy = DriftPolicy::Report;
        case.azure.as_mut().unwrap().provisioned_on = None;
    });
    assert_eq!(case.plan().action, Action::Create);
}

#[test]
fn kept_nodes_are_named_with_their_cost() {
    let says = |case: &Case| case.plan().side_effects.iter().any(|text| text.contains("billed"));
    assert!(!says(&new_object()));
    assert!(!says(&new_object().edit("spec.scale.minNodes", json!(0))));
    assert!(says(&new_object().edit("spec.scale.minNodes", json!(2))));
    assert!(says(&in_sync().edit("spec.scale.minNodes", json!(2))));
    assert!(!says(&in_sync().edit("spec.scale.maxNodes", json!(2))));
}

#[test]
fn refusals_say_what_to_do() {
    let typo = sizes(new_object(), &["Standard_DS3_v2s", "Standard_DS13_v2", "Standard_D3_v2", "Standard_ND96"]);
    let rows = [
        (
            typo.clone(),
            "westeurope doesn't offer the VM size Standard_DS3_v2; the nearest that it offers: \
             Standard_D3_v2, Standard_DS13_v2, Standard_DS3_v2s",
        ),
        (
            typo.edit("spec.location", json!("eastus")).edit("spec.vmSize", json!("elephant")),
            "eastus doesn't offer the VM size elephant",
        ),
        (observe(new_object()), "managementPolicy is Observe"),
        (lost(Observed::Gone, DriftPolicy::Report), "driftPolicy Report"),
        (new_object().with(|c| c.id = arm_id("gpu-4")), "\"gpu-4\" for a new cluster: 3 to 24 letters"),
        (
            in_sync().edit("spec.vmSize", json!("Standard_NC6")),
            "Azure can't change spec.vmSize (Azure has STANDARD_DS3_V2, the manifest says Standard_NC6) in place, and \
             replacementPolicy is Never: set it back",
        ),
    ];
    for (case, words) in rows {
        let plan = case.plan();
        assert!(message(&plan).contains(words), "{:?} lacks {words:?}", message(&plan));
    }
}

#[test]
fn every_change_waits_while_one_needs_a_replacement() {
    let plan = in_sync().edit("spec.scale.maxNodes", json!(9)).edit("spec.vmSize", json!("Standard_NC6")).plan();
    assert_eq!(brief(&plan), (Action::Refuse, vec!["refuse"], Some(Reason::ReplacementRequired)));
    let paths: Vec<&str> = changes(&plan).iter().map(|(path, ..)| *path).collect();
    assert_eq!(paths, ["spec.vmSize", "spec.scale.maxNodes"]);
    let effects: Vec<String> = plan.status().unwrap().changes.into_iter().map(|change| change.effect).collect();
    assert_eq!(effects, ["Replace", "InPlace"]);
}

#[test]
fn replacement_is_refused_under_every_policy_in_this_release() {
    use azureml_api::common::ReplacementPolicy::{Immediately, Never, WhenIdle};
    for (policy, words) in [(Never, "is Never"), (WhenIdle, "WhenIdle yet"), (Immediately, "Immediately yet")] {
        let case = in_sync().edit("spec.vmSize", json!("Standard_NC6"));
        let plan = case.with(|case| case.policies.replacement_policy = policy).plan();
        assert_eq!(brief(&plan).2, Some(Reason::ReplacementRequired), "{policy:?}");
        assert!(message(&plan).contains(words), "{policy:?}: {}", message(&plan));
    }
}

#[test]
fn a_change_of_scale_and_tags_is_one_put() {
    let plan = in_sync().edit("spec.scale.maxNodes", json!(9)).edit("spec.tags", json!({"a": "b"})).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["put"], None));
    assert_eq!(body(&plan).pointer("/properties/properties/scaleSettings/maxNodeCount"), Some(&json!(9)));
    assert_eq!(body(&plan)["tags"]["a"], "b");
}

#[test]
fn an_observed_cluster_is_looked_at_whoever_owns_it() {
    let case = observe(new_object()).with(|case| {
        case.observed = in_sync().observed;
        set(case.live_mut(), "tags", json!({"azureml.dev-owner": "dev/ComputeCluster/ml/gpu"}));
    });
    let plan = case.plan();
    assert_eq!(plan.action, Action::None, "{plan:?}");
    assert!(bodies(&plan).is_empty());
}

#[test]
fn the_status_speaks_only_when_there_is_something_to_tell() {
    assert_eq!(in_sync().plan().status(), None);
    let created = new_object().plan().status().unwrap();
    assert_eq!((created.action.as_str(), created.steps), ("Create", vec!["create it (PUT)".to_owned()]));
    let patched = in_sync().edit("spec.scale.maxNodes", json!(9)).plan().status().unwrap();
    assert_eq!(patched.steps, ["update its scale in place (PATCH)"]);
    let change = &patched.changes[0];
    assert_eq!(
        (change.field.as_str(), change.from.as_str(), change.to.as_str(), change.effect.as_str()),
        ("spec.scale.maxNodes", "4", "9", "InPlace")
    );
}
