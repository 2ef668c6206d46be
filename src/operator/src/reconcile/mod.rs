//! One look at an object that stands for a compute: resolve → observe → plan → apply → report.

mod observe;
mod tell;
mod write;

pub use tell::undecodable;

use std::sync::Arc;
use std::time::Duration;

use azureml_api::common::ManagementPolicy;
use azureml_api::condition::Reason;
use azureml_api::registry::{Common, Kind};
use azureml_api::status::TargetStatus;
use azureml_api::workspace::WorkspaceSpec;
use azureml_arm::ResourceId;
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::{Action, Plan, Step};
use azureml_planner::{Facts, Input, Lifecycle, Memory, Observed, Owner, operation, plan};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::request;
use crate::failure::Problem;
use crate::index::{Key, Object};
use crate::kubernetes;
use crate::resolve::secrets::Secrets;
use crate::resolve::workspace::Place;
use crate::resolve::{self, ResolveError};

/// When an object is looked at again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    OnChange,
    /// After this time, if nothing changes before.
    After(Duration),
}

/// Intervals after which an object is looked at from memory though nothing changed.
const SLOW_INTERVALS: u32 = 10;
/// How soon an object without a Workspace is looked at again, if nothing wakes it before.
const ALONE: Duration = Duration::from_secs(300);

/// One object while it is looked at.
struct Target<'a> {
    ctx: &'a Arc<Context>,
    kind: &'static Kind,
    object: Arc<Object>,
    common: Common,
    /// The manifest as the planner reads it.
    manifest: Value,
    owner: Owner,
    /// What is remembered, as it changes during this look.
    status: TargetStatus,
    now: Timestamp,
    id: String,
    facts: Facts,
    secrets: Secrets,
    detail: Option<OperationDetail>,
}

/// Looks at one object.
///
/// # Errors
/// When the API server fails; the look is repeated later.
pub async fn target(ctx: &Arc<Context>, kind: &'static Kind, key: &Key) -> Result<Next, kube::Error> {
    let Some(object) = ctx.index.get(key) else { return Ok(Next::OnChange) };
    if object.is_deleting() && !object.has_finalizer() {
        return Ok(Next::OnChange);
    }
    let decoded = (kind.decode)(object.spec()).and_then(|common| Ok((common, status_of(&object)?)));
    match decoded {
        Ok((common, status)) => Target::new(ctx, kind, object, common, status).look().await,
        Err(error) => tell::undecodable(ctx, &object, &error.to_string()).await,
    }
}

fn status_of(object: &Object) -> Result<TargetStatus, serde_json::Error> {
    match object.status() {
        Value::Null => Ok(TargetStatus::default()),
        status => TargetStatus::deserialize(status),
    }
}

impl<'a> Target<'a> {
    fn new(
        ctx: &'a Arc<Context>,
        kind: &'static Kind,
        object: Arc<Object>,
        common: Common,
        status: TargetStatus,
    ) -> Self {
        let owner = Owner {
            owner_id: ctx.owner_id.clone(),
            kind: kind.kind.to_owned(),
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            uid: object.raw.metadata.uid.clone().unwrap_or_default(),
            generation: object.generation(),
        };
        let known = status.azure.as_ref().map(|azure| &azure.id);
        let id = known.or(status.operation.as_ref().map(|operation| &operation.id)).cloned().unwrap_or_default();
        Self {
            ctx,
            kind,
            manifest: json!({"spec": object.spec()}),
            object,
            common,
            owner,
            status,
            now: Timestamp::now(),
            id,
            facts: Facts::default(),
            secrets: Secrets::default(),
            detail: None,
        }
    }

    fn key(&self) -> &Key {
        &self.object.key
    }

    fn lifecycle(&self) -> Lifecycle {
        if self.object.is_deleting() { Lifecycle::Deleted } else { Lifecycle::Wanted }
    }

    /// What the planner is asked.
    fn input<'b>(&'b self, observed: &'b Observed) -> Input<'b> {
        Input {
            owner: &self.owner,
            id: &self.id,
            table: self.kind.table,
            lifecycle: self.lifecycle(),
            manifest: &self.manifest,
            hashes: &self.secrets.hashes,
            observed,
            memory: Memory {
                applied: self.status.applied.as_ref(),
                azure: self.status.azure.as_ref(),
                operation: self.status.operation.as_ref(),
                detail: self.detail.as_ref(),
            },
            facts: &self.facts,
            policies: &self.common.policies,
            approved: self.object.annotation(azureml_api::APPROVE_ANNOTATION),
            take_over_from: self.object.annotation(azureml_api::TAKE_OVER_ANNOTATION),
            now: self.now,
            running_since: self.ctx.started_at,
            consistency_window: self.ctx.settings.consistency_window,
        }
    }

    async fn look(mut self) -> Result<Next, kube::Error> {
        // A deletion that has nothing to do in Azure needs no Azure.
        if self.lifecycle() == Lifecycle::Deleted && plan(&self.input(&Observed::Unknown)).action == Action::Release {
            return self.release().await;
        }
        let place = match self.resolve().await {
            Ok(place) => place,
            Err(ResolveError::Problem(problem)) => {
                let next = Next::After(self.interval());
                return self.report(None, &Observed::Unknown, Some(problem), None, next).await;
            }
            Err(ResolveError::Kubernetes(error)) => return Err(error),
        };
        let observed = match self.observe(&place).await {
            Ok(observed) => observed,
            Err(problem) => {
                let next = Next::After(place.source.interval());
                return self.report(None, &Observed::Unknown, Some(problem), Some(&place), next).await;
            }
        };
        self.carry_out(place, observed).await
    }

