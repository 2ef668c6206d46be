//! Writes to the API server: finalizers and status. Each carries what it was decided on, so that a conflict aborts.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, ObjectMeta};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::watch::api;
use crate::index::Object;

/// Who writes, for field ownership.
pub const FIELD_MANAGER: &str = "azureml-operator";

/// How many edits in a row the outcome of a write to Azure outwaits.
const EDITS_OUTWAITED: u32 = 10;

/// Parameters of a whole write of ours.
pub fn post_as_us() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// Parameters of a patch of ours.
fn patch_as_us() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Puts our finalizer on an object. Returns the object as it is then.
///
/// # Errors
/// When the API server refuses, a conflict included.
pub async fn add_finalizer(ctx: &Context, object: &Object) -> Result<Arc<Object>, kube::Error> {
    let patch = finalizers_patch(&object.raw, |list| list.push(azureml_api::FINALIZER.to_owned()));
    let written = patch_metadata(ctx, object, &patch).await?;
    Ok(keep(ctx, object, written))
}

/// Takes our finalizer off an object. One that is gone already is fine.
///
/// # Errors
/// When the API server refuses, a conflict included.
pub async fn remove_finalizer(ctx: &Context, object: &Object) -> Result<(), kube::Error> {
    let patch = finalizers_patch(&object.raw, |list| list.retain(|name| name != azureml_api::FINALIZER));
    match patch_metadata(ctx, object, &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// A merge patch replaces the list, so it carries the resourceVersion that the list was read at.
fn finalizers_patch(object: &DynamicObject, change: impl FnOnce(&mut Vec<String>)) -> Value {
    let mut finalizers = object.finalizers().to_vec();
    change(&mut finalizers);
    json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version(), "uid": object.uid()}})
}

async fn patch_metadata(ctx: &Context, object: &Object, patch: &Value) -> Result<DynamicObject, kube::Error> {
    api(&ctx.client, &object.key).patch(&object.key.name, &patch_as_us(), &Patch::Merge(patch)).await
}

/// Writes the outcome of a write to Azure. It must not be lost to an edit of the manifest that came between the intent and
/// now: on a conflict the object is read again, and as long as nobody else has touched its status, it is written on that.
///
/// # Errors
/// As [`write_status`]; a conflict only if somebody else wrote the status, or the edits don't stop.
pub async fn write_outcome(ctx: &Context, object: &Arc<Object>, status: &Value) -> Result<Arc<Object>, kube::Error> {
    let mut on = object.clone();
    for _ in 0..EDITS_OUTWAITED {
        match write_status(ctx, &on, status).await {
            Err(kube::Error::Api(answer)) if answer.is_conflict() => {
                let now = api(&ctx.client, &object.key).get(&object.key.name).await?;
                let now = Arc::new(Object::new(object.key.kind, now));
                if now.status() != object.status() || now.raw.metadata.uid != object.raw.metadata.uid {
                    return Err(kube::Error::Api(answer));
                }
                on = now;
            }
            ended => return ended,
        }
    }
    write_status(ctx, &on, status).await
}

/// Writes an object's status, if it differs from what the API server has. Returns the object as it is then.
///
/// # Errors
/// When the API server refuses, a conflict included.
pub async fn write_status(ctx: &Context, object: &Arc<Object>, status: &Value) -> Result<Arc<Object>, kube::Error> {
    if object.status() == status {
        return Ok(object.clone());
    }
    let body = DynamicObject {
        types: object.raw.types.clone(),
        metadata: ObjectMeta {
            name: object.raw.metadata.name.clone(),
            namespace: object.raw.metadata.namespace.clone(),
            resource_version: object.raw.metadata.resource_version.clone(),
            uid: object.raw.metadata.uid.clone(),
            ..ObjectMeta::default()
        },
        data: json!({"status": status}),
    };
    let written = api(&ctx.client, &object.key).replace_status(&object.key.name, &post_as_us(), &body).await?;
    ctx.metrics.wrote_status(object.key.kind);
    Ok(keep(ctx, object, written))
}

/// Puts what the API server answered into the index, so that the next look doesn't start from older knowledge.
fn keep(ctx: &Context, object: &Object, written: DynamicObject) -> Arc<Object> {
    let written = Object::new(object.key.kind, written);
    ctx.index.refresh(written.clone());
    Arc::new(written)
}

/// Puts or takes the finalizer that holds a Secret while Workspaces need it.
///
/// # Errors
/// When the API server refuses.
pub async fn hold_secret(ctx: &Context, secret: &Secret, hold: bool) -> Result<(), kube::Error> {
    let held = secret.finalizers().iter().any(|name| name == azureml_api::SECRET_FINALIZER);
    let leaving = secret.metadata.deletion_timestamp.is_some();
    if held == hold || (hold && leaving) {
        return Ok(());
    }
    let mut finalizers = secret.finalizers().to_vec();
    finalizers.retain(|name| name != azureml_api::SECRET_FINALIZER);
    if hold {
        finalizers.push(azureml_api::SECRET_FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": secret.resource_version()}});
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &secret.namespace().unwrap_or_default());
    match api.patch_metadata(&secret.name_any(), &patch_as_us(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
