//! What may be touched: ours, adopted, or taken over with a person's word.

use azureml_api::common::{AdoptionPolicy, ManagementPolicy};
use azureml_api::condition::Reason;
use azureml_api::fields::{lookup, set};
use azureml_api::status::{Phase, Verb};
use azureml_planner::Action;
use serde_json::{Value, json};

use crate::support::{Case, OWNER, body, brief, in_sync, message, write};

/// A cluster that Azure has under this object's name, with that owner tag, and that the object has never seen.
fn found(tag: Option<&str>) -> Case {
    in_sync().with(|case| {
        case.applied = None;
        case.azure = None;
        let tags = tag.map_or(Value::Null, |tag| json!({"azureml.dev-owner": tag}));
        set(case.live_mut(), "tags", tags);
    })
}

fn adopt(case: Case) -> Case {
    case.with(|case| case.policies.adoption_policy = AdoptionPolicy::Adopt)
}

fn take_over(case: Case, from: &str) -> Case {
    case.with(|case| case.take_over_from = Some(from.to_owned()))
}

/// As if this object had written it.
fn remembered(case: Case) -> Case {
    case.with(|case| {
        case.azure = in_sync().azure;
        case.applied = in_sync().applied;
    })
}

/// As if this object had only looked at it.
fn looked_at(case: Case) -> Case {
    case.with(|case| case.azure = in_sync().azure)
}

#[test]
fn only_ours_is_touched() {
    const OTHER_OBJECT: &str = "prod/ComputeCluster/ml/other";
    const OTHER_OPERATOR: &str = "dev/ComputeCluster/ml/gpu";
    let refused = |reason| (Action::Refuse, vec!["refuse"], Some(reason));
    let put = || (Action::Update, vec!["put"], None);
    let rows = [
        ("nobody's", found(None), refused(Reason::NotOwned)),
        ("nobody's, take-over doesn't speak of it", take_over(found(None), "dev"), refused(Reason::NotOwned)),
        ("nobody's, Adopt", adopt(found(None)), put()),
        ("remembered, tag stripped", remembered(found(None)), put()),
        (
            "remembered, made anew by somebody",
            remembered(found(None)).drift("properties.createdOn", json!("later")),
            refused(Reason::NotOwned),
        ),
        (
            "remembered under another id",
            remembered(found(None)).with(|c| c.azure.as_mut().unwrap().id = "/x".into()),
            refused(Reason::NotOwned),
        ),
        (
            "neither says when it was created",
            remembered(found(None)).with(|c| {
                c.azure.as_mut().unwrap().created_on = None;
                set(c.live_mut(), "properties.createdOn", Value::Null);
            }),
            refused(Reason::NotOwned),
        ),
        ("observed before, managed now", looked_at(found(None)), refused(Reason::NotOwned)),
        ("observed before, Adopt now", adopt(looked_at(found(None))), put()),
        ("another object's", found(Some(OTHER_OBJECT)), refused(Reason::OwnedByAnother)),
        ("another object's, Adopt isn't enough", adopt(found(Some(OTHER_OBJECT))), refused(Reason::OwnedByAnother)),
        ("another object's, remembered", remembered(found(Some(OTHER_OBJECT))), refused(Reason::OwnedByAnother)),
        ("another object's, taken over", take_over(found(Some(OTHER_OBJECT)), "prod"), put()),
        ("another object's, wrong word", take_over(found(Some(OTHER_OBJECT)), "dev"), refused(Reason::OwnedByAnother)),
        ("another operator's", found(Some(OTHER_OPERATOR)), refused(Reason::OwnedByAnother)),
        ("another operator's, Adopt isn't enough", adopt(found(Some(OTHER_OPERATOR))), refused(Reason::OwnedByAnother)),
        ("another operator's, taken over", take_over(found(Some(OTHER_OPERATOR)), "dev"), put()),
        (
            "another operator's, wrong word",
            take_over(found(Some(OTHER_OPERATOR)), "prod"),
            refused(Reason::OwnedByAnother),
        ),
        ("tag in another case", found(Some(&OWNER.to_uppercase())), refused(Reason::OwnedByAnother)),
        ("empty tag", found(Some("")), refused(Reason::OwnedByAnother)),
        ("ours by tag, only the uid tag is missing", found(Some(OWNER)), put()),
    ];
    for (name, case, expected) in rows {
        let plan = case.plan();
        assert_eq!(brief(&plan), expected, "{name}: {plan:?}");
    }
}

#[test]
fn refusals_name_the_way_out() {
    let nobodys = found(None).plan();
    assert!(message(&nobodys).contains("adoptionPolicy: Adopt"), "{}", message(&nobodys));
    let theirs = found(Some("dev/ComputeCluster/ml/gpu")).plan();
    assert!(message(&theirs).contains("azureml.dev/take-over-from: dev"), "{}", message(&theirs));
    assert!(message(&theirs).contains("dev/ComputeCluster/ml/gpu"));
}

#[test]
fn taking_over_changes_the_tag_and_keeps_the_rest() {
    let case = take_over(found(Some("dev/ComputeCluster/ml/gpu")), "dev").drift("tags.cost", json!("42"));
    let plan = case.plan();
    let expected = json!({"azureml.dev-owner": OWNER, "azureml.dev-uid": "uid-1", "cost": "42"});
    assert_eq!(lookup(body(&plan), "tags"), Some(&expected));
}

#[test]
fn a_creation_that_azure_accepted_is_waited_for_before_its_tag_shows() {
    let case = |phase| {
        found(None).with(|case| {
            set(case.live_mut(), "properties.provisioningState", json!("Creating"));
            case.operation = Some(write(Verb::Create, phase, 5, &[]));
        })
    };
    assert_eq!(brief(&case(Phase::Running).plan()), (Action::Wait, vec!["wait"], Some(Reason::Creating)));
    // Whether Azure ever got this one isn't known: it may be ours until its tags had time to show, then it is anybody's.
    assert_eq!(brief(&case(Phase::Intended).plan()).2, Some(Reason::Verifying));
    let old = case(Phase::Intended).with(|case| {
        case.operation = Some(write(Verb::Create, Phase::Intended, 60, &[]));
        set(case.live_mut(), "properties.provisioningState", json!("Succeeded"));
    });
    assert_eq!(brief(&old.plan()).2, Some(Reason::NotOwned));
}

#[test]
fn observing_asks_nobody_and_takes_nothing() {
    for tag in [None, Some("dev/ComputeCluster/ml/gpu"), Some("prod/ComputeCluster/ml/other")] {
        let case = adopt(found(tag)).with(|case| case.policies.management_policy = ManagementPolicy::Observe);
        assert_eq!(case.plan().action, Action::None, "{tag:?}");
    }
}
