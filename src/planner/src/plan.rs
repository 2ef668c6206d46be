//! The plan: what would be done, in which order, and what a person should know about it.

use azureml_api::condition::Reason;
use azureml_api::fields::Change;
use azureml_api::status::{ChangeStatus, PlanStatus};
use serde_json::Value;

use crate::diff::FieldChange;
use crate::input::Failure;
use crate::operation::Judgement;

/// A body, and where secret values go into it when it is sent. The plan itself holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The body without secrets.
    pub json: Value,
    /// Path in the manifest of each secret, and where it goes on the wire.
    pub secrets: Vec<(&'static str, &'static str)>,
}

/// One step. At most one write to Azure each.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// PUT of a resource that isn't there.
    Create(Body),
    /// PUT over a resource that is there.
    Put(Body),
    /// PATCH.
    Patch(Body),
    /// DELETE with `underlyingResourceAction=Delete`.
    Delete,
    /// Wait, and why.
    Wait(Reason, String),
    /// Wait, and read the operation's URL, since the list no longer tells.
    WaitForDetail(Reason, String),
    /// Find out whether what isn't in the list is really gone.
    ProveGone,
    /// Refuse, and why.
    Refuse(Reason, String),
}

/// What a plan comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Azure is as the manifest says, or nobody asks for more.
    None,
    /// The resource is created.
    Create,
    /// The resource is changed in place.
    Update,
    /// The resource is deleted and created again.
    Replace,
    /// The resource is deleted.
    Delete,
    /// The object's finalizer may go; nothing is written to Azure.
    Release,
    /// Something else has to happen first.
    Wait,
    /// It can't be done as asked.
    Refuse,
    /// Differences are told, not mended.
    Report,
}

/// Why a plan isn't carried out though it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `spec.paused`.
    Paused,
    /// `applyPolicy: Approved` without the plan's hash in the annotation.
    AwaitingApproval,
}

/// The plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it comes down to.
    pub action: Action,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// The fields that change or differ.
    pub changes: Vec<FieldChange>,
    /// Whether Azure was changed by somebody else, rather than the manifest.
    pub drift: bool,
    /// What else happens.
    pub side_effects: Vec<String>,
    /// Values that Azure was given for this generation and doesn't keep: path, wanted, has.
    pub not_honoured: Vec<(String, String, String)>,
    /// What became of the write under way, if there was one.
    pub judgement: Option<Judgement>,
    /// Why the resource is in a failed state, if it is.
    pub failure: Option<Failure>,
    /// Why it isn't carried out.
    pub hold: Option<Hold>,
    /// Identifies it.
    pub hash: String,
}

impl Plan {
    pub(crate) fn new(action: Action, steps: Vec<Step>) -> Self {
        Self {
            action,
            steps,
            changes: Vec::new(),
            drift: false,
            side_effects: Vec::new(),
            not_honoured: Vec::new(),
            judgement: None,
            failure: None,
            hold: None,
            hash: String::new(),
        }
    }

    pub(crate) fn wait(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Action::Wait, vec![Step::Wait(reason, message.into())])
    }

    pub(crate) fn refuse(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Action::Refuse, vec![Step::Refuse(reason, message.into())])
    }

    /// Whether carrying it out writes to Azure.
    pub fn writes(&self) -> bool {
        matches!(self.action, Action::Create | Action::Update | Action::Replace | Action::Delete)
    }

    /// Whether one of its steps creates the resource.
    pub fn creates(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Create(_)))
    }

    /// As it stands in `status.plan`; `None` when there is nothing to tell.
    pub fn status(&self) -> Option<PlanStatus> {
        if !self.writes() && self.changes.is_empty() {
            return None;
        }
        Some(PlanStatus {
            hash: self.hash.clone(),
            action: format!("{:?}", self.action),
            steps: self.steps.iter().map(Step::words).collect(),
            changes: self.changes.iter().take(64).map(change_status).collect(),
            side_effects: self.side_effects.clone(),
        })
    }
}

impl Step {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Create(_) => "create it (PUT)".to_owned(),
            Self::Put(_) => "update it in place (PUT)".to_owned(),
            Self::Patch(_) => "update its scale in place (PATCH)".to_owned(),
            Self::Delete => "delete it (DELETE)".to_owned(),
            Self::Wait(_, message) | Self::WaitForDetail(_, message) => format!("wait: {message}"),
            Self::ProveGone => "make sure that it is gone".to_owned(),
            Self::Refuse(_, message) => format!("refuse: {message}"),
        }
    }
}

fn change_status(change: &FieldChange) -> ChangeStatus {
    ChangeStatus {
        field: change.path.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        effect: if change.change == Change::Replace { "Replace" } else { "InPlace" }.to_owned(),
    }
}
