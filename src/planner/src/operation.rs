//! Whether a write that was begun has ended, and how.

use azureml_api::condition::Reason;
use azureml_api::fields::{Change, lookup};
use azureml_api::status::{AzureStatus, Operation, Phase, Verb};
use jiff::Timestamp;
use serde_json::Value;

use crate::diff::{FieldChange, Presence};
use crate::input::{Failure, Input, Observed, OperationDetail};
use crate::ownership::short_hash;

/// What has become of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// It is under way, or its effect may not be visible yet.
    Ongoing(Reason, String),
    /// Azure's list no longer tells; the operation's own URL has to be read.
    DetailNeeded(Reason, String),
    /// It took effect. The values that Azure doesn't keep, by path; those that Azure shows differently and that only a
    /// replacement could change aren't among them.
    Done {
        /// Path in the manifest and what Azure has, in words.
        not_honoured: Vec<(String, String)>,
    },
    /// Azure failed it.
    Failed(Failure),
    /// It never took effect: as if it had not been begun.
    Forgotten,
    /// Azure accepted it, nothing came of it, and Azure says no more.
    Lost,
}

/// States in which Azure is still at work.
pub fn is_transitional(live: &Value) -> bool {
    matches!(provisioning_state(live), "Creating" | "Updating" | "Deleting")
}

/// `properties.provisioningState`; a missing one counts as Succeeded (ARM's rule).
pub fn provisioning_state(live: &Value) -> &str {
    live.pointer("/properties/provisioningState").and_then(Value::as_str).unwrap_or("Succeeded")
}

/// Judges the write under way from what Azure shows. `changes` is what still differs from the manifest.
pub fn judge(input: &Input<'_>, operation: &Operation, changes: &[FieldChange]) -> Judgement {
    let young = is_young(input, operation);
    match (&input.observed, operation.verb) {
        (Observed::Unknown, _) => ongoing(operation, "Azure has not been seen since"),
        (Observed::Absent | Observed::Gone, Verb::Delete) => Judgement::Done { not_honoured: Vec::new() },
        (Observed::Absent | Observed::Gone, _) => absent(input, operation, young),
        (Observed::Present { live, .. }, Verb::Delete) => delete_still_there(input, operation, live, young),
        (Observed::Present { live, .. }, _) if is_transitional(live) => {
            ongoing(operation, &format!("Azure says {}", provisioning_state(live)))
        }
        (Observed::Present { live, failure }, _) => ended(input, operation, changes, live, failure.as_ref(), young),
    }
}

/// Whether Azure may still answer with data from before the write.
pub fn is_young(input: &Input<'_>, operation: &Operation) -> bool {
    let since = match operation.phase {
        Phase::Intended => operation.started_at.0.max(input.running_since),
        Phase::Running => operation.started_at.0,
    };
    let passed = u64::try_from(input.seen_at.as_second() - since.as_second()).unwrap_or(0);
    passed < input.consistency_window.as_secs()
}

/// Hash of what a manifest says in these paths.
pub fn written(manifest: &Value, fields: &[String]) -> String {
    let value = |path: &String| match path.split_once('[') {
        Some((row, key)) => lookup(manifest, row).and_then(|tags| tags.get(key.trim_end_matches(']'))),
        None => lookup(manifest, path),
    };
    let values: Vec<_> = fields.iter().map(|path| (path, value(path))).collect();
    short_hash(format!("{values:?}").as_bytes())
}

/// Whole seconds since the write was intended or, once Azure has accepted it, accepted.
pub fn age(operation: &Operation, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - operation.started_at.0.as_second()).unwrap_or(0)
}

fn reason(operation: &Operation) -> Reason {
    match (operation.phase, operation.verb) {
        (Phase::Intended, _) => Reason::Verifying,
        (Phase::Running, Verb::Create) => Reason::Creating,
        (Phase::Running, Verb::Delete) => Reason::Deleting,
        (Phase::Running, Verb::Put | Verb::Patch) => Reason::Updating,
    }
}

fn ongoing(operation: &Operation, note: &str) -> Judgement {
    Judgement::Ongoing(reason(operation), note.to_owned())
}

