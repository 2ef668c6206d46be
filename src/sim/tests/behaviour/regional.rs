//! Usages, sizes, quotas.

use crate::azure::{Azure, SUB, cluster, compute, ws};
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
    azure.call(
        "PATCH",
        &compute("cpu"),
        json!({"properties": {"properties": {"scaleSettings": {
        "minNodeCount": 5, "maxNodeCount": 8}}}}),
    );
    azure.wait("5m");
    assert_eq!(azure.inner("cpu")["currentNodeCount"], 3, "twelve cores at four a node");
}
