//! What comes out for one object, and what all of them come to.

use azureml_planner::plan::{Action, Plan, Step};

use crate::manifests::Key;
use crate::problem::{Problem, ProblemKind};

/// A field of a resource that is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewField {
    /// Path in the manifest.
    pub path: String,
    /// Its value, in words.
    pub value: String,
}

/// What comes out for one object.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub key: Key,
    /// The file.
    pub origin: String,
    /// ARM id of its resource, where that is known.
    pub azure_id: Option<String>,
    /// The planner's plan. None for a Workspace, which is only observed, and where something is in the way.
    pub plan: Option<Plan>,
    /// What a creation sets.
    pub new_fields: Vec<NewField>,
    /// Whether the plan's hash is the one that the operator will have.
    pub hash: Hash,
    /// What is in the way.
    pub problems: Vec<Problem>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// Whether a plan's hash is the one that the operator will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// As far as is known here.
    Final,
    /// Something goes into it that isn't known here.
    Preliminary,
}

/// What an entry comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The resource is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and created again.
    Replace,
    /// It is deleted.
    Delete,
    /// Something else has to end first.
    Waiting,
    /// It differs, and the policies leave it so.
    Reported,
    /// Nothing changes.
    NoChange,
    /// It can't be carried out, or planned, as it is written.
    Refused,
    /// Something couldn't be read.
    Error,
}

impl Entry {
    /// Nothing known yet.
    pub fn new(key: Key, origin: String) -> Self {
        Self {
            key,
            origin,
            azure_id: None,
            plan: None,
            new_fields: Vec::new(),
            hash: Hash::Final,
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What it comes to. What is in the way weighs more than the plan.
    pub fn verdict(&self) -> Verdict {
        if self.problems.iter().any(|problem| problem.kind == ProblemKind::NoAccess) {
            return Verdict::Error;
        }
        if !self.problems.is_empty() {
            return Verdict::Refused;
        }
        match self.plan.as_ref().map(|plan| plan.action) {
            Some(Action::Create) => Verdict::Create,
            Some(Action::Update) => Verdict::Update,
            Some(Action::Replace) => Verdict::Replace,
            Some(Action::Delete) => Verdict::Delete,
            Some(Action::Wait) => Verdict::Waiting,
            Some(Action::Report) => Verdict::Reported,
            Some(Action::Refuse) => Verdict::Refused,
            Some(Action::None | Action::Release) | None => Verdict::NoChange,
        }
    }

    /// Why it is refused: the planner's refusal, then what else is in the way.
    pub fn refusals(&self) -> Vec<Problem> {
        let steps = self.plan.iter().flat_map(|plan| &plan.steps);
        let planned = steps.filter_map(|step| match step {
            Step::Refuse(reason, message) => Some(Problem::refused(*reason, message.clone())),
            _ => None,
        });
        planned.chain(self.problems.iter().cloned()).collect()
    }
}

/// Everything that comes out.
#[derive(Debug, Default)]
pub struct Report {
    /// The Workspaces that were used, and how they were read.
    pub workspaces: Vec<UsedWorkspace>,
    /// One for each object, in the files' order.
    pub entries: Vec<Entry>,
    /// What a person should know of the whole.
    pub notes: Vec<String>,
}

/// A Workspace that was used.
#[derive(Clone, Debug)]
pub struct UsedWorkspace {
    /// The object.
    pub key: Key,
    /// ARM id.
    pub azure_id: Option<String>,
    /// Region.
    pub location: Option<String>,
    /// Whose eyes it was read with.
    pub credential: Option<String>,
    /// What is in the way.
    pub problem: Option<Problem>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

impl Report {
    /// How many entries come to that.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries.iter().filter(|entry| entry.verdict() == verdict).count()
    }

    /// The process's exit code: 1, 3, 2 or 0, in this order of weight.
    pub fn exit_code(&self) -> u8 {
        let code = |verdict: Verdict| match verdict {
            Verdict::Error => 1,
            Verdict::Refused => 3,
            Verdict::Create | Verdict::Update | Verdict::Replace | Verdict::Delete | Verdict::Waiting => 2,
            Verdict::Reported | Verdict::NoChange => 0,
        };
        let codes: Vec<u8> = self.entries.iter().map(|entry| code(entry.verdict())).collect();
        [1, 3, 2].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
    }
}

#[cfg(test)]
pub mod tests {
    use azureml_api::condition::Reason;

    use super::*;

    /// A plan with that action and nothing else.
    pub fn plan(action: Action) -> Plan {
        Plan {
            action,
            steps: Vec::new(),
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

    /// An entry with that plan.
    pub fn entry(action: Action) -> Entry {
        let key = Key { kind: "ComputeCluster".to_owned(), namespace: "ml".to_owned(), name: "gpu".to_owned() };
        Entry { plan: Some(plan(action)), ..Entry::new(key, "f.yaml".to_owned()) }
    }

    fn hindered(problem: Problem) -> Entry {
        Entry { problems: vec![problem], ..entry(Action::Update) }
    }

    #[test]
    fn exit_codes_weigh_errors_then_refusals_then_changes() {
        let refused = || hindered(Problem::refused(Reason::InvalidManifest, "m"));
        let error = || hindered(Problem::no_access(Reason::AzureUnavailable, "m"));
        let rows = [
            (vec![], 0),
            (vec![entry(Action::None), entry(Action::Report), entry(Action::Release)], 0),
            (vec![entry(Action::None), entry(Action::Create)], 2),
            (vec![entry(Action::Wait)], 2),
            (vec![entry(Action::Delete), entry(Action::Refuse)], 3),
            (vec![refused(), entry(Action::Create)], 3),
            (vec![error(), refused(), entry(Action::Create)], 1),
        ];
        for (entries, code) in rows {
            let told: Vec<Verdict> = entries.iter().map(Entry::verdict).collect();
            assert_eq!(Report { entries, ..Report::default() }.exit_code(), code, "{told:?}");
        }
    }
}
