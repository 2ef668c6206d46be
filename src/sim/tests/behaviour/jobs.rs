//! Command jobs.

use crate::azure::{Azure, cluster, code, compute, ws};
use serde_json::{Value, json};

fn job(name: &str) -> String {
    format!("{}/jobs/{name}", ws())
}

fn submit(azure: &mut Azure, name: &str, cluster: &str, nodes: i64, lasts: &str) {
    let body = json!({"properties": {
        "jobType": "Command", "command": "python train.py", "environmentId": "/e/1", "computeId": compute(cluster),
        "environmentVariables": {"AZUREML_SIM_DURATION": lasts}, "resources": {"instanceCount": nodes}}});
    let got = azure.put(&job(name), body);
    assert_eq!((got.status, &got.body["properties"]["status"]), (201, &json!("NotStarted")), "{}", got.body);
}

fn status(azure: &mut Azure, name: &str) -> String {
    azure.get(&job(name)).body["properties"]["status"].as_str().unwrap().into()
}

fn nodes(azure: &mut Azure, name: &str) -> (i64, i64) {
    let inner = azure.inner(name);
    (inner["currentNodeCount"].as_i64().unwrap(), inner["nodeStateCounts"]["runningNodeCount"].as_i64().unwrap())
}

#[test]
fn a_job_scales_its_cluster_up_and_idle_time_scales_it_down() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 4));
    submit(&mut azure, "train", "cpu", 3, "60s");
    azure.wait("5s");
    assert_eq!(status(&mut azure, "train"), "Queued");
    assert_eq!(azure.inner("cpu")["targetNodeCount"], 3);
    azure.wait("150s");
    assert_eq!(status(&mut azure, "train"), "Running");
    assert_eq!(nodes(&mut azure, "cpu"), (3, 3));
    let listed = azure.call("POST", &format!("{}/listNodes", compute("cpu")), Value::Null).body;
    assert_eq!(listed["nodes"][0]["runId"], "train");
    azure.wait("60s");
    assert_eq!(status(&mut azure, "train"), "Completed");
    assert_eq!(nodes(&mut azure, "cpu"), (3, 0));
    azure.wait("150s");
    assert_eq!(nodes(&mut azure, "cpu"), (0, 0));
}

#[test]
fn jobs_queue_in_order_within_the_maximum() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 3));
    for (name, n) in [("first", 2), ("second", 2), ("third", 1), ("huge", 9)] {
        submit(&mut azure, name, "cpu", n, "100s");
    }
    azure.wait("155s");
    let seen: Vec<String> = ["first", "second", "third", "huge"].iter().map(|n| status(&mut azure, n)).collect();
    assert_eq!(seen, ["Running", "Queued", "Queued", "Queued"]);
    azure.wait("100s");
    assert_eq!(status(&mut azure, "second"), "Running");
    assert_eq!(status(&mut azure, "third"), "Running");
    azure.skip("1h");
    assert_eq!(status(&mut azure, "huge"), "Queued", "it asks for more than the maximum");
}

#[test]
fn a_lost_node_puts_its_job_back_into_the_queue() {
    let mut azure = Azure::new();
    let mut body = cluster("Standard_DS3_v2", 0, 2);
    body["properties"]["properties"]["vmPriority"] = json!("LowPriority");
    azure.make("low", body);
    submit(&mut azure, "train", "low", 2, "10m");
    azure.wait("155s");
    assert_eq!(status(&mut azure, "train"), "Running");
    azure.admin("POST", "preempt", json!({}));
    assert_eq!(status(&mut azure, "train"), "Queued");
    azure.wait("150s");
    assert_eq!(status(&mut azure, "train"), "Running");
    azure.wait("10m");
    assert_eq!(status(&mut azure, "train"), "Completed");
}

