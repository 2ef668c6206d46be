//! The manifests that `kubectl azureml` reads: what it finds no fault with is what the API server and the operator take.

use std::sync::LazyLock;

use azureml_api::compute_cluster::ComputeClusterSpec;
use azureml_api::duration::Seconds;
use azureml_api::registry;
use azureml_api::workspace::WorkspaceSpec;
use azureml_arm::ResourceId;
use azureml_catalog::names::is_cluster_name;
use serde_json::Value;

use crate::reader::documents::{self, Document};
use crate::reader::schema::Schemas;
use crate::reader::{Files, Manifest, Namespaces, sort};

/// The schemas of this release.
pub static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::of_this_release().expect("definitions"));

/// The input is a file: YAML, or JSON.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let documents = match documents::parse("f.yaml", text) {
        Ok(documents) => documents,
        Err(error) => {
            assert!(error.to_string().starts_with("f.yaml, document "), "{error}");
            return;
        }
    };
    let files = sorted(documents.clone());
    assert!(files.manifests.len() <= text.len());
    assert_eq!(files.manifests.is_empty(), files.notes.iter().any(|note| note.starts_with("the files hold no object")));
    in_json(&documents, &files);
    for manifest in &files.manifests {
        assert!(manifest.faults.iter().all(|fault| !fault.to_string().is_empty()));
        if manifest.faults.is_empty() {
            taken(manifest);
        }
    }
}

fn sorted(documents: Vec<Document>) -> Files {
    let namespaces = Namespaces { default: "ml".to_owned(), only: None };
    sort(documents, &SCHEMAS, &namespaces)
}

/// The same documents as JSON are the same manifests.
fn in_json(documents: &[Document], files: &Files) {
    if documents.iter().any(|document| !document.value.is_object()) {
        return;
    }
    let text: String = documents.iter().map(|document| document.value.to_string() + "\n").collect();
    let again = documents::parse("f.yaml", &text).expect("JSON is read");
    let all = |files: &Files| -> Vec<(String, Value, Vec<String>)> {
        let one = |manifest: &Manifest| {
            let faults = manifest.faults.iter().map(ToString::to_string).collect();
            (manifest.key.to_string(), manifest.spec.clone(), faults)
        };
        files.manifests.iter().map(one).collect()
    };
    assert_eq!(all(&sorted(again)), all(files));
}

/// What has no fault can be carried out.
fn taken(manifest: &Manifest) {
    let mut completed = manifest.spec.clone();
    SCHEMAS.complete(&manifest.key.kind, &mut completed);
    assert_eq!(completed, manifest.spec, "defaults come once");
    if let Some(kind) = registry::kind(&manifest.key.kind) {
        (kind.decode)(&manifest.spec).unwrap_or_else(|error| panic!("{error}: {}", manifest.spec));
        cluster(manifest);
    } else {
        workspace(manifest);
    }
}

fn cluster(manifest: &Manifest) {
    let spec: ComputeClusterSpec = serde_json::from_value(manifest.spec.clone()).expect("the kind's shape");
    if let Some(idle) = &spec.scale.idle_before_scale_down {
        Seconds::from_manifest(idle).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(spec.scale.min_nodes.unwrap_or(0) <= spec.scale.max_nodes);
    let name = spec.azure_name.as_deref().unwrap_or(&manifest.key.name);
    if is_cluster_name(name) {
        let workspace = ResourceId::parse(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w",
        );
        let id = workspace.expect("an id").child("computes", name);
        ResourceId::parse(id.as_str()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(id.name(), name);
    }
}

fn workspace(manifest: &Manifest) {
    let spec: WorkspaceSpec =
        serde_json::from_value(manifest.spec.clone()).unwrap_or_else(|error| panic!("{error}: {}", manifest.spec));
    if let Some(interval) = &spec.observe_interval {
        Seconds::from_manifest(interval).unwrap_or_else(|error| panic!("{error}"));
    }
    let id = spec.arm_id(&manifest.key.name);
    let id = ResourceId::parse(&id).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(id.resource_type(), "Microsoft.MachineLearningServices/workspaces");
}
