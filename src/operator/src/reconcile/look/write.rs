//! Write: one step of the plan, after its turn has come, on what Azure has at that moment, with the intent recorded.

use std::time::Duration;

use azureml_api::condition::Reason;
use azureml_api::status::Verb;
use azureml_arm::{ArmError, ErrorClass, ErrorKind};
use azureml_planner::diff::FieldChange;
use azureml_planner::operation::Judgement;
use azureml_planner::plan::{Action, Plan, Step};
use azureml_planner::{Lifecycle, Observed, operation};

use super::{Effect, Look, Next};
use crate::apply::{self, Outcome};
use crate::engine::retry::{self, Due, Failed, Shown};
use crate::failure::{self, Problem};
use crate::index::Key;
use crate::observe::facts::Sizes;

impl Look {
    /// The plan's first step, if its time has come.
    pub(super) fn write(&mut self) -> Effect {
        if let Some((problem, next)) = self.waits_out_a_failure() {
            return self.report(Some(problem), next);
        }
        let creates = self.plan.as_ref().is_some_and(Plan::creates);
        if creates && self.sizes == Some(Sizes::Pending) {
            self.wait_instead(Reason::Pending, "reading which VM sizes the region offers");
            return self.report(None, Next::After(self.interval));
        }
        match self.first_step().and_then(apply::verb) {
            Some(_) if !self.object.has_finalizer() => Effect::AddFinalizer,
            Some(verb) => Effect::TakeTurn { verb },
            None => self.report(None, self.next()),
        }
    }

    pub(super) fn wait_for_turn(&mut self, expected: Duration) -> Effect {
        let message = "the write waits its turn: Azure Resource Manager's request limits bind";
        self.wait_instead(Reason::WaitingForBudget, message);
        self.report(None, Next::After(expected.max(self.interval)))
    }

    fn wait_instead(&mut self, reason: Reason, message: &str) {
        if let Some(plan) = &mut self.plan {
            plan.action = Action::Wait;
            plan.steps = vec![Step::Wait(reason, message.to_owned())];
        }
    }

    /// The plan is made once more on what Azure has right now; only if that writes the same, it is written. If not, one of
    /// the two is behind the other: nothing is concluded from either until the next list.
    pub(super) fn write_on(&mut self, fresh: Observed, rival: Option<Key>) -> Effect {
        let listed = self.plan.take();
        let seen = std::mem::replace(&mut self.observed, fresh);
        let plan = self.made_plan();
        let Some(verb) = listed.as_ref().and_then(|listed| confirmed(listed, &plan)) else {
            (self.plan, self.observed) = (listed, seen);
            return self.look_again();
        };
        self.plan = Some(plan);
        self.remember();
        if self.lifecycle() == Lifecycle::Wanted
            && let Some(problem) = self.claimed_by(rival.as_ref(), &self.id)
        {
            return self.report(Some(problem), self.next());
        }
        let intent = self.plan.as_ref().map(|plan| apply::intent(&self.input(), plan, verb, &self.hashes));
        self.status.operation = intent;
        // From here on a difference may be our own write's doing, even to a manifest that Azure was equal to before.
        if let Some(applied) = &mut self.status.applied {
            applied.manifest = None;
        }
        Effect::RecordIntent
    }

    pub(super) fn unread(&mut self, error: &ArmError) -> Effect {
        self.observed = Observed::Unknown;
        let problem = Problem::of_read_before_write(error);
        let next = self.record_failure(error, problem.clone());
        self.report(Some(problem), next)
    }

    /// The intent is on record. Whoever reads it counts the window from when it was decided on, so a write that would
    /// leave later isn't sent.
    pub(super) fn send(&mut self) -> Effect {
        let decided = self.status.operation.as_ref().map(|intent| operation::age(intent, self.now.time));
        if decided.is_some_and(|age| age > self.rules.consistency_window.as_secs()) {
            // Nothing was sent, and nobody knows that better.
            self.status.operation = None;
            let problem =
                Problem::blocked(Reason::Verifying, "the write was held up too long to be sent; it is planned anew");
            return self.report(Some(problem), Next::After(self.interval));
        }
        match self.first_step().and_then(|step| Some((apply::verb(step)?, step.clone()))) {
            Some((verb, step)) => Effect::Send { verb, step },
            None => self.report(None, self.next()),
        }
    }

