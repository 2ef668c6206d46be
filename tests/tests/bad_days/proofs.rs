//! Every kind of credential, each right, wrong, revoked, expired and renewed: it ends in the right condition of the
//! Workspace and its cluster, heals by itself, and what was proven with is told nowhere.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use azureml_tests::OperatorStart;
use azureml_tests::sim::demo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};

use super::credentials::{both, change, heals, operator};
use super::support::{Case, Days, Weather};

/// What a client proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Certificate,
    /// A token of the operator's service account, in the file that AZURE_FEDERATED_TOKEN_FILE names.
    Token,
    /// The machine: nothing is given.
    Machine,
    /// What the Azure CLI is logged in with.
    Cli,
}

/// Where the operator finds it.
enum Place {
    /// In the Secret that the Workspace names; a token in this file all the same.
    Secret(PathBuf),
    /// In the operator's own environment, or in this file that it names.
    Own(PathBuf),
}

/// Something to prove oneself with.
struct Proof {
    /// What the client holds.
    held: String,
    /// What Entra knows of it.
    known: String,
}

/// Which of a holder's two proofs.
#[derive(Clone, Copy)]
enum Which {
    First,
    Second,
}

/// Whether a proof still counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Term {
    Current,
    Over,
}

/// One credential of one case.
struct Holder<'a> {
    case: Case<'a>,
    kind: Kind,
    place: Place,
    proofs: [Proof; 2],
    held: Cell<Which>,
}

/// A second far away.
const FAR: i64 = 4_000_000_000;
const SUBJECT: &str = "system:serviceaccount:azureml-system:azureml-operator";

fn text(case: &str, nth: &str) -> Proof {
    let text = format!("{case}-{nth}-p4ssw0rd");
    Proof { held: text.clone(), known: text }
}

fn certificate() -> Proof {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let known = CertificateParams::new(vec!["app".to_string()]).unwrap().self_signed(&key).unwrap().pem();
    Proof { held: format!("{}{known}", key.serialize_pem()), known }
}

