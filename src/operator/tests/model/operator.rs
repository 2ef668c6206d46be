//! One process of the operator: the real [`Look`], between two effects that reach the world.
//!
//! A look is kept by number. What it makes of an event depends on nothing else, so each pair is computed once, however
//! many states of the world hold it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use azureml_api::condition::{Reason, whole_second};
use azureml_api::fields::{lookup, set};
use azureml_api::registry;
use azureml_api::status::Verb;
use azureml_arm::{ArmError, Cloud, ErrorClass, ErrorKind, OperationUrl, Response, Sent};
use azureml_operator::apply::Outcome;
use azureml_operator::engine::retry::{Attempt, RetryPolicy};
use azureml_operator::index::Object;
use azureml_operator::observe::facts::Sizes;
use azureml_operator::observe::live;
use azureml_operator::observe::source::View;
use azureml_operator::reconcile::look::{Effect, Event, Look, Moment, Place, Rules, Sight};
use azureml_operator::reconcile::tell;
use azureml_planner::input::OperationDetail;
use azureml_planner::plan::Step;
use azureml_planner::{Failure, Observed};
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::azure::{Answer, Resource, Stand, body};
use crate::documents::{Care, Id, Interner, Manifest, NAME, OWNER_ID, WORKSPACE};
use crate::mutants::Mutant;

/// The consistency window. The model's clock only tells what is younger than this from what isn't.
const WINDOW: Duration = Duration::from_secs(60);

/// An object as the API server has it, less its resourceVersion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    pub manifest: Manifest,
    pub generation: u8,
    pub uid: u8,
    pub deleting: bool,
    pub finalizer: bool,
    pub status: Id,
}

impl Stored {
    /// What of the object is news when it changes: [`Object::signature`], as far as the model changes it.
    pub fn signature(&self) -> impl PartialEq {
        (self.uid, self.generation, self.deleting, self.finalizer)
    }
}

/// When a process looks at the object next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// When something wakes it.
    No,
    /// After ten intervals: nothing that is to be done may wait for that.
    Slow,
    /// At once, or at the next interval.
    Soon,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Whether it takes itself for the leader.
    pub leads: bool,
    /// Whether it has been doing so for less than the window.
    pub is_young: bool,
    /// The object as its watch has shown it last.
    pub cached: Option<Stored>,
    /// Whether that is what the API server has: the resourceVersions are equal.
    pub is_current: bool,
    /// The list that it read last.
    pub snapshot: Option<Snapshot>,
    /// Whether it takes an operation of ours for being under way: each list wakes it then.
    pub is_busy: bool,
    /// When it looks next.
    pub due: Due,
    /// The failure that the next try waits out, and whether it has.
    pub failed: Option<(Id, bool)>,
    /// The look under way.
    pub look: Option<UnderWay>,
}

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Whether it counts: it was asked for after the last write.
    pub counts: bool,
    /// Whether the window has passed since it was asked for.
    pub is_old: bool,
    pub shows: Option<Resource>,
}

/// A look that waits for an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnderWay {
    pub look: Id,
    /// Whether the object that it knows is what the API server has.
    pub on_current: bool,
    /// Whether that object's status only looks like the API server's by now: once both are older than the window, the
    /// model's clock no longer tells them apart, but their times do.
    pub mistakable: bool,
}

/// What an effect that reaches the world has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happened {
    Asked(Option<Stand>),
    Proven(Option<Resource>),
    ProvenGone,
    Held(Stored),
    Fresh(Option<Resource>),
    Unread,
    Recorded(Stored),
    Answered(Answer),
    Unanswered,
}

/// A look, and what it waits for.
pub struct Entry {
    pub look: Look,
    pub effect: Effect,
    /// The status of the object that it knows.
    pub before: Id,
    /// The status that it would write now.
    pub status: Id,
    /// The body of the write that it is about to send, if that has one.
    pub body: Option<Id>,
}

/// What a look begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Beginning {
    object: Stored,
    is_young: bool,
    snapshot: Option<Snapshot>,
    failed: Option<(Id, bool)>,
}

