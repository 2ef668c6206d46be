//! Microsoft's own Go client against azure-sim (`tests/contract`), and its fields against those that the operator knows.

use std::path::PathBuf;

use azureml_api::fields::{Convert, lookup};
use azureml_api::registry;
use azureml_tests::{RunDir, Sim, SimOptions, checkout, golang};
use serde_json::Value;

/// What the client can write of a cluster and no manifest says: its kind, and what the operator sends back in every PUT as
/// Azure has it.
const NOT_IN_MANIFESTS: &[&str] = &["location", "properties.computeType", "properties.resourceId", "sku"];

fn module() -> PathBuf {
    checkout().join("tests/contract")
}

#[tokio::test]
async fn microsofts_own_client_does_its_work_and_understands_every_answer() {
    let dir = RunDir::new("contract").unwrap();
    let options = SimOptions { world: module().join("world.yaml"), ..SimOptions::default() };
    let sim = Sim::start(&options, &dir).await.unwrap();
    let ca = sim.ca().to_str().unwrap();
    let env = [("AZURE_SIM_URL", sim.url()), ("AZURE_SIM_CA", ca)];
    // The tests wait for azure-sim more than they work.
    let passed = golang::test(&module(), &["-parallel=64", "./..."], &env).unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("contract::microsofts_own_client_does_its_work_and_understands_every_answer", passed);
}

#[test]
fn the_go_sources_are_formatted_and_vetted() {
    let faults = golang::faults(&module()).unwrap();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn the_operator_writes_every_field_that_the_client_does() {
    let kind = registry::kind("ComputeCluster").unwrap();
    let client: Value =
        serde_json::from_str(&std::fs::read_to_string(module().join("testdata/cluster.json")).unwrap()).unwrap();
    let mut missing = Vec::new();
    let mut seen = 0;
    for field in kind.table.fields {
        match lookup(&client, field.wire) {
            Some(_) => seen += 1,
            None => missing.push(field.wire),
        }
    }
    assert_eq!(missing, Vec::<&str>::new(), "the operator writes what the client doesn't know");

    let mut unknown = Vec::new();
    leaves(&client, String::new(), &mut |path| {
        let known = |row: &str| path.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !kind.table.fields.iter().map(|field| field.wire).chain(NOT_IN_MANIFESTS.iter().copied()).any(known) {
            unknown.push(path.to_string());
        }
    });
    assert_eq!(unknown, Vec::<String>::new(), "the client writes what the operator doesn't know");

    // Written back from the manifest's words, the client's values are the client's values.
    for (wire, manifest) in [
        ("identity", serde_json::json!({"type": "UserAssigned", "userAssignedIds": ids(&client)})),
        ("properties.disableLocalAuth", Value::from(false)),
        ("properties.properties.scaleSettings.nodeIdleTimeBeforeScaleDown", Value::from("2m")),
    ] {
        let field = kind.table.fields.iter().find(|field| field.wire == wire).unwrap();
        assert_ne!(field.convert, Convert::Same, "{wire}");
        assert_eq!(Some(&field.to_wire(&manifest)), lookup(&client, wire), "{wire}");
    }
    azureml_promises::held("contract::the_operator_writes_every_field_that_the_client_does", seen);
}

fn ids(client: &Value) -> Vec<String> {
    lookup(client, "identity.userAssignedIdentities").unwrap().as_object().unwrap().keys().cloned().collect()
}

/// Calls `see` with the dotted path of everything that isn't an object with fields.
fn leaves(value: &Value, path: String, see: &mut impl FnMut(&str)) {
    match value.as_object().filter(|map| !map.is_empty()) {
        None => see(&path),
        Some(map) => {
            for (key, inner) in map {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(inner, below, see);
            }
        }
    }
}
