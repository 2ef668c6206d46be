//! One look at an object, as a machine without effects: told what has happened, it says what is to happen next.
//!
//! The whole course of a look is decided here, on plain data: nothing waits, nothing is read or written, and the clock is
//! an argument. [`super::effects`] carries out what it asks for. So the very decisions that run in production are those
//! that tests table and that the model check walks through.

mod observe;
mod remember;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azureml_api::common::ManagementPolicy;
use azureml_api::condition::Reason;
use azureml_api::fields::lookup;
use azureml_api::registry::{Common, Kind};
use azureml_api::status::{TargetStatus, Verb};
use azureml_arm::ArmError;
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::{Action, Plan, Step};
use azureml_planner::{Facts, Input, Lifecycle, Memory, Observed, Owner, operation};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::Outcome;
use crate::engine::retry::{Attempt, RetryPolicy};
use crate::failure::Problem;
use crate::index::{Key, Object};
use crate::observe::facts::Sizes;
use crate::observe::source::View;

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

/// An instant, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As it is written down.
    pub time: Timestamp,
    /// As waits are measured.
    pub instant: Instant,
}

impl Moment {
    /// This instant.
    pub fn now() -> Self {
        Self { time: Timestamp::now(), instant: Instant::now() }
    }
}

/// What holds for every look of one process.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Marks what we own in Azure.
    pub owner_id: String,
    /// Since when this process has been looking.
    pub running_since: Timestamp,
    /// How long Azure may answer with old data after a write.
    pub consistency_window: Duration,
    /// The age from which an operation of ours is told as overdue.
    pub operation_overdue: Duration,
    /// When failures are tried again.
    pub retry: RetryPolicy,
}

/// What is to happen next.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find the Workspace, and who else stands for the same resource.
    Resolve,
    /// Read and hash the Secrets that the manifest names.
    ReadSecrets,
    /// Take the shared view of Azure.
    Observe,
    /// Read the resource by itself: the shared view is of another workspace.
    ReadElsewhere,
    /// Read the operation's own URL.
    AskOperation,
    /// Find out whether what can't be seen is really gone.
    ProveGone,
    /// Take the VM sizes that a region offers.
    LearnSizes {
        /// The region.
        region: String,
    },
    /// Put the finalizer on, with the object's resourceVersion.
    AddFinalizer,
    /// Ask for the turn to write, and for that of the read before it.
    TakeTurn {
        /// The write.
        verb: Verb,
    },
    /// Read the resource right before the write.
    ReadFresh,
    /// Write the status with the intent in it, with the object's resourceVersion.
    RecordIntent,
    /// Send the write.
    Send {
        /// The write.
        verb: Verb,
        /// The step that it is.
        step: Step,
    },
    /// Write the status. The look ends.
    Report(Report),
    /// Take the finalizer off; nothing is written to Azure. The look ends.
    Release,
}

/// How a look ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What stands in the way.
    pub problem: Option<Problem>,
    /// When to look again.
    pub next: Next,
    /// Whether the shared view is known to be behind.
    pub view: ViewAge,
}

/// Whether the shared view is known to be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewAge {
    /// It isn't.
    Current,
    /// It is: it is read again soon.
    Behind,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The Workspace is there.
    Resolved(Place),
    /// The Secrets are read; these are the keyed hashes of the write-only values.
    Secrets(BTreeMap<String, String>),
    /// This is what is known of Azure.
    Seen(Box<Sight>),
    /// The resource was read by itself.
    Read(Observed),
    /// It was looked for wherever it could be.
    Proven(Observed),
    /// The operation's URL has answered.
    Asked(OperationDetail),
    /// It couldn't be asked.
    Unasked(Problem),
    /// This is known of the region's sizes.
    Sizes(Sizes),
    /// The finalizer is on.
    Held(Arc<Object>),
    /// The turn to write has come.
    TurnCame,
    /// It comes in about that time.
    TurnWaits(Duration),
    /// The resource was read right before the write; and who else stands for it by then.
    Fresh(Observed, Option<Key>),
    /// That read failed.
    Unread(ArmError),
    /// The intent is on record.
    Recorded(Arc<Object>),
    /// The write has been sent.
    Sent(Outcome),
    /// Something stands in the way of what was asked for.
    Hindered(Problem),
}

/// What an object gets from its Workspace.
#[derive(Clone, Debug)]
pub struct Place {
    /// Path of the workspace in ARM.
    pub workspace_id: String,
    /// How often Azure is looked at.
    pub interval: Duration,
    /// Who stands for the same resource before this object.
    pub rival: Option<Key>,
}

