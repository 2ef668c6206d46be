//! Metrics, in Prometheus' text format.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azureml_arm::{RequestObserver, RequestRecord};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

use crate::context::Context;
use crate::engine::watch::Watch;
use crate::index::Object;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ActionLabels {
    kind: String,
    action: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    provider: String,
    method: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BucketLabels {
    principal: String,
    subscription: String,
    operation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    kind: String,
    ready: String,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NodeLabels {
    namespace: String,
    name: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WorkspaceLabel {
    workspace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    kind: String,
    verb: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchLabel {
    resource: String,
}

type SecondsHistogram = fn() -> Histogram;

/// All metrics.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<KindLabel, Histogram, SecondsHistogram>,
    actions: Family<ActionLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RequestLabels, Histogram, SecondsHistogram>,
    status_writes: Family<KindLabel, Counter>,
    budget_left: Family<BucketLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    budget_waiting: Family<BucketLabels, Gauge>,
    objects: Family<ConditionLabels, Gauge>,
    nodes: Family<NodeLabels, Gauge>,
    operations: Gauge,
    operation_age: Family<OperationLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    leads: Gauge,
    queue_due: Gauge,
    queue_longest_due: Gauge<f64, std::sync::atomic::AtomicU64>,
    watch_age: Family<WatchLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
    watches_failed: Family<WatchLabel, Counter>,
    snapshot_age: Family<WorkspaceLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("azureml")),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            actions: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            status_writes: Family::default(),
            budget_left: Family::default(),
            budget_waiting: Family::default(),
            objects: Family::default(),
            nodes: Family::default(),
            operations: Gauge::default(),
            operation_age: Family::default(),
            leads: Gauge::default(),
            queue_due: Gauge::default(),
            queue_longest_due: Gauge::default(),
            watch_age: Family::default(),
            watches_failed: Family::default(),
            snapshot_age: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register("reconciles", "Looks at an object, by how they ended", self.reconciles.clone());
        let about = "Time that a look at an object took";
        r.register_with_unit("reconcile_duration", about, Unit::Seconds, self.reconcile_seconds.clone());
        r.register("plan_actions", "Writes to Azure that were carried out, by action", self.actions.clone());
        r.register("arm_requests", "Requests to Azure Resource Manager", self.requests.clone());
        let about = "Time that requests to Azure Resource Manager took";
        r.register_with_unit("arm_request_duration", about, Unit::Seconds, self.request_seconds.clone());
        r.register("status_writes", "Writes of status to the Kubernetes API server", self.status_writes.clone());
        r.register("arm_budget_left", "Requests left in a bucket of Azure's limits", self.budget_left.clone());
        r.register("arm_budget_waiting", "Requests that wait for a bucket", self.budget_waiting.clone());
        r.register("objects", "Objects by their Ready condition", self.objects.clone());
        r.register("nodes", "Nodes of a cluster by state", self.nodes.clone());
        r.register("operations_in_flight", "Operations of ours under way in Azure", self.operations.clone());
        let about = "Age of the oldest operation of ours under way in Azure";
        r.register_with_unit("operation_age", about, Unit::Seconds, self.operation_age.clone());
        r.register("leads", "1 in the replica that works, 0 in one that stands by", self.leads.clone());
        r.register("queue_due", "Objects that wait for a worker", self.queue_due.clone());
        let about = "How long the first of the objects that wait for a worker has waited";
        r.register_with_unit("queue_longest_due", about, Unit::Seconds, self.queue_longest_due.clone());
        r.register("watches_failed", "Watches that failed, and were tried again", self.watches_failed.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The version of this program", build);
        let about = "Time since the API server last answered a watch; each is renewed every 200 s";
        r.register_with_unit("watch_age", about, Unit::Seconds, self.watch_age.clone());
        let about = "Age of what is known of a workspace";
        r.register_with_unit("snapshot_age", about, Unit::Seconds, self.snapshot_age.clone());
    }

    /// A watch has failed, and is tried again.
    pub fn watch_failed(&self, watch: &Watch) {
        self.watches_failed.get_or_create(&WatchLabel { resource: watch.to_string() }).inc();
    }

    /// A look at an object has ended.
    pub fn reconciled(&self, kind: &str, result: &str, took: Duration) {
        let labels = ReconcileLabels { kind: kind.to_owned(), result: result.to_owned() };
        self.reconciles.get_or_create(&labels).inc();
        self.reconcile_seconds.get_or_create(&KindLabel { kind: kind.to_owned() }).observe(took.as_secs_f64());
    }

    /// A write to Azure was carried out.
    pub fn acted(&self, kind: &str, action: &str) {
        self.actions.get_or_create(&ActionLabels { kind: kind.to_owned(), action: action.to_owned() }).inc();
    }

    /// A status was written.
    pub fn wrote_status(&self, kind: &str) {
        self.status_writes.get_or_create(&KindLabel { kind: kind.to_owned() }).inc();
    }

    /// Everything as text, gauges read at this moment.
    ///
    /// # Errors
    /// When formatting fails.
    pub fn render(&self, ctx: &Context) -> Result<String, std::fmt::Error> {
        self.read_gauges(ctx);
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }

    fn read_gauges(&self, ctx: &Context) {
        let load = ctx.queue.load();
        self.leads.set(i64::from(ctx.leadership.leads()));
        // A standby's queue fills up and is worked off when it leads.
        self.queue_due.set(if ctx.leadership.leads() { i64::try_from(load.due).unwrap_or(i64::MAX) } else { 0 });
        let waited = load.longest_due.filter(|_| ctx.leadership.leads());
        self.queue_longest_due.set(waited.unwrap_or_default().as_secs_f64());
        for watch in ctx.watches.all() {
            let labels = WatchLabel { resource: watch.to_string() };
            // From the start, so that the first failure shows as an increase.
            self.watches_failed.get_or_create(&labels).inc_by(0);
            if let Some(last) = ctx.pulse.last(&labels.resource) {
                self.watch_age.get_or_create(&labels).set(last.elapsed().as_secs_f64());
            }
        }
        self.budget_left.clear();
        self.budget_waiting.clear();
        for bucket in ctx.budget.snapshot() {
            let operation = bucket.kind.as_str().to_owned();
            let labels = BucketLabels { principal: bucket.principal, subscription: bucket.subscription, operation };
            self.budget_left.get_or_create(&labels).set(bucket.left);
            self.budget_waiting.get_or_create(&labels).set(i64::try_from(bucket.waiting).unwrap_or(i64::MAX));
        }
        self.snapshot_age.clear();
        for source in ctx.connections.sources() {
            if let Some(started) = source.view().started {
                let labels = WorkspaceLabel { workspace: source.workspace().key().to_owned() };
                let age = self.snapshot_age.get_or_create(&labels).to_owned();
                // Two credentials may look at one workspace: the older knowledge is what may be wrong.
                age.set(age.get().max(started.elapsed().as_secs_f64()));
            }
        }
        self.read_objects(ctx);
    }

    fn read_objects(&self, ctx: &Context) {
        self.objects.clear();
        self.nodes.clear();
        self.operation_age.clear();
        let mut operations = 0;
        let mut oldest: HashMap<OperationLabels, f64> = HashMap::new();
        let now = Timestamp::now();
        let mut counts: HashMap<ConditionLabels, i64> = HashMap::new();
        // A standby knows all objects, too; each is told by the replica that works on it.
        let mine = |object: &Arc<Object>| ctx.leadership.leads() && ctx.shard.serves(&ctx.index, object);
        for object in ctx.index.all().into_iter().filter(mine) {
            let status = object.status();
            if let Some((labels, age)) = under_way(object.key.kind, status, now) {
                operations += 1;
                let known = oldest.entry(labels).or_default();
                *known = known.max(age);
            }
            let conditions = status.get("conditions").and_then(Value::as_array);
            let ready = conditions.into_iter().flatten().find(|c| c.get("type").is_some_and(|t| t == "Ready"));
            let text = |key: &str| ready.and_then(|c| c.get(key)?.as_str()).unwrap_or("Unknown").to_owned();
            let labels =
                ConditionLabels { kind: object.key.kind.to_owned(), ready: text("status"), reason: text("reason") };
            *counts.entry(labels).or_default() += 1;
            for (state, count) in status.get("nodes").and_then(Value::as_object).into_iter().flatten() {
                let labels = NodeLabels {
                    namespace: object.key.namespace.clone(),
                    name: object.key.name.clone(),
                    state: state.clone(),
                };
                self.nodes.get_or_create(&labels).set(count.as_i64().unwrap_or_default());
            }
        }
        for (labels, count) in counts {
            self.objects.get_or_create(&labels).set(count);
        }
        for (labels, age) in oldest {
            self.operation_age.get_or_create(&labels).set(age);
        }
        self.operations.set(operations);
    }
}

/// The operation under way, and its age in seconds.
fn under_way(kind: &str, status: &Value, now: Timestamp) -> Option<(OperationLabels, f64)> {
    let operation = status.get("operation")?;
    let verb = operation.get("verb").and_then(Value::as_str).unwrap_or("Unknown");
    let started: Option<Timestamp> = operation.get("startedAt").and_then(Value::as_str).and_then(|at| at.parse().ok());
    let age = started.map_or(0.0, |started| now.duration_since(started).as_secs_f64().max(0.0));
    Some((OperationLabels { kind: kind.to_owned(), verb: verb.to_owned() }, age))
}

impl RequestObserver for Metrics {
    fn completed(&self, record: &RequestRecord) {
        let code = record.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let labels = RequestLabels { provider: record.provider.clone(), method: record.method.clone(), code };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&labels).observe(record.duration.as_secs_f64());
    }
}
