//! `/_sim/`: faults, the log, hands on the world, and a restart.

use crate::azure::{Azure, cluster, code, compute, world, ws};
use azure_sim::{
    clock::Clock,
    front::http::Delivery,
    journal::{Entry, replay},
    ml::ctx::Options,
    sim::Sim,
};
use serde_json::{Value, json};

fn fault(azure: &mut Azure, method: &str, fault: Value) {
    azure.admin("POST", "faults", json!({"match": {"method": method, "pathContains": "/computes"}, "fault": fault}));
}

#[test]
fn faults_that_answer() {
    let mut azure = Azure::new();
    fault(&mut azure, "GET", json!({"status": 503, "code": "ServerBusy", "retryAfter": 7, "headers": {"x-odd": "1"}}));
    let got = azure.get(&compute("cpu"));
    assert_eq!(
        (got.status, code(&got), got.header("retry-after"), got.header("x-odd")),
        (503, "ServerBusy", Some("7"), Some("1"))
    );
    assert_eq!(azure.get(&compute("cpu")).status, 404, "once");
    fault(&mut azure, "PUT", json!("rpThrottle"));
    let got = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!((got.status, got.header("x-aml-cluster").is_some()), (429, true), "the provider's own");
    fault(&mut azure, "PUT", json!({"retryableError": {"retryAfter": {"dateIn": 30}}}));
    let got = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!((got.status, code(&got)), (429, "RetryableError"));
    assert_eq!(got.header("retry-after"), Some("Mon, 23 Nov 2026 10:00:30 GMT"));
}

#[test]
fn faults_of_the_connection() {
    let mut azure = Azure::new();
    for (given, delivery, applied) in [
        (json!("reset"), Delivery::Reset, false),
        (json!("hang"), Delivery::Never, false),
        (json!("truncate"), Delivery::Truncated, true),
        (json!({"delay": "2s"}), Delivery::Delayed(std::time::Duration::from_secs(2)), true),
        (json!({"applyThenFail": "reset"}), Delivery::Reset, true),
    ] {
        let name =
            format!("c{}", given.to_string().chars().filter(char::is_ascii_alphabetic).take(20).collect::<String>());
        fault(&mut azure, "PUT", given.clone());
        let got = azure.put(&compute(&name), cluster("Standard_DS3_v2", 0, 1));
        assert_eq!(got.delivery, delivery, "{given}");
        assert_eq!(azure.get(&compute(&name)).status == 200, applied, "{given}");
    }
    fault(&mut azure, "PUT", json!("applyThenFail"));
    let got = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!(got.status, 500);
    assert_eq!(azure.get(&compute("cpu")).status, 200);
}

#[test]
fn faults_of_operations() {
    let mut azure = Azure::new();
    fault(&mut azure, "PUT", json!({"operationFails": {"code": "OutOfCapacity", "message": "none left"}}));
    let made = azure.put(&compute("one"), cluster("Standard_DS3_v2", 0, 1));
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    azure.wait("90s");
    assert_eq!(
        azure.exact("GET", &url, Value::Null).body["error"],
        json!({"code": "OutOfCapacity", "message": "none left"})
    );
    assert_eq!(azure.get(&compute("one")).body["properties"]["provisioningState"], "Failed");

    fault(&mut azure, "PUT", json!("operationNeverEnds"));
    azure.put(&compute("two"), cluster("Standard_DS3_v2", 0, 1));
    azure.wait("10h");
    azure.sign_in(crate::azure::CLIENT, "demo-only-not-a-secret");
    assert_eq!(azure.get(&compute("two")).body["properties"]["provisioningState"], "Creating");

    fault(&mut azure, "PUT", json!("operationUrlLost"));
    assert!(azure.put(&compute("three"), cluster("Standard_DS3_v2", 0, 1)).header("azure-asyncoperation").is_none());
}

#[test]
fn a_value_that_is_not_kept() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 0, 4);
    body["tags"] = json!({"a": "b"});
    fault(&mut azure, "PUT", json!({"notHonoured": {"field": "tags"}}));
    azure.make("cpu", body.clone());
    assert_eq!(azure.get(&compute("cpu")).body["tags"], Value::Null);
    fault(&mut azure, "PATCH", json!({"notHonoured": {"field": "properties.properties.scaleSettings.maxNodeCount"}}));
    let patch = json!({"properties": {"properties": {"scaleSettings": {"minNodeCount": 1, "maxNodeCount": 9}}}});
    assert_eq!(azure.call("PATCH", &compute("cpu"), patch).status, 200);
    let scale = azure.inner("cpu")["scaleSettings"].clone();
    assert_eq!((&scale["minNodeCount"], &scale["maxNodeCount"]), (&json!(1), &json!(4)));
}

#[test]
fn an_outage_ends() {
    let mut azure = Azure::new();
    azure.admin("POST", "outage", json!({"on": true, "for": "30s"}));
    assert_eq!(azure.get(&ws()).status, 503);
    azure.wait("30s");
    assert_eq!(azure.get(&ws()).status, 200);
    azure.admin("POST", "outage", json!({"on": true, "reset": true}));
    assert_eq!(azure.get(&ws()).delivery, Delivery::Reset);
    azure.admin("POST", "outage", json!({"on": false}));
    assert_eq!(azure.get(&ws()).status, 200);
}

#[test]
fn a_failed_update_leaves_the_cluster_as_it_was() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    fault(&mut azure, "PUT", json!("operationFails"));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 9));
    azure.wait("20s");
    let got = azure.get(&compute("cpu")).body["properties"].clone();
    assert_eq!(
        (&got["provisioningState"], &got["properties"]["scaleSettings"]["maxNodeCount"]),
        (&json!("Failed"), &json!(4))
    );
}

