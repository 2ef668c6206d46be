//! The program as a shell sees it: exit codes and the two outputs, where neither a cluster nor Azure is needed.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const CLUSTER: &str = "apiVersion: azureml.dev/v1alpha1\nkind: ComputeCluster\nmetadata: {name: gpu}\n\
                       spec: {workspaceRef: {name: w}, vmSize: S, scale: {maxNodes: 1}}\n";

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-azureml"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who ends before reading closes the pipe, which is no fault here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn plan(input: &str) -> (Option<i32>, Value) {
    let output = run(&["plan", "--without-cluster", "-f", "-", "-o", "json"], input);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let faulty = CLUSTER.replace("vmSize", "vmSiz");
    let rows = [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", 0, Value::Null),
        (faulty.as_str(), 3, json!("InvalidManifest")),
        // Its Workspace can't be had without a cluster.
        (CLUSTER, 1, json!("WorkspaceNotFound")),
    ];
    for (input, code, reason) in rows {
        let (exit, report) = plan(input);
        assert_eq!((exit, &report["exitCode"]), (Some(code), &json!(code)), "{report:#}");
        assert_eq!(report["plans"][0]["problems"][0]["reason"], reason, "{report:#}");
    }
}

#[test]
fn errors_go_to_standard_error_and_keep_json_readable() {
    let output = run(&["plan", "-f", "/nowhere.yaml", "-o", "json"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: /nowhere.yaml: "));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["error"].as_str().unwrap().starts_with("/nowhere.yaml: "));
}

#[test]
fn a_wrong_command_line_is_not_taken_for_a_change() {
    assert_eq!(run(&["plan", "--nonsense"], "").status.code(), Some(1));
    assert_eq!(run(&["plan", "--help"], "").status.code(), Some(0));
}
