//! A source: the computes of one workspace as one principal sees them, read as a list.
//!
//! Reads grow with workspaces, not with objects. The list is read every interval, and every few seconds while an
//! operation of ours is under way; it wakes the objects whose Azure side changed. A list that fails half way is thrown
//! away, and a failed one makes nothing empty. The workspace itself is read at the start, when the list fails, when
//! something vanished, while it isn't in state Succeeded, and once an hour.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use azureml_api::fields::lookup;
use azureml_api::{ML_API_VERSION, ML_OLDEST_API_VERSION, ML_PROVIDER, registry};
use azureml_arm::{ArmClient, ArmError, Claim, ErrorKind, OperationKind, Priority, ResourceId, Spoken, provider_scope};
use azureml_planner::diff;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::index::Key;
use crate::observe::live::is_absent;

/// What is spoken with Azure Machine Learning.
const SPOKEN: Spoken<'static> = Spoken {
    provider: ML_PROVIDER,
    types: &["workspaces", "workspaces/computes"],
    oldest: ML_OLDEST_API_VERSION,
    newest: ML_API_VERSION,
};
/// How often the workspace's own properties are read again.
const WORKSPACE_PERIOD: Duration = Duration::from_secs(3600);
/// Intervals after which an item that the list shows without its properties is read by itself.
const SPARSE_INTERVALS: u32 = 5;
/// Intervals after which what is known counts as stale.
pub const STALE_INTERVALS: u32 = 3;

/// What is known of a workspace.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The workspace, as last read.
    pub workspace: Option<Arc<Value>>,
    /// The computes by lower-cased name, as last read in full.
    pub computes: Option<Arc<HashMap<String, Arc<Value>>>>,
    /// When the first page of that list was asked for.
    pub started: Option<Instant>,
    /// Why the last try failed, if it did.
    pub trouble: Option<Arc<ArmError>>,
    /// Computes that the list shows in part and that can't be read by themselves, by lower-cased name.
    pub unread: HashMap<String, Unread>,
}

/// A compute that can't be read by itself.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Since when.
    pub since: Instant,
    /// Why the last try failed.
    pub error: Arc<ArmError>,
}

impl View {
    /// Whether what is known is older than three intervals, or too little to plan on: a list is nothing without its workspace.
    pub fn is_stale(&self, interval: Duration) -> bool {
        self.workspace.is_none() || self.started.is_none_or(|started| started.elapsed() > interval * STALE_INTERVALS)
    }

    /// Whether the workspace is in the state that it stays in. One that is being made isn't.
    fn is_settled(&self) -> bool {
        matches!(self.workspace_text("properties.provisioningState"), None | Some("Succeeded"))
    }

    /// A member of the workspace's properties.
    pub fn workspace_text(&self, path: &str) -> Option<&str> {
        lookup(self.workspace.as_ref()?, path)?.as_str()
    }
}

/// Who is told of changes.
pub trait Listener: Send + Sync {
    /// These resources (lower-cased ARM ids) changed, appeared or vanished.
    fn changed(&self, ids: &[String]);
    /// How many computes the workspace has changed.
    fn counted(&self, workspace_id: &str);
    /// The workspace itself, or whether it can be read, changed.
    fn workspace_changed(&self, workspace_id: &str);
    /// Whether an object stands for this lower-cased ARM id.
    fn is_wanted(&self, id: &str) -> bool;
}

/// A source.
pub struct Source {
    workspace: ResourceId,
    client: ArmClient,
    interval: Duration,
    fastest: Duration,
    view: RwLock<View>,
    busy: Mutex<HashMap<(String, Key), Instant>>,
    poke: Notify,
    listener: Arc<dyn Listener>,
    stop: CancellationToken,
    opened: Instant,
}

/// What the loop remembers between two reads.
#[derive(Default)]
struct Reader {
    workspace_read: Option<Instant>,
    details: HashMap<String, (Instant, Arc<Value>, Arc<Value>)>,
    was_stale: bool,
}

impl Source {
    /// Starts reading. `fastest` is the period while operations are young.
    pub fn start(
        workspace: ResourceId,
        client: ArmClient,
        interval: Duration,
        fastest: Duration,
        listener: Arc<dyn Listener>,
    ) -> Arc<Self> {
        let source = Arc::new(Self {
            workspace,
            client,
            interval,
            fastest: fastest.min(interval),
            view: RwLock::default(),
            busy: Mutex::default(),
            poke: Notify::new(),
            listener,
            stop: CancellationToken::new(),
            opened: Instant::now(),
        });
        tokio::spawn(source.clone().run());
        source
    }

    /// What is known.
    pub fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client that it reads with.
    pub fn client(&self) -> &ArmClient {
        &self.client
    }

    /// The workspace's ARM id.
    pub fn workspace(&self) -> &ResourceId {
        &self.workspace
    }

