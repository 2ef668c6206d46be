//! Reads that fail: nothing is taken for gone that isn't shown, and what was known stands until it is too old.

use azureml_tests::team::{WORKSPACE, condition};
use serde_json::{Value, json};

use super::support::{Case, Days, Weather, all, says, tells};

const CLUSTERS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

#[tokio::test]
async fn lists_that_fail_half_way_take_nothing_away() {
    // Five clusters are three pages.
    let world = Some(json!({"pageSize": 2}));
    let days = Days::start(&["pages", "refused"], Weather { world, ..Weather::default() }).await;
    all(vec![("pages", Box::pin(pages(days.open("pages")))), ("refused", Box::pin(refused(days.open("refused"))))])
        .await;
    // Faults of any page, and refusals of the list and under a deletion.
    azureml_promises::held("bad_days::lists_that_fail_half_way_take_nothing_away", 5 + 4);
}

async fn five(case: &Case<'_>) -> Vec<Value> {
    CLUSTERS.iter().for_each(|name| case.cluster(name, json!({})));
    let mut all = Vec::new();
    for name in CLUSTERS {
        all.push(case.ready(name).await);
    }
    all
}

async fn nothing_was_written_but_the_creations(case: &Case<'_>) {
    for name in CLUSTERS {
        assert_eq!(case.writes(name).await, ["PUT 201"], "{name}");
    }
}

/// Any page may fail, in any way: what was Ready stays so, without a blink.
async fn pages(case: Case<'_>) {
    let before = five(&case).await;
    let faults =
        [json!({"status": 503}), json!({"status": 500}), json!("reset"), json!("truncate"), json!({"status": 409})];
    for fault in faults {
        // Each rule counts for itself: pages here and there, first ones and later ones.
        for nth in [2, 3, 5, 7, 9] {
            let matches = json!({"method": "GET", "pathContains": format!("/{}/computes", case.azure), "nth": nth});
            case.env().sim.fault(json!({"match": matches, "times": 1, "fault": fault})).await.unwrap();
        }
        case.lists(12).await;
    }
    let later = |request: &&azureml_tests::SimRequest| request.query.contains("skip") && request.status != 200;
    assert!(case.requests(None).await.iter().filter(later).count() >= 2, "no later page has failed");
    nothing_was_written_but_the_creations(&case).await;
    for (name, before) in CLUSTERS.iter().zip(&before) {
        let after = case.ready(name).await;
        let since = |object: &Value| condition(object, "Ready")["lastTransitionTime"].clone();
        assert_eq!(since(before), since(&after), "{name}");
    }
    // And what is gone is seen to be gone, when a whole list says so.
    case.delete("amlcc", "gamma");
    case.gone("gamma").await;
}

/// A list that is refused is told as such, and proves nothing: nobody's cluster is made anew or let go.
async fn refused(case: Case<'_>) {
    five(&case).await;
    let rows = [
        (json!({"status": 403, "code": "AuthorizationFailed"}), "Forbidden", "Grant the principal"),
        (json!({"status": 404, "code": "ResourceNotFound"}), "WorkspaceMissingInAzure", "not found"),
        (json!({"status": 404, "code": "SubscriptionNotFound"}), "SubscriptionNotFound", "subscription"),
    ];
    for (fault, reason, words) in rows {
        case.fault("GET", "/computes", 12, fault).await;
        for name in CLUSTERS {
            case.told_once(name, reason, &[words]).await;
        }
        for name in CLUSTERS {
            case.ready(name).await;
        }
        nothing_was_written_but_the_creations(&case).await;
    }
    // Under a list that is refused, a deletion waits: nothing shows that the cluster is gone.
    case.fault("GET", "/computes", 12, json!({"status": 403, "code": "AuthorizationFailed"})).await;
    case.told_once("alpha", "Forbidden", &[]).await;
    case.delete("amlcc", "alpha");
    case.gone("alpha").await;
    assert_eq!(case.writes("alpha").await, ["PUT 201", "DELETE 202"]);
    assert_eq!(case.azure_has(&case.id("alpha")).await.0, 404);
}

/// Azure is away for everybody.
#[tokio::test]
async fn an_outage_leaves_what_was_known_and_says_that_it_is_old() {
    let days = Days::start(&["away"], Weather::default()).await;
    let case = days.open("away");
    let before = case.made("gpu", json!({})).await;
    case.made("leaving", json!({})).await;
    days.env.sim.post("outage", json!({"on": true})).await.unwrap();
    let stale = tells("InSync", "ObservationStale", &["has not been seen for more than 3 intervals", "503"]);
    let object = case.until("ComputeCluster", "gpu", stale).await;
    assert_eq!(condition(&object, "Ready"), condition(&before, "Ready"));
    // A new manifest isn't said to be in force before anybody could look; nor is what is deleted said to be gone.
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.workspace(json!({"allowedNamespaces": {"from": "All"}}));
    case.delete("amlcc", "leaving");
    case.cluster("new", json!({}));
    case.lists(3).await;
    let object = case.until("ComputeCluster", "gpu", says("to be there", |_| true)).await;
    assert_eq!(object["metadata"]["generation"], 2);
    assert_eq!(condition(&object, "Ready")["observedGeneration"], 1, "{object:#}");
    let workspace = case.until("Workspace", WORKSPACE, says("to be there", |_| true)).await;
    assert_eq!(condition(&workspace, "Ready")["status"], "True", "{workspace:#}");
    assert_eq!(condition(&workspace, "Ready")["observedGeneration"], 1, "{workspace:#}");
    let new = case.until("ComputeCluster", "new", tells("Ready", "AzureUnavailable", &["503"])).await;
    assert_eq!(condition(&new, "Ready")["status"], "Unknown", "{new:#}");
    case.until("ComputeCluster", "leaving", says("to be held", |object| object["metadata"]["finalizers"].is_array()))
        .await;
    days.env.sim.post("outage", json!({"on": false})).await.unwrap();
    case.workspace_ready().await;
    case.ready("gpu").await;
    case.ready("new").await;
    case.gone("leaving").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PATCH 200"]);
    assert_eq!(case.writes("new").await, ["PUT 201"]);
    assert_eq!(case.writes("leaving").await, ["PUT 201", "DELETE 202"]);
    // A cluster that is there, edited, new and deleted, and the Workspace.
    azureml_promises::held("bad_days::an_outage_leaves_what_was_known_and_says_that_it_is_old", 5);
}