/// A service account's token of this issuer; azure-sim looks at its claims only.
fn token(issuer: &str, expires: i64) -> String {
    let claims = json!({"iss": issuer, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": expires});
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.c2lnbmVk", encode(json!({"alg": "RS256"})), encode(claims))
}

/// A file that is never half written to who reads it.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

impl<'a> Holder<'a> {
    fn new(case: Case<'a>, kind: Kind, place: Place) -> Self {
        let name = case.team.namespace.clone();
        let proofs = ["first", "second"].map(|nth| match kind {
            Kind::Certificate => certificate(),
            Kind::Token => {
                let issuer = format!("https://{name}.{nth}");
                Proof { held: token(&issuer, FAR), known: issuer }
            }
            Kind::Secret | Kind::Machine | Kind::Cli => text(&name, nth),
        });
        Self { case, kind, place, proofs, held: Cell::new(Which::First) }
    }

    fn proof(&self, which: Which) -> &Proof {
        &self.proofs[which as usize]
    }

    /// The client has this one from now on.
    async fn hold(&self, which: Which) {
        self.held.set(which);
        self.give(&self.proof(which).held).await;
    }

    async fn give(&self, text: &str) {
        let mut values = json!({"AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": self.case.client});
        match (&self.place, self.kind) {
            (Place::Secret(_), Kind::Secret) => values["AZURE_CLIENT_SECRET"] = json!(text),
            (Place::Secret(_), Kind::Certificate) => values["AZURE_CLIENT_CERTIFICATE"] = json!(text),
            (Place::Secret(file) | Place::Own(file), Kind::Token) => replace(file, text),
            (Place::Own(file), Kind::Certificate) => replace(file, text),
            (Place::Own(file), Kind::Cli) => replace(file, &self.logged_in(text).await),
            // Fixed when the operator starts, or not given at all.
            _ => {}
        }
        if let Place::Secret(_) = self.place {
            self.case.secret("azure-sp", values);
        }
    }

    /// What `az account get-access-token` prints for who is logged in with this secret; nothing if that doesn't count.
    async fn logged_in(&self, secret: &str) -> String {
        match self.case.env().sim.sign_in(&self.case.client, secret).await {
            Ok(arm) => json!({"accessToken": arm.token(), "expires_on": FAR, "tokenType": "Bearer"}).to_string(),
            Err(_) => String::new(),
        }
    }

    /// Changes what Entra says of the client.
    async fn entra(&self, principal: Value) {
        change(&self.case, principal).await;
        if self.kind == Kind::Cli {
            self.hold(self.held.get()).await;
        }
    }

    /// Entra knows this one and no other.
    async fn register(&self, which: Which) {
        let known = &self.proof(which).known;
        self.entra(match self.kind {
            Kind::Secret | Kind::Cli => json!({"secret": known}),
            Kind::Certificate => json!({"certificates": [{"pem": known}]}),
            Kind::Token => json!({"federated": [{"issuer": known, "subject": SUBJECT}]}),
            Kind::Machine => json!({"disabled": matches!(which, Which::Second)}),
        })
        .await;
    }

    /// The first one's time is over, or it is renewed.
    async fn age(&self, term: Term) {
        let Proof { held, known } = self.proof(Which::First);
        match (self.kind, term) {
            (Kind::Certificate, Term::Over) => {
                self.entra(json!({"certificates": [{"pem": known, "end": "2026-01-01T00:00:00Z"}]})).await;
            }
            (Kind::Token, Term::Over) => self.give(&token(known, 1_000_000_000)).await,
            (Kind::Token, Term::Current) => self.give(held).await,
            (Kind::Secret, Term::Over) => self.entra(json!({"secretExpired": true})).await,
            _ => self.register(Which::First).await,
        }
        if term == Term::Over {
            self.entra(json!({"revokeTokens": true})).await;
        }
    }

    /// The words where Entra doesn't know it.
    fn unknown(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Secret => &["AADSTS7000215", "Put the client secret's value (not its id) into the Secret"],
            Kind::Certificate => &["AADSTS700027", "The key was not found", "Register this very certificate"],
            Kind::Token => &["AADSTS700211", "Add a federated credential to the application"],
            Kind::Machine => &["IdentityNotAssigned", "Assign that managed identity"],
            Kind::Cli => &["AzureCliFailed", "Please run 'az login'"],
        }
    }

    /// The words where the principal may no longer sign in.
    fn disabled(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Machine | Kind::Cli => self.unknown(),
            _ => &["AADSTS7000112", "The application is disabled in this tenant: enable it"],
        }
    }

    /// The words where its time is over, if its kind has one.
    fn over(&self) -> Option<&'static [&'static str]> {
        match self.kind {
            Kind::Secret => Some(&["AADSTS7000222", "has expired: make a new one"]),
            Kind::Certificate => Some(&["AADSTS700027", "The key used is expired", "Register this very certificate"]),
            Kind::Token => Some(&["AADSTS700024", "token's volume is renewed"]),
            // The machine and the Azure CLI renew theirs by themselves.
            Kind::Machine | Kind::Cli => None,
        }
    }

    /// Whether it can change while the operator runs.
    fn rotates(&self) -> bool {
        !matches!((&self.place, self.kind), (Place::Own(_), Kind::Secret) | (_, Kind::Machine))
    }

    /// Through its whole life; says how many cases that were.
    async fn live(&self) -> usize {
        let case = &self.case;
        let mut cases = 3;
        self.hold(Which::First).await;
        self.register(Which::Second).await;
        case.workspace(match self.place {
            Place::Secret(_) => json!({}),
            Place::Own(_) => json!({"credentialRef": null}),
        });
        case.cluster("gpu", json!({}));
        both(case, "CredentialRejected", self.unknown()).await;
        self.register(Which::First).await;
        heals(case).await;
        self.entra(json!({"disabled": true, "revokeTokens": true})).await;
        both(case, "CredentialRejected", self.disabled()).await;
        self.entra(json!({"disabled": false})).await;
        self.well().await;
        if let Some(words) = self.over() {
            self.age(Term::Over).await;
            both(case, "CredentialRejected", words).await;
            self.age(Term::Current).await;
            self.well().await;
            cases += 1;
        }
        if self.rotates() {
            self.register(Which::Second).await;
            self.hold(Which::Second).await;
            self.entra(json!({"revokeTokens": true})).await;
            cases += 1;
        }
        case.edit("gpu", json!({"scale": {"maxNodes": 2}}));
        self.well().await;
        let writes: Vec<String> = case.writes("gpu").await.into_iter().filter(|write| write != "PATCH 401").collect();
        assert_eq!(writes, ["PUT 201", "PATCH 200"], "{}", case.team.namespace);
        self.tells_nobody();
        cases
    }

    async fn well(&self) {
        self.case.workspace_ready().await;
        self.case.ready("gpu").await;
    }

    /// Neither the objects, nor the events, nor the log hold a line of what was proven with.
    fn tells_nobody(&self) {
        let told = self.case.team.kubectl(&["get", "amlws,amlcc,events", "-o", "json"]).unwrap();
        let log = std::fs::read_to_string(self.case.env().plane.dir().path().join("azureml-operator.log")).unwrap();
        for proof in &self.proofs {
            for line in proof.held.lines().filter(|line| line.len() > 8 && !line.starts_with("-----")) {
                assert!(!told.contains(line) && !log.contains(line), "{} was told", self.case.team.namespace);
            }
        }
    }
}

