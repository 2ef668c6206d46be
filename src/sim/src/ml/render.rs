//! Resources as the service writes them.

use super::{ctx::Lists, instance};
use crate::{
    clock::wire_time,
    scope::{self, ML},
    state::{Compute, Group, Job, NodeState, State, Workspace},
};
use serde_json::{Value, json};

/// A compute.
pub fn compute(compute: &Compute, lists: Lists) -> Value {
    let body = &compute.body;
    let mut inner = body["properties"]["properties"].clone();
    hide_secrets(&mut inner);
    match &compute.instance {
        Some(machine) => instance::render::complete(compute, machine, &mut inner, lists),
        None if lists == Lists::Full => live_fields(compute, &mut inner),
        None => {}
    }
    let outer = &body["properties"];
    let mut out = json!({
        "id": compute.meta.id, "name": compute.meta.name(), "type": format!("{ML}/workspaces/computes"),
        "location": compute.meta.location, "tags": body["tags"], "identity": body["identity"], "sku": body["sku"],
        "systemData": compute.meta.system_data(),
        "properties": {
            "description": outer["description"],
            "computeType": compute.kind().text(),
            "computeLocation": outer["computeLocation"],
            "provisioningState": compute.state.text(),
            "provisioningErrors": compute.errors,
            "provisioningWarnings": {},
            "createdOn": wire_time(compute.meta.created),
            "modifiedOn": wire_time(compute.meta.modified),
            "resourceId": outer["resourceId"],
            "isAttachedCompute": false,
            "disableLocalAuth": outer["disableLocalAuth"],
            "properties": inner,
        },
    });
    merge(&mut out, &compute.overrides);
    out
}

fn hide_secrets(inner: &mut Value) {
    if inner["userAccountCredentials"].is_object() {
        for name in ["adminUserPassword", "adminUserSshPublicKey"] {
            inner["userAccountCredentials"][name] = Value::Null;
        }
    }
}

fn live_fields(compute: &Compute, inner: &mut Value) {
    let fleet = &compute.fleet;
    let count = |wanted: NodeState| fleet.nodes.iter().filter(|n| n.state == wanted).count();
    inner["allocationState"] = json!(if fleet.resizing { "Resizing" } else { "Steady" });
    inner["allocationStateTransitionTime"] = json!(wire_time(fleet.since));
    inner["errors"] = fleet.errors.clone();
    inner["currentNodeCount"] = json!(super::physics::assigned(fleet));
    inner["targetNodeCount"] = json!(fleet.target);
    // The service leaves the counts out before the first success and after a failure.
    if compute.provisioned && compute.state != crate::state::Provisioning::Failed {
        inner["nodeStateCounts"] = json!({
            "idleNodeCount": count(NodeState::Idle), "runningNodeCount": count(NodeState::Running),
            "preparingNodeCount": count(NodeState::Preparing), "unusableNodeCount": count(NodeState::Unusable),
            "leavingNodeCount": count(NodeState::Leaving), "preemptedNodeCount": count(NodeState::Preempted),
        });
    }
}

/// A workspace.
pub fn workspace(workspace: &Workspace, state: &State) -> Value {
    let (meta, body) = (&workspace.meta, &workspace.body);
    let sub = scope::subscription(&meta.id);
    let tenant = state.subscriptions.get(&sub.to_ascii_lowercase()).map(|s| s.tenant.clone()).unwrap_or_default();
    let mut properties = json!({
        "friendlyName": meta.name(), "description": "", "storageAccount": null, "keyVault": null,
        "applicationInsights": null, "containerRegistry": null, "hbiWorkspace": false, "imageBuildCompute": null,
        "publicNetworkAccess": "Enabled", "v1LegacyMode": false, "allowPublicAccessWhenBehindVnet": false,
    });
    merge(&mut properties, &body["properties"]);
    let read_only = json!({
        "provisioningState": workspace.state.text(),
        "workspaceId": workspace.workspace_id,
        "tenantId": tenant,
        "discoveryUrl": format!("https://{}.api.azureml.ms/discovery", meta.location),
        "mlFlowTrackingUri": format!("azureml://{}.api.azureml.ms/mlflow/v1.0{}", meta.location, meta.id),
        "notebookInfo": null, "privateEndpointConnections": [], "privateLinkCount": 0,
        "storageHnsEnabled": false, "serviceProvisionedResourceGroup": null,
    });
    merge(&mut properties, &read_only);
    properties["managedNetwork"] = super::networks::render(workspace);
    if let Some(members) = super::workspaces::members(state, workspace) {
        properties["associatedWorkspaces"] = members;
    }
    json!({
        "id": meta.id, "name": meta.name(), "type": format!("{ML}/workspaces"), "location": meta.location,
        "kind": body["kind"], "tags": body["tags"], "identity": body["identity"], "sku": body["sku"], "etag": null,
        "systemData": meta.system_data(), "properties": properties,
    })
}

/// A resource group.
pub fn group(group: &Group) -> Value {
    json!({
        "id": group.meta.id, "name": group.meta.name(), "type": "Microsoft.Resources/resourceGroups",
        "location": group.meta.location, "tags": group.tags, "properties": {"provisioningState": group.state.text()},
    })
}

/// A job.
pub fn job(job: &Job) -> Value {
    let mut properties = json!({
        "description": null, "tags": {}, "properties": {}, "displayName": job.meta.name(), "status": null,
        "experimentName": "Default", "services": {}, "computeId": null, "isArchived": false, "identity": null,
        "componentId": null, "notificationSetting": null, "jobType": "Command", "codeId": null,
        "environmentVariables": {}, "distribution": null, "inputs": {}, "outputs": {}, "limits": null,
        "parameters": {}, "queueSettings": null,
        "resources": {"instanceCount": 1, "instanceType": null, "properties": null},
    });
    merge(&mut properties, &job.body);
    properties["status"] = json!(job.status.text());
    for (name, at) in [("StartTimeUtc", job.started), ("EndTimeUtc", job.ended)] {
        if let Some(at) = at {
            properties["properties"][name] = json!(at.strftime("%Y-%m-%d %H:%M:%S").to_string());
        }
    }
    json!({
        "id": job.meta.id, "name": job.meta.name(), "type": format!("{ML}/workspaces/jobs"),
        "properties": properties, "systemData": job.meta.system_data(),
    })
}

/// Lay `patch` over `target`: objects by key, anything else replaced; a null in the patch changes nothing.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (target, patch) => *target = patch.clone(),
    }
}

/// The identity as it comes back: with ids that the service gave.
pub fn identity(given: &Value, tenant: &str, seed: &str) -> Value {
    let Some(kind) = given["type"].as_str() else { return Value::Null };
    let id = |what: &str| crate::dice::guid_for(&format!("{what}{seed}"));
    let mut out = json!({"type": kind});
    if kind.to_ascii_lowercase().contains("systemassigned") {
        out["principalId"] = json!(id("principal"));
        out["tenantId"] = json!(tenant);
    }
    if let Some(users) = given["userAssignedIdentities"].as_object() {
        let ids = |user: &String| json!({"principalId": crate::dice::guid_for(user), "clientId": id(user)});
        out["userAssignedIdentities"] = users.keys().map(|u| (u.clone(), ids(u))).collect();
    }
    out
}
