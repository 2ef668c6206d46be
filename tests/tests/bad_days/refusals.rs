//! What Azure doesn't take: sizes, quotas, names, policies, locks.

use azureml_tests::sim::demo;
use azureml_tests::team::condition;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Case, Days, Weather, all, refused_until_done, says, tells};

const CASES: &[&str] = &[
    "no-such-size",
    "unfit-size",
    "quota",
    "capacity",
    "taken-name",
    "long-name",
    "denied",
    "appended",
    "overruled",
    "read-only",
    "undeletable",
];

#[tokio::test]
async fn what_azure_refuses_is_told_with_the_way_out_and_heals_by_itself() {
    let days = Days::start(CASES, Weather::default()).await;
    all(vec![
        ("no-such-size", Box::pin(no_such_size(days.open("no-such-size")))),
        ("unfit-size", Box::pin(unfit_size(days.open("unfit-size")))),
        ("quota", Box::pin(quota(days.open("quota")))),
        ("capacity", Box::pin(capacity(days.open("capacity")))),
        ("taken-name", Box::pin(taken_name(days.open("taken-name")))),
        ("long-name", Box::pin(long_name(days.open("long-name")))),
        ("denied", Box::pin(denied(days.open("denied")))),
        ("appended", Box::pin(appended(days.open("appended")))),
        ("overruled", Box::pin(overruled(days.open("overruled")))),
        ("read-only", Box::pin(read_only(days.open("read-only")))),
        ("undeletable", Box::pin(undeletable(days.open("undeletable")))),
    ])
    .await;
}

/// A person has to act: Stalled, for the same reason as Ready.
fn is_stalled(object: &Value) {
    assert_eq!(condition(object, "Stalled")["status"], "True", "{object:#}");
    assert_eq!(condition(object, "Stalled")["reason"], condition(object, "Ready")["reason"], "{object:#}");
    assert!(condition(object, "Reconciling").is_null(), "{object:#}");
}

/// It is tried again by itself: Reconciling, not Stalled.
fn is_tried_again(object: &Value) {
    assert_eq!(condition(object, "Reconciling")["status"], "True", "{object:#}");
    assert!(condition(object, "Stalled").is_null(), "{object:#}");
}

/// A creation that failed is deleted and made again, as often as it takes: writes alternate, and the last one stands.
fn alternate(writes: &[String]) {
    let want = ["PUT 201", "DELETE 202"].iter().cycle().take(writes.len());
    assert!(writes.len() % 2 == 1 && writes.iter().eq(want), "{writes:?}");
}

