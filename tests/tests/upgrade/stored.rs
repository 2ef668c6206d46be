//! What a release leaves in the API server and in Azure, as `tests/releases/VERSION/` keeps it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use azureml_tests::checkout;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The id of the operator that recorded it: its tags say so.
pub const OWNER: &str = "releases";
/// The namespace of all that is recorded.
pub const NAMESPACE: &str = "team";
/// The password of the nodes of the cluster `secret`: hashed in its status.
pub const PASSWORD: &str = "Stored-By-A-Release-1";

/// The file beside the packed chart.
pub const FILE: &str = "stored.json";

/// What an operator of a release left, killed with three writes under way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Secrets and namespaces, to be applied.
    pub applied: Vec<Value>,
    /// Objects of our group as they were stored.
    pub objects: Vec<Value>,
    /// What Azure held, by name.
    pub azure: BTreeMap<String, Compute>,
    /// The workspace's `workspaceId`.
    pub workspace: String,
}

/// A compute that Azure held.
#[derive(Debug, Serialize, Deserialize)]
pub struct Compute {
    /// The body of its PUT, with what edits changed after it.
    pub body: Value,
    /// Azure's `createdOn`, which objects remember.
    pub created_on: String,
}

/// The folder of each release that was recorded, the oldest first.
pub fn releases() -> Vec<PathBuf> {
    let folder = checkout().join("tests/releases");
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}
