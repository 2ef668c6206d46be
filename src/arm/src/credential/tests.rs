use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::ThrottleOrigin;
use crate::testing::{Reply, Seen, Server};

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

fn secret(value: &str) -> CredentialConfig {
    CredentialConfig::ClientSecret { tenant_id: TENANT.into(), client_id: "Client".into(), secret: value.into() }
}

fn credential(server: &Server, config: CredentialConfig) -> Credential {
    Credential::new(config, &server.cloud(), server.http()).unwrap()
}

async fn text(credential: &Credential) -> Result<String, ArmError> {
    credential.token().await.map(|token| token.expose_secret().to_owned())
}

/// A handler that gives the n-th answer to the n-th request, and the last one from then on.
fn replies(replies: Vec<Reply>) -> impl Fn(&Seen) -> Reply + Send + Sync {
    let next = AtomicUsize::new(0);
    move |_| replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)].clone()
}

fn refused(number: u32, description: &str) -> Reply {
    let body = json!({"error": "invalid_client", "error_description": description, "error_codes": [number]});
    Reply::new(401, body)
}

#[test]
fn a_credential_does_not_show_its_secret() {
    assert!(!format!("{:?}", secret("s3cr3t")).contains("s3cr3t"));
}

#[tokio::test]
async fn asks_entra_once_and_keeps_the_token() {
    let server = Server::start(|_| Reply::token("token-1")).await;
    let credential = credential(&server, secret("p@ss word&x=y"));
    let (a, b, c) = tokio::join!(text(&credential), text(&credential), text(&credential));
    assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), ("token-1".into(), "token-1".into(), "token-1".into()));
    let seen = server.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", format!("/{TENANT}/oauth2/v2.0/token").as_str())
    );
    let form: Vec<(String, String)> = url::form_urlencoded::parse(seen[0].body.as_bytes()).into_owned().collect();
    for pair in [
        ("client_id", "Client"),
        ("client_secret", "p@ss word&x=y"),
        ("grant_type", "client_credentials"),
        ("scope", "https://management.azure.com/.default"),
    ] {
        assert!(form.contains(&(pair.0.to_owned(), pair.1.to_owned())), "{pair:?} not in {form:?}");
    }
    assert!(seen[0].header("user-agent").is_some());
}

#[tokio::test]
async fn a_forgotten_token_is_asked_for_anew() {
    let server = Server::start(replies(vec![Reply::token("one"), Reply::token("two")])).await;
    let credential = credential(&server, secret("s"));
    assert_eq!(text(&credential).await.unwrap(), "one");
    credential.forget_if_kept(&"other".into());
    assert_eq!(text(&credential).await.unwrap(), "one");
    credential.forget_if_kept(&"one".into());
    assert_eq!(text(&credential).await.unwrap(), "two");
    // A late 401 of the first token doesn't cost the second.
    credential.forget_if_kept(&"one".into());
    assert_eq!(text(&credential).await.unwrap(), "two");
    assert_eq!(server.take().len(), 2);
}

#[tokio::test]
async fn says_why_there_is_no_token_and_never_the_secret() {
    let secret_value = "s3cr3t-value";
    let wrong = "AADSTS7000215: Invalid client secret provided: 's3cr3t-value'.\r\nTrace ID: 1 Correlation ID: 2 Timestamp: 2026-11-23";
    let rows = [
        (
            refused(7000215, wrong),
            ErrorKind::CredentialRejected,
            "AADSTS7000215",
            "Invalid client secret provided: '***'.",
            "secret's value",
        ),
        (
            refused(7000222, "AADSTS7000222: expired"),
            ErrorKind::CredentialRejected,
            "AADSTS7000222",
            "expired",
            "has expired",
        ),
        (refused(700016, "AADSTS700016: no app"), ErrorKind::CredentialRejected, "AADSTS700016", "no app", "client id"),
        (
            refused(90002, "AADSTS90002: no tenant"),
            ErrorKind::CredentialRejected,
            "AADSTS90002",
            "no tenant",
            "tenant id",
        ),
        (
            Reply::new(400, json!({"error": "invalid_request", "error_description": "nothing"})),
            ErrorKind::CredentialRejected,
            "invalid_request",
            "nothing",
            "Check tenant id",
        ),
        (
            Reply::new(400, json!({"error": "bad\ns3cr3t-value", "error_description": "not s3cr3t-value"})),
            ErrorKind::CredentialRejected,
            "bad ***",
            "not ***",
            "Check tenant id",
        ),
        (
            // Cut in the midst of the secret, were it not struck out before.
            Reply::new(400, json!({"error": "long", "error_description": format!("{}s3cr3t-value", "x".repeat(594))})),
            ErrorKind::CredentialRejected,
            "long",
            "x***",
            "Check tenant id",
        ),
        (
            Reply::new(503, json!({"error": "temporarily_unavailable"})),
            ErrorKind::Server,
            "temporarily_unavailable",
            "",
            "tried again",
        ),
        (
            Reply::new(429, json!({"error": "busy"})),
            ErrorKind::Throttled(ThrottleOrigin::Object),
            "busy",
            "",
            "tried again",
        ),
        (
            Reply::new(502, "<html>proxy</html>"),
            ErrorKind::Server,
            "TokenEndpointUnreadable",
            "not JSON",
            "tried again",
        ),
        (
            Reply::new(403, "<html>proxy</html>"),
            ErrorKind::BadAnswer,
            "TokenEndpointUnreadable",
            "not JSON",
            "tried again",
        ),
        (
            Reply::new(200, "{}x"),
            ErrorKind::BadAnswer,
            "TokenEndpointUnreadable",
            "not what it should be",
            "tried again",
        ),
        (Reply::reset(), ErrorKind::Network, "TokenEndpointUnreachable", "", "network"),
    ];
    for (reply, kind, code, message, advice) in rows {
        let server = Server::start(move |_| reply.clone()).await;
        let error = text(&credential(&server, secret(secret_value))).await.unwrap_err();
        assert_eq!((&error.kind, error.code.as_str()), (&kind, code), "{error:?}");
        assert!(error.message.contains(message), "{error}");
        assert!(error.advice().contains(advice), "{}", error.advice());
        let all = format!("{error} {error:?} {}", error.advice());
        assert!(!all.contains(secret_value) && !all.contains("Trace ID"), "{all}");
        assert_eq!(error.class, kind.class());
    }
}

