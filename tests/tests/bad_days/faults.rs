//! Requests that fail: refused, throttled, lost on the way there or back; at creation, change and deletion.

use serde_json::{Value, json};

use super::support::{Case, Days, Weather, all};

/// One way to fail: how often it strikes each kind of write, what the log has for it, and what the cluster tells.
struct Fault {
    fault: Value,
    times: usize,
    effect: Effect,
    told: Option<(&'static str, &'static [&'static str])>,
}

/// Whether the write that fails is done all the same.
enum Effect {
    /// It isn't; the log has this status for it.
    None(u16),
    /// It is; the log has this status for it, or the usual one.
    Done(Option<u16>),
}

/// A cluster is made, changed and deleted; each of the three writes meets the fault first.
async fn weathers(case: Case<'_>, fault: Fault) {
    for (method, usual) in [("PUT", 201), ("PATCH", 200), ("DELETE", 202)] {
        let before = case.writes("gpu").await.len();
        case.fault(method, "/computes/gpu", fault.times as i64, fault.fault.clone()).await;
        match method {
            "PUT" => case.cluster("gpu", json!({})),
            "PATCH" => case.edit("gpu", json!({"scale": {"maxNodes": 2}})),
            _ => case.delete("amlcc", "gpu"),
        }
        if let Some((reason, words)) = fault.told {
            case.told_once("gpu", reason, words).await;
        }
        match method {
            "DELETE" => case.gone("gpu").await,
            _ => drop(case.ready("gpu").await),
        }
        let line = |status: u16| format!("{method} {status}");
        let want: Vec<String> = match fault.effect {
            Effect::None(status) => std::iter::repeat_n(line(status), fault.times).chain([line(usual)]).collect(),
            Effect::Done(status) => vec![line(status.unwrap_or(usual))],
        };
        assert_eq!(case.writes("gpu").await[before..], want, "{}: {method}", case.azure);
        let live = case.azure_has(&case.id("gpu")).await;
        let scale = &live.1["properties"]["properties"]["scaleSettings"]["maxNodeCount"];
        let as_wanted = match method {
            "PUT" => *scale == 4,
            "PATCH" => *scale == 2,
            _ => live.0 == 404,
        };
        assert!(as_wanted, "{}: {method}: {live:?}", case.azure);
    }
}

fn none(fault: Value, times: usize, status: u16, reason: &'static str, words: &'static [&'static str]) -> Fault {
    Fault { fault, times, effect: Effect::None(status), told: Some((reason, words)) }
}

fn done(fault: Value, status: Option<u16>) -> Fault {
    Fault { fault, times: 1, effect: Effect::Done(status), told: None }
}

#[tokio::test]
async fn writes_that_azure_refuses_are_tried_again_and_done_once() {
    let forbidden = "The client 'c' with object id 'o' does not have authorization to perform action \
                     'Microsoft.MachineLearningServices/workspaces/computes/write' over scope '/s/g' or the scope is \
                     invalid.";
    let throttled = |after: Value| json!({"status": 429, "code": "SubscriptionRequestsThrottled", "retryAfter": after});
    let rows = vec![
        (
            "unauthorized",
            Fault {
                fault: json!({"status": 401, "code": "ExpiredAuthenticationToken"}),
                times: 1,
                effect: Effect::None(401),
                told: None,
            },
        ),
        (
            "forbidden",
            none(
                json!({"status": 403, "code": "AuthorizationFailed", "message": forbidden}),
                2,
                403,
                "Forbidden",
                &["computes/write", "on /s/g", "Grant the principal a role"],
            ),
        ),
        ("conflict", none(json!({"status": 409}), 4, 409, "WaitingForAzure", &["tried again"])),
        ("by-arm", none(throttled(json!(3)), 1, 429, "Throttled", &["Azure Resource Manager throttles"])),
        ("by-arm-date", none(throttled(json!({"dateIn": 4})), 1, 429, "Throttled", &["Resource Manager throttles"])),
        (
            "by-provider",
            none(json!({"rpThrottle": {"retryAfter": 3}}), 1, 429, "Throttled", &["resource provider throttles"]),
        ),
        (
            "by-object",
            none(
                json!({"retryableError": {"retryAfter": {"dateIn": 4}}}),
                1,
                429,
                "Throttled",
                &["isn't ready for this yet"],
            ),
        ),
        ("failing", none(json!({"status": 500}), 1, 500, "Verifying", &[])),
        ("unavailable", none(json!({"status": 503, "retryAfter": 1}), 1, 503, "Verifying", &[])),
        ("reset", none(json!("reset"), 1, 0, "Verifying", &[])),
    ];
    run(rows, Weather::default()).await;
}

#[tokio::test]
async fn writes_that_azure_did_are_not_done_again_whatever_became_of_the_answer() {
    let rows = vec![
        ("done-then-500", done(json!("applyThenFail"), Some(500))),
        ("done-then-reset", done(json!({"applyThenFail": "reset"}), None)),
        ("truncated", done(json!("truncate"), None)),
        ("slow", done(json!({"delay": "5s"}), None)),
        ("url-lost", done(json!("operationUrlLost"), None)),
    ];
    run(rows, Weather::default()).await;
}

async fn run(rows: Vec<(&'static str, Fault)>, weather: Weather) {
    let names: Vec<&'static str> = rows.iter().map(|(name, _)| *name).collect();
    let days = &Days::start(&names, weather).await;
    let cases = rows.into_iter().map(|(name, fault)| {
        let run: futures::future::LocalBoxFuture<'_, ()> = Box::pin(weathers(days.open(name), fault));
        (name, run)
    });
    all(cases.collect()).await;
}

/// Azure answers with old data for a while after each write: 404 for what was made, the old values for what was changed,
/// the whole cluster for what was deleted.
#[tokio::test]
async fn old_answers_after_a_write_lead_to_no_second_write() {
    let world = json!({"consistency": {"readAfterWrite": "120s", "lists": "150s"}});
    run(vec![("late", done(json!({"delay": "1ms"}), None))], Weather { world: Some(world), ..Weather::default() })
        .await;
}

#[tokio::test]
async fn operations_that_fail_or_never_end_are_told_and_survived() {
    let cases = &["fails", "overdue", "cut-short"];
    let days = Days::start(cases, Weather { flags: &[("--operation-overdue", "8s")], ..Weather::default() }).await;
    all(vec![
        ("fails", Box::pin(operation_fails(days.open("fails")))),
        ("overdue", Box::pin(overdue(days.open("overdue")))),
        ("cut-short", Box::pin(cut_short(days.open("cut-short")))),
    ])
    .await;
}

/// Azure takes each write and fails it later.
async fn operation_fails(case: Case<'_>) {
    let fails = json!({"operationFails": {"code": "SomethingBroke", "message": "A disk of ours is full."}});
    let words = &["SomethingBroke", "A disk of ours is full"];
    case.fault("PUT", "/computes/gpu", 1, fails.clone()).await;
    case.cluster("gpu", json!({}));
    case.told_once("gpu", "ProvisioningFailed", words).await;
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "DELETE 202", "PUT 201"]);

    case.fault("PATCH", "/computes/gpu", 1, fails.clone()).await;
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.told_once("gpu", "ProvisioningFailed", words).await;
    case.ready("gpu").await;
    let writes = case.writes("gpu").await;
    assert_eq!(writes[3..], ["PATCH 200", "PATCH 200"]);

    case.fault("DELETE", "/computes/gpu", 1, fails).await;
    case.delete("amlcc", "gpu");
    case.gone("gpu").await;
    assert_eq!(case.writes("gpu").await[5..], ["DELETE 202", "DELETE 202"]);
}

/// A creation that never ends is told, until somebody deletes it in Azure: then it is made again.
async fn overdue(case: Case<'_>) {
    case.fault("PUT", "/computes/gpu", 1, json!("operationNeverEnds")).await;
    case.cluster("gpu", json!({}));
    case.tells("gpu", "OperationOverdue", &["Create has been under way", "look at the resource in Azure"]).await;
    case.lists(4).await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
    let arm = case.env().sim.arm().await.unwrap();
    let answer = arm.delete(&format!("{}?underlyingResourceAction=Delete", case.id("gpu"))).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "DELETE 202", "PUT 201"]);
}

/// A creation or a change that never ends doesn't hold up the deletion.
async fn cut_short(case: Case<'_>) {
    for (name, method) in [("made", "PUT"), ("changed", "PATCH")] {
        case.fault(method, &format!("/computes/{name}"), 1, json!("operationNeverEnds")).await;
        case.cluster(name, json!({}));
    }
    case.ready("changed").await;
    case.edit("changed", json!({"scale": {"maxNodes": 2}}));
    for name in ["made", "changed"] {
        case.tells(name, "OperationOverdue", &["look at the resource in Azure"]).await;
        case.delete("amlcc", name);
        case.gone(name).await;
        assert_eq!(case.azure_has(&case.id(name)).await.0, 404);
    }
    assert_eq!(case.writes("made").await, ["PUT 201", "DELETE 202"]);
    assert_eq!(case.writes("changed").await, ["PUT 201", "PATCH 200", "DELETE 202"]);
}
