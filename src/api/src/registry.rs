//! The registry: each kind that stands for a compute in Azure, one line each.

use serde_json::Value;

use crate::common::Policies;
use crate::compute_cluster;
use crate::fields::{FieldTable, lookup};

/// What the operator needs to know of a kind.
#[derive(Debug)]
pub struct Kind {
    /// Kind, as in manifests.
    pub kind: &'static str,
    /// Plural, as in URLs.
    pub plural: &'static str,
    /// Field table.
    pub table: &'static FieldTable,
    /// Path on the wire of a field that lives (node counts): a list may leave such fields out.
    pub live: &'static str,
    /// Checks that an object's spec has the kind's shape, and reads what all kinds share.
    pub decode: fn(&Value) -> Result<Common, serde_json::Error>,
    /// The status members that only this kind has, from the manifest's spec and what Azure has.
    pub project: fn(&Value, Option<&Value>) -> Value,
}

/// What the specs of all kinds share.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The policies.
    pub policies: Policies,
    /// Secrets that the manifest takes values from: path in the manifest, Secret, key.
    pub secrets: Vec<SecretUse>,
}

/// A value that comes from a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// Path in the manifest of the reference.
    pub path: &'static str,
    /// Name of the Secret.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// Every kind that stands for a compute.
pub static KINDS: &[Kind] = &[Kind {
    kind: "ComputeCluster",
    plural: "computeclusters",
    table: &compute_cluster::TABLE,
    live: "properties.properties.currentNodeCount",
    decode: compute_cluster::decode,
    project: compute_cluster::project,
}];

/// Whether a list's item lacks what a read of the resource itself would show. What is still being made, or failed, lacks
/// it in any case.
pub fn is_sparse(item: &Value) -> bool {
    let text = |path: &str| lookup(item, path).and_then(Value::as_str);
    let kind = KINDS.iter().find(|kind| Some(kind.table.compute_type) == text("properties.computeType"));
    kind.is_some_and(|kind| {
        text("properties.provisioningState") == Some("Succeeded") && lookup(item, kind.live).is_none()
    })
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.kind == name)
}
