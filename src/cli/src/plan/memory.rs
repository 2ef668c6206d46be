//! What the cluster's stored object adds to a manifest: memory, generation, annotations.

use std::collections::BTreeMap;

use azureml_api::fields::{FieldTable, lookup};
use azureml_api::status::{Applied, TargetStatus};
use azureml_planner::Lifecycle;
use azureml_planner::approval::manifest_hash;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::manifests::{Manifest, texts};

/// Stands for a uid or an owner id that nobody knows before the object is applied.
pub const KNOWN_AFTER_APPLY: &str = "(known after apply)";

/// What the cluster has under a manifest's name.
#[derive(Clone, Debug)]
pub enum Stored {
    /// This object.
    Object(Box<DynamicObject>),
    /// Nothing.
    Nothing,
    /// It isn't known: no cluster was asked, or it may not be read.
    Unknown,
}

impl Stored {
    /// The object, where there is one.
    pub fn object(&self) -> Option<&DynamicObject> {
        match self {
            Self::Object(object) => Some(object),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

/// An object's uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uid {
    /// The stored object's.
    Known(String),
    /// The API server will give it one.
    AfterApply,
    /// It may have one, which isn't known here.
    Unknown,
}

/// An object as it will be when the manifest has been applied.
#[derive(Clone, Debug)]
pub struct Object {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it is being deleted.
    pub lifecycle: Lifecycle,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the operator remembers.
    pub status: TargetStatus,
    /// The stored spec, where the operator has last written just that.
    pub written_spec: Option<Value>,
}

/// Lays a manifest over the stored object.
///
/// # Errors
/// When the stored status doesn't have the shape of its kind.
pub fn object(manifest: &Manifest, stored: &Stored) -> Result<Object, serde_json::Error> {
    let given = texts(&manifest.object, "/metadata/annotations");
    let new = |uid: Uid| Object {
        uid,
        generation: 1,
        lifecycle: Lifecycle::Wanted,
        annotations: given.clone(),
        status: TargetStatus::default(),
        written_spec: None,
    };
    let stored = match stored {
        Stored::Object(stored) => stored,
        Stored::Nothing => return Ok(new(Uid::AfterApply)),
        Stored::Unknown => return Ok(new(Uid::Unknown)),
    };
    let status = match stored.data.get("status") {
        None | Some(Value::Null) => TargetStatus::default(),
        Some(status) => TargetStatus::deserialize(status)?,
    };
    let spec = stored.data.get("spec").cloned().unwrap_or(Value::Null);
    let generation = stored.metadata.generation.unwrap_or(1);
    let deleted = stored.metadata.deletion_timestamp.is_some();
    let changed = !deleted && spec != manifest.spec;
    let mut annotations = stored.metadata.annotations.clone().unwrap_or_default();
    annotations.extend(given);
    let hash = manifest_hash(&json!({"spec": spec}));
    let written = status.applied.as_ref().is_some_and(|applied| {
        applied.generation == Some(generation) || applied.manifest.as_deref() == Some(hash.as_str())
    });
    Ok(Object {
        uid: stored.metadata.uid.clone().map_or(Uid::Unknown, Uid::Known),
        generation: generation + i64::from(changed),
        lifecycle: if deleted { Lifecycle::Deleted } else { Lifecycle::Wanted },
        annotations,
        status,
        written_spec: written.then_some(spec),
    })
}

impl Object {
    /// A workspace of the same name with another id is another workspace: what lived in the old one went with it.
    pub fn forget_a_lost_world(&mut self, workspace_id: Option<&str>) {
        let known = self.status.azure.as_ref().and_then(|azure| azure.workspace_id.as_deref());
        let lost = known.is_some() && workspace_id.is_some() && known != workspace_id;
        if lost && self.lifecycle == Lifecycle::Wanted {
            self.status = TargetStatus::default();
        }
    }
}

/// Stand-ins for the keyed hashes of write-only values, whose key only the operator has: equal to the written one where
/// nothing says otherwise, different where the manifest surely changed. Also the paths that can't be compared here.
pub fn hashes(table: &FieldTable, spec: &Value, object: &Object) -> (BTreeMap<String, String>, Vec<&'static str>) {
    let mut hashes = BTreeMap::new();
    let mut unsure = Vec::new();
    let manifest = json!({"spec": spec});
    let written_spec = object.written_spec.as_ref().map(|spec| json!({"spec": spec}));
    for field in table.fields.iter().filter(|field| field.is_write_only()) {
        let Some(now) = lookup(&manifest, field.manifest) else { continue };
        let before = written(object.status.applied.as_ref(), field.manifest);
        let from_secret = field.manifest.ends_with("SecretRef");
        let stand_in = match (before, &written_spec) {
            (None, _) => "(new)".to_owned(),
            (Some(before), Some(spec)) if !from_secret && lookup(spec, field.manifest) == Some(now) => before.clone(),
            (Some(_), Some(_)) if !from_secret => "(changed)".to_owned(),
            (Some(before), _) => {
                unsure.push(field.manifest);
                before.clone()
            }
        };
        hashes.insert(field.manifest.to_owned(), stand_in);
    }
    (hashes, unsure)
}

fn written<'a>(applied: Option<&'a Applied>, path: &str) -> Option<&'a String> {
    applied.and_then(|applied| applied.hashes.get(path))
}

