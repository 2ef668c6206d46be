//! The front door: who, how often, which version, and in what order.

use crate::azure::{Azure, SUB, cluster, code, compute, world, ws};
use azure_sim::{
    front::http::Request,
    ml::ctx::{Options, Throttling},
    world::Bucket,
};
use serde_json::{Value, json};

#[test]
fn versions_verbs_and_paths() {
    let mut azure = Azure::new();
    for (method, url, status, wrong) in [
        ("GET", ws(), 400, "MissingApiVersionParameter"),
        ("GET", format!("{}?api-version=2020-01-01", ws()), 400, "NoRegisteredProviderFound"),
        ("GET", format!("{}?api-version=newest", ws()), 400, "InvalidApiVersionParameter"),
        ("GET", format!("{SUB}?api-version=2025-12-01"), 400, "InvalidApiVersionParameter"),
        ("POST", format!("{}?api-version=2025-12-01", ws()), 405, "HttpMethodNotAllowed"),
        ("DELETE", format!("{}/computes?api-version=2025-12-01", ws()), 405, "HttpMethodNotAllowed"),
        ("GET", format!("{}/models?api-version=2025-12-01", ws()), 404, "InvalidResourceType"),
        (
            "GET",
            format!("{SUB}/providers/Microsoft.Compute/disks?api-version=2025-12-01"),
            404,
            "InvalidResourceNamespace",
        ),
        ("GET", ws().replace("000001", "000002") + "?api-version=2025-12-01", 404, "SubscriptionNotFound"),
        ("GET", "/subscriptions/mine?api-version=2022-12-01".into(), 400, "InvalidSubscriptionId"),
    ] {
        let got = azure.exact(method, &url, Value::Null);
        assert_eq!((got.status, code(&got)), (status, wrong), "{method} {url}");
    }
    for version in ["2021-07-01", "2024-04-01", "2025-12-01", "2026-05-01"] {
        let url = format!("{}?api-version={version}", ws().to_uppercase());
        assert_eq!(azure.exact("GET", &url, Value::Null).status, 200, "{version}");
    }
}

#[test]
fn headers_of_every_answer() {
    let mut azure = Azure::new();
    let got = azure.get(&ws());
    assert_eq!(got.header("x-ms-ratelimit-remaining-subscription-reads"), Some("249"));
    assert_eq!(got.header("x-ms-ratelimit-remaining-subscription-global-reads"), Some("3749"));
    assert!(got.header("x-aml-cluster").is_some() && got.header("x-ms-request-id").is_some());
    let refused = azure.get(&ws().replace("research", "none"));
    assert!(refused.header("x-ms-request-id").is_some());
    assert!(refused.header("x-aml-cluster").is_none(), "ARM itself answered");
}

#[test]
fn tokens_that_do_not_count() {
    let mut azure = Azure::new();
    let mut request = Request {
        secure: true,
        method: "GET".into(),
        path: ws(),
        query: "api-version=2025-12-01".into(),
        ..Request::default()
    };
    let got = azure.raw(&request);
    assert_eq!((got.status, code(&got)), (401, "AuthenticationFailed"));
    assert!(got.header("www-authenticate").is_some());
    request.headers.insert("authorization".into(), "Bearer abc.def.ghi".into());
    assert_eq!(code(&azure.raw(&request)), "InvalidAuthenticationToken");

    let form = "grant_type=client_credentials&client_id=00000000-0000-0000-0000-0000000000c1\
                &client_secret=demo-only-not-a-secret&scope=https://graph.microsoft.com/.default";
    let graph = azure.token_request(form).body["access_token"].as_str().unwrap().to_string();
    request.headers.insert("authorization".into(), format!("Bearer {graph}"));
    assert_eq!(code(&azure.raw(&request)), "InvalidAuthenticationTokenAudience");

    azure.admin("POST", "principals/00000000-0000-0000-0000-0000000000c1", json!({"revokeTokens": true}));
    assert_eq!(azure.get(&ws()).status, 200, "issued in the same instant");
    azure.wait("1s");
    azure.admin("POST", "principals/00000000-0000-0000-0000-0000000000c1", json!({"revokeTokens": true}));
    assert_eq!(code(&azure.get(&ws())), "InvalidAuthenticationToken");
    azure.wait("1s");
    azure.sign_in("00000000-0000-0000-0000-0000000000c1", "demo-only-not-a-secret");
    assert_eq!(azure.get(&ws()).status, 200);
    azure.wait("3600s");
    assert_eq!(code(&azure.get(&ws())), "ExpiredAuthenticationToken");
}

#[test]
fn rights_come_before_existence() {
    let mut azure = Azure::new();
    azure.admin(
        "POST",
        "principals/reader",
        json!({
        "tenant": "00000000-0000-0000-0000-0000000000aa", "secret": "s",
        "roles": [{"scope": ws(), "role": "Reader"}]}),
    );
    azure.sign_in("reader", "s");
    assert_eq!(azure.get(&compute("none")).status, 404);
    let got = azure.put(&compute("none"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!((got.status, code(&got)), (403, "AuthorizationFailed"));
    let text = got.body["error"]["message"].as_str().unwrap();
    for part in ["'reader'", "object id", "workspaces/computes/write", &compute("none")] {
        assert!(text.contains(part), "{text}");
    }
    let elsewhere = ws().replace("research-ws", "none");
    assert_eq!(azure.get(&elsewhere).status, 403, "not 404: who may not read learns nothing");
    let made = azure.get(&format!("{SUB}/providers/Microsoft.MachineLearningServices/locations/westeurope/usages"));
    assert_eq!(made.status, 403, "usages live at the subscription");
}

#[test]
fn an_operation_needs_rights_at_the_subscription() {
    let mut azure = Azure::new();
    azure.admin(
        "POST",
        "principals/local",
        json!({
        "tenant": "00000000-0000-0000-0000-0000000000aa", "secret": "s",
        "roles": [{"scope": ws(), "role": "Contributor"}]}),
    );
    azure.sign_in("local", "s");
    let made = azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1));
    assert_eq!(made.status, 201);
    let url = made.header("azure-asyncoperation").unwrap().to_string();
    assert_eq!(azure.exact("GET", &url, Value::Null).status, 403);
}

