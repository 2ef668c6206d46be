//! The waiter, on the project's own kinds.

use std::time::Duration;

use azureml_tests::wait::wait_for;
use azureml_tests::{ControlPlane, Options, Until};

const LONG: Duration = Duration::from_secs(60);

const WORKSPACE: &str = "
apiVersion: azureml.dev/v1alpha1
kind: Workspace
metadata: {name: research, namespace: default}
spec: {subscriptionId: 00000000-0000-0000-0000-000000000001, resourceGroup: ml-rg, azureName: research-ws}
";

#[tokio::test]
async fn a_wait_sees_changes_outlives_a_restart_and_tells_what_it_saw_last() {
    let mut plane = ControlPlane::start(Options::default()).await.unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", "crds/workspaces.yaml"]).unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    plane.kubectl_with_input(&["apply", "-f", "-"], WORKSPACE).unwrap();
    let client = plane.client();

    let short = Duration::from_millis(500);
    let error = wait_for(&client, "Workspace", "default", "research", &Until::ready(), short).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Ready=True") && text.contains("resourceGroup: ml-rg"), "{text}");

    let waiting = tokio::spawn({
        let client = client.clone();
        async move { wait_for(&client, "Workspace", "default", "research", &Until::ready(), LONG).await }
    });
    plane.stop_apiserver().unwrap();
    plane.start_apiserver().await.unwrap();
    let status = r#"{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]}}"#;
    plane.kubectl(&["patch", "amlws", "research", "--subresource=status", "--type=merge", "-p", status]).unwrap();
    let seen = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(seen["metadata"]["name"], "research");

    plane.kubectl(&["delete", "amlws", "research"]).unwrap();
    let gone = wait_for(&client, "Workspace", "default", "research", &Until::gone(), LONG).await.unwrap();
    assert_eq!(gone, None);
    let node = wait_for(&client, "core/Namespace", "", "default", &Until::field("/status/phase", "Active"), LONG).await;
    assert_eq!(node.unwrap().unwrap()["kind"], "Namespace");
}
