//! The Workspace that an object refers to: there, willing, and connected to Azure.

use std::sync::Arc;

use azureml_api::condition::Reason;
use azureml_api::workspace::WorkspaceSpec;
use serde::Deserialize;

use crate::connections::Connection;
use crate::context::Context;
use crate::failure::Problem;
use crate::index::{Key, Object};
use crate::observe::source::Source;

/// What an object gets from its Workspace.
pub struct Place {
    /// Reads the workspace's computes, and holds the client.
    pub source: Arc<Source>,
    /// Path of the workspace in ARM.
    pub workspace_id: String,
}

/// Finds an object's Workspace. Whether it lets the object in doesn't matter to one that is being deleted: revoked access
/// stops writes, not deletion.
///
/// # Errors
/// What stands in the way, for conditions.
pub fn resolve(ctx: &Context, object: &Object) -> Result<Place, Problem> {
    let Some(key) = object.workspace() else {
        return Err(Problem::stalled(Reason::InvalidManifest, "spec.workspaceRef.name is missing"));
    };
    let name = format!("Workspace {}/{}", key.namespace, key.name);
    let Some(workspace) = ctx.index.get(&key) else {
        return Err(Problem::blocked(
            Reason::WorkspaceNotFound,
            format!("{name} doesn't exist: create it, or make this object anew with another workspaceRef"),
        ));
    };
    let spec = WorkspaceSpec::deserialize(workspace.spec())
        .map_err(|error| Problem::blocked(Reason::WorkspaceNotReady, format!("{name} can't be read: {error}")))?;
    if !object.is_deleting() {
        if !allows(ctx, &key, &spec, &object.key.namespace) {
            return Err(Problem::blocked(
                Reason::WorkspaceNotAllowed,
                format!("{name} doesn't let namespace {} refer to it: set its allowedNamespaces", object.key.namespace),
            ));
        }
        if workspace.is_deleting() && !object.has_finalizer() {
            return Err(Problem::blocked(Reason::WorkspaceNotReady, format!("{name} is being deleted")));
        }
    }
    match ctx.connections.get(&key) {
        Some(Connection::Open(source)) => Ok(Place { workspace_id: spec.arm_id(&key.name), source }),
        Some(Connection::Broken(problem)) => {
            Err(Problem { message: format!("{name}: {}", problem.message), ..problem })
        }
        None => Err(Problem::unseen(Reason::Pending, format!("{name} hasn't been looked at yet"))),
    }
}

fn allows(ctx: &Context, workspace: &Key, spec: &WorkspaceSpec, namespace: &str) -> bool {
    let rule = spec.allowed_namespaces.clone().unwrap_or_default();
    workspace.namespace == namespace || rule.admits(&ctx.index.namespace_labels(namespace))
}
