//! Watches: the API server's objects into the index, and what changed into the queue.

use std::collections::{BTreeSet, HashSet};
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
use crate::index::{Key, Object, WORKSPACE};

/// A watch is renewed after this many seconds at the latest. Below the idle limits of common load balancers (240 s and up), which drop
/// idle connections without a word.
const WATCH_SECONDS: u64 = 200;

/// Which kinds have been listed.
#[derive(Debug)]
pub struct Watches {
    missing: Mutex<BTreeSet<&'static str>>,
}

/// A kind that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Kind.
    pub kind: &'static str,
    /// Plural.
    pub plural: &'static str,
}

/// All kinds that are watched.
pub fn kinds() -> Vec<Watched> {
    let targets = registry::KINDS.iter().map(|kind| Watched { kind: kind.kind, plural: kind.plural });
    std::iter::once(Watched { kind: WORKSPACE, plural: "workspaces" }).chain(targets).collect()
}

/// The plurals of all kinds that are watched, namespaces included.
pub fn plurals() -> Vec<&'static str> {
    kinds().into_iter().map(|watched| watched.plural).chain(["namespaces"]).collect()
}

/// How the API server names a kind.
pub fn api_resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
}

/// How the API server names one of the kinds that are watched.
pub fn resource_of(kind: &str) -> ApiResource {
    let plural = kinds().into_iter().find(|watched| watched.kind == kind).map_or("", |watched| watched.plural);
    api_resource(kind, plural)
}

/// The API of one object's kind and namespace.
pub fn api(client: &Client, key: &Key) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &key.namespace, &resource_of(key.kind))
}

impl Default for Watches {
    fn default() -> Self {
        let missing = kinds().into_iter().map(|watched| watched.kind).chain(["Namespace"]).collect();
        Self { missing: Mutex::new(missing) }
    }
}

impl Watches {
    /// The kinds that haven't been listed yet.
    pub fn missing(&self) -> Vec<&'static str> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn listed(&self, kind: &'static str) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
    }
}

/// Runs all watches until told to stop.
pub async fn run(ctx: Arc<Context>, watches: Arc<Watches>, stop: CancellationToken) {
    let mut tasks = tokio::task::JoinSet::new();
    for watched in kinds() {
        tasks.spawn(watch_kind(ctx.clone(), watches.clone(), watched));
    }
    tasks.spawn(watch_namespaces(ctx, watches));
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

async fn watch_kind(ctx: Arc<Context>, watches: Arc<Watches>, watched: Watched) {
    let api = Api::all_with(ctx.client.clone(), &api_resource(watched.kind, watched.plural));
    let mut events = std::pin::pin!(backed_off(&ctx, api));
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                let object = Object::new(watched.kind, object);
                seen.insert(object.key.clone());
                listed(&ctx, object);
            }
            Ok(Event::InitDone) => {
                let gone = ctx.index.keys(watched.kind).into_iter().filter(|key| !seen.contains(key));
                gone.for_each(|key| remove(&ctx, &key));
                watches.listed(watched.kind);
            }
            Ok(Event::Apply(object)) => apply(&ctx, Object::new(watched.kind, object)),
            Ok(Event::Delete(object)) => remove(&ctx, &Object::new(watched.kind, object).key),
            Err(error) => failed(&ctx, watched.plural, &error),
        }
    }
}

fn failed(ctx: &Context, plural: &str, error: &watcher::Error) {
    tracing::warn!(resource = plural, %error, "the watch failed; it is tried again");
    ctx.metrics.watch_failed(plural);
}

fn apply(ctx: &Context, object: Object) {
    let key = object.key.clone();
    let before = ctx.index.get(&key);
    if ctx.index.upsert(object) {
        applied(ctx, &key, before);
    }
}

/// As a whole list shows it, whatever was known: an API server that was set back to a backup has older versions.
fn listed(ctx: &Context, object: Object) {
    let key = object.key.clone();
    let before = ctx.index.get(&key);
    if ctx.index.replace(object) {
        applied(ctx, &key, before);
    }
}

/// An object is known as it is now; before, it was known like that.
fn applied(ctx: &Context, key: &Key, before: Option<Arc<Object>>) {
    let key = key.clone();
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
async fn watch_namespaces(ctx: Arc<Context>, watches: Arc<Watches>) {
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
            Ok(Event::InitDone) => watches.listed("Namespace"),
            Ok(Event::Init) => {}
            Err(error) => failed(&ctx, "namespaces", &error),
        }
    }
}
