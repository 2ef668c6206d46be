//! `kubectl explain` tells of every field what it is, in which unit, and what Azure has without it.

use std::time::Duration;

use azureml_tests::team::LONG;
use azureml_tests::{ControlPlane, Options};
use serde_json::Value;

/// Fields that aren't Azure's, or that only hold others together.
const OWN: [&str; 18] = [
    "workspaceRef",
    "workspaceRef.name",
    "workspaceRef.namespace",
    "azureName",
    "managementPolicy",
    "adoptionPolicy",
    "deletionPolicy",
    "replacementPolicy",
    "driftPolicy",
    "applyPolicy",
    "deletionProtection",
    "paused",
    "scale",
    "ssh",
    "ssh.adminPasswordSecretRef.name",
    "ssh.adminPasswordSecretRef.key",
    "identity.type",
    "identity.userAssignedIds",
];

/// A control plane that serves the definitions and explains them, which comes a little later.
async fn plane() -> ControlPlane {
    let plane = ControlPlane::start(Options::default()).await.unwrap_or_else(|error| panic!("{error}"));
    plane.kubectl(&["apply", "--server-side", "-k", "crds"]).unwrap_or_else(|error| panic!("{error}"));
    let known = async {
        for kind in ["amlcc.spec", "amlws.spec"] {
            while plane.kubectl(&["explain", kind]).is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    tokio::time::timeout(LONG, known).await.expect("kubectl doesn't come to know the definitions");
    plane
}

/// The schema of a kind's spec, as the API server has it.
fn spec(plane: &ControlPlane, plural: &str) -> Value {
    let definition = plane.kubectl(&["get", "crd", &format!("{plural}.azureml.dev"), "-o", "json"]);
    let definition: Value = serde_json::from_str(&definition.unwrap_or_else(|error| panic!("{error}"))).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// What `kubectl explain` says of a field, in one line.
fn explain(plane: &ControlPlane, path: &str) -> String {
    described(&plane.kubectl(&["explain", path]).unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test]
async fn every_field_of_a_cluster_is_explained() {
    let plane = plane().await;
    let whole = plane.kubectl(&["explain", "amlcc.spec", "--recursive"]).unwrap_or_else(|error| panic!("{error}"));
    let mut paths = Vec::new();
    collect(&spec(&plane, "computeclusters"), "", &mut paths);
    assert!(paths.len() > 30, "{paths:?}");
    for path in &paths {
        let name = path.rsplit('.').next().unwrap();
        assert!(whole.lines().any(|line| line.trim_start().starts_with(name)), "{path} isn't in:\n{whole}");
        let described = explain(&plane, &format!("amlcc.spec.{path}"));
        assert!(described.len() > 12, "{path} has no description: {described:?}");
        let in_azure = described.contains("Azure's default: ") || described.contains("Azure has no default.");
        let is_own = OWN.contains(&path.as_str());
        assert!(in_azure || is_own, "{path} doesn't say what Azure has without it: {described:?}");
        assert!(!path.ends_with("Policy") || described.contains("(default)"), "{path}: {described:?}");
    }
    let idle = explain(&plane, "amlcc.spec.scale.idleBeforeScaleDown");
    assert!(idle.contains("15m or 1h30m") && idle.contains("Azure's default: 2m."), "{idle}");
    let size = explain(&plane, "amlcc.spec.vmSize");
    assert!(size.contains("Changing it needs a replacement."), "{size}");
}

#[tokio::test]
async fn every_field_of_a_workspace_is_explained() {
    let plane = plane().await;
    let mut paths = Vec::new();
    collect(&spec(&plane, "workspaces"), "", &mut paths);
    assert!(paths.len() > 8, "{paths:?}");
    for path in &paths {
        let described = explain(&plane, &format!("amlws.spec.{path}"));
        assert!(described.len() > 12, "{path} has no description: {described:?}");
    }
    let interval = explain(&plane, "amlws.spec.observeInterval");
    assert!(interval.contains("from 1s to 24h") && interval.contains("Default: 60s"), "{interval}");
}

/// Every property below a schema, by dotted path.
fn collect(schema: &Value, prefix: &str, paths: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        collect(property, &format!("{path}."), paths);
        paths.push(path);
    }
}

/// The description that `kubectl explain` prints, on one line.
fn described(text: &str) -> String {
    let after = text.split("DESCRIPTION:").nth(1).unwrap_or_default();
    let own = after.split("\nFIELDS:").next().unwrap_or_default();
    let words: Vec<&str> = own.split_whitespace().collect();
    words.join(" ").replace("<empty>", "")
}
