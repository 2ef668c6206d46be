//! The operator killed, the API server or Azure away, at each instant of a write: exactly one takes effect.

use azureml_tests::team::{LONG, WORKSPACE, condition};
use azureml_tests::{OperatorStart, Until};
use serde_json::json;

use super::support::{Case, Days, Weather, says, tells};

/// The instants of a write at which the operator is killed.
const INSTANTS: [Instant; 4] = [
    Instant { name: "unsent", fault: Some("hang"), phase: "Intended" },
    Instant { name: "unanswered", fault: Some("delay"), phase: "Intended" },
    Instant { name: "accepted", fault: None, phase: "Running" },
    Instant { name: "endless", fault: Some("operationNeverEnds"), phase: "Running" },
];

struct Instant {
    name: &'static str,
    /// What becomes of the write: nothing, done and never answered, done.
    fault: Option<&'static str>,
    /// How far the operator knows it to be.
    phase: &'static str,
}

impl Instant {
    async fn strike(&self, case: &Case<'_>, method: &str) {
        let fault = match self.fault {
            Some("delay") => json!({"delay": "600s"}),
            // Only the change that never ends is of use here: a deletion would hold the test.
            Some("operationNeverEnds") if method != "PATCH" => return,
            Some(name) => json!(name),
            None => return,
        };
        case.fault(method, &format!("/computes/{}", self.name), 1, fault).await;
    }
}

