//! Manifests: what the files hold, sorted by what it is for.

pub mod documents;
pub mod rules;
pub mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use azureml_api::{API_VERSION, GROUP};
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use serde_json::Value;

use documents::Document;
use schema::{Fault, Schemas, unknown};

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A Workspace's.
    pub fn workspace(namespace: &str, name: &str) -> Self {
        Self { kind: "Workspace".to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One of our objects, as a file has it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its name.
    pub key: Key,
    /// The file.
    pub origin: String,
    /// The object as it was read, with its namespace.
    pub object: Value,
    /// `spec` as the API server would store it.
    pub spec: Value,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// Everything that the files hold.
#[derive(Debug, Default)]
pub struct Files {
    /// Our objects, in the files' order.
    pub manifests: Vec<Manifest>,
    /// Secrets, by namespace and name; `None` for one that can't be read, such as an encrypted one.
    pub secrets: BTreeMap<(String, String), Option<Secret>>,
    /// Labels of namespaces.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Files {
    /// The manifest of that name.
    pub fn get(&self, key: &Key) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.key == *key)
    }
}

/// Which namespace objects are in.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Of those that name none.
    pub default: String,
    /// `--namespace`: those that name another are refused, as kubectl does.
    pub only: Option<String>,
}

/// Sorts documents.
pub fn sort(documents: Vec<Document>, schemas: &Schemas, namespaces: &Namespaces) -> Files {
    let mut sorting = Sorting { schemas, namespaces, files: Files::default(), others: Vec::new() };
    documents.into_iter().for_each(|document| sorting.document(document));
    sorting.finish()
}

struct Sorting<'a> {
    schemas: &'a Schemas,
    namespaces: &'a Namespaces,
    files: Files,
    others: Vec<String>,
}

