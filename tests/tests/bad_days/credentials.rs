//! Credentials: missing, wrong, expired, revoked, without rights, of another kind. Each heals without a restart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use azureml_tests::sim::demo;
use azureml_tests::team::{WORKSPACE, brisk_operator};
use azureml_tests::{Operator, OperatorStart, operator};
use serde_json::{Value, json};

use super::support::{Case, Days, SECRET, Weather, all, refused_until_done};

/// The operator's own Secret, with which it hashes values.
const KEY: &str = "azureml-operator-hash-key";

const CASES: &[&str] = &[
    "no-secret",
    "no-key",
    "wrong-secret",
    "expired",
    "rotated",
    "revoked",
    "no-tenant",
    "no-app",
    "no-rights",
    "no-write",
    "outage",
    "held",
    "no-identity",
    "no-password",
];

#[tokio::test]
async fn credentials_are_told_apart_and_heal_without_a_restart() {
    let days = Days::start(CASES, Weather::default()).await;
    all(vec![
        ("no-secret", Box::pin(no_secret(days.case("no-secret")))),
        ("no-key", Box::pin(no_key(days.case("no-key")))),
        ("wrong-secret", Box::pin(wrong_secret(days.case("wrong-secret")))),
        ("expired", Box::pin(expired(days.open("expired")))),
        ("rotated", Box::pin(rotated(days.open("rotated")))),
        ("revoked", Box::pin(revoked(days.open("revoked")))),
        ("no-tenant", Box::pin(no_tenant(days.case("no-tenant")))),
        ("no-app", Box::pin(no_app(days.case("no-app")))),
        ("no-rights", Box::pin(no_rights(days.open("no-rights")))),
        ("no-write", Box::pin(no_write(days.open("no-write")))),
        ("outage", Box::pin(outage(days.open("outage")))),
        ("held", Box::pin(held(days.open("held")))),
        ("no-identity", Box::pin(no_identity(days.case("no-identity")))),
        ("no-password", Box::pin(no_password(days.open("no-password")))),
    ])
    .await;
    secrets_are_asked_for_by_name(&days);
    azureml_promises::held("bad_days::credentials_are_told_apart_and_heal_without_a_restart", CASES.len() + 1);
}

/// What the API server has on record of the operator: no list and no watch of Secrets, and none that no manifest names.
fn secrets_are_asked_for_by_name(days: &Days) {
    let records = azureml_tests::secrets::audit(days.env.plane.dir().path()).unwrap();
    let user = format!("system:serviceaccount:{}:{}", operator::NAMESPACE, operator::NAME);
    let ours = records.iter().filter(|record| record["user"]["username"] == user);
    let of = |plural: &'static str| {
        let about = ours.clone().map(|record| (&record["objectRef"], &record["verb"]));
        let about = about.filter(move |(object, _)| object["resource"] == plural);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        about.map(move |(object, verb)| (text(verb), text(&object["namespace"]), text(&object["name"])))
    };
    // Reads are on record at all.
    for verb in ["list", "watch"] {
        assert!(of("workspaces").any(|(seen, ..)| seen == verb), "no {verb} of Workspaces on record");
    }
    let verbs: BTreeSet<String> = of("secrets").map(|(verb, ..)| verb).collect();
    assert_eq!(verbs, ["create", "get", "patch"].map(String::from).into());
    for (verb, namespace, name) in of("secrets") {
        let may = match (namespace.as_str(), name.as_str()) {
            (operator::NAMESPACE, KEY) => verb != "patch",
            ("no-password", "node-login") => verb == "get",
            (case, "azure-sp") => verb != "create" && CASES.contains(&case),
            _ => false,
        };
        assert!(may, "the operator may not {verb} Secret {namespace}/{name}");
    }
}

/// The Workspace and a cluster of it tell the same.
pub async fn both(case: &Case<'_>, reason: &str, words: &[&str]) {
    case.told("Workspace", WORKSPACE, reason, words).await;
    case.tells("gpu", reason, words).await;
}