/// The looks of all states.
pub struct Minds {
    pub documents: Interner<Value>,
    pub mutant: Mutant,
    looks: Interner<Entry>,
    attempts: Interner<Attempt>,
    begun: Memo<Beginning>,
    gone_on: Memo<(Id, Happened)>,
    aged: Memo<Id>,
    aged_documents: Memo<Id>,
}

struct Memo<K>(Mutex<HashMap<K, Id>>);

impl<K: Eq + Hash + Clone> Memo<K> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn get(&self, key: &K, make: impl FnOnce() -> Id) -> Id {
        if let Some(known) = self.0.lock().unwrap().get(key) {
            return *known;
        }
        let made = make();
        self.0.lock().unwrap().insert(key.clone(), made);
        made
    }
}

impl Minds {
    pub fn new(mutant: Mutant) -> Self {
        Self {
            documents: Interner::default(),
            mutant,
            looks: Interner::default(),
            attempts: Interner::default(),
            begun: Memo::new(),
            gone_on: Memo::new(),
            aged: Memo::new(),
            aged_documents: Memo::new(),
        }
    }

    /// A look.
    pub fn entry(&self, look: Id) -> Arc<Entry> {
        self.looks.get(look)
    }

    /// A look begins, and runs to its first effect that reaches the world.
    pub fn begin(&self, process: &Process) -> Option<Id> {
        let object = process.cached?;
        if object.deleting && !object.finalizer {
            return None;
        }
        let Process { is_young, snapshot, failed, .. } = *process;
        let snapshot = snapshot.filter(|snapshot| snapshot.counts);
        let key = Beginning { object, is_young, snapshot, failed };
        Some(self.begun.get(&key, || {
            let look = Look::new(
                registry::kind("ComputeCluster").unwrap(),
                self.object(object),
                self.rules(is_young),
                Duration::from_secs(60),
                moment(),
            );
            let look = look.unwrap();
            let effect = look.begin();
            self.stop(look, effect, Some(&key))
        }))
    }

    /// A look goes on with what has happened, to its next effect that reaches the world.
    pub fn go_on(&self, look: Id, happened: Happened) -> Id {
        self.gone_on.get(&(look, happened), || {
            let mut look = self.entry(look).look.clone();
            let event = self.event(&look, happened);
            let effect = look.on(event, moment());
            self.stop(look, effect, None)
        })
    }

    /// The window passes in the middle of a look.
    pub fn age(&self, look: Id) -> Id {
        self.aged.get(&look, || {
            let Entry { look, effect, .. } = &*self.entry(look);
            let mut look = look.clone();
            if let Some(operation) = &mut look.status.operation {
                operation.started_at = whole_second(old());
            }
            let mut object = (*look.object).clone();
            set_age(&mut object.raw.data);
            look.object = Arc::new(object);
            look.rules.running_since = old();
            look.seen_at = old();
            self.intern(look, effect.clone())
        })
    }

    /// The window passes: the operation in this status is no longer young.
    pub fn age_status(&self, status: Id) -> Id {
        self.aged_documents.get(&status, || {
            let mut whole = json!({"status": *self.documents.get(status)});
            set_age(&mut whole);
            self.documents.document(whole["status"].take())
        })
    }

    /// The attempt that a look leaves behind.
    pub fn attempt(&self, entry: &Entry) -> Option<(Id, bool)> {
        let attempt = entry.look.attempt.clone()?;
        let over = attempt.until <= moment().instant;
        let kept = Attempt { until: moment().instant, count: attempt.count.min(2), ..attempt };
        Some((self.attempts.put(format!("{kept:?}"), || kept), over))
    }

    fn rules(&self, is_young: bool) -> Rules {
        let window = if self.mutant == Mutant::NoWindow { Duration::ZERO } else { WINDOW };
        Rules {
            owner_id: OWNER_ID.to_owned(),
            running_since: if is_young { moment().time } else { old() },
            consistency_window: window,
            operation_overdue: Duration::from_secs(u64::MAX),
            retry: RetryPolicy { base: Duration::from_secs(30), longest: Duration::from_secs(3600) },
        }
    }

