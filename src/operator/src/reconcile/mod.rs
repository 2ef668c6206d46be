//! One look at an object that stands for a compute: resolve → observe → plan → apply → report.
//!
//! [`look`] decides, [`effects`] carries out, [`tell`] reports.

mod effects;
pub mod look;
pub mod tell;

use std::sync::Arc;
use std::time::Duration;

use azureml_api::registry::Kind;
use azureml_api::workspace::WorkspaceSpec;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

pub use self::look::Next;
use self::look::{Look, Moment, Rules};
pub use self::tell::undecodable;
use crate::context::Context;
use crate::index::Object;

/// How soon an object without a Workspace is looked at again, if nothing wakes it before.
const ALONE: Duration = Duration::from_secs(300);

/// Looks at one object.
///
/// # Errors
/// When the API server fails; the look is repeated later.
pub async fn target(ctx: &Arc<Context>, kind: &'static Kind, object: Arc<Object>) -> Result<Next, kube::Error> {
    if object.is_deleting() && !object.has_finalizer() {
        return Ok(Next::OnChange);
    }
    let rules = Rules {
        owner_id: ctx.owner_id.clone(),
        running_since: running_since(ctx, &object),
        consistency_window: ctx.settings.consistency_window,
        operation_overdue: ctx.settings.operation_overdue,
        retry: ctx.retry,
    };
    match Look::new(kind, object.clone(), rules, interval(ctx, &object), Moment::now()) {
        Ok(look) => {
            let attempt = ctx.scratches.get(&object.key).attempt;
            effects::run(ctx, Look { attempt, ..look }).await
        }
        Err(error) => tell::undecodable(ctx, &object, &error.to_string()).await,
    }
}

/// Since when nobody but this process works on an object.
fn running_since(ctx: &Context, object: &Object) -> Timestamp {
    let moved = object.workspace().and_then(|workspace| ctx.shard.since(&workspace));
    moved.map_or(ctx.leadership.since(), |moved| moved.max(ctx.leadership.since()))
}

/// The interval of the Workspace, connected or not.
fn interval(ctx: &Context, object: &Object) -> Duration {
    let workspace = object.workspace().and_then(|key| ctx.index.get(&key));
    let spec = workspace.and_then(|workspace| WorkspaceSpec::deserialize(workspace.spec()).ok());
    spec.map_or(ALONE, |spec| Duration::from_secs(spec.observe_interval_seconds()))
}
