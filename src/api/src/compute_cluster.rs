//! `ComputeCluster`: a managed, self-scaling cluster of a workspace (AmlCompute).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::{Policies, SecretKeyRef, WorkspaceRef};
use crate::fields::{AzureDefault, Change, Compare, Convert, Evidence, Field, FieldTable, lookup};
use crate::registry::{Common, SecretUse};
use crate::status::TargetStatus;

/// A managed compute cluster of an Azure Machine Learning workspace (AmlCompute). It scales itself between minNodes and
/// maxNodes each time a job is submitted, and back when nodes are idle.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "azureml.dev",
    version = "v1alpha1",
    kind = "ComputeCluster",
    plural = "computeclusters",
    shortname = "amlcc",
    category = "azureml",
    namespaced,
    status = "ComputeClusterStatus",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Size","type":"string","jsonPath":".spec.vmSize"}"#,
    printcolumn = r#"{"name":"Nodes","type":"integer","jsonPath":".status.nodes.current"}"#,
    printcolumn = r#"{"name":"Min","type":"integer","jsonPath":".status.effectiveScale.min"}"#,
    printcolumn = r#"{"name":"Max","type":"integer","jsonPath":".status.effectiveScale.max"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Workspace","type":"string","jsonPath":".spec.workspaceRef.name","priority":1}"#,
    printcolumn = r#"{"name":"Running","type":"integer","jsonPath":".status.nodes.running","priority":1}"#,
    printcolumn = r#"{"name":"Idle","type":"integer","jsonPath":".status.nodes.idle","priority":1}"#,
    printcolumn = r#"{"name":"InSync","type":"string","jsonPath":".status.conditions[?(@.type=='InSync')].status","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ComputeClusterSpec {
    /// The workspace that the cluster belongs to. Can't be changed.
    pub workspace_ref: WorkspaceRef,
    /// The cluster's name in Azure: 3 to 24 letters, digits and hyphens, first a letter, not ending in a hyphen and
    /// digits. Default: metadata.name. Can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    pub azure_name: Option<String>,
    /// Azure region of the nodes, such as westeurope. It may differ from the workspace's, for data's or quota's sake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub location: Option<String>,
    /// VM size of each node, such as Standard_DS3_v2. What a region offers: its vmSizes list.
    #[schemars(length(min = 1, max = 64))]
    pub vm_size: String,
    /// Dedicated nodes, or LowPriority ones, which are cheaper and may be preempted at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_priority: Option<VmPriority>,
    /// How many nodes the cluster may have.
    pub scale: Scale,
    /// Operating system of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_type: Option<OsType>,
    /// ARM id of a virtual machine image for the nodes. Windows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// ARM id of the subnet that the nodes join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub subnet_id: Option<String>,
    /// Whether nodes have public IP addresses. Without one, nodes need a subnet or the workspace's managed network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_public_ip: Option<bool>,
    /// Whether the cluster's network is isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_network: Option<bool>,
    /// SSH access to the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// The cluster's managed identity in Microsoft Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Whether local authentication (keys) works beside Microsoft Entra identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_auth: Option<bool>,
    /// Free text that Azure shows with the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Azure tags. Each key is managed by itself: tags that others put there stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 48))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Additional properties that Azure's API takes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub property_bag: Option<serde_json::Value>,
    /// How the operator treats the cluster.
    #[serde(flatten)]
    pub policies: Policies,
}

/// How many nodes the cluster may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// Nodes that are kept even without jobs, and billed. 0 lets the cluster scale to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65000))]
    pub min_nodes: Option<u32>,
    /// Most nodes at a time. Quota must have room for them before jobs can use them.
    #[schemars(range(min = 0, max = 65000))]
    pub max_nodes: u32,
    /// How long a node is idle before it is given back, such as 15m or 1h30m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 24), regex(pattern = r"^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$"))]
    pub idle_before_scale_down: Option<String>,
}

/// Priority of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VmPriority {
    /// Nodes stay until the cluster gives them back.
    Dedicated,
    /// Cheaper nodes from spare capacity that may be preempted at any time.
    LowPriority,
}

/// Operating system of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OsType {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
}

/// SSH access to the nodes. Azure can't change any of it after the cluster's creation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ssh {
    /// Whether the nodes' public SSH port is open: Enabled, Disabled, or NotSpecified (closed once there is a subnet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_access: Option<SshPublicAccess>,
    /// Name of the administrator account that is made on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub admin_user_name: Option<String>,
    /// SSH public key of the administrator account, in OpenSSH's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub ssh_public_key: Option<String>,
    /// Password of the administrator account, from a Secret in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password_secret_ref: Option<SecretKeyRef>,
}

/// Whether the nodes' public SSH port is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SshPublicAccess {
    /// Open on all nodes.
    Enabled,
    /// Closed on all nodes.
    Disabled,
    /// Closed where the cluster has a subnet, else open.
    NotSpecified,
}

