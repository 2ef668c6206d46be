//! The conditions of a Workspace: from what is seen of it in Azure, or stands in the way.

use azureml_api::condition::{ConditionType, Reason, Truth, Wanted};
use azureml_api::workspace::WorkspaceStatus;

use crate::failure::{Problem, ProblemKind};

/// Something is told late or less precisely for want of a right.
pub fn limited(message: &str) -> Wanted {
    one(ConditionType::Limited, Truth::True, Reason::Forbidden, message)
}

fn one(condition: ConditionType, truth: Truth, reason: Reason, message: &str) -> Wanted {
    Wanted { condition, truth, reason, message: message.to_owned() }
}

/// Azure has answered, and says this of the workspace.
pub fn of_state(state: Option<&str>) -> Vec<Wanted> {
    match state {
        None | Some("Succeeded" | "Updating") => vec![
            one(ConditionType::Ready, Truth::True, Reason::Available, "the workspace exists and can be read"),
            one(ConditionType::InSync, Truth::True, Reason::AsPlanned, "the workspace is only observed"),
        ],
        Some(state) => {
            let message = format!("Azure says {state} of the workspace");
            let failed = matches!(state, "Failed" | "Canceled");
            let reason = if failed { Reason::ProvisioningFailed } else { Reason::WaitingForAzure };
            vec![
                one(ConditionType::Ready, Truth::False, reason, &message),
                one(ConditionType::Reconciling, Truth::True, reason, &message),
                one(ConditionType::InSync, Truth::True, Reason::AsPlanned, "the workspace is only observed"),
            ]
        }
    }
}

/// Azure has not answered yet.
pub fn before_first(status: &WorkspaceStatus) -> Vec<Wanted> {
    if status.conditions.iter().any(|c| c.type_ == "Ready") {
        // After our restart: what was known stands until Azure has answered.
        return kept(status);
    }
    let message = "Azure has not been looked at yet";
    vec![
        one(ConditionType::Ready, Truth::Unknown, Reason::Pending, message),
        one(ConditionType::Reconciling, Truth::True, Reason::Pending, message),
    ]
}

fn kept(status: &WorkspaceStatus) -> Vec<Wanted> {
    let types = [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled, ConditionType::InSync];
    let old = |of: ConditionType| {
        let c = status.conditions.iter().find(|c| c.type_ == of.as_str())?;
        Some(one(of, Truth::parse(&c.status), Reason::parse(&c.reason)?, &c.message))
    };
    types.into_iter().filter_map(old).collect()
}

/// Something stands in the way of looking at it.
pub fn of_problem(problem: &Problem, status: &WorkspaceStatus) -> Vec<Wanted> {
    let Problem { kind, reason, message } = problem;
    let stuck = match kind {
        ProblemKind::Stalled => ConditionType::Stalled,
        ProblemKind::Blocked => ConditionType::Reconciling,
        ProblemKind::Unseen => {
            let mut wanted = kept(status);
            if wanted.iter().any(|w| w.condition == ConditionType::Ready && w.truth == Truth::Unknown) {
                // Azure has never answered: nothing was known that could stand.
                return unanswered(*reason, message);
            }
            wanted.retain(|w| w.condition != ConditionType::InSync);
            if wanted.is_empty() {
                return unanswered(*reason, message);
            }
            wanted.push(one(ConditionType::InSync, Truth::Unknown, Reason::ObservationStale, message));
            return wanted;
        }
    };
    vec![
        one(ConditionType::Ready, Truth::False, *reason, message),
        one(stuck, Truth::True, *reason, message),
        one(ConditionType::InSync, Truth::Unknown, Reason::Unobserved, "Azure can't be looked at"),
    ]
}

fn unanswered(reason: Reason, message: &str) -> Vec<Wanted> {
    vec![
        one(ConditionType::Ready, Truth::Unknown, reason, message),
        one(ConditionType::Reconciling, Truth::True, reason, message),
        one(ConditionType::InSync, Truth::Unknown, Reason::Unobserved, "Azure can't be looked at"),
    ]
}

/// It is being deleted, and others still need it.
pub fn in_use(message: &str) -> Vec<Wanted> {
    vec![
        one(ConditionType::Ready, Truth::False, Reason::InUse, message),
        one(ConditionType::Reconciling, Truth::True, Reason::InUse, message),
    ]
}