#[test]
fn the_log_can_be_searched_and_emptied() {
    let mut azure = Azure::new();
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 4));
    azure.get(&compute("cpu"));
    let puts = azure.admin("GET", "requests?method=put&path=/COMPUTES/cpu", Value::Null);
    assert_eq!((&puts["count"], &puts["value"][0]["status"]), (&json!(1), &json!(201)));
    assert_eq!(puts["value"][0]["body"]["location"], "westeurope");
    assert_eq!(puts["value"][0]["principal"], crate::azure::CLIENT);
    let last = puts["last"].as_u64().unwrap();
    assert_eq!(azure.admin("GET", &format!("requests?since={last}"), Value::Null)["count"], 0);
    azure.admin("DELETE", "requests", Value::Null);
    azure.get(&ws());
    let all = azure.admin("GET", "requests", Value::Null);
    assert_eq!((&all["count"], all["last"].as_u64().unwrap()), (&json!(1), last + 1));
}

#[test]
fn somebody_else_changes_things() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    let by_hand = format!("compute{}", compute("cpu"));
    azure.admin(
        "POST",
        &by_hand,
        json!({"tags": {"theirs": "1"}, "properties": {"provisioningState": "Unknown",
        "properties": {"scaleSettings": {"maxNodeCount": 2}}}}),
    );
    let got = azure.get(&compute("cpu")).body;
    assert_eq!(got["tags"], json!({"theirs": "1"}));
    assert_eq!(got["properties"]["provisioningState"], "Unknown");
    assert_eq!(got["properties"]["properties"]["scaleSettings"]["maxNodeCount"], 2);
    azure.admin("POST", &by_hand, json!({"tags": {"theirs": null}, "properties": {"provisioningState": null}}));
    let got = azure.get(&compute("cpu")).body;
    assert_eq!((&got["tags"], &got["properties"]["provisioningState"]), (&json!({}), &json!("Succeeded")));
    azure.admin("DELETE", &by_hand, Value::Null);
    assert_eq!(azure.get(&compute("cpu")).status, 404);
    assert_eq!(azure.exact("DELETE", &format!("/_sim/{by_hand}"), Value::Null).status, 400);
}

#[test]
fn the_clock_can_be_put_forward() {
    let mut azure = Azure::new();
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 4));
    azure.admin("POST", "clock", json!({"advance": "10m"}));
    assert_eq!(azure.get(&compute("cpu")).body["properties"]["provisioningState"], "Succeeded");
}

/// End the service and start it again from these files, at 10:00 and so many seconds.
fn restart(azure: &mut Azure, snapshot: &[u8], journal: Vec<Entry>, second: u32) {
    let clock = Clock::manual(format!("2026-11-23T10:00:{second:02}Z").parse().unwrap(), 1.0);
    azure.sim = Sim::resume(world(), Options::default(), serde_json::from_slice(snapshot).unwrap(), clock).unwrap();
    replay(&mut azure.sim, journal);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut azure = Azure::new();
    let made = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 1, 4));
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    azure.wait("10s");
    let file = serde_json::to_vec(&azure.sim.state).unwrap();
    restart(&mut azure, &file, Vec::new(), 40);
    assert_eq!(azure.exact("GET", &url, Value::Null).body["status"], "InProgress", "tokens and URLs still count");
    azure.wait("50s");
    assert_eq!(azure.exact("GET", &url, Value::Null).body["status"], "Succeeded");
    azure.wait("150s");
    assert_eq!(azure.inner("cpu")["nodeStateCounts"]["idleNodeCount"], 1);
}

#[test]
fn the_journal_makes_the_same_state_again() {
    let mut azure = Azure::new();
    let start = serde_json::to_vec(&azure.sim.state).unwrap();
    azure.sim.keep_journal();
    fault(&mut azure, "PUT", json!({"operationFails": {"code": "OutOfCapacity"}}));
    azure.put(&compute("bad"), cluster("Standard_DS3_v2", 0, 1));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 2, 4));
    azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 2, 4));
    azure.wait("10s");
    azure.admin("POST", "clock", json!({"advance": "10m"}));
    azure.admin("POST", &format!("compute{}", compute("cpu")), json!({"tags": {"theirs": "1"}}));
    azure.get(&compute("cpu"));
    azure.admin("POST", "principals/new", json!({"tenant": crate::azure::TENANT, "secret": "s"}));
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("bad")));
    let journal: Vec<Entry> = azure.sim.take_journal();
    assert_eq!(journal.len(), 6, "neither reads nor what was refused");
    let text = serde_json::to_string(&journal).unwrap();
    let mut again = Azure::new();
    restart(&mut again, &start, serde_json::from_str(&text).unwrap(), 10);
    let state = |azure: &Azure| serde_json::to_value(&azure.sim.state).unwrap();
    assert_eq!(state(&again), state(&azure));
    assert_eq!(again.sim.clock.now().virt, azure.sim.clock.now().virt);
}

#[test]
fn mistakes_are_named() {
    let mut azure = Azure::new();
    for (method, path, body, words) in [
        ("POST", "faults", json!({"fault": "flood"}), "flood"),
        ("POST", "faults", json!({"mach": {}, "fault": "reset"}), "mach"),
        ("POST", "clock", json!({"advance": "soon"}), "soon"),
        ("POST", "principals/nobody", json!({}), "tenant"),
        ("POST", "quota", json!({"subscription": "x", "region": "y"}), "x/y"),
    ] {
        let got = azure.exact(method, &format!("/_sim/{path}"), body);
        assert_eq!(got.status, 400);
        assert!(got.body["error"]["message"].as_str().unwrap().contains(words), "{}", got.body);
    }
    assert_eq!(azure.exact("GET", "/_sim/nothing", Value::Null).status, 404);
}
