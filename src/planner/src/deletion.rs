//! The plan for an object that is being deleted.

use azureml_api::common::{DeletionPolicy, ManagementPolicy};
use azureml_api::condition::Reason;
use azureml_api::status::Verb;

use crate::input::{Input, Observed};
use crate::operation::{Judgement, judge, provisioning_state};
use crate::ownership::{Ownership, ownership, written};
use crate::plan::{Action, Plan, Step};

/// Plans the deletion. The finalizer goes (`Action::Release`) only when the policies leave the resource alone, when it
/// was never created, when it isn't ours, or when it is proven gone.
pub fn plan(input: &Input<'_>) -> Plan {
    let touched = input.memory.operation.is_some() || input.memory.azure.is_some();
    if input.policies.management_policy == ManagementPolicy::Observe || !touched {
        return Plan::new(Action::Release, Vec::new());
    }
    if input.policies.deletion_protection {
        return Plan::refuse(
            Reason::DeletionProtected,
            "deletionProtection is true: set it to false to let the deletion go on",
        );
    }
    if input.policies.deletion_policy == DeletionPolicy::Orphan {
        return Plan::new(Action::Release, Vec::new());
    }
    let judgement = input.memory.operation.map(|operation| judge(input, operation, &[]));
    let mut plan = match &judgement {
        Some(Judgement::Ongoing(reason, message)) if !may_delete_now(input) => Plan::wait(*reason, message.clone()),
        Some(Judgement::DetailNeeded(reason, message)) if !may_delete_now(input) => {
            Plan::new(Action::Wait, vec![Step::WaitForDetail(*reason, message.clone())])
        }
        _ => without_operation(input),
    };
    plan.failure = judgement.as_ref().and_then(Judgement::failure);
    plan.judgement = judgement;
    plan
}

/// A creation or an update under way may be cut short by a delete once Azure shows the resource as ours; a delete is let
/// run. Nobody's or another's may be what was there before our write.
fn may_delete_now(input: &Input<'_>) -> bool {
    let Observed::Present { live, .. } = &input.observed else { return false };
    let deletes = input.memory.operation.is_some_and(|operation| operation.verb == Verb::Delete);
    !deletes && ownership(input.owner, input.id, written(input.memory), live) == Ownership::Ours
}

fn without_operation(input: &Input<'_>) -> Plan {
    match &input.observed {
        Observed::Gone => Plan::new(Action::Release, Vec::new()),
        Observed::Unknown => Plan::wait(Reason::Deleting, "Azure has not been looked at yet"),
        Observed::Absent => Plan::new(Action::Wait, vec![Step::ProveGone]),
        Observed::Present { live, .. } => {
            if ownership(input.owner, input.id, written(input.memory), live) != Ownership::Ours {
                return Plan::new(Action::Release, Vec::new());
            }
            if provisioning_state(live) == "Deleting" {
                return Plan::wait(Reason::Deleting, "Azure says Deleting");
            }
            let mut plan = Plan::new(Action::Delete, vec![Step::Delete]);
            plan.side_effects.push("jobs that run on it or wait for it end".to_owned());
            plan
        }
    }
}
