//! Shards: which Workspaces, and with them their dependents, this operator works on.
//!
//! A Workspace belongs to exactly one shard: that of its label `azureml.dev/shard`, or the one without a name. So no two
//! shards meet one object.

use azureml_api::SHARD_LABEL;
use kube::ResourceExt;

use crate::index::{Index, Object, WORKSPACE};

/// The shard of this operator; `None` is the one of Workspaces without the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shard(Option<String>);

impl Shard {
    /// From the setting. An empty name is none.
    pub fn new(name: Option<&str>) -> Self {
        Self(name.filter(|name| !name.is_empty()).map(str::to_owned))
    }

    /// Whether this operator works on an object. One whose Workspace doesn't exist is the nameless shard's, which tells it.
    pub fn serves(&self, index: &Index, object: &Object) -> bool {
        if object.key.kind == WORKSPACE {
            return self.is(object);
        }
        let workspace = object.workspace().and_then(|key| index.get(&key));
        workspace.map_or(self.0.is_none(), |workspace| self.is(&workspace))
    }

    /// The name of the Lease of this shard's replicas.
    pub fn lease(&self, base: &str) -> String {
        self.0.as_ref().map_or_else(|| base.to_owned(), |name| format!("{base}-{}", name.to_lowercase()))
    }

    fn is(&self, workspace: &Object) -> bool {
        let label = workspace.raw.labels().get(SHARD_LABEL).filter(|label| !label.is_empty());
        label == self.0.as_ref()
    }
}

/// Reads the setting: a name that can be a label's value and part of a Lease's name.
///
/// # Errors
/// When it can't.
pub fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: Option<char>| c.is_none_or(|c| c != '-');
    if text.len() <= 40 && text.chars().all(fits) && ends(text.chars().next()) && ends(text.chars().last()) {
        return Ok(text.to_owned());
    }
    Err("it has to be up to 40 lower-case letters, digits and hyphens, not at the ends".to_owned())
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
        // A dependent follows its Workspace, whatever its own label says.
        assert_eq!(served(&object("ComputeCluster", "c", Some("green"))), Some(1));
        index.remove(&crate::index::Key::workspace("ml", "blue-ws"));
        assert_eq!(served(&object("ComputeCluster", "c", None)), Some(0));
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