#[cfg(test)]
mod tests {
    use azureml_api::compute_cluster::TABLE;

    use super::*;
    use crate::manifests::Key;

    fn manifest(spec: Value) -> Manifest {
        let object = json!({"metadata": {"annotations": {"azureml.dev/approve": "new"}}});
        Manifest { key: Key::workspace("ml", "x"), origin: String::new(), object, spec, faults: Vec::new() }
    }

    fn stored(metadata: Value, spec: Value, status: Value) -> Stored {
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        Stored::Object(Box::new(serde_json::from_value(object).unwrap()))
    }

    #[test]
    fn a_changed_spec_is_the_next_generation() {
        let spec = json!({"vmSize": "A"});
        let rows = [
            (None, 1, Lifecycle::Wanted),
            (Some((json!({"generation": 4}), spec.clone())), 4, Lifecycle::Wanted),
            (Some((json!({"generation": 4}), json!({"vmSize": "B"}))), 5, Lifecycle::Wanted),
            (
                Some((json!({"generation": 4, "deletionTimestamp": "2026-01-01T00:00:00Z"}), json!({}))),
                4,
                Lifecycle::Deleted,
            ),
        ];
        for (known, generation, lifecycle) in rows {
            let stored = known.map_or(Stored::Nothing, |(metadata, spec)| stored(metadata, spec, Value::Null));
            let object = object(&manifest(spec.clone()), &stored).unwrap();
            assert_eq!((object.generation, object.lifecycle), (generation, lifecycle), "{stored:?}");
        }
    }

    #[test]
    fn the_files_annotations_go_over_the_stored_ones() {
        let metadata = json!({"annotations": {"azureml.dev/approve": "old", "a": "b"}, "uid": "u"});
        let object = object(&manifest(json!({})), &stored(metadata, json!({}), Value::Null)).unwrap();
        assert_eq!(object.annotations["azureml.dev/approve"], "new");
        assert_eq!(object.annotations["a"], "b");
        assert_eq!(object.uid, Uid::Known("u".to_owned()));
    }

    #[test]
    fn memory_of_another_workspace_is_forgotten() {
        let status = json!({"azure": {"id": "/x", "workspaceId": "w1"}});
        let make = || object(&manifest(json!({})), &stored(json!({}), json!({}), status.clone())).unwrap();
        for (workspace, kept) in [(Some("w1"), true), (None, true), (Some("w2"), false)] {
            let mut object = make();
            object.forget_a_lost_world(workspace);
            assert_eq!(object.status.azure.is_some(), kept, "{workspace:?}");
        }
    }

    #[test]
    fn write_only_values_are_compared_as_far_as_that_goes() {
        const KEY: &str = "spec.ssh.sshPublicKey";
        const PASSWORD: &str = "spec.ssh.adminPasswordSecretRef";
        let ssh =
            |key: &str| json!({"ssh": {"sshPublicKey": key, "adminPasswordSecretRef": {"name": "s", "key": "k"}}});
        let status =
            |generation: i64| json!({"applied": {"generation": generation, "hashes": {KEY: "h1", PASSWORD: "h2"}}});
        let rows = [
            (json!({}), 1, "old", "(new)", "(new)", vec![]),
            (status(1), 1, "old", "h1", "h2", vec![PASSWORD]),
            (status(1), 1, "new", "(changed)", "h2", vec![PASSWORD]),
            // The stored spec isn't the one that was written.
            (status(1), 2, "new", "h1", "h2", vec![KEY, PASSWORD]),
        ];
        for (status, generation, key, key_hash, password_hash, unsure) in rows {
            let stored = stored(json!({"generation": generation}), ssh("old"), status.clone());
            let manifest = manifest(ssh(key));
            let object = object(&manifest, &stored).unwrap();
            let (hashes, told) = hashes(&TABLE, &manifest.spec, &object);
            assert_eq!((hashes[KEY].as_str(), hashes[PASSWORD].as_str()), (key_hash, password_hash), "{status} {key}");
            assert_eq!(told, unsure);
        }
    }
}