    /// The period when nothing is under way.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Why what is known is too old, if it is. Right after the start nothing is.
    pub fn staleness(&self) -> Option<String> {
        let (view, interval) = (self.view(), self.interval());
        if !view.is_stale(interval) || self.opened.elapsed() <= interval * STALE_INTERVALS {
            return None;
        }
        let why = view.trouble.map_or_else(|| "no answer yet".to_owned(), |error| error.to_string());
        Some(format!("Azure has not been seen for more than {STALE_INTERVALS} intervals: {why}"))
    }

    /// Reads soon.
    pub fn hurry(&self) {
        self.poke.notify_one();
    }

    /// An object's operation on this resource is under way, or has ended.
    pub fn set_busy(&self, id: &str, by: &Key, busy: bool) {
        let mut all = self.busy();
        let mark = (id.to_lowercase(), by.clone());
        if !busy {
            all.remove(&mark);
        } else if let Entry::Vacant(free) = all.entry(mark) {
            free.insert(Instant::now());
            drop(all);
            self.hurry();
        }
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<(String, Key), Instant>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops reading.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The period: the interval at rest; while operations are under way an eighth of the youngest one's age, from the
    /// fastest to the interval.
    fn period(&self) -> Duration {
        let busy = self.busy();
        let interval = self.interval();
        let youngest = busy.values().map(Instant::elapsed).min();
        youngest.map_or(interval, |age| (age / 8).clamp(self.fastest.min(interval), interval))
    }

    async fn run(self: Arc<Self>) {
        let mut reader = Reader::default();
        loop {
            let began = Instant::now();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.read(&mut reader) => {}
            }
            let due = began + self.period();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
                () = self.poke.notified() => {
                    // Many pokes become one read.
                    tokio::time::sleep_until(began + self.fastest / 2).await;
                }
            }
        }
    }

    async fn read(&self, reader: &mut Reader) {
        let before = self.view();
        let (mut view, mut changed) = self.look(&before, reader).await;
        if view.trouble.as_ref().is_some_and(|error| error.kind == ErrorKind::ApiVersionUnsupported) {
            match self.client().learn_version(&SPOKEN, self.client().budget().admit(self.claim()).await).await {
                Ok(()) => (view, changed) = self.look(&before, reader).await,
                Err(error) => view.trouble = Some(Arc::new(error)),
            }
        }
        self.publish(before, view, changed, reader);
    }

    /// The list, and the workspace where it matters.
    async fn look(&self, before: &View, reader: &mut Reader) -> (View, BTreeSet<String>) {
        let started = Instant::now();
        let result = self.list(reader).await;
        let mut view = before.clone();
        match result {
            Ok(Listed { computes, unread }) => {
                view.computes = Some(Arc::new(computes));
                view.unread = unread;
                view.started = Some(started);
                view.trouble = None;
            }
            Err(error) => {
                tracing::debug!(workspace = %self.workspace, %error, "the list of computes can't be read");
                view.trouble = Some(Arc::new(error));
            }
        }
        let mut changed = changed_names(before.computes.as_deref(), view.computes.as_deref());
        changed.extend(view.unread.keys().chain(before.unread.keys()).cloned());
        let vanished = changed.iter().any(|name| view.computes.as_ref().is_some_and(|now| !now.contains_key(name)));
        let old = reader.workspace_read.is_none_or(|read| read.elapsed() > WORKSPACE_PERIOD);
        if old || vanished || !view.is_settled() || before.trouble.is_some() || view.trouble.is_some() {
            self.read_workspace(reader, &mut view).await;
        }
        (view, changed)
    }

    async fn read_workspace(&self, reader: &mut Reader, view: &mut View) {
        let permit = self.client().budget().admit(self.claim()).await;
        match self.client().resource(self.workspace.as_str(), ML_API_VERSION, permit).await {
            Ok(response) => {
                reader.workspace_read = Some(Instant::now());
                view.workspace = Some(Arc::new(response.body));
            }
            Err(error) => view.trouble = Some(Arc::new(error)),
        }
    }

    fn publish(&self, before: View, view: View, changed: BTreeSet<String>, reader: &mut Reader) {
        let kind = |view: &View| view.trouble.as_ref().map(|error| (error.kind.clone(), error.code.clone()));
        let first = before.started.is_none() && view.started.is_some();
        let count = |view: &View| view.computes.as_ref().map(|computes| computes.len());
        let recounted = count(&before) != count(&view);
        let stale = view.is_stale(self.interval());
        let workspace = first
            || kind(&before) != kind(&view)
            || before.workspace != view.workspace
            || stale != std::mem::replace(&mut reader.was_stale, stale);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        if workspace {
            self.listener.workspace_changed(self.workspace.as_str());
        } else if recounted {
            self.listener.counted(self.workspace.as_str());
        }
        let mut ids: BTreeSet<String> = changed.iter().map(|name| self.id_of(name)).collect();
        // Those that wait for an operation want every look, changed or not: a wait has an end.
        ids.extend(self.busy().keys().map(|(id, _)| id.clone()));
        if !ids.is_empty() {
            self.listener.changed(&ids.into_iter().collect::<Vec<_>>());
        }
    }

    fn id_of(&self, name: &str) -> String {
        self.workspace.child("computes", name).key().to_owned()
    }

    fn claim(&self) -> Claim {
        Claim {
            principal: self.client().principal_key().to_owned(),
            subscription: self.workspace.subscription().to_owned(),
            kind: OperationKind::Read,
            lane: self.workspace.key().to_owned(),
            key: format!("list {}", self.workspace.key()),
            priority: Priority::Background,
            provider_scope: self
                .view()
                .workspace_text("location")
                .map(|region| provider_scope(ML_PROVIDER, &diff::location(region))),
        }
    }

    /// All pages, or nothing.
    async fn list(&self, reader: &mut Reader) -> Result<Listed, ArmError> {
        let path = format!("{}/computes", self.workspace.as_str());
        let before = self.view().computes;
        let mut computes = HashMap::new();
        let mut next = None;
        loop {
            let client = self.client();
            let permit = client.budget().admit(self.claim()).await;
            let page = client.list_page(&path, ML_API_VERSION, next.as_ref(), permit).await?;
            for item in page.items {
                let Some(name) = item.get("name").and_then(Value::as_str).map(str::to_lowercase) else { continue };
                // An unchanged item keeps its allocation: memory grows with what changes.
                let same = before.as_ref().and_then(|all| all.get(&name)).filter(|old| ***old == item).cloned();
                computes.insert(name, same.unwrap_or_else(|| Arc::new(item)));
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let unread = self.complete(&mut computes, reader).await?;
        Ok(Listed { computes, unread })
    }

    /// Reads by itself, slowly, each wanted item that the list shows without its live fields. Says which can't be read.
    async fn complete(
        &self,
        computes: &mut HashMap<String, Arc<Value>>,
        reader: &mut Reader,
    ) -> Result<HashMap<String, Unread>, ArmError> {
        let before = self.view().unread;
        let mut unread = HashMap::new();
        reader.details.retain(|name, _| computes.contains_key(name));
        let mut gone = Vec::new();
        for (name, item) in computes.iter_mut() {
            let id = self.id_of(name);
            if !registry::is_sparse(item) || !self.listener.is_wanted(&id) {
                continue;
            }
            let busy = self.busy().keys().any(|(of, _)| *of == id);
            let known = reader
                .details
                .get(name)
                .filter(|(read, of, _)| !busy && of == item && read.elapsed() < self.interval() * SPARSE_INTERVALS);
            let detail = match known {
                Some((_, _, detail)) => detail.clone(),
                None => {
                    let client = self.client();
                    let permit = client.budget().admit(self.claim()).await;
                    let read = match client.resource(&id, ML_API_VERSION, permit).await {
                        Err(error) if is_absent(&error) => {
                            // It went between the list and this read.
                            gone.push(name.clone());
                            continue;
                        }
                        // One that Azure can't show doesn't hide the others.
                        Err(error) if is_of_the_resource(&error) => {
                            let since = before.get(name).map_or_else(Instant::now, |known| known.since);
                            unread.insert(name.clone(), Unread { since, error: Arc::new(error) });
                            continue;
                        }
                        read => read?,
                    };
                    let detail = Arc::new(read.body);
                    reader.details.insert(name.clone(), (Instant::now(), item.clone(), detail.clone()));
                    detail
                }
            };
            *item = detail;
        }
        gone.iter().for_each(|name| drop(computes.remove(name)));
        Ok(unread)
    }
}

/// A whole list.
struct Listed {
    computes: HashMap<String, Arc<Value>>,
    unread: HashMap<String, Unread>,
}

/// Whether an error may be of one resource alone: Azure answered, and neither the credential nor a limit is its reason.
fn is_of_the_resource(error: &ArmError) -> bool {
    let everybodys = matches!(error.kind, ErrorKind::Throttled(_) | ErrorKind::ApiVersionUnsupported);
    error.status.is_some_and(|status| status != 401) && !everybodys
}

/// The names whose item changed, appeared or vanished.
fn changed_names(
    before: Option<&HashMap<String, Arc<Value>>>,
    after: Option<&HashMap<String, Arc<Value>>>,
) -> BTreeSet<String> {
    let empty = HashMap::new();
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let changed = after.iter().filter(|(name, item)| before.get(*name) != Some(item)).map(|(name, _)| name);
    let vanished = before.keys().filter(|name| !after.contains_key(*name));
    changed.chain(vanished).cloned().collect()
}
