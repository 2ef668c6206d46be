//! Observe and remember: the shared view, closer looks where a decision needs them.

use azureml_api::condition::Reason;
use azureml_api::fields::lookup;
use azureml_api::status::{Origin, Verb};
use azureml_arm::{OperationStatus, OperationUrl};
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::{Plan, Step};
use azureml_planner::{Lifecycle, Observed};
use serde_json::Value;

use super::Target;
use crate::failure::{self, Problem, ProblemKind};
use crate::observe::facts::Sizes;
use crate::observe::live;
use crate::report::status;
use crate::resolve::workspace::Place;

impl Target<'_> {
    /// Observe: what Azure has, from the shared view.
    pub(super) async fn observe(&mut self, place: &Place) -> Result<Observed, Problem> {
        self.answer_request(place);
        let view = place.source.view();
        self.facts.workspace_location = view.workspace_text("location").map(str::to_owned);
        self.facts.workspace_id = view.workspace_text("properties.workspaceId").map(str::to_owned);
        if let Some(trouble) = view.trouble.as_deref() {
            let problem = Problem::of_read(trouble);
            let missing = problem.reason == Reason::WorkspaceMissingInAzure;
            if self.lifecycle() == Lifecycle::Deleted && missing {
                return Ok(Observed::Absent);
            }
            // What was seen before stands until it is stale, unless nothing can come of it.
            if problem.kind != ProblemKind::Unseen || place.source.staleness().is_some() {
                return Err(problem);
            }
        }
        self.forget_a_lost_world();
        if self.facts.workspace_location.is_none() {
            return Ok(Observed::Unknown);
        }
        if self.lives_elsewhere(place) {
            return self.read_alone(place).await;
        }
        let last_write = self.ctx.scratches.get(self.key()).last_write_ended;
        Ok(live::from_view(&view, self.object.azure_name(), last_write, place.source.interval()))
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
    fn lives_elsewhere(&self, place: &Place) -> bool {
        let here = format!("{}/", place.workspace_id.to_lowercase());
        !self.id.to_lowercase().starts_with(&here)
    }

    async fn read_alone(&self, place: &Place) -> Result<Observed, Problem> {
        let id = self.resource_id()?;
        let client = place.source.client();
        let permit = live::admit(client, &id, self.key()).await?;
        live::read(client, id.as_str(), permit).await.map_err(|error| Problem::of_read(&error))
    }

    /// A closer look where the plan needs one: the operation's own URL, or the proof that something is gone. `None` when
    /// the plan stands.
    pub(super) async fn look_closer(
        &mut self,
        place: &Place,
        plan: &Plan,
    ) -> Result<Option<Option<Observed>>, Problem> {
        match plan.steps.first() {
            Some(Step::WaitForDetail(..)) => {
                self.detail = Some(self.read_operation(place).await?);
                Ok(Some(None))
            }
            Some(Step::ProveGone) => {
                let id = self.resource_id()?;
                live::prove_gone(place.source.client(), &id, self.key()).await.map(|observed| Some(Some(observed)))
            }
            _ if plan.creates() => Ok(self.learn_sizes(place).then_some(None)),
            _ => Ok(None),
        }
    }

    async fn read_operation(&self, place: &Place) -> Result<OperationDetail, Problem> {
        let client = place.source.client();
        let text = self.status.operation.as_ref().and_then(|operation| operation.url.as_deref()).unwrap_or_default();
        let Ok(url) = OperationUrl::parse(text, client.cloud()) else { return Ok(OperationDetail::NotAvailable) };
        let id = self.resource_id()?;
        let permit = live::admit(client, &id, self.key()).await?;
        match client.operation(&url, permit).await {
            Ok(OperationStatus::Running { .. }) => Ok(OperationDetail::Running),
            Ok(OperationStatus::Succeeded) => Ok(OperationDetail::Succeeded),
            Ok(OperationStatus::Failed(error) | OperationStatus::Canceled(error)) => {
                Ok(OperationDetail::Failed(failure::failure(&error)))
            }
            Ok(OperationStatus::NotAvailable(_)) => Ok(OperationDetail::NotAvailable),
            Err(error) => Err(Problem::of_read(&error)),
        }
    }

    /// Takes in the sizes that the cluster's region offers. Says whether the plan has to be made again with them.
    fn learn_sizes(&mut self, place: &Place) -> bool {
        let Some(region) = self.region() else { return false };
        let subscription = place.source.workspace().subscription().to_owned();
        match self.ctx.facts.sizes(place.source.client(), &subscription, &region, self.key()) {
            Sizes::Known(names) => {
                self.facts.vm_sizes = Some(names.to_vec());
                true
            }
            Sizes::Pending | Sizes::Unknown => false,
        }
    }

    /// Whether the region's sizes are being read: a creation waits for that.
    pub(super) fn sizes_pending(&self, place: &Place) -> bool {
        let Some(region) = self.region() else { return false };
        let subscription = place.source.workspace().subscription().to_owned();
        self.ctx.facts.sizes(place.source.client(), &subscription, &region, self.key()) == Sizes::Pending
    }

    /// The region that the resource is in.
    pub(super) fn region(&self) -> Option<String> {
        let own = lookup(&self.manifest, "spec.location").and_then(Value::as_str).map(str::to_owned);
        own.or_else(|| self.facts.workspace_location.clone())
    }

    /// Remember: how the write under way ended, and what Azure says.
    pub(super) fn remember(&mut self, observed: &Observed, plan: &Plan) {
        let mut remembered = std::mem::take(&mut self.status);
        let input = azureml_planner::Input {
            memory: azureml_planner::Memory { applied: None, azure: None, operation: None, detail: None },
            ..self.input(observed)
        };
        let creating = remembered.operation.as_ref().is_some_and(|operation| operation.verb == Verb::Create);
        status::conclude(&mut remembered, &input, plan);
        if let Some(live) = status::shown(observed, Some(plan)) {
            let workspace_id = self.facts.workspace_id.as_deref();
            let before = remembered.azure.as_ref();
            let mut azure = status::azure(before, &self.id, workspace_id, self.kind.table, live, self.now);
            if creating {
                azure.origin = Some(Origin::Created);
            }
            remembered.azure = Some(azure);
        } else if matches!(observed, Observed::Absent | Observed::Gone)
            && remembered.operation.is_none()
            && !self.manages()
        {
            remembered.azure = None;
        }
        self.status = remembered;
    }
}
