//! Resources in a failed state: made anew where they never worked, mended in place where they did.

use azureml_api::common::{AdoptionPolicy, DriftPolicy};
use azureml_api::condition::Reason;
use azureml_api::fields::set;
use azureml_api::status::Origin;
use azureml_api::status::{Phase, Verb};
use azureml_planner::input::OperationDetail;
use azureml_planner::{Action, Step};
use serde_json::{Value, json};

use crate::support::{Case, arm_id, body, brief, failed, failure, in_sync, live, message, present, write};

/// Ours, failed before it ever worked.
fn stillborn() -> Case {
    in_sync().with(|case| {
        case.observed = failed(live());
        case.applied = None;
        let azure = case.azure.as_mut().unwrap();
        azure.provisioned_on = None;
        azure.origin = Some(Origin::Created);
    })
}

/// Ours, failed after it had worked.
fn broken() -> Case {
    in_sync().with(|case| case.observed = failed(live()))
}

#[test]
fn failed_resources() {
    let anew = || (Action::Replace, vec!["delete", "create"], None);
    let refused = |reason| (Action::Refuse, vec!["refuse"], Some(reason));
    let sizes = |case: Case| case.with(|case| case.facts.vm_sizes = Some(vec!["Standard_NC6".into()]));
    let rows = [
        ("never worked", stillborn(), anew()),
        (
            "nothing remembered: it may have worked, so it isn't deleted",
            stillborn().with(|c| c.azure = None),
            (Action::Update, vec!["put"], None),
        ),
        (
            "adopted: it may have worked for its former owner, so it isn't deleted",
            stillborn().with(|c| c.azure.as_mut().unwrap().origin = None),
            (Action::Update, vec!["put"], None),
        ),
        (
            "nobody saw it work, but it has nodes",
            stillborn().drift("properties.properties.currentNodeCount", json!(2)),
            (Action::Update, vec!["put"], None),
        ),
        ("never worked, another size is wanted now", stillborn().edit("spec.vmSize", json!("Standard_NC6")), anew()),
        (
            "never worked, the failed creation is the write under way",
            stillborn().with(|c| c.operation = Some(write(Verb::Create, Phase::Running, 10, &[]))),
            anew(),
        ),
        ("never worked, size still wrong", sizes(stillborn()), refused(Reason::VmSizeNotAvailable)),
        ("never worked, size put right", sizes(stillborn()).edit("spec.vmSize", json!("standard_nc6")), anew()),
        (
            "never worked, name that could not be created again",
            stillborn().with(|c| c.id = arm_id("gpu-4")),
            refused(Reason::InvalidName),
        ),
        (
            "never worked, protected",
            stillborn().with(|c| c.policies.deletion_protection = true),
            refused(Reason::DeletionProtected),
        ),
        (
            "not ours for certain: adopted, not deleted",
            stillborn().with(|c| {
                c.azure = None;
                set(c.live_mut(), "tags", Value::Null);
                c.policies.adoption_policy = AdoptionPolicy::Adopt;
            }),
            (Action::Update, vec!["put"], None),
        ),
        ("worked before", broken(), (Action::Update, vec!["put"], None)),
        (
            "worked before, scale changes",
            broken().edit("spec.scale.maxNodes", json!(9)),
            (Action::Update, vec!["patch"], None),
        ),
        (
            "worked before, size changes",
            broken().edit("spec.vmSize", json!("Standard_NC6")),
            refused(Reason::ReplacementRequired),
        ),
        (
            "worked before, its secrets unknown",
            broken().drift("properties.properties.remoteLoginPortPublicAccess", json!("Enabled")),
            refused(Reason::SecretWouldBeLost),
        ),
        (
            "worked before, drift under Report",
            broken().drift("properties.properties.scaleSettings.maxNodeCount", json!(1)).with(|c| {
                c.policies.drift_policy = DriftPolicy::Report;
            }),
            (Action::Report, vec![], None),
        ),
    ];
    for (name, case, expected) in rows {
        let plan = case.plan();
        assert_eq!(brief(&plan), expected, "{name}: {plan:?}");
        if plan.action != Action::Refuse {
            assert_eq!(plan.failure, Some(failure()), "{name}");
        }
    }
}

#[test]
fn what_is_made_anew_is_the_manifest_of_now() {
    let plan = stillborn().edit("spec.vmSize", json!("Standard_NC6")).plan();
    assert_eq!(body(&plan).pointer("/properties/properties/vmSize"), Some(&json!("Standard_NC6")));
    assert!(matches!(plan.steps.first(), Some(Step::Delete)));
    assert!(plan.side_effects.iter().any(|text| text.contains("is deleted first")));
}

#[test]
fn protection_says_why_it_is_in_the_way() {
    let plan = stillborn().with(|case| case.policies.deletion_protection = true).plan();
    assert!(message(&plan).contains("which deletionProtection forbids"), "{}", message(&plan));
}

/// A write can fail while the resource itself works: an adopted cluster that the operator has not yet noted as
/// provisioned is not deleted for that.
#[test]
fn a_failed_write_never_deletes_a_resource_that_works() {
    for verb in [Verb::Create, Verb::Put, Verb::Patch] {
        let case = stillborn().edit("spec.scale.maxNodes", json!(9)).with(|case| {
            case.observed = present(live());
            case.operation = Some(write(verb, Phase::Running, 100, &["spec.scale.maxNodes"]));
            case.detail = Some(OperationDetail::Failed(failure()));
        });
        let plan = case.plan();
        assert_eq!(brief(&plan), (Action::Update, vec!["patch"], None), "{verb:?}");
        assert_eq!(plan.failure, Some(failure()));
    }
}

#[test]
fn a_creation_that_failed_without_a_trace_is_tried_again() {
    let case = crate::support::new_object().with(|case| {
        case.operation = Some(write(Verb::Create, Phase::Running, 100, &[]));
        case.detail = Some(OperationDetail::Failed(failure()));
    });
    let plan = case.plan();
    assert_eq!(brief(&plan), (Action::Create, vec!["create"], None));
    assert_eq!(plan.failure, Some(failure()), "the operator waits before it tries again");
}