    pub(super) fn sent(&mut self, outcome: Outcome) -> Effect {
        match outcome {
            Outcome::Accepted(response) => {
                if let Some(verb) = self.first_step().and_then(apply::verb) {
                    self.accept(verb, response);
                    let (reason, message) = accepted(verb);
                    self.wait_instead(reason, message);
                }
                self.report(None, Next::After(self.interval))
            }
            Outcome::Refused(error) => {
                self.status.operation = None;
                let problem = match error.kind {
                    ErrorKind::Throttled(_) => Problem::blocked(Reason::Throttled, failure::words(&error)),
                    _ => Problem::of_write(&error),
                };
                let next = self.record_failure(&error, problem.clone());
                self.report(Some(problem), next)
            }
            Outcome::Uncertain(error) => {
                self.keep_uncertain();
                let problem = Problem::blocked(
                    Reason::Verifying,
                    format!("whether Azure got the write isn't known, which is being found out: {error}"),
                );
                self.report(Some(problem), Next::After(self.rules.consistency_window.min(self.interval)))
            }
        }
    }

    /// The wait after a failure of this very plan, or of the write that led to it.
    fn waits_out_a_failure(&mut self) -> Option<(Problem, Next)> {
        let plan = self.plan.as_ref()?;
        let shown = match (&plan.failure, plan.judgement.as_ref().and_then(Judgement::failure)) {
            (Some(_), Some(_)) => Shown::Again,
            (Some(_), None) => Shown::Still,
            (None, _) => Shown::Not,
        };
        let generation = self.owner.generation;
        match retry::due(self.attempt.as_ref(), &plan.hash, generation, shown) {
            Due::Now => None,
            Due::AtOnceForTheEdit => {
                let hash = plan.hash.clone();
                let now = self.now.instant;
                self.attempt = self.attempt.take().map(|attempt| attempt.forgiven(hash, generation, now));
                None
            }
            Due::AfterTheLast => {
                let attempt = self.attempt.as_ref()?;
                let left = attempt.until.saturating_duration_since(self.now.instant);
                (!left.is_zero()).then(|| (attempt.problem.clone(), Next::After(left)))
            }
            Due::AfterThisOne => {
                let failure = plan.failure.as_ref()?;
                let problem = failure::problem(failure);
                let next = self.record(failure::class(failure), None, problem.clone());
                Some((problem, next))
            }
        }
    }

    fn record_failure(&mut self, error: &ArmError, problem: Problem) -> Next {
        self.record(error.class, error.retry_after, problem)
    }

    fn record(&mut self, class: ErrorClass, asked: Option<Duration>, problem: Problem) -> Next {
        let hash = self.plan.as_ref().map(|plan| plan.hash.clone()).unwrap_or_default();
        let failed = Failed { hash, generation: self.owner.generation, class, asked, problem };
        let attempt = self.rules.retry.record(self.attempt.as_ref(), failed, self.now.instant);
        let wait = attempt.until.saturating_duration_since(self.now.instant);
        self.attempt = Some(attempt);
        Next::After(wait)
    }
}

/// The write of the read right before it, where the list showed the need for it too. Either may be behind the other: what
/// only one of them calls for may be done already.
fn confirmed(listed: &Plan, read: &Plan) -> Option<Verb> {
    let verb = |plan: &Plan| plan.steps.first().and_then(apply::verb);
    let same_sort = match (verb(listed), verb(read)) {
        (Some(Verb::Put | Verb::Patch), Some(Verb::Put | Verb::Patch)) => true,
        (listed, read) => listed == read,
    };
    let known = |change: &FieldChange| listed.changes.iter().any(|it| it.path == change.path && it.to == change.to);
    let agreed = same_sort && read.hold.is_none() && read.changes.iter().all(known);
    verb(read).filter(|_| agreed)
}

fn accepted(verb: Verb) -> (Reason, &'static str) {
    match verb {
        Verb::Create => (Reason::Creating, "Azure has accepted the creation"),
        Verb::Put | Verb::Patch => (Reason::Updating, "Azure has accepted the update"),
        Verb::Delete => (Reason::Deleting, "Azure has accepted the deletion"),
    }
}