async fn no_such_size(case: Case<'_>) {
    case.cluster("gpu", json!({"vmSize": "Standard_DS33_v2"}));
    let words = ["westeurope", "Standard_DS33_v2", "nearest", "Standard_DS3_v2"];
    is_stalled(&case.tells("gpu", "VmSizeNotAvailable", &words).await);
    case.lists(3).await;
    assert!(case.writes("gpu").await.is_empty());
    case.edit("gpu", json!({"vmSize": "standard_ds3_V2"}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

/// The region lists it, and a cluster can't have it: Azure takes the write and fails it.
async fn unfit_size(case: Case<'_>) {
    case.cluster("gpu", json!({"vmSize": "Standard_B2s"}));
    let object = case.told_once("gpu", "VmSizeNotAvailable", &["Standard_B2s", "not a supported VM size"]).await;
    is_stalled(&object);
    let errors = object.pointer("/status/azure/errors/0").and_then(Value::as_str).unwrap_or_default();
    assert!(errors.contains("STANDARD_B2S"), "{object:#}");
    // Azure has the failed cluster under the old size; there was never anything to lose in it.
    case.edit("gpu", json!({"vmSize": "Standard_DS2_v2"}));
    case.ready("gpu").await;
    alternate(&case.writes("gpu").await);
    let (_, live) = case.azure_has(&case.id("gpu")).await;
    assert_eq!(live["properties"]["properties"]["vmSize"], "STANDARD_DS2_V2");
}

async fn set_quota(case: &Case<'_>, family: &str, limit: i64) {
    let quota = json!({"subscription": demo::SUBSCRIPTION, "region": "westeurope", "family": family, "limit": limit});
    case.env().sim.post("quota", quota).await.unwrap();
}

async fn quota(case: Case<'_>) {
    const FAMILY: &str = "Standard NCASv3_T4 Family";
    set_quota(&case, FAMILY, 0).await;
    case.cluster("gpu", json!({"vmSize": "Standard_NC4as_T4_v3"}));
    let object = case.told_once("gpu", "QuotaExceeded", &["vCPU quota of 0", "Ask for more quota"]).await;
    is_tried_again(&object);
    set_quota(&case, FAMILY, 16).await;
    case.ready("gpu").await;
    alternate(&case.writes("gpu").await);
}

async fn capacity(case: Case<'_>) {
    let none = json!({"operationFails": {"code": "AllocationFailed", "message": "No capacity in the region."}});
    case.fault("PUT", "/computes/gpu", 1, none).await;
    case.cluster("gpu", json!({}));
    let words = ["No capacity in the region", "another VM size, region or priority"];
    is_tried_again(&case.told_once("gpu", "CapacityUnavailable", &words).await);
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "DELETE 202", "PUT 201"]);
}

async fn taken_name(case: Case<'_>) {
    let taken = json!({"status": 400, "code": "NameNotAvailable", "message": "Compute name 'gpu' is not available."});
    case.fault("PUT", "/computes/gpu", 1, taken).await;
    case.cluster("gpu", json!({}));
    let object =
        case.told_once("gpu", "NameUnavailable", &["'gpu' is not available", "Choose another Azure name"]).await;
    is_stalled(&object);
    // Somebody else let the name go.
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 400", "PUT 201"]);
}

/// A name that may only be adopted, and nothing is there to be adopted.
async fn long_name(case: Case<'_>) {
    let name = "a-name-from-an-earlier-age-1";
    case.cluster("gpu", json!({"azureName": name, "adoptionPolicy": "Adopt"}));
    let object = case.tells("gpu", "InvalidName", &[name, "3 to 24 letters"]).await;
    is_stalled(&object);
    case.lists(3).await;
    assert!(case.writes(name).await.is_empty());
    // Another name is another object; this one goes without asking Azure for anything.
    case.delete("amlcc", "gpu");
    case.gone("gpu").await;
    case.made("gpu", json!({"azureName": "gpu-train"})).await;
    assert_eq!(case.writes("gpu-train").await, ["PUT 201"]);
    assert!(case.writes(name).await.is_empty());
}

async fn add(case: &Case<'_>, what: &str, rule: Value) {
    case.env().sim.post(what, rule).await.unwrap();
}

async fn drop_rule(case: &Case<'_>, what: &str) {
    case.env().sim.call(Method::DELETE, &format!("{what}/{}", case.azure), None).await.unwrap();
}

fn policy(case: &Case<'_>, over: Value) -> Value {
    azureml_tests::team::laid(json!({"name": case.azure, "scope": case.workspace_id()}), over)
}

async fn denied(case: Case<'_>) {
    let dear = json!([{"field": "properties.properties.scaleSettings.maxNodeCount", "notIn": [0, 1, 2]}]);
    add(&case, "policies", policy(&case, json!({"effect": "deny", "when": dear}))).await;
    case.cluster("by-manifest", json!({}));
    case.cluster("by-policy", json!({}));
    for name in ["by-manifest", "by-policy"] {
        let object = case.tells(name, "PolicyDenied", &[&case.azure, "complies with", "exemption"]).await;
        is_stalled(&object);
        assert_eq!(condition(&object, "InSync")["status"], "False", "{object:#}");
    }
    case.edit("by-manifest", json!({"scale": {"maxNodes": 2}}));
    case.ready("by-manifest").await;
    assert_eq!(case.writes("by-manifest").await, ["PUT 403", "PUT 201"]);
    drop_rule(&case, "policies").await;
    case.ready("by-policy").await;
    refused_until_done(&case.writes("by-policy").await, "PUT 403", "PUT 201");
}

/// A tag from a policy is somebody else's: it stays, and is no difference.
async fn appended(case: Case<'_>) {
    add(&case, "policies", policy(&case, json!({"effect": "append", "set": {"tags.costCentre": "4711"}}))).await;
    case.made("gpu", json!({"tags": {"team": "a"}})).await;
    case.edit("gpu", json!({"tags": {"team": "b"}}));
    case.ready("gpu").await;
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.ready("gpu").await;
    case.lists(3).await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PUT 201", "PATCH 200"]);
    let (_, live) = case.azure_has(&case.id("gpu")).await;
    assert_eq!((&live["tags"]["costCentre"], &live["tags"]["team"]), (&json!("4711"), &json!("b")));
}

/// A policy that writes another value over ours: told with both, and not fought over.
async fn overruled(case: Case<'_>) {
    add(&case, "policies", policy(&case, json!({"effect": "modify", "set": {"tags.team": "platform"}}))).await;
    case.cluster("gpu", json!({"tags": {"team": "a"}}));
    let words = ["spec.tags", "the manifest says a", "Azure keeps platform"];
    let object = case.until("ComputeCluster", "gpu", tells("InSync", "NotHonoured", &words)).await;
    assert_eq!(condition(&object, "Ready")["status"], "True", "{object:#}");
    case.lists(4).await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
    case.edit("gpu", json!({"tags": {"team": "platform"}}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

async fn read_only(case: Case<'_>) {
    case.workspace_ready().await;
    let lock = json!({"name": case.azure, "scope": case.workspace_id(), "level": "ReadOnly"});
    add(&case, "locks", lock).await;
    case.cluster("gpu", json!({}));
    let object = case.tells("gpu", "ScopeLocked", &[&case.workspace_id(), "Remove the management lock"]).await;
    is_tried_again(&object);
    drop_rule(&case, "locks").await;
    case.ready("gpu").await;
    refused_until_done(&case.writes("gpu").await, "PUT 409", "PUT 201");
}

/// A lock that forbids the deletion holds the object, not its neighbours.
async fn undeletable(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    let lock = json!({"name": case.azure, "scope": case.id("gpu"), "level": "CanNotDelete"});
    add(&case, "locks", lock).await;
    case.delete("amlcc", "gpu");
    let object = case.tells("gpu", "ScopeLocked", &[&case.id("gpu"), "Remove the management lock"]).await;
    is_tried_again(&object);
    case.made("neighbour", json!({})).await;
    drop_rule(&case, "locks").await;
    case.gone("gpu").await;
    let writes = case.writes("gpu").await;
    assert_eq!(writes[0], "PUT 201");
    refused_until_done(&writes[1..], "DELETE 409", "DELETE 202");
    let (status, _) = case.azure_has(&case.id("gpu")).await;
    assert_eq!(status, 404);
    case.until("ComputeCluster", "neighbour", says("its resource", |object| object["status"]["azure"].is_object()))
        .await;
}
