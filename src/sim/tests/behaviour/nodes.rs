//! Nodes over time.

use crate::azure::{Azure, cluster, compute, world};
use azure_sim::ml::ctx::Options;
use serde_json::{Value, json};

/// Current, target, preparing, idle, running, leaving, preempted.
fn counts(azure: &mut Azure, name: &str) -> [i64; 7] {
    let inner = azure.inner(name);
    let states = &inner["nodeStateCounts"];
    let of = |name: &str| states[format!("{name}NodeCount")].as_i64().unwrap_or(-1);
    [
        inner["currentNodeCount"].as_i64().unwrap(),
        inner["targetNodeCount"].as_i64().unwrap(),
        of("preparing"),
        of("idle"),
        of("running"),
        of("leaving"),
        of("preempted"),
    ]
}

fn scale(azure: &mut Azure, name: &str, min: i64, max: i64) {
    let body = json!({"properties": {"properties": {"scaleSettings": {
        "minNodeCount": min, "maxNodeCount": max, "nodeIdleTimeBeforeScaleDown": "PT5M"}}}});
    let got = azure.call("PATCH", &compute(name), body);
    assert_eq!(got.status, 200, "{}", got.body);
}

#[test]
fn the_minimum_comes_up_at_once() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 2, 4));
    assert_eq!(counts(&mut azure, "cpu"), [0, 2, 0, 0, 0, 0, 0]);
    assert_eq!(azure.inner("cpu")["allocationState"], "Resizing", "although the operation has succeeded");
    azure.wait("30s");
    assert_eq!(counts(&mut azure, "cpu"), [2, 2, 2, 0, 0, 0, 0]);
    assert_eq!(azure.inner("cpu")["allocationState"], "Steady");
    azure.wait("120s");
    assert_eq!(counts(&mut azure, "cpu"), [2, 2, 0, 2, 0, 0, 0]);
    let nodes = azure.call("POST", &format!("{}/listNodes", compute("cpu")), Value::Null).body["nodes"].clone();
    assert_eq!(nodes.as_array().unwrap().len(), 2);
    assert_eq!(nodes[0]["nodeState"], "idle");
}

#[test]
fn a_lower_minimum_lets_idle_nodes_go_after_their_time() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 2, 4));
    azure.wait("150s");
    scale(&mut azure, "cpu", 0, 4);
    assert_eq!(counts(&mut azure, "cpu")[3], 2);
    azure.wait("299s");
    assert_eq!(counts(&mut azure, "cpu")[3], 2, "idle for less than five minutes");
    azure.wait("1s");
    assert_eq!(counts(&mut azure, "cpu"), [2, 0, 0, 0, 0, 2, 0]);
    azure.wait("30s");
    assert_eq!(counts(&mut azure, "cpu"), [0; 7]);
}

#[test]
fn a_lower_maximum_takes_idle_nodes_at_once() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 3, 4));
    azure.wait("150s");
    scale(&mut azure, "cpu", 1, 1);
    assert_eq!(counts(&mut azure, "cpu"), [3, 1, 0, 1, 0, 2, 0]);
}

#[test]
fn a_higher_minimum_moves_the_target() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    assert_eq!(counts(&mut azure, "cpu"), [0; 7]);
    scale(&mut azure, "cpu", 3, 4);
    assert_eq!(counts(&mut azure, "cpu")[1], 3);
    azure.wait("150s");
    assert_eq!(counts(&mut azure, "cpu"), [3, 3, 0, 3, 0, 0, 0]);
}

#[test]
fn nodes_beyond_the_quota_wait_for_it() {
    let mut azure = Azure::new();
    // 192 cores: eight nodes of 24.
    azure.make("one", cluster("Standard_NC24ads_A100_v4", 6, 8));
    azure.make("two", cluster("Standard_NC24ads_A100_v4", 4, 8));
    azure.wait("150s");
    assert_eq!(counts(&mut azure, "two")[..2], [2, 4]);
    let inner = azure.inner("two");
    assert_eq!(inner["errors"][0]["error"]["code"], "ClusterCoreQuotaReached");
    assert_eq!(inner["allocationState"], "Resizing");
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("one")));
    azure.wait("5m");
    assert_eq!(counts(&mut azure, "two")[..2], [4, 4]);
    assert_eq!(azure.inner("two")["errors"], Value::Null);
}

#[test]
fn a_lost_node_is_shown_and_replaced() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 2, 4);
    body["properties"]["properties"]["vmPriority"] = json!("LowPriority");
    azure.make("low", body);
    azure.wait("150s");
    assert_eq!(azure.admin("POST", "preempt", json!({"id": compute("low")}))["preempted"], 1);
    assert_eq!(counts(&mut azure, "low"), [1, 2, 0, 1, 0, 0, 1]);
    azure.wait("150s");
    assert_eq!(counts(&mut azure, "low"), [2, 2, 0, 2, 0, 0, 0]);
}

#[test]
fn losses_by_chance_depend_on_the_seed_only() {
    let run = || {
        let mut world = world();
        world.preemption.per_node_hour = 4.0;
        let mut azure = Azure::with(world, Options::default());
        let mut body = cluster("Standard_DS3_v2", 4, 4);
        body["properties"]["properties"]["vmPriority"] = json!("LowPriority");
        azure.make("low", body);
        let mut history = Vec::new();
        for _ in 0..120 {
            azure.skip("1m");
            history.push(counts(&mut azure, "low"));
        }
        history
    };
    let first = run();
    assert_eq!(first, run());
    assert!(first.iter().any(|c| c[6] > 0), "four nodes for two hours at four an hour");
}

#[test]
fn looking_often_changes_nothing() {
    let run = |steps: usize| {
        let mut azure = Azure::new();
        azure.make("cpu", cluster("Standard_DS3_v2", 2, 4));
        scale(&mut azure, "cpu", 0, 4);
        for _ in 0..steps {
            azure.wait(&format!("{}s", 600 / steps));
            azure.get(&compute("cpu"));
        }
        azure.inner("cpu")
    };
    assert_eq!(run(1), run(60));
}

#[test]
fn unusable_nodes_are_told_and_not_replaced_below_the_maximum() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 2, 2));
    azure.wait("150s");
    azure.admin("POST", "unusable", json!({"id": compute("cpu")}));
    let inner = azure.inner("cpu");
    assert_eq!(
        (&inner["nodeStateCounts"]["unusableNodeCount"], &inner["nodeStateCounts"]["idleNodeCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(inner["errors"][0]["error"]["code"], "UnusableNodes");
    let nodes = azure.call("POST", &format!("{}/listNodes", compute("cpu")), Value::Null).body["nodes"].clone();
    assert!(nodes.as_array().unwrap().iter().any(|n| n["nodeState"] == "unusable"));
    scale(&mut azure, "cpu", 0, 1);
    azure.wait("60s");
    let inner = azure.inner("cpu");
    assert_eq!(
        (&inner["nodeStateCounts"]["unusableNodeCount"], &inner["errors"]),
        (&json!(0), &Value::Null),
        "it goes first"
    );
}
