//! All that changes, as plain data that can be written to a file and read again.

mod agenda;
mod build;
mod instance;

pub use agenda::{Agenda, Event};
pub use instance::{Creator, Instance, InstanceState, LastOperation, Power, Progress, Trigger};

use crate::{
    dice::Dice,
    front::roles::RoleDefinition,
    world::{Lock, Policy, Principal, SubscriptionSpec},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything that requests and time change. Maps are keyed by lower-cased ARM id unless said otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Source of guids and chance.
    pub dice: Dice,
    /// Key of access tokens.
    pub token_key: String,
    /// Key of operation URLs.
    pub operation_key: String,
    /// The certificate that every operation URL carries.
    pub operation_certificate: String,
    /// By guid.
    pub subscriptions: BTreeMap<String, SubscriptionSpec>,
    /// Resource groups.
    pub groups: BTreeMap<String, Group>,
    /// Workspaces.
    pub workspaces: BTreeMap<String, Workspace>,
    /// Soft-deleted workspaces and when they were deleted.
    pub buried: BTreeMap<String, Timestamp>,
    /// Clusters and instances.
    pub computes: BTreeMap<String, Compute>,
    /// Detached clusters: their size.
    pub hidden: BTreeMap<String, String>,
    /// Jobs.
    pub jobs: BTreeMap<String, Job>,
    /// What lists still show of things deleted.
    pub ghosts: BTreeMap<String, Ghost>,
    /// By guid.
    pub operations: BTreeMap<String, Operation>,
    /// By client id.
    pub principals: BTreeMap<String, Principal>,
    /// Custom roles by lower-cased name.
    pub roles: BTreeMap<String, RoleDefinition>,
    /// Locks.
    pub locks: Vec<Lock>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// By `{subscription}/{region}`.
    pub quotas: BTreeMap<String, Quota>,
    /// Caps of workspaces by workspace id, then lower-cased family.
    pub caps: BTreeMap<String, BTreeMap<String, i64>>,
    /// Sizes that a region no longer gives, as `{region}/{size}` in lower case.
    #[serde(default)]
    pub retired: std::collections::BTreeSet<String>,
    /// Setup scripts that fail, by the instance's id: what they say.
    #[serde(default)]
    pub bad_scripts: BTreeMap<String, String>,
    /// What is going to happen.
    pub agenda: Agenda,
    /// Jobs submitted so far: their order in queues.
    pub submitted: u64,
    /// The last write that is in here, and both clocks then.
    pub mark: Mark,
}

/// A point in the order of writes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// Number of the write; 0 before the first.
    pub seq: u64,
    /// Real time.
    pub real: Timestamp,
    /// Virtual time.
    pub virt: Timestamp,
}

/// What every resource has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// ARM id in the writing of its creation.
    pub id: String,
    /// Differs from that of an earlier resource of the same id.
    pub uid: String,
    /// Envelope location.
    pub location: String,
    /// Client id of the creator.
    pub created_by: String,
    /// Virtual time.
    pub created: Timestamp,
    /// Client id of the last writer.
    pub modified_by: String,
    /// Virtual time.
    pub modified: Timestamp,
    /// What reads don't show yet.
    pub veil: Option<Veil>,
}

impl Meta {
    /// The name: the last segment of the id.
    pub fn name(&self) -> &str {
        crate::scope::leaf(&self.id)
    }

    /// `systemData`.
    pub fn system_data(&self) -> Value {
        json!({
            "createdBy": self.created_by, "createdByType": "Application",
            "createdAt": crate::clock::wire_time(self.created),
            "lastModifiedBy": self.modified_by, "lastModifiedByType": "Application",
            "lastModifiedAt": crate::clock::wire_time(self.modified),
        })
    }

    /// True while a GET answers 404 for something just created.
    pub fn unborn(&self, now: Timestamp) -> bool {
        self.veil.as_ref().is_some_and(|v| v.before.is_none() && now < v.gets_until)
    }

