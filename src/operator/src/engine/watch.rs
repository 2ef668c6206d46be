//! Watches: the API server's objects into the index, and what changed into the queue.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azureml_api::{GROUP, VERSION, registry};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::index::{Index, Key, Object, WORKSPACE};

/// A watch is renewed after this many seconds at the latest. Below the idle limits of common load balancers (240 s and up), which drop
/// idle connections without a word.
const WATCH_SECONDS: u64 = 200;

/// The label that every namespace has of its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// What is watched, and which of it hasn't been listed yet.
#[derive(Debug)]
pub struct Watches {
    all: Vec<Watch>,
    missing: Mutex<BTreeSet<Watch>>,
}

/// A watch of the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// Objects of one of our kinds.
    Objects {
        /// The kind.
        kind: &'static str,
        /// Its plural.
        plural: &'static str,
        /// The namespace; `None` for all.
        namespace: Option<String>,
    },
    /// The namespaces themselves, for their labels.
    Namespaces,
}

/// As metrics and probes name it, and [`super::pulse`] hears of it: the plural, after its namespace.
impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects { plural, namespace: Some(namespace), .. } => write!(f, "{namespace}/{plural}"),
            Self::Objects { plural, namespace: None, .. } => f.write_str(plural),
            Self::Namespaces => f.write_str("namespaces"),
        }
    }
}

/// The kinds that are watched, and their plurals.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once((WORKSPACE, "workspaces")).chain(registry::KINDS.iter().map(|kind| (kind.kind, kind.plural)))
}

/// How the API server names a kind.
pub fn api_resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
}

/// How the API server names one of the kinds that are watched.
pub fn resource_of(kind: &str) -> ApiResource {
    let plural = kinds().find(|(watched, _)| *watched == kind).map_or("", |(_, plural)| plural);
    api_resource(kind, plural)
}

/// The API of one object's kind and namespace.
pub fn api(client: &Client, key: &Key) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &key.namespace, &resource_of(key.kind))
}

impl Watches {
    /// Watches of these namespaces; of all, if there are none.
    pub fn new(namespaces: &BTreeSet<String>) -> Self {
        let scopes: Vec<Option<String>> = match namespaces.is_empty() {
            true => vec![None],
            false => namespaces.iter().cloned().map(Some).collect(),
        };
        let objects = |namespace: Option<String>| {
            kinds().map(move |(kind, plural)| Watch::Objects { kind, plural, namespace: namespace.clone() })
        };
        let mut all: Vec<Watch> = scopes.into_iter().flat_map(objects).collect();
        if namespaces.is_empty() {
            all.push(Watch::Namespaces);
        }
        Self { missing: Mutex::new(all.iter().cloned().collect()), all }
    }

    /// All of them.
    pub fn all(&self) -> &[Watch] {
        &self.all
    }

    /// What hasn't been listed yet.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ToString::to_string).collect()
    }

    /// Whether all of a cluster's namespaces are known: they are watched, and have been listed.
    pub fn knows_namespaces(&self) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.contains(&Watch::Namespaces) && !missing.contains(&Watch::Namespaces)
    }

    fn listed(&self, watch: &Watch) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(watch);
    }
}

/// Runs all watches until told to stop.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let mut tasks = tokio::task::JoinSet::new();
    for watch in ctx.watches.all().iter().cloned() {
        match &watch {
            Watch::Objects { namespace, .. } => {
                if let Some(namespace) = namespace {
                    // Labels of namespaces can't be read without a right in the whole cluster, but for this one.
                    let labels = BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.clone())]);
                    ctx.index.set_namespace(namespace, labels);
                }
                tasks.spawn(watch_kind(ctx.clone(), watch))
            }
            Watch::Namespaces => tasks.spawn(watch_namespaces(ctx.clone(), watch)),
        };
    }
    tokio::select! {
        () = stop.cancelled() => {}
        // Watches retry for ever; one that ends is a fault that a restart mends.
        _ = tasks.join_next() => {
            tracing::error!("a watch has ended: stopping");
            stop.cancel();
        }
    }
}

/// Each watch has a backoff of its own: one that fails doesn't slow the others.
fn backed_off<K>(ctx: &Context, api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let seconds = (ctx.settings.unhealthy_after.as_secs() / 3).clamp(1, WATCH_SECONDS);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    watcher::watcher(api, watcher::Config::default().timeout(seconds).page_size(500)).default_backoff()
}