/// Those that a Secret holds, and the certificate of the operator's own environment beside them.
#[tokio::test]
async fn credentials_in_secrets_are_told_apart_and_heal() {
    const NAMES: [&str; 4] = ["secret", "certificate", "federated", "own-certificate"];
    let days = Days::start(&NAMES, later()).await;
    let [secret, certificate, federated, own] = NAMES.map(|name| days.case(name));
    let file = |name: &str| days.env.plane.dir().path().join(name);
    replace(&file("own.pem"), "");
    let env = vec![
        ("AZURE_FEDERATED_TOKEN_FILE", file("token").display().to_string()),
        ("AZURE_CLIENT_CERTIFICATE_PATH", file("own.pem").display().to_string()),
        ("AZURE_TENANT_ID", demo::TENANT.to_string()),
        ("AZURE_CLIENT_ID", own.client.clone()),
    ];
    let _operator = operator(&days, &[("--default-identity-namespaces", "own-certificate")], env).await;
    for case in [&secret, &certificate, &federated, &own] {
        case.namespace();
    }
    let token = || Place::Secret(file("token"));
    let holders = [
        Holder::new(secret, Kind::Secret, token()),
        Holder::new(certificate, Kind::Certificate, token()),
        Holder::new(federated, Kind::Token, token()),
        Holder::new(own, Kind::Certificate, Place::Own(file("own.pem"))),
    ];
    let lives = holders.iter().map(|holder| async {
        let cases = AssertUnwindSafe(holder.live()).catch_unwind().await;
        (holder.case.team.namespace.clone(), cases)
    });
    let mut cases = 0;
    for (name, lived) in futures::future::join_all(lives).await {
        cases += lived.unwrap_or_else(|_| panic!("{name} failed"));
    }
    azureml_promises::held("bad_days::credentials_in_secrets_are_told_apart_and_heal", cases);
}

fn later() -> Weather {
    Weather { start: OperatorStart::Later, ..Weather::default() }
}

