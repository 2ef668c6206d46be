//! Usages, sizes, quotas.

use crate::azure::{Azure, SUB, cluster, compute, world, ws};
use azure_sim::ml::ctx::Options;
use serde_json::{Value, json};

fn region(what: &str) -> String {
    format!("{SUB}/providers/Microsoft.MachineLearningServices/locations/WestEurope/{what}")
}

fn usage(azure: &mut Azure, name: &str) -> (i64, i64) {
    let got = azure.get(&region("usages")).body;
    let item = got["value"].as_array().unwrap().iter().find(|i| i["name"]["value"] == name).unwrap().clone();
    (item["currentValue"].as_i64().unwrap(), item["limit"].as_i64().unwrap())
}

#[test]
fn usages_count_nodes_wanted_and_given() {
    let mut azure = Azure::new();
    let family = "Standard DSv2 Family Cluster Dedicated vCPUs";
    assert_eq!(usage(&mut azure, family), (0, 100));
    azure.make("cpu", cluster("Standard_DS3_v2", 2, 4));
    assert_eq!(usage(&mut azure, family), (8, 100), "asked for, not yet there");
    assert_eq!(usage(&mut azure, "Clusters"), (1, 500));
    assert_eq!(usage(&mut azure, "Total Cluster Dedicated Regional vCPUs"), (8, 500));
    let got = azure.get(&region("usages")).body;
    let item = got["value"].as_array().unwrap().iter().find(|i| i["name"]["value"] == family).unwrap();
    assert!(item["id"].as_str().unwrap().ends_with("/usages/Standard_DSv2_Family_Cluster_Dedicated_vCPUs"));
    assert!(item["type"].as_str().unwrap().ends_with("/vmFamily/usages"));
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    azure.wait("60s");
    assert_eq!(usage(&mut azure, family), (0, 100));
}

#[test]
fn sizes_list_more_than_can_be_created() {
    let mut azure = Azure::new();
    let got = azure.get(&region("vmSizes")).body;
    let find = |name: &str| got["value"].as_array().unwrap().iter().find(|i| i["name"] == name).cloned();
    assert!(find("Standard_B2s").is_some());
    let a100 = find("Standard_NC24ads_A100_v4").unwrap();
    assert_eq!((&a100["vCPUs"], &a100["gpus"], &a100["memoryGB"]), (&json!(24), &json!(1), &json!(220.0)));
    let nowhere = azure.get(&region("vmSizes").replace("WestEurope", "mars"));
    assert_eq!(nowhere.body["error"]["code"], "NoRegisteredProviderFound");
}

#[test]
fn a_workspace_can_be_capped() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 1, 8));
    let item = |id: String, limit: i64| json!({"id": id, "type": "Microsoft.MachineLearningServices/workspaces/quotas", "limit": limit, "unit": "Count"});
    let family = format!("{}/quotas/standardDSv2Family", ws());
    let got = azure.call(
        "POST",
        &region("updateQuotas"),
        json!({"value": [
            item(family.clone(), 12),
            item(format!("{}/quotas/noFamily", ws()), 1),
            item(family.clone(), 1000),
            item(family, 3),
        ]}),
    );
    let statuses: Vec<&Value> = got.body["value"].as_array().unwrap().iter().map(|i| &i["status"]).collect();
    assert_eq!(
        statuses,
        ["Success", "InvalidVMFamilyName", "InvalidQuotaExceedsSubscriptionLimit", "InvalidQuotaBelowClusterMinimum"]
    );
    let quotas = azure.get(&region("quotas")).body;
    let capped =
        quotas["value"].as_array().unwrap().iter().find(|q| q["name"]["value"] == "standardDSv2Family").unwrap();
    assert_eq!(capped["limit"], 12);
    azure.wait("5m");
    azure.make("two", cluster("Standard_DS3_v2", 3, 3));
    azure.wait("5m");
    assert_eq!(azure.inner("two")["currentNodeCount"], 2, "twelve cores at four a node, one of them given");
    assert_eq!(azure.inner("two")["errors"][0]["error"]["code"], "ClusterCoreQuotaReached");
    let scale = json!({"properties": {"properties": {"scaleSettings": {"minNodeCount": 5, "maxNodeCount": 8}}}});
    azure.call("PATCH", &compute("cpu"), scale);
    azure.wait("5m");
    let failed = azure.get(&compute("cpu")).body["properties"]["provisioningErrors"][0]["error"]["code"].clone();
    assert_eq!(failed, "ClusterMinNodesExceedCoreQuota");
}

/// Code and message of a creation that failed.
fn failure(azure: &mut Azure, name: &str, body: Value) -> (String, String) {
    azure.make(name, body);
    let got = azure.get(&compute(name)).body["properties"].clone();
    let error = &got["provisioningErrors"][0]["error"];
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_string();
    (text("code"), text("message"))
}

fn quota(azure: &mut Azure, what: &str, limit: i64) {
    let mut change = json!({"subscription": "00000000-0000-0000-0000-000000000001", "region": "westeurope"});
    change[what] = json!(limit);
    azure.admin("POST", "quota", change);
}