#[tokio::test]
async fn a_failure_is_repeated_for_a_while_before_entra_is_asked_again() {
    let server = Server::start(replies(vec![refused(7000215, "no"), Reply::token("late")])).await;
    let credential = credential(&server, secret("s"));
    for _ in 0..5 {
        assert_eq!(text(&credential).await.unwrap_err().kind, ErrorKind::CredentialRejected);
    }
    assert_eq!(server.take().len(), 1);
    tokio::time::pause();
    tokio::time::advance(PAUSE_AFTER_FAILURE).await;
    tokio::time::resume();
    assert_eq!(text(&credential).await.unwrap(), "late");
}

#[tokio::test]
async fn entra_is_left_in_peace_as_long_as_it_asks() {
    for status in [429, 503] {
        let busy = Reply::new(status, json!({"error": "busy"})).with("Retry-After", 40);
        let server = Server::start(replies(vec![busy, Reply::token("late")])).await;
        let credential = credential(&server, secret("hush"));
        let error = text(&credential).await.unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(40)));
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(35)).await;
        assert_eq!(text(&credential).await.unwrap_err().code, "busy");
        assert_eq!(server.take().len(), 1);
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        assert_eq!(text(&credential).await.unwrap(), "late");
    }
}

/// A token may go where a redirect says only if somebody follows it.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| Reply::token("stolen")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/{TENANT}/oauth2/v2.0/token", elsewhere.origin);
        let server = Server::start(move |_| Reply::new(status, "").with("Location", &location)).await;
        let error = text(&credential(&server, secret("s"))).await.unwrap_err();
        assert_eq!(error.status, Some(status));
        assert!(elsewhere.take().is_empty(), "{status} was followed");
    }
}

#[tokio::test]
async fn an_outage_of_entra_does_not_take_a_token_that_still_holds() {
    let short = json!({"token_type": "Bearer", "expires_in": 200, "access_token": "short"});
    let rows = [(Reply::new(503, "{}"), true), (refused(7000112, "disabled"), false)];
    for (second, works) in rows {
        let server = Server::start(replies(vec![Reply::new(200, short.clone()), second])).await;
        let credential = credential(&server, secret("s"));
        assert_eq!(text(&credential).await.unwrap(), "short");
        assert_eq!(text(&credential).await.is_ok(), works);
        assert_eq!(server.take().len(), 2, "a token that soon expires was not refreshed");
    }
}

#[tokio::test]
async fn a_federated_token_is_read_anew_each_time() {
    let server = Server::start(|_| Reply::token("t")).await;
    let token_file = std::env::temp_dir().join(format!("azureml-arm-{}", uuid::Uuid::new_v4()));
    let config = CredentialConfig::FederatedToken {
        tenant_id: TENANT.into(),
        client_id: "c".into(),
        token_file: token_file.clone(),
    };
    let credential = credential(&server, config);
    let error = text(&credential).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (ErrorKind::CredentialRejected, "FederatedTokenUnreadable"));
    assert!(error.message.contains(token_file.to_str().unwrap()), "{error}");

    tokio::time::pause();
    tokio::time::advance(PAUSE_AFTER_FAILURE).await;
    tokio::time::resume();
    for token in ["first", "second"] {
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        credential.forget_token();
        assert_eq!(text(&credential).await.unwrap(), "t");
        let seen = server.take();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].body.contains(&format!("client_assertion={token}&")), "{}", seen[0].body);
    }
    std::fs::remove_file(token_file).unwrap();
}

