//! The client against a small https server.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::testing::{Reply, Seen, Server};
use crate::{Admission, BudgetConfig, Claim, CredentialConfig, ErrorClass, Priority, provider_scope};

const ID: &str =
    "/subscriptions/s1/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/computes/c";

#[derive(Default)]
struct Records(Mutex<Vec<RequestRecord>>);

impl RequestObserver for Records {
    fn completed(&self, record: &RequestRecord) {
        self.0.lock().unwrap().push(record.clone());
    }
}

struct World {
    server: Server,
    arm: ArmClient,
    records: Arc<Records>,
}

impl World {
    /// A server that gives tokens, and otherwise answers as told.
    async fn new(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::start(move |seen| {
            if seen.target.ends_with("/oauth2/v2.0/token") { Reply::token("t0ken") } else { handler(seen) }
        })
        .await;
        let config =
            CredentialConfig::ClientSecret { tenant_id: "t".into(), client_id: "c".into(), secret: "s3cret".into() };
        let credential = Arc::new(Credential::new(config, &server.cloud(), server.http()).unwrap());
        let records = Arc::new(Records::default());
        let budget = Budget::new(BudgetConfig::default());
        let arm = ArmClient::new(server.http(), server.cloud(), credential, budget, records.clone());
        Self { server, arm, records }
    }

    fn claim(&self, kind: OperationKind) -> Claim {
        Claim {
            principal: self.arm.principal_key().to_owned(),
            subscription: "s1".into(),
            kind,
            lane: "w".into(),
            key: "k".into(),
            priority: Priority::Person,
            provider_scope: Some(provider_scope("Microsoft.MachineLearningServices", "west")),
        }
    }

    fn permit(&self, kind: OperationKind) -> Permit {
        match self.arm.budget().try_admit(&self.claim(kind)) {
            Admission::Granted(permit) => permit,
            Admission::Queued { .. } => panic!("no token left"),
        }
    }

    fn read(&self) -> Permit {
        self.permit(OperationKind::Read)
    }

    fn write(&self) -> Permit {
        self.permit(OperationKind::Write)
    }

    /// What ARM was asked, without the requests for tokens.
    fn seen(&self) -> Vec<Seen> {
        self.server.take().into_iter().filter(|seen| !seen.target.ends_with("/token")).collect()
    }

    fn left(&self, kind: OperationKind) -> f64 {
        self.arm.budget().snapshot().into_iter().find(|state| state.kind == kind).unwrap().left
    }
}

#[tokio::test]
async fn sends_each_verb_with_what_arm_wants() {
    let world = World::new(|_| Reply::new(200, json!({"id": ID}))).await;
    let body = json!({"properties": {}});
    let action = format!("{ID}/start");
    world.arm.get(ID, "v1", world.read()).await.unwrap();
    world.arm.put(ID, "v1", &body, world.write()).await.unwrap();
    world.arm.patch(ID, "v1", &body, world.write()).await.unwrap();
    world.arm.post(&action, "v1", None, world.write()).await.unwrap();
    world.arm.post(&action, "v1", Some(&body), world.write()).await.unwrap();
    let query = [("underlyingResourceAction", "Delete")];
    world.arm.delete(ID, "v1", &query, world.permit(OperationKind::Delete)).await.unwrap();

    let seen = world.seen();
    let lines: Vec<String> = seen.iter().map(|seen| format!("{} {} {}", seen.method, seen.target, seen.body)).collect();
    assert_eq!(
        lines,
        [
            format!("GET {ID}?api-version=v1 "),
            format!("PUT {ID}?api-version=v1 {body}"),
            format!("PATCH {ID}?api-version=v1 {body}"),
            format!("POST {ID}/start?api-version=v1 "),
            format!("POST {ID}/start?api-version=v1 {body}"),
            format!("DELETE {ID}?api-version=v1&underlyingResourceAction=Delete "),
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("authorization"), Some("Bearer t0ken"));
        let id = seen.header("x-ms-client-request-id").unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok());
        assert_eq!(seen.header("x-ms-correlation-request-id"), Some(id));
        let agent = seen.header("user-agent").unwrap();
        assert!(agent.starts_with("azureml-operator/"), "{agent}");
    }
    assert_eq!(seen[3].header("content-length"), Some("0"));
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    assert_eq!(world.left(OperationKind::Delete).floor(), 199.0);
}

