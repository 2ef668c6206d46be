//! Microsoft's own Go client against azure-sim (`tests/contract`), and its fields against those that the operator knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output};

use azureml_api::fields::{Convert, lookup};
use azureml_api::registry;
use azureml_tests::{RunDir, Sim, SimOptions, checkout};
use serde_json::Value;

/// What the client can write of a cluster and no manifest says: its kind, and what the operator sends back in every PUT as
/// Azure has it.
const NOT_IN_MANIFESTS: &[&str] = &["location", "properties.computeType", "properties.resourceId", "sku"];

fn module() -> PathBuf {
    checkout().join("tests/contract")
}

/// Runs a program of the Go toolchain in the module's folder.
fn go(program: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(module()).envs(env.iter().copied());
    command.output().unwrap_or_else(|error| {
        panic!("{program} has to be on the PATH, from Go 1.26 or newer (https://go.dev/dl): {error}")
    })
}

/// What became of each Go test that has no tests within it, and all that the tests printed.
struct GoRun {
    ends: BTreeMap<String, String>,
    printed: String,
}

impl GoRun {
    fn read(output: &Output) -> Self {
        let mut ends: BTreeMap<String, String> = BTreeMap::new();
        let mut printed = String::from_utf8_lossy(&output.stderr).into_owned();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                printed.push_str(&format!("{line}\n"));
                continue;
            };
            printed.push_str(event["Output"].as_str().unwrap_or_default());
            if let (Some(test), Some(end @ ("pass" | "fail" | "skip"))) =
                (event["Test"].as_str(), event["Action"].as_str())
            {
                ends.insert(test.to_string(), end.to_string());
            }
        }
        let parents: BTreeSet<String> =
            ends.keys().filter_map(|name| Some(name.rsplit_once('/')?.0.to_string())).collect();
        // A failure is told of the parent, too.
        ends.retain(|name, end| !parents.contains(name) || end == "fail");
        GoRun { ends, printed }
    }

    /// The tests that didn't pass.
    fn bad(&self) -> Vec<String> {
        self.ends.iter().filter(|(_, end)| *end != "pass").map(|(name, end)| format!("{end}: {name}")).collect()
    }
}

#[tokio::test]
async fn microsofts_own_client_does_its_work_and_understands_every_answer() {
    let dir = RunDir::new("contract").unwrap();
    let options = SimOptions { world: module().join("world.yaml"), ..SimOptions::default() };
    let sim = Sim::start(&options, &dir).await.unwrap();
    let ca = sim.ca().to_str().unwrap();
    let env = [("AZURE_SIM_URL", sim.url()), ("AZURE_SIM_CA", ca)];
    // The tests wait for azure-sim more than they work.
    let output = go("go", &["test", "-json", "-count=1", "-parallel=64", "./..."], &env);
    let run = GoRun::read(&output);
    let bad = run.bad();
    assert!(output.status.success() && bad.is_empty(), "{bad:#?}\n{}", run.printed);
    let name = "contract::microsofts_own_client_does_its_work_and_understands_every_answer";
    azureml_promises::held(name, run.ends.len());
}

#[test]
fn what_the_go_tests_tell_is_read() {
    use std::os::unix::process::ExitStatusExt;
    let events = [
        r#"{"Action":"run","Test":"TestA"}"#,
        r#"{"Action":"output","Test":"TestA/one","Output":"words\n"}"#,
        r#"{"Action":"pass","Test":"TestA/one"}"#,
        r#"{"Action":"skip","Test":"TestA/two"}"#,
        r#"{"Action":"pass","Test":"TestA"}"#,
        r#"{"Action":"fail","Test":"TestB/three"}"#,
        r#"{"Action":"fail","Test":"TestB"}"#,
        r#"{"Action":"pass","Test":"TestC"}"#,
        r#"{"Action":"fail","Package":"p"}"#,
        "not JSON",
    ];
    let status = std::process::ExitStatus::from_raw(256);
    let run = GoRun::read(&Output { status, stdout: events.join("\n").into_bytes(), stderr: b"go: ".to_vec() });
    assert_eq!(run.bad(), ["skip: TestA/two", "fail: TestB", "fail: TestB/three"]);
    assert_eq!(run.ends.len(), 5);
    assert_eq!(run.printed, "go: words\nnot JSON\n");
}

#[test]
fn the_go_sources_are_formatted_and_vetted() {
    for (program, args) in [("gofmt", ["-l", "."]), ("go", ["vet", "./..."])] {
        let output = go(program, &args, &[]);
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success() && printed.is_empty(), "{program}: {printed}");
    }
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