#[test]
fn every_limit_of_cores_is_enforced() {
    let mut azure = Azure::new();
    let item = json!({"id": format!("{}/quotas/standardDSv2Family", ws()),
        "type": "Microsoft.MachineLearningServices/workspaces/quotas", "limit": 8, "unit": "Count"});
    assert_eq!(
        azure.call("POST", &region("updateQuotas"), json!({"value": [item]})).body["value"][0]["status"],
        "Success"
    );
    let (code, message) = failure(&mut azure, "capped", cluster("Standard_DS3_v2", 3, 3));
    assert_eq!(code, "ClusterMinNodesExceedCoreQuota");
    assert!(message.contains("The specified workspace has a Standard DSv2 family vCPU quota of 8"), "{message}");
    quota(&mut azure, "dedicatedCores", 10);
    let (code, message) = failure(&mut azure, "total", cluster("Standard_D4_v2", 2, 2));
    assert_eq!(code, "ClusterMinNodesExceedCoreQuota");
    assert!(message.contains("subscription has a total vCPU quota of 10"), "{message}");
    assert_eq!(failure(&mut azure, "fits", cluster("Standard_DS3_v2", 2, 2)).0, "");
    assert_eq!(
        failure(&mut azure, "none", crate::azure::instance("Standard_DS3_v2")).0,
        "",
        "an instance takes longer"
    );
    azure.skip("90s");
    let error = azure.get(&compute("none")).body["properties"]["provisioningErrors"][0]["error"].clone();
    assert_eq!(error["code"], "ClusterCoreQuotaReached", "ten cores, eight of them taken");
}

#[test]
fn a_quota_that_shrinks_takes_no_node_away() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 2, 4));
    azure.skip("3m");
    azure.admin(
        "POST",
        "quota",
        json!({"subscription": "00000000-0000-0000-0000-000000000001", "region": "westeurope",
        "family": "standardDSv2Family", "limit": 4}),
    );
    azure.skip("1h");
    assert_eq!(azure.inner("cpu")["currentNodeCount"], 2);
    assert_eq!(usage(&mut azure, "Standard DSv2 Family Cluster Dedicated vCPUs"), (8, 4));
    let scale = json!({"properties": {"properties": {"scaleSettings": {"minNodeCount": 2, "maxNodeCount": 5}}}});
    azure.call("PATCH", &compute("cpu"), scale);
    azure.skip("20s");
    let got = azure.get(&compute("cpu")).body["properties"].clone();
    assert_eq!(got["provisioningErrors"][0]["error"]["code"], "ClusterMinNodesExceedCoreQuota");
    assert_eq!(got["properties"]["scaleSettings"]["maxNodeCount"], 4, "as it was");
}

#[test]
fn a_retired_size_gives_nothing_new() {
    let mut azure = Azure::new();
    azure.make("old", cluster("Standard_DS3_v2", 1, 2));
    let retire = |azure: &mut Azure, retired: bool| {
        azure.admin("POST", "sizes", json!({"region": "westeurope", "size": "standard_ds3_v2", "retired": retired}))
    };
    retire(&mut azure, true);
    let listed = azure.get(&region("vmSizes")).body.to_string();
    assert!(!listed.contains("Standard_DS3_v2"));
    let (code, message) = failure(&mut azure, "new", cluster("Standard_DS3_v2", 0, 2));
    assert_eq!(code, "InvalidPropertyValue");
    assert!(message.contains("not a supported VM size"));
    azure.skip("10m");
    assert_eq!(azure.inner("old")["currentNodeCount"], 1);
    retire(&mut azure, false);
    assert_eq!(failure(&mut azure, "again", cluster("Standard_DS3_v2", 0, 2)).0, "");
    let wrong =
        azure.exact("POST", "/_sim/sizes", json!({"region": "westeurope", "size": "Standard_X", "retired": true}));
    assert_eq!(wrong.status, 400);
}

#[test]
fn prices_by_tier_where_there_are_any() {
    let mut world = world();
    let priced = json!({"name": "Standard_P", "family": "pFamily", "vcpus": 1, "memoryMb": 1024, "pricePerHour": 2.5, "lowPricePerHour": 0.5});
    world.regions[0].sizes =
        Some(vec![serde_json::from_value(priced).unwrap(), serde_json::from_value(json!("Standard_DS3_v2")).unwrap()]);
    let mut azure = Azure::with(world, Options::default());
    let got = azure.get(&region("vmSizes")).body;
    let find = |name: &str| got["value"].as_array().unwrap().iter().find(|i| i["name"] == name).cloned().unwrap();
    assert_eq!(find("Standard_DS3_v2")["estimatedVMPrices"], Value::Null);
    assert_eq!(
        find("Standard_P")["estimatedVMPrices"]["values"],
        json!([
        {"retailPrice": 2.5, "osType": "Linux", "vmTier": "Standard"},
        {"retailPrice": 0.5, "osType": "Linux", "vmTier": "LowPriority"}])
    );
}
