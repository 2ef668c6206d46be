//! Workspaces.

use crate::azure::{Azure, SUB, cluster, code, compute, ws};
use serde_json::{Value, json};

fn url(name: &str) -> String {
    format!("{SUB}/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces/{name}")
}

fn part(kind: &str) -> String {
    format!("{SUB}/resourceGroups/ml-rg/providers/{kind}/part")
}

fn body(identity: Value) -> Value {
    json!({"location": "West Europe", "identity": identity, "properties": {
        "storageAccount": part("Microsoft.Storage/storageAccounts"), "keyVault": part("Microsoft.KeyVault/vaults"),
        "applicationInsights": part("Microsoft.Insights/components")}})
}

fn with(path: &str, value: Value) -> Value {
    let mut body = body(json!({"type": "SystemAssigned"}));
    azure_sim::front::governance::place(&mut body, path, value);
    body
}

/// Create one and wait for its end.
fn make(azure: &mut Azure, name: &str, body: Value) {
    let got = azure.put(&url(name), body);
    assert_eq!(got.status, 202, "{}", got.body);
    azure.skip("60s");
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

#[test]
fn settings_are_strict() {
    let mut azure = Azure::new();
    let user = part("Microsoft.ManagedIdentity/userAssignedIdentities");
    let users = json!({"type": "UserAssigned", "userAssignedIdentities": {user.clone(): {}}});
    let rule = |rule: Value| json!({"isolationMode": "AllowOnlyApprovedOutbound", "outboundRules": {"r": rule}});
    for (path, value, wrong) in [
        ("properties.managedNetwork", json!({"isolationMode": "Open"}), "InvalidRequestContent"),
        ("properties.managedNetwork", json!({"mode": "Disabled"}), "InvalidRequestContent"),
        (
            "properties.managedNetwork",
            rule(json!({"type": "FQDN", "destination": {"serviceTag": "x"}})),
            "InvalidRequestContent",
        ),
        ("properties.managedNetwork", rule(json!({"type": "ServiceTag", "destination": "x"})), "InvalidRequestContent"),
        (
            "properties.managedNetwork",
            rule(json!({"type": "PrivateEndpoint", "destination": {"sparkEnabled": true}})),
            "InvalidRequestContent",
        ),
        ("properties.managedNetwork", rule(json!({"type": "FQDN"})), "ValidationError"),
        ("properties.encryption", json!({"status": "Enabled"}), "InvalidRequestContent"),
        ("properties.serverlessComputeSettings", json!({"subnet": "x"}), "InvalidRequestContent"),
        ("properties.publicNetworkAccess", json!("Maybe"), "InvalidRequestContent"),
        ("properties.systemDatastoresAuthMode", json!("Key"), "InvalidRequestContent"),
        ("properties.storageAccount", json!("store"), "ValidationError"),
        ("properties.keyVault", json!(part("Microsoft.Storage/storageAccounts")), "ValidationError"),
        ("properties.containerRegistry", json!("/r"), "ValidationError"),
        ("identity", users.clone(), "ValidationError"),
        ("kind", json!("Project"), "ValidationError"),
    ] {
        let got = azure.put(&url("new-ws"), with(path, value.clone()));
        assert_eq!((got.status, code(&got)), (400, wrong), "{path} {value} {}", got.body);
    }
    let mut good = with("identity", users);
    good["properties"]["primaryUserAssignedIdentity"] = json!(user);
    good["properties"]["hbiWorkspace"] = json!(true);
    good["properties"]["imageBuildCompute"] = json!("builder");
    good["properties"]["encryption"] = json!({"status": "Enabled", "keyVaultProperties": {
        "keyIdentifier": "https://v/keys/k/1", "keyVaultArmId": part("Microsoft.KeyVault/vaults")}});
    make(&mut azure, "new-ws", good.clone());
    let got = azure.get(&url("new-ws")).body["properties"].clone();
    assert_eq!((&got["hbiWorkspace"], &got["imageBuildCompute"]), (&json!(true), &json!("builder")));
    assert_eq!(got["encryption"]["status"], "Enabled");
    for (field, value) in [
        ("hbiWorkspace", json!(false)),
        ("encryption", Value::Null),
        ("keyVault", json!(part("Microsoft.KeyVault/vaults") + "2")),
    ] {
        let mut changed = good.clone();
        changed["properties"][field] = value;
        let got = azure.put(&url("new-ws"), changed);
        assert_eq!((got.status, code(&got)), (400, "PropertyChangeNotAllowed"), "{field}");
    }
    azure.delete(&url("new-ws"));
    azure.skip("60s");
    assert_eq!(azure.put(&url("new-ws"), good).status, 202, "only user-assigned identities: no soft deletion");
}

#[test]
fn a_managed_network_comes_up_with_the_first_compute_and_stays() {
    let mut azure = Azure::new();
    let network = json!({"isolationMode": "AllowOnlyApprovedOutbound", "outboundRules": {
        "pypi": {"type": "FQDN", "destination": "pypi.org"},
        "tag": {"type": "ServiceTag", "destination": {"serviceTag": "DataFactory", "protocol": "TCP", "portRanges": "80"}}}});
    make(&mut azure, "net-ws", with("properties.managedNetwork", network));
    let shown = |azure: &mut Azure, name: &str| azure.get(&url(name)).body["properties"]["managedNetwork"].clone();
    let before = shown(&mut azure, "net-ws");
    assert_eq!(before["status"], json!({"status": "Inactive", "sparkReady": false}));
    assert_eq!(before["outboundRules"]["pypi"]["category"], "UserDefined");
    assert!(before["networkId"].is_string());
    let cpu = format!("{}/computes/cpu", url("net-ws"));
    assert_eq!(azure.put(&cpu, cluster("Standard_DS3_v2", 0, 1)).status, 201);
    azure.skip("90s");
    let after = shown(&mut azure, "net-ws");
    assert_eq!(
        (&after["status"]["status"], &after["outboundRules"]["pypi"]["status"]),
        (&json!("Active"), &json!("Active"))
    );
    let off =
        azure.call("PATCH", &url("net-ws"), json!({"properties": {"managedNetwork": {"isolationMode": "Disabled"}}}));
    assert_eq!((off.status, code(&off)), (400, "ValidationError"));
    let bare = azure.put(&url("net-ws"), body(json!({"type": "SystemAssigned"})));
    assert_eq!(bare.status, 400, "left out is off");
    let spark =
        azure.call("POST", &format!("{}/provisionManagedNetwork", url("net-ws")), json!({"includeSpark": true}));
    assert_eq!(spark.status, 202);
    let location = spark.header("location").unwrap().to_string();
    azure.skip("120s");
    assert_eq!(azure.exact("GET", &location, Value::Null).body["sparkReady"], true);
    let none = azure.call("POST", &format!("{}/provisionManagedNetwork", ws()), Value::Null);
    assert_eq!((none.status, code(&none)), (400, "ValidationError"));
    let mut now = with("properties.managedNetwork.isolationMode", json!("AllowInternetOutbound"));
    now["properties"]["provisionNetworkNow"] = json!(true);
    make(&mut azure, "now-ws", now);
    assert_eq!(shown(&mut azure, "now-ws")["status"]["status"], "Active");
}

#[test]
fn projects_belong_to_a_hub() {
    let mut azure = Azure::new();
    make(&mut azure, "the-hub", with("kind", json!("Hub")));
    let mut project = json!({"location": "westeurope", "kind": "Project", "identity": {"type": "SystemAssigned"},
        "properties": {"hubResourceId": url("the-hub")}});
    make(&mut azure, "project", project.clone());
    assert_eq!(azure.get(&url("the-hub")).body["properties"]["associatedWorkspaces"], json!([url("project")]));
    let all = format!("{SUB}/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces?kind=Project");
    assert_eq!(azure.get(&all).body["value"][0]["name"], "project");
    project["kind"] = json!("Default");
    assert_eq!(code(&azure.put(&url("project"), project)), "PropertyChangeNotAllowed");
    let held = azure.delete(&url("the-hub"));
    assert_eq!((held.status, code(&held)), (409, "Conflict"));
    azure.delete(&url("project"));
    azure.skip("60s");
    assert_eq!(azure.delete(&url("the-hub")).status, 202);
}
