//! Every row of the field table, from the manifest's side and from Azure's: set, changed, removed, drifted.

use azureml_api::common::{DriftPolicy, ManagementPolicy};
use azureml_api::compute_cluster::TABLE;
use azureml_api::condition::Reason;
use azureml_api::fields::{Change, Compare, Field, FieldTable, lookup, remove, set};
use azureml_planner::{Action, Input, Plan, Step};
use serde_json::{Value, json};

use crate::support::samples::{of, optional, plain_rows, write_only_rows};
use crate::support::{Case, body, brief, changes, in_sync, new_object};

/// What a change of the field alone comes to.
fn expected(field: &Field) -> (Action, Vec<&'static str>, Option<Reason>) {
    match field.change {
        Change::Patch { .. } => (Action::Update, vec!["patch"], None),
        Change::Put => (Action::Update, vec!["put"], None),
        Change::Replace => (Action::Refuse, vec!["refuse"], Some(Reason::ReplacementRequired)),
    }
}

fn check(what: &str, field: &Field, plan: &Plan, from: &Value, to: &Value) {
    assert_eq!(brief(plan), expected(field), "{what} {}: {plan:?}", field.manifest);
    let words = (field.manifest, &*field.words(from), &*field.words(to));
    assert_eq!(changes(plan), [words], "{what} {}", field.manifest);
    assert_eq!(plan.changes[0].change, field.change, "{what} {}", field.manifest);
    let sent = plan.writes().then(|| lookup(body(plan), field.wire).cloned().unwrap_or(Value::Null));
    if let Some(sent) = sent {
        assert_eq!(without_principals(&sent), without_principals(to), "{what} {}", field.manifest);
    }
}

/// The identity as it is written: its ids with nothing beneath.
fn without_principals(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(ids) = value.get_mut("userAssignedIdentities").and_then(Value::as_object_mut) {
        ids.values_mut().for_each(|id| *id = json!({}));
    }
    value
}

/// In sync, with the field at `value` in the manifest and in Azure.
fn holding(field: &Field, (manifest, wire): &(Value, Value)) -> Case {
    in_sync().with(|case| {
        case.set_manifest(field.manifest, manifest.clone());
        set(case.live_mut(), field.wire, wire.clone());
        case.remember_applied();
    })
}

fn azure_default(field: &Field) -> Value {
    field.default_on_wire(Some("westeurope"))
}

#[test]
fn a_field_that_azure_holds_as_wanted_is_left_alone() {
    for field in plain_rows() {
        let (a, b) = of(field);
        for value in [a, b] {
            let plan = holding(field, &value).plan();
            assert_eq!((plan.action, changes(&plan)), (Action::None, vec![]), "{}", field.manifest);
        }
    }
}

#[test]
fn a_field_that_is_set_for_the_first_time() {
    for field in plain_rows().filter(|field| optional(field)) {
        let ((manifest, wire), _) = of(field);
        let plan = in_sync().edit(field.manifest, manifest).plan();
        assert!(!plan.drift, "{}", field.manifest);
        check("set", field, &plan, &azure_default(field), &wire);
    }
}

#[test]
fn a_field_that_the_manifest_changes() {
    for field in plain_rows() {
        let (a, b) = of(field);
        let plan = holding(field, &a).edit(field.manifest, b.0.clone()).plan();
        assert!(!plan.drift, "{}", field.manifest);
        check("changed", field, &plan, &a.1, &b.1);
    }
}

#[test]
fn a_dropped_field_goes_back_to_azures_default() {
    for field in plain_rows().filter(|field| optional(field)) {
        let (a, _) = of(field);
        let plan = holding(field, &a).drop_field(field.manifest).plan();
        assert!(!plan.drift, "{}", field.manifest);
        check("dropped", field, &plan, &a.1, &azure_default(field));
    }
}

#[test]
fn a_field_dropped_at_its_default_is_no_change() {
    for field in plain_rows().filter(|field| optional(field)) {
        let case = in_sync().with(|case| case.applied.as_mut().unwrap().fields.push(field.manifest.to_owned()));
        assert_eq!(case.plan().action, Action::None, "{}", field.manifest);
    }
}

#[test]
fn a_field_that_was_never_managed_is_left_alone() {
    for field in plain_rows().filter(|field| optional(field)) {
        let (a, _) = of(field);
        let case = in_sync().drift(field.wire, a.1);
        assert_eq!(case.plan().action, Action::None, "{}", field.manifest);
    }
}

#[test]
fn a_field_that_somebody_else_changed() {
    for field in plain_rows() {
        let (a, b) = of(field);
        let case = holding(field, &a).drift(field.wire, b.1.clone());
        let plan = case.plan();
        assert!(plan.drift, "{}", field.manifest);
        check("drifted", field, &plan, &b.1, &a.1);
        let told = case.with(|case| case.policies.drift_policy = DriftPolicy::Report).plan();
        assert_eq!(brief(&told), (Action::Report, vec![], None), "{}", field.manifest);
        assert_eq!((told.drift, changes(&told)), (true, changes(&plan)), "{}", field.manifest);
    }
}

