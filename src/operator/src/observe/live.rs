//! Observe for one object: from the shared view, or by reads of its own right before a write or to prove it gone.

use std::time::Duration;

use azureml_api::ML_API_VERSION;
use azureml_api::condition::Reason;
use azureml_arm::{ArmClient, ArmError, Claim, ErrorKind, OperationKind, Permit, Priority, ResourceId};
use azureml_planner::Observed;
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::{self, Problem};
use crate::index::Key;
use crate::observe::source::View;

/// Longest wait for a turn to read.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// api-version of Microsoft.Resources for subscriptions.
const SUBSCRIPTIONS_API_VERSION: &str = "2022-12-01";

/// What the shared view says about a resource. A view counts only if its first page was asked for after the object's
/// last write, and while it isn't stale; nothing is known of what Azure lists but can't show.
pub fn from_view(view: &View, name: &str, last_write: Option<Instant>, interval: Duration) -> Observed {
    let fresh = view.started.is_some_and(|started| last_write.is_none_or(|write| started > write));
    let name = name.to_lowercase();
    if !fresh || view.is_stale(interval) || view.unread.contains_key(&name) {
        return Observed::Unknown;
    }
    let live = view.computes.as_ref().and_then(|all| all.get(&name));
    live.map_or(Observed::Absent, |live| present((**live).clone()))
}

/// A resource that is there.
pub fn present(live: Value) -> Observed {
    let failure = failure::of_live(&live);
    Observed::Present { live, failure }
}

/// A read of the resource itself.
///
/// # Errors
/// Any failure but "not found", which is an answer.
pub async fn read(client: &ArmClient, id: &str, permit: Permit) -> Result<Observed, ArmError> {
    match client.resource(id, ML_API_VERSION, permit).await {
        Ok(response) => Ok(present(response.body)),
        Err(error) if is_absent(&error) => Ok(Observed::Absent),
        Err(error) => Err(error),
    }
}

/// Finds out whether what can't be seen is really gone: the resource is not found while its workspace answers, or the
/// workspace is not found by a credential that can read the subscription. The workspace's answer counts whether it is
/// the recorded one or another under its name: computes go with their workspace.
///
/// # Errors
/// When one of the reads fails in a way that proves nothing.
pub async fn prove_gone(client: &ArmClient, id: &ResourceId, key: &Key) -> Result<Observed, Problem> {
    let told = |error: ArmError| Problem::of_read(&error);
    let forbidden = match read(client, id.as_str(), admit(client, id, key).await?).await {
        Ok(Observed::Absent) => None,
        Ok(observed) => return Ok(observed),
        // A role that was given at the workspace itself went with it.
        Err(error) if matches!(error.kind, ErrorKind::Forbidden { .. }) => Some(error),
        Err(error) => return Err(told(error)),
    };
    let Some(workspace) = id.parent() else { return forbidden.map_or(Ok(Observed::Absent), |error| Err(told(error))) };
    match client.resource(workspace.as_str(), ML_API_VERSION, admit(client, id, key).await?).await {
        Ok(_) => return forbidden.map_or(Ok(Observed::Gone), |error| Err(told(error))),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(told(error)),
    }
    let subscription = format!("/subscriptions/{}", id.subscription());
    let permit = admit(client, id, key).await?;
    client.resource(&subscription, SUBSCRIPTIONS_API_VERSION, permit).await.map_err(told)?;
    Ok(Observed::Gone)
}

/// Whether Azure says in so many words that something isn't there.
pub fn is_absent(error: &ArmError) -> bool {
    error.status == Some(404)
        && matches!(error.kind, ErrorKind::NotFound | ErrorKind::ParentNotFound | ErrorKind::ResourceGroupNotFound)
}

/// A turn to read, if it comes soon: a worker isn't kept waiting while a bucket is dry.
///
/// # Errors
/// When it doesn't; the object is looked at again later.
pub async fn admit(client: &ArmClient, id: &ResourceId, key: &Key) -> Result<Permit, Problem> {
    let turn = client.budget().admit(read_claim(client, id, key));
    tokio::time::timeout(LONGEST_TURN, turn).await.map_err(|_| {
        Problem::unseen(Reason::WaitingForBudget, "reads wait their turn: Azure Resource Manager's request limits bind")
    })
}

/// A claim for one read.
pub fn read_claim(client: &ArmClient, id: &ResourceId, key: &Key) -> Claim {
    Claim {
        principal: client.principal_key().to_owned(),
        subscription: id.subscription().to_owned(),
        kind: OperationKind::Read,
        lane: id.parent().map(|workspace| workspace.key().to_owned()).unwrap_or_default(),
        key: format!("read {key}"),
        priority: Priority::Person,
        provider_scope: None,
    }
}
