//! Clusters over the API: create, read, update, delete.

use crate::azure::{Azure, cluster, code, compute, world, ws};
use azure_sim::{
    ml::ctx::{Assumed, Lists, Options, UnknownFields},
    world::Lapse,
};
use serde_json::{Value, json};

fn patch(azure: &mut Azure, name: &str, scale: Value) -> azure_sim::front::http::Answer {
    azure.call("PATCH", &compute(name), json!({"properties": {"properties": {"scaleSettings": scale}}}))
}

#[test]
fn a_creation_from_201_to_succeeded() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["tags"] = json!({"team": "a"});
    body["sku"] = json!({"name": "Basic"});
    let made = azure.put(&compute("gpu"), body);
    assert_eq!(made.status, 201);
    assert_eq!(made.body["sku"], json!({"name": "Basic"}));
    assert_eq!(made.body["properties"]["provisioningState"], "Creating");
    assert_eq!(made.body["properties"]["properties"]["vmSize"], "STANDARD_DS3_V2");
    assert_eq!(made.body["properties"]["properties"]["nodeStateCounts"], Value::Null);
    assert!(made.header("location").is_none(), "only the status URL comes with a PUT");
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    assert!(url.len() > 3000, "{}", url.len());
    assert!(url.contains("/locations/westeurope/computeOperationsStatus/"));
    assert_eq!(azure.exact("GET", &url, Value::Null).body["status"], "InProgress");
    azure.wait("90s");
    let ended = azure.exact("GET", &url, Value::Null);
    assert_eq!(ended.body["status"], "Succeeded");
    assert_eq!(ended.body["percentComplete"], 100.0);
    let got = azure.get(&compute("GPU"));
    assert_eq!(got.body["properties"]["provisioningState"], "Succeeded");
    assert_eq!(got.body["tags"], json!({"team": "a"}));
    let created = got.body["properties"]["createdOn"].as_str().unwrap();
    assert!(created.ends_with("+00:00") && created.len() == 33, "{created}");
}

#[test]
fn an_operation_url_is_opaque() {
    let mut azure = Azure::new();
    let made = azure.put(&compute("gpu"), cluster("Standard_DS3_v2", 0, 4));
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    let cut = &url[..url.len() - 1];
    assert_eq!(azure.exact("GET", cut, Value::Null).status, 403);
    let other = url.replace("service=new", "service=old");
    assert_eq!(azure.exact("GET", &other, Value::Null).status, 403);
}

#[test]
fn what_a_put_refuses() {
    let mut azure = Azure::new();
    let with = |path: &str, value: Value| {
        let mut body = cluster("Standard_DS3_v2", 0, 4);
        azure_sim::front::governance::place(&mut body, path, value);
        body
    };
    for (name, body, status, expected) in [
        ("c-1", with("x", json!(1)), 400, "InvalidRequestContent"),
        ("cpu", with("properties.nodes", json!(1)), 400, "InvalidRequestContent"),
        ("cpu", with("properties.properties.scaleSettings.maxNodes", json!(1)), 400, "InvalidRequestContent"),
        ("cpu", with("properties.properties.scaleSettings.maxNodeCount", Value::Null), 400, "InvalidRequestContent"),
        ("cpu", with("properties.properties.vmPriority", json!("Spot")), 400, "InvalidRequestContent"),
        ("cpu", with("properties.properties.vmSize", Value::Null), 400, "InvalidPropertyValue"),
        ("cpu", with("properties.properties.scaleSettings.minNodeCount", json!(5)), 400, "InvalidPropertyValue"),
        ("cpu", with("properties.computeType", json!("AKS")), 400, "InvalidComputeType"),
        ("cpu", with("location", json!("northeurope")), 400, "InvalidLocation"),
        ("cpu", with("location", Value::Null), 400, "LocationRequired"),
        ("cpu", with("properties.computeLocation", json!("mars")), 400, "InvalidPropertyValue"),
        ("cpu-1", cluster("Standard_DS3_v2", 0, 4), 400, "ComputeNameNotAvailable"),
    ] {
        let got = azure.put(&compute(name), body.clone());
        assert_eq!((got.status, code(&got)), (status, expected), "{body} {}", got.body);
    }
    let got = azure.put(&compute("cpu"), with("properties.computeLocation", json!("northeurope")));
    assert_eq!(got.status, 201, "the nodes may be elsewhere");
}

