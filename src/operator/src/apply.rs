//! Apply: carries out one step of a plan, at most one write to Azure.
//!
//! The intent is written to status with its resourceVersion before the write; a conflict aborts. So a kill at any instant
//! leaves either no intent, or an intent whose outcome is found out before anything is written again.

use std::collections::BTreeMap;
use std::time::Duration;

use azureml_api::condition::whole_second;
use azureml_api::fields::set;
use azureml_api::status::{Operation, Phase, Verb};
use azureml_api::{ML_API_VERSION, ML_PROVIDER};
use azureml_arm::{
    Admission, ArmClient, ArmError, Budget, Claim, OperationKind, Permit, Priority, ResourceId, Response, Sent,
    provider_scope,
};
use azureml_planner::diff::{self, managed, managed_tags};
use azureml_planner::plan::{Body, Plan, Step};
use azureml_planner::{Input, operation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::index::Key;
use crate::observe::live;

/// What an object waits for at the budget: its write, and the read right before it.
const WRITE: &str = "write";
const READ: &str = "read";

/// What came of a write.
#[derive(Debug)]
pub enum Outcome {
    /// Azure took it.
    Accepted(Response),
    /// Azure refused it, or it never left: it had no effect.
    Refused(ArmError),
    /// Whether it had an effect isn't known.
    Uncertain(ArmError),
}

/// The write that a step stands for, and whether it is a delete for the budget.
pub fn verb(step: &Step) -> Option<Verb> {
    match step {
        Step::Create(_) => Some(Verb::Create),
        Step::Put(_) => Some(Verb::Put),
        Step::Patch(_) => Some(Verb::Patch),
        Step::Delete => Some(Verb::Delete),
        Step::Wait(..) | Step::WaitForDetail(..) | Step::ProveGone | Step::Refuse(..) => None,
    }
}

/// Asks for the turn to write. `None` with the wait where it isn't there yet; the key is woken then.
pub fn admit(
    client: &ArmClient,
    id: &ResourceId,
    region: &str,
    key: &Key,
    verb: Verb,
    priority: Priority,
) -> Result<Permit, Duration> {
    let kind = if verb == Verb::Delete { OperationKind::Delete } else { OperationKind::Write };
    let claim = Claim { key: wake_key(key, WRITE), kind, ..claim(client, id, region, key, priority) };
    granted(client.budget().try_admit(&claim))
}

/// Asks for the turn to read the resource right before the write, as [`admit`] does for the write.
pub fn admit_read(
    client: &ArmClient,
    id: &ResourceId,
    region: &str,
    key: &Key,
    priority: Priority,
) -> Result<Permit, Duration> {
    let claim = Claim { key: wake_key(key, READ), ..claim(client, id, region, key, priority) };
    granted(client.budget().try_admit(&claim))
}

/// A claim for a read that the provider's limit binds, too.
fn claim(client: &ArmClient, id: &ResourceId, region: &str, key: &Key, priority: Priority) -> Claim {
    let provider_scope = Some(provider_scope(ML_PROVIDER, &diff::location(region)));
    Claim { priority, provider_scope, ..live::read_claim(client, id, key) }
}

/// Keeps the turn to write while the one to read isn't there yet.
pub fn keep_turn(client: &ArmClient, key: &Key, permit: Permit) {
    client.budget().keep(&wake_key(key, WRITE), permit);
}

/// An object that no longer wants to write leaves its places to others.
pub fn leave_queues(budget: &Budget, key: &Key) {
    budget.withdraw(&wake_key(key, WRITE));
    budget.withdraw(&wake_key(key, READ));
}

/// People's changes go before the repair of drift.
pub fn priority(plan: Option<&Plan>) -> Priority {
    if plan.is_some_and(|plan| plan.drift) { Priority::Background } else { Priority::Person }
}

fn granted(admission: Admission) -> Result<Permit, Duration> {
    match admission {
        Admission::Granted(permit) => Ok(permit),
        Admission::Queued { expected } => Err(expected),
    }
}

/// How the budget names an object that waits, and for what.
pub fn wake_key(key: &Key, what: &str) -> String {
    format!("{}\n{}\n{}\n{what}", key.kind, key.namespace, key.name)
}

/// The object of a budget's wake-up.
pub fn woken(text: &str) -> Option<Key> {
    let mut parts = text.split('\n');
    let kind = parts.next()?;
    let kind = azureml_api::registry::kind(kind)?.kind;
    Some(Key { kind, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
}

/// The operation that a step begins.
pub fn intent(input: &Input<'_>, plan: &Plan, verb: Verb, hashes: &BTreeMap<String, String>) -> Operation {
    let tags = || managed_tags(input).into_iter().map(|key| format!("spec.tags[{key}]"));
    let fields: Vec<String> = match verb {
        Verb::Create => managed(input).into_iter().filter(|path| path != "spec.tags").chain(tags()).collect(),
        Verb::Put | Verb::Patch => plan.changes.iter().map(|change| change.path.clone()).collect(),
        Verb::Delete => Vec::new(),
    };
    Operation {
        verb,
        phase: Phase::Intended,
        url: None,
        id: input.id.to_owned(),
        started_at: whole_second(input.now),
        generation: input.owner.generation,
        written: Some(operation::written(input.manifest, &fields)),
        fields,
        hashes: if matches!(verb, Verb::Create | Verb::Put) { hashes.clone() } else { BTreeMap::new() },
    }
}

/// Sends the write.
pub async fn send(
    client: &ArmClient,
    id: &str,
    step: &Step,
    secrets: &BTreeMap<&'static str, SecretString>,
    permit: Permit,
) -> Outcome {
    let result = match step {
        Step::Create(body) | Step::Put(body) => client.put(id, ML_API_VERSION, &filled(body, secrets), permit).await,
        Step::Patch(body) => client.patch(id, ML_API_VERSION, &filled(body, secrets), permit).await,
        Step::Delete => client.delete(id, ML_API_VERSION, &[("underlyingResourceAction", "Delete")], permit).await,
        Step::Wait(..) | Step::WaitForDetail(..) | Step::ProveGone | Step::Refuse(..) => {
            return Outcome::Accepted(nothing());
        }
    };
    match result {
        Ok(response) => Outcome::Accepted(response),
        Err(error) if error.sent == Sent::MaybeProcessed => Outcome::Uncertain(error),
        Err(error) => Outcome::Refused(error),
    }
}

fn nothing() -> Response {
    Response { status: 204, body: Value::Null, operation: None, retry_after: None, correlation_id: None }
}

/// The body with its secrets, for the wire only.
fn filled(body: &Body, secrets: &BTreeMap<&'static str, SecretString>) -> Value {
    let mut json = body.json.clone();
    for (path, wire) in &body.secrets {
        if let Some(secret) = secrets.get(path) {
            set(&mut json, wire, Value::from(secret.expose_secret()));
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_keys_round_trip() {
        let key = Key { kind: "ComputeCluster", namespace: "ml".into(), name: "gpu".into() };
        assert_eq!(woken(&wake_key(&key, "read")), Some(key));
        for text in ["", "Nonsense\na\nb", "ComputeCluster\na"] {
            assert_eq!(woken(text), None, "{text}");
        }
    }
}