    /// Runs a look to an effect that reaches the world.
    fn stop(&self, mut look: Look, mut effect: Effect, beginning: Option<&Beginning>) -> Id {
        loop {
            let event = match &effect {
                Effect::Resolve => Event::Resolved(Place {
                    workspace_id: WORKSPACE.to_owned(),
                    interval: Duration::from_secs(60),
                    rival: None,
                }),
                Effect::ReadSecrets => Event::Secrets(Default::default()),
                Effect::Observe => Event::Seen(Box::new(self.sight(beginning.unwrap()))),
                Effect::LearnSizes { .. } => Event::Sizes(Sizes::Known(Arc::new(vec!["Standard_DS3_v2".to_owned()]))),
                Effect::TakeTurn { .. } => Event::TurnCame,
                _ => return self.intern(look, effect),
            };
            effect = look.on(event, moment());
        }
    }

    fn intern(&self, look: Look, effect: Effect) -> Id {
        let problem = match &effect {
            Effect::Report(report) => report.problem.clone(),
            _ => None,
        };
        let status = self.documents.document(tell::render(&look, problem.as_ref(), None));
        let before = self.documents.document(look.object.status().clone());
        let body = match &effect {
            Effect::Send { step: Step::Create(body) | Step::Put(body) | Step::Patch(body), .. } => {
                Some(self.documents.document(body.json.clone()))
            }
            _ => None,
        };
        self.looks.put(told(&look, &effect), || Entry { look, effect, before, status, body })
    }

    fn sight(&self, beginning: &Beginning) -> Sight {
        let now = moment().instant;
        let (write, before) = (now - WINDOW * 2, now - WINDOW * 3);
        let started = match beginning.snapshot {
            None => before,
            Some(Snapshot { is_old: true, .. }) => now - WINDOW,
            Some(_) => now,
        };
        let computes = beginning.snapshot.and_then(|snapshot| snapshot.shows);
        let computes = computes.map(|resource| (NAME.to_owned(), Arc::new(self.body(resource))));
        let workspace = json!({"location": "westeurope", "properties": {"workspaceId": "w1"}});
        Sight {
            view: View {
                workspace: Some(Arc::new(workspace)),
                computes: Some(Arc::new(computes.into_iter().collect())),
                started: Some(started),
                ..View::default()
            },
            api_version: Some(azureml_api::ML_API_VERSION.to_owned()),
            stale: None,
            last_write: Some(write),
            attempt: beginning.failed.map(|(attempt, over)| Attempt {
                until: if over { now } else { now + Duration::from_secs(3600) },
                ..(*self.attempts.get(attempt)).clone()
            }),
            answered: None,
        }
    }

    /// What a read answers.
    fn observed(&self, resource: Option<Resource>) -> Observed {
        resource.map_or(Observed::Absent, |resource| live::present(self.body(resource)))
    }

    fn body(&self, resource: Resource) -> Value {
        let mut body = body(resource, &self.documents);
        if self.mutant == Mutant::EverybodysIsOurs {
            body["tags"]["azureml.dev-owner"] = json!(format!("{OWNER_ID}/ComputeCluster/ml/{NAME}"));
        }
        body
    }