#[test]
fn lenient_drops_unknown_fields() {
    let options = Options { unknown_fields: UnknownFields::Dropped, ..Options::default() };
    let mut azure = Azure::with(world(), options);
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["colour"] = json!("blue");
    let got = azure.put(&compute("cpu"), body);
    assert_eq!(got.status, 201);
    assert_eq!(got.body.get("colour"), None);
}

#[test]
fn sizes_and_quotas_fail_the_cluster_not_the_request() {
    let mut azure = Azure::new();
    for (name, size, priority, wrong, words) in [
        ("burst", "Standard_B2s", "Dedicated", "InvalidPropertyValue", "Standard_B2s".to_uppercase()),
        ("none", "Standard_XYZ", "Dedicated", "InvalidPropertyValue", "STANDARD_XYZ".into()),
        (
            "big",
            "Standard_NC96ads_A100_v4",
            "Dedicated",
            "ClusterMinNodesExceedCoreQuota",
            "Standard NCADSA100v4 family vCPU quota of 192 and cannot accomodate for at least 3".into(),
        ),
        (
            "low",
            "Standard_NC96ads_A100_v4",
            "LowPriority",
            "ClusterMinNodesExceedCoreQuota",
            "total vCPU quota of 200".into(),
        ),
    ] {
        let mut body = cluster(size, 3, 4);
        body["properties"]["properties"]["vmPriority"] = json!(priority);
        let made = azure.put(&compute(name), body);
        assert_eq!(made.status, 201, "{name}");
        let url = made.header("azure-asyncoperation").unwrap().to_string();
        azure.wait("90s");
        let ended = azure.exact("GET", &url, Value::Null);
        assert_eq!(
            (ended.status, &ended.body["status"], &ended.body["error"]["code"]),
            (200, &json!("Failed"), &json!(wrong))
        );
        let got = azure.get(&compute(name)).body;
        assert_eq!(got["properties"]["provisioningState"], "Failed");
        let error = &got["properties"]["provisioningErrors"][0]["error"];
        assert_eq!(error["code"], wrong);
        assert!(error["message"].as_str().unwrap().contains(&words), "{error}");
    }
    let details =
        azure.get(&compute("none")).body["properties"]["provisioningErrors"][0]["error"]["details"][0].clone();
    assert_eq!(details["code"], "SupportedVMSizes");
    assert!(details["message"].as_str().unwrap().contains("STANDARD_DS3_V2"));
    assert!(!details["message"].as_str().unwrap().contains("STANDARD_B2S"));
}

#[test]
fn an_update_by_put_wipes_what_it_leaves_out_and_creates_again() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 2, 4);
    body["tags"] = json!({"a": "b"});
    azure.make("cpu", body);
    let again = azure.put(&compute("cpu"), cluster("standard_ds3_v2", 0, 6));
    assert_eq!((again.status, &again.body["properties"]["provisioningState"]), (201, &json!("Creating")));
    assert_eq!(again.body["tags"], Value::Null);
    let busy = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 6));
    assert_eq!((busy.status, code(&busy)), (409, "Conflict"));
    azure.wait("20s");
    let inner = azure.inner("cpu");
    assert_eq!(
        inner["scaleSettings"],
        json!({"maxNodeCount": 6, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT2M"})
    );
}

#[test]
fn a_get_can_be_put_back() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["identity"] = json!({"type": "SystemAssigned"});
    azure.make("cpu", body);
    let live = azure.get(&compute("cpu")).body;
    assert!(live["identity"]["principalId"].is_string());
    let got = azure.put(&compute("cpu"), live.clone());
    assert_eq!(got.status, 201, "{}", got.body);
    assert_eq!(got.body["identity"], live["identity"]);
}

