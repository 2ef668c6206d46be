//! Workspaces.

use crate::azure::{Azure, SUB, cluster, code, compute, ws};
use serde_json::{Value, json};

fn url(name: &str) -> String {
    format!("{SUB}/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces/{name}")
}

fn body(identity: Value) -> Value {
    json!({"location": "West Europe", "identity": identity, "properties": {
        "storageAccount": "/s", "keyVault": "/k", "applicationInsights": "/a"}})
}

#[test]
fn created_by_an_operation_with_an_empty_answer() {
    let mut azure = Azure::new();
    let got = azure.put(&url("new-ws"), body(json!({"type": "SystemAssigned"})));
    assert_eq!((got.status, got.bytes().len()), (202, 0));
    let status = got.header("azure-asyncoperation").unwrap().to_string();
    let location = got.header("location").unwrap().to_string();
    assert!(status.contains("workspaceOperationsStatus") && status.contains("type=async"));
    assert!(got.header("retry-after").is_some());
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 202);
    assert_eq!(azure.get(&url("new-ws")).body["properties"]["provisioningState"], "Creating");
    azure.wait("60s");
    assert_eq!(azure.exact("GET", &status, Value::Null).body["status"], "Succeeded");
    assert_eq!(azure.exact("GET", &location, Value::Null).body["name"], "new-ws");
    let keys = azure.call("POST", &format!("{}/listKeys", url("new-ws")), Value::Null);
    assert!(keys.body["userStorageKey"].is_string());
}

#[test]
fn what_a_put_refuses() {
    let mut azure = Azure::new();
    let mut bare = body(Value::Null);
    bare["properties"].as_object_mut().unwrap().remove("keyVault");
    let mut odd = body(Value::Null);
    odd["properties"]["colour"] = json!("blue");
    let mut far = body(Value::Null);
    far["location"] = json!("mars");
    for (name, body, wrong) in [
        ("new-ws", bare, "ValidationError"),
        ("new-ws", odd, "InvalidRequestContent"),
        ("new-ws", far, "LocationNotAvailableForResourceType"),
        ("-ws", body(Value::Null), "ValidationError"),
    ] {
        let got = azure.put(&url(name), body);
        assert_eq!((got.status, code(&got)), (400, wrong));
    }
}

#[test]
fn patch_changes_tags_and_what_may_change() {
    let mut azure = Azure::new();
    let got = azure.call("PATCH", &ws(), json!({"tags": {"a": "b"}, "properties": {"description": "d"}}));
    assert_eq!(
        (got.status, &got.body["tags"]["a"], &got.body["properties"]["description"]),
        (200, &json!("b"), &json!("d"))
    );
    assert_eq!(azure.call("PATCH", &ws(), json!({"location": "x"})).status, 400);
}

#[test]
fn soft_deletion_keeps_the_name_until_it_is_purged() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    let id = azure.get(&ws()).body["properties"]["workspaceId"].clone();
    assert_eq!(azure.delete(&ws()).status, 202);
    azure.wait("60s");
    assert_eq!(azure.get(&ws()).status, 404);
    assert_eq!(azure.get(&compute("cpu")).status, 404, "its computes go with it");
    let again = azure.put(&ws(), body(json!({"type": "SystemAssigned"})));
    assert_eq!(again.status, 400);
    assert_eq!(again.body["error"]["message"], "Soft-deleted workspace exists. Please purge or recover it.");
    assert_eq!(azure.delete(&format!("{}?forceToPurge=true", ws())).status, 204);
    assert_eq!(azure.put(&ws(), body(json!({"type": "SystemAssigned"}))).status, 202);
    azure.wait("60s");
    assert_ne!(azure.get(&ws()).body["properties"]["workspaceId"], id);
    azure.delete(&format!("{}?forceToPurge=true", ws()));
    azure.wait("60s");
    assert_eq!(azure.put(&ws(), body(Value::Null)).status, 202, "purged at once");
}

#[test]
fn lists_by_group_and_subscription() {
    let mut azure = Azure::new();
    for base in [format!("{SUB}/resourceGroups/ml-rg"), SUB.to_string()] {
        let got = azure.get(&format!("{base}/providers/Microsoft.MachineLearningServices/workspaces"));
        assert_eq!(got.body["value"][0]["name"], "research-ws");
    }
    let hubs = azure.get(&format!("{SUB}/providers/Microsoft.MachineLearningServices/workspaces?kind=Hub"));
    assert_eq!(hubs.body["value"], json!([]));
}

#[test]
fn a_managed_network_allows_no_subnet_and_no_other_region() {
    let mut azure = Azure::new();
    azure.call("PATCH", &ws(), json!({"properties": {"managedNetwork": {"isolationMode": "AllowInternetOutbound"}}}));
    let mut far = cluster("Standard_DS3_v2", 0, 4);
    far["properties"]["computeLocation"] = json!("northeurope");
    assert_eq!(azure.put(&compute("cpu"), far).status, 400);
    let mut near = cluster("Standard_DS3_v2", 0, 4);
    near["properties"]["properties"]["subnet"] = json!({"id": format!("{SUB}/x/y")});
    assert_eq!(azure.put(&compute("cpu"), near).status, 400);
}
