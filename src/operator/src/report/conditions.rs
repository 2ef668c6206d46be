//! The condition table of the design: from a situation to conditions.

use azureml_api::condition::{ConditionType, Reason, Truth, Wanted};
use azureml_planner::plan::{Action, Hold, Plan, Step};
use azureml_planner::{Lifecycle, Observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::failure::{Problem, ProblemKind};

/// What conditions are made from.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The conditions of before.
    pub previous: &'a [Condition],
    /// Whether the object is wanted.
    pub lifecycle: Lifecycle,
    /// The plan, where one could be made.
    pub plan: Option<&'a Plan>,
    /// What is known of Azure's side.
    pub observed: &'a Observed,
    /// What stands in the way.
    pub problem: Option<&'a Problem>,
    /// How the resource is called.
    pub noun: &'a str,
    /// How kubectl names the object (`computeclusters/gpu -n ml`).
    pub object: &'a str,
    /// Whether what is known of Azure is too old, and why.
    pub stale: Option<&'a str>,
}

/// The conditions, in the order in which they are shown.
pub fn conditions(situation: &Situation<'_>) -> Vec<Wanted> {
    let mut wanted = base(situation);
    if let Some(hold) = situation.plan.and_then(|plan| plan.hold).filter(|_| situation.problem.is_none()) {
        let (condition, reason, message) = hold_words(situation, hold);
        wanted.retain(|told| told.condition != condition);
        wanted.push(Wanted { condition, truth: Truth::True, reason, message });
    }
    wanted
}

/// The generation that the conditions speak of. While Azure isn't seen they stay as they were, for the manifest that they
/// were made for: nobody has compared a newer one yet.
pub fn generation(s: &Situation<'_>, current: i64) -> i64 {
    let unseen = match (s.problem, s.plan.and_then(|plan| plan.steps.first())) {
        (Some(problem), _) => problem.kind == ProblemKind::Unseen,
        (None, Some(Step::Wait(Reason::Pending, _))) => true,
        (None, _) => false,
    };
    let before = s.previous.iter().find(|c| c.type_ == "Ready").and_then(|c| c.observed_generation);
    before.filter(|_| unseen && s.lifecycle == Lifecycle::Wanted).unwrap_or(current)
}

fn base(s: &Situation<'_>) -> Vec<Wanted> {
    match (s.problem, s.plan) {
        (Some(problem), _) => problem_conditions(s, problem),
        (None, None) => vec![ready(Truth::Unknown, Reason::Pending, "Azure has not been looked at yet")],
        (None, Some(plan)) if plan.hold.is_some() && plan.action != Action::Wait => held(s, plan),
        (None, Some(plan)) => planned(s, plan),
    }
}

fn planned(s: &Situation<'_>, plan: &Plan) -> Vec<Wanted> {
    match plan.action {
        Action::None => at_rest(s, plan),
        Action::Report => drifted(s, plan),
        Action::Refuse => refused(s, plan),
        Action::Wait => match plan.steps.first() {
            Some(Step::Wait(Reason::Pending, message)) => as_before(s, Reason::Pending, message),
            Some(Step::Wait(reason, message) | Step::WaitForDetail(reason, message)) => working(s, *reason, message),
            _ => working(s, Reason::Deleting, "making sure that Azure has it no more"),
        },
        Action::Create => working(s, Reason::Creating, &format!("the {} is about to be created", s.noun)),
        Action::Update => working(s, Reason::Updating, &change_words(plan)),
        Action::Replace => working(s, Reason::Creating, &format!("the failed {} is about to be made anew", s.noun)),
        Action::Delete => working(s, Reason::Deleting, &format!("the {} is about to be deleted", s.noun)),
        Action::Release => working(s, Reason::Deleting, "nothing is left to do in Azure"),
    }
}

/// Everything is as the manifest says, but perhaps for what Azure doesn't keep.
fn at_rest(s: &Situation<'_>, plan: &Plan) -> Vec<Wanted> {
    let ready = match &plan.failure {
        Some(failure) => ready(Truth::False, failure.reason, &failure.message),
        None => ready(Truth::True, Reason::Available, &format!("the {} is provisioned", s.noun)),
    };
    let mut wanted = vec![ready];
    wanted.extend(stuck(plan));
    if plan.not_honoured.is_empty() {
        wanted.push(in_sync(Truth::True, Reason::AsPlanned, "Azure equals the manifest"));
        return wanted;
    }
    let told: Vec<String> = plan
        .not_honoured
        .iter()
        .map(|(path, wanted, has)| format!("{path}: the manifest says {wanted}, Azure keeps {has}"))
        .collect();
    let message = format!("Azure accepted the write and kept its own values: {}", told.join("; "));
    wanted.push(in_sync(Truth::False, Reason::NotHonoured, &message));
    wanted
}

