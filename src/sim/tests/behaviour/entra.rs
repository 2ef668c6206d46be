//! Signing in.

use crate::azure::{ARM, Azure, CLIENT, TENANT};
use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair},
};
use azure_sim::{entra::jwt, front::http::Request};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

fn form(client: &str, more: &str) -> String {
    format!("grant_type=client_credentials&client_id={client}&scope={ARM}/.default&{more}")
}

#[test]
fn refusals_have_their_numbers() {
    let mut azure = Azure::new();
    for (form, status, number) in [
        (form(CLIENT, "client_secret=wrong"), 401, 7000215),
        (form("nobody", "client_secret=x"), 400, 700016),
        (form(CLIENT, ""), 401, 7000216),
        (format!("grant_type=password&client_id={CLIENT}"), 400, 70003),
        (format!("grant_type=client_credentials&client_id={CLIENT}&client_secret=x&scope={ARM}"), 400, 1002012),
        (
            format!("grant_type=client_credentials&client_id={CLIENT}&client_secret=x&scope=https://x/.default"),
            400,
            500011,
        ),
    ] {
        let got = azure.token_request(&form);
        assert_eq!((got.status, &got.body["error_codes"][0]), (status, &json!(number)), "{form} {}", got.body);
        assert!(got.body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
    }
    azure.admin("POST", &format!("principals/{CLIENT}"), json!({"secretExpired": true}));
    let got = azure.token_request(&form(CLIENT, "client_secret=demo-only-not-a-secret"));
    assert_eq!(got.body["error_codes"][0], 7000222);
    azure.admin("POST", &format!("principals/{CLIENT}"), json!({"secret": "rotated"}));
    assert_eq!(azure.token_request(&form(CLIENT, "client_secret=rotated")).status, 200);
    let foreign = azure.raw(&Request {
        secure: true,
        method: "POST".into(),
        path: "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token".into(),
        body: form(CLIENT, "client_secret=rotated").into_bytes(),
        ..Request::default()
    });
    assert_eq!(foreign.body["error_codes"][0], 90002);
}

#[test]
fn a_scope_names_one_resource_beside_those_of_openid() {
    let mut azure = Azure::new();
    for (scope, number) in [
        (format!("{ARM}/.default"), None),
        (format!("{ARM}/.default openid offline_access profile"), None),
        (format!("openid profile  {ARM}//.default email"), None),
        (format!("{ARM}/.default https://graph.microsoft.com/.default"), Some(1002012)),
        ("openid profile".to_string(), Some(1002012)),
        (format!("{ARM}/user_impersonation openid"), Some(1002012)),
    ] {
        let form = format!(
            "grant_type=client_credentials&client_id={CLIENT}&client_secret=demo-only-not-a-secret&scope={}",
            scope.replace(' ', "+")
        );
        let got = azure.token_request(&form);
        assert_eq!(got.body["error_codes"][0].as_i64(), number, "{scope} {}", got.body);
    }
}

#[test]
fn federation_checks_issuer_subject_audience_and_time() {
    let mut azure = Azure::new();
    let federated = "00000000-0000-0000-0000-0000000000c2";
    let good = json!({
        "iss": "https://kubernetes.default.svc.cluster.local", "aud": ["api://AzureADTokenExchange"],
        "sub": "system:serviceaccount:azureml-system:azureml-operator", "exp": 1_900_000_000,
    });
    for (claim, value, number) in [
        ("", Value::Null, None),
        ("iss", json!("https://other"), Some(700211)),
        ("sub", json!("system:serviceaccount:x:y"), Some(700213)),
        ("aud", json!("other"), Some(700212)),
        ("exp", json!(1_000_000_000), Some(700024)),
    ] {
        let mut claims = good.clone();
        if !claim.is_empty() {
            claims[claim] = value;
        }
        let assertion = jwt::seal(&claims, b"the issuer's key, which nobody checks here");
        let got = azure.token_request(&form(federated, &format!("client_assertion={assertion}")));
        assert_eq!(got.body["error_codes"][0].as_i64(), number, "{claim} {}", got.body);
    }
    let none = azure.token_request(&form(CLIENT, &format!("client_assertion={}", jwt::seal(&good, b"k"))));
    assert_eq!(none.body["error_codes"][0], 70021);
}

#[test]
fn discovery() {
    let mut azure = Azure::new();
    let mut get = |path: &str| {
        let headers = [("host".to_string(), "sim:1".to_string())].into();
        azure.raw(&Request { secure: true, method: "GET".into(), path: path.into(), headers, ..Request::default() })
    };
    let document = get(&format!("/{TENANT}/v2.0/.well-known/openid-configuration"));
    assert_eq!(document.body["token_endpoint"], format!("https://sim:1/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(get("/common/discovery/instance").body["metadata"][0]["preferred_network"], "sim:1");
}

#[test]
fn managed_identity_in_both_shapes() {
    let mut azure = Azure::new();
    let query = format!("api-version=2018-02-01&resource={ARM}/");
    let mut get = |path: &str, header: (&str, &str), query: &str| {
        azure.raw(&Request {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            headers: [(header.0.to_string(), header.1.to_string())].into(),
            ..Request::default()
        })
    };
    let imds = "/metadata/identity/oauth2/token";
    for (path, header, more, status) in [
        (imds, ("metadata", "true"), "", 200),
        (imds, ("metadata", "false"), "", 400),
        (imds, ("metadata", "true"), "&client_id=00000000-0000-0000-0000-0000000000c3", 200),
        (imds, ("metadata", "true"), "&client_id=00000000-0000-0000-0000-0000000000c1", 400),
        ("/msi/token", ("x-identity-header", "demo-identity-header"), "", 200),
        ("/msi/token", ("x-identity-header", "wrong"), "", 401),
    ] {
        let got = get(path, header, &format!("{query}{more}"));
        assert_eq!(got.status, status, "{path} {header:?} {more} {}", got.body);
        if status == 200 {
            assert_eq!(got.body["expires_in"], "3600", "a string, as there");
            assert_eq!(got.body["resource"], format!("{ARM}/"));
        }
    }
}

/// A certificate and its key.
struct Signer {
    der: Vec<u8>,
    pem: String,
    key: RsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new(vec!["app".into()]).unwrap().self_signed(&key).unwrap();
        let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), key: pair }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let body = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let scheme = if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(scheme, &SystemRandom::new(), body.as_bytes(), &mut signature).unwrap();
        format!("{body}.{}", B64.encode(signature))
    }

    /// The header that Microsoft's documentation asks for.
    fn header(&self) -> Value {
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": B64.encode(digest(&SHA256, &self.der))})
    }
}

