//! The world file: what exists at the start, and how the simulated Azure behaves.

use crate::{clock::parse_duration, front::roles::RoleDefinition};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// A duration in the world file: `90s`, `1h30m` or `PT15M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapse(pub SignedDuration);

impl<'de> Deserialize<'de> for Lapse {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        parse_duration(&text).map(Lapse).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Lapse {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&crate::clock::iso_duration(self.0))
    }
}

/// Seconds, for defaults.
fn lapse(seconds: i64) -> Lapse {
    Lapse(SignedDuration::from_secs(seconds))
}

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Subscriptions; nothing else exists.
    pub subscriptions: Vec<SubscriptionSpec>,
    /// Regions with what they offer.
    pub regions: Vec<Region>,
    /// Resource groups at the start.
    pub resource_groups: Vec<GroupSpec>,
    /// Workspaces at the start, already Succeeded.
    pub workspaces: Vec<WorkspaceSpec>,
    /// Who may sign in, how, and with which roles.
    pub principals: Vec<Principal>,
    /// Custom roles at the start.
    pub role_definitions: Vec<RoleDefinition>,
    /// Locks at the start.
    pub locks: Vec<Lock>,
    /// Policies at the start.
    pub policies: Vec<Policy>,
    /// How long things take, in virtual time.
    pub timings: Timings,
    /// How late reads follow writes, in virtual time.
    pub consistency: Consistency,
    /// Sizes of the throttling buckets, in real time.
    pub throttle: Throttle,
    /// Tokens.
    pub tokens: Tokens,
    /// The managed-identity endpoints.
    pub managed_identity: ManagedIdentity,
    /// Low-priority nodes lost by chance.
    pub preemption: Preemption,
    /// Api-versions that Microsoft.MachineLearningServices offers, by resource type (`workspaces/computes`) or `*`; left
    /// out: all that azure-sim knows.
    pub api_versions: BTreeMap<String, Vec<String>>,
    /// Items on a page of a list.
    pub page_size: Option<usize>,
}

/// A subscription.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// Its guid.
    pub id: String,
    /// The guid of the tenant it trusts.
    pub tenant: String,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
}

/// A region: its sizes, and the quotas with which every subscription starts there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Region {
    /// `westeurope`.
    pub name: String,
    /// `West Europe`.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Sizes by name (from the built-in table) or written out. Left out: the whole built-in table.
    #[serde(default)]
    pub sizes: Option<Vec<SizeSpec>>,
    /// Dedicated cores by family; a family that isn't listed has `default_family_quota`.
    #[serde(default)]
    pub quotas: BTreeMap<String, i64>,
    /// Dedicated cores of families not listed in `quotas`.
    #[serde(default)]
    pub default_family_quota: i64,
    /// Dedicated cores over all families; left out: no such bound.
    #[serde(default)]
    pub dedicated_cores: Option<i64>,
    /// The one pool of low-priority cores.
    #[serde(default = "hundred")]
    pub low_priority_cores: i64,
    /// Computes a subscription may have here.
    #[serde(default = "five_hundred")]
    pub computes: i64,
}

fn hundred() -> i64 {
    100
}

fn five_hundred() -> i64 {
    500
}

/// A size by name or in full.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum SizeSpec {
    /// A name of the built-in table.
    Name(String),
    /// A size written out.
    Full(Size),
}

/// What a VM size is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Size {
    /// `Standard_DS3_v2`.
    pub name: String,
    /// `standardDSv2Family`.
    pub family: String,
    /// Cores of one node.
    pub vcpus: i64,
    /// Memory of one node, MiB.
    pub memory_mb: i64,
    /// Accelerators of one node.
    #[serde(default)]
    pub gpus: i64,
    /// May be taken at low priority.
    #[serde(default = "yes")]
    pub low_priority: bool,
    /// May be a cluster. A size can be listed and yet refused.
    #[serde(default = "yes")]
    pub clusters: bool,
    /// Price of a Linux node an hour in USD; without one the listing says null.
    #[serde(default)]
    pub price_per_hour: Option<f64>,
    /// The same at low priority; without one the listing has none.
    #[serde(default)]
    pub low_price_per_hour: Option<f64>,
}

fn yes() -> bool {
    true
}