/// A resource in a failed state that the policies leave alone waits for a person.
fn stuck(plan: &Plan) -> Option<Wanted> {
    let failure = plan.failure.as_ref()?;
    Some(Wanted {
        condition: ConditionType::Stalled,
        truth: Truth::True,
        reason: failure.reason,
        message: failure.message.clone(),
    })
}

fn drifted(s: &Situation<'_>, plan: &Plan) -> Vec<Wanted> {
    let ready = match &plan.failure {
        Some(failure) => ready(Truth::False, failure.reason, &failure.message),
        None => ready(Truth::True, Reason::Available, &format!("the {} is provisioned", s.noun)),
    };
    let mut wanted = vec![ready];
    wanted.extend(stuck(plan));
    wanted.push(in_sync(Truth::False, Reason::Drifted, &change_words(plan)));
    wanted
}

fn refused(s: &Situation<'_>, plan: &Plan) -> Vec<Wanted> {
    let (reason, message) = match plan.steps.first() {
        Some(Step::Refuse(reason, message)) => (*reason, message.as_str()),
        _ => (Reason::InvalidManifest, "the plan refuses without a reason"),
    };
    let mut wanted = vec![ready(Truth::False, reason, message)];
    wanted.push(Wanted { condition: ConditionType::Stalled, truth: Truth::True, reason, message: message.to_owned() });
    wanted.extend((s.lifecycle == Lifecycle::Wanted).then(|| in_sync(Truth::False, reason, message)));
    wanted
}

fn working(s: &Situation<'_>, reason: Reason, message: &str) -> Vec<Wanted> {
    // Before the first time that it is Ready, nobody can say that it isn't.
    let seen = s.previous.iter().any(|c| c.type_ == "Ready" && c.status != Truth::Unknown.as_str());
    let truth = if seen || matches!(s.observed, Observed::Present { .. }) { Truth::False } else { Truth::Unknown };
    let mut wanted = vec![ready(truth, reason, message), reconciling(reason, message)];
    wanted.extend((s.lifecycle == Lifecycle::Wanted).then(|| in_sync(Truth::False, reason, message)));
    wanted
}

/// Paused or not approved: Ready stays as it was, the rest is as seen.
fn held(s: &Situation<'_>, plan: &Plan) -> Vec<Wanted> {
    let mut wanted = match plan.action {
        Action::None | Action::Report | Action::Refuse => return planned(s, plan),
        _ => vec![previous_ready(s, "nothing was written to Azure yet")],
    };
    if s.lifecycle == Lifecycle::Wanted {
        let words = if plan.changes.is_empty() {
            format!("Azure differs: the plan is to {}", plan.steps.first().map(Step::words).unwrap_or_default())
        } else {
            change_words(plan)
        };
        let reason = if plan.drift { Reason::Drifted } else { hold_reason(plan.hold) };
        wanted.push(in_sync(Truth::False, reason, &words));
    }
    wanted
}

fn hold_reason(hold: Option<Hold>) -> Reason {
    match hold {
        Some(Hold::AwaitingApproval) => Reason::AwaitingApproval,
        Some(Hold::Paused) | None => Reason::Paused,
    }
}

fn hold_words(s: &Situation<'_>, hold: Hold) -> (ConditionType, Reason, String) {
    let hash = s.plan.map(|plan| plan.hash.as_str()).unwrap_or_default();
    match hold {
        Hold::Paused => (
            ConditionType::Paused,
            Reason::Paused,
            "spec.paused is true: nothing is written to Azure until it is false".to_owned(),
        ),
        Hold::AwaitingApproval => (
            ConditionType::AwaitingApproval,
            Reason::AwaitingApproval,
            format!(
                "read status.plan, then approve it: kubectl annotate {} azureml.dev/approve={hash} --overwrite",
                s.object
            ),
        ),
    }
}