/// The Workspace is well again, and what waited for it is done once.
pub async fn heals(case: &Case<'_>) {
    case.workspace_ready().await;
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
}

pub async fn change(case: &Case<'_>, principal: Value) {
    case.env().sim.post(&format!("principals/{}", case.client), principal).await.unwrap();
}

fn bare(case: &Case<'_>) {
    case.namespace();
    case.workspace(json!({}));
    case.cluster("gpu", json!({}));
}

async fn no_secret(case: Case<'_>) {
    bare(&case);
    both(&case, "SecretNotFound", &["Secret no-secret/azure-sp doesn't exist", "create it with AZURE_TENANT_ID"]).await;
    case.credential(SECRET);
    heals(&case).await;
}

async fn no_key(case: Case<'_>) {
    bare(&case);
    case.secret("azure-sp", json!({"AZURE_TENANT_ID": demo::TENANT}));
    both(&case, "SecretNotFound", &["Secret no-key/azure-sp", "key AZURE_CLIENT_ID: add it"]).await;
    case.secret("azure-sp", json!({"AZURE_TENANT_ID": " ", "AZURE_CLIENT_ID": case.client}));
    both(&case, "SecretNotFound", &["Secret no-key/azure-sp", "(or an empty) key AZURE_TENANT_ID: add it"]).await;
    case.credential(SECRET);
    heals(&case).await;
}

async fn wrong_secret(case: Case<'_>) {
    bare(&case);
    case.credential("not-the-secret-of-anybody");
    let words = ["AADSTS7000215", "Put the client secret's value (not its id) into the Secret"];
    both(&case, "CredentialRejected", &words).await;
    case.credential(SECRET);
    heals(&case).await;
    // What was wrong was a secret all the same.
    let told = case.team.kubectl(&["get", "amlws,amlcc,events", "-o", "json"]).unwrap();
    let log = std::fs::read_to_string(case.env().plane.dir().path().join("azureml-operator.log")).unwrap();
    for text in [told, log] {
        assert!(!text.contains("not-the-secret-of-anybody") && !text.contains(SECRET));
    }
}

/// Expired at the start; a new one is put into the Secret.
async fn expired(case: Case<'_>) {
    case.delete("amlws", WORKSPACE);
    case.until("Workspace", WORKSPACE, azureml_tests::Until::gone()).await;
    change(&case, json!({"secretExpired": true, "revokeTokens": true})).await;
    case.workspace(json!({}));
    case.cluster("gpu", json!({}));
    both(&case, "CredentialRejected", &["AADSTS7000222", "has expired: make a new one and put it into the Secret"])
        .await;
    change(&case, json!({"secret": "the-second-one"})).await;
    case.credential("the-second-one");
    heals(&case).await;
}

