//! All that the clusters have said, by name: a condition that held for a moment counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;

/// How long after a failure the watch is begun again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What a cluster has said, the oldest first. Null at its end.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<HashMap<String, Vec<Arc<Value>>>>>);

impl History {
    /// Starts to record, until the test ends.
    pub fn record(api: Api<DynamicObject>) -> Self {
        let history = History::default();
        let all = history.clone();
        tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                let (object, gone) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
                    Ok(Event::Delete(object)) => (object, true),
                    Ok(_) => continue,
                    // At once it would be tried without end when the API server has ended, and the test with it.
                    Err(_) => {
                        tokio::time::sleep(AGAIN_AFTER).await;
                        continue;
                    }
                };
                let name = object.metadata.name.clone().unwrap_or_default();
                let state = if gone { Value::Null } else { serde_json::to_value(&object).unwrap() };
                all.0.lock().unwrap().entry(name).or_default().push(Arc::new(state));
            }
        });
        history
    }

    /// How much a cluster has said.
    pub fn end(&self, name: &str) -> usize {
        self.0.lock().unwrap().get(name).map_or(0, Vec::len)
    }

    /// What it said from there on.
    pub fn since(&self, name: &str, start: usize) -> Vec<Arc<Value>> {
        self.0.lock().unwrap().get(name).map(|all| all[start.min(all.len())..].to_vec()).unwrap_or_default()
    }

    /// How it is now.
    pub fn last(&self, name: &str) -> Arc<Value> {
        self.0.lock().unwrap().get(name).and_then(|all| all.last().cloned()).unwrap_or_default()
    }

    /// Forgets a cluster.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}
