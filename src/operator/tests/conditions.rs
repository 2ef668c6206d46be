//! The condition table: each situation, and how its conditions stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use azureml_api::condition::{Reason, merge};
use azureml_api::fields::Change;
use azureml_operator::failure::Problem;
use azureml_operator::report::conditions::{Situation, conditions, generation};
use azureml_planner::diff::{FieldChange, Presence};
use azureml_planner::plan::{Hold, Step};
use azureml_planner::{Action, Failure, Lifecycle, Observed, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

fn plan(action: Action, steps: Vec<Step>) -> Plan {
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
        hash: "abc123".to_owned(),
    }
}

fn wait(reason: Reason) -> Plan {
    plan(Action::Wait, vec![Step::Wait(reason, "w".to_owned())])
}

fn changing(action: Action) -> Plan {
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

fn held(hold: Hold, plan: Plan) -> Plan {
    Plan { hold: Some(hold), ..plan }
}

fn old(ready: &str, reason: &str) -> Vec<Condition> {
    serde_json::from_value(json!([
        {"type": "Ready", "status": ready, "reason": reason, "message": "before",
         "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1},
        {"type": "InSync", "status": "True", "reason": "AsPlanned", "message": "before",
         "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    ]))
    .unwrap()
}

fn situation<'a>(previous: &'a [Condition], plan: Option<&'a Plan>, observed: &'a Observed) -> Situation<'a> {
    Situation {
        previous,
        lifecycle: Lifecycle::Wanted,
        plan,
        observed,
        problem: None,
        noun: "cluster",
        object: "o",
        stale: None,
    }
}

/// `Ready=True/Available InSync=True/AsPlanned`, in the order in which they are shown.
fn told(situation: &Situation<'_>) -> String {
    let one = |w: &azureml_api::condition::Wanted| {
        assert!(!w.message.is_empty(), "{:?} has no message", w.condition);
        format!("{}={}/{}", w.condition.as_str(), w.truth.as_str(), w.reason.as_str())
    };
    conditions(situation).iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_row_of_the_table() {
    let there = Observed::Present { live: json!({}), failure: None };
    let refused = plan(Action::Refuse, vec![Step::Refuse(Reason::ReplacementRequired, "r".to_owned())]);
    let kept = Plan {
        not_honoured: vec![("spec.tags[a]".to_owned(), "b".to_owned(), "(none)".to_owned())],
        ..plan(Action::None, Vec::new())
    };
    let failed = Plan {
        failure: Some(Failure { reason: Reason::ProvisioningFailed, message: "f".to_owned() }),
        ..plan(Action::None, Vec::new())
    };
    let none = Vec::new();
    let was_ready = old("True", "Available");
    let rows: Vec<(&str, &[Condition], Plan, &Observed, &str)> = vec![
        (
            "as the manifest says",
            &none,
            plan(Action::None, vec![]),
            &there,
            "Ready=True/Available InSync=True/AsPlanned",
        ),
        (
            "failed, nothing to do",
            &none,
            failed,
            &there,
            "Ready=False/ProvisioningFailed Stalled=True/ProvisioningFailed InSync=True/AsPlanned",
        ),
        (
            "first creation",
            &none,
            wait(Reason::Creating),
            &Observed::Absent,
            "Ready=Unknown/Creating Reconciling=True/Creating InSync=False/Creating",
        ),
        (
            "update under way",
            &was_ready,
            wait(Reason::Updating),
            &there,
            "Ready=False/Updating Reconciling=True/Updating InSync=False/Updating",
        ),
        (
            "about to be changed",
            &was_ready,
            changing(Action::Update),
            &there,
            "Ready=False/Updating Reconciling=True/Updating InSync=False/Updating",
        ),
        (
            "needs a replacement and may not",
            &was_ready,
            refused,
            &there,
            "Ready=False/ReplacementRequired Stalled=True/ReplacementRequired InSync=False/ReplacementRequired",
        ),
        (
            "drift that is only told",
            &was_ready,
            changing(Action::Report),
            &there,
            "Ready=True/Available InSync=False/Drifted",
        ),
        ("not honoured", &was_ready, kept, &there, "Ready=True/Available InSync=False/NotHonoured"),
        (
            "paused with something to do",
            &was_ready,
            held(Hold::Paused, changing(Action::Update)),
            &there,
            "Ready=True/Available InSync=False/Paused Paused=True/Paused",
        ),
        (
            "paused and in sync",
            &was_ready,
            held(Hold::Paused, plan(Action::None, vec![])),
            &there,
            "Ready=True/Available InSync=True/AsPlanned Paused=True/Paused",
        ),
        (
            "waits for approval",
            &was_ready,
            held(Hold::AwaitingApproval, changing(Action::Update)),
            &there,
            "Ready=True/Available InSync=False/AwaitingApproval AwaitingApproval=True/AwaitingApproval",
        ),
        (
            "a creation waits for approval",
            &none,
            held(Hold::AwaitingApproval, plan(Action::Create, vec![])),
            &Observed::Absent,
            "Ready=Unknown/Pending InSync=False/AwaitingApproval AwaitingApproval=True/AwaitingApproval",
        ),
        (
            "not seen yet",
            &none,
            wait(Reason::Pending),
            &Observed::Unknown,
            "Ready=Unknown/Pending InSync=Unknown/Unobserved",
        ),
        (
            "not seen since the restart",
            &was_ready,
            wait(Reason::Pending),
            &Observed::Unknown,
            "Ready=True/Available InSync=True/AsPlanned",
        ),
    ];
    for (name, previous, plan, observed, expected) in rows {
        assert_eq!(told(&situation(previous, Some(&plan), observed)), expected, "{name}");
    }
}

#[test]
fn what_stands_in_the_way() {
    let was_ready = old("True", "Available");
    let plan = changing(Action::Update);
    let unknown = Observed::Unknown;
    let rows = [
        (
            Problem::blocked(Reason::QuotaExceeded, "q"),
            Some(&plan),
            None,
            "Ready=False/QuotaExceeded Reconciling=True/QuotaExceeded InSync=False/QuotaExceeded",
        ),
        (
            Problem::blocked(Reason::CredentialRejected, "c"),
            None,
            None,
            "Ready=False/CredentialRejected Reconciling=True/CredentialRejected InSync=Unknown/Unobserved",
        ),
        (
            Problem::stalled(Reason::PolicyDenied, "p"),
            Some(&plan),
            None,
            "Ready=False/PolicyDenied Stalled=True/PolicyDenied InSync=False/PolicyDenied",
        ),
        (
            Problem::stalled(Reason::NameClaimed, "n"),
            None,
            None,
            "Ready=False/NameClaimed Stalled=True/NameClaimed InSync=Unknown/Unobserved",
        ),
        (Problem::unseen(Reason::AzureUnavailable, "u"), None, None, "Ready=True/Available InSync=True/AsPlanned"),
        (
            Problem::unseen(Reason::AzureUnavailable, "u"),
            None,
            Some("Azure has not been seen"),
            "Ready=True/Available InSync=Unknown/ObservationStale",
        ),
    ];
    for (problem, plan, stale, expected) in rows {
        let situation = Situation { problem: Some(&problem), stale, ..situation(&was_ready, plan, &unknown) };
        assert_eq!(told(&situation), expected, "{problem:?}");
    }
}

/// A look in between at which Azure can't be seen neither takes back that a person has to act, nor claims that a newer
/// manifest was looked at.
#[test]
fn what_was_told_stands_while_azure_is_not_seen() {
    let stalled = Problem::stalled(Reason::PolicyDenied, "p");
    let unseen = Problem::unseen(Reason::AzureUnavailable, "u");
    let (update, pending, unknown) = (changing(Action::Update), wait(Reason::Pending), Observed::Unknown);
    let first = Situation { problem: Some(&stalled), ..situation(&[], Some(&update), &unknown) };
    let before = merge(&[], &conditions(&first), 1, Timestamp::from_second(1_000).unwrap());
    for problem in [None, Some(&unseen)] {
        let now = Situation { problem, ..situation(&before, Some(&pending), &unknown) };
        let expected = "Ready=False/PolicyDenied Stalled=True/PolicyDenied InSync=False/PolicyDenied";
        assert_eq!((&*told(&now), generation(&now, 2)), (expected, 1));
    }
    for seen in [first, situation(&[], Some(&pending), &unknown), situation(&before, Some(&update), &unknown)] {
        assert_eq!(generation(&seen, 2), 2);
    }
    let deleted = Situation { lifecycle: Lifecycle::Deleted, ..situation(&before, Some(&pending), &unknown) };
    assert_eq!(generation(&deleted, 2), 2);
}

#[test]
fn deletion_says_nothing_of_sync() {
    let was_ready = old("True", "Available");
    let there = Observed::Present { live: json!({}), failure: None };
    let protected = plan(Action::Refuse, vec![Step::Refuse(Reason::DeletionProtected, "p".to_owned())]);
    let rows = [
        (wait(Reason::Deleting), "Ready=False/Deleting Reconciling=True/Deleting"),
        (plan(Action::Delete, vec![Step::Delete]), "Ready=False/Deleting Reconciling=True/Deleting"),
        (plan(Action::Wait, vec![Step::ProveGone]), "Ready=False/Deleting Reconciling=True/Deleting"),
        (protected, "Ready=False/DeletionProtected Stalled=True/DeletionProtected"),
        (held(Hold::Paused, plan(Action::Delete, vec![Step::Delete])), "Ready=True/Available Paused=True/Paused"),
    ];
    for (plan, expected) in rows {
        let situation = Situation { lifecycle: Lifecycle::Deleted, ..situation(&was_ready, Some(&plan), &there) };
        assert_eq!(told(&situation), expected);
    }
}

/// kstatus: Reconciling and Stalled never together, and a second look at the same situation changes nothing.
#[test]
fn a_second_look_changes_nothing() {
    let there = Observed::Present { live: json!({}), failure: None };
    let problem = Problem::blocked(Reason::QuotaExceeded, "q");
    let plans = [
        plan(Action::None, vec![]),
        wait(Reason::Creating),
        wait(Reason::Pending),
        changing(Action::Report),
        held(Hold::Paused, changing(Action::Update)),
    ];
    for plan in &plans {
        for problem in [None, Some(&problem)] {
            let at = |second| Timestamp::from_second(second).unwrap();
            let look = |previous: &[Condition], second| {
                let wanted = conditions(&Situation { problem, ..situation(previous, Some(plan), &there) });
                merge(previous, &wanted, 1, at(second))
            };
            let first = look(&[], 1_000);
            let second = look(&first, 2_000);
            assert_eq!(second, look(&second, 3_000), "{plan:?} {problem:?}");
            let is = |kind: &str| second.iter().any(|c| c.type_ == kind);
            assert!(!(is("Reconciling") && is("Stalled")) && is("Ready"));
        }
    }
}
