//! Everything that ships to be applied: held against the schemas of a real API server, taken by it as it is, and its alerts
//! and dashboard read as Prometheus reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::wait::eventually;
use azureml_tests::{ControlPlane, Options, Result, RunDir, chart, checkout, definitions, golang, schemas};
use serde_json::{Value, json};

/// Folders under `deploy` that are applied as they are.
const APPLIED: [&str; 6] =
    ["base", "overlays/namespaced", "overlays/workload-identity", "overlays/sharded", "samples", "base/namespace"];

fn module() -> PathBuf {
    checkout().join("tests/monitoring")
}

/// Values that make the chart render all that it can, and each choice otherwise than by default.
fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("defaults", json!({})),
        ("everything", everything()),
        ("namespaced", json!({"rbac": {"namespaces": ["ml", "default"]}, "operator": {"ownerId": "here"}})),
        (
            "a secret, one replica",
            json!({"replicaCount": 1, "azure": {"clientSecretName": "azure", "tenantId": "t",
            "clientId": "c"}}),
        ),
        (
            "another cloud",
            json!({"azure": {"authorityHost": "https://login.microsoftonline.us",
            "resourceManagerEndpoint": "https://management.usgovcloudapi.net",
            "resourceManagerAudience": "https://management.usgovcloudapi.net"}}),
        ),
        (
            "nothing beside",
            json!({"crds": {"enabled": false}, "rbac": {"create": false}, "service": {"enabled": false},
            "serviceAccount": {"create": false, "name": "own"}, "podDisruptionBudget": {"enabled": false}}),
        ),
        (
            "a shard",
            json!({"crds": {"keep": false}, "operator": {"shard": "blue", "armBudgetShare": 0.5,
            "logFormat": "text", "defaultIdentityNamespaces": ["*"], "extraArgs": ["--fastest-poll=3s"],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}}),
        ),
    ]
}

fn everything() -> Value {
    let labels = json!({"release": "prometheus"});
    json!({
        "commonLabels": {"team": "platform"},
        "commonAnnotations": {"contact": "platform"},
        "image": {"digest": format!("sha256:{}", "0".repeat(64))},
        "imagePullSecrets": [{"name": "registry"}],
        "azure": {"clientId": "00000000-0000-0000-0000-000000000000", "workloadIdentity": {"enabled": true}},
        "serviceAccount": {"annotations": {"a": "b"}},
        "podLabels": {"a": "b"}, "podAnnotations": {"a": "b"},
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
        "page": {"enabled": true},
        "networkPolicy": {"enabled": true, "ingressFrom": [{"namespaceSelector": {}}],
            "apiServerCidrs": ["10.0.0.1/32"], "azureCidrs": ["20.0.0.0/8"]},
        "metrics": {
            "serviceMonitor": {"enabled": true, "labels": labels},
            "podMonitor": {"enabled": true, "labels": labels},
            "prometheusRule": {"enabled": true, "labels": labels},
            "dashboard": {"enabled": true},
        },
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}}],
    })
}

#[tokio::test]
async fn a_real_api_server_takes_all_that_ships() {
    let seen = taken().await.unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("manifests::a_real_api_server_takes_all_that_ships", seen);
}

async fn taken() -> Result<usize> {
    let plane = ControlPlane::start(Options::default()).await?;
    let folder = definitions::MONITORING.find_or_fetch()?;
    for kind in ["servicemonitors", "podmonitors", "prometheusrules"] {
        let file = folder.join(format!("monitoring.coreos.com_{kind}.yaml"));
        plane.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()])?;
    }
    // In earnest: Prometheus' operator would find what it looks for.
    chart::install(&plane, NAME, NAMESPACE, &everything())?;
    plane.kubectl(&["-n", NAMESPACE, "get", "servicemonitor,podmonitor,prometheusrule", NAME])?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    plane.kubectl(&["create", "namespace", "ml"])?;
    for version in ["monitoring.coreos.com/v1", "azureml.dev/v1alpha1"] {
        published(&plane, version).await?;
    }
    let mut seen = 0;
    for (what, values) in values() {
        seen += judged(&plane, what, &chart::render(NAME, NAMESPACE, &values)?)?;
    }
    for folder in APPLIED {
        let built = plane.kubectl(&["kustomize", &format!("deploy/{folder}")])?;
        seen += judged(&plane, folder, &chart::documents(&built)?)?;
    }
    seen += judged(&plane, "crds", &chart::documents(&plane.kubectl(&["kustomize", "crds"])?)?)?;
    refused(&plane)?;
    Ok(seen)
}

/// The API server tells the schemas of a definition a moment after it serves its objects.
async fn published(plane: &ControlPlane, version: &str) -> Result<()> {
    let path = format!("/openapi/v3/apis/{version}");
    let there = async || Ok(plane.kubectl(&["get", "--raw", &path]).ok());
    eventually(&format!("schemas of {version}"), Duration::from_secs(60), there).await.map(drop)
}