    /// Resolve: the Workspace, the claim, the secrets.
    async fn resolve(&mut self) -> Result<Place, ResolveError> {
        let place = resolve::workspace::resolve(self.ctx, &self.object)?;
        let arm_id = format!("{}/computes/{}", place.workspace_id, self.object.azure_name());
        self.same_workspace(&arm_id)?;
        if !self.object.is_deleting() {
            self.claim(&arm_id)?;
            self.id = arm_id;
            self.secrets = resolve::secrets::resolve(
                self.ctx,
                &self.object.key.namespace,
                &self.manifest,
                self.kind.table,
                &self.common,
            )
            .await?;
        } else if self.id.is_empty() {
            self.id = arm_id;
        }
        Ok(place)
    }

    /// One object a resource: who has written there, else the oldest. Observing asks nobody, and deletion goes by the
    /// owner's tag.
    fn claim(&self, arm_id: &str) -> Result<(), Problem> {
        if !self.manages() {
            return Ok(());
        }
        match self.ctx.index.claimants(arm_id).into_iter().next() {
            Some(first) if first != *self.key() => Err(Problem::stalled(
                Reason::NameClaimed,
                format!("{first} already stands for the same {} {arm_id}: delete one of the two", self.kind.table.noun),
            )),
            _ => Ok(()),
        }
    }

    /// The resource that status names lives in the workspace that the Workspace object names.
    fn same_workspace(&self, arm_id: &str) -> Result<(), Problem> {
        let moved = !self.object.is_deleting()
            && self.status.azure.as_ref().is_some_and(|azure| !azure.id.eq_ignore_ascii_case(arm_id));
        if !moved {
            return Ok(());
        }
        Err(Problem::stalled(
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

    /// Plan and apply: what is planned is told, and its first step taken where nothing holds it.
    async fn carry_out(mut self, place: Place, observed: Observed) -> Result<Next, kube::Error> {
        let mut observed = observed;
        let mut plan = plan(&self.input(&observed));
        match self.look_closer(&place, &plan).await {
            Ok(None) => {}
            Ok(Some(closer)) => {
                observed = closer.unwrap_or(observed);
                plan = azureml_planner::plan(&self.input(&observed));
            }
            Err(problem) => {
                let next = Next::After(place.source.interval());
                return self.report(Some(&plan), &observed, Some(problem), Some(&place), next).await;
            }
        }
        if plan.action == Action::Release {
            return self.release().await;
        }
        self.remember(&observed, &plan);
        self.keep_finalizer().await?;
        if plan.writes() && plan.hold.is_none() {
            return self.write(place, observed, plan).await;
        }
        self.mark_overdue(&mut plan);
        let next = self.next(&plan, &place);
        self.report(Some(&plan), &observed, None, Some(&place), next).await
    }

    /// Whoever replaced the object may have dropped the finalizer; without it a deletion would leave Azure behind.
    async fn keep_finalizer(&mut self) -> Result<(), kube::Error> {
        let written = self.status.operation.is_some() || self.status.applied.is_some();
        if written && self.manages() && self.lifecycle() == Lifecycle::Wanted && !self.object.has_finalizer() {
            self.object = kubernetes::add_finalizer(self.ctx, &self.object).await?;
        }
        Ok(())
    }

    /// The interval of the Workspace, connected or not.
    fn interval(&self) -> Duration {
        let workspace = self.object.workspace().and_then(|key| self.ctx.index.get(&key));
        let spec = workspace.and_then(|workspace| WorkspaceSpec::deserialize(workspace.spec()).ok());
        spec.map_or(ALONE, |spec| Duration::from_secs(spec.observe_interval_seconds()))
    }

    fn next(&self, plan: &Plan, place: &Place) -> Next {
        let interval = place.source.interval();
        // While something is awaited the source wakes the object at every look; this is for a source that fails.
        Next::After(if plan.action == Action::Wait { interval } else { interval * SLOW_INTERVALS })
    }

    fn mark_overdue(&self, plan: &mut Plan) {
        let Some(under_way) = &self.status.operation else { return };
        let age = operation::age(under_way, self.now);
        if age < self.ctx.settings.operation_overdue.as_secs() {
            return;
        }
        if let Some(Step::Wait(reason, message)) = plan.steps.first_mut() {
            *reason = Reason::OperationOverdue;
            *message = format!(
                "{:?} has been under way since {} ({message}): look at the resource in Azure",
                under_way.verb, under_way.started_at.0
            );
        }
    }

    /// The finalizer goes; nothing is written to Azure.
    async fn release(self) -> Result<Next, kube::Error> {
        if let Ok(place) = resolve::workspace::resolve(self.ctx, &self.object) {
            place.source.set_busy(&self.id, false);
        }
        kubernetes::remove_finalizer(self.ctx, &self.object).await?;
        Ok(Next::OnChange)
    }

    fn resource_id(&self) -> Result<ResourceId, Problem> {
        ResourceId::parse(&self.id).map_err(|error| Problem::stalled(Reason::InvalidManifest, error.to_string()))
    }

    fn manages(&self) -> bool {
        self.common.policies.management_policy == ManagementPolicy::Manage
    }

    /// Acts on the reconcile annotation.
    fn answer_request(&mut self, place: &Place) {
        let before = self.status.last_handled_reconcile_at.as_deref();
        if let Some(asked) = request::answer(self.ctx, &self.object, &place.source, before) {
            self.status.last_handled_reconcile_at = Some(asked);
        }
    }
}
