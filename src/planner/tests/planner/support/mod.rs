//! Builders that every test shares: a case is everything that a plan depends on, owned, with sensible beginnings.

pub mod azure;
pub mod samples;

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_api::OWNER_TAG;
use azureml_api::common::Policies;
use azureml_api::compute_cluster::TABLE;
use azureml_api::condition::Reason;
use azureml_api::fields::{Field, remove, set};
use azureml_api::status::{Applied, AzureStatus, Operation, Phase, Verb};
use azureml_planner::input::OperationDetail;
use azureml_planner::{Action, Body, Facts, Failure, Input, Lifecycle, Memory, Observed, Owner, Plan, Step, diff};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// The instant at which the tests plan, in seconds.
pub const NOW: i64 = 1_800_000_000;
/// How long Azure may answer with old data, in seconds.
pub const WINDOW: u64 = 60;
/// When Azure made the cluster.
pub const CREATED_ON: &str = "2026-11-01T10:00:00.0000000+00:00";
/// The cluster's owner tag.
pub const OWNER: &str = "prod/ComputeCluster/ml/gpu";

/// Everything that a plan depends on.
#[derive(Clone, Debug)]
pub struct Case {
    pub owner: Owner,
    pub id: String,
    pub lifecycle: Lifecycle,
    pub manifest: Value,
    pub hashes: BTreeMap<String, String>,
    pub observed: Observed,
    pub applied: Option<Applied>,
    pub azure: Option<AzureStatus>,
    pub operation: Option<Operation>,
    pub detail: Option<OperationDetail>,
    pub facts: Facts,
    pub policies: Policies,
    pub approved: Option<String>,
    pub take_over_from: Option<String>,
}

/// ARM id of a cluster of that name.
pub fn arm_id(name: &str) -> String {
    format!(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/computes/{name}"
    )
}

/// A new object, of which Azure has nothing yet.
pub fn new_object() -> Case {
    Case {
        owner: Owner {
            owner_id: "prod".into(),
            kind: "ComputeCluster".into(),
            namespace: "ml".into(),
            name: "gpu".into(),
            uid: "uid-1".into(),
            generation: 1,
        },
        id: arm_id("gpu"),
        lifecycle: Lifecycle::Wanted,
        manifest: json!({"spec": {"vmSize": "Standard_DS3_v2", "scale": {"maxNodes": 4}}}),
        hashes: BTreeMap::new(),
        observed: Observed::Absent,
        applied: None,
        azure: None,
        operation: None,
        detail: None,
        facts: Facts { workspace_location: Some("westeurope".into()), ..Facts::default() },
        policies: Policies::default(),
        approved: None,
        take_over_from: None,
    }
}

/// An object whose cluster is in Azure as the manifest says.
pub fn in_sync() -> Case {
    let mut case = new_object();
    case.observed = present(live());
    case.azure = Some(provisioned());
    case.remember_applied();
    case
}

/// The body of a GET of the cluster that [`new_object`] wants, with what only Azure writes.
pub fn live() -> Value {
    json!({
        "id": arm_id("gpu"), "name": "gpu", "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": "westeurope",
        "tags": {OWNER_TAG: OWNER, "azureml.dev-uid": "uid-1"},
        "identity": null,
        "systemData": {"createdBy": "somebody"},
        "properties": {
            "computeType": "AmlCompute",
            "computeLocation": "westeurope",
            "provisioningState": "Succeeded",
            "createdOn": CREATED_ON,
            "modifiedOn": CREATED_ON,
            "isAttachedCompute": false,
            "provisioningErrors": null,
            "provisioningWarnings": {},
            "resourceId": null,
            "description": null,
            "disableLocalAuth": false,
            "properties": {
                "vmSize": "STANDARD_DS3_V2",
                "vmPriority": "Dedicated",
                "osType": "Linux",
                "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"},
                "subnet": null,
                "virtualMachineImage": null,
                "isolatedNetwork": false,
                "enableNodePublicIp": true,
                "remoteLoginPortPublicAccess": "NotSpecified",
                "userAccountCredentials": null,
                "allocationState": "Steady",
                "allocationStateTransitionTime": CREATED_ON,
                "errors": null,
                "currentNodeCount": 0,
                "targetNodeCount": 0,
                "nodeStateCounts": {"idleNodeCount": 0, "runningNodeCount": 0}
            }
        }
    })
}

/// What the status holds of a cluster that has worked.
pub fn provisioned() -> AzureStatus {
    AzureStatus {
        id: arm_id("gpu"),
        created_on: Some(CREATED_ON.into()),
        provisioned_on: Some(at(NOW - 1_000)),
        ..AzureStatus::default()
    }
}

/// The resource, in good health.
pub fn present(live: Value) -> Observed {
    Observed::Present { live, failure: None }
}

/// The resource, failed.
pub fn failed(mut live: Value) -> Observed {
    set(&mut live, "properties.provisioningState", json!("Failed"));
    Observed::Present { live, failure: Some(failure()) }
}

/// A failure as Azure reports it.
pub fn failure() -> Failure {
    Failure { reason: Reason::QuotaExceeded, message: "ClusterMinNodesExceedCoreQuota".into() }
}

