//! What becomes of a write that was begun: verb × phase × what Azure shows × age × what its own URL says.

use azureml_api::condition::Reason;
use azureml_api::fields::set;
use azureml_api::status::{Operation, Phase, Verb};
use azureml_planner::input::OperationDetail;
use azureml_planner::operation::{Judgement, age, judge};
use azureml_planner::{Action, Observed, diff};
use jiff::Timestamp;
use serde_json::json;

use crate::support::{CREATED_ON, Case, NOW, brief, failed, failure, in_sync, live, new_object, present, write};

/// What a row expects, in short.
#[derive(Clone, Debug, PartialEq)]
enum Is {
    Ongoing(Reason),
    Detail(Reason),
    Done,
    NotHonoured,
    Failed,
    /// Failed, and why may not be read.
    Untold,
    Forgotten,
    Lost,
}

use Is::{Detail, Done, Failed, Forgotten, Lost, NotHonoured, Ongoing, Untold};
use Phase::{Intended, Running};
use Reason::{Creating, Deleting, Updating, Verifying};
use Verb::{Create, Delete, Patch, Put};

/// What Azure shows.
#[derive(Clone, Copy, Debug)]
enum Shows {
    Unknown,
    Absent,
    Gone,
    /// The resource in that state, as the manifest says.
    As(&'static str),
    /// The resource, Succeeded, with the value from before.
    Old,
    Broken,
}

/// What the operation's own URL said, in short.
#[derive(Clone, Copy, Debug)]
enum Url {
    NotAsked,
    None,
    Runs,
    Succeeded,
    Failed,
    NotAvailable,
    Forbidden,
}

const MAX: &str = "spec.scale.maxNodes";

fn short(judgement: &Judgement) -> Is {
    match judgement {
        Judgement::Ongoing(reason, message) => {
            assert!(!message.is_empty());
            Ongoing(*reason)
        }
        Judgement::DetailNeeded(reason, _) => Detail(*reason),
        Judgement::Done { not_honoured } if not_honoured.is_empty() => Done,
        Judgement::Done { not_honoured } => {
            assert_eq!(*not_honoured, [(MAX.to_owned(), "4".to_owned())]);
            NotHonoured
        }
        Judgement::Failed(found) if found.message.ends_with("can't be read: no role") => Untold,
        Judgement::Failed(found) => {
            assert_eq!(*found, failure());
            Failed
        }
        Judgement::Forgotten => Forgotten,
        Judgement::Lost => Lost,
    }
}

fn case(operation: Operation, shows: Shows, url: Url) -> Case {
    in_sync().edit(MAX, json!(9)).with(|case| {
        let mut wanted = live();
        set(&mut wanted, "properties.properties.scaleSettings.maxNodeCount", json!(9));
        case.observed = match shows {
            Shows::Unknown => Observed::Unknown,
            Shows::Absent => Observed::Absent,
            Shows::Gone => Observed::Gone,
            Shows::Old => present(live()),
            Shows::Broken => failed(wanted),
            Shows::As(state) => {
                set(&mut wanted, "properties.provisioningState", json!(state));
                present(wanted)
            }
        };
        case.operation = Some(operation);
        case.detail = match url {
            Url::NotAsked => None,
            Url::None => {
                case.operation.as_mut().unwrap().url = None;
                None
            }
            Url::Runs => Some(OperationDetail::Running),
            Url::Succeeded => Some(OperationDetail::Succeeded),
            Url::Failed => Some(OperationDetail::Failed(failure())),
            Url::NotAvailable => Some(OperationDetail::NotAvailable),
            Url::Forbidden => Some(OperationDetail::Forbidden("no role".to_owned())),
        };
    })
}

fn check(rows: &[(Verb, Phase, Shows, i64, Url, Is)]) {
    for (verb, phase, shows, seconds, url, expected) in rows {
        let case = case(write(*verb, *phase, *seconds, &[MAX]), *shows, *url);
        let input = case.input();
        let changes = match &case.observed {
            Observed::Present { live, .. } => diff::diff(&input, live),
            _ => Vec::new(),
        };
        let judgement = judge(&input, case.operation.as_ref().unwrap(), &changes);
        assert_eq!(short(&judgement), *expected, "{verb:?} {phase:?} {shows:?} {seconds} s, {url:?}");
    }
}

#[test]
fn as_long_as_nothing_was_seen_it_goes_on() {
    for (verb, running) in [(Create, Creating), (Put, Updating), (Patch, Updating), (Delete, Deleting)] {
        for seconds in [0, 59, 60, 100_000] {
            check(&[
                (verb, Intended, Shows::Unknown, seconds, Url::NotAsked, Ongoing(Verifying)),
                (verb, Running, Shows::Unknown, seconds, Url::NotAsked, Ongoing(running)),
                (verb, Running, Shows::Unknown, seconds, Url::NotAvailable, Ongoing(running)),
            ]);
        }
    }
}

#[test]
fn creations() {
    for missing in [Shows::Absent, Shows::Gone] {
        check(&[
            (Create, Intended, missing, 0, Url::NotAsked, Ongoing(Verifying)),
            (Create, Intended, missing, 59, Url::NotAsked, Ongoing(Verifying)),
            (Create, Intended, missing, 60, Url::NotAsked, Forgotten),
            (Create, Running, missing, 59, Url::NotAsked, Ongoing(Creating)),
            (Create, Running, missing, 59, Url::Failed, Ongoing(Creating)),
            (Create, Running, missing, 60, Url::NotAsked, Detail(Creating)),
            (Create, Running, missing, 60, Url::None, Lost),
            (Create, Running, missing, 60, Url::Runs, Ongoing(Creating)),
            (Create, Running, missing, 60, Url::Succeeded, Lost),
            (Create, Running, missing, 60, Url::Failed, Failed),
            (Create, Running, missing, 60, Url::NotAvailable, Lost),
            (Create, Running, missing, 60, Url::Forbidden, Untold),
        ]);
    }
    check(&[
        (Create, Intended, Shows::As("Creating"), 5, Url::NotAsked, Ongoing(Verifying)),
        (Create, Running, Shows::As("Creating"), 5, Url::NotAsked, Ongoing(Creating)),
        (Create, Running, Shows::As("Creating"), 9_000, Url::NotAvailable, Ongoing(Creating)),
        (Create, Running, Shows::As("Deleting"), 9_000, Url::NotAsked, Ongoing(Creating)),
        (Create, Intended, Shows::As("Succeeded"), 5, Url::NotAsked, Done),
        (Create, Running, Shows::As("Succeeded"), 5, Url::NotAsked, Done),
        (Create, Running, Shows::Broken, 5, Url::NotAsked, Failed),
        (Create, Intended, Shows::Broken, 5, Url::NotAsked, Failed),
    ]);
}

#[test]
fn updates() {
    for verb in [Put, Patch] {
        check(&[
            (verb, Intended, Shows::As("Updating"), 5, Url::NotAsked, Ongoing(Verifying)),
            (verb, Running, Shows::As("Updating"), 9_000, Url::NotAsked, Ongoing(Updating)),
            (verb, Running, Shows::As("Creating"), 5, Url::NotAsked, Ongoing(Updating)),
            (verb, Running, Shows::As("Succeeded"), 5, Url::NotAsked, Done),
            (verb, Intended, Shows::As("Succeeded"), 5, Url::NotAsked, Done),
            (verb, Intended, Shows::Old, 59, Url::NotAsked, Ongoing(Verifying)),
            (verb, Intended, Shows::Old, 60, Url::NotAsked, Forgotten),
            (verb, Running, Shows::Old, 59, Url::NotAsked, Ongoing(Updating)),
            (verb, Running, Shows::Old, 60, Url::NotAsked, Detail(Updating)),
            (verb, Running, Shows::Old, 60, Url::Runs, Ongoing(Updating)),
            (verb, Running, Shows::Old, 60, Url::Failed, Failed),
            (verb, Running, Shows::Old, 60, Url::Succeeded, NotHonoured),
            (verb, Running, Shows::Old, 60, Url::NotAvailable, NotHonoured),
            (verb, Running, Shows::Old, 60, Url::Forbidden, NotHonoured),
            (verb, Running, Shows::Old, 60, Url::None, NotHonoured),
            (verb, Running, Shows::Broken, 59, Url::NotAsked, Ongoing(Updating)),
            (verb, Running, Shows::Broken, 60, Url::NotAsked, Failed),
            (verb, Running, Shows::Absent, 59, Url::NotAsked, Ongoing(Updating)),
            (verb, Running, Shows::Absent, 60, Url::NotAsked, Detail(Updating)),
            (verb, Running, Shows::Absent, 60, Url::Succeeded, Lost),
            (verb, Intended, Shows::Gone, 60, Url::NotAsked, Forgotten),
        ]);
    }
}

#[test]
fn deletions() {
    check(&[
        (Delete, Intended, Shows::Absent, 0, Url::NotAsked, Done),
        (Delete, Running, Shows::Absent, 0, Url::NotAsked, Done),
        (Delete, Running, Shows::Gone, 0, Url::NotAsked, Done),
        (Delete, Running, Shows::As("Deleting"), 9_000, Url::Succeeded, Ongoing(Deleting)),
        (Delete, Intended, Shows::As("Deleting"), 9_000, Url::NotAsked, Ongoing(Verifying)),
        (Delete, Intended, Shows::As("Succeeded"), 59, Url::NotAsked, Ongoing(Verifying)),
        (Delete, Intended, Shows::As("Succeeded"), 60, Url::NotAsked, Forgotten),
        (Delete, Running, Shows::As("Succeeded"), 59, Url::NotAsked, Ongoing(Deleting)),
        (Delete, Running, Shows::As("Succeeded"), 60, Url::NotAsked, Detail(Deleting)),
        (Delete, Running, Shows::As("Succeeded"), 60, Url::None, Lost),
        (Delete, Running, Shows::As("Succeeded"), 60, Url::Runs, Ongoing(Deleting)),
        (Delete, Running, Shows::As("Succeeded"), 60, Url::Failed, Failed),
        (Delete, Running, Shows::As("Succeeded"), 60, Url::Succeeded, Lost),
        (Delete, Running, Shows::Broken, 60, Url::NotAvailable, Lost),
        (Delete, Running, Shows::Broken, 60, Url::Forbidden, Untold),
        (Delete, Running, Shows::Broken, 60, Url::NotAsked, Detail(Deleting)),
    ]);
}

#[test]
fn only_the_writes_own_fields_are_waited_for() {
    let other = |path| {
        let case = case(write(Patch, Running, 5, &[path]), Shows::Old, Url::NotAsked);
        let changes = diff::diff(&case.input(), case.live());
        short(&judge(&case.input(), case.operation.as_ref().unwrap(), &changes))
    };
    assert_eq!(other("spec.tags[a]"), Done);
    assert_eq!(other(MAX), Ongoing(Updating));
}

#[test]
fn an_edit_taken_back_is_not_told_by_azures_answers_of_before() {
    let rows = [(MAX, 5, Ongoing(Updating)), (MAX, 60, Done), ("spec.tags[a]", 5, Done)];
    for (edited, age, expected) in rows {
        let mut case = case(write(Patch, Running, age, &[MAX]), Shows::As("Succeeded"), Url::NotAsked);
        let asked = case.clone().edit(edited, json!(99)).manifest;
        let operation = case.operation.as_mut().unwrap();
        operation.written = Some(azureml_planner::operation::written(&asked, &operation.fields));
        let changes = diff::diff(&case.input(), case.live());
        let judgement = judge(&case.input(), case.operation.as_ref().unwrap(), &changes);
        assert_eq!(short(&judgement), expected, "{edited} {age} s");
    }
}

#[test]
fn a_new_creation_is_not_judged_by_the_resource_before_it() {
    let stale = |seconds, created: &str| {
        let case = case(write(Create, Running, seconds, &[MAX]), Shows::Broken, Url::NotAsked)
            .with(|case| set(case.live_mut(), "properties.createdOn", json!(created)));
        short(&judge(&case.input(), case.operation.as_ref().unwrap(), &[]))
    };
    assert_eq!(stale(5, "2026-10-01T00:00:00.0000000+00:00"), Ongoing(Creating));
    assert_eq!(stale(60, "2026-10-01T00:00:00.0000000+00:00"), Failed);
    assert_eq!(stale(5, CREATED_ON), Failed);
}

#[test]
fn a_write_from_the_future_has_no_age() {
    let operation = write(Patch, Running, -500, &[]);
    assert_eq!(age(&operation, Timestamp::from_second(NOW).unwrap()), 0);
    assert_eq!(age(&write(Patch, Running, 61, &[]), Timestamp::from_second(NOW).unwrap()), 61);
}

#[test]
fn what_the_plan_makes_of_it() {
    let update = |shows, seconds, url| case(write(Patch, Running, seconds, &[MAX]), shows, url);
    let rows = [
        ("under way", update(Shows::As("Updating"), 5, Url::NotAsked), (Action::Wait, vec!["wait"], Some(Updating))),
        ("unclear", update(Shows::Old, 60, Url::NotAsked), (Action::Wait, vec!["detail"], Some(Updating))),
        ("done", update(Shows::As("Succeeded"), 5, Url::NotAsked), (Action::None, vec![], None)),
        (
            "never reached Azure: written again",
            case(write(Patch, Intended, 60, &[MAX]), Shows::Old, Url::NotAsked),
            (Action::Update, vec!["patch"], None),
        ),
        ("failed: written again", update(Shows::Old, 60, Url::Failed), (Action::Update, vec!["patch"], None)),
        (
            "vanished while it was updated: created again",
            update(Shows::Absent, 60, Url::Succeeded),
            (Action::Create, vec!["create"], None),
        ),
        (
            "deleted for its failed creation: created again",
            new_object().with(|case| case.operation = Some(write(Delete, Running, 5, &[]))),
            (Action::Create, vec!["create"], None),
        ),
        (
            "an intent whose outcome isn't known: nothing is written",
            new_object().with(|case| case.operation = Some(write(Create, Intended, 59, &[]))),
            (Action::Wait, vec!["wait"], Some(Verifying)),
        ),
    ];
    for (name, case, expected) in rows {
        let plan = case.plan();
        assert_eq!(brief(&plan), expected, "{name}: {plan:?}");
        assert!(plan.judgement.is_some(), "{name}");
    }
}
