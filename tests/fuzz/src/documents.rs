//! What Azure shows: workspaces, computes, lists of sizes. Whatever stands there, it becomes status, words and plans.

use azureml_api::compute_cluster::ComputeClusterStatus;
use azureml_api::fields::{Field, lookup, remove, set};
use azureml_api::registry::{self, KINDS};
use azureml_api::rules;
use azureml_arm::ErrorClass;
use azureml_catalog::nearest::nearest;
use azureml_planner::diff;
use azureml_planner::input::vm_size_names;
use azureml_planner::operation::{is_transitional, provisioning_state};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure;

/// The input is a JSON document.
pub fn check(data: &[u8]) {
    let Ok(live) = serde_json::from_slice::<Value>(data) else { return };
    sizes(&live);
    told(&live);
    for kind in KINDS {
        registry::is_sparse(&live);
        let status = (kind.project)(&json!({"scale": {"maxNodes": 4}}), Some(&live));
        let status = ComputeClusterStatus::deserialize(status).expect("status has its kind's shape");
        assert_eq!(status.effective_scale.map(|scale| (scale.min, scale.max)), Some((0, 4)));
        for (name, value) in rules::fixed_values(kind.table, &live) {
            assert!(!name.is_empty() && value.chars().count() <= 1024);
            assert!(rules::fixed_fields(kind.table.fields).any(|field| rules::fixed_name(field) == name));
        }
        kind.table.fields.iter().for_each(|field| row(field, &live));
    }
}

/// A value equals itself, can be told, and goes where its path says.
fn row(field: &'static Field, live: &Value) {
    let Some(value) = lookup(live, field.wire) else { return };
    assert!(diff::equal(field.compare, value, value));
    field.words(value);
    let mut moved = live.clone();
    remove(&mut moved, field.wire);
    assert_eq!(lookup(&moved, field.wire), None);
    set(&mut moved, field.wire, value.clone());
    assert_eq!(lookup(&moved, field.wire), Some(value));
}

fn sizes(live: &Value) {
    let sizes = vm_size_names(live);
    let near = nearest("Standard_DS3_v2", sizes.iter().take(40).map(String::as_str), 3);
    assert!(near.len() <= 3 && near.iter().all(|size| sizes.iter().any(|known| known == size)));
}

/// Why a resource failed: told only of one that did.
fn told(live: &Value) {
    let state = provisioning_state(live);
    let failed = failure::of_live(live);
    assert_eq!(failed.is_some(), matches!(state, "Failed" | "Canceled"), "{state}");
    assert!(failed.is_none() || !is_transitional(live));
    if let Some(failure) = failed {
        assert!(!failure.message.is_empty() && !failure.message.contains(char::is_control), "{:?}", failure.message);
        assert_ne!(failure::class(&failure), ErrorClass::Transient);
    }
    failure::errors(live).iter().for_each(crate::errors::sound);
}