#[test]
fn fixed_fields_do_not_change_in_place() {
    for (assumed, path, value, refused) in [
        (Assumed::Refused, "properties.properties.vmSize", json!("Standard_D2_v2"), true),
        (Assumed::Refused, "properties.properties.remoteLoginPortPublicAccess", json!("Enabled"), true),
        (Assumed::Refused, "properties.description", json!("new"), true),
        (Assumed::Allowed, "properties.description", json!("new"), false),
        (Assumed::Allowed, "properties.properties.enableNodePublicIp", json!(false), true),
    ] {
        let mut azure = Azure::with(world(), Options { assumed, ..Options::default() });
        azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
        let mut body = cluster("Standard_DS3_v2", 0, 4);
        azure_sim::front::governance::place(&mut body, path, value);
        let got = azure.put(&compute("cpu"), body);
        assert_eq!(got.status == 400, refused, "{path} {}", got.body);
        if refused {
            assert_eq!(got.body["error"]["target"], path);
        }
    }
}

#[test]
fn secrets_come_back_null_and_are_needed_again() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["properties"]["properties"]["userAccountCredentials"] =
        json!({"adminUserName": "me", "adminUserPassword": "hunter2"});
    azure.make("cpu", body.clone());
    let got = azure.get(&compute("cpu")).body;
    let credentials = &got["properties"]["properties"]["userAccountCredentials"];
    assert_eq!(credentials, &json!({"adminUserName": "me", "adminUserPassword": null, "adminUserSshPublicKey": null}));
    assert_eq!(azure.put(&compute("cpu"), got).status, 400, "a null password would wipe it");
    assert_eq!(azure.put(&compute("cpu"), body).status, 201);
    let log = azure.admin("GET", "requests", Value::Null).to_string();
    let state = azure.admin("GET", "state", Value::Null).to_string();
    assert!(!log.contains("hunter2") && !state.contains("hunter2"));
}

#[test]
fn patch_takes_scale_and_nothing_else() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    let got =
        patch(&mut azure, "cpu", json!({"maxNodeCount": 9, "minNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT15M"}));
    assert_eq!((got.status, &got.body["properties"]["provisioningState"]), (200, &json!("Updating")));
    let location = got.header("location").unwrap().to_string();
    assert!(got.header("azure-asyncoperation").is_some());
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 202);
    azure.wait("20s");
    let done = azure.exact("GET", &location, Value::Null);
    assert_eq!(
        (done.status, &done.body["properties"]["properties"]["scaleSettings"]["maxNodeCount"]),
        (200, &json!(9))
    );
    let partial = patch(&mut azure, "cpu", json!({"minNodeCount": 1}));
    assert_eq!(code(&partial), "InvalidRequestContent");
    let tags = azure.call("PATCH", &compute("cpu"), json!({"tags": {"a": "b"}}));
    assert_eq!(code(&tags), "InvalidRequestContent");
    let missing = patch(&mut azure, "none", json!({"maxNodeCount": 9}));
    assert_eq!((missing.status, code(&missing)), (404, "ResourceNotFound"));
}

#[test]
fn a_delete_in_all_situations() {
    let mut azure = Azure::new();
    let delete =
        |azure: &mut Azure, name: &str| azure.delete(&format!("{}?underlyingResourceAction=Delete", compute(name)));
    assert_eq!(delete(&mut azure, "none").status, 204);
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    assert_eq!(azure.delete(&compute("cpu")).status, 400, "the action is required");
    let got = delete(&mut azure, "cpu");
    assert_eq!((got.status, got.bytes().len()), (202, 0));
    let (status, location) =
        (got.header("azure-asyncoperation").unwrap().to_string(), got.header("location").unwrap().to_string());
    assert_eq!(
        delete(&mut azure, "cpu").header("azure-asyncoperation").map(|u| u.split('?').next().unwrap().to_string()),
        Some(status.split('?').next().unwrap().to_string()),
        "a second delete joins the first"
    );
    assert_eq!(azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 4)).status, 409);
    azure.wait("60s");
    assert_eq!(azure.exact("GET", &status, Value::Null).body["status"], "Succeeded");
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 204);
    assert_eq!(azure.get(&compute("cpu")).status, 404);
}

#[test]
fn a_delete_overtakes_a_creation() {
    let mut azure = Azure::new();
    let made = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 1, 4));
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    let got = azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    assert_eq!(got.status, 202);
    assert_eq!(azure.exact("GET", &url, Value::Null).body["status"], "Canceled");
    azure.wait("10m");
    assert_eq!(azure.get(&compute("cpu")).status, 404);
}

