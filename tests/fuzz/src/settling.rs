//! Manifest after manifest, each carried out: then nothing is left to do, and nothing more is written.

use azureml_api::compute_cluster::TABLE;
use azureml_api::condition::Reason;
use azureml_api::fields::{Change, Compare, lookup, set};
use azureml_api::registry;
use azureml_planner::{Action, Observed, diff};
use serde_json::{Value, json};

use crate::manifests::SCHEMAS;
use crate::model::azure::carry_out;
use crate::model::{Case, brief, changes, new_object};
use crate::reader::rules;

/// The input is a JSON object: `specs`, one after the other, and `drift`, values by path on the wire that somebody else
/// sets before each.
pub fn check(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(data) else { return };
    let specs = input.get("specs").and_then(Value::as_array).into_iter().flatten();
    let mut case = new_object();
    for spec in specs.take(6) {
        let Some(spec) = valid(spec) else { continue };
        wish(&mut case, &spec);
        tamper(&mut case, input.get("drift"));
        settle(&mut case);
    }
}

/// The spec as the API server would store it, unless it would refuse it.
fn valid(spec: &Value) -> Option<Value> {
    let mut spec = spec.clone();
    SCHEMAS.complete("ComputeCluster", &mut spec);
    let refused = !SCHEMAS.faults("ComputeCluster", &spec).is_empty()
        || !rules::faults("ComputeCluster", "gpu", &spec).is_empty()
        || registry::kind("ComputeCluster").is_none_or(|kind| (kind.decode)(&spec).is_err());
    (!refused).then_some(spec)
}

fn wish(case: &mut Case, spec: &Value) {
    case.owner.generation += 1;
    case.hashes.clear();
    case.manifest = json!({"spec": spec});
    for field in TABLE.fields.iter().filter(|field| field.is_write_only()) {
        if let Some(value) = lookup(spec, field.manifest.trim_start_matches("spec.")).cloned() {
            case.set_manifest(field.manifest, value);
        }
    }
}

/// Somebody else changes in Azure what can be changed back in place, to a value that Azure itself could have.
fn tamper(case: &mut Case, drift: Option<&Value>) {
    let Observed::Present { live, .. } = &mut case.observed else { return };
    for (path, value) in drift.and_then(Value::as_object).into_iter().flatten() {
        let row = TABLE.fields.iter().find(|field| field.wire == path && field.change != Change::Replace);
        let is_scalar = matches!(value, Value::String(_) | Value::Number(_));
        if row.is_some_and(|field| field.compare != Compare::PerKey && field.compare != Compare::Identity) && is_scalar
        {
            set(live, path, value.clone());
        }
        if let ("tags", Value::Object(tags)) = (path.as_str(), value) {
            for (key, value) in tags.iter().filter(|(_, value)| value.is_string()) {
                // Azure's tag names have no case.
                let old = live["tags"].as_object_mut().expect("it carries the owner's");
                old.retain(|name, _| !name.eq_ignore_ascii_case(key));
                old.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Plans, carries out, and plans again.
fn settle(case: &mut Case) {
    let plan = case.plan();
    match (plan.action, brief(&plan).2) {
        (Action::Refuse, Some(Reason::ReplacementRequired)) => {
            let replaced = plan.changes.iter().any(|change| change.change == Change::Replace);
            assert!(replaced && !plan.writes());
            return;
        }
        (Action::Refuse, Some(Reason::SecretWouldBeLost | Reason::InvalidName)) => return,
        // A tag of another owner was put there: nothing of ours is written over it.
        (Action::Refuse, Some(Reason::OwnedByAnother)) => return,
        (Action::Create | Action::Update | Action::None, None) => {}
        other => panic!("{other:?} of a valid manifest: {plan:?}"),
    }
    assert_eq!(plan.writes(), !plan.changes.is_empty() || plan.action == Action::Create, "{plan:?}");
    let fixed = fixed(case);
    carry_out(case, &plan);
    let again = case.plan();
    assert_eq!((again.action, changes(&again)), (Action::None, Vec::new()), "after {plan:?}");
    assert_eq!(again.status(), None);
    if let Some(before) = fixed {
        let now = self::fixed(case).unwrap_or_default();
        for ((field, before), (_, now)) in before.iter().zip(&now) {
            let row = TABLE.field(field).expect("a row");
            assert!(diff::equal(row.compare, before, now), "{field} moved from {before} to {now}");
        }
    }
}

/// What Azure has in the fields that it can't change in place.
fn fixed(case: &Case) -> Option<Vec<(&'static str, Value)>> {
    let Observed::Present { live, .. } = &case.observed else { return None };
    let rows = TABLE.fields.iter().filter(|field| field.change == Change::Replace && !field.is_write_only());
    let value = |field: &azureml_api::fields::Field| {
        lookup(live, field.wire).cloned().unwrap_or_else(|| field.default_on_wire(Some("westeurope")))
    };
    Some(rows.map(|field| (field.manifest, value(field))).collect())
}