/// A create (or an update) whose resource isn't there.
fn absent(input: &Input<'_>, operation: &Operation, young: bool) -> Judgement {
    let unseen = "the resource is not in Azure's list yet";
    match (operation.phase, input.memory.detail) {
        _ if young => ongoing(operation, unseen),
        // Nothing came of it within the window in which Azure may answer with old data.
        (Phase::Intended, _) => Judgement::Forgotten,
        (Phase::Running, None) if operation.url.is_some() => {
            Judgement::DetailNeeded(reason(operation), unseen.to_owned())
        }
        (Phase::Running, Some(OperationDetail::Running)) => ongoing(operation, unseen),
        (Phase::Running, Some(OperationDetail::Failed(failure))) => Judgement::Failed(failure.clone()),
        (Phase::Running, Some(OperationDetail::Forbidden(why))) => Judgement::Failed(untold(why)),
        (Phase::Running, None | Some(OperationDetail::Succeeded | OperationDetail::NotAvailable)) => Judgement::Lost,
    }
}

/// Nothing came of it, and Azure keeps the reason to itself.
fn untold(why: &str) -> Failure {
    Failure {
        reason: Reason::OperationFailed,
        message: format!(
            "Azure accepted the write and nothing came of it; it is tried again by itself. The reason can't be read: {why}"
        ),
    }
}

fn delete_still_there(input: &Input<'_>, operation: &Operation, live: &Value, young: bool) -> Judgement {
    let still = format!("Azure still has it, {}", provisioning_state(live));
    match (operation.phase, input.memory.detail) {
        _ if provisioning_state(live) == "Deleting" || young => ongoing(operation, &still),
        (Phase::Intended, _) => Judgement::Forgotten,
        (Phase::Running, None) if operation.url.is_some() => Judgement::DetailNeeded(reason(operation), still),
        (Phase::Running, Some(OperationDetail::Running)) => ongoing(operation, &still),
        (Phase::Running, Some(OperationDetail::Failed(failure))) => Judgement::Failed(failure.clone()),
        (Phase::Running, Some(OperationDetail::Forbidden(why))) => Judgement::Failed(untold(why)),
        (Phase::Running, None | Some(OperationDetail::Succeeded | OperationDetail::NotAvailable)) => Judgement::Lost,
    }
}

/// Whether Azure shows another resource than the one whose creation it has accepted: old data of the one before it.
pub fn is_another(azure: Option<&AzureStatus>, live: &Value) -> bool {
    let accepted = azure.and_then(|azure| azure.created_on.as_deref());
    accepted.is_some() && accepted != live.pointer("/properties/createdOn").and_then(Value::as_str)
}

/// A create or an update whose resource is there in a terminal state.
fn ended(
    input: &Input<'_>,
    operation: &Operation,
    changes: &[FieldChange],
    live: &Value,
    failure: Option<&Failure>,
    young: bool,
) -> Judgement {
    if young && operation.verb == Verb::Create && is_another(input.memory.azure, live) {
        return ongoing(operation, "Azure still shows the one of before");
    }
    if let Some(failure) = failure {
        // Right after an update the list may still show the state from before it.
        return if young && operation.verb != Verb::Create {
            ongoing(operation, "waiting for Azure to show the change")
        } else {
            Judgement::Failed(failure.clone())
        };
    }
    let edited = operation.written.as_ref().is_some_and(|hash| *hash != written(input.manifest, &operation.fields));
    if young && edited && operation.verb != Verb::Create {
        // The manifest may say again what was there before the write: that Azure shows it says nothing.
        return ongoing(operation, "waiting for Azure to show the change before this one");
    }
    let open: Vec<&FieldChange> = changes.iter().filter(|change| operation.fields.contains(&change.path)).collect();
    if open.is_empty() {
        return Judgement::Done { not_honoured: Vec::new() };
    }
    if young {
        return ongoing(operation, "waiting for Azure to show the change");
    }
    if operation.phase == Phase::Intended {
        return Judgement::Forgotten;
    }
    match input.memory.detail {
        None if operation.url.is_some() => Judgement::DetailNeeded(
            reason(operation),
            format!("Azure says {} but has other values", provisioning_state(live)),
        ),
        Some(OperationDetail::Running) => ongoing(operation, "waiting for Azure to show the change"),
        Some(OperationDetail::Failed(failure)) => Judgement::Failed(failure.clone()),
        _ => Judgement::Done {
            not_honoured: open
                .iter()
                .filter(|change| change.change != Change::Replace || change.in_azure == Presence::NotShown)
                .map(|change| (change.path.clone(), change.from.clone()))
                .collect(),
        },
    }
}

impl Judgement {
    /// The failure that it stands for, if it does.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(failure) => Some(failure.clone()),
            Self::Lost => Some(Failure {
                reason: Reason::OperationFailed,
                message:
                    "Azure accepted the write, nothing came of it, and Azure doesn't say why: look at the activity \
                          log of the resource group. It is tried again by itself"
                        .to_owned(),
            }),
            Self::Ongoing(..) | Self::DetailNeeded(..) | Self::Done { .. } | Self::Forgotten => None,
        }
    }
}