/// A change of the Secret in time is felt by nobody.
async fn rotated(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    let before = ready_since(&case);
    change(&case, json!({"secret": "the-second-one", "revokeTokens": true})).await;
    case.credential("the-second-one");
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.ready("gpu").await;
    case.edit("gpu", json!({"scale": {"maxNodes": 3}}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PATCH 200", "PATCH 200"]);
    case.workspace_ready().await;
    assert!(before <= ready_since(&case));
}

fn ready_since(case: &Case<'_>) -> String {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
    case.team.kubectl(&["get", "amlws", WORKSPACE, "-o", path]).unwrap()
}

/// Tokens that no longer count cost one new token, not a write and not a condition.
async fn revoked(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    change(&case, json!({"revokeTokens": true})).await;
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.ready("gpu").await;
    let writes = case.writes("gpu").await;
    let taken: Vec<_> = writes.iter().filter(|write| *write != "PATCH 401").collect();
    assert!(taken == ["PUT 201", "PATCH 200"] && writes.len() <= 3, "{writes:?}");
    // With the secret gone as well, it can't be renewed.
    change(&case, json!({"secretExpired": true, "revokeTokens": true})).await;
    both(&case, "CredentialRejected", &["AADSTS7000222"]).await;
    change(&case, json!({"secret": SECRET})).await;
    case.ready("gpu").await;
    case.workspace_ready().await;
    assert_eq!(case.writes("gpu").await, writes);
}

async fn no_tenant(case: Case<'_>) {
    bare(&case);
    let texts = |tenant: &str| json!({"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": case.client, "AZURE_CLIENT_SECRET": SECRET});
    case.secret("azure-sp", texts("00000000-0000-0000-0000-00000000dead"));
    both(&case, "CredentialRejected", &["AADSTS90002", "Check the tenant id and the cloud"]).await;
    case.secret("azure-sp", texts("not a tenant"));
    both(&case, "CredentialRejected", &["tenant"]).await;
    case.credential(SECRET);
    heals(&case).await;
}

async fn no_app(case: Case<'_>) {
    bare(&case);
    let client = "00000000-0000-0000-0000-00000000dead";
    let texts = json!({"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": SECRET});
    case.secret("azure-sp", texts);
    both(&case, "CredentialRejected", &["AADSTS700016", client, "Check the client id"]).await;
    case.credential(SECRET);
    heals(&case).await;
}

fn role(case: &Case<'_>, actions: &[&str]) -> Value {
    json!({"roles": [{"scope": case.workspace_id(), "actions": actions}]})
}

/// Nothing may be read: the action and the scope are named.
async fn no_rights(case: Case<'_>) {
    change(&case, json!({"roles": []})).await;
    case.cluster("gpu", json!({}));
    let action = "Microsoft.MachineLearningServices/workspaces/";
    both(&case, "Forbidden", &[action, "Grant the principal a role with the action", &case.azure]).await;
    change(&case, role(&case, &["*"])).await;
    heals(&case).await;
}

/// It may be read, not written; then not deleted.
async fn no_write(case: Case<'_>) {
    let read = "Microsoft.MachineLearningServices/workspaces/*/read";
    let own = "Microsoft.MachineLearningServices/workspaces/read";
    let write = "Microsoft.MachineLearningServices/workspaces/computes/write";
    let delete = "Microsoft.MachineLearningServices/workspaces/computes/delete";
    change(&case, role(&case, &[read, own])).await;
    case.cluster("gpu", json!({}));
    let words = [write, &case.id("gpu"), "Grant the principal a role with the action"];
    case.tells("gpu", "Forbidden", &words).await;
    case.workspace_ready().await;
    change(&case, role(&case, &[read, own, write])).await;
    case.ready("gpu").await;
    let made = case.writes("gpu").await;
    refused_until_done(&made, "PUT 403", "PUT 201");
    case.delete("amlcc", "gpu");
    case.tells("gpu", "Forbidden", &[delete, "Grant the principal a role with the action"]).await;
    change(&case, role(&case, &[read, own, delete])).await;
    case.gone("gpu").await;
    refused_until_done(&case.writes("gpu").await[made.len()..], "DELETE 403", "DELETE 202");
}

/// Entra is away for good: what is known stands, and a token that still holds is used, also at a new interval.
async fn outage(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    let down = json!({"status": 503, "code": "ServiceUnavailable"});
    let matches = json!({"pathContains": "/oauth2/v2.0/token", "principal": case.client});
    case.env().sim.fault(json!({"match": matches, "times": -1, "fault": down})).await.unwrap();
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.ready("gpu").await;
    case.workspace(json!({"observeInterval": "2s"}));
    case.edit("gpu", json!({"scale": {"maxNodes": 3}}));
    case.ready("gpu").await;
    case.workspace_ready().await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PATCH 200", "PATCH 200"]);
}

/// A Secret in use isn't lost under those who need it, and says so; it goes with the last of them.
async fn held(case: Case<'_>) {
    case.made("gpu", json!({})).await;
    case.delete("secret", "azure-sp");
    case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
    case.ready("gpu").await;
    case.delete("amlws", WORKSPACE);
    case.told("Workspace", WORKSPACE, "InUse", &["held/gpu"]).await;
    case.delete("amlcc", "gpu");
    case.gone("gpu").await;
    case.until("Workspace", WORKSPACE, azureml_tests::Until::gone()).await;
    case.until("core/Secret", "azure-sp", azureml_tests::Until::gone()).await;
    assert_eq!(case.writes("gpu").await, ["PUT 201", "PATCH 200", "DELETE 202"]);
}

/// No credential, in a namespace that may not use the operator's own.
async fn no_identity(case: Case<'_>) {
    case.namespace();
    case.workspace(json!({"credentialRef": null}));
    case.cluster("gpu", json!({}));
    let flag = "--default-identity-namespaces=no-identity";
    both(&case, "CredentialMissing", &["set spec.credentialRef", flag]).await;
    case.credential(SECRET);
    case.workspace(json!({}));
    heals(&case).await;
}

/// A Secret that the cluster itself names.
async fn no_password(case: Case<'_>) {
    let secret = json!({"name": "node-login", "key": "password"});
    case.cluster("gpu", json!({"ssh": {"adminUserName": "ops", "adminPasswordSecretRef": secret}}));
    let path = "spec.ssh.adminPasswordSecretRef";
    case.tells("gpu", "SecretNotFound", &[path, "Secret no-password/node-login doesn't exist: create it"]).await;
    case.secret("node-login", json!({"user": "ops"}));
    case.tells("gpu", "SecretNotFound", &[path, "Secret no-password/node-login has no text under key password"]).await;
    assert!(case.writes("gpu").await.is_empty());
    // One that no manifest names.
    case.secret("bystander", json!({"password": "none-of-our-business"}));
    case.secret("node-login", json!({"password": "a-password-of-nobody"}));
    case.ready("gpu").await;
    assert_eq!(case.writes("gpu").await, ["PUT 201"]);
    let told = case.team.kubectl(&["get", "amlws,amlcc,events", "-o", "json"]).unwrap();
    assert!(!told.contains("a-password-of-nobody"));
    // Without it, what is there can still be deleted.
    case.delete("secret", "node-login");
    case.tells("gpu", "SecretNotFound", &[path, "doesn't exist"]).await;
    case.delete("amlcc", "gpu");
    case.gone("gpu").await;
}

/// Starts the operator of an environment by hand, once azure-sim's address is known.
pub async fn operator(days: &Days, flags: &[(&str, &str)], env: Vec<(&str, String)>) -> Operator {
    let mut options = brisk_operator();
    options.flags.extend(flags.iter().map(|(flag, value)| (flag.to_string(), value.to_string())));
    options.env.extend(env.into_iter().map(|(name, value)| (name.to_string(), value)));
    Operator::start(&options, &days.env.plane, &days.env.sim).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Puts a fresh token of the operator's service account where the kubelet would.
fn write_token(days: &Days, file: &Path, audience: &str) {
    let audience = format!("--audience={audience}");
    let arguments = ["create", "token", "azureml-operator", "-n", "azureml-system", &audience];
    std::fs::write(file, days.env.plane.kubectl(&arguments).unwrap()).unwrap();
}

/// The principal of the demo's world that trusts the operator's service account.
const FEDERATED: &str = "00000000-0000-0000-0000-0000000000c2";
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The operator's service account stands for its own principal, and for that of a Secret without a client secret.
#[tokio::test]
async fn federated_tokens_are_read_anew_and_their_faults_told() {
    let weather = Weather { start: OperatorStart::Later, federated: &["shared"], ..Weather::default() };
    let days = Days::start(&["own", "shared", "stranger"], weather).await;
    let file: PathBuf = days.env.plane.dir().path().join("azure-identity-token");
    let env = vec![
        ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
        ("AZURE_TENANT_ID", demo::TENANT.to_string()),
        ("AZURE_CLIENT_ID", FEDERATED.to_string()),
    ];
    let _operator = operator(&days, &[("--default-identity-namespaces", "own,other")], env).await;
    let (own, shared, stranger) = (days.case("own"), days.case("shared"), days.case("stranger"));
    for case in [&own, &shared, &stranger] {
        case.namespace();
        case.cluster("gpu", json!({}));
    }
    own.workspace(json!({"credentialRef": null}));
    shared.secret("azure-sp", json!({"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": shared.client}));
    shared.workspace(json!({}));
    stranger.workspace(json!({"credentialRef": null}));
    // No file yet.
    let words = ["azure-identity-token", "mounted at AZURE_FEDERATED_TOKEN_FILE"];
    both(&own, "CredentialRejected", &words).await;
    both(&shared, "CredentialRejected", &words).await;
    // The operator's own identity isn't for everybody, by whatever way.
    let flag = "--default-identity-namespaces=stranger";
    both(&stranger, "CredentialMissing", &[flag]).await;
    stranger.secret("azure-sp", json!({"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": FEDERATED}));
    stranger.workspace(json!({}));
    both(&stranger, "CredentialMissing", &["names the operator's own identity", flag]).await;
    let by_domain = json!({"AZURE_TENANT_ID": "contoso.onmicrosoft.com", "AZURE_CLIENT_ID": FEDERATED});
    stranger.secret("by-domain", by_domain);
    stranger.workspace(json!({"credentialRef": {"name": "by-domain"}}));
    both(&stranger, "CredentialMissing", &["by-domain names the operator's own identity", flag]).await;
    stranger.workspace(json!({}));
    // A token for somebody else.
    write_token(&days, &file, "https://somebody.else");
    both(&own, "CredentialRejected", &["AADSTS700212", "issuer, subject and audience"]).await;
    write_token(&days, &file, AUDIENCE);
    heals(&own).await;
    heals(&shared).await;
    // A principal that trusts nobody.
    stranger.secret("azure-sp", json!({"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": stranger.client}));
    both(&stranger, "CredentialRejected", &["AADSTS70021", "Add a federated credential"]).await;
    stranger.credential(SECRET);
    heals(&stranger).await;
}

/// The machine's identity, from the endpoint that App Service and its kin offer.
#[tokio::test]
async fn the_machines_identity_is_used_where_that_is_allowed() {
    const MANAGED: &str = "00000000-0000-0000-0000-0000000000c3";
    let days = Days::start(&["own"], Weather { start: OperatorStart::Later, ..Weather::default() }).await;
    let endpoint = days.env.sim.url().replace("https://", "http://");
    let env = vec![
        ("IDENTITY_ENDPOINT", format!("{endpoint}/msi/token")),
        ("IDENTITY_HEADER", "demo-identity-header".to_string()),
    ];
    let _operator = operator(&days, &[("--default-identity-namespaces", "*")], env).await;
    let case = days.case("own");
    case.namespace();
    case.workspace(json!({"credentialRef": null}));
    case.workspace_ready().await;
    let by_machine = |request: &azureml_tests::SimRequest| request.principal.as_deref() == Some(MANAGED);
    assert!(case.requests(None).await.iter().all(by_machine));
    // It may only read.
    case.cluster("gpu", json!({}));
    let write = "Microsoft.MachineLearningServices/workspaces/computes/write";
    case.tells("gpu", "Forbidden", &[write, "Grant the principal a role"]).await;
    let roles = json!({"roles": [{"scope": "/", "role": "Contributor"}]});
    days.env.sim.post(&format!("principals/{MANAGED}"), roles).await.unwrap();
    case.ready("gpu").await;
    let writes = case.writes("gpu").await;
    assert_eq!(writes.iter().filter(|write| *write == "PUT 201").count(), 1, "{writes:?}");
}