#[tokio::test]
async fn reads_a_success_with_its_operation() {
    let world = World::new(|seen| {
        let host = seen.header("host").unwrap();
        Reply::new(202, "")
            .with("azure-asyncoperation", format!("https://{host}/op?s=%2Bx"))
            .with("location", format!("https://{host}/loc"))
            .with("retry-after", 15)
            .with("x-ms-correlation-request-id", "c-1")
    })
    .await;
    let response = world.arm.put(ID, "v", &json!({}), world.write()).await.unwrap();
    assert_eq!((response.status, response.body), (202, Value::Null));
    assert_eq!(response.operation.unwrap().as_str(), format!("{}/op?s=%2Bx", world.server.origin));
    assert_eq!(response.retry_after, Some(Duration::from_secs(15)));
    assert_eq!(response.correlation_id.as_deref(), Some("c-1"));
}

#[tokio::test]
async fn tokens_go_nowhere_else() {
    let world = World::new(|seen| match seen.target.split('?').next().unwrap() {
        "/list" => Reply::new(200, json!({"value": [], "nextLink": "https://other.example/list?token"})),
        "/redirect" => Reply::new(302, "").with("location", "https://other.example/"),
        _ => Reply::new(202, "").with("azure-asyncoperation", "https://other.example/op?s=signature"),
    })
    .await;
    let list = world.arm.list_page("/list", "v", None, world.read()).await.unwrap_err();
    assert_eq!((&list.kind, list.sent), (&ErrorKind::ForeignUrl, Sent::Answered));
    let put = world.arm.put(ID, "v", &json!({}), world.write()).await.unwrap_err();
    assert_eq!((&put.kind, put.sent, put.status), (&ErrorKind::ForeignUrl, Sent::MaybeProcessed, Some(202)));
    assert!(put.message.contains("other.example") && !put.to_string().contains("signature"), "{put}");
    let redirect = world.arm.get("/redirect", "v", world.read()).await.unwrap_err();
    assert_eq!(redirect.kind, ErrorKind::BadAnswer);

    // From status or memory, where anyone may have written them.
    let foreign: OperationUrl = serde_json::from_value(json!("https://other.example/op")).unwrap();
    let (reads, before) = (world.read(), world.left(OperationKind::Read));
    let error = world.arm.operation(&foreign, reads).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ForeignUrl);
    assert!(world.left(OperationKind::Read) > before, "the unused permit was spent");
    assert!(world.arm.get("https://other.example/", "v", world.read()).await.is_err());
    assert_eq!(world.seen().len(), 3);
    azureml_promises::held("src/arm/src/client/tests.rs::tokens_go_nowhere_else", 5);
}

#[tokio::test]
async fn reads_a_list_page_by_page() {
    let world = World::new(|seen| {
        let host = seen.header("host").unwrap();
        if seen.target.contains("skip") {
            Reply::new(200, json!({"value": [2]}))
        } else {
            Reply::new(
                200,
                json!({"value": [1], "nextLink": format!("https://{host}/list?$skip=a%20b&api-version=old")}),
            )
        }
    })
    .await;
    let first = world.arm.list_page("/list", "v", None, world.read()).await.unwrap();
    let second = world.arm.list_page("/list", "v", first.next.as_ref(), world.read()).await.unwrap();
    assert_eq!((first.items, second.items, second.next), (vec![json!(1)], vec![json!(2)], None));
    let targets: Vec<String> = world.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/list?api-version=v", "/list?$skip=a%20b&api-version=old"]);
}

#[tokio::test]
async fn reads_how_operations_go() {
    let world = World::new(|seen| match seen.target.as_str() {
        "/op/runs" => Reply::new(200, json!({"status": "InProgress"})).with("retry-after", 9),
        "/op/failed" => {
            Reply::new(200, json!({"status": "Failed", "error": {"code": "AllocationFailed", "message": "m"}}))
        }
        "/op/location" => Reply::new(202, ""),
        "/op/hidden" => Reply::new(403, json!({"error": {"code": "AuthorizationFailed", "message": "m"}})),
        "/op/gone" => Reply::new(404, ""),
        "/op/down" => Reply::new(503, ""),
        _ => Reply::new(204, ""),
    })
    .await;
    let read = async |name: &str| {
        let url = OperationUrl::parse(&format!("{}/op/{name}", world.server.origin), world.arm.cloud()).unwrap();
        world.arm.operation(&url, world.read()).await
    };
    let retry_after = Some(Duration::from_secs(9));
    assert_eq!(read("runs").await, Ok(OperationStatus::Running { retry_after }));
    assert_eq!(read("location").await, Ok(OperationStatus::Running { retry_after: None }));
    assert_eq!(read("done").await, Ok(OperationStatus::Succeeded));
    match read("failed").await {
        Ok(OperationStatus::Failed(error)) => assert_eq!(error.kind, ErrorKind::CapacityUnavailable),
        other => panic!("{other:?}"),
    }
    assert!(matches!(read("hidden").await, Ok(OperationStatus::NotAvailable(_))));
    assert!(matches!(read("gone").await, Ok(OperationStatus::NotAvailable(_))));
    assert_eq!(read("down").await.unwrap_err().kind, ErrorKind::Server);
}

