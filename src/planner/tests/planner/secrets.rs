//! Values that Azure never gives back: compared by hash, never told, and never wiped unawares.

use azureml_api::common::DriftPolicy;
use azureml_api::condition::Reason;
use azureml_api::fields::set;
use azureml_planner::Action;
use serde_json::{Value, json};

use crate::support::samples::{of, write_only_rows};
use crate::support::{Case, bodies, body, brief, changes, in_sync, message, new_object};

const ACCOUNT: &str = "properties.properties.userAccountCredentials";
const PORT: &str = "properties.properties.remoteLoginPortPublicAccess";

/// In sync, with every write-only field written by us.
fn with_account() -> Case {
    in_sync().with(|case| {
        for field in write_only_rows() {
            case.set_manifest(field.manifest, of(field).0.0);
        }
        case.remember_applied();
    })
}

#[test]
fn hashes_tell_what_azure_does_not() {
    assert_eq!(write_only_rows().count(), 3);
    for field in write_only_rows() {
        let (a, b) = of(field);
        let path = field.manifest;
        let rotated = with_account().with(|case| {
            case.hashes.insert(path.to_owned(), "k:of another secret".to_owned());
        });
        let rows = [
            ("as written", with_account(), vec![]),
            ("written again", with_account().edit(path, a.0.clone()), vec![]),
            ("changed", with_account().edit(path, b.0), vec![(path, "(secret)", "(another secret)")]),
            ("changed in the Secret", rotated, vec![(path, "(secret)", "(another secret)")]),
            ("dropped", with_account().drop_field(path), vec![(path, "(secret)", "(none)")]),
            ("set later", in_sync().edit(path, a.0.clone()), vec![(path, "(none)", "(secret)")]),
            ("never managed", in_sync(), vec![]),
            (
                "its hash was lost with the status",
                with_account().with(|c| c.applied.as_mut().unwrap().hashes.clear()),
                vec![],
            ),
            ("never written by us", in_sync().with(|case| case.applied = None).edit(path, a.0), vec![]),
            (
                "hashed with a key that was lost",
                with_account().with(|case| {
                    case.hashes.insert(path.to_owned(), "other:of another secret".to_owned());
                }),
                vec![],
            ),
            ("not read yet", with_account().with(|case| drop(case.hashes.remove(path))), vec![]),
        ];
        for (name, case, expected) in rows {
            let plan = case.plan();
            assert_eq!(changes(&plan), expected, "{name} {path}");
            let reason = (!expected.is_empty()).then_some(Reason::ReplacementRequired);
            assert_eq!(brief(&plan).2, reason, "{name} {path}");
        }
    }
}

#[test]
fn a_secret_that_changes_is_nobodys_drift() {
    let path = "spec.ssh.adminPasswordSecretRef";
    let case = with_account().with(|case| {
        case.hashes.insert(path.to_owned(), "k:of another secret".to_owned());
        case.policies.drift_policy = DriftPolicy::Report;
    });
    let plan = case.plan();
    assert!(!plan.drift);
    assert_eq!(brief(&plan).2, Some(Reason::ReplacementRequired));
}

#[test]
fn the_password_goes_beside_the_body() {
    let mut case = new_object();
    for field in write_only_rows() {
        case.set_manifest(field.manifest, of(field).0.0);
    }
    let plan = case.plan();
    let password = format!("{ACCOUNT}.adminUserPassword");
    assert_eq!(bodies(&plan)[0].secrets, [("spec.ssh.adminPasswordSecretRef", password.as_str())]);
    let account = json!({"adminUserName": "root-a", "adminUserSshPublicKey": "ssh-ed25519 AAAA"});
    assert_eq!(body(&plan)["properties"]["properties"]["userAccountCredentials"], account);
}

#[test]
fn a_put_sends_the_secrets_again() {
    let plan = with_account().drift(PORT, json!("Enabled")).edit("spec.tags", json!({"a": "b"})).plan();
    assert_eq!(brief(&plan), (Action::Update, vec!["put"], None));
    assert_eq!(bodies(&plan)[0].secrets.len(), 1);
    assert_eq!(
        body(&plan).pointer("/properties/properties/userAccountCredentials/adminUserName"),
        Some(&json!("root-a"))
    );
}

#[test]
fn secrets_that_we_do_not_hold_are_not_wiped() {
    let tags = || in_sync().edit("spec.tags", json!({"a": "b"}));
    let account =
        |name: Value| json!({"adminUserName": name, "adminUserPassword": null, "adminUserSshPublicKey": null});
    let lost = (Action::Refuse, vec!["refuse"], Some(Reason::SecretWouldBeLost));
    let put = (Action::Update, vec!["put"], None);
    let rows = [
        ("port not specified", tags(), put.clone()),
        ("port closed", tags().drift(PORT, json!("Disabled")), put.clone()),
        ("port open", tags().drift(PORT, json!("Enabled")), lost.clone()),
        ("port open, in another case", tags().drift(PORT, json!("enabled")), lost.clone()),
        ("an account without a name", tags().drift(ACCOUNT, account(Value::Null)), put.clone()),
        ("an account, port closed", tags().drift(ACCOUNT, account(json!("azureuser"))), lost.clone()),
        (
            "an account, port open, only the scale changes",
            in_sync()
                .drift(PORT, json!("Enabled"))
                .drift(ACCOUNT, account(json!("azureuser")))
                .edit("spec.scale.maxNodes", json!(7)),
            (Action::Update, vec!["patch"], None),
        ),
        (
            "adopted with the account in the manifest",
            tags().drift(PORT, json!("Enabled")).with(|case| {
                case.applied = None;
                for field in write_only_rows() {
                    case.set_manifest(field.manifest, of(field).0.0);
                }
            }),
            put,
        ),
    ];
    for (name, case, expected) in rows {
        let plan = case.plan();
        assert_eq!(brief(&plan), expected, "{name}");
        if expected.2.is_some() {
            assert!(message(&plan).contains("would wipe spec.ssh in Azure"), "{name}: {}", message(&plan));
        }
    }
}

#[test]
fn no_words_hold_a_secret() {
    let key = "ssh-ed25519 NOTFORPRINT";
    let case = with_account().with(|case| {
        set(
            case.live_mut(),
            ACCOUNT,
            json!({"adminUserName": "hushed", "adminUserPassword": "hushed", "adminUserSshPublicKey": "hushed"}),
        );
        case.set_manifest("spec.ssh.adminUserName", json!("hushed"));
        case.set_manifest("spec.ssh.sshPublicKey", json!(key));
    });
    let plan = case.plan();
    assert_eq!(plan.changes.len(), 2, "{:?}", plan.changes);
    let words = format!("{:?} {:?}", plan.status(), plan.steps);
    assert!(!words.contains("hushed") && !words.contains("NOTFORPRINT"), "{words}");
}
