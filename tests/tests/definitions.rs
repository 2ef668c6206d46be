//! The definitions under `crds/`, judged by the real API server.

use azureml_tests::{ControlPlane, Options};

#[tokio::test]
async fn the_api_server_takes_and_serves_every_definition() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let applied = plane.kubectl(&["apply", "--server-side", "-k", "crds", "-o", "name"]);
    let applied = applied.unwrap_or_else(|error| panic!("{error}"));
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    for name in applied.lines() {
        let plural = name.rsplit('/').next().unwrap();
        plane.kubectl(&["get", plural]).unwrap();
        let faults = "jsonpath={.status.conditions[?(@.type==\"NonStructuralSchema\")]}";
        assert_eq!(plane.kubectl(&["get", "crd", plural, "-o", faults]).unwrap(), "", "{plural}");
    }
    assert!(applied.lines().count() >= 2, "{applied}");
}
