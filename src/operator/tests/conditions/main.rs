//! The condition table: each situation, and how its conditions stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod argo_cd;
mod rows;

use azureml_api::condition::{Reason, merge};
use azureml_operator::failure::Problem;
use azureml_operator::report::conditions::{Situation, conditions, generation};
use azureml_planner::plan::Hold;
use azureml_planner::{Action, Lifecycle, Observed, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use rows::{changing, held, plan, rows, there, wait};

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
    for row in rows() {
        assert_eq!(told(&row.situation()), row.told, "{}", row.name);
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

/// kstatus: Reconciling and Stalled never together, and a second look at the same situation changes nothing.
#[test]
fn a_second_look_changes_nothing() {
    let there = there();
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
