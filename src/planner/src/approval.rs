//! Approval: which plan it is, and whether it is to be carried out now.

use azureml_api::common::ApplyPolicy;
use serde_json::Value;

use crate::input::Input;
use crate::ownership::short_hash;
use crate::plan::{Action, Hold, Plan};

/// What an approval names: the same for the same plan, another for any other.
pub fn hash(input: &Input<'_>, plan: &Plan) -> String {
    // Making anew is approved once, for the deletion and for the creation after it.
    let action = if plan.creates() { Action::Create } else { plan.action };
    let mut text = format!("{action:?} {}", input.id.to_lowercase());
    for change in plan.changes.iter().filter(|_| !plan.creates()) {
        // Quoted, so that no value can be written to read like another change.
        text.push_str(&format!("\n{:?} {:?} -> {:?}", change.path, change.from, change.to));
    }
    if plan.drift {
        // Who approved a change hasn't approved its repair, should somebody else undo it; nor who approved one repair the
        // next.
        let last = input.memory.applied.and_then(|applied| applied.last_write.as_ref());
        text.push_str(&format!("\nagain after {:?}", last.map(|time| time.0)));
    }
    if plan.creates() {
        // A creation isn't told by its changes: the whole manifest is what is approved.
        text.push_str(&format!("\n{}", without_policies(input.manifest)));
        // And this one creation: not the next, should what it made be lost.
        text.push_str(&format!("\nafter {:?}", input.memory.azure.and_then(|azure| azure.created_on.as_deref())));
    }
    short_hash(text.as_bytes()).chars().take(16).collect()
}

/// Hash of what the manifest says of Azure.
pub fn manifest_hash(manifest: &Value) -> String {
    short_hash(without_policies(manifest).to_string().as_bytes())
}

fn without_policies(manifest: &Value) -> Value {
    let mut spec = manifest.get("spec").cloned().unwrap_or(Value::Null);
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|key, _| !key.ends_with("Policy") && key != "paused" && key != "deletionProtection");
    }
    spec
}

/// Why the plan isn't carried out now, if it isn't.
pub fn hold(input: &Input<'_>, plan: &Plan) -> Option<Hold> {
    if input.policies.paused {
        return Some(Hold::Paused);
    }
    let approved = input.approved == Some(plan.hash.as_str());
    (plan.writes() && input.policies.apply_policy == ApplyPolicy::Approved && !approved)
        .then_some(Hold::AwaitingApproval)
}