    fn event(&self, look: &Look, happened: Happened) -> Event {
        match happened {
            Happened::Asked(stand) => Event::Asked(match stand {
                Some(Stand::Running) => OperationDetail::Running,
                Some(Stand::Succeeded) => OperationDetail::Succeeded,
                Some(Stand::Failed) => OperationDetail::Failed(Failure {
                    reason: Reason::ProvisioningFailed,
                    message: "it failed".to_owned(),
                }),
                None => OperationDetail::NotAvailable,
            }),
            Happened::Proven(resource) => Event::Proven(self.observed(resource)),
            Happened::ProvenGone => Event::Proven(Observed::Gone),
            Happened::Held(object) => Event::Held(self.object(object)),
            Happened::Fresh(resource) => Event::Fresh(self.observed(resource), None),
            Happened::Unread => Event::Unread(error(ErrorKind::Server, ErrorClass::Transient, Sent::Answered)),
            Happened::Recorded(object) => Event::Recorded(self.object(object)),
            Happened::Answered(Answer::Accepted(resource)) => Event::Sent(Outcome::Accepted(Response {
                status: 202,
                body: resource.filter(|_| verb(look) != Some(Verb::Delete)).map_or(Value::Null, |it| self.body(it)),
                operation: resource.map(|_| {
                    let url = format!("https://management.azure.com/operations/{:?}", verb(look));
                    OperationUrl::parse(&url.replace(['(', ')'], ""), &Cloud::public()).unwrap()
                }),
                retry_after: None,
                correlation_id: None,
            })),
            Happened::Answered(Answer::Refused) => {
                Event::Sent(Outcome::Refused(error(ErrorKind::Conflict, ErrorClass::Waiting, Sent::Answered)))
            }
            Happened::Unanswered => {
                let error = error(ErrorKind::Network, ErrorClass::Transient, Sent::MaybeProcessed);
                Event::Sent(match self.mutant {
                    Mutant::UncertainIsRefused => Outcome::Refused(error),
                    _ => Outcome::Uncertain(error),
                })
            }
        }
    }

    /// The object as the operator's index has it. Its resourceVersion is the model's business.
    fn object(&self, stored: Stored) -> Arc<Object> {
        let mut manifest = stored.manifest;
        if self.mutant == Mutant::PausedOrNot && !manifest.may_write() {
            manifest.care = Care::Keep;
        }
        let mut raw = json!({
            "apiVersion": "azureml.dev/v1alpha1", "kind": "ComputeCluster",
            "metadata": {
                "name": NAME, "namespace": "ml", "uid": format!("u{}", stored.uid), "resourceVersion": "1",
                "generation": stored.generation, "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": manifest.spec(),
            "status": *self.documents.get(stored.status),
        });
        if stored.finalizer {
            set(&mut raw, "metadata.finalizers", json!([azureml_api::FINALIZER]));
        }
        if stored.deleting {
            set(&mut raw, "metadata.deletionTimestamp", json!("2026-01-01T00:30:00Z"));
        }
        let raw: DynamicObject = serde_json::from_value(raw).unwrap();
        Arc::new(Object::new("ComputeCluster", raw))
    }
}

/// All that tells looks apart. Their kind is the same, and what follows from the object does so in all of them.
fn told(look: &Look, effect: &Effect) -> String {
    let Look {
        kind: _,
        common: _,
        manifest: _,
        owner: _,
        object,
        status,
        rules,
        now,
        interval,
        workspace_id,
        id,
        facts,
        sizes,
        hashes,
        detail,
        observed,
        seen_at,
        plan,
        attempt,
    } = look;
    let object = &object.raw;
    format!(
        "{effect:?}{object:?}{status:?}{rules:?}{now:?}{interval:?}{workspace_id:?}{id:?}{facts:?}{sizes:?}{hashes:?}\
         {detail:?}{observed:?}{seen_at:?}{plan:?}{attempt:?}"
    )
}

fn verb(look: &Look) -> Option<Verb> {
    look.status.operation.as_ref().map(|operation| operation.verb)
}

/// Now, always: what passes is told by ages.
fn moment() -> Moment {
    static INSTANT: OnceLock<Instant> = OnceLock::new();
    let instant = *INSTANT.get_or_init(|| Instant::now() + Duration::from_secs(86_400));
    Moment { time: "2026-01-01T01:00:00Z".parse().unwrap(), instant }
}

/// Longer ago than the window.
fn old() -> Timestamp {
    Timestamp::from_second(moment().time.as_second() - i64::try_from(WINDOW.as_secs()).unwrap() - 1).unwrap()
}

fn set_age(object: &mut Value) {
    if lookup(object, "status.operation").is_some() {
        set(object, "status.operation.startedAt", json!(old().to_string()));
    }
}

fn error(kind: ErrorKind, class: ErrorClass, sent: Sent) -> ArmError {
    ArmError {
        kind,
        class,
        status: None,
        code: "Model".to_owned(),
        message: "of the model".to_owned(),
        details: Vec::new(),
        retry_after: None,
        correlation_id: None,
        request: String::new(),
        sent,
    }
}