/// An instant, in seconds.
pub fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// A write that was intended `age` seconds ago and carries the fields.
pub fn write(verb: Verb, phase: Phase, age: i64, fields: &[&str]) -> Operation {
    Operation {
        written: None,
        verb,
        phase,
        url: (phase == Phase::Running).then(|| "https://management.azure.com/op?s=1".to_owned()),
        id: arm_id("gpu"),
        started_at: at(NOW - age),
        generation: 1,
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        hashes: BTreeMap::new(),
    }
}

impl Case {
    /// What the planner is asked.
    pub fn input(&self) -> Input<'_> {
        Input {
            owner: &self.owner,
            id: &self.id,
            table: &TABLE,
            lifecycle: self.lifecycle,
            manifest: &self.manifest,
            hashes: &self.hashes,
            observed: &self.observed,
            memory: Memory {
                applied: self.applied.as_ref(),
                azure: self.azure.as_ref(),
                operation: self.operation.as_ref(),
                detail: self.detail.as_ref(),
            },
            facts: &self.facts,
            policies: &self.policies,
            approved: self.approved.as_deref(),
            take_over_from: self.take_over_from.as_deref(),
            now: Timestamp::from_second(NOW).unwrap(),
            seen_at: Timestamp::from_second(NOW).unwrap(),
            running_since: Timestamp::UNIX_EPOCH,
            consistency_window: Duration::from_secs(WINDOW),
        }
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        azureml_planner::plan(&self.input())
    }

    /// This case, altered.
    pub fn with(mut self, alter: impl FnOnce(&mut Self)) -> Self {
        alter(&mut self);
        self
    }

    /// This case with a path of the manifest set, as a new generation.
    pub fn edit(self, path: &str, value: Value) -> Self {
        self.with(|case| {
            case.owner.generation += 1;
            case.set_manifest(path, value);
        })
    }

    /// This case with a path of the manifest left out, as a new generation.
    pub fn drop_field(self, path: &str) -> Self {
        self.with(|case| {
            case.owner.generation += 1;
            remove(&mut case.manifest, path);
            case.hashes.remove(path);
        })
    }

    /// This case with a path in Azure set by somebody else.
    pub fn drift(self, wire: &str, value: Value) -> Self {
        self.with(|case| set(case.live_mut(), wire, value))
    }

    /// Sets a path of the manifest, and the hash of a write-only one.
    pub fn set_manifest(&mut self, path: &str, value: Value) {
        if TABLE.field(path).is_some_and(Field::is_write_only) {
            self.hashes.insert(path.to_owned(), format!("k:hash of {value}"));
        }
        set(&mut self.manifest, path, value);
    }

    /// Remembers the manifest as written, as the operator does when a write has ended.
    pub fn remember_applied(&mut self) {
        let input = self.input();
        let (fields, tags) = (diff::managed(&input), diff::managed_tags(&input));
        self.applied = Some(Applied {
            generation: Some(self.owner.generation),
            manifest: Some(azureml_planner::approval::manifest_hash(&self.manifest)),
            fields,
            tags,
            hashes: self.hashes.clone(),
            ..Applied::default()
        });
    }

    /// What Azure has.
    pub fn live(&self) -> &Value {
        match &self.observed {
            Observed::Present { live, .. } => live,
            other => panic!("Azure has nothing: {other:?}"),
        }
    }

    /// What Azure has, to be changed.
    pub fn live_mut(&mut self) -> &mut Value {
        match &mut self.observed {
            Observed::Present { live, .. } => live,
            other => panic!("Azure has nothing: {other:?}"),
        }
    }
}

/// A plan in short: its action, its steps' kinds, and the reason where it waits or refuses.
pub fn brief(plan: &Plan) -> (Action, Vec<&'static str>, Option<Reason>) {
    let kinds = plan.steps.iter().map(|step| match step {
        Step::Create(_) => "create",
        Step::Put(_) => "put",
        Step::Patch(_) => "patch",
        Step::Delete => "delete",
        Step::Wait(..) => "wait",
        Step::WaitForDetail(..) => "detail",
        Step::ProveGone => "prove gone",
        Step::Refuse(..) => "refuse",
    });
    let reason = plan.steps.iter().find_map(|step| match step {
        Step::Wait(reason, _) | Step::WaitForDetail(reason, _) | Step::Refuse(reason, _) => Some(*reason),
        _ => None,
    });
    (plan.action, kinds.collect(), reason)
}

/// The words of the step that waits or refuses.
pub fn message(plan: &Plan) -> &str {
    plan.steps
        .iter()
        .find_map(|step| match step {
            Step::Wait(_, text) | Step::WaitForDetail(_, text) | Step::Refuse(_, text) => Some(text.as_str()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no message in {plan:?}"))
}

/// The bodies that a plan would send.
pub fn bodies(plan: &Plan) -> Vec<&Body> {
    plan.steps
        .iter()
        .filter_map(|step| match step {
            Step::Create(body) | Step::Put(body) | Step::Patch(body) => Some(body),
            _ => None,
        })
        .collect()
}

/// The only body that a plan would send.
pub fn body(plan: &Plan) -> &Value {
    match bodies(plan).as_slice() {
        [body] => &body.json,
        other => panic!("one body expected, not {other:?}"),
    }
}

/// The changes as path, from and to.
pub fn changes(plan: &Plan) -> Vec<(&str, &str, &str)> {
    plan.changes.iter().map(|change| (change.path.as_str(), change.from.as_str(), change.to.as_str())).collect()
}
