//! One row per shape that Azure was seen to send.

use super::*;
use http::HeaderValue;
use serde_json::json;

fn answer(status: u16, body: &str) -> ArmError {
    ArmError::from_response(status, &HeaderMap::new(), body.as_bytes(), "GET /x", Timestamp::UNIX_EPOCH)
}

#[test]
fn reads_and_classifies_every_shape() {
    use ErrorClass::*;
    let long_sizes = r#"{"error":{"code":"InvalidPropertyValue","message":"The specified value Standard_B2s for property Cluster.Properties.VMSize is not a supported VM size. See additional details for supported VM sizes.","details":[{"code":"SupportedVMSizes","message":"STANDARD_D1,STANDARD_D2"}]}}"#;
    let registry = r#"{"error":{"code":"UserError","severity":null,"message":"Registry X not found","messageFormat":null,"messageParameters":{"a":"b"},"referenceCode":null,"detailsUri":null,"target":null,"details":[],"innerError":{"code":"NotFound","innerError":{"code":"RegistryNotFound","innerError":null}},"debugInfo":null}}"#;
    let rows: Vec<(u16, &str, ErrorKind, ErrorClass, &str, &str)> = vec![
        (
            404,
            r#"{"error":{"code":"ResourceGroupNotFound","message":"Resource group 'X' could not be found."}}"#,
            ErrorKind::ResourceGroupNotFound,
            Waiting,
            "ResourceGroupNotFound",
            "Resource group 'X' could not be found.",
        ),
        (
            404,
            r#"{"error":{"code":"ResourceNotFound","message":"The Resource 'NS/type/name' under resource group 'X' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"}}"#,
            ErrorKind::NotFound,
            Waiting,
            "ResourceNotFound",
            "The Resource 'NS/type/name'",
        ),
        (
            404,
            r#"{"error":{"code":"ParentResourceNotFound","message":"Failed to perform 'delete' on resource(s) of type 'workspaces/computes', because the parent resource '…' could not be found."}}"#,
            ErrorKind::ParentNotFound,
            Waiting,
            "ParentResourceNotFound",
            "Failed to perform",
        ),
        (404, registry, ErrorKind::NotFound, Waiting, "UserError", "Registry X not found"),
        (
            404,
            r#"{"error":{"code":"SubscriptionNotFound","message":"The subscription '0' could not be found."}}"#,
            ErrorKind::SubscriptionNotFound,
            Credential,
            "SubscriptionNotFound",
            "The subscription",
        ),
        (
            404,
            r#"{"error":{"code":"SomethingElse","message":"m"}}"#,
            ErrorKind::Unknown,
            Transient,
            "SomethingElse",
            "m",
        ),
        (404, "", ErrorKind::BadAnswer, Transient, "Http404", "the answer is empty"),
        (
            404,
            "<html><head><title>404 Not Found</title></head></html>",
            ErrorKind::BadAnswer,
            Transient,
            "Http404",
            "a page instead of JSON: 404 Not Found",
        ),
        (400, long_sizes, ErrorKind::InvalidSize, Manifest, "InvalidPropertyValue", "STANDARD_D1,STANDARD_D2"),
        (
            400,
            r#"{"error":{"code":"UserError","message":"Soft-deleted workspace exists. Please purge or recover it."}}"#,
            ErrorKind::SoftDeleted,
            Waiting,
            "UserError",
            "Soft-deleted workspace exists.",
        ),
        (
            400,
            r#"{"error":{"code":"BadRequest","message":"Compute name 'x-1' is not available. Reason: Invalid. Message: A name for an Azure ML Compute Instance must be …"}}"#,
            ErrorKind::NameUnavailable,
            Manifest,
            "BadRequest",
            "Compute name 'x-1'",
        ),
        (
            400,
            r#"{"error":{"code":"ClusterMinNodesExceedCoreQuota","message":"The specified subscription has a Standard DSv2 family vCPU quota of 6 and cannot accomodate for at least 1 requested managed compute nodes which maps to 8 vCPUs."}}"#,
            ErrorKind::QuotaExceeded,
            Waiting,
            "ClusterMinNodesExceedCoreQuota",
            "The specified subscription",
        ),
        (
            400,
            r#"{"error":{"code":"BadRequest","message":"It has a total vCPU quota of 0 left"}}"#,
            ErrorKind::QuotaExceeded,
            Waiting,
            "BadRequest",
            "It has",
        ),
        (
            409,
            r#"{"error":{"code":"OperationNotAllowed","message":"Operation could not be completed as it results in exceeding approved standardNCFamily Cores quota."}}"#,
            ErrorKind::QuotaExceeded,
            Waiting,
            "OperationNotAllowed",
            "Operation",
        ),
        (
            409,
            r#"{"error":{"code":"SkuNotAvailable","message":"m"}}"#,
            ErrorKind::CapacityUnavailable,
            Waiting,
            "SkuNotAvailable",
            "m",
        ),
        (409, r#"{"error":{"code":"Conflict","message":"busy"}}"#, ErrorKind::Conflict, Transient, "Conflict", "busy"),
        (
            409,
            r#"{"Code":"Conflict","Message":"Website with given name X already exists.","Target":null,"Details":[{"Message":"Website with given name X already exists."},{"Code":"Conflict"},{"ErrorEntity":{"ExtendedCode":"54001"}}],"Innererror":null}"#,
            ErrorKind::NameUnavailable,
            Manifest,
            "Conflict",
            "Website with given name X already exists.",
        ),
        (
            409,
            r#"{"error":{"code":"ReadOnlyDisabledSubscription","message":"m"}}"#,
            ErrorKind::SubscriptionDisabled,
            Waiting,
            "ReadOnlyDisabledSubscription",
            "m",
        ),
        (
            409,
            r#"{"error":{"code":"MissingSubscriptionRegistration","message":"m"}}"#,
            ErrorKind::ProviderNotRegistered,
            Waiting,
            "MissingSubscriptionRegistration",
            "m",
        ),
        (
            400,
            r#"{"code":"BadRequest","statusCode":400,"message":"The request is invalid","details":[{"code":"BadRequestFormat","message":"Specified kubernetes version X is not supported.."}]}"#,
            ErrorKind::InvalidRequest,
            Manifest,
            "BadRequest",
            "The request is invalid; Specified kubernetes version X is not supported..",
        ),
        (
            400,
            r#"{"error":{"code":"DeploymentFailed","message":"{\"error\":{\"code\":\"AllocationFailed\",\"message\":\"no room\"}}"}}"#,
            ErrorKind::CapacityUnavailable,
            Waiting,
            "DeploymentFailed",
            "no room",
        ),
        (
            400,
            r#"{"error":{"code":"NoRegisteredProviderFound","message":"No registered resource provider found for location '' and API version '2025-12-01' for type 'workspaces/computes'. The supported api-versions are '2024-10-01, 2024-04-01'. The supported locations are 'westeurope'."}}"#,
            ErrorKind::ApiVersionUnsupported,
            Waiting,
            "NoRegisteredProviderFound",
            "No registered",
        ),
        (
            400,
            r#"{"error":{"code":"NoRegisteredProviderFound","message":"No registered resource provider found for location 'mars' and API version '2025-12-01' for type 'x'. The supported api-versions are '2025-12-01, 2024-04-01'. The supported locations are 'westeurope'."}}"#,
            ErrorKind::InvalidRequest,
            Manifest,
            "NoRegisteredProviderFound",
            "No registered",
        ),
        (
            400,
            r#"{"error":{"code":"InvalidApiVersionParameter","message":"The api-version '2025-12-01' is invalid. The supported versions are '2021-04-01,2020-01-01'."}}"#,
            ErrorKind::ApiVersionUnsupported,
            Waiting,
            "InvalidApiVersionParameter",
            "The api-version",
        ),
        (
            404,
            r#"{"error":{"code":"InvalidResourceType","message":"The resource type 'workspaces' could not be found in the namespace 'Microsoft.MachineLearningServices' for api version '2025-12-01'. The supported api-versions are '2018-11-19'."}}"#,
            ErrorKind::ApiVersionUnsupported,
            Waiting,
            "InvalidResourceType",
            "The resource type",
        ),
        (400, r#"{"message":"only a message"}"#, ErrorKind::InvalidRequest, Manifest, "Http400", "only a message"),
        (400, r#""just a string""#, ErrorKind::InvalidRequest, Manifest, "Http400", "just a string"),
        (
            400,
            r#"{"error":{"code":400,"message":{"lang":"en","value":"odata"}}}"#,
            ErrorKind::InvalidRequest,
            Manifest,
            "400",
            "odata",
        ),
        (
            400,
            r#"{"error":{"code":null,"message":null,"details":null,"innerError":null}}"#,
            ErrorKind::InvalidRequest,
            Manifest,
            "Http400",
            "",
        ),
        (
            400,
            r#"{"error":{"code":"ValidationError","message":"m","details":[{"code":"ResourceNotFound","message":"the subnet"}]}}"#,
            ErrorKind::InvalidRequest,
            Manifest,
            "ValidationError",
            "m; the subnet",
        ),
        (
            401,
            r#"{"error":{"code":"ExpiredAuthenticationToken","message":"The access token expiry UTC time '…' is earlier than current UTC time."}}"#,
            ErrorKind::Unauthorized,
            Credential,
            "ExpiredAuthenticationToken",
            "The access token",
        ),
        (401, "", ErrorKind::Unauthorized, Credential, "Http401", "the answer is empty"),
        (408, "", ErrorKind::Timeout, Transient, "Http408", "the answer is empty"),
        (
            412,
            r#"{"error":{"code":"PreconditionFailed","message":"m"}}"#,
            ErrorKind::Conflict,
            Transient,
            "PreconditionFailed",
            "m",
        ),
        (418, r#"{"error":{"code":"Teapot","message":"m"}}"#, ErrorKind::Unknown, Transient, "Teapot", "m"),
        (500, r#"{"error":{"code":"UserError","message":"m"}}"#, ErrorKind::Server, Transient, "UserError", "m"),
        (
            502,
            "<!DOCTYPE html><TITLE>\n Bad\tGateway </TITLE>",
            ErrorKind::Server,
            Transient,
            "Http502",
            "a page instead of JSON: Bad Gateway",
        ),
        (503, r#"{"error":{"code":"ServerBu"#, ErrorKind::Server, Transient, "Http503", "the answer was cut off"),
        (200, r#"{"error"#, ErrorKind::BadAnswer, Transient, "Http200", "the answer was cut off"),
        (302, "", ErrorKind::BadAnswer, Transient, "Http302", "the answer is empty"),
        (
            403,
            "<html></html>",
            ErrorKind::Forbidden { action: None, scope: None },
            Credential,
            "Http403",
            "a page instead of JSON",
        ),
    ];
    for (status, body, kind, class, code, message) in rows {
        let error = answer(status, body);
        assert_eq!(error.kind, kind, "{status} {body}");
        assert_eq!(error.class, class, "{status} {body}");
        assert_eq!(error.code, code, "{status} {body}");
        assert!(error.message.contains(message), "{status} {body}: {}", error.message);
        assert!(error.message.is_empty() == message.is_empty(), "{body}: {}", error.message);
        assert!(error.advice().ends_with('.'), "{}", error.advice());
    }
}

#[test]
fn names_what_is_missing_or_in_the_way() {
    let rows = [
        (
            403,
            r#"{"error":{"code":"AuthorizationFailed","message":"The client 'c' with object id 'o' does not have authorization to perform action 'Microsoft.MachineLearningServices/workspaces/computes/write' over scope '/subscriptions/s/x' or the scope is invalid. If access was recently granted, please refresh your credentials."}}"#,
            ErrorKind::Forbidden {
                action: Some("Microsoft.MachineLearningServices/workspaces/computes/write".into()),
                scope: Some("/subscriptions/s/x".into()),
            },
            ErrorClass::Credential,
            "Microsoft.MachineLearningServices/workspaces/computes/write on /subscriptions/s/x",
        ),
        (
            403,
            r#"{"error":{"code":"LinkedAuthorizationFailed","message":"The client 'c' with object id 'o' has permission to perform action 'Microsoft.MachineLearningServices/workspaces/computes/write' on scope '/subscriptions/s/a'; however, it does not have permission to perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) '/subscriptions/s/b' (respectively) or the linked scope(s) are invalid."}}"#,
            ErrorKind::LinkedAuthorizationFailed {
                action: Some("Microsoft.Network/virtualNetworks/subnets/join/action".into()),
                scope: Some("/subscriptions/s/b".into()),
            },
            ErrorClass::Credential,
            "subnets/join/action on /subscriptions/s/b",
        ),
        (
            409,
            r#"{"error":{"code":"ScopeLocked","message":"The scope '/subscriptions/s/x' cannot perform delete operation because following scope(s) are locked: '/subscriptions/s/resourceGroups/g'. Please remove the lock and try again."}}"#,
            ErrorKind::ScopeLocked { scope: Some("/subscriptions/s/resourceGroups/g".into()) },
            ErrorClass::Waiting,
            "lock on /subscriptions/s/resourceGroups/g",
        ),
        (
            403,
            r#"{"error":{"code":"RequestDisallowedByPolicy","target":"gpu","message":"Resource 'gpu' was disallowed by policy. Policy identifiers: '[{\"policyAssignment\":{\"name\":\"no-gpu\",\"id\":\"/x\"},\"policyDefinition\":{\"name\":\"d\",\"id\":\"/y\"}}]'.","additionalInfo":[{"type":"PolicyViolation","info":{"policyAssignmentDisplayName":"Only small sizes","policyDefinitionName":"d"}}]}}"#,
            ErrorKind::PolicyDenied { policies: vec!["no-gpu".into(), "Only small sizes".into()] },
            ErrorClass::Manifest,
            "complies with no-gpu, Only small sizes",
        ),
    ];
    for (status, body, kind, class, advice) in rows {
        let error = answer(status, body);
        assert_eq!(error.kind, kind);
        assert_eq!(error.class, class);
        assert!(error.advice().contains(advice), "{}", error.advice());
    }
}

#[test]
fn tells_the_three_origins_of_a_429_apart() {
    use ThrottleOrigin::*;
    let rows = [
        ("", false, Arm),
        (r#"{"error":{"code":"TooManyRequests","message":"m"}}"#, false, Arm),
        (r#"{"error":{"code":"SubscriptionRequestsThrottled","message":"m"}}"#, false, Arm),
        (r#"{"error":{"code":"TooManyRequests","message":"m"}}"#, true, Provider),
        (r#"{"error":{"code":"TooManyComputeOperations","message":"m"}}"#, false, Provider),
        (
            r#"{"error":{"code":"RetryableError","message":"m","details":[{"code":"ReferencedResourceNotProvisioned","message":"n"}]}}"#,
            true,
            Object,
        ),
        (
            r#"{"error":{"code":"Conflict","message":"m","details":[{"code":"RetryableError","message":"n"}]}}"#,
            false,
            Object,
        ),
        ("<html>", false, Arm),
    ];
    for (body, from_cluster, origin) in rows {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        if from_cluster {
            headers.insert("x-aml-cluster", HeaderValue::from_static("vienna-1"));
        }
        let error = ArmError::from_response(429, &headers, body.as_bytes(), "PUT /x", Timestamp::UNIX_EPOCH);
        assert_eq!(error.kind, ErrorKind::Throttled(origin), "{body}");
        assert_eq!(error.class, ErrorClass::Transient);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }
}

#[test]
fn reads_errors_inside_of_resources_and_operations() {
    let rows = [
        (json!({"error": {"code": "ClusterCoreQuotaReached", "message": "m"}}), ErrorKind::QuotaExceeded),
        (json!({"code": "AllocationFailed", "message": "m"}), ErrorKind::CapacityUnavailable),
        (
            json!([{"error": {"code": "SubnetIsFull", "message": "m"}}, {"error": {"code": "x", "message": "n"}}]),
            ErrorKind::Unknown,
        ),
        (
            json!([{"code":"BadRequest","error":{"code":"BadRequest","statusCode":400,"message":"The request is invalid","details":[{"code":"BadRequestFormat","message":"bad version"}]},"message":"outer"}]),
            ErrorKind::InvalidRequest,
        ),
        (json!({"code": "StartComputeInstanceOnlyAllowedInStoppedState", "message": "m"}), ErrorKind::Conflict),
        (json!({"code": "InternalServerError", "message": "m"}), ErrorKind::Server),
        (json!({"code": "UserError", "message": "m"}), ErrorKind::InvalidRequest),
        (json!({"code": "InvalidSubnet", "message": "m"}), ErrorKind::InvalidRequest),
        (json!({"code": "RetryableError", "message": "m"}), ErrorKind::Throttled(ThrottleOrigin::Object)),
        (json!("text"), ErrorKind::Unknown),
        (json!(null), ErrorKind::Unknown),
        (json!(7), ErrorKind::Unknown),
    ];
    for (body, kind) in rows {
        let error = ArmError::from_error_body(&body);
        assert_eq!(error.kind, kind, "{body}");
        assert_eq!(error.status, None);
    }
    let list = ArmError::from_error_body(
        &json!([{"error": {"code": "A", "message": "m."}}, {"error": {"code": "B", "message": "n"}}]),
    );
    assert_eq!((list.code.as_str(), list.message.as_str()), ("A", "m. n"));
    assert_eq!(list.details, [("B".to_owned(), "n".to_owned())]);
}

#[test]
fn keeps_messages_short_stable_and_on_one_line() {
    let body = json!({"error": {"code": "X", "message": format!("a\r\n\tb\u{7}c {}", "ü".repeat(2000))}});
    let error = answer(400, &body.to_string());
    assert!(error.message.starts_with("a b c ü"));
    assert_eq!(error.message.chars().count(), 600);
    assert!(error.message.ends_with('…'));

    let twice = ["1f", "2a"].map(|id| {
        let message = format!("It failed. Trace ID: {id} Correlation ID: {id} Timestamp: 2026-11-2{id}");
        answer(400, &json!({"error": {"code": "X", "message": message}}).to_string()).message
    });
    assert_eq!(twice[0], "It failed.");
    assert_eq!(twice[0], twice[1]);

    let many: Vec<Value> = (0..100).map(|n| json!({"code": format!("C{n}"), "message": format!("m{n}")})).collect();
    let error = answer(400, &json!({"error": {"code": "X", "message": "m", "details": many}}).to_string());
    assert_eq!(error.details.len(), 20);

    let mut deep = json!({"code": "Deepest", "message": "deepest"});
    for _ in 0..60 {
        deep = json!({"code": "Y", "message": "y", "innerError": deep});
    }
    assert_eq!(answer(400, &deep.to_string()).code, "Y");
}

#[test]
fn says_whether_a_write_may_have_taken_effect() {
    let rows = [
        (400, Sent::Answered),
        (404, Sent::Answered),
        (408, Sent::MaybeProcessed),
        (409, Sent::Answered),
        (429, Sent::Answered),
        (500, Sent::MaybeProcessed),
        (504, Sent::MaybeProcessed),
    ];
    for (status, sent) in rows {
        assert_eq!(answer(status, "").sent, sent, "{status}");
    }
}

#[test]
fn displays_what_happened_with_code_and_message() {
    let mut headers = HeaderMap::new();
    headers.insert("x-ms-correlation-request-id", HeaderValue::from_static("c-1"));
    let body = br#"{"error":{"code":"QuotaExceeded","message":"No cores left."}}"#;
    let error = ArmError::from_response(409, &headers, body, "PUT /x", Timestamp::UNIX_EPOCH);
    assert_eq!(error.to_string(), "a quota is used up (QuotaExceeded, 409): No cores left.");
    assert_eq!(error.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(error.request, "PUT /x");
}

proptest::proptest! {
    #[test]
    fn reads_any_bytes(status in 100u16..600, body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let error = ArmError::from_response(status, &HeaderMap::new(), &body, "GET /x", Timestamp::UNIX_EPOCH);
        proptest::prop_assert!(error.message.chars().count() <= 600);
        proptest::prop_assert!(!error.code.is_empty());
    }
}
