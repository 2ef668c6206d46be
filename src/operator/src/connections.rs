//! Connections: for each Workspace the client of its credential, and the source that reads its computes.
//!
//! Workspaces that name the same workspace in Azure share one source only if they have the very same credential: nobody
//! reads or writes with what somebody else has proven.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azureml_arm::{ArmClient, ResourceId};

use crate::context::Context;
use crate::failure::Problem;
use crate::index::Key;
use crate::observe::source::Source;

/// What a Workspace gives its dependents.
#[derive(Clone)]
pub enum Connection {
    /// It can be asked.
    Open(Arc<Source>),
    /// It can't, and why.
    Broken(Problem),
}

/// All connections.
#[derive(Default)]
pub struct Connections {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    workspaces: HashMap<Key, Held>,
    sources: HashMap<SourceName, Arc<Source>>,
}

/// What a source is shared by: credential (its fingerprint), workspace, interval.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SourceName {
    credential: String,
    workspace: String,
    interval: Duration,
}

struct Held {
    connection: Connection,
    source: Option<SourceName>,
}

impl Connections {
    /// A Workspace's connection; `None` while it hasn't been looked at.
    pub fn get(&self, workspace: &Key) -> Option<Connection> {
        self.lock().workspaces.get(workspace).map(|held| held.connection.clone())
    }

    /// Whether a Workspace's connection is open with this very credential and interval.
    pub fn is_open(&self, workspace: &Key, credential: &str, interval: Duration) -> Option<Arc<Source>> {
        let inner = self.lock();
        let held = inner.workspaces.get(workspace)?;
        match (&held.connection, &held.source) {
            (Connection::Open(source), Some(name)) if name.credential == credential && name.interval == interval => {
                Some(source.clone())
            }
            _ => None,
        }
    }

    /// The client of a credential that some Workspace is connected with: it holds a token already, and one token serves all
    /// who have proven the same. A changed interval or a second Workspace costs no request to Entra then.
    pub fn client(&self, credential: &str) -> Option<ArmClient> {
        let inner = self.lock();
        let (_, source) = inner.sources.iter().find(|(name, _)| name.credential == credential)?;
        Some(source.client().clone())
    }

    /// Opens a Workspace's connection: joins the source of its credential, workspace and interval, or starts it.
    pub fn open(
        &self,
        ctx: &Context,
        workspace: &Key,
        id: ResourceId,
        credential: &str,
        client: ArmClient,
        interval: Duration,
    ) -> Arc<Source> {
        let name = SourceName { credential: credential.to_owned(), workspace: id.key().to_owned(), interval };
        let mut inner = self.lock();
        let source = inner
            .sources
            .entry(name.clone())
            .or_insert_with(|| Source::start(id, client, interval, ctx.settings.fastest_poll, ctx.listener()))
            .clone();
        let held = Held { connection: Connection::Open(source.clone()), source: Some(name) };
        inner.workspaces.insert(workspace.clone(), held);
        inner.sweep();
        source
    }

    /// Notes that a Workspace can't be asked. Says whether that is news.
    pub fn break_off(&self, workspace: &Key, problem: Problem) -> bool {
        let mut inner = self.lock();
        let news = !matches!(
            inner.workspaces.get(workspace),
            Some(Held { connection: Connection::Broken(known), .. }) if *known == problem
        );
        inner.workspaces.insert(workspace.clone(), Held { connection: Connection::Broken(problem), source: None });
        inner.sweep();
        news
    }

    /// Forgets a Workspace.
    pub fn close(&self, workspace: &Key) {
        let mut inner = self.lock();
        inner.workspaces.remove(workspace);
        inner.sweep();
    }

    /// All sources, for metrics.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.lock().sources.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Stops the sources that no Workspace uses.
    fn sweep(&mut self) {
        let used: HashSet<SourceName> = self.workspaces.values().filter_map(|held| held.source.clone()).collect();
        self.sources.retain(|name, source| {
            let keep = used.contains(name);
            if !keep {
                source.stop();
            }
            keep
        });
    }
}