/// The managed identity: one system-assigned, or user-assigned ones, not both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// SystemAssigned, UserAssigned, or None.
    pub r#type: IdentityType,
    /// ARM ids of user-assigned identities. With type UserAssigned only, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 1024)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub user_assigned_ids: Option<Vec<String>>,
}

/// Kinds of managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityType {
    /// One identity that lives and dies with the cluster.
    SystemAssigned,
    /// Identities that exist by themselves.
    UserAssigned,
    /// No identity.
    None,
}

/// Status of a `ComputeCluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeClusterStatus {
    /// What all targets have in common.
    #[serde(flatten)]
    pub target: TargetStatus,
    /// The scale that is in force, and where it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_scale: Option<EffectiveScale>,
    /// Whether the cluster is resizing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// How many nodes there are, by what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// Object id of the cluster's system-assigned identity in Microsoft Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_principal_id: Option<String>,
}

/// The scale that is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveScale {
    /// Least nodes.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Where it is from: spec.scale.
    pub source: String,
    /// Until when, where something later changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Whether the cluster is resizing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// Steady or Resizing.
    pub state: String,
    /// Since when, as Azure says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Nodes by what they do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// Nodes that the cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<i64>,
    /// Nodes that the cluster is going to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<i64>,
    /// Nodes without a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<i64>,
    /// Nodes with a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<i64>,
    /// Nodes that are being prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparing: Option<i64>,
    /// Nodes that are leaving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<i64>,
    /// Low-priority nodes that were taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempted: Option<i64>,
    /// Nodes that can't be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<i64>,
}

const SCALE: Change = Change::Patch { object: "properties.properties.scaleSettings" };
const SINCE: &str = "2021-07-01";
const TERRAFORM: &str = "Terraform azurerm_machine_learning_compute_cluster: ForceNew";
const SSH_DOCS: &str = "Azure documentation, create a compute cluster: SSH access can't change after creation";

const fn value(wire: &'static str, words: &'static str) -> AzureDefault {
    AzureDefault::Value { wire, words }
}

/// A row whose value stays the same on the way to the wire and compares exactly.
const fn row(manifest: &'static str, wire: &'static str, change: Change, default: AzureDefault) -> Field {
    Field {
        manifest,
        wire,
        change,
        convert: Convert::Same,
        compare: Compare::Exact,
        default,
        since: SINCE,
        evidence: Evidence::Documented,
        source: TERRAFORM,
    }
}