#[tokio::test]
async fn tokens_are_only_taken_from_a_server_that_is_trusted() {
    let server = Server::start(|_| Reply::token("t")).await;
    let other = Server::start(|_| Reply::token("t")).await;
    let credential = Credential::new(secret("s"), &server.cloud(), other.http()).unwrap();
    let error = text(&credential).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.message.contains("certificate"), "{error}");
    assert!(error.advice().contains("SSL_CERT_FILE"), "{}", error.advice());
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn refuses_ids_that_are_none() {
    let http = Server::start(|_| Reply::token("t")).await.http();
    for (tenant_id, client_id, value) in [("", "c", "s"), ("t/../x", "c", "s"), ("t", "", "s"), ("t", "c", "")] {
        let (tenant_id, client_id) = (tenant_id.to_owned(), client_id.to_owned());
        let config = CredentialConfig::ClientSecret { tenant_id, client_id, secret: value.into() };
        let made = Credential::new(config, &Cloud::public(), http.clone());
        assert!(matches!(made, Err(CredentialError::Unusable { kind: "client secret", .. })), "{made:?}");
    }
}

/// The environment of a process can't be changed while it runs, so these tests run again
/// as a process of their own with this variable set.
const AS_CHILD: &str = "AZUREML_ARM_TEST_CHILD";

/// What a token costs in a process with these variables: the token, or the error.
async fn token_in_a_process_with(variables: &[(&str, &str)]) -> String {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "credential::tests::the_environment_holds_for_tokens_too"]);
    let output = command.env_clear().env(AS_CHILD, "1").envs(variables.iter().copied()).output().await.unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let line = output.lines().find_map(|line| line.split_once("RESULT ")).map(|(_, result)| result.to_owned());
    line.unwrap_or_else(|| panic!("no result in {output}"))
}

async fn child() {
    let variable = |name: &str| std::env::var(name).ok();
    let config = CredentialConfig::from_environment(variable).unwrap();
    let (authority, audience) = (variable("AZURE_AUTHORITY_HOST"), Some("https://management.azure.com"));
    let cloud = Cloud::from_settings(authority.as_deref(), authority.as_deref(), audience).unwrap();
    let result = match HttpClient::new() {
        Ok(http) => match text(&Credential::new(config, &cloud, http).unwrap()).await {
            Ok(token) => token,
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    println!("RESULT {result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_holds_for_tokens_too() {
    if std::env::var_os(AS_CHILD).is_some() {
        return child().await;
    }
    let server = Server::start(|seen| {
        if seen.method == "POST" {
            return Reply::token("entra");
        }
        let id = if seen.target.contains("client_id=none") { 400 } else { 200 };
        let body =
            json!({"access_token": "identity", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"});
        Reply::new(id, body)
    })
    .await;
    let ca = std::env::temp_dir().join(format!("azureml-arm-ca-{}.pem", uuid::Uuid::new_v4()));
    std::fs::write(&ca, &server.ca_pem).unwrap();
    let trusted = ("SSL_CERT_FILE", ca.to_str().unwrap());
    // Nothing listens there.
    let dead_proxy = ("HTTPS_PROXY", "http://127.0.0.1:9");
    let endpoint = format!("{}/msi", server.origin);
    let secret = [
        ("AZURE_AUTHORITY_HOST", server.origin.as_str()),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
    ];
    let identity =
        [("AZURE_AUTHORITY_HOST", server.origin.as_str()), ("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "h")];
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let rows: [(Variables<'_>, Variables<'_>, &str); 8] = [
        (&secret, &[trusted], "entra"),
        (&secret, &[], "certificate"),
        (&secret, &[("SSL_CERT_FILE", "/nonexistent.pem")], "SSL_CERT_FILE=/nonexistent.pem"),
        (&secret, &[trusted, dead_proxy], "Azure could not be reached"),
        (&secret, &[trusted, dead_proxy, ("NO_PROXY", "localhost")], "entra"),
        (&identity, &[trusted], "identity"),
        (&identity, &[trusted, dead_proxy], "identity"),
        (&identity, &[trusted, ("AZURE_CLIENT_ID", "none")], "IdentityNotAssigned"),
    ];
    for (base, more, expected) in rows {
        let result = token_in_a_process_with(&[base, more].concat()).await;
        assert!(result.contains(expected), "{more:?} gave {result}");
    }
    std::fs::remove_file(ca).unwrap();
}