/// The operator's own identity, one kind after the other: one operator has one.
#[tokio::test]
async fn the_operators_own_identities_are_told_apart_and_heal() {
    const MANAGED: &str = "00000000-0000-0000-0000-0000000000c3";
    const NAMES: [&str; 5] = ["environment", "workload", "app-service", "metadata", "azure-cli"];
    let days = Days::start(&NAMES, later()).await;
    let file = |name: &str| days.env.plane.dir().path().join(name);
    let machine = days.env.sim.url().replace("https://", "http://");
    let path = stand_in_for_az(&days.env.plane.dir().path().join("bin"), &file("login"));
    let mut cases = 0;
    for name in NAMES {
        let mut case = days.case(name);
        case.namespace();
        let mut env = vec![("AZURE_TENANT_ID", demo::TENANT.to_string())];
        let kind = match name {
            "environment" => {
                env.push(("AZURE_CLIENT_ID", case.client.clone()));
                env.push(("AZURE_CLIENT_SECRET", text(name, "first").held));
                Kind::Secret
            }
            "workload" => {
                env.push(("AZURE_CLIENT_ID", case.client.clone()));
                env.push(("AZURE_FEDERATED_TOKEN_FILE", file(name).display().to_string()));
                Kind::Token
            }
            "app-service" => {
                env.push(("IDENTITY_ENDPOINT", format!("{machine}/msi/token")));
                env.push(("IDENTITY_HEADER", "demo-identity-header".to_string()));
                Kind::Machine
            }
            "metadata" => {
                env.push(("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.clone()));
                env.push(("AZURE_CLIENT_ID", MANAGED.to_string()));
                Kind::Machine
            }
            _ => {
                env.push(("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential".to_string()));
                env.push(("PATH", path.clone()));
                Kind::Cli
            }
        };
        if kind == Kind::Machine {
            case.client = MANAGED.to_string();
            let everything = json!({"roles": [{"scope": "/", "role": "Contributor"}]});
            change(&case, everything).await;
        }
        let operator = operator(&days, &[("--default-identity-namespaces", name)], env).await;
        let place = if kind == Kind::Cli { file("login") } else { file(name) };
        cases += Holder::new(case, kind, Place::Own(place)).live().await;
        operator.stop().unwrap();
    }
    azureml_promises::held("bad_days::the_operators_own_identities_are_told_apart_and_heal", cases);
}

/// A PATH that begins with a program `az` which prints what is in the file, as one that is logged in does.
fn stand_in_for_az(folder: &Path, login: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder).unwrap();
    let program = folder.join("az");
    let login = login.display();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = \"account get-access-token\" ] || exit 2\n\
         if [ -s '{login}' ]; then cat '{login}'; else echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1; fi\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

/// A Secret whose certificate can't be used says what is wrong with it, and where.
#[tokio::test]
async fn certificates_that_cannot_be_used_say_why() {
    let days = Days::start(&["faulty"], Weather::default()).await;
    let case = days.case("faulty");
    case.namespace();
    case.workspace(json!({}));
    case.cluster("gpu", json!({}));
    let (mine, other) = (certificate(), certificate());
    change(&case, json!({"certificates": [{"pem": mine.known}]})).await;
    let key = mine.held.strip_suffix(&mine.known).unwrap();
    let expired = {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["app".to_string()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let rows: [(&str, Option<&str>, &[&str]); 7] = [
        ("MIIKCQIBAzCCCc8GCSqGSIb3DQEHAaCC", None, &["no PEM text", "openssl pkcs12"]),
        (&mine.known, None, &["no private key beside the certificate"]),
        (key, None, &["no certificate: add its CERTIFICATE block"]),
        (&format!("{}{encrypted}", mine.known), None, &["is encrypted", "without a password"]),
        (&format!("{}{key}", other.known), None, &["is that of another certificate"]),
        (&expired, None, &["has expired at 2021-01-01T00:00:00Z", "put a new one there"]),
        (
            &mine.held,
            Some("a-secret-beside-it"),
            &["both AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE", "remove one"],
        ),
    ];
    let mut cases = 0;
    for (pem, secret, words) in rows {
        let mut values = json!({
            "AZURE_TENANT_ID": demo::TENANT, "AZURE_CLIENT_ID": case.client, "AZURE_CLIENT_CERTIFICATE": pem,
        });
        if let Some(secret) = secret {
            values["AZURE_CLIENT_SECRET"] = json!(secret);
        }
        case.secret("azure-sp", values);
        both(&case, "CredentialRejected", &[&["Secret faulty/azure-sp"], words].concat()).await;
        cases += 1;
    }
    let token_requests = case.env().sim.requests().await.unwrap().into_iter().filter(|r| r.path.ends_with("/token"));
    assert_eq!(token_requests.filter(|request| request.principal.as_deref() == Some(&case.client)).count(), 0);
    // As the message says. (An apply takes no key away that came by stringData.)
    let without = r#"{"data": {"AZURE_CLIENT_SECRET": null}}"#;
    case.team.kubectl(&["patch", "secret", "azure-sp", "--type=merge", "-p", without]).unwrap();
    heals(&case).await;
    Holder {
        case,
        kind: Kind::Certificate,
        place: Place::Secret(PathBuf::new()),
        proofs: [mine, other],
        held: Cell::new(Which::First),
    }
    .tells_nobody();
    azureml_promises::held("bad_days::certificates_that_cannot_be_used_say_why", cases);
}