/// A resource group at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSpec {
    /// Its subscription.
    pub subscription: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub location: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A workspace at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkspaceSpec {
    /// Its subscription.
    pub subscription: String,
    /// Its resource group.
    pub resource_group: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub location: String,
    /// Its kind.
    #[serde(default)]
    pub kind: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// `properties` of its PUT body, as Azure names them.
    #[serde(default)]
    pub properties: Value,
    /// Envelope `identity`; left out: system assigned.
    #[serde(default)]
    pub identity: Option<Value>,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// Application (client) id.
    pub client_id: String,
    /// Tenant.
    pub tenant: String,
    /// Object id; left out: derived from the client id.
    #[serde(default)]
    pub object_id: Option<String>,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Client secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// The secret has expired.
    #[serde(default)]
    pub secret_expired: bool,
    /// Certificates that are registered on the application.
    #[serde(default)]
    pub certificates: Vec<RegisteredCertificate>,
    /// May not sign in at all.
    #[serde(default)]
    pub disabled: bool,
    /// Federated credentials.
    #[serde(default)]
    pub federated: Vec<Federated>,
    /// Served by the managed-identity endpoints.
    #[serde(default)]
    pub managed: Option<Managed>,
    /// Role assignments.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Tokens issued before this real time no longer count. Set by `/_sim/principals`.
    #[serde(default)]
    pub revoked_before: Option<jiff::Timestamp>,
}

impl Principal {
    /// The object id, declared or derived.
    pub fn object(&self) -> String {
        self.object_id.clone().unwrap_or_else(|| crate::dice::guid_for(&self.client_id))
    }
}

/// A certificate with which a principal may sign assertions.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisteredCertificate {
    /// The certificate, without its key.
    pub pem: String,
    /// When the registration ends, in real time; left out: never. The certificate's own end isn't read.
    #[serde(default)]
    pub end: Option<jiff::Timestamp>,
}

/// A federated credential: whose tokens are believed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Federated {
    /// Exact `iss`.
    pub issuer: String,
    /// Exact `sub`.
    pub subject: String,
    /// `aud`; default `api://AzureADTokenExchange`.
    #[serde(default)]
    pub audience: Option<String>,
    /// The issuer's keys (a JWKS document). Without them only the claims are checked.
    #[serde(default)]
    pub jwks: Option<Value>,
}

/// How a principal appears at the managed-identity endpoints.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Managed {
    /// ARM id of a user-assigned identity.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// The one meant when a request names none.
    #[serde(default)]
    pub default: bool,
}

/// A role at a scope: a built-in name, or actions of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// ARM id; `/` for everywhere.
    pub scope: String,
    /// A built-in role, or one of `roleDefinitions`.
    #[serde(default)]
    pub role: Option<String>,
    /// Actions with `*`.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Taken off the actions.
    #[serde(default)]
    pub not_actions: Vec<String>,
}

/// A management lock.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The ARM id that it holds, with all below.
    pub scope: String,
    /// What it forbids.
    pub level: LockLevel,
}

/// What a lock forbids.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum LockLevel {
    /// Deletes.
    CanNotDelete,
    /// Deletes, writes and actions.
    ReadOnly,
}

/// A policy assignment with its rule.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Name of the assignment.
    pub name: String,
    /// Where it applies; `/` for everywhere.
    #[serde(default = "everywhere")]
    pub scope: String,
    /// Type it applies to, like `Microsoft.MachineLearningServices/workspaces/computes`; left out: every type.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// All must hold.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// What it does.
    pub effect: Effect,
    /// For append and modify: dotted path to value. Append leaves what is there, modify overwrites it.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
}

fn everywhere() -> String {
    "/".into()
}

/// What a policy does.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Refuse the write.
    Deny,
    /// Add what is missing.
    Append,
    /// Overwrite.
    Modify,
}

/// One condition on the body of a write.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// Dotted path in the body.
    pub field: String,
    /// Equal, texts without case.
    #[serde(default)]
    pub equals: Option<Value>,
    /// One of these, texts without case.
    #[serde(default, rename = "in")]
    pub one_of: Option<Vec<Value>>,
    /// None of these, texts without case.
    #[serde(default)]
    pub not_in: Option<Vec<Value>>,
    /// Present and not null, or the contrary.
    #[serde(default)]
    pub exists: Option<bool>,
}