#[test]
fn a_change_of_the_manifest_is_made_under_report_too() {
    for field in plain_rows() {
        let (a, b) = of(field);
        let case = holding(field, &a).edit(field.manifest, b.0);
        let plan = case.with(|case| case.policies.drift_policy = DriftPolicy::Report).plan();
        assert_eq!(brief(&plan), expected(field), "{}", field.manifest);
    }
}

#[test]
fn a_field_that_azure_omits_has_its_default() {
    for field in plain_rows().filter(|field| optional(field) && !azure_default(field).is_null()) {
        let (a, _) = of(field);
        let case = in_sync().with(|case| remove(case.live_mut(), field.wire)).edit(field.manifest, a.0);
        let plan = case.plan();
        assert_eq!(changes(&plan)[0].1, field.words(&azure_default(field)), "{}", field.manifest);
    }
}

#[test]
fn a_creation_carries_every_field() {
    let mut case = new_object();
    for field in plain_rows().chain(write_only_rows()) {
        case.set_manifest(field.manifest, of(field).0.0);
    }
    let plan = case.plan();
    for field in plain_rows() {
        let sent = lookup(body(&plan), field.wire).unwrap_or(&Value::Null);
        assert_eq!(*sent, without_principals(&of(field).0.1), "{}", field.manifest);
    }
    for field in write_only_rows().filter(|field| !field.manifest.ends_with("SecretRef")) {
        assert_eq!(lookup(body(&plan), field.wire), Some(&of(field).0.1), "{}", field.manifest);
    }
}

#[test]
fn a_patch_carries_the_whole_object() {
    let rows = plain_rows().filter(|field| matches!(field.change, Change::Patch { .. }));
    let mut seen = 0;
    for field in rows {
        seen += 1;
        let plan = in_sync().edit(field.manifest, of(field).0.0).plan();
        let sent = lookup(body(&plan), "properties.properties.scaleSettings").unwrap();
        let mut whole = json!({"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"});
        set(&mut whole, field.wire.rsplit('.').next().unwrap(), of(field).0.1);
        assert_eq!(*sent, whole, "{}", field.manifest);
        assert_eq!(*body(&plan), json!({"properties": {"properties": {"scaleSettings": whole}}}));
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_patch_fills_in_what_azure_does_not_show() {
    let case = in_sync().with(|case| {
        set(case.live_mut(), "properties.properties.scaleSettings", json!({"maxNodeCount": 4}));
    });
    let plan = case.edit("spec.scale.maxNodes", json!(5)).plan();
    assert_eq!(
        lookup(body(&plan), "properties.properties.scaleSettings"),
        Some(&json!({"minNodeCount": 0, "maxNodeCount": 5, "nodeIdleTimeBeforeScaleDown": "PT120S"}))
    );
}

#[test]
fn rows_are_sound() {
    for field in azureml_api::compute_cluster::TABLE.fields {
        assert!(field.manifest.starts_with("spec."), "{}", field.manifest);
        if let Change::Patch { object } = field.change {
            assert!(field.wire.starts_with(object), "{}", field.manifest);
        }
        let (a, b) = of(field);
        if field.compare != Compare::PerKey {
            assert_eq!(without_principals(&a.1), field.to_wire(&a.0), "{}", field.manifest);
            assert_eq!(without_principals(&b.1), field.to_wire(&b.0), "{}", field.manifest);
        }
    }
}

#[test]
fn a_field_that_the_clouds_api_version_lacks_is_refused_by_name() {
    static NEWER: [Field; 2] = [
        Field { since: "2021-07-01", ..TABLE.fields[1] },
        Field { manifest: "spec.description", since: "2025-12-01", ..TABLE.fields[0] },
    ];
    static TABLE_OF_NEWER: FieldTable =
        FieldTable { kind: "ComputeCluster", compute_type: "AmlCompute", noun: "cluster", fields: &NEWER };
    let plan_at = |case: &Case, version: Option<&str>| {
        let mut case = case.clone();
        case.facts.api_version = version.map(str::to_owned);
        azureml_planner::plan(&Input { table: &TABLE_OF_NEWER, ..case.input() })
    };
    let described = |case: Case| case.edit("spec.description", json!("words"));
    for (case, version, refused) in [
        (described(new_object()), Some("2024-10-01"), true),
        (described(new_object()), Some("2025-12-01"), false),
        (described(new_object()), None, false),
        (new_object(), Some("2024-10-01"), false),
        (described(in_sync()), Some("2024-10-01"), true),
        (in_sync(), Some("2024-10-01"), false),
    ] {
        let plan = plan_at(&case, version);
        let told = match plan.steps.first() {
            Some(Step::Refuse(Reason::FieldNotSupported, message)) => Some(message.as_str()),
            _ => None,
        };
        assert_eq!(told.is_some(), refused, "{version:?} {plan:?}");
        let words =
            "api-version 2024-10-01 of Azure Machine Learning, which doesn't have spec.description (since 2025-12-01)";
        assert!(told.is_none_or(|message| message.contains(words)), "{told:?}");
    }
    let mut observed = described(in_sync());
    observed.policies.management_policy = ManagementPolicy::Observe;
    assert_ne!(plan_at(&observed, Some("2024-10-01")).action, Action::Refuse);
}
