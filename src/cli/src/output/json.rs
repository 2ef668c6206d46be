//! The report for programs.

use azureml_api::fields::Change;
use azureml_planner::plan::{Action, Hold, Plan, Step};
use serde_json::{Value, json};

use crate::plan::entry::{Entry, Hash, Report, UsedWorkspace, Verdict};
use crate::problem::{Problem, ProblemKind};

/// The whole report.
pub fn render(report: &Report) -> Value {
    json!({
        "exitCode": report.exit_code(),
        "workspaces": report.workspaces.iter().map(workspace).collect::<Vec<Value>>(),
        "plans": report.entries.iter().map(entry).collect::<Vec<Value>>(),
        "notes": report.notes,
    })
}

/// A fault because of which there is no report.
pub fn failure(message: &str) -> Value {
    json!({"exitCode": 1, "error": message, "workspaces": [], "plans": [], "notes": []})
}

fn workspace(used: &UsedWorkspace) -> Value {
    json!({
        "namespace": used.key.namespace,
        "name": used.key.name,
        "azureId": used.azure_id,
        "location": used.location,
        "credential": used.credential,
        "problem": used.problem.as_ref().map(problem),
        "notes": used.notes,
    })
}

fn entry(entry: &Entry) -> Value {
    let plan = entry.plan.as_ref();
    let writes = plan.filter(|plan| plan.writes());
    json!({
        "kind": entry.key.kind,
        "namespace": entry.key.namespace,
        "name": entry.key.name,
        "file": entry.origin,
        "azureId": entry.azure_id,
        "action": action(entry),
        "hash": writes.map(|plan| plan.hash.as_str()),
        "hashIsPreliminary": writes.is_some() && entry.hash == Hash::Preliminary,
        "steps": plan.into_iter().flat_map(|plan| &plan.steps).map(Step::words).collect::<Vec<String>>(),
        "changes": changes(entry),
        "sideEffects": plan.map(|plan| plan.side_effects.as_slice()).unwrap_or_default(),
        "drift": plan.is_some_and(|plan| plan.drift),
        "notHonoured": not_honoured(plan),
        "failure": plan.and_then(|plan| plan.failure.as_ref()).map(|failure| failure.message.as_str()),
        "hold": plan.and_then(|plan| plan.hold).map(hold),
        "refusal": refusal(entry),
        "problems": entry.problems.iter().map(problem).collect::<Vec<Value>>(),
        "notes": entry.notes,
    })
}

/// The planner's word, unless something is in the way.
fn action(entry: &Entry) -> &'static str {
    match entry.verdict() {
        Verdict::Error => "Error",
        Verdict::Refused => "Refuse",
        Verdict::Create => "Create",
        Verdict::Update => "Update",
        Verdict::Replace => "Replace",
        Verdict::Delete => "Delete",
        Verdict::Waiting => "Wait",
        Verdict::Reported => "Report",
        Verdict::NoChange => match entry.plan.as_ref().map(|plan| plan.action) {
            Some(Action::Release) => "Release",
            _ => "None",
        },
    }
}

fn changes(entry: &Entry) -> Vec<Value> {
    let new = entry
        .new_fields
        .iter()
        .map(|field| json!({"field": field.path, "from": null, "to": field.value, "effect": "Create"}));
    let changed = entry.plan.iter().flat_map(|plan| &plan.changes).map(|change| {
        let effect = if change.change == Change::Replace { "Replace" } else { "InPlace" };
        json!({"field": change.path, "from": change.from, "to": change.to, "effect": effect})
    });
    new.chain(changed).collect()
}

fn not_honoured(plan: Option<&Plan>) -> Vec<Value> {
    let all = plan.into_iter().flat_map(|plan| &plan.not_honoured);
    all.map(|(path, wanted, has)| json!({"field": path, "wanted": wanted, "has": has})).collect()
}

fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Paused => "Paused",
        Hold::AwaitingApproval => "AwaitingApproval",
    }
}

/// Why it is refused, where the manifest or the policies are at fault; the first reason.
fn refusal(entry: &Entry) -> Option<Value> {
    entry.refusals().iter().find(|problem| problem.kind == ProblemKind::Refused).map(problem)
}

fn problem(problem: &Problem) -> Value {
    let kind = match problem.kind {
        ProblemKind::Refused => "Refused",
        ProblemKind::NoAccess => "NoAccess",
    };
    let (reason, cure) = (problem.reason.as_str(), problem.reason.cure());
    json!({"kind": kind, "reason": reason, "message": problem.message, "cure": cure})
}

#[cfg(test)]
mod tests {
    use azureml_api::condition::Reason;

    use super::*;
    use crate::plan::entry::NewField;
    use crate::plan::entry::tests::{entry as sample, plan};

    #[test]
    fn a_creation_has_its_fields_and_its_hash() {
        let new_fields = vec![NewField { path: "spec.vmSize".to_owned(), value: "S".to_owned() }];
        let report = Report { entries: vec![Entry { new_fields, ..sample(Action::Create) }], ..Report::default() };
        let json = render(&report);
        assert_eq!(json["exitCode"], 2);
        let plan = &json["plans"][0];
        assert_eq!((&plan["action"], &plan["hash"]), (&json!("Create"), &json!("0123456789abcdef")));
        assert_eq!(plan["changes"], json!([{"field": "spec.vmSize", "from": null, "to": "S", "effect": "Create"}]));
        assert_eq!((&plan["hold"], &plan["refusal"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn refusals_come_from_the_planner_or_from_what_is_in_the_way() {
        let steps = vec![Step::Refuse(Reason::NotOwned, "m".to_owned())];
        let refused = Entry { plan: Some(Plan { steps, ..plan(Action::Refuse) }), ..sample(Action::Refuse) };
        let hindered =
            Entry { problems: vec![Problem::refused(Reason::InvalidManifest, "n")], ..sample(Action::Update) };
        let blind =
            Entry { problems: vec![Problem::no_access(Reason::AzureUnavailable, "o")], ..sample(Action::Update) };
        let rows = [
            (refused, "Refuse", json!("NotOwned")),
            (hindered, "Refuse", json!("InvalidManifest")),
            (blind, "Error", Value::Null),
        ];
        for (sample, action, reason) in rows {
            let json = entry(&sample);
            assert_eq!((&json["action"], &json["refusal"]["reason"]), (&json!(action), &reason));
        }
    }
}