#[test]
fn jobs_end_in_every_way() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 1, 1));
    azure.wait("150s");
    let base = json!({"jobType": "Command", "command": "x", "environmentId": "/e/1", "computeId": compute("cpu")});
    for (name, more, end) in [
        ("fine", json!({}), "Completed"),
        ("bad", json!({"environmentVariables": {"AZUREML_SIM_OUTCOME": "Failed"}}), "Failed"),
        ("long", json!({"limits": {"jobLimitsType": "Command", "timeout": "PT10S"}}), "Canceled"),
        ("prop", json!({"properties": {"AZUREML_SIM_DURATION": "1s"}}), "Completed"),
    ] {
        let mut body = base.clone();
        for (k, v) in more.as_object().unwrap() {
            body[k] = v.clone();
        }
        assert_eq!(azure.put(&job(name), json!({"properties": body})).status, 201);
        azure.wait("70s");
        assert_eq!(status(&mut azure, name), end, "{name}");
    }
}

#[test]
fn a_job_can_be_canceled_and_deleted() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 1, 1));
    azure.wait("150s");
    submit(&mut azure, "train", "cpu", 1, "1h");
    azure.wait("5s");
    let got = azure.call("POST", &format!("{}/cancel", job("train")), Value::Null);
    assert_eq!(got.status, 202);
    let location = got.header("location").unwrap().to_string();
    assert_eq!(status(&mut azure, "train"), "CancelRequested");
    azure.wait("10s");
    assert_eq!(azure.exact("GET", &location, Value::Null).status, 200);
    assert_eq!(status(&mut azure, "train"), "Canceled");
    assert_eq!(nodes(&mut azure, "cpu"), (1, 0));
    assert_eq!(azure.call("POST", &format!("{}/cancel", job("train")), Value::Null).status, 400);
    assert_eq!(azure.delete(&job("train")).status, 202);
    azure.wait("10s");
    assert_eq!(azure.get(&job("train")).status, 404);
}

#[test]
fn a_job_needs_a_compute_of_its_workspace() {
    let mut azure = Azure::new();
    let body = |compute: &str| json!({"properties": {"jobType": "Command", "command": "x", "environmentId": "/e", "computeId": compute}});
    let got = azure.put(&job("train"), body(&compute("none")));
    assert_eq!((got.status, code(&got)), (400, "UserError"));
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 1));
    assert_eq!(azure.put(&job("train"), body("cpu")).status, 201, "a name will do");
    azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    assert_eq!(status(&mut azure, "train"), "Canceled");
    assert_eq!(azure.get(&format!("{}/jobs", ws())).body["value"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_tell_what_is_under_way_on_a_compute() {
    let mut azure = Azure::new();
    azure.make("cpu", cluster("Standard_DS3_v2", 0, 1));
    let put = |azure: &mut Azure, name: &str, more: Value| {
        let mut body = json!({"jobType": "Command", "command": "x", "environmentId": "/e/1", "computeId": compute("cpu"),
            "environmentVariables": {"AZUREML_SIM_DURATION": "1h"}});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        assert!(azure.put(&job(name), json!({"properties": body})).status < 300);
    };
    put(&mut azure, "one", json!({"tags": {"team": "a"}}));
    put(&mut azure, "two", json!({}));
    put(&mut azure, "old", json!({}));
    put(&mut azure, "old", json!({"isArchived": true}));
    azure.wait("10m");
    let names = |azure: &mut Azure, query: &str| {
        let got = azure.get(&format!("{}/jobs{query}", ws())).body;
        got["value"].as_array().unwrap().iter().map(|j| j["name"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    for (query, wanted) in [
        ("", vec!["one", "two"]),
        ("?listViewType=All", vec!["old", "one", "two"]),
        ("?listViewType=ArchivedOnly", vec!["old"]),
        ("?tag=team", vec!["one"]),
        ("?tag=team%3Da", vec!["one"]),
        ("?tag=team%3Db", vec![]),
        ("?jobType=command", vec!["one", "two"]),
        ("?jobType=Sweep", vec![]),
    ] {
        assert_eq!(names(&mut azure, query), wanted, "{query}");
    }
    assert_eq!(azure.get(&format!("{}/jobs?listViewType=Some", ws())).status, 400);
    let got = azure.get(&format!("{}/jobs", ws())).body;
    let seen: Vec<(&Value, &Value)> = got["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| (&j["properties"]["status"], &j["properties"]["computeId"]))
        .collect();
    let cpu = json!(compute("cpu"));
    assert_eq!(
        seen,
        [(&json!("Running"), &cpu), (&json!("Queued"), &cpu)],
        "running and queued ones name their compute"
    );
}