    /// What a list shows at `now` of a resource that really is `live`.
    pub fn listed(&self, now: Timestamp, live: impl FnOnce() -> Value) -> Option<Value> {
        match &self.veil {
            Some(veil) if now < veil.lists_until => veil.before.clone(),
            _ => Some(live()),
        }
    }
}

/// Read-after-write delay of one write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Veil {
    /// What lists show until then; nothing for a creation.
    pub before: Option<Value>,
    /// End for GETs of the resource.
    pub gets_until: Timestamp,
    /// End for lists.
    pub lists_until: Timestamp,
}

/// A deleted thing that lists still show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ghost {
    /// Virtual time.
    pub until: Timestamp,
    /// As last seen.
    pub body: Value,
}

/// Provisioning states.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Provisioning {
    /// First PUT, and (as Azure does) PUT over a cluster that exists.
    Creating,
    /// PATCH.
    Updating,
    /// DELETE.
    Deleting,
    /// At rest.
    Succeeded,
    /// At rest, with errors.
    Failed,
}

impl Provisioning {
    /// As on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// No operation is under way.
    pub fn at_rest(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A resource group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Common part.
    pub meta: Meta,
    /// Tags, or null.
    pub tags: Value,
    /// State.
    pub state: Provisioning,
}

/// A workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// Common part.
    pub meta: Meta,
    /// State.
    pub state: Provisioning,
    /// `workspaceId`: new at each creation.
    pub workspace_id: String,
    /// `{tags, identity, kind, sku, properties}` as written.
    pub body: Value,
    /// The operation under way.
    pub operation: Option<String>,
    /// Its managed network has been provisioned.
    #[serde(default)]
    pub network: Network,
}

/// How far a workspace's managed network is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub enum Network {
    /// Nothing is there yet.
    #[default]
    Inactive,
    /// It is there, without Spark.
    Active,
    /// It is there, with Spark.
    ActiveWithSpark,
}

/// A compute: a cluster (AmlCompute), or an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compute {
    /// Common part.
    pub meta: Meta,
    /// State.
    pub state: Provisioning,
    /// `provisioningErrors`, or null.
    pub errors: Value,
    /// `{tags, identity, properties}`: every writable field, defaults filled in.
    pub body: Value,
    /// The body before an update that isn't over.
    pub before: Option<Value>,
    /// Read-only fields set by hand under `/_sim/compute`.
    pub overrides: Value,
    /// It has Succeeded once, so it can have nodes.
    pub provisioned: bool,
    /// Its nodes; an instance has none of these.
    pub fleet: Fleet,
    /// The machine of an instance.
    #[serde(default)]
    pub instance: Option<Instance>,
    /// The operation under way.
    pub operation: Option<String>,
}

/// Types of computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeKind {
    /// AmlCompute.
    Cluster,
    /// ComputeInstance.
    Instance,
}

impl ComputeKind {
    /// `computeType`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Cluster => "AmlCompute",
            Self::Instance => "ComputeInstance",
        }
    }

    /// The one of a `computeType`, in any case.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Cluster, Self::Instance].into_iter().find(|kind| kind.text().eq_ignore_ascii_case(text))
    }
}

