//! What an operation's end does.

use super::{
    cluster,
    ctx::{Lists, Settings},
    instance::power,
    networks, physics, render,
};
use crate::{
    clock::later,
    front::roles,
    scope,
    state::{Fate, Ghost, JobStatus, Network, Operation, OperationStatus, Provisioning, State, Verb},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// End the operation `guid` at `at`.
pub fn settle(settings: &Settings, state: &mut State, guid: &str, at: Timestamp) {
    let Some(operation) = state.operations.get(guid).cloned() else { return };
    if operation.status != OperationStatus::InProgress {
        return;
    }
    let failure = match operation.fate.clone() {
        Fate::Fails { code, message } => Some(json!({"error": {
            "code": code, "message": message, "target": null, "details": [], "additionalInfo": [],
        }})),
        _ => None,
    };
    let failure = match operation.verb {
        Verb::CreateCompute | Verb::UpdateCompute => end_compute_write(settings, state, &operation, failure, at),
        Verb::DeleteCompute | Verb::DetachCompute => end_compute_delete(settings, state, &operation, failure, at),
        Verb::Power(_) => power::end(settings, state, guid, &operation, failure, at),
        Verb::CreateWorkspace => end_workspace_write(state, &operation, failure),
        Verb::DeleteWorkspace | Verb::PurgeWorkspace => end_workspace_delete(settings, state, &operation, failure, at),
        Verb::DeleteGroup => end_group_delete(settings, state, &operation, failure, at),
        Verb::ProvisionNetwork { spark } => {
            let wanted = if spark { Network::ActiveWithSpark } else { Network::Active };
            if failure.is_none() {
                networks::bring_up(state, &operation.resource, wanted);
            }
            failure
        }
        Verb::CancelJob => failure,
        Verb::DeleteJob => end_job_delete(settings, state, &operation, failure, at),
    };
    let status = match &failure {
        None => OperationStatus::Succeeded,
        Some(error) => OperationStatus::Failed {
            code: error["error"]["code"].as_str().unwrap_or_default().into(),
            message: error["error"]["message"].as_str().unwrap_or_default().into(),
        },
    };
    close(state, guid, status, at);
}

/// Mark an operation as over.
pub fn close(state: &mut State, guid: &str, status: OperationStatus, at: Timestamp) {
    if let Some(operation) = state.operations.get_mut(guid) {
        operation.status = status;
        operation.ended = Some(at);
    }
}

fn end_compute_write(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let id = &operation.resource;
    let compute = state.computes.get(id).filter(|c| c.meta.uid == operation.uid)?;
    if compute.instance.is_some() {
        return power::end_write(settings, state, operation, failure, at);
    }
    let shape = compute.shape();
    let failure = failure.or_else(|| cluster::unfit(settings, state, id, &shape));
    let compute = state.computes.get_mut(id)?;
    compute.operation = None;
    let before = compute.before.take();
    match &failure {
        None => {
            compute.state = Provisioning::Succeeded;
            compute.errors = Value::Null;
            compute.provisioned = true;
        }
        Some(error) => {
            compute.state = Provisioning::Failed;
            compute.errors = json!([error]);
            // An update that failed leaves the cluster as it was.
            if let Some(before) = before {
                compute.body = before;
            }
        }
    }
    if failure.is_none() {
        networks::bring_up(state, networks::workspace_of(id), Network::Active);
    }
    physics::look(settings, state, id, at);
    failure
}

fn end_compute_delete(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let compute = state.computes.get_mut(&operation.resource).filter(|c| c.meta.uid == operation.uid)?;
    if let Some(error) = &failure {
        compute.state = Provisioning::Failed;
        compute.errors = json!([error]);
        compute.operation = None;
        if compute.instance.is_some() {
            power::stay(settings, state, &operation.resource, at);
        }
        return failure;
    }
    if operation.verb == Verb::DetachCompute {
        let size = compute.shape().size;
        state.hidden.insert(operation.resource.clone(), size);
    }
    remove_compute(settings, state, &operation.resource, at);
    None
}

/// Take a compute away; lists go on showing it for their delay.
pub fn remove_compute(settings: &Settings, state: &mut State, id: &str, at: Timestamp) {
    physics::dissolve(settings, state, id, at);
    if let Some(compute) = state.computes.remove(id) {
        roles::forget_assignments(state, id);
        let lists = settings.options.lists;
        let listed = compute.meta.listed(at, || render::compute(&compute, lists));
        haunt(settings, state, id, listed, at);
    }
}

fn haunt(settings: &Settings, state: &mut State, id: &str, listed: Option<Value>, at: Timestamp) {
    state.ghosts.retain(|_, ghost| ghost.until > at);
    let delay = settings.list_delay();
    if let Some(body) = listed.filter(|_| !delay.is_zero()) {
        state.ghosts.insert(id.into(), Ghost { until: later(at, delay), body });
    }
}

fn end_workspace_write(state: &mut State, operation: &Operation, failure: Option<Value>) -> Option<Value> {
    let workspace = state.workspaces.get_mut(&operation.resource).filter(|w| w.meta.uid == operation.uid)?;
    workspace.operation = None;
    workspace.state = if failure.is_some() { Provisioning::Failed } else { Provisioning::Succeeded };
    if failure.is_none() && workspace.body["properties"]["provisionNetworkNow"] == true {
        networks::bring_up(state, &operation.resource, Network::Active);
    }
    failure
}

fn end_workspace_delete(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let id = &operation.resource;
    let workspace = state.workspaces.get_mut(id).filter(|w| w.meta.uid == operation.uid)?;
    if failure.is_some() {
        workspace.operation = None;
        workspace.state = Provisioning::Failed;
        return failure;
    }
    remove_workspace(settings, state, id, operation.verb == Verb::DeleteWorkspace, at);
    None
}

/// Take a workspace away with its computes and jobs, leaving it soft-deleted if it may be and has a system identity.
pub fn remove_workspace(settings: &Settings, state: &mut State, id: &str, softly: bool, at: Timestamp) {
    let computes: Vec<String> = scope::under(&state.computes, id).map(|(k, _)| k.clone()).collect();
    for compute in computes {
        remove_compute(settings, state, &compute, at);
    }
    let prefix = format!("{id}/");
    state.jobs.retain(|key, _| !key.starts_with(&prefix));
    state.hidden.retain(|key, _| !key.starts_with(&prefix));
    state.caps.remove(id);
    let Some(workspace) = state.workspaces.remove(id) else { return };
    roles::forget_assignments(state, id);
    let kind = workspace.body["identity"]["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    if softly && kind.contains("systemassigned") {
        state.buried.insert(id.into(), at);
    }
    let listed = workspace.meta.listed(at, || render::workspace(&workspace, state));
    haunt(settings, state, id, listed, at);
}

fn end_group_delete(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let id = &operation.resource;
    let group = state.groups.get_mut(id).filter(|g| g.meta.uid == operation.uid)?;
    if failure.is_some() {
        group.state = Provisioning::Succeeded;
        return failure;
    }
    let workspaces: Vec<String> = scope::under(&state.workspaces, id).map(|(k, _)| k.clone()).collect();
    for workspace in workspaces {
        remove_workspace(settings, state, &workspace, true, at);
    }
    state.groups.remove(id);
    roles::forget_assignments(state, id);
    None
}

fn end_job_delete(
    settings: &Settings,
    state: &mut State,
    operation: &Operation,
    failure: Option<Value>,
    at: Timestamp,
) -> Option<Value> {
    let id = &operation.resource;
    let job = state.jobs.get(id).filter(|j| j.meta.uid == operation.uid)?;
    if failure.is_some() {
        return failure;
    }
    let compute = job.compute.clone();
    physics::end_job(state, id, JobStatus::Canceled, at);
    state.jobs.remove(id);
    physics::look(settings, state, &compute, at);
    None
}

/// What a list shows of a compute that is about to change.
pub fn before_write(compute: &crate::state::Compute, at: Timestamp) -> Option<Value> {
    compute.meta.listed(at, || render::compute(compute, Lists::Full))
}
