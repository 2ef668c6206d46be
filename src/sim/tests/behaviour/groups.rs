//! Subscriptions, resource groups, providers, locks and policies.

use crate::azure::{Azure, SUB, cluster, code, compute, ws};
use serde_json::{Value, json};

#[test]
fn groups_come_and_go_with_what_is_in_them() {
    let mut azure = Azure::new();
    let group = format!("{SUB}/resourcegroups/other");
    assert_eq!(code(&azure.get(&group)), "ResourceGroupNotFound");
    assert_eq!(azure.put(&group, json!({"location": "mars"})).status, 400);
    assert_eq!(azure.put(&group, json!({"location": "westeurope", "tags": {"a": "b"}})).status, 201);
    assert_eq!(azure.put(&group, json!({"location": "westeurope"})).status, 200);
    assert_eq!(code(&azure.put(&group, json!({"location": "northeurope"}))), "InvalidResourceGroupLocation");
    assert_eq!(azure.get(&format!("{SUB}/resourcegroups")).body["value"].as_array().unwrap().len(), 2);

    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    let got = azure.delete(&format!("{SUB}/resourcegroups/ML-RG"));
    assert_eq!(got.status, 202);
    let location = got.header("location").unwrap().to_string();
    assert_eq!(code(&azure.put(&compute("new"), cluster("Standard_DS3_v2", 0, 4))), "ResourceGroupBeingDeleted");
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 202);
    azure.wait("90s");
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 200);
    assert_eq!(code(&azure.get(&compute("cpu"))), "ResourceGroupNotFound");
}

#[test]
fn the_parent_is_named() {
    let mut azure = Azure::new();
    let orphan = compute("cpu").replace("research-ws", "nowhere");
    assert_eq!(code(&azure.put(&orphan, cluster("Standard_DS3_v2", 0, 4))), "ParentResourceNotFound");
    assert_eq!(code(&azure.get(&orphan)), "ResourceNotFound");
    let no_group = compute("cpu").replace("ml-rg", "nowhere");
    assert_eq!(code(&azure.get(&no_group)), "ResourceGroupNotFound");
}

#[test]
fn providers_tell_their_versions() {
    let mut azure = Azure::new();
    let got = azure.exact("GET", "/providers/Microsoft.MachineLearningServices?api-version=2021-04-01", Value::Null);
    let computes =
        got.body["resourceTypes"].as_array().unwrap().iter().find(|t| t["resourceType"] == "workspaces/computes");
    let versions = &computes.unwrap()["apiVersions"];
    assert!(versions.as_array().unwrap().contains(&json!("2025-12-01")), "{versions}");
    let subs = azure.exact("GET", "/subscriptions?api-version=2022-12-01", Value::Null);
    assert_eq!(subs.body["value"][0]["displayName"], "Demo");
}

#[test]
fn locks_hold() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    azure.admin("POST", "locks", json!({"name": "l", "scope": ws(), "level": "CanNotDelete"}));
    let got = azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    assert_eq!((got.status, code(&got)), (409, "ScopeLocked"));
    assert_eq!(code(&azure.delete(&format!("{SUB}/resourcegroups/ml-rg"))), "ScopeLocked");
    assert_eq!(azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 5)).status, 201);
    azure.admin("POST", "locks", json!({"name": "l", "scope": SUB, "level": "ReadOnly"}));
    assert_eq!(code(&azure.put(&compute("new"), cluster("Standard_DS3_v2", 0, 5))), "ScopeLocked");
    azure.admin("DELETE", "locks/l", Value::Null);
    assert_eq!(azure.put(&compute("new"), cluster("Standard_DS3_v2", 0, 5)).status, 201);
}

#[test]
fn policies_deny_append_and_modify() {
    let mut azure = Azure::new();
    let kind = "Microsoft.MachineLearningServices/workspaces/computes";
    azure.admin(
        "POST",
        "policies",
        json!({"name": "small", "resourceType": kind, "effect": "deny", "when": [
        {"field": "properties.properties.vmSize", "in": ["Standard_NC24ads_A100_v4"]}]}),
    );
    azure.admin(
        "POST",
        "policies",
        json!({"name": "cost", "resourceType": kind, "effect": "append",
        "set": {"tags.costCentre": "42"}}),
    );
    let got = azure.put(&compute("gpu"), cluster("Standard_NC24ads_A100_v4", 0, 4));
    assert_eq!((got.status, code(&got)), (403, "RequestDisallowedByPolicy"));
    let info = &got.body["error"]["additionalInfo"][0];
    assert_eq!((&info["type"], &info["info"]["policyAssignmentName"]), (&json!("PolicyViolation"), &json!("small")));
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    assert_eq!(azure.get(&compute("cpu")).body["tags"], json!({"costCentre": "42"}));
}