/// What this process knows of Azure and of its own tries.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The shared view.
    pub view: View,
    /// The api-version that the cloud is spoken to with; `None` for the newest one.
    pub api_version: Option<String>,
    /// Why the view is too old, if it is.
    pub stale: Option<String>,
    /// When this object's last write ended.
    pub last_write: Option<Instant>,
    /// The failure that the next try waits out.
    pub attempt: Option<Attempt>,
    /// The value of the reconcile annotation that has been acted on.
    pub answered: Option<String>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Look {
    /// The object's kind.
    pub kind: &'static Kind,
    /// The object, as of the last write to it.
    pub object: Arc<Object>,
    /// What its spec says that all kinds share.
    pub common: Common,
    /// The manifest as the planner reads it.
    pub manifest: Value,
    /// What marks the resource as this object's.
    pub owner: Owner,
    /// What is remembered, as it changes during this look.
    pub status: TargetStatus,
    /// What holds for every look.
    pub rules: Rules,
    /// When the last event was.
    pub now: Moment,
    /// How often Azure is looked at.
    pub interval: Duration,
    /// Path of the workspace in ARM, once known.
    pub workspace_id: String,
    /// ARM id of the resource, once known.
    pub id: String,
    /// What is known beside the resource.
    pub facts: Facts,
    /// What is known of the region's sizes, once asked.
    pub sizes: Option<Sizes>,
    /// Keyed hashes of write-only values.
    pub hashes: BTreeMap<String, String>,
    /// What the operation's URL said, once asked.
    pub detail: Option<OperationDetail>,
    /// What Azure has.
    pub observed: Observed,
    /// When that was asked for.
    pub seen_at: Timestamp,
    /// What is to be done.
    pub plan: Option<Plan>,
    /// The failure that the next try waits out.
    pub attempt: Option<Attempt>,
}

impl Look {
    /// A look at an object. `interval` is how often Azure is looked at until its Workspace says.
    ///
    /// # Errors
    /// When the object doesn't have the shape of its kind.
    pub fn new(
        kind: &'static Kind,
        object: Arc<Object>,
        rules: Rules,
        interval: Duration,
        now: Moment,
    ) -> Result<Self, serde_json::Error> {
        let common = (kind.decode)(object.spec())?;
        let status: TargetStatus = object.status_as()?;
        let owner = Owner {
            owner_id: rules.owner_id.clone(),
            kind: kind.kind.to_owned(),
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            uid: object.raw.metadata.uid.clone().unwrap_or_default(),
            generation: object.generation(),
        };
        let known = status.azure.as_ref().map(|azure| &azure.id);
        let id = known.or(status.operation.as_ref().map(|operation| &operation.id)).cloned().unwrap_or_default();
        Ok(Self {
            kind,
            manifest: json!({"spec": object.spec()}),
            object,
            common,
            owner,
            status,
            rules,
            now,
            interval,
            workspace_id: String::new(),
            id,
            facts: Facts::default(),
            sizes: None,
            hashes: BTreeMap::new(),
            detail: None,
            observed: Observed::Unknown,
            seen_at: now.time,
            plan: None,
            attempt: None,
        })
    }

    /// What a look begins with.
    pub fn begin(&self) -> Effect {
        // A deletion that has nothing to do in Azure needs no Azure.
        if self.lifecycle() == Lifecycle::Deleted && self.made_plan().action == Action::Release {
            return Effect::Release;
        }
        Effect::Resolve
    }

    /// What is to happen next, now that this has happened.
    pub fn on(&mut self, event: Event, now: Moment) -> Effect {
        let asked_at = std::mem::replace(&mut self.now, now).time;
        if matches!(event, Event::Read(_) | Event::Proven(_) | Event::Fresh(..)) {
            self.seen_at = asked_at;
        }
        match event {
            Event::Hindered(problem) => self.hindered(problem),
            Event::Resolved(place) => self.resolved(place),
            Event::Secrets(hashes) => {
                self.hashes = hashes;
                Effect::Observe
            }
            Event::Seen(sight) => self.seen(*sight),
            Event::Read(observed) => {
                self.observed = observed;
                self.planned(Closer::Wanted)
            }
            Event::Proven(observed) => {
                self.observed = observed;
                self.planned(Closer::Enough)
            }
            Event::Asked(detail) => {
                self.detail = Some(detail);
                self.planned(Closer::Wanted)
            }
            Event::Unasked(problem) => self.unasked(problem),
            Event::Sizes(sizes) => {
                if let Sizes::Known(names) = &sizes {
                    self.facts.vm_sizes = Some(names.to_vec());
                }
                self.sizes = Some(sizes);
                self.planned(Closer::Enough)
            }
            Event::Held(object) => {
                self.object = object;
                self.act()
            }
            Event::TurnCame => Effect::ReadFresh,
            Event::TurnWaits(expected) => self.wait_for_turn(expected),
            Event::Fresh(observed, rival) => self.write_on(observed, rival),
            Event::Unread(error) => self.unread(&error),
            Event::Recorded(object) => {
                self.object = object;
                self.send()
            }
            Event::Sent(outcome) => self.sent(outcome),
        }
    }

    /// Whether the object is wanted.
    pub fn lifecycle(&self) -> Lifecycle {
        if self.object.is_deleting() { Lifecycle::Deleted } else { Lifecycle::Wanted }
    }

    /// The region that the resource is in.
    pub fn region(&self) -> Option<String> {
        let own = lookup(&self.manifest, "spec.location").and_then(Value::as_str).map(str::to_owned);
        own.or_else(|| self.facts.workspace_location.clone())
    }

