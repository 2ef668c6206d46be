//! Carries out what a look asks for, one effect at a time, and tells it what came of it.

use std::sync::Arc;
use std::time::Duration;

use azureml_api::ML_API_VERSION;
use azureml_api::condition::Reason;
use azureml_api::status::Verb;
use azureml_arm::{OperationStatus, OperationUrl, Permit, ResourceId};
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::Step;
use tokio::time::Instant;

use super::look::{Effect, Event, Look, Moment, Next, Place, Report, Sight, ViewAge};
use super::tell;
use crate::apply::{self, Outcome};
use crate::context::Context;
use crate::engine::request;
use crate::failure::{self, Problem};
use crate::index::Key;
use crate::kubernetes;
use crate::observe::gaps::missing_right;
use crate::observe::live;
use crate::observe::source::Source;
use crate::resolve::secrets::Secrets;
use crate::resolve::{self, ResolveError};

/// What a look needs to reach Kubernetes and Azure.
struct Hands<'a> {
    ctx: &'a Arc<Context>,
    source: Option<Arc<Source>>,
    secrets: Secrets,
    turn: Turn,
}

/// The turns to read right before a write, and to write. Each is for one request.
#[derive(Default)]
struct Turn {
    read: Option<Permit>,
    write: Option<Permit>,
}

/// Carries a look out.
pub(super) async fn run(ctx: &Arc<Context>, mut look: Look) -> Result<Next, kube::Error> {
    let mut hands = Hands { ctx, source: None, secrets: Secrets::default(), turn: Turn::default() };
    let mut effect = look.begin();
    loop {
        let done = match effect {
            Effect::Release => return hands.release(&look).await,
            Effect::Report(report) => return hands.report(look, report).await,
            Effect::Resolve => hands.resolve(&look),
            Effect::ReadSecrets => hands.read_secrets(&look).await,
            Effect::Observe => hands.observe(&look),
            Effect::ReadElsewhere => hands.read_elsewhere(&look).await,
            Effect::AskOperation => hands.ask_operation(&look).await,
            Effect::ProveGone => hands.prove_gone(&look).await,
            Effect::LearnSizes { region } => hands.learn_sizes(&look, &region),
            Effect::AddFinalizer => hands.add_finalizer(&look).await,
            Effect::TakeTurn { verb } => hands.take_turn(&look, verb),
            Effect::ReadFresh => hands.read_fresh(&look).await,
            Effect::RecordIntent => hands.record_intent(&look).await,
            Effect::Send { verb, step } => hands.send(&look, verb, &step).await,
        };
        let event = match done {
            Ok(event) => event,
            Err(ResolveError::Problem(problem)) => Event::Hindered(problem),
            Err(ResolveError::Kubernetes(error)) => return Err(error),
        };
        effect = look.on(event, Moment::now());
    }
}

type Done = Result<Event, ResolveError>;

