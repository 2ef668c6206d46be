//! Every manifest in the documentation is taken by the API server, and every set of values by the chart.

use std::path::PathBuf;

use azureml_tests::operator::{NAME, NAMESPACE};
use azureml_tests::team::laid;
use azureml_tests::{ControlPlane, Options, chart, checkout};
use serde_json::{Value, json};

use super::page::{Block, Page, chapters, others};

/// Groups of Kubernetes whose objects the API server knows without anybody's definitions.
const KNOWN: [&str; 6] =
    ["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1", "policy/v1"];
/// Where they are tried.
const TRIED_IN: &str = "book";

#[tokio::test(flavor = "multi_thread")]
async fn every_manifest_is_valid() {
    let plane = ControlPlane::start(Options::default()).await.unwrap_or_else(|error| panic!("{error}"));
    plane.kubectl(&["apply", "--server-side", "-k", "crds"]).unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    plane.kubectl(&["create", "namespace", TRIED_IN]).unwrap();
    let mut faults = Vec::new();
    let mut count = 0;
    for path in chapters().into_iter().chain(others()) {
        let path: PathBuf = path;
        let page = Page::read(&path);
        for block in page.blocks.iter().filter(|block| block.language == "yaml") {
            match check(&plane, block) {
                Ok(checked) => count += checked,
                Err(fault) => faults.push(format!("{}: {fault}", page.at(block.line))),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    azureml_promises::held("book::every_manifest_is_valid", count);
}

/// Checks a block; gives how many documents were tried.
fn check(plane: &ControlPlane, block: &Block) -> Result<usize, String> {
    let documents = chart::documents(&block.text).map_err(|error| error.to_string())?;
    if let Some(reason) = block.notes.get("not checked") {
        return if reason.is_empty() { Err("not checked, and no reason".into()) } else { Ok(0) };
    }
    let mut count = 0;
    for document in documents {
        let whole = if block.notes.contains_key("values") {
            chart::render(NAME, NAMESPACE, &document).map_err(|error| error.to_string())?;
            count += 1;
            continue;
        } else if let Some(kind) = block.notes.get("part of") {
            laid(base(kind)?, document)
        } else {
            document
        };
        let version = whole["apiVersion"].as_str().unwrap_or_default();
        if version.is_empty() || whole["kind"].is_null() {
            return Err("no whole object: say what it is a part of, or that it is values of the chart".into());
        }
        if whole["kind"] == "Namespace" || !(version.starts_with("azureml.dev/") || KNOWN.contains(&version)) {
            continue;
        }
        let here = laid(whole, json!({"metadata": {"namespace": TRIED_IN}}));
        plane
            .kubectl_with_input(&["apply", "--dry-run=server", "-f", "-"], &here.to_string())
            .map_err(|error| error.to_string())?;
        count += 1;
    }
    Ok(count)
}

/// A small object of a kind, which a part of one is laid over.
fn base(kind: &str) -> Result<Value, String> {
    let file = match kind {
        "ComputeCluster" => "deploy/samples/cpu-cluster.yaml",
        "Workspace" => "deploy/samples/workspace.yaml",
        other => return Err(format!("part of {other}?")),
    };
    let text = std::fs::read_to_string(checkout().join(file)).map_err(|error| error.to_string())?;
    Ok(chart::documents(&text).map_err(|error| error.to_string())?.remove(0))
}
