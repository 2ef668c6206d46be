//! Report: the status as one write if it differs, and events on transitions.

use azureml_api::condition::{ConditionType, Reason, Truth, Wanted, merge};
use azureml_api::fields::set;
use azureml_api::status::Verb;
use azureml_planner::Observed;
use azureml_planner::plan::{Action, Plan, Step};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{Next, Target};
use crate::apply;
use crate::context::Context;
use crate::failure::Problem;
use crate::index::Object;
use crate::kubernetes;
use crate::report::conditions::{Situation, change_words};
use crate::report::events::{Tone, publish};
use crate::report::status;
use crate::resolve::workspace::Place;

/// Renders the status as it would be written now.
pub(super) fn render(
    target: &Target<'_>,
    plan: Option<&Plan>,
    observed: &Observed,
    problem: Option<&Problem>,
    place: Option<&Place>,
) -> Value {
    let mut told = target.status.clone();
    // What is being waited for is the plan of before.
    if let Some(plan) = plan.filter(|plan| plan.action != Action::Wait) {
        told.plan = plan.status();
    }
    let stale = place.and_then(|place| place.source.staleness());
    let key = target.key();
    let object = format!("{}/{} -n {}", target.kind.plural, key.name, key.namespace);
    let situation = Situation {
        object: &object,
        previous: &target.status.conditions,
        lifecycle: target.lifecycle(),
        plan,
        observed,
        problem,
        noun: target.kind.table.noun,
        stale: stale.as_deref(),
    };
    let live = status::shown(observed, plan);
    let mut projected = (target.kind.project)(target.object.spec(), live);
    if live.is_none() && matches!(observed, Observed::Unknown | Observed::Present { .. }) {
        keep_projection(target.object.status(), &mut projected);
    }
    status::render(told, &situation, target.owner.generation, projected, target.now)
}

/// While Azure isn't seen, what was shown last stays.
fn keep_projection(before: &Value, projected: &mut Value) {
    for member in ["allocation", "nodes", "identityPrincipalId"] {
        if let Some(value) = before.get(member) {
            set(projected, member, value.clone());
        }
    }
}

impl Target<'_> {
    /// Report: writes the status if it differs, tells transitions as events, and says when to look again.
    pub(super) async fn report(
        self,
        plan: Option<&Plan>,
        observed: &Observed,
        problem: Option<Problem>,
        place: Option<&Place>,
        next: Next,
    ) -> Result<Next, kube::Error> {
        if let Some(place) = place {
            place.source.set_busy(&self.id, self.status.operation.is_some());
        }
        if plan.is_some_and(|plan| matches!(plan.action, Action::None | Action::Report)) && problem.is_none() {
            self.ctx.scratches.update(self.key(), |scratch| scratch.attempt = None);
        }
        let next_step = plan.and_then(|plan| plan.steps.first());
        if !matches!(next_step, Some(Step::Wait(Reason::WaitingForBudget, _))) {
            apply::leave_queues(&self.ctx.budget, self.key());
        }
        let whole = render(&self, plan, observed, problem.as_ref(), place);
        let before = self.status.conditions.clone();
        let written = kubernetes::write_outcome(self.ctx, &self.object, &whole).await?;
        tell_transitions(self.ctx, &written, &before, plan).await;
        Ok(next)
    }

    /// Tells of a write that Azure took.
    pub(super) async fn tell_of_write(&self, verb: Verb, plan: &Plan) {
        let noun = self.kind.table.noun;
        let (tone, reason, note) = match verb {
            Verb::Create if plan.drift => (
                Tone::Warning,
                "DriftCorrected",
                format!("the {noun} was deleted in Azure by somebody else and is created again"),
            ),
            Verb::Create => (Tone::Normal, "Creating", format!("asked Azure to create the {noun} {}", self.id)),
            Verb::Put | Verb::Patch if plan.drift => (
                Tone::Warning,
                "DriftCorrected",
                format!("somebody else changed the {noun} in Azure; set back: {}", change_words(plan)),
            ),
            Verb::Put | Verb::Patch => (Tone::Normal, "Updating", change_words(plan)),
            Verb::Delete => (Tone::Normal, "Deleting", format!("asked Azure to delete the {noun} {}", self.id)),
        };
        publish(self.ctx, &self.object, tone, reason, &format!("{verb:?}"), &note).await;
    }
}

/// An event for each change of the Ready condition's reason that a person would want to hear of, for new drift that is
/// only reported, and for a plan that needs approval.
async fn tell_transitions(ctx: &Context, object: &Object, before: &[Condition], plan: Option<&Plan>) {
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
    tell_transitions(ctx, &written, &before, None).await;
    Ok(Next::OnChange)
}
