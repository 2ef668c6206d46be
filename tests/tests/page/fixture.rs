//! What the page is told for its pictures, and for what the real thing doesn't show within a minute.

use serde_json::{Value, json};

/// The operator's clock, in seconds of Unix time.
pub const NOW: i64 = 1_790_000_000;

const MINUTE: i64 = 60;

/// A message of somebody who means ill.
pub const EVIL: &str = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>";

/// An afternoon of a team: most is well, one thing is wrong, one is under way.
pub fn afternoon() -> Value {
    let ready = ("ready", "Available");
    let steps = |list: &[(i64, i64)]| -> Vec<Value> {
        list.iter().map(|(ago, nodes)| json!([NOW - ago * MINUTE, nodes])).collect()
    };
    let research = "ml/research";
    let serving = "vision/inspection";
    let rows = vec![
        workspace(research, "ml-rg / research-ws", "westeurope"),
        workspace(serving, "vision-rg / inspection-ws", "northeurope"),
        Cluster {
            running: 5,
            idle: 1,
            since: 26 * 60,
            ..Cluster::new(research, "gpu-train", "Standard_NC24ads_A100_v4", 6, 8)
        }
        .row(ready, steps(&[(70, 0), (52, 2), (48, 6), (33, 8), (20, 5), (12, 6)])),
        Cluster { running: 9, since: 3 * 24 * 60, ..Cluster::new(research, "sweep-spot", "Standard_NC6s_v3", 9, 20) }
            .row(ready, steps(&[(70, 4), (58, 8), (44, 14), (39, 11), (31, 16), (22, 12), (14, 9)])),
        Cluster { since: 9 * 24 * 60, ..Cluster::new(research, "cpu-prep", "Standard_DS3_v2", 0, 4) }
            .row(ready, steps(&[(70, 0), (41, 3), (29, 0)])),
        Cluster { preparing: 0, since: 2, ..Cluster::new(research, "nightly-eval", "Standard_E8s_v5", 0, 6) }.created(),
        Cluster {
            idle: 1,
            running: 1,
            since: 5 * 24 * 60,
            ..Cluster::new(serving, "label-assist", "Standard_NC4as_T4_v3", 2, 2)
        }
        .row(ready, steps(&[(70, 1), (36, 2)])),
        Cluster { since: 14, ..Cluster::new(serving, "defect-large", "Standard_ND96isr_H100_v5", 0, 4) }
            .short_of_quota(),
    ];
    let bucket = |operation: &str, left: u64, capacity: u64, workspaces: &[&str], subscription: &str| {
        json!({"subscription": subscription, "operation": operation, "left": left, "capacity": capacity, "waiting": 0,
               "throttled": false, "workspaces": workspaces})
    };
    let one = "7c1d90a2-4f0e-4c5e-9d8a-3b5f2f6f1c01";
    let budgets = [
        bucket("read", 241, 250, &[research, serving], one),
        bucket("write", 187, 200, &[research, serving], one),
        bucket("delete", 200, 200, &[research, serving], one),
    ];
    json!({"now": NOW, "rows": rows, "head": {
        "version": "0.1.0", "replica": "azureml-operator-6d9f7c5b48-q2x7k", "leads": true, "leader": null,
        "user": "ada@example.com", "namespaces": null, "omitted": 0,
        "counts": {"ready": 4, "working": 1, "retrying": 1},
        "seen": {research: NOW - 12, serving: NOW - 21},
        "budgets": budgets
    }})
}

/// Two hundred clusters, of which every tenth is wrong, in the words of somebody who means ill.
pub fn crowd() -> Value {
    let rows: Vec<Value> = (0..200)
        .map(|i| {
            let workspace = format!("team-{}/research", i % 4);
            let name = format!("cluster-{i:03}");
            let cluster = Cluster::new(&workspace, &name, "Standard_DS3_v2", i % 5, 8);
            let mut row = cluster.row(("ready", "Available"), vec![json!([NOW - 600, i % 5])]);
            if i % 10 == 0 {
                row["state"] = json!("stalled");
                row["problem"] = json!({"condition": "Stalled", "reason": "InvalidManifest", "message": EVIL,
                    "since": NOW - 60, "cause": EVIL, "cure": EVIL});
                row["message"] = json!(EVIL);
                row["detail"] = json!(EVIL);
                row["link"] = Value::Null;
            }
            row
        })
        .collect();
    json!({"now": NOW, "rows": rows, "head": {
        "version": "0.1.0", "replica": EVIL, "leads": false, "leader": EVIL, "user": EVIL, "namespaces": [EVIL],
        "omitted": 0, "counts": {"ready": 180, "stalled": 20}, "seen": {}, "budgets": []
    }})
}

struct Cluster<'a> {
    workspace: &'a str,
    name: &'a str,
    size: &'a str,
    current: i64,
    most: i64,
    running: i64,
    idle: i64,
    preparing: i64,
    /// Minutes.
    since: i64,
}

impl<'a> Cluster<'a> {
    fn new(workspace: &'a str, name: &'a str, size: &'a str, current: i64, most: i64) -> Self {
        Self { workspace, name, size, current, most, running: 0, idle: 0, preparing: 0, since: 60 }
    }

    fn row(&self, (state, reason): (&str, &str), history: Vec<Value>) -> Value {
        let (namespace, _) = self.workspace.split_once('/').unwrap();
        json!({
            "id": format!("ComputeCluster/{namespace}/{}", self.name), "kind": "ComputeCluster",
            "namespace": namespace, "name": self.name, "workspace": self.workspace, "state": state, "reason": reason,
            "message": "", "since": NOW - self.since * MINUTE, "problem": null, "operation": null, "detail": self.size,
            "location": "", "scale": [0, self.most], "history": history,
            "nodes": {"current": self.current, "target": self.current, "running": self.running, "idle": self.idle,
                      "preparing": self.preparing},
            "link": format!("https://ml.azure.com/compute/{}/details", self.name)
        })
    }

    fn created(&self) -> Value {
        let mut row = self.row(("working", "Creating"), vec![]);
        row["operation"] = json!({"verb": "Create", "phase": "Running", "since": NOW - self.since * MINUTE});
        row["nodes"] = json!({});
        row
    }

    fn short_of_quota(&self) -> Value {
        let mut row = self.row(("retrying", "QuotaExceeded"), vec![json!([NOW - self.since * MINUTE, 0])]);
        let reason = azureml_api::condition::Reason::QuotaExceeded;
        row["problem"] = json!({
            "condition": "Ready", "reason": reason.as_str(), "since": NOW - self.since * MINUTE,
            "message": "Standard NDISRH100v5 Family Cluster Dedicated vCPUs: 96 in use of 96 in northeurope, and 384 more are asked for",
            "cause": reason.cause(), "cure": reason.cure()
        });
        row
    }
}

fn workspace(place: &str, detail: &str, location: &str) -> Value {
    let (namespace, name) = place.split_once('/').unwrap();
    json!({
        "id": format!("Workspace/{place}"), "kind": "Workspace", "namespace": namespace, "name": name, "workspace": place,
        "state": "ready", "reason": "Available", "message": "", "since": NOW - 40 * 24 * 3600, "problem": null,
        "operation": null, "detail": detail, "location": location, "nodes": {}, "scale": null, "history": [],
        "link": "https://portal.azure.com/#@/resource/subscriptions"
    })
}
