//! The status that every object with an Azure side shares.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Status of an object that stands for a compute in Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The generation of the manifest that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and InSync always; Reconciling, Stalled, Paused and AwaitingApproval only while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What Azure says about the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureStatus>,
    /// What the operator last wrote to Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The write to Azure that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// What the operator would do or is doing; absent when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// The value of the annotation azureml.dev/reconcile-requested-at that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// What Azure says about the resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureStatus {
    /// ARM resource id.
    #[schemars(length(max = 1024))]
    pub id: String,
    /// `workspaceId` of the workspace that held it: a workspace of the same name made anew has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// When Azure created it, as Azure says it. Tells a resource from another of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_on: Option<String>,
    /// When the operator first saw it provisioned. Before that, nothing can be lost by creating it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned_on: Option<Time>,
    /// Created: this object had it made. Absent: it was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Azure's provisioning state: Creating, Updating, Deleting, Succeeded, Failed, Canceled or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<String>,
    /// Errors that Azure reports on the resource, `code: message`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub errors: Vec<String>,
    /// What Azure has in the fields that it can't change in place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
}

/// Where a resource is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Origin {
    /// The operator created it for this object.
    Created,
}

/// What the operator last wrote to Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The generation of the manifest that Azure was last made equal to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Hash of the manifest, less its policies, that Azure was last made equal to. While it is the same, a difference is
    /// somebody else's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// When the last write began that Azure carried out: an approval of before it is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write: Option<Time>,
    /// The manifest paths that the operator manages in Azure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub fields: Vec<String>,
    /// The keys of object-valued fields (tags) that the operator manages in Azure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// Keyed hashes of the secret values that were written, by manifest path. Never the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
    /// Values that Azure has in place of what was successfully written for this generation, by manifest path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_honoured: BTreeMap<String, String>,
}

/// A write to Azure that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What is done.
    pub verb: Verb,
    /// How far it is known to be.
    pub phase: Phase,
    /// Azure's signed URL for the operation, kept as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// ARM id of the resource that is written.
    pub id: String,
    /// When the intent was written.
    pub started_at: Time,
    /// The generation of the manifest that is written.
    pub generation: i64,
    /// Hash of what the manifest said of the paths that the write changes: an edit of one of them makes Azure's answers
    /// of before this write look like answers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// The manifest paths that the write changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "atomic"))]
    pub fields: Vec<String>,
    /// Keyed hashes of the secret values that the write carries, by manifest path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
}

/// The verbs of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verb {
    /// PUT of a resource that isn't there.
    Create,
    /// PUT over a resource that is there.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// How far a write is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Decided and recorded; whether Azure has got it isn't known.
    Intended,
    /// Azure has accepted it.
    Running,
}

/// What the operator would do or is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Identifies the plan; the annotation azureml.dev/approve has to hold it under applyPolicy Approved.
    pub hash: String,
    /// Create, Update, Replace, Delete, Refuse or Report.
    pub action: String,
    /// The steps in their order, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<String>,
    /// The fields that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<ChangeStatus>,
    /// What else happens that a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub side_effects: Vec<String>,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeStatus {
    /// Path in the manifest.
    pub field: String,
    /// What Azure has.
    pub from: String,
    /// What the manifest says.
    pub to: String,
    /// InPlace or Replace.
    pub effect: String,
}
