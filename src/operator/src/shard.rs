//! Shards: which Workspaces, and with them their dependents, this operator works on.
//!
//! A Workspace belongs to exactly one shard: that of its label `azureml.dev/shard`, or the nameless one. So no two shards
//! meet one object, but for the moment in which a label moves one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use azureml_api::SHARD_LABEL;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::index::{Index, Key, Object, WORKSPACE};

/// The shard of this operator; without a name it is the one of Workspaces whose label is absent or names no shard.
#[derive(Debug, Default)]
pub struct Shard {
    name: Option<String>,
    /// Workspaces of other shards (`None`), and those that were of another and came (since when).
    moves: Mutex<HashMap<Key, Option<Timestamp>>>,
}

impl Shard {
    /// From the setting. An empty name is none.
    pub fn new(name: Option<&str>) -> Self {
        Self { name: name.filter(|name| !name.is_empty()).map(str::to_owned), moves: Mutex::default() }
    }

    /// Notes that a Workspace is another shard's.
    pub fn leave(&self, workspace: &Key) {
        self.moves().insert(workspace.clone(), None);
    }

    /// Notes that a Workspace is ours.
    pub fn take(&self, workspace: &Key) {
        if let Some(since @ None) = self.moves().get_mut(workspace) {
            *since = Some(Timestamp::now());
        }
    }

    /// Since when a Workspace that was another shard's is ours; `None` for one that always was. Until then the other may
    /// have sent what it had begun. One that has only just come, and wasn't noted yet, came now.
    pub fn since(&self, workspace: &Key) -> Option<Timestamp> {
        self.moves().get(workspace).map(|since| since.unwrap_or_else(Timestamp::now))
    }

    /// Forgets a Workspace that is gone.
    pub fn forget(&self, workspace: &Key) {
        self.moves().remove(workspace);
    }

    fn moves(&self) -> MutexGuard<'_, HashMap<Key, Option<Timestamp>>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this operator works on an object. One whose Workspace doesn't exist is the nameless shard's, which tells it.
    pub fn serves(&self, index: &Index, object: &Object) -> bool {
        if object.key.kind == WORKSPACE {
            return self.is(object);
        }
        let workspace = object.workspace().and_then(|key| index.get(&key));
        workspace.map_or(self.name.is_none(), |workspace| self.is(&workspace))
    }

    /// The name of the Lease of this shard's replicas.
    pub fn lease(&self, base: &str) -> String {
        self.name.as_ref().map_or_else(|| base.to_owned(), |name| format!("{base}-{name}"))
    }

    fn is(&self, workspace: &Object) -> bool {
        let label = workspace.raw.labels().get(SHARD_LABEL);
        // What can be no shard's name would otherwise be nobody's.
        label.filter(|label| !label.is_empty() && is_name(label)) == self.name.as_ref()
    }
}

/// Reads the setting: a name that can be a label's value and part of a Lease's name.
///
/// # Errors
/// When it can't.
pub fn name(text: &str) -> Result<String, String> {
    let refusal = || "it has to be up to 40 lower-case letters, digits and hyphens, not at the ends".to_owned();
    is_name(text).then(|| text.to_owned()).ok_or_else(refusal)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 40 && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &'static str, name: &str, label: Option<&str>) -> Object {
        let labels = label.map_or_else(|| json!({}), |label| json!({SHARD_LABEL: label}));
        let raw = json!({
            "apiVersion": "azureml.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "ml", "resourceVersion": "1", "labels": labels},
            "spec": {"workspaceRef": {"name": "blue-ws"}}
        });
        Object::new(kind, serde_json::from_value(raw).unwrap())
    }

    #[test]
    fn every_object_has_one_shard() {
        let index = Index::default();
        index.upsert(object(WORKSPACE, "blue-ws", Some("blue")));
        let shards = [Shard::new(None), Shard::new(Some("blue")), Shard::new(Some("green"))];
        let served = |object: &Object| {
            let by: Vec<usize> = (0..3).filter(|i| shards[*i].serves(&index, object)).collect();
            assert!(by.len() <= 1, "{by:?}");
            by.first().copied()
        };
        assert_eq!(served(&object(WORKSPACE, "w", None)), Some(0));
        assert_eq!(served(&object(WORKSPACE, "w", Some(""))), Some(0));
        assert_eq!(served(&object(WORKSPACE, "w", Some("blue"))), Some(1));
        assert_eq!(served(&object(WORKSPACE, "w", Some("red"))), None);
        assert_eq!(served(&object(WORKSPACE, "w", Some("No_Shard"))), Some(0), "a label that no shard can have");
        // A dependent follows its Workspace, whatever its own label says.
        assert_eq!(served(&object("ComputeCluster", "c", Some("green"))), Some(1));
        index.remove(&crate::index::Key::workspace("ml", "blue-ws"));
        assert_eq!(served(&object("ComputeCluster", "c", None)), Some(0));
    }

    #[test]
    fn a_workspace_that_moved_is_ours_since_then() {
        let (shard, key) = (Shard::new(None), Key::workspace("ml", "w"));
        shard.take(&key);
        assert_eq!(shard.since(&key), None, "always ours");
        shard.leave(&key);
        let before = Timestamp::now();
        shard.take(&key);
        let since = shard.since(&key).unwrap();
        assert!(since >= before);
        shard.take(&key);
        assert_eq!(shard.since(&key), Some(since));
    }

    #[test]
    fn names() {
        assert_eq!(Shard::new(Some("")).lease("l"), "l");
        assert_eq!(Shard::new(Some("blue")).lease("l"), "l-blue");
        for good in ["a", "team-1", ""] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["A", "-a", "a-", "a_b", &"a".repeat(41)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
