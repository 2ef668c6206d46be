//! Tags: each key by itself. The manifest's and the owner's are managed, everybody else's stay.

use azureml_api::common::ManagementPolicy;
use azureml_api::fields::set;
use azureml_planner::Action;
use serde_json::{Value, json};

use crate::support::{Case, OWNER, body, changes, in_sync};

/// In sync with these tags in the manifest, and others beside them in Azure.
fn tagged(managed: Value, foreign: Value) -> Case {
    in_sync().with(|case| {
        let mut all = case.live()["tags"].as_object().unwrap().clone();
        all.extend(managed.as_object().unwrap().clone());
        all.extend(foreign.as_object().unwrap().clone());
        set(case.live_mut(), "tags", Value::Object(all));
        case.set_manifest("spec.tags", managed);
        case.remember_applied();
    })
}

/// The tags that a case's PUT sends, without the owner's.
fn sent(case: &Case) -> Value {
    let plan = case.plan();
    let mut tags = body(&plan)["tags"].as_object().unwrap().clone();
    assert_eq!(tags.remove("azureml.dev-owner"), Some(json!(OWNER)));
    assert_eq!(tags.remove("azureml.dev-uid"), Some(json!("uid-1")));
    Value::Object(tags)
}

#[test]
fn each_key_is_managed_by_itself() {
    let none = "(none)";
    let base = || tagged(json!({"team": "a", "env": "x"}), json!({"cost": "42"}));
    let rows = [
        (
            "changed",
            base().edit("spec.tags", json!({"team": "b", "env": "x"})),
            vec![("spec.tags[team]", "a", "b")],
            json!({"team": "b", "env": "x", "cost": "42"}),
        ),
        (
            "added",
            base().edit("spec.tags.new", json!("n")),
            vec![("spec.tags[new]", none, "n")],
            json!({"team": "a", "env": "x", "new": "n", "cost": "42"}),
        ),
        (
            "one dropped",
            base().edit("spec.tags", json!({"env": "x"})),
            vec![("spec.tags[team]", "a", none)],
            json!({"env": "x", "cost": "42"}),
        ),
        (
            "all dropped",
            base().drop_field("spec.tags"),
            vec![("spec.tags[env]", "x", none), ("spec.tags[team]", "a", none)],
            json!({"cost": "42"}),
        ),
        (
            "a foreign key that the manifest takes",
            base().edit("spec.tags.cost", json!("43")),
            vec![("spec.tags[cost]", "42", "43")],
            json!({"team": "a", "env": "x", "cost": "43"}),
        ),
        (
            "drift",
            base().drift("tags.team", json!("z")),
            vec![("spec.tags[team]", "z", "a")],
            json!({"team": "a", "env": "x", "cost": "42"}),
        ),
        (
            "drift of the uid",
            base().drift("tags", json!({"azureml.dev-owner": OWNER, "azureml.dev-uid": "u", "team": "a", "env": "x"})),
            vec![("spec.tags[azureml.dev-uid]", "u", "uid-1")],
            json!({"team": "a", "env": "x"}),
        ),
        (
            "all tags removed by somebody",
            base().drift("tags", Value::Null),
            vec![
                ("spec.tags[env]", none, "x"),
                ("spec.tags[team]", none, "a"),
                ("spec.tags[azureml.dev-owner]", none, OWNER),
                ("spec.tags[azureml.dev-uid]", none, "uid-1"),
            ],
            json!({"team": "a", "env": "x"}),
        ),
        (
            "the manifest can't forge the owner",
            base().edit("spec.tags", json!({"team": "b", "env": "x", "azureml.dev-owner": "me"})),
            vec![("spec.tags[team]", "a", "b")],
            json!({"team": "b", "env": "x", "cost": "42"}),
        ),
    ];
    for (name, case, expected, tags) in rows {
        let plan = case.plan();
        let mut found = changes(&plan);
        let mut expected = expected;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        assert_eq!(sent(&case), tags, "{name}");
    }
}

#[test]
fn foreign_tags_come_and_go_without_a_plan() {
    for foreign in [json!({}), json!({"cost": "1"}), json!({"cost": "2", "other": ""})] {
        let plan = tagged(json!({"team": "a"}), foreign).plan();
        assert_eq!((plan.action, changes(&plan)), (Action::None, vec![]));
    }
}

#[test]
fn a_dropped_key_that_azure_has_lost_is_no_change() {
    let case = tagged(json!({"team": "a", "env": "x"}), json!({})).drift("tags.team", Value::Null);
    let plan = case.edit("spec.tags", json!({"env": "x"})).plan();
    assert_eq!(changes(&plan), []);
}

/// Azure's tag names have no case, and a body with one name in two cases is refused.
#[test]
fn names_differ_by_more_than_case() {
    let same = tagged(json!({"Team": "a"}), json!({}))
        .drift("tags", json!({"azureml.dev-owner": OWNER, "azureml.dev-uid": "uid-1", "team": "a"}));
    assert_eq!(changes(&same.plan()), []);
    let other = same.clone().drift("tags.team", json!("b"));
    assert_eq!(changes(&other.plan()), [("spec.tags[Team]", "b", "a")]);
    assert_eq!(sent(&other), json!({"Team": "a"}));
    let recased = same.edit("spec.tags", json!({"TEAM": "a", "env": "x"}));
    assert_eq!(changes(&recased.plan()), [("spec.tags[env]", "(none)", "x")]);
    assert_eq!(sent(&recased), json!({"TEAM": "a", "env": "x"}));
}

#[test]
fn observed_clusters_need_no_owner_tag() {
    let case = in_sync().drift("tags", Value::Null).with(|case| {
        case.policies.management_policy = ManagementPolicy::Observe;
    });
    assert_eq!(case.plan().action, Action::None);
    let told = case.edit("spec.tags", json!({"team": "a"})).plan();
    assert_eq!((told.action, changes(&told)), (Action::Report, vec![("spec.tags[team]", "(none)", "a")]));
}

#[test]
fn names_that_differ_in_case_alone_are_one() {
    let case = in_sync().edit("spec.tags", json!({"Team": "a", "team": "b", "AZUREML.DEV-OWNER": "x"}));
    assert_eq!(changes(&case.plan()), [("spec.tags[team]", "(none)", "b")]);
    assert_eq!(sent(&case), json!({"team": "b"}));
}
