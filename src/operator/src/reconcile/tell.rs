//! Report: the status as it is written, and events on transitions.

use azureml_api::condition::{ConditionType, Reason, Truth, Wanted, merge};
use azureml_api::fields::set;
use azureml_api::status::Verb;
use azureml_planner::Observed;
use azureml_planner::plan::{Action, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::look::{Look, Next};
use crate::context::Context;
use crate::failure::Problem;
use crate::index::Object;
use crate::kubernetes;
use crate::report::conditions::{Situation, change_words};
use crate::report::events::{Tone, publish};
use crate::report::status;

/// The status as it would be written now. `stale` says why what is known of Azure is too old, if it is.
pub fn render(look: &Look, problem: Option<&Problem>, stale: Option<&str>) -> Value {
    let plan = look.plan.as_ref();
    let mut told = look.status.clone();
    // What is being waited for is the plan of before.
    if let Some(plan) = plan.filter(|plan| plan.action != Action::Wait) {
        told.plan = plan.status();
    }
    let key = &look.object.key;
    let object = format!("{}/{} -n {}", look.kind.plural, key.name, key.namespace);
    let situation = Situation {
        object: &object,
        previous: &look.status.conditions,
        lifecycle: look.lifecycle(),
        plan,
        observed: &look.observed,
        problem,
        noun: look.kind.table.noun,
        stale,
    };
    let live = status::shown(&look.observed, plan);
    let mut projected = (look.kind.project)(look.object.spec(), live);
    if live.is_none() && matches!(look.observed, Observed::Unknown | Observed::Present { .. }) {
        keep_projection(look.object.status(), &mut projected);
    }
    status::render(told, &situation, look.owner.generation, projected, look.now.time)
}

/// While Azure isn't seen, what was shown last stays.
fn keep_projection(before: &Value, projected: &mut Value) {
    for member in ["allocation", "nodes", "identityPrincipalId"] {
        if let Some(value) = before.get(member) {
            set(projected, member, value.clone());
        }
    }
}

/// Tells of a write that Azure took.
pub(super) async fn write_accepted(ctx: &Context, look: &Look, verb: Verb, correlation: Option<&str>) {
    let Some(plan) = &look.plan else { return };
    let noun = look.kind.table.noun;
    let (tone, reason, note) = match verb {
        Verb::Create if plan.drift => (
            Tone::Warning,
            "DriftCorrected",
            format!("the {noun} was deleted in Azure by somebody else and is created again"),
        ),
        Verb::Create => (Tone::Normal, "Creating", format!("asked Azure to create the {noun} {}", look.id)),
        Verb::Put | Verb::Patch if plan.drift => (
            Tone::Warning,
            "DriftCorrected",
            format!("somebody else changed the {noun} in Azure; set back: {}", change_words(plan)),
        ),
        Verb::Put | Verb::Patch => (Tone::Normal, "Updating", change_words(plan)),
        Verb::Delete => (Tone::Normal, "Deleting", format!("asked Azure to delete the {noun} {}", look.id)),
    };
    // What Azure's activity log and its support know the request by.
    let note = correlation.map_or_else(|| note.clone(), |id| format!("{note:.900} (Azure correlation id {id})"));
    publish(ctx, &look.object, tone, reason, &format!("{verb:?}"), &note).await;
}

/// An event for each change of the Ready condition's reason that a person would want to hear of, for new drift that is
/// only reported, and for a plan that needs approval.
pub(super) async fn transitions(ctx: &Context, object: &Object, before: &[Condition], plan: Option<&Plan>) {
    let after = object.conditions();
    let find = |all: &[Condition], of: ConditionType| all.iter().find(|c| c.type_ == of.as_str()).cloned();
    let changed = |of: ConditionType| {
        let now = find(&after, of)?;
        let same = find(before, of).is_some_and(|old| old.reason == now.reason && old.status == now.status);
        (!same).then_some(now)
    };
    if let Some(ready) = changed(ConditionType::Ready) {
        let quiet = [Reason::Creating, Reason::Updating, Reason::Deleting, Reason::Pending, Reason::WaitingForAzure];
        if ready.status == Truth::True.as_str() {
            publish(ctx, object, Tone::Normal, "Ready", "Reconcile", &ready.message).await;
        } else if quiet.iter().all(|reason| reason.as_str() != ready.reason) {
            publish(ctx, object, Tone::Warning, &ready.reason, "Reconcile", &ready.message).await;
        }
    }
    if let Some(sync) = changed(ConditionType::InSync).filter(|sync| {
        let reported = plan.is_some_and(|plan| plan.action == Action::Report);
        reported || sync.reason == Reason::NotHonoured.as_str()
    }) {
        publish(ctx, object, Tone::Warning, &sync.reason, "Observe", &sync.message).await;
    }
    // Each plan is told once: another one has another hash.
    let before_approval = find(before, ConditionType::AwaitingApproval);
    let waiting = find(&after, ConditionType::AwaitingApproval)
        .filter(|now| before_approval.is_none_or(|old| old.message != now.message));
    if let Some(waiting) = waiting {
        publish(ctx, object, Tone::Normal, &waiting.reason, "Plan", &waiting.message).await;
    }
}

/// Tells of an object that doesn't have the shape of its kind. Nothing else of it is touched.
///
/// # Errors
/// When the API server refuses the status.
pub async fn undecodable(ctx: &Context, object: &std::sync::Arc<Object>, error: &str) -> Result<Next, kube::Error> {
    tracing::warn!(object = %object.key, error, "the object can't be decoded; others go on");
    let message = format!("the object isn't a valid {}: {error}: correct it and apply it again", object.key.kind);
    let one =
        |condition| Wanted { condition, truth: Truth::True, reason: Reason::Undecodable, message: message.clone() };
    let wanted = [Wanted { truth: Truth::False, ..one(ConditionType::Ready) }, one(ConditionType::Stalled)];
    let before = object.conditions();
    let merged = merge(&before, &wanted, object.generation(), Timestamp::now());
    let mut whole = object.status().clone();
    set(&mut whole, "conditions", serde_json::to_value(merged).unwrap_or(Value::Null));
    set(&mut whole, "observedGeneration", Value::from(object.generation()));
    let written = kubernetes::write_status(ctx, object, &whole).await?;
    transitions(ctx, &written, &before, None).await;
    Ok(Next::OnChange)
}