#[tokio::test]
async fn says_whether_a_broken_write_may_have_taken_effect() {
    let body = json!({"properties": {"provisioningState": "Creating"}});
    let rows = [
        (Reply::reset(), ErrorKind::Network, Sent::MaybeProcessed, None),
        (Reply::new(201, &body).cut(), ErrorKind::BadAnswer, Sent::MaybeProcessed, Some(201)),
        (Reply::new(201, "{\"a\":"), ErrorKind::BadAnswer, Sent::MaybeProcessed, Some(201)),
        (Reply::new(409, &body).cut(), ErrorKind::Conflict, Sent::Answered, Some(409)),
        (Reply::new(500, ""), ErrorKind::Server, Sent::MaybeProcessed, Some(500)),
    ];
    for (reply, kind, sent, status) in rows {
        let world = World::new(move |_| reply.clone()).await;
        let error = world.arm.put(ID, "v", &json!({}), world.write()).await.unwrap_err();
        assert_eq!((&error.kind, error.sent, error.status), (&kind, sent, status), "{error:?}");
        assert_eq!(error.request, format!("PUT {ID}"));
        assert_eq!(world.seen().len(), 1, "it was sent again");
    }
    let world = World::new(|_| Reply::new(200, "")).await;
    world.arm.get(ID, "v", world.read()).await.unwrap();
    let unreachable = Cloud { resource_manager: Url::parse("https://localhost:1").unwrap(), ..world.server.cloud() };
    let arm = ArmClient::new(
        world.server.http(),
        unreachable,
        world.arm.inner.credential.clone(),
        world.arm.budget().clone(),
        Arc::new(()),
    );
    let error = arm.put(ID, "v", &json!({}), world.write()).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Network, Sent::NotSent));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_no_budget_used() {
    let server = Server::start(|_| Reply::new(401, json!({"error": "invalid_client", "error_codes": [7000215]}))).await;
    let config = CredentialConfig::ClientSecret { tenant_id: "t".into(), client_id: "c".into(), secret: "s".into() };
    let credential = Arc::new(Credential::new(config, &server.cloud(), server.http()).unwrap());
    let arm =
        ArmClient::new(server.http(), server.cloud(), credential, Budget::new(BudgetConfig::default()), Arc::new(()));
    let world = World { server, arm, records: Arc::default() };
    let error = world.arm.put(ID, "v", &json!({}), world.write()).await.unwrap_err();
    assert_eq!((error.class, error.sent), (ErrorClass::Credential, Sent::NotSent));
    assert!(world.seen().is_empty());
    assert_eq!(world.left(OperationKind::Write), 200.0);
}

#[tokio::test]
async fn a_401_costs_the_token() {
    let world =
        World::new(|_| Reply::new(401, json!({"error": {"code": "InvalidAuthenticationToken", "message": "m"}}))).await;
    for _ in 0..2 {
        let error = world.arm.get(ID, "v", world.read()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthorized);
    }
    let tokens = world.server.take().into_iter().filter(|seen| seen.target.ends_with("/token")).count();
    assert_eq!(tokens, 2);
}

#[tokio::test]
async fn learns_from_headers_and_from_each_kind_of_429() {
    let world = World::new(|seen| match seen.target.split('?').next().unwrap() {
        "/few" => Reply::new(200, "{}").with("x-ms-ratelimit-remaining-subscription-reads", 3),
        "/arm" => {
            Reply::new(429, json!({"error": {"code": "TooManyRequests", "message": "m"}})).with("retry-after", 30)
        }
        "/provider" => Reply::new(429, json!({"error": {"code": "Busy", "message": "m"}})).with("x-aml-cluster", "v"),
        _ => Reply::new(429, json!({"error": {"code": "RetryableError", "message": "m"}})).with("retry-after", 30),
    })
    .await;
    let delete =
        async |id: &str| world.arm.delete(id, "v", &[], world.permit(OperationKind::Delete)).await.unwrap_err();
    world.arm.get("/few", "v", world.read()).await.unwrap();
    assert!(world.left(OperationKind::Read) < 10.0);

    assert_eq!(delete("/object").await.kind, ErrorKind::Throttled(ThrottleOrigin::Object));
    drop(world.permit(OperationKind::Delete));

    assert_eq!(delete("/provider").await.kind, ErrorKind::Throttled(ThrottleOrigin::Provider));
    let elsewhere = Claim { provider_scope: None, ..world.claim(OperationKind::Write) };
    assert!(matches!(world.arm.budget().try_admit(&world.claim(OperationKind::Write)), Admission::Queued { .. }));
    assert!(matches!(world.arm.budget().try_admit(&elsewhere), Admission::Granted(_)));

    let permit = match world.arm.budget().try_admit(&Claim { kind: OperationKind::Delete, ..elsewhere.clone() }) {
        Admission::Granted(permit) => permit,
        Admission::Queued { .. } => panic!("no token left"),
    };
    let error = world.arm.delete("/arm", "v", &[], permit).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(ThrottleOrigin::Arm));
    let again = world.arm.budget().try_admit(&Claim { kind: OperationKind::Delete, ..elsewhere });
    match again {
        Admission::Queued { expected } => assert!(expected > Duration::from_secs(25), "{expected:?}"),
        Admission::Granted(_) => panic!("the throttled bucket goes on"),
    }
}

