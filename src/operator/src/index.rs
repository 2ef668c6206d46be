//! The objects that the watches have shown, and who refers to whom. Synchronous; holds no client.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use azureml_api::registry;
use azureml_api::workspace::WorkspaceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

/// Kind of the Workspace.
pub const WORKSPACE: &str = "Workspace";

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of a Workspace.
    pub fn workspace(namespace: &str, name: &str) -> Self {
        Self { kind: WORKSPACE, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub key: Key,
    /// As the API server has it, less its managed fields.
    pub raw: DynamicObject,
}

impl Object {
    /// Takes an object from a watch.
    pub fn new(kind: &'static str, mut raw: DynamicObject) -> Self {
        raw.metadata.managed_fields = None;
        let key = Key { kind, namespace: raw.namespace().unwrap_or_default(), name: raw.name_any() };
        Self { key, raw }
    }

    /// `spec`.
    pub fn spec(&self) -> &Value {
        self.raw.data.get("spec").unwrap_or(&Value::Null)
    }

    /// `status`.
    pub fn status(&self) -> &Value {
        self.raw.data.get("status").unwrap_or(&Value::Null)
    }

    /// `status` as its kind has it; the default of one that has none yet.
    ///
    /// # Errors
    /// When it doesn't have that shape.
    pub fn status_as<'a, T: Default + Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        match self.status() {
            Value::Null => Ok(T::default()),
            status => T::deserialize(status),
        }
    }

    /// `status.conditions`; none where they can't be read.
    pub fn conditions(&self) -> Vec<Condition> {
        let conditions = self.status().get("conditions").cloned();
        conditions.and_then(|conditions| serde_json::from_value(conditions).ok()).unwrap_or_default()
    }

    /// `metadata.generation`.
    pub fn generation(&self) -> i64 {
        self.raw.metadata.generation.unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.raw.metadata.deletion_timestamp.is_some()
    }

    /// Whether our finalizer holds it.
    pub fn has_finalizer(&self) -> bool {
        self.raw.finalizers().iter().any(|name| name == azureml_api::FINALIZER)
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.raw.annotations().get(name).map(String::as_str)
    }

    /// The Workspace that it refers to.
    pub fn workspace(&self) -> Option<Key> {
        let reference = self.spec().get("workspaceRef")?;
        let namespace = reference.get("namespace").and_then(Value::as_str).unwrap_or(&self.key.namespace);
        Some(Key::workspace(namespace, reference.get("name")?.as_str()?))
    }

    /// Its name in Azure.
    pub fn azure_name(&self) -> &str {
        self.spec().get("azureName").and_then(Value::as_str).unwrap_or(&self.key.name)
    }

    /// Whether it only looks at Azure.
    pub fn only_observes(&self) -> bool {
        self.spec().get("managementPolicy").is_some_and(|policy| policy == "Observe")
    }

    /// What of an object is news when it changes. Our own writes of status aren't.
    pub fn signature(&self) -> impl PartialEq + '_ {
        (
            self.raw.metadata.uid.as_deref(),
            self.generation(),
            self.is_deleting(),
            self.raw.annotations(),
            self.raw.labels().get(azureml_api::SHARD_LABEL).map(String::as_str),
            self.raw.finalizers().iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    fn claim_order(&self) -> (bool, bool, Option<Timestamp>, &Key) {
        let has = |member: &str| self.status().get(member).is_some();
        let created = self.raw.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (self.only_observes(), !(has("operation") || has("applied")), created, &self.key)
    }

    fn version(&self) -> u64 {
        self.raw.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

/// The objects and their relations.
#[derive(Debug, Default)]
pub struct Index(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<Key, Arc<Object>>,
    by_workspace: HashMap<Key, BTreeSet<Key>>,
    /// By name in Azure, lower-cased: the few objects that may stand for one resource.
    by_azure_name: HashMap<String, BTreeSet<Key>>,
    by_secret: HashMap<(String, String), BTreeSet<Key>>,
    workspaces: BTreeSet<Key>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    revision: u64,
}

impl Index {
    /// Takes in an object, unless a newer version of it is known. Says whether it was taken.
    pub fn upsert(&self, object: Object) -> bool {
        self.take(object, |known, given| known.version() < given.version())
    }

    /// Takes in an object, unless this very version of it is known. Says whether it was taken.
    pub fn replace(&self, object: Object) -> bool {
        self.take(object, |known, given| known.version() != given.version())
    }

    fn take(&self, object: Object, is_news: impl FnOnce(&Object, &Object) -> bool) -> bool {
        let mut inner = self.write();
        if let Some(known) = inner.objects.get(&object.key).cloned() {
            if !is_news(&known, &object) {
                return false;
            }
            inner.unlink(&known);
        }
        inner.revision += 1;
        inner.link(&object);
        inner.objects.insert(object.key.clone(), Arc::new(object));
        true
    }

    /// Takes in what the API server answered to a write of ours. An object that the watch has seen go meanwhile, or come
    /// anew, stays as the watch says.
    pub fn refresh(&self, object: Object) {
        let known = self.get(&object.key);
        if known.is_some_and(|known| known.raw.metadata.uid == object.raw.metadata.uid) {
            self.upsert(object);
        }
    }

    /// Drops an object.
    pub fn remove(&self, key: &Key) -> Option<Arc<Object>> {
        let mut inner = self.write();
        let object = inner.objects.remove(key)?;
        inner.revision += 1;
        inner.unlink(&object);
        Some(object)
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().objects.get(key).cloned()
    }

    /// Another one whenever an object has come, changed or gone.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// All keys of a kind.
    pub fn keys(&self, kind: &str) -> Vec<Key> {
        self.read().objects.keys().filter(|key| key.kind == kind).cloned().collect()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<Object>> {
        self.read().objects.values().cloned().collect()
    }

    /// The objects that refer to a Workspace.
    pub fn dependents(&self, workspace: &Key) -> Vec<Key> {
        self.read().by_workspace.get(workspace).into_iter().flatten().cloned().collect()
    }

    /// The Workspaces that stand for an ARM id.
    pub fn workspaces_of(&self, arm_id: &str) -> Vec<Key> {
        let stands = |object: &&Arc<Object>| {
            object.key.kind == WORKSPACE
                && WorkspaceSpec::deserialize(object.spec())
                    .is_ok_and(|spec| spec.arm_id(&object.key.name).eq_ignore_ascii_case(arm_id))
        };
        let inner = self.read();
        let workspaces = inner.workspaces.iter().filter_map(|key| inner.objects.get(key));
        workspaces.filter(stands).map(|object| object.key.clone()).collect()
    }

    /// The Workspaces that use a Secret.
    pub fn users_of_secret(&self, namespace: &str, name: &str) -> Vec<Key> {
        let key = (namespace.to_owned(), name.to_owned());
        self.read().by_secret.get(&key).into_iter().flatten().cloned().collect()
    }

    /// The ARM id that an object stands for, lower-cased; `None` while its Workspace isn't known.
    pub fn arm_id(&self, object: &Object) -> Option<String> {
        self.read().arm_id(object)
    }

    /// The objects that stand for an ARM id. The first has the claim: one that has written there already, else the
    /// oldest.
    pub fn claimants(&self, arm_id: &str) -> Vec<Key> {
        let inner = self.read();
        let arm_id = arm_id.to_lowercase();
        let name = arm_id.rsplit('/').next().unwrap_or_default();
        let mut found: Vec<&Arc<Object>> = inner
            .by_azure_name
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|key| inner.objects.get(key))
            .filter(|object| inner.arm_id(object).as_ref() == Some(&arm_id))
            .collect();
        found.sort_by(|a, b| a.claim_order().cmp(&b.claim_order()));
        found.into_iter().map(|object| object.key.clone()).collect()
    }

    /// The namespaces that hold objects.
    pub fn inhabited(&self) -> BTreeSet<String> {
        let inner = self.read();
        let names: HashSet<&str> = inner.objects.keys().map(|key| key.namespace.as_str()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The namespaces whose labels are known.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.read().namespaces.keys().cloned().collect()
    }

    /// Takes in a namespace's labels.
    pub fn set_namespace(&self, name: &str, labels: BTreeMap<String, String>) -> bool {
        self.write().namespaces.insert(name.to_owned(), labels.clone()) != Some(labels)
    }

    /// Drops a namespace.
    pub fn remove_namespace(&self, name: &str) {
        self.write().namespaces.remove(name);
    }

    /// A namespace's labels.
    pub fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        self.read().namespaces.get(name).cloned().unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn arm_id(&self, object: &Object) -> Option<String> {
        let workspace = self.objects.get(&object.workspace()?)?;
        let spec = WorkspaceSpec::deserialize(workspace.spec()).ok()?;
        Some(format!("{}/computes/{}", spec.arm_id(&workspace.key.name), object.azure_name()).to_lowercase())
    }

    fn link(&mut self, object: &Object) {
        let key = object.key.clone();
        if let Some(workspace) = object.workspace() {
            self.by_workspace.entry(workspace).or_default().insert(key.clone());
        }
        if let Some(secret) = secret_of(object) {
            self.by_secret.entry(secret).or_default().insert(key.clone());
        }
        if key.kind == WORKSPACE {
            self.workspaces.insert(key);
        } else if registry::kind(key.kind).is_some() {
            self.by_azure_name.entry(object.azure_name().to_lowercase()).or_default().insert(key);
        }
    }

    fn unlink(&mut self, object: &Object) {
        if let Some(workspace) = object.workspace() {
            drop_from(&mut self.by_workspace, &workspace, &object.key);
        }
        if let Some(secret) = secret_of(object) {
            drop_from(&mut self.by_secret, &secret, &object.key);
        }
        self.workspaces.remove(&object.key);
        drop_from(&mut self.by_azure_name, &object.azure_name().to_lowercase(), &object.key);
    }
}

fn secret_of(object: &Object) -> Option<(String, String)> {
    let name = object.spec().get("credentialRef")?.get("name")?.as_str()?;
    Some((object.key.namespace.clone(), name.to_owned()))
}

fn drop_from<G: std::hash::Hash + Eq>(map: &mut HashMap<G, BTreeSet<Key>>, group: &G, key: &Key) {
    if let Some(keys) = map.get_mut(group) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &'static str, name: &str, version: u64, created: &str, spec: Value) -> Object {
        let raw = serde_json::from_value(json!({
            "apiVersion": "azureml.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "ml", "uid": name, "resourceVersion": version.to_string(),
                         "creationTimestamp": created},
            "spec": spec
        }))
        .unwrap();
        Object::new(kind, raw)
    }

    fn workspace(name: &str) -> Object {
        let spec =
            json!({"subscriptionId": "S", "resourceGroup": "g", "azureName": "ws", "credentialRef": {"name": "c"}});
        object(WORKSPACE, name, 1, "2026-01-01T00:00:00Z", spec)
    }

    fn cluster(name: &str, version: u64, created: &str, azure: &str) -> Object {
        object("ComputeCluster", name, version, created, json!({"workspaceRef": {"name": "w"}, "azureName": azure}))
    }

    #[test]
    fn a_watch_goes_forward_and_a_list_is_believed() {
        let index = Index::default();
        let at = |version| cluster("gpu", version, "2026-01-01T00:00:00Z", "gpu");
        let known = || index.get(&at(1).key).unwrap().version();
        assert!(index.upsert(at(5)) && !index.upsert(at(5)) && !index.upsert(at(4)));
        assert!(!index.replace(at(5)) && index.replace(at(3)));
        assert_eq!(known(), 3);
        assert!(index.upsert(at(4)));
        assert_eq!((known(), index.dependents(&Key::workspace("ml", "w")).len()), (4, 1));
    }

    #[test]
    fn the_oldest_claim_wins_across_case() {
        let index = Index::default();
        index.upsert(workspace("w"));
        index.upsert(cluster("young", 5, "2026-02-02T00:00:00Z", "GPU"));
        index.upsert(cluster("old", 6, "2026-01-02T00:00:00Z", "gpu"));
        index.upsert(cluster("other", 7, "2026-01-01T00:00:00Z", "cpu"));
        let id = index.arm_id(&cluster("x", 1, "2026-01-01T00:00:00Z", "Gpu")).unwrap();
        assert!(id.ends_with("/workspaces/ws/computes/gpu"));
        let names: Vec<String> = index.claimants(&id.to_uppercase()).into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["old", "young"]);
        index.remove(&Key { kind: "ComputeCluster", namespace: "ml".into(), name: "old".into() });
        assert_eq!(index.claimants(&id).len(), 1);
    }

    #[test]
    fn older_versions_are_not_taken() {
        let index = Index::default();
        assert!(index.upsert(cluster("a", 5, "2026-01-01T00:00:00Z", "a")));
        assert!(!index.upsert(cluster("a", 4, "2026-01-01T00:00:00Z", "b")));
        assert!(!index.upsert(cluster("a", 5, "2026-01-01T00:00:00Z", "b")));
        assert!(index.upsert(cluster("a", 12, "2026-01-01T00:00:00Z", "b")));
        let key = Key { kind: "ComputeCluster", namespace: "ml".into(), name: "a".into() };
        assert_eq!(index.get(&key).unwrap().azure_name(), "b");
    }

    #[test]
    fn relations_follow_changes() {
        let index = Index::default();
        index.upsert(workspace("w"));
        index.upsert(cluster("a", 5, "2026-01-01T00:00:00Z", "a"));
        let w = Key::workspace("ml", "w");
        assert_eq!(index.dependents(&w).len(), 1);
        assert_eq!(index.users_of_secret("ml", "c"), vec![w.clone()]);
        index.remove(&Key { kind: "ComputeCluster", namespace: "ml".into(), name: "a".into() });
        index.remove(&w);
        assert!(index.dependents(&w).is_empty() && index.users_of_secret("ml", "c").is_empty());
    }
}