impl Sorting<'_> {
    fn document(&mut self, document: Document) {
        let Document { origin, value } = document;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if let (Some(items), true) = (value.get("items").and_then(Value::as_array), kind.ends_with("List")) {
            for item in items {
                self.document(Document { origin: origin.clone(), value: item.clone() });
            }
            return;
        }
        let group = version.split('/').next().unwrap_or_default();
        match (group, kind.as_str()) {
            ("v1", "Secret") => {
                let secret = Secret::deserialize(&value).ok();
                self.files.secrets.insert((self.namespace(&value), name(&value)), secret);
            }
            ("v1", "Namespace") => {
                self.files.namespaces.insert(name(&value), texts(&value, "/metadata/labels"));
            }
            (GROUP, _) => self.ours(origin, version, kind, value),
            ("", _) | (_, "") => self.others.push(format!("a document of {origin} without apiVersion and kind")),
            _ => self.others.push(format!("{kind} {}", name(&value))),
        }
    }

    fn namespace(&self, object: &Value) -> String {
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str);
        own.filter(|own| !own.is_empty()).unwrap_or(&self.namespaces.default).to_owned()
    }

    fn ours(&mut self, origin: String, version: String, kind: String, mut object: Value) {
        let key = Key { kind, namespace: self.namespace(&object), name: name(&object) };
        let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
        let mut faults = self.envelope_faults(&key, &version, &object);
        if self.schemas.has(&key.kind) && faults.is_empty() {
            self.schemas.complete(&key.kind, &mut spec);
            faults = self.schemas.faults(&key.kind, &spec);
            if faults.is_empty() {
                faults = rules::faults(&key.kind, &key.name, &spec);
            }
        }
        if let Some(first) = self.files.get(&key) {
            faults.push(Fault::new("", format!("stands in {} already: leave one of the two out", first.origin)));
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), Value::from(key.namespace.clone()));
        }
        self.files.manifests.push(Manifest { key, origin, object, spec, faults });
    }

    /// What is wrong around `spec`.
    fn envelope_faults(&self, key: &Key, version: &str, object: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.schemas.has(&key.kind) {
            let what = format!("this release has no kind {:?}", key.kind);
            faults.push(Fault::new("kind", unknown(&what, &key.kind, self.schemas.kinds())));
        }
        if version != API_VERSION {
            faults.push(Fault::new("apiVersion", format!("{version:?} isn't {API_VERSION}, the one that there is")));
        }
        if !is_object_name(&key.name) {
            let rule = "lower-case letters, digits, hyphens and dots, first and last a letter or digit, at most 253";
            faults.push(Fault::new("metadata.name", format!("{:?} isn't a name: {rule}", key.name)));
        }
        if let Some(only) = self.namespaces.only.as_ref().filter(|only| **only != key.namespace) {
            let message = format!("is {}, but --namespace says {only}", key.namespace);
            faults.push(Fault::new("metadata.namespace", message));
        }
        if !object.get("spec").is_some_and(Value::is_object) {
            faults.push(Fault::new("spec", "is required, and has to be a group of fields"));
        }
        const MEMBERS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
        for member in object.as_object().into_iter().flat_map(|object| object.keys()) {
            if !MEMBERS.contains(&member.as_str()) {
                let near = unknown("there is no such field", member, MEMBERS.into_iter());
                faults.push(Fault::new(member, near));
            }
        }
        faults
    }

    fn finish(self) -> Files {
        let mut files = self.files;
        if !self.others.is_empty() {
            files.notes.push(format!("passed over, not of {API_VERSION}: {}", self.others.join(", ")));
        }
        let kinds: BTreeSet<&str> = self.schemas.kinds().collect();
        if files.manifests.is_empty() {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            files.notes.push(format!("the files hold no object of {API_VERSION} ({})", kinds.join(", ")));
        }
        files
    }
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A map of texts in an object, such as its annotations.
pub fn texts(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let entries = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// DNS subdomain names, the API server's rule for names of custom resources.
fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "apiVersion: azureml.dev/v1alpha1\nkind: ComputeCluster\nmetadata: {name: gpu}\n\
                           spec: {workspaceRef: {name: w}, vmSize: S, scale: {maxNodes: 1}}\n";

    fn sorted(text: &str, only: Option<&str>) -> Files {
        let namespaces = Namespaces { default: only.unwrap_or("ml").to_owned(), only: only.map(str::to_owned) };
        sort(documents::parse("f.yaml", text).unwrap(), &Schemas::of_this_release().unwrap(), &namespaces)
    }

    #[test]
    fn documents_go_where_they_are_used() {
        let text = format!(
            "{CLUSTER}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{a: b}}\n---\n\
             apiVersion: v1\nkind: Namespace\nmetadata: {{name: ml, labels: {{t: x}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n"
        );
        let files = sorted(&text, None);
        assert_eq!(files.manifests[0].key.to_string(), "ComputeCluster ml/gpu");
        assert_eq!(files.manifests[0].faults, []);
        assert_eq!(files.manifests[0].spec["driftPolicy"], "Correct");
        assert!(files.secrets[&("ml".to_owned(), "s".to_owned())].is_some());
        assert_eq!(files.namespaces["ml"]["t"], "x");
        assert_eq!(files.notes, ["passed over, not of azureml.dev/v1alpha1: Deployment web"]);
    }

    #[test]
    fn lists_are_unpacked_and_encrypted_secrets_kept_apart() {
        let indented = CLUSTER.replace('\n', "\n  ");
        let files = sorted(&format!("apiVersion: v1\nkind: List\nitems:\n- {indented}\n"), None);
        assert_eq!(files.manifests.len(), 1);
        let files = sorted("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 'ENC[x]'}", None);
        assert!(files.secrets[&("ml".to_owned(), "s".to_owned())].is_none());
    }

    #[test]
    fn faults_around_the_spec_are_named() {
        let rows = [
            (CLUSTER.replace("ComputeCluster", "ComputeClusters"), "kind: this release has no kind"),
            (CLUSTER.replace("v1alpha1", "v1"), "apiVersion: \"azureml.dev/v1\" isn't"),
            (CLUSTER.replace("name: gpu", "name: GPU"), "metadata.name: \"GPU\" isn't a name"),
            (CLUSTER.replace("{name: gpu}", "{name: gpu, namespace: x}"), "metadata.namespace: is x, but"),
            (CLUSTER.replace("spec:", "spce:"), "spec: is required"),
            (CLUSTER.replace("maxNodes: 1", "maxNodes: 1, minNodes: 2"), "spec.scale.minNodes can't be above"),
            (format!("{CLUSTER}---\n{CLUSTER}"), "stands in f.yaml already"),
        ];
        for (text, expected) in rows {
            let files = sorted(&text, Some("ml"));
            let last = files.manifests.last().unwrap();
            let first = last.faults.first().map(ToString::to_string).unwrap_or_default();
            assert!(first.starts_with(expected), "{expected}: {:?}", last.faults);
        }
    }
}
