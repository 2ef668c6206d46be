//! The report for people: a block for each object, then one line for all.

use azureml_api::fields::Change;
use azureml_planner::diff::FieldChange;
use azureml_planner::plan::{Action, Hold, Plan, Step};

use super::style::{Style, Tone};
use crate::plan::entry::{Entry, Hash, NewField, Report, UsedWorkspace, Verdict};
use crate::problem::Problem;

/// The whole report.
pub fn render(report: &Report, style: Style) -> String {
    let mut lines: Vec<String> = report.workspaces.iter().flat_map(|used| workspace(used, style)).collect();
    for entry in &report.entries {
        lines.push(String::new());
        lines.extend(block(entry, &report.workspaces, style));
    }
    if !report.notes.is_empty() {
        lines.push(String::new());
        lines.extend(report.notes.iter().map(|note| format!("Note: {}", one_line(note))));
    }
    lines.push(String::new());
    lines.push(style.paint(Tone::Strong, &summary(report)));
    let mut text = lines.join("\n");
    text.push('\n');
    text.trim_start_matches('\n').to_owned()
}

/// Whose words these are isn't known: Azure's, a manifest's. None of them may move the cursor or fake a line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn workspace(used: &UsedWorkspace, style: Style) -> Vec<String> {
    let place = match (&used.azure_id, &used.location) {
        (Some(id), Some(location)) => format!("{id} ({location})"),
        (Some(id), None) => id.clone(),
        (None, _) => "not resolved".to_owned(),
    };
    let read = match (&used.problem, &used.credential) {
        (None, Some(credential)) => format!("read with {credential}"),
        (Some(_), Some(credential)) => format!("could not be read with {credential}"),
        (_, None) => "not read".to_owned(),
    };
    let mut lines = vec![one_line(&format!("{}: {place}, {read}", used.key))];
    lines.extend(problems(used.problem.as_slice(), style));
    lines.extend(used.notes.iter().map(|note| indented(4, "note", note, style)));
    lines
}

/// What is in the way, and what to do about each reason.
fn problems(problems: &[Problem], style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, problem) in problems.iter().enumerate() {
        let reason = style.paint(Tone::Removes, problem.reason.as_str());
        lines.push(format!("    {reason}: {}", one_line(&problem.message)));
        let last = problems[index + 1..].iter().all(|later| later.reason != problem.reason);
        if last {
            lines.push(indented(8, "what to do", problem.reason.cure(), style));
        }
    }
    lines
}

fn indented(depth: usize, label: &str, text: &str, style: Style) -> String {
    format!("{:depth$}{}: {}", "", style.paint(Tone::Quiet, label), one_line(text))
}

/// Symbol, words and tone of what an object comes to.
fn heading(verdict: Verdict, entry: &Entry) -> (&'static str, &'static str, Tone) {
    let released = entry.plan.as_ref().is_some_and(|plan| plan.action == Action::Release);
    match verdict {
        Verdict::Create => ("+", "create", Tone::Adds),
        Verdict::Update => ("~", "update in place", Tone::Changes),
        Verdict::Replace => ("-/+", "replace", Tone::Removes),
        Verdict::Delete => ("-", "delete", Tone::Removes),
        Verdict::Waiting => ("…", "waiting", Tone::Changes),
        Verdict::Reported => ("≠", "differs, and stays as it is", Tone::Changes),
        Verdict::NoChange if released => ("=", "let go; nothing changes in Azure", Tone::Quiet),
        Verdict::NoChange => ("=", "no change", Tone::Quiet),
        Verdict::Refused => ("!", "refused", Tone::Removes),
        Verdict::Error => ("!", "error", Tone::Removes),
    }
}