/// Waits until Azure has got the write and the operator is as far with it as wanted.
async fn reached(case: &Case<'_>, instant: &Instant, method: &str) {
    let (verb, phase) = (
        match method {
            "PUT" => "Create",
            "PATCH" => "Patch",
            _ => "Delete",
        },
        instant.phase,
    );
    let what = format!("{verb} to be {phase}");
    let until = says(what, move |object| {
        let operation = &object["status"]["operation"];
        operation["verb"] == verb && operation["phase"] == phase
    });
    case.until("ComputeCluster", instant.name, until).await;
    let mark = case.env().sim.requests().await.unwrap().len();
    let began = std::time::Instant::now();
    while !case.writes(instant.name).await.last().is_some_and(|write| write.starts_with(method)) {
        assert!(began.elapsed() < LONG, "{}: no {method} after {mark} requests", instant.name);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The writes that Azure carried out: a connection without an answer for which nothing was done has the status 0.
async fn done(case: &Case<'_>, name: &str) -> Vec<String> {
    case.writes(name).await.into_iter().filter(|write| !write.ends_with(" 0")).collect()
}

#[tokio::test]
async fn killed_at_any_instant_of_a_write_it_is_done_once() {
    let mut days = Days::start(&["killed"], Weather::default()).await;
    days.open("killed").workspace_ready().await;
    for (at, method) in ["PUT", "PATCH", "DELETE"].into_iter().enumerate() {
        let case = days.case("killed");
        for instant in &INSTANTS {
            instant.strike(&case, method).await;
            match method {
                "PUT" => case.cluster(instant.name, json!({})),
                "PATCH" => case.edit(instant.name, json!({"scale": {"maxNodes": 2}})),
                _ => case.delete("amlcc", instant.name),
            }
        }
        if method == "DELETE" {
            // What ends soon may be gone already; the two that hang hold their instant.
            for instant in &INSTANTS[..2] {
                reached(&case, instant, method).await;
            }
        } else {
            for instant in INSTANTS.iter().filter(|instant| instant.phase == "Intended") {
                reached(&case, instant, method).await;
            }
        }
        days.env.kill_operator().unwrap();
        days.env.start_operator().await.unwrap();
        let case = days.case("killed");
        for instant in &INSTANTS {
            if method == "PATCH" && instant.fault == Some("operationNeverEnds") {
                // The kill may have come before the answer was on record: then the intent stands, and Azure is waited for.
                let still = says("Patch to be awaited", |object| {
                    let status = &object["status"];
                    status["operation"]["verb"] == "Patch" && status["azure"]["provisioningState"] == "Updating"
                });
                case.until("ComputeCluster", instant.name, still).await;
                continue;
            }
            match method {
                "DELETE" => case.gone(instant.name).await,
                _ => drop(case.ready(instant.name).await),
            }
        }
        let all = ["PUT 201", "PATCH 200", "DELETE 202"];
        for instant in &INSTANTS {
            assert_eq!(done(&case, instant.name).await, all[..=at], "{}: {method}", instant.name);
            let (status, live) = case.azure_has(&case.id(instant.name)).await;
            let want = if method == "DELETE" { 404 } else { 200 };
            assert_eq!(status, want, "{}: {method}: {live}", instant.name);
        }
    }
}

/// The intent is on record, and the operator ended before it could ask Azure for anything.
#[tokio::test]
async fn an_intent_without_a_request_is_found_out_and_carried_out_once() {
    let mut days = Days::start(&["intent"], Weather { start: OperatorStart::Later, ..Weather::default() }).await;
    let case = days.open("intent");
    case.cluster("gpu", json!({}));
    let started = case.team.kubectl(&["get", "amlcc", "gpu", "-o", "jsonpath={.metadata.creationTimestamp}"]).unwrap();
    let operation = json!({
        "verb": "Create", "phase": "Intended", "id": case.id("gpu"), "startedAt": started, "generation": 1,
    });
    let patch = json!({"status": {"operation": operation}}).to_string();
    case.team.kubectl(&["patch", "amlcc", "gpu", "--subresource=status", "--type=merge", "-p", &patch]).unwrap();
    case.team.edit_any("amlcc", "gpu", json!({"metadata": {"finalizers": ["azureml.dev/azure-resource"]}})).unwrap();
    days.env.start_operator().await.unwrap();
    let case = days.case("intent");
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

/// The API server goes down while writes are under way, and comes back.
#[tokio::test]
async fn the_api_server_restarts_during_writes() {
    let mut days = Days::start(&["restart"], Weather::default()).await;
    let case = days.open("restart");
    for name in ["changed", "deleted"] {
        case.made(name, json!({})).await;
    }
    // Answers that come while the API server is away: what Azure took can't be written down then.
    for (method, name) in [("PUT", "made"), ("PATCH", "changed"), ("DELETE", "deleted")] {
        case.fault(method, &format!("/computes/{name}"), 1, json!({"delay": "3s"})).await;
    }
    case.cluster("made", json!({}));
    case.edit("changed", json!({"scale": {"maxNodes": 2}}));
    case.delete("amlcc", "deleted");
    let sent = says("its intent to be on record", |object| object["status"]["operation"].is_object());
    case.until("ComputeCluster", "made", sent).await;
    for name in ["made", "changed", "deleted"] {
        let began = std::time::Instant::now();
        while case.writes(name).await.len() < if name == "made" { 1 } else { 2 } {
            assert!(began.elapsed() < LONG, "{name}: no write");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    days.env.plane.stop_apiserver().unwrap();
    // The answers arrive now.
    days.case("restart").lists(5).await;
    days.env.plane.start_apiserver().await.unwrap();
    let case = days.case("restart");
    case.ready("made").await;
    case.ready("changed").await;
    case.gone("deleted").await;
    assert_eq!(case.writes("made").await, ["PUT 201"]);
    assert_eq!(case.writes("changed").await, ["PUT 201", "PATCH 200"]);
    assert_eq!(case.writes("deleted").await, ["PUT 201", "DELETE 202"]);
    assert!(days.env.operator().unwrap().ended().unwrap().is_none(), "the operator didn't outlive the restart");
}

/// Azure goes away in the middle of writes and comes back as it was.
#[tokio::test]
async fn azure_goes_away_and_comes_back() {
    let mut days = Days::start(&["away"], Weather::default()).await;
    let case = days.open("away");
    let before = case.made("still", json!({})).await;
    case.made("changed", json!({})).await;
    case.fault("PUT", "/computes/made", 1, json!({"delay": "600s"})).await;
    case.cluster("made", json!({}));
    reached(&case, &INSTANTS_OF_MADE, "PUT").await;
    // The log goes with azure-sim's process: what was written so far is counted here.
    assert_eq!(case.writes("made").await, ["PUT 201"]);
    days.env.sim.stop().unwrap();
    let case = days.case("away");
    case.edit("changed", json!({"scale": {"maxNodes": 2}}));
    let stale = tells("InSync", "ObservationStale", &["has not been seen", "could not be reached"]);
    let object = case.until("ComputeCluster", "still", stale).await;
    assert_eq!(condition(&object, "Ready"), condition(&before, "Ready"));
    case.until("Workspace", WORKSPACE, tells("InSync", "ObservationStale", &["could not be reached"])).await;
    days.env.start_sim().await.unwrap();
    let case = days.case("away");
    for name in ["still", "changed", "made"] {
        case.ready(name).await;
    }
    case.until("Workspace", WORKSPACE, Until::condition("InSync", "True")).await;
    assert_eq!(case.writes("still").await, [""; 0]);
    assert_eq!(case.writes("made").await, [""; 0]);
    assert_eq!(case.writes("changed").await, ["PATCH 200"]);
    assert_eq!(case.azure_has(&case.id("made")).await.0, 200);
}

const INSTANTS_OF_MADE: Instant = Instant { name: "made", fault: Some("delay"), phase: "Intended" };

/// SIGTERM lets what was sent be answered and written down, and ends with success.
#[tokio::test]
async fn a_graceful_stop_finishes_what_it_has_sent() {
    let mut days = Days::start(&["graceful"], Weather::default()).await;
    let case = days.open("graceful");
    case.made("before", json!({})).await;
    probes(&mut days).await;
    let case = days.case("graceful");
    case.fault("PUT", "/computes/gpu", 1, json!({"delay": "4s"})).await;
    case.cluster("gpu", json!({}));
    reached(&case, &Instant { name: "gpu", fault: None, phase: "Intended" }, "PUT").await;
    days.env.stop_operator().unwrap();
    let case = days.case("graceful");
    let object = case.until("ComputeCluster", "gpu", says("to be there", |_| true)).await;
    let operation = &object["status"]["operation"];
    assert_eq!(operation["phase"], "Running", "{object:#}");
    assert!(operation["url"].as_str().is_some_and(|url| url.contains("computeOperationsStatus")), "{object:#}");
    days.env.start_operator().await.unwrap();
    let case = days.case("graceful");
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
    assert_eq!(case.writes("before").await, ["PUT 201"]);
}

async fn get(url: &str) -> (u16, String, String) {
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_string());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.unwrap())
}

async fn probes(days: &mut Days) {
    let admin = days.env.operator().unwrap().admin_url();
    for probe in ["healthz", "readyz"] {
        let (status, _, text) = get(&format!("{admin}/{probe}")).await;
        assert_eq!((status, text.trim()), (200, "ok"), "{probe}");
    }
    let (status, kind, text) = get(&format!("{admin}/metrics")).await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    for family in FAMILIES {
        let name = format!("# HELP azureml_{family} ");
        assert!(text.contains(&name), "no {family} in:\n{text}");
    }
    assert!(!text.contains(super::support::SECRET));
    assert_eq!(get(&format!("{admin}/nothing")).await.0, 404);
}

const FAMILIES: &[&str] = &[
    "reconciles",
    "reconcile_duration_seconds",
    "plan_actions",
    "arm_requests",
    "arm_request_duration_seconds",
    "status_writes",
    "arm_budget_left",
    "arm_budget_waiting",
    "objects",
    "nodes",
    "operations_in_flight",
    "queue_due",
    "snapshot_age_seconds",
];