/// How long things take, in virtual time.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timings {
    /// From PUT of a cluster to its end.
    pub cluster_create: Lapse,
    /// From PATCH, or PUT over one that exists.
    pub cluster_update: Lapse,
    /// From DELETE to gone.
    pub cluster_delete: Lapse,
    /// From PUT of an instance to its machine.
    pub instance_create: Lapse,
    /// How long a setup script of an instance runs.
    pub instance_setup: Lapse,
    /// From start of an instance to its machine.
    pub instance_start: Lapse,
    /// From stop of an instance to Stopped.
    pub instance_stop: Lapse,
    /// From restart of an instance to its machine.
    pub instance_restart: Lapse,
    /// From resize of an instance to its end.
    pub instance_resize: Lapse,
    /// From wanting nodes to having them assigned.
    pub resize: Lapse,
    /// From assigned to idle (`preparing`).
    pub node_start: Lapse,
    /// From `leaving` to gone.
    pub node_leave: Lapse,
    /// How long a lost node is shown as `preempted`.
    pub preempted: Lapse,
    /// Between attempts to get nodes for which there was no quota.
    pub quota_retry: Lapse,
    /// From PUT of a job to Queued.
    pub job_start: Lapse,
    /// How long a job runs that doesn't say.
    pub job_run: Lapse,
    /// From cancel of a running job to Canceled.
    pub job_cancel: Lapse,
    /// From provisionManagedNetwork to its end.
    pub network: Lapse,
    /// From PUT of a workspace to its end.
    pub workspace_create: Lapse,
    /// From DELETE of a workspace to gone.
    pub workspace_delete: Lapse,
    /// From DELETE of a resource group to gone.
    pub group_delete: Lapse,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            cluster_create: lapse(90),
            cluster_update: lapse(20),
            cluster_delete: lapse(60),
            instance_create: lapse(180),
            instance_setup: lapse(60),
            instance_start: lapse(120),
            instance_stop: lapse(60),
            instance_restart: lapse(120),
            instance_resize: lapse(180),
            resize: lapse(30),
            node_start: lapse(120),
            node_leave: lapse(30),
            preempted: lapse(60),
            quota_retry: lapse(60),
            job_start: lapse(5),
            job_run: lapse(60),
            job_cancel: lapse(10),
            network: lapse(120),
            workspace_create: lapse(60),
            workspace_delete: lapse(60),
            group_delete: lapse(90),
        }
    }
}

/// How late reads follow writes, in virtual time.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Consistency {
    /// How long a GET of something just created answers 404.
    pub read_after_write: Lapse,
    /// How long lists show the past after a write; left out: as long as `readAfterWrite`.
    pub lists: Option<Lapse>,
}

impl Default for Consistency {
    fn default() -> Self {
        Self { read_after_write: lapse(0), lists: None }
    }
}

/// Buckets of throttling, in real time. The defaults are ARM's published figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// GET and HEAD.
    pub reads: Bucket,
    /// PUT, PATCH and POST.
    pub writes: Bucket,
    /// DELETE.
    pub deletes: Bucket,
    /// The bucket over all principals of a subscription is this many times larger.
    pub global_factor: f64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            reads: Bucket { size: 250.0, per_second: 25.0 },
            writes: Bucket { size: 200.0, per_second: 10.0 },
            deletes: Bucket { size: 200.0, per_second: 10.0 },
            global_factor: 15.0,
        }
    }
}

/// One token bucket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// Tokens when full.
    pub size: f64,
    /// Tokens added a second.
    pub per_second: f64,
}

/// Tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tokens {
    /// How long one is good, in real time.
    pub lifetime: Lapse,
    /// Audiences that Azure Resource Manager accepts here.
    pub audiences: Vec<String>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            lifetime: lapse(3600),
            audiences: vec!["https://management.azure.com".into(), "https://management.core.windows.net".into()],
        }
    }
}

/// The managed-identity endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ManagedIdentity {
    /// What `X-IDENTITY-HEADER` must be at `/msi/token`; left out: anything.
    pub identity_header: Option<String>,
}

/// Low-priority nodes lost by chance.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Preemption {
    /// Mean losses of one node an hour, virtual time; 0 for none.
    pub per_node_hour: f64,
}

impl World {
    /// Read YAML or JSON (which is YAML too).
    ///
    /// # Errors
    /// What is wrong and where, in the parser's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_yaml_ng::from_str(text).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_world_parses() {
        let world = World::parse(include_str!("../worlds/demo.yaml")).unwrap();
        assert_eq!(world.subscriptions.len(), 1);
        assert!(world.regions.iter().any(|r| r.name == "westeurope"));
        assert!(World::parse("subscription: []").unwrap_err().contains("unknown field"));
    }
}