#[test]
fn certificates_are_checked_by_thumbprint_signature_claims_and_time() {
    let mut azure = Azure::new();
    let (mine, other) = (Signer::new(), Signer::new());
    let registered = json!({"certificates": [{"pem": other.pem}, {"pem": mine.pem}]});
    azure.admin("POST", &format!("principals/{CLIENT}"), registered);
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/token", Request { secure: true, ..Request::default() }.base());
    let now = 1_795_428_000; // 2026-11-23T10:00:00Z
    let claims = json!({"aud": endpoint, "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "exp": now + 300});
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let old = B64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &mine.der));
    let unknown = Signer::new();
    let mut forged = mine.header();
    forged["alg"] = json!("HS256");
    for (what, assertion, number, words) in [
        ("good", mine.sign(&mine.header(), &claims), None, ""),
        ("old kind", mine.sign(&json!({"alg": "RS256", "x5t": old}), &claims), None, ""),
        ("not registered", unknown.sign(&unknown.header(), &claims), Some(700027), "The key was not found."),
        ("no thumbprint", mine.sign(&json!({"alg": "PS256"}), &claims), Some(700027), "The key was not found."),
        ("another key", other.sign(&mine.header(), &claims), Some(700027), "did not match"),
        ("no such algorithm", mine.sign(&forged, &claims), Some(700027), "did not match"),
        ("audience", mine.sign(&mine.header(), &with("aud", json!("https://x"))), Some(700023), "audience"),
        ("issuer", mine.sign(&mine.header(), &with("iss", json!("x"))), Some(700021), "client_id"),
        ("subject", mine.sign(&mine.header(), &with("sub", json!("x"))), Some(700021), "client_id"),
        ("no id", mine.sign(&mine.header(), &with("jti", Value::Null)), Some(50027), "jti"),
        ("late", mine.sign(&mine.header(), &with("exp", json!(now))), Some(700024), "time range"),
        ("early", mine.sign(&mine.header(), &with("nbf", json!(now + 301))), Some(700024), "time range"),
    ] {
        let got = azure.token_request(&form(CLIENT, &format!("client_assertion={assertion}")));
        assert_eq!(got.body["error_codes"][0].as_i64(), number, "{what} {}", got.body);
        assert!(got.body["error_description"].as_str().unwrap_or_default().contains(words), "{what} {}", got.body);
    }
    let asked = form(CLIENT, &format!("client_assertion={}", mine.sign(&mine.header(), &claims)));
    let ended = json!({"certificates": [{"pem": mine.pem, "end": "2026-11-23T09:00:00Z"}]});
    azure.admin("POST", &format!("principals/{CLIENT}"), ended);
    let got = azure.token_request(&asked);
    assert!(got.body["error_description"].as_str().unwrap().contains("The key used is expired."), "{}", got.body);
    let thumbprint: String =
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &mine.der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let shown = azure.admin("GET", "principals", Value::Null).to_string();
    assert!(shown.contains(&thumbprint) && !shown.contains("BEGIN"), "{shown}");
    let refused = azure.exact("POST", &format!("/_sim/principals/{CLIENT}"), json!({"certificates": [{"pem": "x"}]}));
    assert_eq!(refused.status, 400);
    azure.admin("POST", &format!("principals/{CLIENT}"), json!({"disabled": true}));
    assert_eq!(azure.token_request(&asked).body["error_codes"][0], 7000112);
}
