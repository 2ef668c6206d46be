//! Credentials as Secrets hold them: what can't be used is said in words that hold none of it.

use std::sync::LazyLock;

use azureml_arm::{Certificate, Cloud, Credential, CredentialConfig, ErrorKind, FromValues, HttpClient};
use tokio::runtime::{Builder, Runtime};

use crate::errors;

/// Nobody listens there.
const NOWHERE: &str = "https://127.0.0.1:1";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
static HTTP: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::new().expect("an HTTP client"));
static CLOUD: LazyLock<Cloud> =
    LazyLock::new(|| Cloud::from_settings(Some(NOWHERE), Some(NOWHERE), None).expect("a cloud"));

/// The input is the certificate with its key, as PEM; its first half is a client secret, too.
pub fn check(data: &[u8]) {
    let secret = &data[..data.len() / 2];
    for (has_secret, has_certificate) in [(true, true), (true, false), (false, true), (false, false)] {
        let values = |name: &str| match name {
            "AZURE_TENANT_ID" => Some(b"t".to_vec()),
            "AZURE_CLIENT_ID" => Some(b"c".to_vec()),
            "AZURE_CLIENT_SECRET" => has_secret.then(|| secret.to_vec()),
            "AZURE_CLIENT_CERTIFICATE" => has_certificate.then(|| data.to_vec()),
            _ => None,
        };
        let read = CredentialConfig::from_values("Secret ml/sp", values);
        untold(data, &format!("{read:?}"));
        match read {
            Ok(FromValues::Whole(config)) => assert_eq!(config.principal_key(), "app/t/c"),
            Ok(FromValues::Federated { .. }) => assert!(!has_secret || !has_certificate || data.len() < 4),
            Err(error) => assert!(has_secret && has_certificate && error.to_string().starts_with("Secret ml/sp")),
        }
    }
    if let Ok(pem) = std::str::from_utf8(data) {
        certificate(pem);
    }
}

/// Either it proves nothing, and the words say so, or it is sent to where nobody listens.
fn certificate(pem: &str) {
    let config = CredentialConfig::ClientCertificate {
        tenant_id: "11111111-0000-0000-0000-000000000000".to_owned(),
        client_id: "22222222-0000-0000-0000-000000000000".to_owned(),
        certificate: Certificate::Pem { place: "Secret ml/sp".to_owned(), pem: pem.to_owned().into() },
    };
    let credential = Credential::new(config, &CLOUD, HTTP.clone()).expect("it is read when a token is asked for");
    let error = RUNTIME.block_on(credential.token()).expect_err("nobody gives a token");
    errors::sound(&error);
    let expected = matches!(error.kind, ErrorKind::CredentialRejected | ErrorKind::Network | ErrorKind::Timeout);
    assert!(expected, "{error:?}");
    untold(pem.as_bytes(), &format!("{error:?} {error} {}", error.advice()));
}

/// No word of some length that stands in the credential and could be of a key.
fn untold(data: &[u8], told: &str) {
    let text = String::from_utf8_lossy(data);
    let is_key = |word: &&str| {
        word.len() >= 16
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    for word in text.split_whitespace().filter(is_key) {
        assert!(!told.contains(word), "{word} is told: {told}");
    }
}