fn block(entry: &Entry, workspaces: &[UsedWorkspace], style: Style) -> Vec<String> {
    let (symbol, words, tone) = heading(entry.verdict(), entry);
    let title = one_line(&format!("{symbol} {}: {words}", entry.key));
    let mut lines = vec![format!(
        "{} {}",
        style.paint(tone, &title),
        style.paint(Tone::Quiet, &format!("({})", one_line(&entry.origin)))
    )];
    // A Workspace's own stands above.
    if let Some(id) = entry.azure_id.as_ref().filter(|_| entry.key.kind != "Workspace") {
        lines.push(indented(4, "azure", id, style));
    }
    lines.extend(new_fields(&entry.new_fields, style));
    if let Some(plan) = &entry.plan {
        lines.extend(changes(&plan.changes, style));
        lines.extend(details(plan, style));
    }
    let (told, own): (Vec<Problem>, Vec<Problem>) = entry
        .refusals()
        .into_iter()
        .partition(|problem| workspaces.iter().any(|used| used.problem.as_ref() == Some(problem)));
    let above = told.iter().map(|problem| indented(4, problem.reason.as_str(), "see the Workspace above", style));
    lines.extend(above);
    lines.extend(problems(&own, style));
    lines.extend(entry.notes.iter().map(|note| indented(4, "note", note, style)));
    if let Some(plan) = entry.plan.as_ref().filter(|plan| plan.writes()) {
        let unsure = match entry.hash {
            Hash::Final => "",
            Hash::Preliminary => " (preliminary: the operator's may differ)",
        };
        lines.push(indented(4, "plan", &format!("{}{unsure}", plan.hash), style));
    }
    lines
}

fn new_fields(fields: &[NewField], style: Style) -> Vec<String> {
    let width = fields.iter().map(|field| field.path.chars().count()).max().unwrap_or(0);
    let line = |field: &NewField| {
        let text = format!("+ {:width$}  {}", field.path, one_line(&field.value));
        format!("    {}", style.paint(Tone::Adds, &text))
    };
    fields.iter().map(line).collect()
}

fn changes(changes: &[FieldChange], style: Style) -> Vec<String> {
    let width = changes.iter().map(|change| change.path.chars().count()).max().unwrap_or(0);
    let line = |change: &FieldChange| {
        let (tone, effect) = match change.change {
            Change::Patch { .. } | Change::Put => (Tone::Changes, "in place"),
            Change::Replace => (Tone::Removes, "needs a replacement"),
        };
        let text = format!("~ {:width$}  {} → {}", change.path, one_line(&change.from), one_line(&change.to));
        format!("    {}  {}", style.paint(tone, &text), style.paint(Tone::Quiet, effect))
    };
    changes.iter().map(line).collect()
}

/// Everything of a plan but its changes and its refusal.
fn details(plan: &Plan, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.drift {
        lines.push(indented(4, "drift", "somebody else changed Azure, not the manifest", style));
    }
    if let Some(failure) = &plan.failure {
        lines.push(indented(4, "failed in Azure", &failure.message, style));
    }
    for (path, wanted, has) in &plan.not_honoured {
        let text = format!("{path}: Azure was given {wanted} and keeps {has}");
        lines.push(indented(4, "not honoured", &text, style));
    }
    let told = plan.steps.iter().filter(|step| !matches!(step, Step::Refuse(..)));
    lines.extend(told.map(|step| indented(4, "step", &step.words(), style)));
    lines.extend(plan.side_effects.iter().map(|effect| indented(4, "side effect", effect, style)));
    lines.extend(plan.hold.map(|hold| indented(4, "held", hold_words(hold), style)));
    lines
}

fn hold_words(hold: Hold) -> &'static str {
    match hold {
        Hold::Paused => "spec.paused is true: nothing is written until it is false",
        Hold::AwaitingApproval => "applyPolicy is Approved: set the annotation azureml.dev/approve to the plan's hash",
    }
}