fn problem_conditions(s: &Situation<'_>, problem: &Problem) -> Vec<Wanted> {
    let Problem { reason, message, .. } = problem;
    let wanted_lifecycle = s.lifecycle == Lifecycle::Wanted;
    match problem.kind {
        ProblemKind::Unseen => as_before(s, *reason, message),
        ProblemKind::Blocked => {
            let mut wanted = vec![ready(Truth::False, *reason, message), reconciling(*reason, message)];
            wanted.extend(wanted_lifecycle.then(|| sync_under_problem(s, *reason, message)));
            wanted
        }
        ProblemKind::Stalled => {
            let mut wanted = vec![ready(Truth::False, *reason, message)];
            wanted.push(Wanted {
                condition: ConditionType::Stalled,
                truth: Truth::True,
                reason: *reason,
                message: message.clone(),
            });
            wanted.extend(wanted_lifecycle.then(|| sync_under_problem(s, *reason, message)));
            wanted
        }
    }
}

fn sync_under_problem(s: &Situation<'_>, reason: Reason, message: &str) -> Wanted {
    match (s.stale, s.plan) {
        (None, Some(_)) => in_sync(Truth::False, reason, message),
        _ => in_sync(Truth::Unknown, Reason::Unobserved, "Azure can't be looked at: see the Ready condition"),
    }
}

/// Conditions that exist only while True, and that stand while Azure isn't seen.
const KEPT: [ConditionType; 4] =
    [ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Paused, ConditionType::AwaitingApproval];

/// Azure can't be seen: what was known stands, until it is too old.
fn as_before(s: &Situation<'_>, reason: Reason, message: &str) -> Vec<Wanted> {
    if s.lifecycle == Lifecycle::Deleted {
        return working(s, Reason::Deleting, message);
    }
    if s.stale.is_some() && never_compared(s.previous) {
        // Nothing was known that could stand: what is in the way is all that there is to say.
        return vec![
            ready(Truth::Unknown, reason, message),
            reconciling(reason, message),
            in_sync(Truth::Unknown, Reason::Unobserved, "Azure can't be looked at: see the Ready condition"),
        ];
    }
    let mut wanted = vec![previous_ready(s, message)];
    for kept in KEPT {
        let old = s.previous.iter().find(|c| c.type_ == kept.as_str());
        wanted.extend(old.map(|old| Wanted {
            condition: kept,
            truth: Truth::True,
            reason: reason_of(&old.reason),
            message: old.message.clone(),
        }));
    }
    let known = s.previous.iter().find(|c| c.type_ == "InSync");
    wanted.push(match (s.stale, known) {
        (Some(why), _) => in_sync(Truth::Unknown, Reason::ObservationStale, why),
        (None, Some(known)) => in_sync(Truth::parse(&known.status), reason_of(&known.reason), &known.message),
        (None, None) => in_sync(Truth::Unknown, Reason::Unobserved, message),
    });
    wanted
}

/// Whether nobody has compared the manifest with Azure yet.
fn never_compared(previous: &[Condition]) -> bool {
    let unknown = |condition: &str| {
        let told = previous.iter().find(|c| c.type_ == condition);
        told.is_none_or(|told| told.status == Truth::Unknown.as_str())
    };
    unknown("Ready") && unknown("InSync")
}

fn previous_ready(s: &Situation<'_>, message: &str) -> Wanted {
    match s.previous.iter().find(|c| c.type_ == "Ready") {
        Some(old) => ready(Truth::parse(&old.status), reason_of(&old.reason), &old.message),
        None => ready(Truth::Unknown, Reason::Pending, message),
    }
}

/// What differs, in one line.
pub fn change_words(plan: &Plan) -> String {
    if plan.changes.is_empty() {
        return "the resource is in a failed state and is written again".to_owned();
    }
    let told: Vec<String> =
        plan.changes.iter().take(5).map(|change| format!("{}: {} → {}", change.path, change.from, change.to)).collect();
    let more = plan.changes.len().saturating_sub(5);
    if more > 0 { format!("{} and {more} more", told.join(", ")) } else { told.join(", ") }
}

fn ready(truth: Truth, reason: Reason, message: &str) -> Wanted {
    Wanted { condition: ConditionType::Ready, truth, reason, message: message.to_owned() }
}

fn in_sync(truth: Truth, reason: Reason, message: &str) -> Wanted {
    Wanted { condition: ConditionType::InSync, truth, reason, message: message.to_owned() }
}

fn reconciling(reason: Reason, message: &str) -> Wanted {
    Wanted { condition: ConditionType::Reconciling, truth: Truth::True, reason, message: message.to_owned() }
}

/// A reason that an older release wrote and this one doesn't know is told as Pending.
fn reason_of(text: &str) -> Reason {
    Reason::parse(text).unwrap_or(Reason::Pending)
}