    fn manages(&self) -> bool {
        self.common.policies.management_policy == ManagementPolicy::Manage
    }

    /// What the planner is asked.
    fn input(&self) -> Input<'_> {
        Input {
            owner: &self.owner,
            id: &self.id,
            table: self.kind.table,
            lifecycle: self.lifecycle(),
            manifest: &self.manifest,
            hashes: &self.hashes,
            observed: &self.observed,
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
            now: self.now.time,
            seen_at: self.seen_at,
            running_since: self.rules.running_since,
            consistency_window: self.rules.consistency_window,
        }
    }

    fn made_plan(&self) -> Plan {
        azureml_planner::plan(&self.input())
    }

    /// Plan, and see to it that what it stands on has been looked at closely enough.
    fn planned(&mut self, closer: Closer) -> Effect {
        let plan = self.made_plan();
        let needed = if closer == Closer::Wanted { self.closer_look(&plan) } else { None };
        self.plan = Some(plan);
        needed.unwrap_or_else(|| self.carry_out())
    }

    /// What a plan needs to know before it counts.
    fn closer_look(&self, plan: &Plan) -> Option<Effect> {
        match plan.steps.first() {
            Some(Step::WaitForDetail(..)) => Some(Effect::AskOperation),
            Some(Step::ProveGone) => Some(Effect::ProveGone),
            _ if plan.creates() => self.region().map(|region| Effect::LearnSizes { region }),
            _ => None,
        }
    }

    /// The plan counts: what it says of before is remembered, and its first step taken where nothing holds it.
    fn carry_out(&mut self) -> Effect {
        if self.action() == Some(Action::Release) {
            return Effect::Release;
        }
        self.remember();
        if self.lacks_finalizer() {
            return Effect::AddFinalizer;
        }
        self.act()
    }

    fn act(&mut self) -> Effect {
        if self.may_write() {
            return self.write();
        }
        self.mark_overdue();
        self.report(None, self.next())
    }

    /// Whoever replaced the object may have dropped the finalizer; without it a deletion would leave Azure behind.
    fn lacks_finalizer(&self) -> bool {
        let written = self.status.operation.is_some() || self.status.applied.is_some();
        written && self.manages() && self.lifecycle() == Lifecycle::Wanted && !self.object.has_finalizer()
    }

    fn action(&self) -> Option<Action> {
        self.plan.as_ref().map(|plan| plan.action)
    }

    /// Whether the plan writes and nothing holds it.
    fn may_write(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.writes() && plan.hold.is_none())
    }

    /// The plan's first step.
    pub fn first_step(&self) -> Option<&Step> {
        self.plan.as_ref().and_then(|plan| plan.steps.first())
    }

    fn is_overdue(&self) -> bool {
        let overdue = self.rules.operation_overdue.as_secs();
        self.status.operation.as_ref().is_some_and(|under_way| operation::age(under_way, self.now.time) >= overdue)
    }

    /// What can't be asked for that long is as good as forgotten by Azure: the resource itself is looked at instead.
    fn unasked(&mut self, problem: Problem) -> Effect {
        if !self.is_overdue() {
            return self.hindered(problem);
        }
        self.detail = Some(OperationDetail::NotAvailable);
        self.planned(Closer::Wanted)
    }

    fn mark_overdue(&mut self) {
        let Some(under_way) = self.status.operation.as_ref().filter(|_| self.is_overdue()) else { return };
        if let Some(Step::Wait(reason, message)) = self.plan.as_mut().and_then(|plan| plan.steps.first_mut()) {
            *reason = Reason::OperationOverdue;
            *message = format!(
                "{:?} has been under way since {} ({message}): look at the resource in Azure",
                under_way.verb, under_way.started_at.0
            );
        }
    }

    fn next(&self) -> Next {
        // While something is awaited the source wakes the object at every look; this is for a source that fails.
        let waits = self.action() == Some(Action::Wait);
        Next::After(if waits { self.interval } else { self.interval * SLOW_INTERVALS })
    }

    fn hindered(&mut self, problem: Problem) -> Effect {
        let next = Next::After(self.interval);
        self.report(Some(problem), next)
    }

    fn report(&mut self, problem: Option<Problem>, next: Next) -> Effect {
        self.end(problem, next, ViewAge::Current)
    }

    /// Azure has changed since the shared view was read, or the read before the write was behind it: look again with the
    /// next, even where that shows no change.
    fn look_again(&mut self) -> Effect {
        self.end(None, Next::After(self.interval), ViewAge::Behind)
    }

    fn end(&mut self, problem: Option<Problem>, next: Next, view: ViewAge) -> Effect {
        if matches!(self.action(), Some(Action::None | Action::Report)) && problem.is_none() {
            self.attempt = None;
        }
        Effect::Report(Report { problem, next, view })
    }
}

/// Whether a plan may ask for a closer look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closer {
    Wanted,
    /// It has had one.
    Enough,
}