impl Compute {
    /// Its type.
    pub fn kind(&self) -> ComputeKind {
        if self.instance.is_some() { ComputeKind::Instance } else { ComputeKind::Cluster }
    }
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fleet {
    /// A resize is under way.
    pub resizing: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// `targetNodeCount`.
    pub target: i64,
    /// Nodes, wanted ones included.
    pub nodes: Vec<Node>,
    /// `properties.properties.errors`, or null.
    pub errors: Value,
    /// The next look that is already in the agenda.
    pub look_at: Option<Timestamp>,
    /// Nodes made so far.
    pub made: u64,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Number within the cluster, never reused.
    pub number: u64,
    /// What it does.
    pub state: NodeState,
    /// Since when.
    pub since: Timestamp,
    /// Key of the job that runs on it.
    pub job: Option<String>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum NodeState {
    /// Asked for, counted against quota, not assigned yet: not on the wire.
    Wanted,
    /// Assigned, starting.
    Preparing,
    /// Ready.
    Idle,
    /// Runs a job.
    Running,
    /// Being given back.
    Leaving,
    /// Lost.
    Preempted,
    /// Assigned, and of no use.
    Unusable,
}

/// A command job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Common part.
    pub meta: Meta,
    /// `properties` as written.
    pub body: Value,
    /// State.
    pub status: JobStatus,
    /// Key of its compute; empty when it has none (serverless).
    pub compute: String,
    /// Nodes it needs.
    pub instances: i64,
    /// How long it runs, virtual seconds.
    pub seconds: i64,
    /// How it is going to end.
    pub outcome: JobStatus,
    /// Its place in the queue.
    pub order: u64,
    /// Steps taken: an event for an earlier one is void.
    pub step: u64,
    /// Last start.
    pub started: Option<Timestamp>,
    /// End.
    pub ended: Option<Timestamp>,
}

/// States of a job.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum JobStatus {
    /// Just submitted.
    NotStarted,
    /// Waits for nodes.
    Queued,
    /// Runs.
    Running,
    /// Being canceled.
    CancelRequested,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by hand, by its time limit or with its cluster.
    Canceled,
}

impl JobStatus {
    /// As on the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotStarted => "NotStarted",
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::CancelRequested => "CancelRequested",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }

    /// Nothing more will happen.
    pub fn over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

/// A long-running operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// What it does to what.
    pub verb: Verb,
    /// Key of the resource.
    pub resource: String,
    /// Uid of the resource.
    pub uid: String,
    /// Subscription of its URL.
    pub subscription: String,
    /// Region of its URL.
    pub location: String,
    /// Virtual time.
    pub started: Timestamp,
    /// Virtual time; none while it runs.
    pub ended: Option<Timestamp>,
    /// State.
    pub status: OperationStatus,
    /// What is going to become of it.
    pub fate: Fate,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Verb {
    /// PUT of a compute, first or over.
    CreateCompute,
    /// PATCH of a compute.
    UpdateCompute,
    /// DELETE of a compute.
    DeleteCompute,
    /// DELETE of a compute with Detach.
    DetachCompute,
    /// Start, stop, restart or resize of an instance.
    Power(Power),
    /// PUT of a workspace.
    CreateWorkspace,
    /// Provisioning of a workspace's managed network, with Spark or without.
    ProvisionNetwork {
        /// With Spark.
        spark: bool,
    },
    /// DELETE of a workspace, leaving it soft-deleted where that applies.
    DeleteWorkspace,
    /// DELETE of a workspace with forceToPurge.
    PurgeWorkspace,
    /// DELETE of a resource group.
    DeleteGroup,
    /// Cancel of a job.
    CancelJob,
    /// DELETE of a job.
    DeleteJob,
}

/// State of an operation.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum OperationStatus {
    /// Not over.
    InProgress,
    /// Over, well.
    Succeeded,
    /// Over, badly.
    Failed {
        /// ARM error code.
        code: String,
        /// In words.
        message: String,
    },
    /// Overtaken by a delete.
    Canceled,
}

/// What is going to become of an operation; anything but `Normal` comes from an injected fault.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub enum Fate {
    /// As the physics have it.
    #[default]
    Normal,
    /// It fails.
    Fails {
        /// ARM error code.
        code: String,
        /// In words.
        message: String,
    },
    /// It stays InProgress.
    NeverEnds,
}

/// Quotas of a subscription in a region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quota {
    /// Dedicated cores by lower-cased family.
    pub families: BTreeMap<String, i64>,
    /// For families not listed.
    pub default_family: i64,
    /// Dedicated cores over all families.
    pub dedicated: Option<i64>,
    /// Low-priority cores.
    pub low_priority: i64,
    /// Computes.
    pub computes: i64,
}

impl Quota {
    /// Dedicated cores of a family (any case).
    pub fn family(&self, family: &str) -> i64 {
        self.families.get(&family.to_ascii_lowercase()).copied().unwrap_or(self.default_family)
    }
}