#[test]
fn detach_leaves_a_hidden_cluster() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    azure.delete(&format!("{}?underlyingResourceAction=Detach", compute("cpu")));
    azure.wait("60s");
    assert_eq!(azure.get(&compute("cpu")).status, 404);
    assert_eq!(azure.get(&format!("{}/computes", ws())).body["value"], json!([]));
    azure.make("cpu", cluster("Standard_D2_v2", 0, 4));
    assert_eq!(azure.inner("cpu")["vmSize"], "STANDARD_DS3_V2", "the old one is back");
}

#[test]
fn lists_come_in_pages_and_may_be_sparse() {
    let mut world = world();
    world.page_size = Some(2);
    let mut azure = Azure::with(world, Options { lists: Lists::Sparse, ..Options::default() });
    for name in ["aaa", "bbb", "ccc", "ddd", "eee"] {
        azure.put(&compute(name), cluster("Standard_DS3_v2", 0, 4));
    }
    let mut url = format!("{}/computes?api-version=2025-12-01", ws());
    let mut names = Vec::new();
    let mut pages = 0;
    loop {
        let page = azure.exact("GET", &url, Value::Null).body;
        pages += 1;
        for item in page["value"].as_array().unwrap() {
            assert_eq!(item["properties"]["properties"].get("currentNodeCount"), None);
            names.push(item["name"].as_str().unwrap().to_string());
        }
        match page["nextLink"].as_str() {
            Some(next) => url = next.into(),
            None => break,
        }
    }
    assert_eq!((names.join(","), pages), ("aaa,bbb,ccc,ddd,eee".into(), 3));
}

#[test]
fn reads_follow_writes_late() {
    let mut world = world();
    world.consistency.read_after_write = Lapse(jiff::SignedDuration::from_secs(5));
    world.consistency.lists = Some(Lapse(jiff::SignedDuration::from_secs(30)));
    let mut azure = Azure::with(world, Options::default());
    let list = |azure: &mut Azure| azure.get(&format!("{}/computes", ws())).body["value"].clone();
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 4));
    assert_eq!(azure.get(&compute("cpu")).status, 404);
    azure.wait("5s");
    assert_eq!(azure.get(&compute("cpu")).status, 200);
    assert_eq!(list(&mut azure), json!([]));
    azure.wait("85s");
    assert_eq!(list(&mut azure)[0]["properties"]["provisioningState"], "Succeeded");
    patch(&mut azure, "cpu", json!({"maxNodeCount": 9}));
    assert_eq!(azure.inner("cpu")["scaleSettings"]["maxNodeCount"], 9);
    assert_eq!(list(&mut azure)[0]["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 4, "stale");
    azure.wait("31s");
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    azure.wait("61s");
    assert_eq!(azure.get(&compute("cpu")).status, 404);
    assert_eq!(list(&mut azure)[0]["name"], "cpu", "lists still show it");
    azure.wait("30s");
    assert_eq!(list(&mut azure), json!([]));
}

#[test]
fn computes_per_region_are_limited() {
    let mut azure = Azure::new();
    azure.admin(
        "POST",
        "quota",
        json!({
        "subscription": "00000000-0000-0000-0000-000000000001", "region": "westeurope", "computes": 1}),
    );
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    let got = azure.put(&compute("cpu2"), cluster("Standard_DS3_v2", 0, 4));
    assert_eq!(code(&got), "ComputeQuotaReached");
    let mut elsewhere = cluster("Standard_DS3_v2", 0, 4);
    elsewhere["properties"]["computeLocation"] = json!("northeurope");
    assert_eq!(azure.put(&compute("cpu2"), elsewhere).status, 201);
}

#[test]
fn a_subnet_and_an_identity_need_rights_where_they_are() {
    let mut world = world();
    world.principals[0].roles[0].scope = format!("{}/resourceGroups/ml-rg", crate::azure::SUB);
    let mut azure = Azure::with(world, Options::default());
    let net =
        format!("{}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s", crate::azure::SUB);
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["properties"]["properties"]["subnet"] = json!({"id": net});
    let got = azure.put(&compute("cpu"), body);
    assert_eq!((got.status, code(&got)), (403, "LinkedAuthorizationFailed"));
    assert!(got.body["error"]["message"].as_str().unwrap().contains("subnets/join/action"));
}