/// By its schemas, and by itself: strictly, without storing it.
fn judged(plane: &ControlPlane, what: &str, manifests: &[Value]) -> Result<usize> {
    let verdict = schemas::judge(plane, manifests)?;
    assert_eq!(verdict.faults, Vec::<String>::new(), "{what}");
    assert_eq!(verdict.valid, manifests.len(), "{what}");
    let text: String = manifests.iter().map(|object| format!("---\n{object}\n")).collect();
    let arguments = ["apply", "--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict", "-f", "-"];
    plane.kubectl_with_input(&arguments, &text).unwrap_or_else(|error| panic!("{what}: {error}"));
    Ok(manifests.len())
}

/// The judge knows its trade: what is wrong is found, in each kind of schema.
fn refused(plane: &ControlPlane) -> Result<()> {
    let rendered = chart::render(NAME, NAMESPACE, &everything())?;
    let mut manifests = rendered;
    let samples = plane.kubectl(&["kustomize", "deploy/samples"])?;
    manifests.extend(chart::documents(&samples)?);
    for (kind, pointer, member, value) in [
        ("Deployment", "/spec", "replica", json!(2)),
        ("Deployment", "/spec/template/spec/containers/0", "args", json!("run")),
        ("NetworkPolicy", "/spec", "policyTypes", json!([1])),
        ("CustomResourceDefinition", "/spec/names", "plurals", json!("a")),
        ("ServiceMonitor", "/spec/endpoints/0", "honourLabels", json!(true)),
        ("PrometheusRule", "/spec/groups/0/rules/0", "expr", json!({})),
        ("Workspace", "/spec", "subscription", json!("a")),
        ("ComputeCluster", "/spec/scale", "maxNodes", json!("four")),
    ] {
        let mut wrong = manifests.iter().find(|object| object["kind"] == kind).unwrap().clone();
        wrong.pointer_mut(pointer).unwrap()[member] = value;
        let verdict = schemas::judge(plane, &[wrong])?;
        assert_eq!((verdict.valid, verdict.faults.len()), (0, 1), "{kind} {member}");
    }
    let verdict = schemas::judge(plane, &[json!({"apiVersion": "a/v1", "kind": "B", "metadata": {"name": "c"}})])?;
    assert_eq!((verdict.valid, verdict.faults.len()), (0, 1), "a kind that nobody knows");
    Ok(())
}

/// The series of the metrics in `docs/metrics.md`, which the test `observability` holds to what the operator exposes, with
/// their labels.
fn series() -> BTreeMap<String, Vec<String>> {
    let page = std::fs::read_to_string(checkout().join("docs/metrics.md")).unwrap();
    let mut series = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `azureml_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let (name, labels) = (&quoted(cells[1])[0], quoted(cells[3]));
        match cells[2] {
            "counter" => drop(series.insert(format!("{name}_total"), labels)),
            "info" => drop(series.insert(format!("{name}_info"), labels)),
            "gauge" => drop(series.insert(name.clone(), labels)),
            "histogram" => {
                for part in ["sum", "count"] {
                    series.insert(format!("{name}_{part}"), labels.clone());
                }
                let bound = std::iter::once("le".to_owned());
                series.insert(format!("{name}_bucket"), labels.into_iter().chain(bound).collect());
            }
            other => panic!("{name} is a {other}"),
        }
    }
    series
}

#[test]
fn the_go_sources_are_formatted_and_vetted() {
    let faults = golang::faults(&module()).unwrap();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn prometheus_reads_the_alerts_and_the_dashboard() {
    let dir = RunDir::new("monitoring").unwrap();
    let rendered = chart::render(NAME, NAMESPACE, &everything()).unwrap();
    let of = |kind: &'static str| rendered.iter().filter(move |object| object["kind"] == kind);
    let rules = of("PrometheusRule").next().unwrap()["spec"].to_string();
    let is_dashboard = |object: &&Value| !object["data"]["azureml-operator.json"].is_null();
    let dashboard = of("ConfigMap").find(is_dashboard).unwrap();
    let dashboard = dashboard["data"]["azureml-operator.json"].as_str().unwrap().to_owned();
    let series = series();
    // What a label of a series and one of the pod that it is read from are called alike, the series' own has to win.
    assert!(series.values().flatten().any(|label| label == "namespace"));
    for (kind, endpoints) in [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")] {
        assert_eq!(of(kind).next().unwrap()["spec"][endpoints][0]["honorLabels"], true, "{kind}");
    }
    let files = [("RULES", rules), ("DASHBOARD", dashboard), ("METRICS", json!(series).to_string())];
    let paths = files.map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        (name, path.display().to_string())
    });
    let variables: Vec<(&str, &str)> = paths.iter().map(|(name, path)| (*name, path.as_str())).collect();
    let read = golang::test(&module(), &["."], &variables).unwrap_or_else(|error| panic!("{error}"));
    azureml_promises::held("manifests::prometheus_reads_the_alerts_and_the_dashboard", read);
}
