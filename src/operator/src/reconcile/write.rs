//! Write: one step of the plan, after its turn has come, on what Azure has at that moment, with the intent recorded.

use azureml_api::condition::{Reason, whole_second};
use azureml_api::status::{Operation, Origin, Phase, Verb};
use azureml_arm::{ErrorKind, Permit, Response};
use azureml_planner::plan::{Plan, Step};
use azureml_planner::{Lifecycle, Observed};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{Next, Target};
use crate::apply::{self, Outcome};
use crate::failure::{self, Problem};
use crate::kubernetes;
use crate::observe::live;
use crate::report::status;
use crate::resolve::workspace::Place;

/// A write that may go ahead.
struct Turn {
    write: Permit,
    read: Permit,
}

impl Target<'_> {
    /// Takes the plan's first step, if its time and its turn have come.
    pub(super) async fn write(mut self, place: Place, observed: Observed, plan: Plan) -> Result<Next, kube::Error> {
        if let Some((problem, next)) = self.waits_out_a_failure(&plan) {
            return self.report(Some(&plan), &observed, Some(problem), Some(&place), next).await;
        }
        if plan.creates() && self.sizes_pending(&place) {
            let waiting = Plan { steps: vec![pending_sizes()], action: azureml_planner::Action::Wait, ..plan };
            let next = Next::After(place.source.interval());
            return self.report(Some(&waiting), &observed, None, Some(&place), next).await;
        }
        let Some(verb) = plan.steps.first().and_then(apply::verb) else { return Ok(Next::OnChange) };
        if !self.object.has_finalizer() {
            self.object = kubernetes::add_finalizer(self.ctx, &self.object).await?;
        }
        let turn = match self.take_turn(&place, verb, &plan) {
            Ok(Ok(turn)) => turn,
            Ok(Err(expected)) => {
                let message = "the write waits its turn: Azure Resource Manager's request limits bind".to_owned();
                let step = Step::Wait(Reason::WaitingForBudget, message);
                let waiting = Plan { steps: vec![step], action: azureml_planner::Action::Wait, ..plan };
                let next = Next::After(expected.max(place.source.interval()));
                return self.report(Some(&waiting), &observed, None, Some(&place), next).await;
            }
            Err(problem) => {
                let next = self.next(&plan, &place);
                return self.report(Some(&plan), &observed, Some(problem), Some(&place), next).await;
            }
        };
        self.write_on_fresh_knowledge(place, plan, turn).await
    }

    /// The plan is made once more on what Azure has right now; only if that still writes, it is written.
    async fn write_on_fresh_knowledge(mut self, place: Place, before: Plan, turn: Turn) -> Result<Next, kube::Error> {
        let client = place.source.client();
        let fresh = match live::read(client, &self.id, turn.read).await {
            Ok(fresh) => fresh,
            Err(error) => {
                let problem = Problem::of_read_before_write(&error);
                let next = self.record_failure(&before.hash, &error, problem.clone());
                return self.report(Some(&before), &Observed::Unknown, Some(problem), Some(&place), next).await;
            }
        };
        let plan = azureml_planner::plan(&self.input(&fresh));
        if plan.action == azureml_planner::Action::Release {
            return self.release().await;
        }
        self.remember(&fresh, &plan);
        let step = plan.steps.first().filter(|_| plan.writes() && plan.hold.is_none()).cloned();
        let same_bucket = |step: &Step| {
            apply::verb(step).map(|verb| verb == Verb::Delete)
                == before.steps.first().and_then(apply::verb).map(|verb| verb == Verb::Delete)
        };
        let Some((step, verb)) = step.filter(same_bucket).and_then(|step| Some((step.clone(), apply::verb(&step)?)))
        else {
            // Azure has changed since the list was read: look again with the next list.
            place.source.hurry();
            let next = self.next(&plan, &place);
            return self.report(Some(&plan), &fresh, None, Some(&place), next).await;
        };
        if self.lifecycle() == Lifecycle::Wanted
            && let Err(problem) = self.claim(&self.id)
        {
            let next = self.next(&plan, &place);
            return self.report(Some(&plan), &fresh, Some(problem), Some(&place), next).await;
        }
        let operation = apply::intent(&self.input(&fresh), &plan, verb, &self.secrets.hashes);
        self.status.operation = Some(operation);
        let intended = self.render(Some(&plan), &fresh, None, Some(&place));
        self.object = kubernetes::write_status(self.ctx, &self.object, &intended).await?;
        place.source.set_busy(&self.id, true);
        let outcome = apply::send(client, &self.id, &step, &self.secrets.values, turn.write).await;
        self.ctx.scratches.update(self.key(), |scratch| scratch.last_write_ended = Some(Instant::now()));
        place.source.hurry();
        self.conclude_write(place, plan, fresh, verb, outcome).await
    }

    async fn conclude_write(
        mut self,
        place: Place,
        plan: Plan,
        fresh: Observed,
        verb: Verb,
        outcome: Outcome,
    ) -> Result<Next, kube::Error> {
        match outcome {
            Outcome::Accepted(response) => {
                self.ctx.metrics.acted(self.kind.kind, &format!("{verb:?}"));
                self.accept(verb, response);
                self.tell_of_write(verb, &plan).await;
                let under_way = Plan { steps: vec![under_way(verb)], action: azureml_planner::Action::Wait, ..plan };
                let next = Next::After(place.source.interval());
                self.report(Some(&under_way), &fresh, None, Some(&place), next).await
            }
            Outcome::Refused(error) => {
                self.status.operation = None;
                place.source.set_busy(&self.id, false);
                let problem = match error.kind {
                    ErrorKind::Throttled(_) => Problem::blocked(Reason::Throttled, failure::words(&error)),
                    _ => Problem::of_write(&error),
                };
                let next = self.record_failure(&plan.hash, &error, problem.clone());
                self.report(Some(&plan), &fresh, Some(problem), Some(&place), next).await
            }
            Outcome::Uncertain(error) => {
                // A request may take as long as the window: it begins when the answer is lost.
                if let Some(operation) = &mut self.status.operation {
                    operation.started_at = whole_second(Timestamp::now());
                }
                // The intent stands: its outcome is found out before anything is written again.
                let problem = Problem::blocked(
                    Reason::Verifying,
                    format!("whether Azure got the write isn't known, which is being found out: {error}"),
                );
                let next = Next::After(self.ctx.settings.consistency_window.min(place.source.interval()));
                self.report(Some(&plan), &fresh, Some(problem), Some(&place), next).await
            }
        }
    }

    /// Azure took the write.
    fn accept(&mut self, verb: Verb, response: Response) {
        let url = response.operation.map(|url| url.as_str().to_owned());
        let started_at = whole_second(Timestamp::now());
        self.status.operation = self.status.operation.take().map(|intended| Operation {
            phase: Phase::Running,
            url,
            started_at,
            ..intended
        });
        let workspace_id = self.facts.workspace_id.as_deref();
        let table = self.kind.table;
        if matches!(verb, Verb::Create | Verb::Put | Verb::Patch) && response.body.is_object() {
            let before = self.status.azure.as_ref().filter(|_| verb != Verb::Create);
            let mut azure = status::azure(before, &self.id, workspace_id, table, &response.body, self.now);
            if verb == Verb::Create {
                azure.origin = Some(Origin::Created);
            }
            self.status.azure = Some(azure);
        }
        if verb == Verb::Create {
            // What was written to an earlier resource of this name says nothing of this one.
            self.status.applied = None;
        }
    }

    fn take_turn(&self, place: &Place, verb: Verb, plan: &Plan) -> Result<Result<Turn, std::time::Duration>, Problem> {
        let id = self.resource_id()?;
        let client = place.source.client();
        let region = self.region().unwrap_or_default();
        let write = match apply::admit(client, &id, &region, self.key(), verb, plan) {
            Ok(permit) => permit,
            Err(expected) => return Ok(Err(expected)),
        };
        Ok(match apply::admit_read(client, &id, &region, self.key(), plan) {
            Ok(read) => Ok(Turn { write, read }),
            Err(expected) => {
                // The turn to write isn't lost to the wait for the read that goes before it.
                apply::keep_turn(client, self.key(), write);
                Err(expected)
            }
        })
    }

    /// The wait after a failure of this very plan, or of the write that led to it.
    fn waits_out_a_failure(&self, plan: &Plan) -> Option<(Problem, Next)> {
        let scratch = self.ctx.scratches.get(self.key());
        let known = scratch.attempt.as_ref().filter(|attempt| attempt.hash == plan.hash);
        if let Some(attempt) = known {
            let left = attempt.until.saturating_duration_since(Instant::now());
            return (!left.is_zero()).then(|| (attempt.problem.clone(), Next::After(left)));
        }
        // A failure that Azure shows: the first try after it waits like any other. After our own restart too.
        let failure = plan.failure.as_ref()?;
        if scratch.attempt.as_ref().is_some_and(|attempt| attempt.generation != self.owner.generation) {
            return None;
        }
        let problem = failure::problem(failure);
        let attempt = self.ctx.retry.record(
            scratch.attempt.as_ref(),
            &plan.hash,
            self.owner.generation,
            failure::class(failure),
            None,
            problem.clone(),
        );
        let wait = attempt.until.saturating_duration_since(Instant::now());
        self.ctx.scratches.update(self.key(), |scratch| scratch.attempt = Some(attempt));
        Some((problem, Next::After(wait)))
    }

    fn record_failure(&self, hash: &str, error: &azureml_arm::ArmError, problem: Problem) -> Next {
        let mut wait = std::time::Duration::ZERO;
        let retry = self.ctx.retry;
        let generation = self.owner.generation;
        self.ctx.scratches.update(self.key(), |scratch| {
            let attempt =
                retry.record(scratch.attempt.as_ref(), hash, generation, error.class, error.retry_after, problem);
            wait = attempt.until.saturating_duration_since(Instant::now());
            scratch.attempt = Some(attempt);
        });
        Next::After(wait)
    }

    /// Renders the status as it would be written now.
    pub(super) fn render(
        &self,
        plan: Option<&Plan>,
        observed: &Observed,
        problem: Option<&Problem>,
        place: Option<&Place>,
    ) -> serde_json::Value {
        super::tell::render(self, plan, observed, problem, place)
    }
}

fn pending_sizes() -> Step {
    Step::Wait(Reason::Pending, "reading which VM sizes the region offers".to_owned())
}

fn under_way(verb: Verb) -> Step {
    let (reason, message) = match verb {
        Verb::Create => (Reason::Creating, "Azure has accepted the creation"),
        Verb::Put | Verb::Patch => (Reason::Updating, "Azure has accepted the update"),
        Verb::Delete => (Reason::Deleting, "Azure has accepted the deletion"),
    };
    Step::Wait(reason, message.to_owned())
}
