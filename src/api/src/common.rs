//! What every kind shares: references and policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Refers to a `Workspace` object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceRef {
    /// Name of the Workspace object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Workspace object. Default: this object's own. Another namespace needs the Workspace's
    /// `allowedNamespaces` to let this one in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Refers to a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Refers to one key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Whether the operator writes to Azure at all for this object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// Azure is made to be as the manifest says.
    #[default]
    Manage,
    /// Azure is read and shown in status; nothing is ever written or deleted there.
    Observe,
}

/// What happens when Azure already has a resource of that name that this object doesn't own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdoptionPolicy {
    /// It is left alone and the object is Stalled.
    #[default]
    Refuse,
    /// It is taken over: tagged as owned by this object, then kept as the manifest says.
    Adopt,
}

/// What happens in Azure when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The resource is deleted in Azure, and the object goes when Azure has proven it gone.
    #[default]
    Delete,
    /// The resource stays in Azure as it is.
    Orphan,
}

/// What happens when a change can't be made in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplacementPolicy {
    /// The change is refused: the API server refuses it where it can, else the object is Stalled.
    #[default]
    Never,
    /// The resource is deleted and created again once no job needs it.
    WhenIdle,
    /// The resource is deleted and created again at once.
    Immediately,
}

/// What happens when Azure was changed by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// The managed fields are set back as the manifest says.
    #[default]
    Correct,
    /// The difference is shown in the InSync condition and in `status.plan`, nothing is written.
    Report,
}

/// Whether a plan needs a person's approval before it is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyPolicy {
    /// Plans are carried out at once.
    #[default]
    Automatic,
    /// A plan waits until the annotation `azureml.dev/approve` holds its hash (`status.plan.hash`).
    Approved,
}

/// The policies of an object that stands for something in Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// Manage (default) keeps Azure as the manifest says. Observe only reads: nothing is ever written or deleted.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What to do when Azure already has a resource of that name that isn't ours: Refuse (default) or Adopt.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// What happens in Azure when this object is deleted: Delete (default) or Orphan (it stays).
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What happens when a change can't be made in place: Never (default) refuses it; WhenIdle and Immediately
    /// delete the resource and create it again. This release refuses under every value, and says so.
    #[serde(default)]
    pub replacement_policy: ReplacementPolicy,
    /// What happens when somebody else changed Azure: Correct (default) sets it back, Report only tells.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
    /// Automatic (default) carries plans out at once. Approved waits, before each write and before a deletion too,
    /// until the annotation azureml.dev/approve holds the plan's hash (status.plan.hash).
    #[serde(default)]
    pub apply_policy: ApplyPolicy,
    /// While true, deleting this object waits and nothing is deleted or replaced in Azure.
    #[serde(default)]
    pub deletion_protection: bool,
    /// While true, the object is still resolved, observed and planned, but nothing is written to Azure.
    #[serde(default)]
    pub paused: bool,
}
