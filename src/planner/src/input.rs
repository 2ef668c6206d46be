//! What the planner is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_api::common::Policies;
use azureml_api::condition::Reason;
use azureml_api::fields::FieldTable;
use azureml_api::status::{Applied, AzureStatus, Operation};
use jiff::Timestamp;
use serde_json::Value;

/// Everything that a plan depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Who owns the resource.
    pub owner: &'a Owner,
    /// ARM id of the resource.
    pub id: &'a str,
    /// Field table of its kind.
    pub table: &'static FieldTable,
    /// Whether the object is wanted or being deleted.
    pub lifecycle: Lifecycle,
    /// The manifest, as `{"spec": …}`.
    pub manifest: &'a Value,
    /// Keyed hashes of the manifest's write-only values, by path in the manifest.
    pub hashes: &'a BTreeMap<String, String>,
    /// What Azure has.
    pub observed: &'a Observed,
    /// What the operator remembers in the object's status.
    pub memory: Memory<'a>,
    /// What the operator knows of the region and the workspace.
    pub facts: &'a Facts,
    /// The object's policies.
    pub policies: &'a Policies,
    /// The hash in the approval annotation.
    pub approved: Option<&'a str>,
    /// The owner id in the take-over annotation.
    pub take_over_from: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
    /// When what Azure has was asked for. A write's window has passed only for what was asked for after it.
    pub seen_at: Timestamp,
    /// Since when this process has been looking. An intent of before may have been sent right up to then, so its window
    /// begins no earlier.
    pub running_since: Timestamp,
    /// How long Azure may answer with old data after a write.
    pub consistency_window: Duration,
}

/// The object that owns a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The operator's owner id; differs between Kubernetes clusters.
    pub owner_id: String,
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Uid of the object.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
}

/// Whether the object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is.
    Wanted,
    /// It has a deletion timestamp.
    Deleted,
}

/// What Azure has.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Not known: never seen, or not since our last write.
    Unknown,
    /// Not in the list, or 404; not proven gone.
    Absent,
    /// Proven gone: the resource is not found while its workspace answers as the recorded one, or the workspace or its
    /// group is itself proven absent.
    Gone,
    /// The resource, and why it failed where it did.
    Present {
        /// The body of a GET or a list item with all fields.
        live: Value,
        /// Why it is in a failed state, where it is.
        failure: Option<Failure>,
    },
}

/// A failure that Azure reported, already classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, for conditions.
    pub reason: Reason,
    /// Azure's words and what to do.
    pub message: String,
}

/// What the operator remembers of an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory<'a> {
    /// What it last wrote.
    pub applied: Option<&'a Applied>,
    /// What Azure last said.
    pub azure: Option<&'a AzureStatus>,
    /// The write that is under way.
    pub operation: Option<&'a Operation>,
    /// What the operation's own URL said, where it was asked.
    pub detail: Option<&'a OperationDetail>,
}

/// What an operation's URL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationDetail {
    /// Still under way.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed(Failure),
    /// The URL no longer answers.
    NotAvailable,
    /// It may not be read: why, and what to do.
    Forbidden(String),
}

/// What the operator knows beside the resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The workspace's region.
    pub workspace_location: Option<String>,
    /// The workspace's immutable id.
    pub workspace_id: Option<String>,
    /// Names of the VM sizes that the resource's region offers; `None` when that isn't known.
    pub vm_sizes: Option<Vec<String>>,
    /// The api-version that the cloud is spoken to with; `None` for the newest one.
    pub api_version: Option<String>,
}

/// The names in a region's list of VM sizes: under `value` in today's answers, under `amlCompute` in older ones.
pub fn vm_size_names(body: &Value) -> Vec<String> {
    let items = body.get("value").or_else(|| body.get("amlCompute")).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|size| size.get("name")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_from_both_shapes() {
        let sizes = json!([{"name": "A", "vCPUs": 1}, {"name": "B"}, {}]);
        assert_eq!(vm_size_names(&json!({"value": sizes})), ["A", "B"]);
        assert_eq!(vm_size_names(&json!({"amlCompute": sizes})), ["A", "B"]);
        assert!(vm_size_names(&json!({})).is_empty());
    }
}
