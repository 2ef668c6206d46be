//! Status of a target: what is remembered, what Azure says, what is planned.

use azureml_api::common::ManagementPolicy;
use azureml_api::condition::{merge, whole_second};
use azureml_api::fields::FieldTable;
use azureml_api::rules::fixed_values;
use azureml_api::status::{Applied, AzureStatus, TargetStatus};
use azureml_planner::approval::manifest_hash;
use azureml_planner::diff::{managed, managed_tags};
use azureml_planner::operation::Judgement;
use azureml_planner::plan::{Action, Plan};
use azureml_planner::{Input, Observed};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::failure;
use crate::report::conditions::{self, Situation};

/// Takes in how the write under way ended, if it did, and what that makes of what is remembered.
pub fn conclude(status: &mut TargetStatus, input: &Input<'_>, plan: &Plan) {
    match &plan.judgement {
        None | Some(Judgement::Ongoing(..) | Judgement::DetailNeeded(..)) => {}
        Some(Judgement::Failed(_) | Judgement::Lost | Judgement::Forgotten) => status.operation = None,
        Some(Judgement::Done { .. }) => {
            if let Some(operation) = status.operation.take() {
                let applied = status.applied.get_or_insert_default();
                applied.last_write = Some(operation.started_at);
                for path in &operation.fields {
                    remember(applied, path);
                }
                applied.hashes.extend(operation.hashes);
            }
        }
    }
    if matches!(plan.action, Action::None) && input.policies.management_policy == ManagementPolicy::Manage {
        settle(status, input, plan);
    }
}

/// Azure is as the manifest says: from here on, a difference is somebody else's doing.
fn settle(status: &mut TargetStatus, input: &Input<'_>, plan: &Plan) {
    let applied = status.applied.get_or_insert_default();
    let fields = managed(input);
    applied.generation = Some(input.owner.generation);
    applied.manifest = Some(manifest_hash(input.manifest));
    applied.hashes.retain(|path, _| fields.contains(path));
    applied.fields = fields;
    applied.tags = managed_tags(input);
    applied.not_honoured = plan.not_honoured.iter().map(|(path, _, has)| (path.clone(), has.clone())).collect();
}

fn remember(applied: &mut Applied, path: &str) {
    let (row, key) = match path.split_once('[') {
        Some((row, key)) => (row, Some(key.trim_end_matches(']'))),
        None => (path, None),
    };
    if !applied.fields.iter().any(|known| known == row) {
        applied.fields.push(row.to_owned());
    }
    if let Some(key) = key.filter(|key| !applied.tags.iter().any(|known| known == key)) {
        applied.tags.push(key.to_owned());
    }
}

/// What Azure says about a resource that is ours or observed.
pub fn azure(
    before: Option<&AzureStatus>,
    id: &str,
    workspace_id: Option<&str>,
    table: &FieldTable,
    live: &Value,
    now: Timestamp,
) -> AzureStatus {
    let text = |path: &str| live.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let created_on = text("/properties/createdOn");
    // Another creation time is another resource: it hasn't been seen provisioned yet.
    let same = before.filter(|before| before.created_on.is_none() || before.created_on == created_on);
    let state = text("/properties/provisioningState");
    let provisioned = state.as_deref() == Some("Succeeded");
    AzureStatus {
        id: id.to_owned(),
        workspace_id: workspace_id.map(str::to_owned).or_else(|| before.and_then(|before| before.workspace_id.clone())),
        provisioned_on: same
            .and_then(|before| before.provisioned_on.clone())
            .or_else(|| provisioned.then(|| whole_second(now))),
        origin: same.and_then(|before| before.origin),
        created_on,
        provisioning_state: state,
        errors: failure::errors(live).iter().take(16).map(error_line).collect(),
        fixed: fixed_values(table, live).into_iter().collect(),
    }
}

fn error_line(error: &azureml_arm::ArmError) -> String {
    format!("{}: {}", error.code, error.message).chars().take(500).collect()
}

/// The whole status as JSON: what all targets share, the conditions, and what only this kind has.
pub fn render(
    mut status: TargetStatus,
    situation: &Situation<'_>,
    generation: i64,
    projected: Value,
    now: Timestamp,
) -> Value {
    let generation = conditions::generation(situation, generation);
    status.observed_generation = Some(generation);
    status.conditions = merge(situation.previous, &conditions::conditions(situation), generation, now);
    let mut whole = serde_json::to_value(status).unwrap_or(Value::Null);
    if let (Value::Object(whole), Value::Object(projected)) = (&mut whole, projected) {
        whole.extend(projected);
    }
    whole
}

/// Whether what Azure shows is this object's to tell: its own, or observed.
pub fn shown<'a>(observed: &'a Observed, plan: Option<&Plan>) -> Option<&'a Value> {
    let Observed::Present { live, .. } = observed else { return None };
    let foreign = plan.is_some_and(|plan| {
        use azureml_api::condition::Reason;
        use azureml_planner::plan::Step;
        matches!(plan.steps.first(), Some(Step::Refuse(Reason::NotOwned | Reason::OwnedByAnother, _)))
    });
    (!foreign).then_some(live)
}
