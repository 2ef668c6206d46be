//! Values that Azure takes and doesn't keep.

use azureml_api::condition::Reason;
use azureml_api::fields::set;
use azureml_api::status::{Phase, Verb};
use azureml_planner::Action;
use azureml_planner::input::OperationDetail;
use azureml_planner::operation::Judgement;
use serde_json::{Value, json};

use crate::support::{Case, brief, changes, in_sync, write};

const IDLE: &str = "spec.scale.idleBeforeScaleDown";
const BAG: &str = "spec.propertyBag";

/// A PATCH of the idle time that succeeded long ago, while Azure still shows the old value.
fn not_kept() -> Case {
    in_sync().edit(IDLE, json!("15m")).with(|case| {
        let mut operation = write(Verb::Patch, Phase::Running, 100, &[IDLE]);
        operation.generation = case.owner.generation;
        case.operation = Some(operation);
        case.detail = Some(OperationDetail::Succeeded);
    })
}

/// The same, after the operator has noted it.
fn noted() -> Case {
    not_kept().with(|case| {
        case.operation = None;
        case.detail = None;
        case.remember_applied();
        case.applied.as_mut().unwrap().not_honoured.insert(IDLE.to_owned(), "2m".to_owned());
    })
}

fn told(path: &str, wanted: &str, has: &str) -> Vec<(String, String, String)> {
    vec![(path.to_owned(), wanted.to_owned(), has.to_owned())]
}

#[test]
fn a_value_that_azure_does_not_keep_is_not_written_again() {
    let plan = not_kept().plan();
    assert_eq!(brief(&plan), (Action::None, vec![], None));
    assert_eq!(plan.not_honoured, told(IDLE, "15m", "2m"));
    assert_eq!(plan.judgement, Some(Judgement::Done { not_honoured: vec![(IDLE.to_owned(), "2m".to_owned())] }));
}

#[test]
fn it_stays_so_for_the_generation() {
    let plan = noted().plan();
    assert_eq!((plan.action, plan.not_honoured, plan.drift), (Action::None, told(IDLE, "15m", "2m"), false));
}

#[test]
fn a_new_generation_tries_again() {
    let plan = noted().edit(IDLE, json!("20m")).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["patch"], None));
    assert_eq!(changes(&plan), [(IDLE, "2m", "20m")]);
    assert!(plan.not_honoured.is_empty());
}

#[test]
fn another_value_in_azure_is_drift_again() {
    let plan = noted().drift("properties.properties.scaleSettings.nodeIdleTimeBeforeScaleDown", json!("PT5M")).plan();
    assert_eq!((plan.action, plan.drift), (Action::Update, true));
    assert_eq!(changes(&plan), [(IDLE, "5m", "15m")]);
}

#[test]
fn what_else_changed_is_still_written() {
    let plan = noted().drift("properties.properties.scaleSettings.maxNodeCount", json!(1)).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["patch"], None));
    assert_eq!(changes(&plan), [("spec.scale.maxNodes", "1", "4")]);
    assert_eq!(plan.not_honoured, told(IDLE, "15m", "2m"));
}

#[test]
fn a_write_of_an_older_generation_proves_nothing() {
    let plan = not_kept().edit(IDLE, json!("20m")).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["patch"], None));
}

/// A property bag that was created and that Azure doesn't show.
fn unshown() -> Case {
    in_sync().with(|case| {
        case.set_manifest(BAG, json!({"a": 1}));
        case.operation = Some(write(Verb::Create, Phase::Running, 100, &[BAG]));
        case.detail = Some(OperationDetail::Succeeded);
    })
}

#[test]
fn a_fixed_field_that_azure_does_not_show_is_not_honoured_rather_than_replaced() {
    let plan = unshown().plan();
    assert_eq!(brief(&plan), (Action::None, vec![], None), "{plan:?}");
    assert_eq!(plan.not_honoured, told(BAG, "{\"a\":1}", "(none)"));
}

#[test]
fn a_fixed_field_that_azure_does_not_show_never_blocks_a_later_generation() {
    let noted = unshown().with(|case| {
        case.operation = None;
        case.detail = None;
        case.remember_applied();
        case.applied.as_mut().unwrap().not_honoured.insert(BAG.to_owned(), "(none)".to_owned());
    });
    let plan = noted.clone().edit("spec.scale.maxNodes", json!(9)).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["patch"], None), "{plan:?}");
    assert_eq!(plan.not_honoured, told(BAG, "{\"a\":1}", "(none)"));
    let shown = noted.drift("properties.properties.propertyBag", json!({"b": 2})).plan();
    assert_eq!(brief(&shown).2, Some(Reason::ReplacementRequired));
}

#[test]
fn a_fixed_field_that_azure_shows_otherwise_needs_a_replacement() {
    let plan = in_sync()
        .with(|case| {
            // What is left of a hidden cluster: Azure created it with the size of the old one.
            set(case.live_mut(), "properties.properties.vmSize", json!("STANDARD_NC6"));
            case.applied = None;
            case.operation = Some(write(Verb::Create, Phase::Running, 100, &["spec.vmSize"]));
            case.detail = Some(OperationDetail::Succeeded);
        })
        .plan();
    assert_eq!(brief(&plan).2, Some(Reason::ReplacementRequired));
    assert_eq!(plan.judgement, Some(Judgement::Done { not_honoured: vec![] }));
}

#[test]
fn a_tag_that_a_policy_rewrites_is_not_fought_over() {
    let plan = in_sync()
        .edit("spec.tags", json!({"env": "dev"}))
        .with(|case| {
            set(case.live_mut(), "tags.env", json!("prod"));
            let mut operation = write(Verb::Put, Phase::Running, 100, &["spec.tags[env]"]);
            operation.generation = case.owner.generation;
            operation.url = None;
            case.operation = Some(operation);
        })
        .plan();
    assert_eq!((plan.action, plan.not_honoured), (Action::None, told("spec.tags[env]", "dev", "prod")));
}

#[test]
fn a_tag_that_azure_drops_is_tried_again_by_a_new_generation() {
    let noted = in_sync().with(|case| {
        case.set_manifest("spec.tags", json!({"env": "dev"}));
        case.remember_applied();
        case.applied.as_mut().unwrap().not_honoured.insert("spec.tags[env]".to_owned(), "(none)".to_owned());
    });
    assert_eq!(
        (noted.plan().action, noted.plan().not_honoured),
        (Action::None, told("spec.tags[env]", "dev", "(none)"))
    );
    let plan = noted.edit("spec.scale.maxNodes", json!(9)).plan();
    assert_eq!(changes(&plan), [("spec.scale.maxNodes", "4", "9"), ("spec.tags[env]", "(none)", "dev")]);
}

#[test]
fn an_absent_value_and_a_null_are_both_unshown() {
    for bag in [Value::Null, json!({"a": 1})] {
        let kept = bag.is_object();
        let plan = unshown().drift("properties.properties.propertyBag", bag).plan();
        assert_eq!(plan.not_honoured.is_empty(), kept);
    }
}