impl Hands<'_> {
    fn resolve(&mut self, look: &Look) -> Done {
        let place = resolve::workspace::resolve(self.ctx, &look.object)?;
        let interval = place.source.interval();
        self.source = Some(place.source);
        let arm_id = format!("{}/computes/{}", place.workspace_id, look.object.azure_name());
        let rival = self.rival(look, &arm_id);
        Ok(Event::Resolved(Place { workspace_id: place.workspace_id, interval, rival }))
    }

    /// The object that comes before this one at a resource.
    fn rival(&self, look: &Look, arm_id: &str) -> Option<Key> {
        self.ctx.index.claimants(arm_id).into_iter().next().filter(|first| *first != look.object.key)
    }

    async fn read_secrets(&mut self, look: &Look) -> Done {
        let namespace = &look.object.key.namespace;
        let table = look.kind.table;
        self.secrets = resolve::secrets::resolve(self.ctx, namespace, &look.manifest, table, &look.common).await?;
        Ok(Event::Secrets(self.secrets.hashes.clone()))
    }

    fn observe(&self, look: &Look) -> Done {
        let source = self.source()?;
        let before = look.status.last_handled_reconcile_at.as_deref();
        let answered = request::answer(self.ctx, &look.object, source, before);
        let scratch = self.ctx.scratches.get(&look.object.key);
        Ok(Event::Seen(Box::new(Sight {
            view: source.view(),
            api_version: Some(source.client().version(source.workspace().as_str(), ML_API_VERSION)),
            stale: source.staleness(),
            last_write: scratch.last_write_ended,
            attempt: scratch.attempt,
            answered,
        })))
    }

    async fn read_elsewhere(&self, look: &Look) -> Done {
        let client = self.source()?.client();
        let id = resource_id(look)?;
        let permit = live::admit(client, &id, &look.object.key).await?;
        let read = live::read(client, id.as_str(), permit).await;
        Ok(Event::Read(read.map_err(|error| Problem::of_read(&error))?))
    }

    async fn ask_operation(&self, look: &Look) -> Done {
        let client = self.source()?.client();
        let text = look.status.operation.as_ref().and_then(|operation| operation.url.as_deref()).unwrap_or_default();
        let Ok(url) = OperationUrl::parse(text, client.cloud()) else {
            return Ok(Event::Asked(OperationDetail::NotAvailable));
        };
        let permit = live::admit(client, &resource_id(look)?, &look.object.key).await?;
        let status = match client.operation(&url, permit).await {
            Ok(status) => status,
            Err(error) => return Ok(Event::Unasked(Problem::of_read(&error))),
        };
        let refusal = if let OperationStatus::NotAvailable(error) = &status { Some(error) } else { None };
        self.ctx.gaps.note(client, resource_id(look)?.subscription(), refusal);
        Ok(Event::Asked(match status {
            OperationStatus::Running { .. } => OperationDetail::Running,
            OperationStatus::Succeeded => OperationDetail::Succeeded,
            OperationStatus::Failed(error) | OperationStatus::Canceled(error) => {
                OperationDetail::Failed(failure::failure(&error))
            }
            OperationStatus::NotAvailable(error) if missing_right(&error).is_some() => {
                OperationDetail::Forbidden(failure::words(&error))
            }
            OperationStatus::NotAvailable(_) => OperationDetail::NotAvailable,
        }))
    }

    async fn prove_gone(&self, look: &Look) -> Done {
        let id = resource_id(look)?;
        Ok(Event::Proven(live::prove_gone(self.source()?.client(), &id, &look.object.key).await?))
    }

    fn learn_sizes(&self, look: &Look, region: &str) -> Done {
        let source = self.source()?;
        let subscription = source.workspace().subscription();
        Ok(Event::Sizes(self.ctx.facts.sizes(source.client(), subscription, region, &look.object.key)))
    }

    async fn add_finalizer(&self, look: &Look) -> Done {
        Ok(Event::Held(kubernetes::add_finalizer(self.ctx, &look.object).await?))
    }

    fn take_turn(&mut self, look: &Look, verb: Verb) -> Done {
        let id = resource_id(look)?;
        let client = self.source()?.client();
        let key = &look.object.key;
        let region = look.region().unwrap_or_default();
        let priority = apply::priority(look.plan.as_ref());
        let write = match apply::admit(client, &id, &region, key, verb, priority) {
            Ok(permit) => permit,
            Err(expected) => return Ok(Event::TurnWaits(expected)),
        };
        match apply::admit_read(client, &id, &region, key, priority) {
            Ok(read) => {
                self.turn = Turn { read: Some(read), write: Some(write) };
                Ok(Event::TurnCame)
            }
            Err(expected) => {
                // The turn to write isn't lost to the wait for the read that goes before it.
                apply::keep_turn(client, key, write);
                Ok(Event::TurnWaits(expected))
            }
        }
    }

    async fn read_fresh(&mut self, look: &Look) -> Done {
        let permit = permit(self.turn.read.take())?;
        let read = live::read(self.source()?.client(), &look.id, permit).await;
        Ok(match read {
            Ok(observed) => Event::Fresh(observed, self.rival(look, &look.id)),
            Err(error) => Event::Unread(error),
        })
    }

    async fn record_intent(&self, look: &Look) -> Done {
        let intended = tell::render(look, None, self.stale().as_deref());
        Ok(Event::Recorded(kubernetes::write_status(self.ctx, &look.object, &intended).await?))
    }

    async fn send(&mut self, look: &Look, verb: Verb, step: &Step) -> Done {
        let permit = permit(self.turn.write.take())?;
        let source = self.source()?;
        source.set_busy(&look.id, &look.object.key, true);
        self.ctx.leadership.hold().await;
        let outcome = apply::send(source.client(), &look.id, step, &self.secrets.values, permit).await;
        self.ctx.scratches.update(&look.object.key, |scratch| scratch.last_write_ended = Some(Instant::now()));
        source.hurry();
        if let Outcome::Accepted(response) = &outcome {
            self.ctx.metrics.acted(look.kind.kind, &format!("{verb:?}"));
            tell::write_accepted(self.ctx, look, verb, response.correlation_id.as_deref()).await;
        }
        Ok(Event::Sent(outcome))
    }

    /// The finalizer goes; nothing is written to Azure.
    async fn release(&self, look: &Look) -> Result<Next, kube::Error> {
        if let Ok(place) = resolve::workspace::resolve(self.ctx, &look.object) {
            place.source.set_busy(&look.id, &look.object.key, false);
        }
        kubernetes::remove_finalizer(self.ctx, &look.object).await?;
        Ok(Next::OnChange)
    }

    /// Writes the status if it differs, tells transitions as events, and says when to look again.
    async fn report(&self, look: Look, report: Report) -> Result<Next, kube::Error> {
        let key = &look.object.key;
        self.ctx.scratches.update(key, |scratch| scratch.attempt.clone_from(&look.attempt));
        if let Some(source) = &self.source {
            source.set_busy(&look.id, key, look.status.operation.is_some());
            if report.view == ViewAge::Behind {
                source.hurry();
            }
        }
        let waits_for_turn = matches!(look.first_step(), Some(Step::Wait(Reason::WaitingForBudget, _)));
        if !waits_for_turn {
            apply::leave_queues(&self.ctx.budget, key);
        }
        let whole = tell::render(&look, report.problem.as_ref(), self.stale().as_deref());
        let written = kubernetes::write_outcome(self.ctx, &look.object, &whole).await?;
        tell::transitions(self.ctx, &written, &look.status.conditions, look.plan.as_ref()).await;
        // An edit that was written over on the way isn't news to the watch any more.
        Ok(if written.signature() == look.object.signature() { report.next } else { Next::After(Duration::ZERO) })
    }

    fn source(&self) -> Result<&Arc<Source>, Problem> {
        let missing = || Problem::unseen(Reason::Pending, "the Workspace hasn't been looked at yet");
        self.source.as_ref().ok_or_else(missing)
    }

    fn stale(&self) -> Option<String> {
        self.source.as_ref().and_then(|source| source.staleness())
    }
}

fn resource_id(look: &Look) -> Result<ResourceId, Problem> {
    ResourceId::parse(&look.id).map_err(|error| Problem::stalled(Reason::InvalidManifest, error.to_string()))
}

fn permit(turn: Option<Permit>) -> Result<Permit, Problem> {
    turn.ok_or_else(|| Problem::unseen(Reason::WaitingForBudget, "the request's turn is over; it asks for another"))
}
