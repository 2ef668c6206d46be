//! The rows of the condition table: situations, how their conditions stand, and what Argo CD makes of them.

use azureml_api::condition::Reason;
use azureml_api::fields::Change;
use azureml_operator::failure::Problem;
use azureml_operator::report::conditions::Situation;
use azureml_planner::diff::{FieldChange, Presence};
use azureml_planner::plan::{Hold, Step};
use azureml_planner::{Action, Failure, Lifecycle, Observed, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

/// Health, in Argo CD's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
}

/// A situation.
pub struct Row {
    pub name: &'static str,
    pub previous: Vec<Condition>,
    pub lifecycle: Lifecycle,
    pub plan: Option<Plan>,
    pub observed: Observed,
    pub problem: Option<Problem>,
    pub stale: Option<&'static str>,
    /// Its conditions, `Ready=True/Available …`, in the order in which they are shown.
    pub told: &'static str,
    pub health: Health,
}

impl Row {
    pub fn situation(&self) -> Situation<'_> {
        Situation {
            previous: &self.previous,
            lifecycle: self.lifecycle,
            plan: self.plan.as_ref(),
            observed: &self.observed,
            problem: self.problem.as_ref(),
            noun: "cluster",
            object: "computeclusters/gpu-train -n ml",
            stale: self.stale,
        }
    }

    fn before(self, previous: Vec<Condition>) -> Self {
        Row { previous, ..self }
    }

    fn without_azure(self, observed: Observed) -> Self {
        Row { observed, ..self }
    }
}

pub fn plan(action: Action, steps: Vec<Step>) -> Plan {
    Plan {
        action,
        steps,
        changes: Vec::new(),
        drift: false,
        side_effects: Vec::new(),
        not_honoured: Vec::new(),
        judgement: None,
        failure: None,
        hold: None,
        hash: "0123456789abcdef".to_owned(),
    }
}

pub fn wait(reason: Reason) -> Plan {
    plan(Action::Wait, vec![Step::Wait(reason, reason.cause().to_owned())])
}

pub fn refuse(reason: Reason) -> Plan {
    plan(Action::Refuse, vec![Step::Refuse(reason, reason.cause().to_owned())])
}

pub fn changing(action: Action) -> Plan {
    let change = FieldChange {
        path: "spec.scale.maxNodes".to_owned(),
        row: "spec.scale.maxNodes",
        from: "4".to_owned(),
        to: "8".to_owned(),
        change: Change::Put,
        in_azure: Presence::Shown,
    };
    Plan { changes: vec![change], ..plan(action, Vec::new()) }
}

pub fn held(hold: Hold, plan: Plan) -> Plan {
    Plan { hold: Some(hold), ..plan }
}

