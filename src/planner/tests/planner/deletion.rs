//! The deletion of an object: when Azure is written, and when the finalizer may go.

use azureml_api::common::{DeletionPolicy, ManagementPolicy};
use azureml_api::condition::Reason;
use azureml_api::fields::set;
use azureml_api::status::{Phase, Verb};
use azureml_planner::input::OperationDetail;
use azureml_planner::{Action, Lifecycle, Observed};
use serde_json::{Value, json};

use crate::support::{Case, brief, failed, failure, in_sync, live, new_object, write};

fn deleted(case: Case) -> Case {
    case.with(|case| case.lifecycle = Lifecycle::Deleted)
}

fn writing(case: Case, verb: Verb, phase: Phase, age: i64) -> Case {
    case.with(|case| case.operation = Some(write(verb, phase, age, &[])))
}

fn seen(case: Case, observed: Observed) -> Case {
    case.with(|case| case.observed = observed)
}

fn tagged(case: Case, tags: Value) -> Case {
    case.drift("tags", tags)
}

fn state(case: Case, state: &str) -> Case {
    case.drift("properties.provisioningState", json!(state))
}

#[test]
fn policies_memory_and_azure_decide() {
    use Phase::{Intended, Running};
    use Verb::{Create, Delete, Patch};
    let release = || (Action::Release, vec![], None);
    let delete = || (Action::Delete, vec!["delete"], None);
    let prove = || (Action::Wait, vec!["prove gone"], None);
    let wait = |reason| (Action::Wait, vec!["wait"], Some(reason));
    let anew = || in_sync().with(|c| set(c.live_mut(), "properties.createdOn", json!("later")));
    let rows = [
        ("there and ours", in_sync(), delete()),
        ("failed and ours", seen(in_sync(), failed(live())), delete()),
        ("Orphan", in_sync().with(|c| c.policies.deletion_policy = DeletionPolicy::Orphan), release()),
        (
            "Orphan while it is created",
            writing(new_object(), Create, Running, 5).with(|c| c.policies.deletion_policy = DeletionPolicy::Orphan),
            release(),
        ),
        ("Observe", in_sync().with(|c| c.policies.management_policy = ManagementPolicy::Observe), release()),
        ("never created", new_object(), release()),
        ("never created, Azure has one of that name", seen(new_object(), in_sync().observed), release()),
        ("never created, Azure not seen", seen(new_object(), Observed::Unknown), release()),
        (
            "protected",
            in_sync().with(|c| c.policies.deletion_protection = true),
            (Action::Refuse, vec!["refuse"], Some(Reason::DeletionProtected)),
        ),
        (
            "protected while a write is under way",
            writing(in_sync(), Patch, Running, 5).with(|c| c.policies.deletion_protection = true),
            (Action::Refuse, vec!["refuse"], Some(Reason::DeletionProtected)),
        ),
        ("not seen", seen(in_sync(), Observed::Unknown), wait(Reason::Deleting)),
        ("absent isn't proven gone", seen(in_sync(), Observed::Absent), prove()),
        ("proven gone", seen(in_sync(), Observed::Gone), release()),
        ("another operator's now", tagged(in_sync(), json!({"azureml.dev-owner": "dev/a/b/c"})), release()),
        ("another object's now", tagged(in_sync(), json!({"azureml.dev-owner": "prod/a/b/c"})), release()),
        ("untagged, remembered", tagged(in_sync(), Value::Null), delete()),
        (
            "untagged, to be adopted but never written",
            tagged(in_sync(), Value::Null).with(|c| c.applied = None),
            release(),
        ),
        (
            "untagged, created by the write under way",
            tagged(writing(in_sync(), Create, Running, 5), Value::Null).with(|c| c.applied = None),
            delete(),
        ),
        ("untagged, made anew by somebody", tagged(anew(), Value::Null), release()),
        ("made anew under our tag", anew(), delete()),
        ("Azure is deleting it", state(in_sync(), "Deleting"), wait(Reason::Deleting)),
        ("Azure is updating it for somebody", state(in_sync(), "Updating"), delete()),
        ("intended, not seen yet", writing(new_object(), Create, Intended, 5), wait(Reason::Verifying)),
        ("intended, nothing came of it", writing(new_object(), Create, Intended, 60), prove()),
        ("created, not in the list yet", writing(new_object(), Create, Running, 5), wait(Reason::Creating)),
        (
            "created, never in the list",
            writing(new_object(), Create, Running, 60),
            (Action::Wait, vec!["detail"], Some(Reason::Creating)),
        ),
        (
            "created, gone before the window's end",
            seen(writing(new_object(), Create, Running, 5), Observed::Gone),
            wait(Reason::Creating),
        ),
        ("being created", state(writing(in_sync(), Create, Running, 5), "Creating"), delete()),
        ("being updated", state(writing(in_sync(), Patch, Running, 5), "Updating"), delete()),
        (
            "created by an intent, found under our tag",
            writing(in_sync(), Create, Intended, 5).with(|c| c.azure = None),
            delete(),
        ),
        (
            "created by an intent, found under another's tag",
            tagged(writing(in_sync(), Create, Intended, 5), json!({"azureml.dev-owner": "dev/a/b/c"})),
            release(),
        ),
        ("delete intended, young", writing(in_sync(), Delete, Intended, 59), wait(Reason::Verifying)),
        ("delete intended, old: again", writing(in_sync(), Delete, Intended, 60), delete()),
        ("delete under way", state(writing(in_sync(), Delete, Running, 900), "Deleting"), wait(Reason::Deleting)),
        ("delete, still listed", writing(in_sync(), Delete, Running, 59), wait(Reason::Deleting)),
        (
            "delete, long still listed",
            writing(in_sync(), Delete, Running, 60),
            (Action::Wait, vec!["detail"], Some(Reason::Deleting)),
        ),
        ("deleted, absent", seen(writing(in_sync(), Delete, Running, 5), Observed::Absent), prove()),
        ("deleted, proven gone", seen(writing(in_sync(), Delete, Running, 5), Observed::Gone), release()),
        (
            "delete failed: again",
            writing(in_sync(), Delete, Running, 60).with(|c| c.detail = Some(OperationDetail::Failed(failure()))),
            delete(),
        ),
    ];
    for (name, case, expected) in rows {
        let plan = deleted(case).plan();
        assert_eq!(brief(&plan), expected, "{name}: {plan:?}");
    }
}

#[test]
fn a_deletion_that_failed_says_so() {
    let case = writing(in_sync(), Verb::Delete, Phase::Running, 60);
    let plan = deleted(case.with(|c| c.detail = Some(OperationDetail::Failed(failure())))).plan();
    assert_eq!(plan.failure, Some(failure()));
}

#[test]
fn a_creation_under_way_is_not_let_go_before_its_tag_shows() {
    let case = writing(in_sync(), Verb::Create, Phase::Running, 5).with(|c| c.azure = None);
    let plan = deleted(state(tagged(case, Value::Null), "Creating")).plan();
    assert_eq!(brief(&plan), (Action::Wait, vec!["wait"], Some(Reason::Creating)));
}

#[test]
fn a_deletion_says_what_it_costs() {
    assert!(deleted(in_sync()).plan().side_effects.iter().any(|text| text.contains("jobs")));
}

#[test]
fn approved_take_over_does_not_delete_what_was_never_taken() {
    let case = tagged(in_sync(), json!({"azureml.dev-owner": "dev/a/b/c"}));
    let plan = deleted(case.with(|c| c.take_over_from = Some("dev".to_owned()))).plan();
    assert_eq!(plan.action, Action::Release);
}