async fn watch_kind(ctx: Arc<Context>, watch: Watch) {
    let Watch::Objects { kind, plural, namespace } = &watch else { return };
    let (resource, client) = (api_resource(kind, plural), ctx.client.clone());
    let api = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let is_here = |key: &Key| namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace);
    let mut events = std::pin::pin!(backed_off(&ctx, api));
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                let object = Object::new(kind, object);
                seen.insert(object.key.clone());
                // As a whole list shows it, whatever was known: an API server that was set back to a backup has older versions.
                apply(&ctx, object, Index::replace);
            }
            Ok(Event::InitDone) => {
                let here = ctx.index.keys(kind).into_iter().filter(is_here);
                here.filter(|key| !seen.contains(key)).for_each(|key| remove(&ctx, &key));
                ctx.watches.listed(&watch);
            }
            Ok(Event::Apply(object)) => apply(&ctx, Object::new(kind, object), Index::upsert),
            Ok(Event::Delete(object)) => remove(&ctx, &Object::new(kind, object).key),
            Err(error) => failed(&ctx, &watch, &error),
        }
    }
}

fn failed(ctx: &Context, watch: &Watch, error: &watcher::Error) {
    tracing::warn!(resource = %watch, %error, "the watch failed; it is tried again");
    ctx.metrics.watch_failed(watch);
}

/// An object is as it is told now; `take` decides whether that is newer than what is known.
fn apply(ctx: &Context, object: Object, take: impl FnOnce(&Index, Object) -> bool) {
    let key = object.key.clone();
    let before = ctx.index.get(&key);
    if !take(&ctx.index, object) {
        return;
    }
    let Some(after) = ctx.index.get(&key) else { return };
    // Our own status writes come back as events; they are no news.
    if before.as_ref().is_some_and(|before| before.raw.metadata.uid != after.raw.metadata.uid) {
        ctx.scratches.forget(&key);
    }
    let news = before.as_ref().is_none_or(|before| before.signature() != after.signature());
    if news {
        ctx.queue.add(key.clone());
    }
    if key.kind == WORKSPACE && before.is_none_or(|before| before.status() != after.status() || news) {
        ctx.wake_dependents(&key);
    }
}

fn remove(ctx: &Context, key: &Key) {
    let Some(object) = ctx.index.remove(key) else { return };
    ctx.scratches.forget(key);
    // A standby has no worker that would find out.
    ctx.queue.forget(key);
    crate::apply::leave_queues(&ctx.budget, key);
    if key.kind == WORKSPACE {
        ctx.connections.close(key);
        ctx.shard.forget(key);
        ctx.wake_dependents(key);
        return;
    }
    if let Some(workspace) = object.workspace() {
        if let Some(Workspace { source, id }) = claimed(ctx, &workspace, &object) {
            source.set_busy(&id, key, false);
            // The next in line may have the claim now.
            ctx.index.claimants(&id).into_iter().for_each(|next| ctx.queue.add(next));
        }
        ctx.queue.add(workspace);
    }
}

struct Workspace {
    source: Arc<crate::observe::source::Source>,
    id: String,
}

fn claimed(ctx: &Context, workspace: &Key, object: &Object) -> Option<Workspace> {
    match ctx.connections.get(workspace)? {
        crate::connections::Connection::Open(source) => Some(Workspace { source, id: ctx.index.arm_id(object)? }),
        crate::connections::Connection::Broken(_) => None,
    }
}

/// Namespaces' labels decide who may refer to a Workspace.
async fn watch_namespaces(ctx: Arc<Context>, watch: Watch) {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(ctx.client.clone());
    let mut events = std::pin::pin!(backed_off(&ctx, api));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(namespace) | Event::Apply(namespace)) => {
                let name = namespace.name_any();
                if ctx.index.set_namespace(&name, namespace.labels().clone()) {
                    let inside = ctx.index.all().into_iter().filter(|object| object.key.namespace == name);
                    inside.for_each(|object| ctx.queue.add(object.key.clone()));
                }
            }
            Ok(Event::Delete(namespace)) => ctx.index.remove_namespace(&namespace.name_any()),
            Ok(Event::InitDone) => ctx.watches.listed(&watch),
            Ok(Event::Init) => {}
            Err(error) => failed(&ctx, &watch, &error),
        }
    }
}