pub fn was_ready() -> Vec<Condition> {
    serde_json::from_value(json!([
        {"type": "Ready", "status": "True", "reason": "Available", "message": "the cluster is provisioned",
         "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1},
        {"type": "InSync", "status": "True", "reason": "AsPlanned", "message": "Azure equals the manifest",
         "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    ]))
    .unwrap()
}

pub fn there() -> Observed {
    Observed::Present { live: json!({}), failure: None }
}

/// With a plan, for what was Ready before and is in Azure.
fn planned(name: &'static str, plan: Plan, told: &'static str, health: Health) -> Row {
    let (previous, lifecycle, observed) = (was_ready(), Lifecycle::Wanted, there());
    Row { name, previous, lifecycle, plan: Some(plan), observed, problem: None, stale: None, told, health }
}

fn in_the_way(problem: Problem, plan: Option<Plan>, name: &'static str, told: &'static str, health: Health) -> Row {
    let (previous, lifecycle, observed) = (was_ready(), Lifecycle::Wanted, Observed::Unknown);
    Row { name, previous, lifecycle, plan, observed, problem: Some(problem), stale: None, told, health }
}

fn deleting(name: &'static str, plan: Plan, told: &'static str, health: Health) -> Row {
    Row { lifecycle: Lifecycle::Deleted, ..planned(name, plan, told, health) }
}

/// Every row of the table.
pub fn rows() -> Vec<Row> {
    [made(), at_rest(), on_hold(), hindered(), going()].into_iter().flatten().collect()
}

fn made() -> Vec<Row> {
    use Health::{Degraded, Progressing};
    let failure = Failure { reason: Reason::ProvisioningFailed, message: "Azure's words".to_owned() };
    let failed = Plan { failure: Some(failure), ..plan(Action::None, vec![]) };
    vec![
        planned("not seen yet", wait(Reason::Pending), "Ready=Unknown/Pending InSync=Unknown/Unobserved", Progressing)
            .before(vec![])
            .without_azure(Observed::Unknown),
        planned(
            "first creation",
            wait(Reason::Creating),
            "Ready=Unknown/Creating Reconciling=True/Creating InSync=False/Creating",
            Progressing,
        )
        .before(vec![])
        .without_azure(Observed::Absent),
        planned(
            "update under way",
            wait(Reason::Updating),
            "Ready=False/Updating Reconciling=True/Updating InSync=False/Updating",
            Progressing,
        ),
        planned(
            "about to be changed",
            changing(Action::Update),
            "Ready=False/Updating Reconciling=True/Updating InSync=False/Updating",
            Progressing,
        ),
        planned(
            "needs a replacement and may not",
            refuse(Reason::ReplacementRequired),
            "Ready=False/ReplacementRequired Stalled=True/ReplacementRequired InSync=False/ReplacementRequired",
            Degraded,
        ),
        planned(
            "failed and nothing to do",
            failed,
            "Ready=False/ProvisioningFailed Stalled=True/ProvisioningFailed InSync=True/AsPlanned",
            Degraded,
        )
        .before(vec![]),
    ]
}

fn at_rest() -> Vec<Row> {
    use Health::Healthy;
    let kept = Plan {
        not_honoured: vec![("spec.tags[a]".to_owned(), "b".to_owned(), "(none)".to_owned())],
        ..plan(Action::None, Vec::new())
    };
    vec![
        planned(
            "as the manifest says",
            plan(Action::None, vec![]),
            "Ready=True/Available InSync=True/AsPlanned",
            Healthy,
        )
        .before(vec![]),
        planned(
            "drift that is only told",
            changing(Action::Report),
            "Ready=True/Available InSync=False/Drifted",
            Healthy,
        ),
        planned("not honoured", kept, "Ready=True/Available InSync=False/NotHonoured", Healthy),
        planned(
            "not seen since the restart",
            wait(Reason::Pending),
            "Ready=True/Available InSync=True/AsPlanned",
            Healthy,
        )
        .without_azure(Observed::Unknown),
    ]
}

fn on_hold() -> Vec<Row> {
    use Health::Suspended;
    vec![
        planned(
            "paused with something to do",
            held(Hold::Paused, changing(Action::Update)),
            "Ready=True/Available InSync=False/Paused Paused=True/Paused",
            Suspended,
        ),
        planned(
            "paused and in sync",
            held(Hold::Paused, plan(Action::None, vec![])),
            "Ready=True/Available InSync=True/AsPlanned Paused=True/Paused",
            Suspended,
        ),
        planned(
            "paused and refused",
            held(Hold::Paused, refuse(Reason::NotOwned)),
            "Ready=False/NotOwned Stalled=True/NotOwned InSync=False/NotOwned Paused=True/Paused",
            Suspended,
        ),
        planned(
            "waits for approval",
            held(Hold::AwaitingApproval, changing(Action::Update)),
            "Ready=True/Available InSync=False/AwaitingApproval AwaitingApproval=True/AwaitingApproval",
            Suspended,
        ),
        planned(
            "creation waits for approval",
            held(Hold::AwaitingApproval, plan(Action::Create, vec![])),
            "Ready=Unknown/Pending InSync=False/AwaitingApproval AwaitingApproval=True/AwaitingApproval",
            Suspended,
        )
        .before(vec![])
        .without_azure(Observed::Absent),
    ]
}

fn hindered() -> Vec<Row> {
    use Health::{Degraded, Healthy, Progressing};
    let update = || Some(changing(Action::Update));
    let unseen = || Problem::unseen(Reason::AzureUnavailable, "Azure answers 503");
    vec![
        in_the_way(
            Problem::blocked(Reason::QuotaExceeded, "8 more cores are needed, 4 are left"),
            update(),
            "no quota",
            "Ready=False/QuotaExceeded Reconciling=True/QuotaExceeded InSync=False/QuotaExceeded",
            Degraded,
        ),
        in_the_way(
            Problem::blocked(Reason::Throttled, "Azure asks to slow down"),
            update(),
            "throttled",
            "Ready=False/Throttled Reconciling=True/Throttled InSync=False/Throttled",
            Progressing,
        ),
        in_the_way(
            Problem::blocked(Reason::WorkspaceNotFound, "there is no Workspace ml/research"),
            None,
            "no workspace",
            "Ready=False/WorkspaceNotFound Reconciling=True/WorkspaceNotFound InSync=Unknown/Unobserved",
            Progressing,
        ),
        in_the_way(
            Problem::blocked(Reason::CredentialRejected, "the client secret has expired"),
            None,
            "credential rejected",
            "Ready=False/CredentialRejected Reconciling=True/CredentialRejected InSync=Unknown/Unobserved",
            Degraded,
        ),
        in_the_way(
            Problem::stalled(Reason::PolicyDenied, "the policy allowed-sizes forbids it"),
            update(),
            "refused by policy",
            "Ready=False/PolicyDenied Stalled=True/PolicyDenied InSync=False/PolicyDenied",
            Degraded,
        ),
        in_the_way(
            Problem::stalled(Reason::NameClaimed, "ml/older stands for it"),
            None,
            "name claimed",
            "Ready=False/NameClaimed Stalled=True/NameClaimed InSync=Unknown/Unobserved",
            Degraded,
        ),
        in_the_way(unseen(), None, "unseen for a while", "Ready=True/Available InSync=True/AsPlanned", Healthy),
        Row {
            stale: Some("Azure has not been seen for 5m"),
            ..in_the_way(
                unseen(),
                None,
                "unseen for too long",
                "Ready=True/Available InSync=Unknown/ObservationStale",
                Healthy,
            )
        },
        Row {
            stale: Some("Azure has not been seen for 5m"),
            ..in_the_way(
                unseen(),
                None,
                "never seen",
                "Ready=Unknown/AzureUnavailable Reconciling=True/AzureUnavailable InSync=Unknown/Unobserved",
                Progressing,
            )
            .before(Vec::new())
            .without_azure(Observed::Unknown)
        },
    ]
}

/// Argo CD itself says `Progressing: Pending deletion` of every object that is being deleted, before it asks anybody.
fn going() -> Vec<Row> {
    use Health::{Degraded, Progressing};
    vec![
        deleting("deleting", wait(Reason::Deleting), "Ready=False/Deleting Reconciling=True/Deleting", Progressing),
        deleting(
            "about to be deleted",
            plan(Action::Delete, vec![Step::Delete]),
            "Ready=False/Deleting Reconciling=True/Deleting",
            Progressing,
        ),
        deleting(
            "proving it gone",
            plan(Action::Wait, vec![Step::ProveGone]),
            "Ready=False/Deleting Reconciling=True/Deleting",
            Progressing,
        ),
        deleting(
            "deletion protected",
            refuse(Reason::DeletionProtected),
            "Ready=False/DeletionProtected Stalled=True/DeletionProtected",
            Degraded,
        ),
        deleting(
            "deleted while paused",
            held(Hold::Paused, plan(Action::Delete, vec![Step::Delete])),
            "Ready=True/Available Paused=True/Paused",
            Health::Suspended,
        ),
    ]
}