#[tokio::test]
async fn tells_the_observer_about_each_request() {
    let world = World::new(|_| Reply::new(404, json!({"error": {"code": "ResourceNotFound", "message": "m"}}))).await;
    let error = world.arm.get(ID, "v", world.read()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let records = world.records.0.lock().unwrap();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!((record.method.as_str(), record.status, record.kind), ("GET", Some(404), OperationKind::Read));
    assert_eq!((record.provider.as_str(), record.subscription.as_str()), ("Microsoft.MachineLearningServices", "s1"));
    assert_eq!(record.code.as_deref(), Some("ResourceNotFound"));
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let world = World::new(|_| Reply::new(200, "x".repeat(LONGEST_BODY + 1))).await;
    let error = world.arm.get(ID, "v", world.read()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.message.contains("longer"), "{error}");
}

/// A redirect is an answer like any other that is no success: the token goes nowhere else.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| Reply::new(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}{ID}", elsewhere.origin);
        let world = World::new(move |_| Reply::new(status, "").with("Location", &location)).await;
        assert_eq!(world.arm.get(ID, "v", world.read()).await.unwrap_err().status, Some(status));
        assert_eq!(world.arm.put(ID, "v", &json!({}), world.write()).await.unwrap_err().status, Some(status));
        assert!(elsewhere.take().is_empty(), "{status} was followed");
    }
}

#[tokio::test]
async fn an_older_api_version_is_spoken_where_the_cloud_offers_no_newer_one() {
    const SPOKEN: Spoken<'static> = Spoken {
        provider: "Microsoft.MachineLearningServices",
        types: &["workspaces"],
        oldest: "2021-07-01",
        newest: "2025-12-01",
    };
    let offered = |versions: Value| json!({"resourceTypes": [{"resourceType": "workspaces", "apiVersions": versions}]});
    let refusal = "No registered resource provider found for location '' and API version '2025-12-01' for type 'x'. \
                   The supported api-versions are '2024-10-01'.";
    let refused = json!({"error": {"code": "NoRegisteredProviderFound", "message": refusal}});
    let world = World::new(move |seen| match &seen.target {
        target if target.starts_with("/providers/") => {
            Reply::new(200, offered(json!(["2026-05-01", "2024-10-01", "2024-07-01-preview"])))
        }
        target if target.contains("api-version=2024-10-01") => Reply::new(200, json!({"id": ID, "value": []})),
        _ => Reply::new(400, refused.clone()),
    })
    .await;
    let error = world.arm.get(ID, "2025-12-01", world.read()).await.unwrap_err();
    assert_eq!((error.kind, error.class), (ErrorKind::ApiVersionUnsupported, ErrorClass::Waiting));
    world.arm.learn_version(&SPOKEN, world.read()).await.unwrap();
    world.arm.get(ID, "2025-12-01", world.read()).await.unwrap();
    world.arm.list_page(ID, "2025-12-01", None, world.read()).await.unwrap();
    assert_eq!(world.arm.version(ID, "2025-12-01"), "2024-10-01");
    assert_eq!(world.arm.version("/subscriptions/s", "2022-12-01"), "2022-12-01");
    assert_eq!(world.seen().len(), 4);

    let none = World::new(move |_| Reply::new(200, offered(json!(["2026-05-01"])))).await;
    let error = none.arm.learn_version(&SPOKEN, none.read()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::ApiVersionUnsupported, "NoCommonApiVersion"));
    assert_eq!(none.arm.version(ID, "2025-12-01"), "2025-12-01");
}