/// The fields of AmlCompute, api-version 2025-12-01.
pub static TABLE: FieldTable = FieldTable {
    kind: "ComputeCluster",
    compute_type: "AmlCompute",
    noun: "cluster",
    fields: &[
        Field {
            compare: Compare::Location,
            ..row("spec.location", "properties.computeLocation", Change::Replace, AzureDefault::WorkspaceLocation)
        },
        Field {
            compare: Compare::IgnoreCase,
            source: "Azure documentation, create a compute cluster",
            ..row("spec.vmSize", "properties.properties.vmSize", Change::Replace, AzureDefault::Required)
        },
        Field {
            compare: Compare::IgnoreCase,
            ..row(
                "spec.vmPriority",
                "properties.properties.vmPriority",
                Change::Replace,
                value("\"Dedicated\"", "Dedicated"),
            )
        },
        Field {
            source: "REST API, Compute - Update: the body is exactly scaleSettings",
            ..row("spec.scale.minNodes", "properties.properties.scaleSettings.minNodeCount", SCALE, value("0", "0"))
        },
        Field {
            source: "REST API, Compute - Update: the body is exactly scaleSettings",
            ..row(
                "spec.scale.maxNodes",
                "properties.properties.scaleSettings.maxNodeCount",
                SCALE,
                AzureDefault::Required,
            )
        },
        Field {
            convert: Convert::Duration,
            compare: Compare::Duration,
            source: "REST API, Compute - Update: the body is exactly scaleSettings",
            ..row(
                "spec.scale.idleBeforeScaleDown",
                "properties.properties.scaleSettings.nodeIdleTimeBeforeScaleDown",
                SCALE,
                value("\"PT120S\"", "2m"),
            )
        },
        Field {
            compare: Compare::IgnoreCase,
            ..row("spec.osType", "properties.properties.osType", Change::Replace, value("\"Linux\"", "Linux"))
        },
        Field {
            compare: Compare::IgnoreCase,
            evidence: Evidence::Assumed,
            source: "no source; taken for a replacement",
            ..row("spec.image", "properties.properties.virtualMachineImage.id", Change::Replace, AzureDefault::Nothing)
        },
        Field {
            compare: Compare::IgnoreCase,
            ..row("spec.subnetId", "properties.properties.subnet.id", Change::Replace, AzureDefault::Nothing)
        },
        row("spec.nodePublicIp", "properties.properties.enableNodePublicIp", Change::Replace, value("true", "true")),
        Field {
            evidence: Evidence::Assumed,
            source: "no source; taken for a replacement",
            ..row(
                "spec.isolatedNetwork",
                "properties.properties.isolatedNetwork",
                Change::Replace,
                value("false", "false"),
            )
        },
        Field {
            compare: Compare::IgnoreCase,
            source: SSH_DOCS,
            ..row(
                "spec.ssh.publicAccess",
                "properties.properties.remoteLoginPortPublicAccess",
                Change::Replace,
                value("\"NotSpecified\"", "NotSpecified"),
            )
        },
        Field {
            compare: Compare::Hash,
            source: SSH_DOCS,
            ..row(
                "spec.ssh.adminUserName",
                "properties.properties.userAccountCredentials.adminUserName",
                Change::Replace,
                AzureDefault::Nothing,
            )
        },
        Field {
            compare: Compare::Hash,
            source: SSH_DOCS,
            ..row(
                "spec.ssh.sshPublicKey",
                "properties.properties.userAccountCredentials.adminUserSshPublicKey",
                Change::Replace,
                AzureDefault::Nothing,
            )
        },
        Field {
            compare: Compare::Hash,
            source: SSH_DOCS,
            ..row(
                "spec.ssh.adminPasswordSecretRef",
                "properties.properties.userAccountCredentials.adminUserPassword",
                Change::Replace,
                AzureDefault::Nothing,
            )
        },
        Field {
            convert: Convert::Identity,
            compare: Compare::Identity,
            source: "az ml compute update; Terraform azurerm since pull request 26404",
            ..row("spec.identity", "identity", Change::Put, value("{\"type\":\"None\"}", "None"))
        },
        Field {
            convert: Convert::Not,
            evidence: Evidence::Assumed,
            ..row("spec.localAuth", "properties.disableLocalAuth", Change::Replace, value("false", "true"))
        },
        Field {
            evidence: Evidence::Assumed,
            ..row("spec.description", "properties.description", Change::Replace, AzureDefault::Nothing)
        },
        Field {
            compare: Compare::PerKey,
            source: "az ml compute update; Terraform azurerm since pull request 29878",
            ..row("spec.tags", "tags", Change::Put, AzureDefault::Nothing)
        },
        Field {
            evidence: Evidence::Assumed,
            source: "no source; taken for a replacement",
            ..row("spec.propertyBag", "properties.properties.propertyBag", Change::Replace, AzureDefault::Nothing)
        },
    ],
};

/// Reads what the engine needs from a cluster's spec.
///
/// # Errors
/// When the spec doesn't have the shape of a `ComputeCluster`.
pub fn decode(spec: &Value) -> Result<Common, serde_json::Error> {
    let spec = ComputeClusterSpec::deserialize(spec)?;
    let password = spec.ssh.and_then(|ssh| ssh.admin_password_secret_ref);
    let secrets = password
        .map(|reference| SecretUse {
            path: "spec.ssh.adminPasswordSecretRef",
            name: reference.name,
            key: reference.key,
        })
        .into_iter()
        .collect();
    Ok(Common { policies: spec.policies, secrets })
}

/// The part of a cluster's status that only clusters have.
pub fn project(spec: &Value, live: Option<&Value>) -> Value {
    let scale = |key| lookup(spec, &format!("scale.{key}")).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let effective_scale = scale("maxNodes").map(|max| EffectiveScale {
        min: scale("minNodes").unwrap_or(0),
        max,
        source: "spec.scale".to_owned(),
        until: None,
    });
    let properties = live.and_then(|live| lookup(live, "properties.properties"));
    let text = |path: &str| properties.and_then(|p| lookup(p, path)).and_then(Value::as_str).map(str::to_owned);
    let count = |path: &str| properties.and_then(|p| lookup(p, path)).and_then(Value::as_i64);
    let nodes = Nodes {
        current: count("currentNodeCount"),
        target: count("targetNodeCount"),
        idle: count("nodeStateCounts.idleNodeCount"),
        running: count("nodeStateCounts.runningNodeCount"),
        preparing: count("nodeStateCounts.preparingNodeCount"),
        leaving: count("nodeStateCounts.leavingNodeCount"),
        preempted: count("nodeStateCounts.preemptedNodeCount"),
        unusable: count("nodeStateCounts.unusableNodeCount"),
    };
    let status = ComputeClusterStatus {
        target: TargetStatus::default(),
        effective_scale,
        allocation: text("allocationState")
            .map(|state| Allocation { state, since: text("allocationStateTransitionTime") }),
        nodes: (nodes != Nodes::default()).then_some(nodes),
        identity_principal_id: live
            .and_then(|live| lookup(live, "identity.principalId"))
            .and_then(Value::as_str)
            .map(str::to_owned),
    };
    serde_json::to_value(status).unwrap_or(Value::Null)
}
