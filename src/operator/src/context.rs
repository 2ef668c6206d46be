//! What all steps share.

use std::sync::Arc;

use azureml_arm::{ApiVersions, Budget, Cloud, HttpClient, RequestObserver};
use kube::Client;

use crate::connections::Connections;
use crate::engine::pulse::Pulse;
use crate::engine::queue::Queue;
use crate::engine::retry::RetryPolicy;
use crate::engine::scratch::Scratches;
use crate::engine::watch::Watches;
use crate::hashing::HashKey;
use crate::index::{Index, Key};
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::observe::facts::Facts;
use crate::observe::gaps::Gaps;
use crate::observe::source::Listener;
use crate::report::events::Recorder;
use crate::settings::{IdentityNamespaces, Settings};
use crate::shard::Shard;

/// What all steps share.
pub struct Context {
    /// Whether, and since when, this process works.
    pub leadership: Leadership,
    /// Which objects it works on.
    pub shard: Shard,
    /// What is watched.
    pub watches: Watches,
    /// Signs of life of the watches.
    pub pulse: Arc<Pulse>,
    /// The API server.
    pub client: Client,
    /// Settings.
    pub settings: Settings,
    /// Marks what we own in Azure.
    pub owner_id: String,
    /// Where Azure is.
    pub cloud: Cloud,
    /// How Azure is reached.
    pub http: HttpClient,
    /// The api-versions that this cloud offers, where they aren't the newest.
    pub api_versions: ApiVersions,
    /// ARM's request limits.
    pub budget: Budget,
    /// Who may use our own identity.
    pub identity_namespaces: IdentityNamespaces,
    /// The objects.
    pub index: Arc<Index>,
    /// What is looked at next.
    pub queue: Arc<Queue<Key>>,
    /// What is remembered in this process only.
    pub scratches: Scratches,
    /// Workspaces' clients and sources.
    pub connections: Connections,
    /// Regions' sizes.
    pub facts: Arc<Facts>,
    /// Operations that may not be read.
    pub gaps: Arc<Gaps>,
    /// When failures are tried again.
    pub retry: RetryPolicy,
    /// Events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The key that secrets are hashed with.
    pub hash_key: HashKey,
}

impl Context {
    /// Hears of ARM requests.
    pub fn observer(&self) -> Arc<dyn RequestObserver> {
        self.metrics.clone()
    }

    /// Hears of changes in Azure.
    pub fn listener(&self) -> Arc<dyn Listener> {
        Arc::new(Waker { index: self.index.clone(), queue: self.queue.clone() })
    }

    /// Wakes a Workspace's dependents.
    pub fn wake_dependents(&self, workspace: &Key) {
        self.index.dependents(workspace).into_iter().for_each(|key| self.queue.add(key));
    }
}

/// Turns changes in Azure into work.
struct Waker {
    index: Arc<Index>,
    queue: Arc<Queue<Key>>,
}

impl Listener for Waker {
    fn changed(&self, ids: &[String]) {
        ids.iter().flat_map(|id| self.index.claimants(id)).for_each(|key| self.queue.add(key));
    }

    fn counted(&self, workspace_id: &str) {
        self.index.workspaces_of(workspace_id).into_iter().for_each(|key| self.queue.add(key));
    }

    fn workspace_changed(&self, workspace_id: &str) {
        for key in self.index.workspaces_of(workspace_id) {
            self.index.dependents(&key).into_iter().for_each(|dependent| self.queue.add(dependent));
            self.queue.add(key);
        }
    }

    fn is_wanted(&self, id: &str) -> bool {
        !self.index.claimants(id).is_empty()
    }
}