#[test]
fn custom_roles_are_enforced_and_the_log_says_what_was_needed() {
    let mut azure = Azure::new();
    let ml = "Microsoft.MachineLearningServices";
    let definition = |actions: &[&str]| {
        let actions: Vec<String> = actions.iter().map(|action| format!("{ml}/{action}")).collect();
        json!({"Name": "writer", "IsCustom": true, "Description": "d", "Actions": actions, "AssignableScopes": [SUB]})
    };
    azure.admin("POST", "roles", definition(&["workspaces/computes/write", "workspaces/computes/read"]));
    azure.admin(
        "POST",
        "principals/writer",
        json!({
        "tenant": "00000000-0000-0000-0000-0000000000aa", "secret": "s",
        "roles": [{"scope": ws(), "role": "Writer"}, {"scope": SUB, "role": "Reader"}]}),
    );
    azure.sign_in("writer", "s");
    assert_eq!(azure.put(&compute("cpu"), cluster("Standard_DS3_v2", 0, 1)).status, 201);
    assert_eq!(azure.get(&compute("cpu")).status, 200);
    let refused = azure.delete(&format!("{}?underlyingResourceAction=Delete", compute("cpu")));
    assert_eq!((refused.status, code(&refused)), (403, "AuthorizationFailed"));
    let log = azure.admin("GET", "requests", Value::Null);
    let needs: Vec<Value> =
        log["value"].as_array().unwrap().iter().rev().take(3).map(|one| one["needs"].clone()).collect();
    let need = |action: &str, roles: &[&str]| json!([{"action": format!("{ml}/workspaces/computes/{action}"), "scope": compute("cpu"), "roles": roles}]);
    assert_eq!(needs, [need("delete", &[]), need("read", &["Reader", "Writer"]), need("write", &["Writer"])]);

    // A changed definition counts at once. The workspace takes its assignments with it, and is no secret to the Reader.
    azure.admin("POST", "roles", definition(&["workspaces/computes/read"]));
    assert_eq!(azure.put(&compute("cpu2"), cluster("Standard_DS3_v2", 0, 1)).status, 403);
    azure.admin("DELETE", &format!("resource{}", ws()), Value::Null);
    assert_eq!(code(&azure.get(&ws())), "ResourceNotFound");
    let roles = azure.admin("GET", "principals", Value::Null)["value"].clone();
    let writer = roles.as_array().unwrap().iter().find(|one| one["clientId"] == "writer").unwrap();
    assert_eq!(writer["roles"].as_array().unwrap().len(), 1, "{writer}");
}

#[test]
fn a_subscription_is_read_by_a_role_there_only() {
    let mut azure = Azure::new();
    let principal = |at: &str| {
        json!({
        "tenant": "00000000-0000-0000-0000-0000000000aa", "secret": "s", "roles": [{"scope": at, "role": "Reader"}]})
    };
    azure.admin("POST", "principals/local", principal(&ws()));
    azure.sign_in("local", "s");
    let got = azure.get(SUB);
    assert_eq!((got.status, code(&got)), (403, "AuthorizationFailed"));
    assert!(got.body["error"]["message"].as_str().unwrap().contains("'Microsoft.Resources/subscriptions/read'"));
    azure.admin("POST", "principals/local", principal(SUB));
    assert_eq!(azure.get(SUB).status, 200);
}

#[test]
fn throttling_and_how_to_do_without() {
    let mut small = world();
    small.throttle.reads = Bucket { size: 2.0, per_second: 1.0 };
    let mut azure = Azure::with(small.clone(), Options::default());
    for status in [200, 200, 429] {
        assert_eq!(azure.get(&ws()).status, status);
    }
    let got = azure.get(&ws());
    assert_eq!((got.status, got.header("retry-after")), (429, Some("1")));
    assert!(got.header("x-aml-cluster").is_none());
    azure.wait("2s");
    assert_eq!(azure.get(&ws()).status, 200);
    let mut free = Azure::with(small, Options { throttling: Throttling::Off, ..Options::default() });
    for _ in 0..20 {
        assert_eq!(free.get(&ws()).status, 200);
    }
}

#[test]
fn plain_http_is_for_a_few_paths() {
    let mut azure = Azure::new();
    let plain = |path: &str| Request { method: "GET".into(), path: path.into(), ..Request::default() };
    assert_eq!(azure.raw(&plain(&ws())).status, 403);
    assert_eq!(azure.raw(&plain("/_sim/clock")).status, 200);
    assert_eq!(azure.raw(&plain("/metadata/identity/oauth2/token")).status, 400);
}