/// One line for all.
fn summary(report: &Report) -> String {
    let words = [
        (Verdict::Create, "to create"),
        (Verdict::Update, "to update in place"),
        (Verdict::Replace, "to replace"),
        (Verdict::Delete, "to delete"),
        (Verdict::Waiting, "waiting"),
        (Verdict::Reported, "only reported"),
        (Verdict::NoChange, "unchanged"),
        (Verdict::Refused, "refused"),
        (Verdict::Error, "in error"),
    ];
    let counts: Vec<String> = words
        .into_iter()
        .map(|(verdict, words)| (report.count(verdict), words))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if counts.is_empty() { "Plan: nothing to plan.".to_owned() } else { format!("Plan: {}.", counts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use azureml_api::condition::Reason;
    use azureml_planner::diff::Presence;

    use super::*;
    use crate::manifests::Key;
    use crate::plan::entry::tests::{entry, plan};

    fn change(path: &str, change: Change) -> FieldChange {
        FieldChange {
            path: path.to_owned(),
            row: "spec.x",
            from: "4".to_owned(),
            to: "8".to_owned(),
            change,
            in_azure: Presence::Shown,
        }
    }

    fn rendered(entries: Vec<Entry>) -> String {
        render(&Report { entries, ..Report::default() }, Style::Plain)
    }

    #[test]
    fn an_update_reads_like_this() {
        let plan = Plan {
            changes: vec![
                change("spec.scale.maxNodes", Change::Patch { object: "o" }),
                change("spec.tags[a]", Change::Put),
            ],
            side_effects: vec!["it costs".to_owned()],
            hold: Some(Hold::Paused),
            ..plan(Action::Update)
        };
        let entry = Entry { azure_id: Some("/id".to_owned()), plan: Some(plan), ..entry(Action::Update) };
        let expected = "\
~ ComputeCluster ml/gpu: update in place (f.yaml)
    azure: /id
    ~ spec.scale.maxNodes  4 → 8  in place
    ~ spec.tags[a]         4 → 8  in place
    side effect: it costs
    held: spec.paused is true: nothing is written until it is false
    plan: 0123456789abcdef

Plan: 1 to update in place.
";
        assert_eq!(rendered(vec![entry]), expected);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let steps = vec![Step::Refuse(Reason::NotOwned, "it isn't ours".to_owned())];
        let refused = Entry { plan: Some(Plan { steps, ..plan(Action::Refuse) }), ..entry(Action::Refuse) };
        let text = rendered(vec![refused, entry(Action::None)]);
        assert!(text.starts_with(
            "! ComputeCluster ml/gpu: refused (f.yaml)\n    NotOwned: it isn't ours\n        what to do: "
        ));
        assert!(
            text.ends_with("\n= ComputeCluster ml/gpu: no change (f.yaml)\n\nPlan: 1 unchanged, 1 refused.\n"),
            "{text}"
        );
    }

    #[test]
    fn a_workspaces_problem_is_told_once() {
        let problem = Problem::refused(Reason::WorkspaceMissingInAzure, "it is gone");
        let used = UsedWorkspace {
            key: Key::workspace("ml", "w"),
            azure_id: Some("/ws".to_owned()),
            location: None,
            credential: Some("the environment".to_owned()),
            problem: Some(problem.clone()),
            notes: Vec::new(),
        };
        let own = Problem::refused(Reason::InvalidManifest, "one");
        let hindered = Entry {
            plan: None,
            problems: vec![problem, own.clone(), Problem { message: "two".to_owned(), ..own }],
            ..entry(Action::None)
        };
        let text = render(&Report { workspaces: vec![used], entries: vec![hindered], notes: Vec::new() }, Style::Plain);
        assert_eq!(text.matches("it is gone").count(), 1, "{text}");
        assert!(text.contains("    WorkspaceMissingInAzure: see the Workspace above\n"), "{text}");
        assert!(text.contains("InvalidManifest: one\n    InvalidManifest: two\n        what to do:"), "{text}");
    }

    #[test]
    fn each_action_has_its_symbol() {
        let rows = [
            (Action::None, "= "),
            (Action::Create, "+ "),
            (Action::Update, "~ "),
            (Action::Replace, "-/+ "),
            (Action::Delete, "- "),
            (Action::Release, "= "),
            (Action::Wait, "… "),
            (Action::Refuse, "! "),
            (Action::Report, "≠ "),
        ];
        for (action, symbol) in rows {
            assert!(rendered(vec![entry(action)]).starts_with(symbol), "{action:?}");
        }
        let broken = Problem::no_access(Reason::AzureUnavailable, "m");
        assert!(rendered(vec![Entry { problems: vec![broken], ..entry(Action::None) }]).contains(": error "));
    }

    #[test]
    fn foreign_words_stay_on_their_line() {
        let mut entry = entry(Action::Update);
        entry.notes.push("a\n+ ComputeCluster ml/fake: create\u{1b}[2J".to_owned());
        let text = rendered(vec![entry]);
        assert!(!text.contains('\u{1b}') && text.lines().filter(|line| line.starts_with('+')).count() == 0, "{text}");
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        let report = Report { entries: vec![entry(Action::Create)], ..Report::default() };
        assert!(render(&report, Style::Colour).contains("\u{1b}[32m"));
        assert!(!render(&report, Style::Plain).contains('\u{1b}'));
    }
}
