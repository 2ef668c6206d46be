//! Bodies of a PUT over a live resource: whatever is left out is wiped, and what only Azure writes is refused.

use azureml_api::fields::{Change, lookup, set};
use serde_json::{Value, json};

use crate::support::azure::{READ_ONLY, WRITABLE};
use crate::support::samples::{of, optional, plain_rows};
use crate::support::{Case, body, in_sync};

/// In sync, with every field that Azure can hold set there by somebody else, and a change that needs a PUT.
fn full() -> Case {
    let case = in_sync().with(|case| {
        for field in plain_rows().filter(|field| optional(field)) {
            set(case.live_mut(), field.wire, of(field).0.1);
        }
        set(case.live_mut(), "sku", json!({"name": "Basic", "tier": "Basic"}));
        set(case.live_mut(), "properties.resourceId", json!("/resource"));
        set(case.live_mut(), "identity.principalId", json!("p"));
        set(case.live_mut(), "identity.tenantId", json!("t"));
        set(case.live_mut(), "tags.cost", json!("42"));
        // An open port is the sign of an account whose secrets a PUT would wipe.
        set(case.live_mut(), "properties.properties.remoteLoginPortPublicAccess", json!("Disabled"));
    });
    case.edit("spec.tags", json!({"team": "vision"}))
}

#[test]
fn a_put_gives_back_every_writable_field() {
    let case = full();
    let plan = case.plan();
    for (path, _) in WRITABLE.iter().filter(|(path, _)| !["tags", "identity"].contains(path)) {
        let live = lookup(case.live(), path);
        if *path == "properties.properties.vmSize" {
            assert_eq!(lookup(body(&plan), path), Some(&json!("Standard_DS3_v2")));
        } else {
            assert!(live.is_some(), "{path} isn't in the case");
            assert_eq!(lookup(body(&plan), path), live, "{path}");
        }
    }
    let tags = json!({"azureml.dev-owner": "prod/ComputeCluster/ml/gpu", "azureml.dev-uid": "uid-1", "cost": "42", "team": "vision"});
    assert_eq!(body(&plan)["tags"], tags);
    let identity = json!({"type": "UserAssigned", "userAssignedIdentities": {"/identities/a": {}}});
    assert_eq!(body(&plan)["identity"], identity);
}

#[test]
fn a_put_holds_nothing_that_only_azure_writes() {
    let case = full();
    let plan = case.plan();
    for path in READ_ONLY {
        assert_eq!(lookup(body(&plan), path), None, "{path}");
    }
    assert!(!body(&plan).to_string().contains("null"), "an explicit null is a wipe: {}", body(&plan));
}

#[test]
fn a_put_lays_the_manifest_over_azure_and_drops_to_the_default() {
    for field in plain_rows().filter(|field| optional(field) && field.change != Change::Replace) {
        let (a, b) = of(field);
        let held = full().with(|case| {
            set(case.live_mut(), field.wire, a.1.clone());
            case.set_manifest(field.manifest, a.0);
            case.remember_applied();
            case.applied.as_mut().unwrap().tags.clear();
        });
        let changed = held.clone().edit(field.manifest, b.0.clone()).drift("tags.team", Value::Null);
        assert_eq!(lookup(body(&changed.plan()), field.wire), Some(&field.to_wire(&b.0)), "{}", field.manifest);
        let dropped = held.drop_field(field.manifest).drift("tags.team", Value::Null);
        let default = field.default_on_wire(None);
        assert_eq!(lookup(body(&dropped.plan()), field.wire), Some(&default), "{}", field.manifest);
    }
}

#[test]
fn the_envelopes_location_stays_azures() {
    let plan = full().drift("location", json!("northeurope")).plan();
    assert_eq!(body(&plan)["location"], "northeurope");
    let unknown = full().with(|case| case.facts.workspace_location = None);
    assert_eq!(body(&unknown.plan())["location"], "westeurope");
}

#[test]
fn losing_a_system_assigned_identity_is_told() {
    let case = in_sync()
        .drift("identity", json!({"type": "SystemAssigned", "principalId": "p"}))
        .edit("spec.identity", json!({"type": "UserAssigned", "userAssignedIds": ["/a"]}));
    let told = |case: &Case| case.plan().side_effects.iter().any(|text| text.contains("role assignments"));
    assert!(told(&case));
    assert!(!told(&case.drift("identity", json!({"type": "UserAssigned", "userAssignedIdentities": {"/b": {}}}))));
}
