//! Resolve and observe: whose turn it is at the resource, and what of Azure counts.

use azureml_api::condition::Reason;
use azureml_planner::{Lifecycle, Observed};

use super::{Closer, Effect, Look, Place, Sight};
use crate::failure::{Problem, ProblemKind};
use crate::index::Key;
use crate::observe::live;
use crate::observe::source::{STALE_INTERVALS, View};

impl Look {
    pub(super) fn resolved(&mut self, place: Place) -> Effect {
        self.interval = place.interval;
        let arm_id = format!("{}/computes/{}", place.workspace_id, self.object.azure_name());
        self.workspace_id = place.workspace_id;
        if self.lifecycle() == Lifecycle::Deleted {
            if self.id.is_empty() {
                self.id = arm_id;
            }
            return Effect::Observe;
        }
        if let Some(problem) = self.moved(&arm_id).or_else(|| self.claimed_by(place.rival.as_ref(), &arm_id)) {
            return self.hindered(problem);
        }
        self.id = arm_id;
        Effect::ReadSecrets
    }

    /// The resource that status names lives in another workspace than the Workspace object names.
    fn moved(&self, arm_id: &str) -> Option<Problem> {
        let known = self.status.azure.as_ref()?;
        if known.id.eq_ignore_ascii_case(arm_id) {
            return None;
        }
        Some(Problem::stalled(
            Reason::WorkspaceChanged,
            format!(
                "this object's {} is {}, but its Workspace now stands for {}: point the Workspace back, or delete this \
                 object",
                self.kind.table.noun,
                self.id,
                arm_id.rsplit_once("/computes/").map_or(arm_id, |(workspace, _)| workspace)
            ),
        ))
    }

    /// One object a resource: who has written there, else the oldest. Observing asks nobody, and deletion goes by the
    /// owner's tag.
    pub(super) fn claimed_by(&self, rival: Option<&Key>, arm_id: &str) -> Option<Problem> {
        let first = rival.filter(|_| self.manages())?;
        Some(Problem::stalled(
            Reason::NameClaimed,
            format!("{first} already stands for the same {} {arm_id}: delete one of the two", self.kind.table.noun),
        ))
    }

    /// What the shared view says, and whether it counts.
    pub(super) fn seen(&mut self, sight: Sight) -> Effect {
        let Sight { view, api_version, stale, last_write, attempt, answered } = sight;
        self.attempt = attempt;
        if answered.is_some() {
            self.status.last_handled_reconcile_at = answered;
        }
        self.facts.workspace_location = view.workspace_text("location").map(str::to_owned);
        self.facts.api_version = api_version;
        self.facts.workspace_id = view.workspace_text("properties.workspaceId").map(str::to_owned);
        if let Some(trouble) = view.trouble.as_deref() {
            let problem = Problem::of_read(trouble);
            let missing = problem.reason == Reason::WorkspaceMissingInAzure;
            if self.lifecycle() == Lifecycle::Deleted && missing {
                self.observed = Observed::Absent;
                return self.planned(Closer::Wanted);
            }
            // What was seen before stands until it is stale, unless nothing can come of it.
            if problem.kind != ProblemKind::Unseen || stale.is_some() {
                return self.hindered(problem);
            }
        }
        if let Some(problem) = self.cannot_be_read(&view) {
            return self.hindered(problem);
        }
        self.forget_a_lost_world();
        if self.facts.workspace_location.is_some() {
            if self.lives_elsewhere() {
                return Effect::ReadElsewhere;
            }
            let age = view.started.map(|started| self.now.instant.saturating_duration_since(started));
            self.seen_at = self.now.time.saturating_sub(age.unwrap_or_default()).unwrap_or(self.now.time);
            self.observed = live::from_view(&view, self.object.azure_name(), last_write, self.interval);
        }
        self.planned(Closer::Wanted)
    }

    /// Why the resource itself can't be seen though its workspace can, once that has lasted.
    fn cannot_be_read(&self, view: &View) -> Option<Problem> {
        let unread = view.unread.get(&self.object.azure_name().to_lowercase())?;
        let problem = Problem::of_read_before_write(&unread.error);
        let lasts = self.now.instant.saturating_duration_since(unread.since) > self.interval * STALE_INTERVALS;
        (lasts || Problem::of_read(&unread.error).kind != ProblemKind::Unseen).then_some(problem)
    }

    /// A workspace of the same name with another id is another workspace: what lived in the old one went with it, and what
    /// was under way there ends nowhere.
    fn forget_a_lost_world(&mut self) {
        let lost = self.status.azure.as_ref().is_some_and(|azure| {
            azure.workspace_id.is_some()
                && self.facts.workspace_id.is_some()
                && azure.workspace_id != self.facts.workspace_id
        });
        if lost && self.lifecycle() == Lifecycle::Wanted {
            self.status.operation = None;
        }
    }

    /// Being deleted, while the Workspace object stands for another workspace by now.
    fn lives_elsewhere(&self) -> bool {
        let here = format!("{}/", self.workspace_id.to_lowercase());
        !self.id.to_lowercase().starts_with(&here)
    }
}
